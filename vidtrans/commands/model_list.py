"""``vidtrans model list``: list the models that are found by name."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class ModelList(Command):
    """List the models that need no path, only a name."""

    def make(self, context: Context) -> Table:
        """Return the path of each model by name, and a description of each model file format by the format's name."""
        from vidtrans.models.formats import FORMATS
        from vidtrans.models.model_file import IDENTITY, known_models

        found = {name: str(path) for name, path in known_models().items()}
        found[IDENTITY] = "built in: returns its input"
        return {"models": found, "formats": {name: entry.summary for name, entry in FORMATS.items()}}

    def describe(self, table: Table) -> str:
        """Return a line for each model."""
        lines = [f"{name:20} {path}" for name, path in table["models"].items()]
        return "\n".join([*lines, "'vidtrans model formats' lists what else can be used"])
