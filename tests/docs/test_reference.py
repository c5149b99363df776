"""The generated reference: nothing on it is stale, and nothing is missing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from documented import described

import vidtrans

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
        section = page("json").split(f"\n## JSON: {name}\n")[1].split("\n## ")[0]
        assert [key for key in group["keys"] if f"| `{key}` | " not in section] == []
        last = [re.sub(r"\[\]|\.\*+|(_to)?_(per_frame|source)$", "", key).rpartition(".")[2] for key in group["keys"]]
        assert [key for key in last if key not in words] == []


def test_every_variable_that_the_code_reads_is_there() -> None:
    names = set(re.findall(r"environ(?:\.get|\.setdefault|\.pop)?[\[(]\"(\w+)\"", CODE))
    assert {"WORLD_SIZE", "GOMP_SPINCOUNT"} <= names
    assert [name for name in sorted(names) if f"| `{name}` |" not in page("environment")] == []
