"""``vidtrans model formats``: list the supported model formats."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class ModelFormats(Command):
    """List the formats of models that can be used, of this tool and of others.

    A file is known by its content, whatever it is called.
    """

    def make(self, context: Context) -> Table:
        """Return the file formats, and the network families of checkpoints, with their summaries."""
        from vidtrans.interop.families import FAMILIES
        from vidtrans.models.formats import FORMATS

        formats = {name: entry.summary for name, entry in FORMATS.working()}
        return {"formats": formats, "families": {name: entry.summary for name, entry in FAMILIES.items()}}

    def describe(self, table: Table) -> str:
        """Return a line for each format."""
        lines = ["formats of files", *(f"  {name:18} {text}" for name, text in table["formats"].items())]
        lines += ["families of networks in checkpoints"]
        return "\n".join([*lines, *(f"  {name:18} {text}" for name, text in table["families"].items())])
