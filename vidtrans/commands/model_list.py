"""``vidtrans model list``: list the models and the media that are found by name."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class ModelList(Command):
    """List what needs no path, only a name: models for --model, and media, which --look and --strokes paint in."""

    def make(self, context: Context) -> Table:
        """Return by name the path of each model, what each medium is and its file, and a summary of each format."""
        from vidtrans.models.formats import FORMATS
        from vidtrans.models.model_file import IDENTITY, known_models
        from vidtrans.strokes.media import FOLDER, load_medium, medium_names

        found = {name: str(path) for name, path in known_models().items()}
        found[IDENTITY] = "built in: returns its input"
        return {
            "models": found,
            "media": {
                name: {"summary": load_medium(name).summary, "file": str(FOLDER / f"{name}.toml")}
                for name in medium_names()
            },
            "formats": {name: entry.summary for name, entry in FORMATS.working()},
        }

    def describe(self, table: Table) -> str:
        """Return a line for each model and each medium."""
        models = [f"{name:20} {path}" for name, path in table["models"].items()]
        media = [f"{name:20} {one['summary']}" for name, one in table["media"].items()]
        more = "'vidtrans stylize VIDEO --look NAME' paints in a medium", "'vidtrans model formats' lists more models"
        return "\n".join([*models, *media, *more])
