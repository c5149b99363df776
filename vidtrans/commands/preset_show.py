"""``vidtrans preset show``: a preset's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from vidtrans.commands.base import Command
from vidtrans.core.parameters import Argument, FileName
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class PresetShow(Command):
    """Show the file of a preset, with its comments: copy it, change it, give it to --preset."""

    name: Annotated[str, Argument(values=FileName("preset"))]

    def make(self, context: Context) -> Table:
        """Return the preset's summary, cost and tables. Raises UsageError."""
        from vidtrans.config.recipe import preset_path, preset_text, read_tables

        tables = read_tables(preset_path(self.name))
        texts = {key: preset_text(self.name, key) for key in ("summary", "cost")}
        return {"preset": self.name, **texts, "tables": tables}

    def describe(self, table: Table) -> str:
        """Return the text of the preset's file."""
        from vidtrans.config.recipe import preset_path

        return preset_path(self.name).read_text("utf-8").rstrip()
