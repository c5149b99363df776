"""The generated reference: nothing on it is stale, and nothing is missing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest
from documented import described, undescribed

import vidtrans
from vidtrans.cli.main import summaries
from vidtrans.config import recipe
from vidtrans.core.setting_groups import setting_fields
from vidtrans.strokes.media import TABLES

DOCS = Path(__file__).resolve().parents[2] / "docs"
CODE = "".join(path.read_text(encoding="utf-8") for path in Path(vidtrans.__file__).parent.rglob("*.py"))


@pytest.fixture(autouse=True)
def generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``docs/generate.py`` and its package ``generator`` importable."""
    monkeypatch.syspath_prepend(DOCS)


def page(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")


def test_no_page_is_stale() -> None:
    pages = importlib.import_module("generate").pages()
    stale = [str(p) for p, text in pages.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python docs/generate.py"


def test_every_command_and_option_is_there_with_its_help() -> None:
    sections = dict(re.findall(r"^##+ (vidtrans [\w -]+)\n(.*?)(?=^##|\Z)", page("commands"), re.DOTALL | re.MULTILINE))
    commands = [command for _, command in importlib.import_module("generator.command_pages").all_commands()]
    assert {path.split()[1] for path in sections} == set(summaries())
    assert len(sections) == len(commands)
    for section, command in zip(sections.values(), commands, strict=True):
        for option in (p for p in command.params if isinstance(p, click.Option)):
            flags = [*option.opts, *option.secondary_opts]
            assert all(re.search(rf"`[^`]*{flag}\b", section) for flag in flags), (command.name, flags)
            assert option.help, (command.name, option.name, "it has no help")


@pytest.mark.parametrize("table", recipe.TABLES)
def test_every_setting_is_there(table: str) -> None:
    text = page("settings").split(f"\n## [{table}]\n")[1].split("\n## ")[0]
    if table in recipe.SETTINGS:
        parts = {recipe.SETTINGS[table].load(): text}
    else:
        registry = recipe.REGISTRIES[table].load()
        titles = {name: f"### {table}.name = {name}\n" for name in registry}
        parts = {registry.load(name).Settings: text.split(titles[name])[1].split("\n### ")[0] for name in registry}
    for cls, part in parts.items():
        check_keys(cls, part)


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_a_medium_is_there(table: str) -> None:
    text = re.split(rf"\n## \[\[?{table}\]\]?\n", page("media"))[1].split("\n## ")[0]
    check_keys(TABLES[table][0], text)


def check_keys(cls: type, text: str) -> None:
    """Check that a page has a row with a help for each setting of a class."""
    for key in setting_fields(cls):
        row = re.search(rf"^\| `{key}` \|.*\| (.*) \|$", text, re.MULTILINE)
        assert row, (cls, key)
        assert row[1], (cls, key, "it has no help")


def test_every_registry_and_entry_is_there() -> None:
    found = dict(importlib.import_module("generator.registry_pages").registries())
    assert len(found) == len(re.findall(r"= Registry\(", CODE))
    for dotted, registry in found.items():
        text = page("registries").split(f"`{dotted}`")[1].split("\n## ")[0]
        for name, entry in registry.items():
            assert f"| `{name}` | " in text
            assert entry.path in text


def test_every_json_key_is_there_and_is_made_somewhere_in_the_code() -> None:
    """The reverse, that every key is described, is checked by all tests that read a JSON result (``documented``)."""
    table = described()
    names = set(re.findall(r"^##+ vidtrans (.*)$", page("commands"), re.MULTILINE))
    assert set(table["commands"]) == names - {"batch", "model", "preset", "cache"}
    assert {group for groups in table["commands"].values() for group in groups} == set(table["groups"])
    words = set(re.findall(r"\$?\w+", CODE))
    for name, group in table["groups"].items():
        section = page("json").split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert [key for key in group["keys"] if f"| `{key}` | " not in section] == []
        last = [re.sub(r"\[\]|\.\*+|(_to)?_(per_frame|source)$", "", key).rpartition(".")[2] for key in group["keys"]]
        assert [key for key in last if key not in words] == []


def test_a_key_that_nobody_described_is_found() -> None:
    table = {"output": "x", "items": [{"frames": 1, "frams": 1}], "estimate": {"seconds": 1, "hours": 2}}
    assert undescribed("stylize", table) == {"frams", "estimate.hours"}


def test_every_variable_that_the_code_reads_is_there() -> None:
    names = set(re.findall(r"environ(?:\.get|\.setdefault|\.pop)?[\[(]\"(\w+)\"", CODE))
    assert {"WORLD_SIZE", "GOMP_SPINCOUNT"} <= names
    assert [name for name in sorted(names) if f"| `{name}` |" not in page("environment")] == []
