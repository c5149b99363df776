"""How results are put into words."""

from __future__ import annotations

import shlex
from typing import Any


def rendered(table: dict[str, Any]) -> str:
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        width, height = table["working_size"]
        chunks = count(table["chunks"], "chunk")
        return f"would render {table['output']}: {frames} at {width}x{height} in {chunks}{costs(table)}"
    score = table.get("score")
    scored = f"\n{score['verdict']}\nscore: {score['output']}" if score else ""
    drafted = ""
    if "draft_psnr" in table:
        drafted = f"\na draft: what was carried is {table['draft_psnr']:.1f} dB from what the model paints there"
    return f"{table['output']}: {frames}{timing(table)}{drafted}{scored}"


def drawn(table: dict[str, Any]) -> str:
    if table.get("dry_run"):
        return f"would make {table['output']}"
    what = "picture" if table["output"].endswith(".png") else "frame"
    return f"{table['output']}: {count(table['frames'], what)}{timing(table)}"


def count(number: int, what: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def costs(table: dict[str, Any]) -> str:
    """What a dry run expects, in words."""
    from vidtrans.rendering.cost import format_cost

    return f"; {format_cost(table)}"


def timing(table: dict[str, Any]) -> str:
    return ", up to date" if table["cached"] else f", {table['seconds']:.1f} s"


def what_next(model: str, dreams: bool) -> str:
    """The command that a model is for."""
    name = typed(model)
    return f"vidtrans dream VIDEO --model {name} --frames 300" if dreams else f"vidtrans stylize VIDEO --model {name}"


def typed(path: str) -> str:
    """A path as it has to be typed."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)
