"""``vidtrans preset list``: the presets that ship."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class PresetList(Command):
    """List the presets that ship: what each is for, and what training with it costs."""

    def make(self, context: Context) -> Table:
        """Return the presets' summaries and costs, by name."""
        from vidtrans.config.recipe import preset_names, preset_text

        summaries = {name: preset_text(name, "summary") for name in preset_names()}
        return {"presets": summaries, "costs": {name: preset_text(name, "cost") for name in summaries}}

    def describe(self, table: Table) -> str:
        """Return two lines for each preset."""
        presets, costs = table["presets"], table["costs"]
        return "\n".join(f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in presets.items())
