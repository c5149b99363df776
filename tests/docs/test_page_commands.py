"""The command lines of the pages: each is parsed, and the lines of one page are run.

``nox -s docs`` runs all pages.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import click
import pytest
from page_commands import ROOT, commands_of, name_of, pages, steps_of
from page_runner import run_page, why_not_run

from vidtrans.cli.click_commands import command_of
from vidtrans.cli.main import cli
from vidtrans.core.errors import MediaError

# This page runs in the second tier of the tests; with EVERY_PAGE=1 (nox -s docs) all of them.
ONE = "tutorials/first-look.md"
EVERY = os.environ.get("EVERY_PAGE") == "1"
STEPS = {page: steps_of(page.read_text("utf-8")) for page in pages()}
RUN = [p for p in pages() if any(not why_not_run(name_of(p), s) for s in STEPS[p]) and (EVERY or name_of(p) == ONE)]


def parse(words: list[str]) -> object:
    """Read a command line as ``vidtrans`` does; return the command, with nothing done."""
    command, rest = cli.get_command(click.Context(cli), words[0]), words[1:]
    assert command is not None, words
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, words
        command, rest = found, rest[1:]
    if "--help" in rest:
        return command
    with command.make_context(words[0], list(rest)) as context, suppress(MediaError):  # its files are not there
        return command_of(context)
    return command


@pytest.mark.parametrize("page", [page for page in pages() if page.parent.name != "extend"], ids=name_of)
def test_every_command_of_a_page_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "presets/edges.toml", "mine.toml")  # a page writes it
    typed = [words[1:] for words in commands_of(page.read_text(encoding="utf-8")) if words[0] == "vidtrans"]
    assert [words for words in typed if parse(words) is None] == []


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[] if EVERY else [pytest.mark.thorough]) for p in RUN], ids=name_of
)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed = run_page(page)
    assert not failed, "\n".join(failed)
