"""``vidtrans preset``: list the bundled presets, and show the file of one."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.options import argument
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class PresetList(Command):
    """List the bundled presets, with their purpose and the cost of a training."""

    def make(self, context: Context) -> Table:
        """Return the summary and the training cost of each bundled preset, by preset name."""
        from vidtrans.config.recipe import preset_names, preset_text

        summaries = {name: preset_text(name, "summary") for name in preset_names()}
        return {"presets": summaries, "costs": {name: preset_text(name, "cost") for name in summaries}}

    def describe(self, table: Table) -> str:
        """Return the summary and cost of each preset as text. ``table``: the result of ``make``."""
        presets, costs = table["presets"], table["costs"]
        return "\n".join(f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in presets.items())


@dataclass(frozen=True)
class PresetShow(Command):
    """Show the file of a preset, with its comments. You can copy it, change it, and use it with --preset."""

    name: str = argument(file="preset")

    def make(self, context: Context) -> Table:
        """Return the preset's summary, cost and tables. Raises UsageError."""
        from vidtrans.config.recipe import preset_path, preset_text, read_tables

        tables = read_tables(preset_path(self.name))
        texts = {key: preset_text(self.name, key) for key in ("summary", "cost")}
        return {"preset": self.name, **texts, "tables": tables}

    def describe(self, table: Table) -> str:
        """Return the text of the preset's file. ``table``: the result of ``make``."""
        from vidtrans.config.recipe import preset_path

        return preset_path(self.name).read_text("utf-8").rstrip()
