"""``vidtrans model list|show|formats``: list the models found by name, show a model's record, list the file formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.commands.base import Command
from vidtrans.commands.text_reports import delivered_text
from vidtrans.core.costs import count
from vidtrans.core.errors import strip_controls
from vidtrans.core.options import argument
from vidtrans.core.registry import Package
from vidtrans.core.settings import Table, to_table
from vidtrans.networks.ports import PortSettings
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.model_record import ModelRecord


@dataclass(frozen=True)
class ModelList(Command):
    """List models and media that have a name: models for --model, media for --look and --strokes."""

    def make(self, context: Context) -> Table:
        """Return the paths of models, names of looks, summaries and files of media, and summaries of formats."""
        from vidtrans.models.formats import FORMATS
        from vidtrans.models.model_file import IDENTITY, list_models
        from vidtrans.models.paintings import shipped_looks
        from vidtrans.strokes.media import FOLDER, load_medium, medium_names

        found = {name: str(path) for name, path in list_models().items()}
        found[IDENTITY] = "built in: returns its input"
        return {
            "models": found,
            "looks": list(shipped_looks()),
            "media": {
                name: {"summary": load_medium(name).summary, "file": str(FOLDER / f"{name}.toml")}
                for name in medium_names()
            },
            "formats": {name: entry.summary for name, entry in FORMATS.working_entries()},
        }

    def describe(self, table: Table) -> str:
        """Return a line for each model and painting medium, as text. ``table``: the result of ``make``."""
        models = [f"{name:20} {path}" for name, path in table["models"].items()]
        media = [f"{name:20} {one['summary']}" for name, one in table["media"].items()]
        more = (
            "'vidtrans stylize VIDEO --look NAME' paints in a medium, or like a painting that ships",
            "'vidtrans model formats' lists more models",
        )
        return "\n".join([*models, *media, *more])


@dataclass(frozen=True)
class ModelFormats(Command):
    """List the supported model formats, of vidtrans and of other tools.

    The format of a file is detected from its content, not from its name.
    """

    def make(self, context: Context) -> Table:
        """Return the file formats, and the network families of checkpoints, with their summaries."""
        from vidtrans.interop.families import FAMILIES
        from vidtrans.models.formats import FORMATS

        formats = {name: entry.summary for name, entry in FORMATS.working_entries()}
        return {"formats": formats, "families": {name: entry.summary for name, entry in FAMILIES.items()}}

    def describe(self, table: Table) -> str:
        """Return a line for each file format and network family, as text. ``table``: the result of ``make``."""
        lines = ["formats of files", *(f"  {name:18} {text}" for name, text in table["formats"].items())]
        lines += ["families of networks in checkpoints"]
        return "\n".join([*lines, *(f"  {name:18} {text}" for name, text in table["families"].items())])


@dataclass(frozen=True)
class ModelShow(Command):
    """Show the record of a model file."""

    model: str = argument("MODEL", file="model")

    def make(self, context: Context) -> Table:
        """Return the format and the record of the model file. Raises ModelError."""
        from vidtrans.models.formats import detect_format, load_format
        from vidtrans.models.model_file import find_model

        path = find_model(self.model)
        if path is None:
            return {"model": "identity"}
        kind = detect_format(path)
        return {"output": str(path), "format": kind, **load_format(kind).read_record(path).__dict__}

    def describe(self, table: Table) -> str:
        """Return the model's record as text. ``table``: the result of ``make``."""
        from vidtrans.models.formats import load_format

        if "output" not in table:
            return "identity: returns its input; to check input, output and timing"
        path, kind = Path(table["output"]), table["format"]
        return "\n".join(map(strip_controls, _record_lines(path, kind, load_format(kind).read_record(path))))


def _record_lines(path: Path, kind: str, record: ModelRecord) -> list[str]:
    """Return the lines that show a model's record. ``kind``: the format of the file ``path``."""
    from vidtrans.models.formats import FORMATS

    training = record.training
    operations = training.get("nondeterministic")  # Only the native format has this key.
    verb = "trained" if training.get("steps") else "rendered"  # Only models of vidtrans have a known training size.
    return [
        f"{path}: {record.generator['name']}, pairing '{record.pairing['name']}', {verb} at {record.auto_size} px",
        f"  format     {kind}{_package_text(FORMATS.origin(kind))}",
        f"  generator  {_settings_text(record.generator['settings'])}",
        f"  pairing    {_settings_text(record.pairing['settings'])}",
        *(f"  plug-in    {part}{_package_text(table)}" for part, table in _recorded_plugins(record)),
        *(_training_lines(training) if training.get("steps") else ["  training   none"]),
        *([f"  repeatable not to the byte: {', '.join(map(str, operations))}"] if isinstance(operations, list) else []),
        *([f"  plate      {_plate_text(record.plate)}"] if record.plate else []),
        *([f"  dream      {_dream_text(record.dream)}"] if record.dream else []),
        *([f"  from       {record.origin['family']}, a family of 'vidtrans model formats'"] if record.origin else []),
        *([f"  ports      {_settings_text(_changed_ports(record.ports))}"] if record.ports else []),
        *([f"  memory     its last output, moved along the flow ({record.memory['flow']})"] if record.memory else []),
        *([f"  looks      many: codes of {record.code_size} numbers, see 'stylize --look'"] if record.codes else []),
        *([f"  extractor  {_extractor_text(record.extractor)}"] if record.extractor else []),
        *(f"  {k:10} {v}" for k, v in record.card.items() if v),
    ]


def _recorded_plugins(record: ModelRecord) -> Iterator[tuple[str, Table]]:
    """Yield the components of the model and of its training that plug-ins provided, with their record tables."""
    for kind, table in (("generator", record.generator), ("pairing", record.pairing)):
        if "plugin" in table:
            yield f"{kind} {table['name']}", table
    engine = record.training.get("engine")
    found = engine.get("plugins") if isinstance(engine, dict) else None
    for name, package in found.items() if isinstance(found, dict) else ():
        kind = "the training method" if name == "method" else f"loss {name}"
        yield kind, {"plugin": package}


def _package_text(table: Table) -> str:
    """Return the package of a plug-in's component as text; '' for a built-in component."""
    if "plugin" not in table:
        return ""
    try:
        return f" of {Package.of_table(table['plugin'])}"
    except ValueError:  # The file may come from an untrusted source.
        return " of a plug-in whose record is damaged"


def _changed_ports(ports: Table) -> Table:
    """Return the settings of the network's ports (its input and output) that differ from the defaults."""
    defaults = to_table(PortSettings())
    return {name: value for name, value in ports.items() if value != defaults[name]}


def _plate_text(table: Table) -> str:
    """Return the width x height of a background plate in pixels, and the percentage of it that stays in place."""
    size, share = "x".join(map(str, table["size"])), 100 * table["still"]
    return f"{size}, {share:.0f} % of it stays in place: for clips of this camera position only"


def _extractor_text(table: Table) -> str:
    """Return the description of the embedded network that makes the model's input (an extractor), as text."""
    return f"embedded, makes its input: {table['generator']['name']}, pairing '{table['pairing']['name']}'"


def _dream_text(table: Table) -> str:
    """Return, as text, the frame rate of a model that predicts frames, and the number of positions of its clock.

    The clock is a network input that tells the position in the training clip.
    """
    clock = f"a clock of {table['positions']} places, there and back" if table["positions"] else "no clock"
    return f"{clock}; learned at {table['rate']} frames a second"


def _settings_text(table: Table) -> str:
    """Return the settings of a table as text: ``channels 24, norm batch``."""
    return ", ".join(f"{k} {v}" for k, v in table.items())


def _training_lines(training: Table) -> list[str]:
    """Return the lines on a model's training: steps, pairs, preset and held-out scores."""
    steps = " + ".join(map(str, training["steps"]))
    delivered = training.get("delivered")
    pairs = count(training["pairs"], "pair") if "pairs" in training else "an unknown number of pairs"
    return [
        f"  training   {steps} steps on {pairs}, preset '{training.get('preset')}'",
        f"  held out   {_settings_text(training.get('held_out') or {}) or 'nothing was held out'}",
        *([f"             {delivered_text(delivered)}"] if delivered else []),
    ]
