"""``vidtrans model list``, ``show``, ``formats``, ``import`` and ``export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options, console_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, output_option, setting_option
from vidtrans.cli.types import FILE, MODEL, RegistryName
from vidtrans.commands.words import count, next_command, timing
from vidtrans.config.recipe import FRAME_PAIRING, NO_PAIRING
from vidtrans.errors import strip_controls
from vidtrans.networks.ports import RANGES, PortSettings
from vidtrans.requests import NORMS
from vidtrans.settings import to_table

if TYPE_CHECKING:
    from vidtrans.models.model_record import ModelRecord
    from vidtrans.requests import ExportRequest, ImportRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.group("model")
def model() -> None:
    """List, show, import and export models."""


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
    lines.append("'vidtrans model formats' lists what else can be used")
    console.result({"models": found, "formats": formats}, "\n".join(lines))


@model.command("formats")
@console_options
def model_formats(console: Console) -> None:
    """The kinds of models that can be used, of this tool and of others.

    A file is known by its content, whatever it is called.
    """
    from vidtrans.models.families import FAMILIES
    from vidtrans.models.formats import FORMATS

    formats = {name: entry.summary for name, entry in FORMATS.items()}
    families = {name: entry.summary for name, entry in FAMILIES.items()}
    lines = ["formats of files", *(f"  {name:18} {summary}" for name, summary in formats.items())]
    lines += ["families of networks in checkpoints", *(f"  {name:18} {text}" for name, text in families.items())]
    console.result({"formats": formats, "families": families}, "\n".join(lines))


@model.command("import")
@click.argument("model", type=FILE, metavar="FILE")
@output_option("The model.  [default: here, named after FILE, or after the folder of a latest_net_G.pth]")
@setting_option(
    "--pairing",
    "pairing",
    "name",
    "How its input comes out of a frame; 'none' for the frame itself.",
    default_words="what follows from the file",
    type=RegistryName("vidtrans.pairing:PAIRINGS", "pairing", NO_PAIRING),
)
@click.option("--size", type=int, metavar="N", help="The short side at which it is rendered.  [default: as trained]")
@click.option(
    "--norms",
    type=click.Choice(NORMS),
    help="Whose statistics its batch norms use: each picture's own, as its authors test, or those in the file.  "
    "[default: picture]",
)
@click.option(
    "--calibrate",
    type=FILE,
    metavar="VIDEO",
    help="Give its batch norms a clip's statistics, the same for all frames.",
)
@click.option("--invert/--no-invert", default=None, help="It takes dark lines on white, not light ones on black.")
@click.option("--bgr/--rgb", default=None, help="The order of its colours.")
@click.option("--range", type=click.Choice(RANGES), help="The numbers of its pictures, where they are in doubt.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="The order of its axes, where that is in doubt.")
@click.option("--embed", is_flag=True, help="Put the network of --pairing model into the model file.")
@click.option("--trust", is_flag=True, help="Run the program in a TorchScript file, once, to convert it.")
@command_options(*WRITING, request="ImportRequest", tables=("pairing", "card"), recipe="import_recipe")
def model_import(request: ImportRequest, context: Context, console: Console) -> None:
    """Make a model file of another tool's model.

    FILE is a checkpoint of pix2pix, CycleGAN, CUT, pix2pixHD and others ('vidtrans model formats' lists them), or the
    folder of a training. The model file holds the network, and says what its input is made of. Nothing in a file is
    run, but for programs that --trust allows.
    """
    from vidtrans.pipeline.model_import import import_model

    table = import_model(request, context)
    console.result(table, _import_text(table))


def _import_text(table: Table) -> str:
    done = "would make" if table.get("dry_run") else "up to date:" if table["cached"] else "made"
    takes = "takes the frame itself" if table["pairing"] == FRAME_PAIRING else f"pairing '{table['pairing']}'"
    what = f"{done} {table['output']}: {table['family']}, {takes}, rendered at {table['working_size']} px"
    return what if table.get("dry_run") else f"{what}\nnext: {next_command(table['output'])}"


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
        f"{path}: {record.generator['name']}, pairing '{record.pairing['name']}', {_size(record)}",
        f"  format     {kind}",
        f"  generator  {_settings(record.generator['settings'])}",
        f"  pairing    {_settings(record.pairing['settings'])}",
        *(_training_lines(training) if training.get("steps") else ["  training   none"]),
        *([f"  repeatable not to the byte: {', '.join(map(str, operations))}"] if isinstance(operations, list) else []),
        *([f"  plate      {_plate(record.plate)}"] if record.plate else []),
        *([f"  dream      {_dream(record.dream)}"] if record.dream else []),
        *([f"  from       {record.origin['family']}, a family of 'vidtrans model formats'"] if record.origin else []),
        *([f"  ports      {_settings(_said(record.ports))}"] if record.ports else []),
        *([f"  memory     its last output, brought along by flow ({record.memory['flow']})"] if record.memory else []),
        *([f"  looks      many: codes of {record.code_size} numbers, see --look"] if record.codes else []),
        *([f"  extractor  {_extractor(record.extractor)}"] if record.extractor else []),
        *(f"  {k:10} {v}" for k, v in record.card.items() if v),
    ]
    console.result({"output": str(path), "format": kind, **record.__dict__}, "\n".join(map(strip_controls, lines)))


@model.command("export")
@click.argument("model", type=MODEL, metavar="MODEL")
@click.option(
    "--format",
    "format",
    required=True,
    type=RegistryName("vidtrans.models.exporting:EXPORTS", "export format"),
    help="What the file is for: ONNX Runtime and its like, or Nuke and libtorch.",
)
@output_option("The file.  [default: MODEL with the format's ending]")
@click.option("--whole", is_flag=True, help="RGB in, RGB out: with the pairing (edges, say) and the range of colours.")
@click.option("--look", default="", metavar="NAME", help="With --whole: which look of a model with several.")
@click.option(
    "--stroke-size",
    type=float,
    metavar="X",
    help="With --whole, of a look from pictures: 0 fine, 1 broad.  [default: 0.5]",
)
@command_options("cache_dir", "overwrite", "dry_run", request="ExportRequest")
def model_export(request: ExportRequest, context: Context, console: Console) -> None:
    """Write MODEL as a file for other programs, for pictures of any size.

    Before the file gets its name it is run on pictures of three sizes and compared with the model.
    """
    from vidtrans.pipeline.model_export import export_model

    table = export_model(request, context)
    console.result(table, _export_text(table))


def _export_text(table: Table) -> str:
    if table.get("dry_run"):
        return f"would write {table['output']}"
    if "family" in table:
        return f"{table['output']}: {count(table['tensors'], 'tensor')} as {table['tool']} names them{timing(table)}"
    takes = "RGB in, RGB out" if table["whole"] else "the network alone"
    same = f"at most {table['max_difference']:.2g} from the model, where colours are from -1 to 1"
    size = f"{table['bytes'] / 1e6:.1f} MB"
    return f"{table['output']}: {takes}, {size}, {same}{timing(table)}"


def _size(record: ModelRecord) -> str:
    """Return the size of a model in words: only of what was trained here is the size of training known."""
    return f"{'trained' if record.training.get('steps') else 'rendered'} at {record.size} px"


def _said(ports: Table) -> Table:
    """Return what a network takes and gives that is not what ours do."""
    plain = to_table(PortSettings())
    return {name: value for name, value in ports.items() if value != plain[name]}


def _plate(table: Table) -> str:
    size, share = "x".join(map(str, table["size"])), 100 * table["still"]
    return f"{size}, {share:.0f} % of it stays in place: for clips of this camera position only"


def _extractor(table: Table) -> str:
    return f"embedded, makes its input: {table['generator']['name']}, pairing '{table['pairing']['name']}'"


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
