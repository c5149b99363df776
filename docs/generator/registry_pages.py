"""The reference of registries, codecs and presets."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

from generator import PACKAGE
from generator.markdown import NOTE, cell, code, table
from vidtrans.config.recipe import preset_names, preset_text
from vidtrans.core.registry import Registry
from vidtrans.video.io.encoding import CODECS


def registries() -> Iterator[tuple[str, Registry]]:
    """Yield every registry of the package with the dotted name that it is defined by."""
    for path in sorted(PACKAGE.rglob("*.py")):
        names = re.findall(r"^([A-Z_]+)(?:: [^=]+)? = Registry\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        if names:
            dotted = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            for name in names:
                yield f"{dotted}.{name}", getattr(importlib.import_module(dotted), name)


def registries_page() -> str:
    """Return the page with every entry of every registry, the codecs and the presets."""
    text = (
        f"{NOTE}# Registries\n\nThe names that options and settings choose from. An entry is one file and one line in "
    )
    text += "the table named here.\n"
    for dotted, registry in registries():
        rows = [[code(name), cell(entry.summary), code(entry.path)] for name, entry in registry.builtin.items()]
        text += f"\n## {registry.kind[0].upper()}{registry.kind[1:]}: `{dotted}`\n\n" + table(
            ["name", "what it is", "code"], rows
        )
    rows = [[code(name), cell(c.summary), ", ".join(c.containers), c.encoder] for name, c in CODECS.items()]
    text += "\n## Codec: `vidtrans.video.io.encoding.CODECS`\n\n" + table(
        ["name", "what it is", "containers", "encoder"], rows
    )
    rows = [[code(name), *(cell(preset_text(name, key)) for key in ("summary", "cost"))] for name in preset_names()]
    return text + "\n## Presets: `presets/`\n\n" + table(["name", "what it is for", "what training costs"], rows)
