"""What the pages say to type is typed: every command is parsed here, and those of three pages run.

``nox -s docs`` runs those of every page.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import click
import pytest
from page_commands import ROOT, commands_of, pages
from page_runner import run_page

from vidtrans.cli.click_commands import click_command, command_of
from vidtrans.core.errors import MediaError

# Those of these pages run in every run of the tests; with EVERY_PAGE=1 (nox -s docs) those of all.
THREE = ("tutorials/first-look.md", "guides/directing.md", "guides/keyframes.md")
EVERY = os.environ.get("EVERY_PAGE") == "1"
RUN = [page for page in pages() if EVERY or page.relative_to(ROOT / "docs").as_posix() in THREE]


def parse(words: list[str]) -> object:
    """Read a command line as ``vidtrans`` does; return the command, with nothing done."""
    command, rest = click_command(words[0]), words[1:]
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, words
        command, rest = found, rest[1:]
    if "--help" in rest:
        return command
    with command.make_context(words[0], list(rest)) as context, suppress(MediaError):  # its files are not there
        return command_of(context)
    return command


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_every_command_of_a_page_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "presets/edges.toml", "mine.toml")  # a page writes it
    typed = [words[1:] for words in commands_of(page.read_text(encoding="utf-8")) if words[0] == "vidtrans"]
    assert [words for words in typed if parse(words) is None] == []


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_page(page.read_text(encoding="utf-8")) == []
