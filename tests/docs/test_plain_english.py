"""The pages and the help are plain: short sentences, and no words that only the authors understand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from plain_english import faults, sentences

from vidtrans.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# The reference is generated: its sentences are those of the help and of docstrings. The changelog tells what was.
PAGES = [
    *(page for page in sorted(DOCS.rglob("*.md")) if "reference" not in page.parts and page.stem != "changelog"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")),
]
MAX_PAGE_WORDS, MAX_WORDS = 900, 40_000  # Of the guides, the tutorials and the pages for programmers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_plain(page: Path) -> None:
    assert faults(page.read_text("utf-8")) == []


def test_guides_are_short() -> None:
    pages = [page for name in ("guides", "tutorials", "extend") for page in (DOCS / name).rglob("*.md")]
    counts = {page.name: len(page.read_text("utf-8").split()) for page in pages}
    assert {name: count for name, count in counts.items() if count > MAX_PAGE_WORDS} == {}
    assert sum(counts.values()) <= MAX_WORDS


def helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    yield name, (command.help or "").replace("\b", "")
    for option in command.params:
        if isinstance(option, click.Option):
            yield f"{name} {option.opts[0]}", option.help or ""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for one in command.list_commands(context):
            found = command.get_command(context, one)
            assert found is not None
            yield from helps(found, f"{name} {one}")


def test_the_help_is_plain() -> None:
    found = {name: faults(text) for name, text in helps(cli, "vidtrans")}
    assert len(found) > 300
    assert {name: why for name, why in found.items() if why} == {}


def test_what_is_not_plain_is_found() -> None:
    long = "Word " + "word " * 30
    assert [line.split(" ", 1)[0] for line in faults(f"# Title\n\nShort. {long.strip()}.\n")] == ["31"]
    assert faults("- It is told `so many` times.\n") != []
    assert faults("```\nvidtrans manner so many\n```\n\n| a | the manner |\n|---|---|\n") != []
    assert faults("```\nvidtrans manner so many\n```\n") == []
    assert sentences("It takes 1.5 s, e.g. Here it ends. A `b. C` d.\n") == [
        "It takes 1.5 s, e.g. Here it ends.",
        "A code d.",
    ]
