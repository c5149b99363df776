"""``vidtrans model list``: list the models that are found by name, and the looks that ship."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class ModelList(Command):
    """List the models and looks that need no path, only a name: models for --model, looks that ship for --look."""

    def make(self, context: Context) -> Table:
        """Return by name the path of each model, a picture of each look that ships, and a summary of each format."""
        from vidtrans.models.formats import FORMATS
        from vidtrans.models.gallery import gallery_looks, gallery_picture
        from vidtrans.models.model_file import IDENTITY, known_models

        found = {name: str(path) for name, path in known_models().items()}
        found[IDENTITY] = "built in: returns its input"
        return {
            "models": found,
            "looks": {name: str(gallery_picture(name)) for name in gallery_looks()},
            "formats": {name: entry.summary for name, entry in FORMATS.working()},
        }

    def describe(self, table: Table) -> str:
        """Return a line for each model and each look."""
        models = [f"{name:20} {path}" for name, path in table["models"].items()]
        looks = [f"{name:20} a look that ships: 'vidtrans stylize VIDEO --look {name}'" for name in table["looks"]]
        return "\n".join([*models, *looks, "'vidtrans model formats' lists what else can be used"])
