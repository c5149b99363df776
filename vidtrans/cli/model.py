"""``vidtrans model list`` and ``show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import console_options
from vidtrans.cli.console import Console
from vidtrans.errors import strip_controls

if TYPE_CHECKING:
    from vidtrans.settings import Table


@click.group("model")
def model() -> None:
    """List and show models."""


@model.command("list")
@console_options
def model_list(console: Console) -> None:
    """The models that a bare name finds."""
    from vidtrans.models.formats import FORMATS
    from vidtrans.models.model_file import IDENTITY, known_models

    found = {name: str(path) for name, path in known_models().items()}
    found[IDENTITY] = "built in: returns its input"
    formats = {name: entry.summary for name, entry in FORMATS.items()}
    lines = [f"{name:20} {path}" for name, path in found.items()]
    lines.append("formats: " + "; ".join(f"{name}, {summary}" for name, summary in formats.items()))
    console.result({"models": found, "formats": formats}, "\n".join(lines))


@model.command("show")
@click.argument("name", metavar="MODEL")
@console_options
def model_show(name: str, console: Console) -> None:
    """What a model file says of itself."""
    from vidtrans.models.formats import format_of, load_format
    from vidtrans.models.model_file import find_model

    path = find_model(name)
    if path is None:
        console.result({"model": "identity"}, "identity: returns its input; to check input, output and timing")
        return
    kind = format_of(path)
    record = load_format(kind).read_record(path)
    training = record.training
    operations = training.get("nondeterministic")  # in files of our own format
    lines = [
        f"{path}: {record.generator['name']}, pairing '{record.pairing['name']}', trained at {record.size} px",
        f"  format     {kind}",
        f"  generator  {_settings(record.generator['settings'])}",
        f"  pairing    {_settings(record.pairing['settings'])}",
        *(_training_lines(training) if training.get("steps") else ["  training   none"]),
        *([f"  repeatable not to the byte: {', '.join(map(str, operations))}"] if isinstance(operations, list) else []),
        *([f"  plate      {_plate(record.plate)}"] if record.plate else []),
        *([f"  dream      {_dream(record.dream)}"] if record.dream else []),
        *([f"  memory     its last output, brought along by flow ({record.memory['flow']})"] if record.memory else []),
        *(f"  {k:10} {v}" for k, v in record.card.items() if v),
    ]
    console.result({"output": str(path), "format": kind, **record.__dict__}, "\n".join(map(strip_controls, lines)))


def _plate(table: Table) -> str:
    size, share = "x".join(map(str, table["size"])), 100 * table["still"]
    return f"{size}, {share:.0f} % of it stays in place: for clips of this camera position only"


def _dream(table: Table) -> str:
    clock = f"a clock of {table['positions']} places, there and back" if table["positions"] else "no clock"
    return f"{clock}; learned at {table['rate']} frames a second"


def _settings(table: Table) -> str:
    return ", ".join(f"{k} {v}" for k, v in table.items())


def _training_lines(training: Table) -> list[str]:
    steps = " + ".join(map(str, training["steps"]))
    return [
        f"  training   {steps} steps on {training.get('pairs')} pairs, preset '{training.get('preset')}'",
        f"  held out   {_settings(training.get('held_out') or {}) or 'nothing was held out'}",
    ]
