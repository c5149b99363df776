"""``vidtrans preset list`` and ``show``."""

from __future__ import annotations

import click

from vidtrans.cli.command import console_options
from vidtrans.cli.console import Console


@click.group("preset")
def preset() -> None:
    """List and show presets."""


@preset.command("list")
@console_options
def preset_list(console: Console) -> None:
    """The presets that ship: what each is for, and what training with it costs."""
    from vidtrans.config.recipe import preset_names, preset_text

    summaries = {name: preset_text(name, "summary") for name in preset_names()}
    costs = {name: preset_text(name, "cost") for name in summaries}
    lines = [f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in summaries.items()]
    console.result({"presets": summaries, "costs": costs}, "\n".join(lines))


@preset.command("show")
@click.argument("name")
@console_options
def preset_show(name: str, console: Console) -> None:
    """A preset's file, comments and all: copy it, change it, give it to --preset."""
    from vidtrans.config.recipe import preset_path, preset_text, read_tables

    path = preset_path(name)
    table = {"preset": name, "summary": preset_text(name, "summary"), "cost": preset_text(name, "cost")}
    console.result(table | {"tables": read_tables(path)}, path.read_text("utf-8").rstrip())
