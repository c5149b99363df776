"""Write the reference pages from the code, the stub of the Python functions, and the diagram of the rooms.

    python docs/generate.py            write what has changed
    python docs/generate.py --check    list the pages that are stale; exit 1 if there are any

What a page says stands in the code: help of options and settings, summaries of registry entries, docstrings. The JSON
keys and the environment variables are described in ``docs/json_keys.toml`` and ``docs/environment.toml``. Each kind of
page has a file in ``docs/generator/``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generator import DOCS, PACKAGE, room_graph
from generator.command_pages import commands_page
from generator.environment_pages import environment_page
from generator.file_list import files_page
from generator.json_pages import json_page
from generator.osc_pages import osc_page
from generator.python_pages import python_page, stub
from generator.registry_pages import registries_page
from generator.setting_pages import media_page, settings_page

# What a search engine and a screen reader say of each page.
DESCRIPTIONS = {
    "commands": "Every command, argument and option of vidtrans, with defaults and ranges.",
    "settings": "All tables and keys of vidtrans presets, with defaults, ranges and what each setting does.",
    "media": "All tables and keys of a medium's file, with defaults and ranges, and the media that ship.",
    "json": "The keys of the JSON object that each vidtrans command prints with --json, and what they mean.",
    "registries": "All pairings, generators, losses, filters, codecs and other parts that options choose from.",
    "environment": "Exit statuses of vidtrans, and the environment variables that set options, folders and behaviour.",
    "python": "The functions, classes and results of the vidtrans package, with every argument and its type.",
    "osc": "Every OSC address of vidtrans live, with its type, its values and what it does.",
    "files": "Every file of the vidtrans package, room by room, with a line on what it does.",
}


def main() -> int:
    """Write the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    check = parser.parse_args().check
    stale = {p: t for p, t in pages().items() if not p.exists() or p.read_text(encoding="utf-8") != t}
    for path, text in stale.items():
        print(path.relative_to(DOCS.parent))
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


def pages() -> dict[Path, str]:
    """Return every generated page: its path and its text."""
    with _plain_surroundings():
        written = {
            "commands": commands_page(),
            "settings": settings_page(),
            "media": media_page(),
            "json": json_page(),
            "registries": registries_page(),
            "environment": environment_page(),
            "python": python_page(),
            "osc": osc_page(),
            "files": files_page(),
        }
    front = {name: f"---\ndescription: {words}\n---\n\n" for name, words in DESCRIPTIONS.items()}
    made = {DOCS / "reference" / f"{name}.md": front[name] + text for name, text in written.items()}
    made[DOCS / "images" / "rooms.svg"] = room_graph.draw(PACKAGE)
    made[PACKAGE / "__init__.pyi"] = stub()
    return made


@contextmanager
def _plain_surroundings() -> Iterator[None]:
    """Work in an empty folder and without VIDTRANS_* variables: the defaults shown are those of the code."""
    kept, folder = dict(os.environ), Path.cwd()
    for name in [n for n in os.environ if n.startswith("VIDTRANS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.update(kept)


if __name__ == "__main__":
    sys.exit(main())
