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
    from vidtrans.config.recipe import preset_cost, preset_names, preset_summary

    found = {name: preset_summary(name) for name in preset_names()}
    costs = {name: preset_cost(name) for name in found}
    lines = [f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in found.items()]
    console.result({"presets": found, "costs": costs}, "\n".join(lines))


@preset.command("show")
@click.argument("name")
@console_options
def preset_show(name: str, console: Console) -> None:
    """A preset's file, comments and all: copy it, change it, give it to --preset."""
    from vidtrans.config.recipe import preset_cost, preset_path, preset_summary, read_tables

    path = preset_path(name)
    told = {"preset": name, "summary": preset_summary(name), "cost": preset_cost(name)}
    console.result(told | {"tables": read_tables(path)}, path.read_text().rstrip())
