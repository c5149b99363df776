"""What a page of the docs says about adding an entry to a registry, done for real."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from vidtrans.registry import Entry, Registry

ROOT = Path(__file__).resolve().parents[2]


def add_as_page_says(text: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a page's first Python block as the module that it names, and add the entry of its second. Return its name.

    ``text``: of the page, or of a section. The module is the first ``vidtrans/….py`` in backticks on a line of its own.
    """
    code, line = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (path,) = re.findall(r"^`(vidtrans/\S+)\.py`:$", text, re.MULTILINE)
    module = types.ModuleType(path.replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, f"{path}.py of the docs", "exec"), module.__dict__)
    entries: dict[str, Entry] = eval("{" + line + "}", {"Entry": Entry})
    monkeypatch.setattr(registry, "_entries", {**registry._entries, **entries})
    (name,) = entries
    return name


def page(name: str) -> str:
    """Return the text of ``docs/extend/NAME.md``."""
    return (ROOT / "docs/extend" / f"{name}.md").read_text()
