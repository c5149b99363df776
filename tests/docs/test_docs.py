"""The documents say what is true: every command is there, and every room in the walk-through."""

from __future__ import annotations

import re
from pathlib import Path

import vidtrans as api
from vidtrans.cli.main import summaries

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_is_short_and_its_commands_and_test_command_are_right() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 132
    assert "pip install '.[test]' && pytest" in text
    typed = re.findall(r"(?:^|`|&& )vidtrans ([a-z-]+)", text, re.MULTILINE)
    assert {"demo", "make-dataset", "train", "stylize"} <= set(typed)
    assert set(typed) <= set(summaries())


def test_the_citation_has_the_version_of_the_package() -> None:
    assert re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE) == [api.__version__]


def test_the_architecture_page_is_short_and_names_every_room_and_files_that_exist() -> None:
    text, package = (ROOT / "docs/architecture.md").read_text(), Path(api.__file__).parent
    assert len(text.splitlines()) <= 250
    rooms = [f"`{p.name}/`" for p in package.iterdir() if (p / "__init__.py").is_file()]
    leaves = [f"`{p.name}`" for p in package.glob("*.py") if not p.name.startswith("__")]
    assert [name for name in rooms + leaves if name not in text] == []
    named = {
        n
        for n in re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)+\.(?:py|html|js))`", text)
        if not n.startswith(("benchmarks/", "tests/", "docs/"))
    }
    assert len(named) > 50
    assert [n for n in named if not (package / n).is_file()] == []
