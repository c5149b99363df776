"""``vidtrans model import``: convert a model of another tool to a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import MODEL_SUFFIX, check_suffix, output_option
from vidtrans.commands.text_reports import next_command
from vidtrans.config.recipe import FRAME_PAIRING, NO_PAIRING, Recipe, import_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table, to_table
from vidtrans.networks.ports import MAX_LOOKS, RANGES
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.formats import ForeignFormat, ForeignModel
    from vidtrans.models.model_record import ModelRecord
    from vidtrans.pairing.base import Pairing
    from vidtrans.rendering.extraction import FrameExtractor

VERSION = 1  # Version of the importing code, part of the cache key of imported model files
LIGHT_LINE_PAIRINGS = ("edges",)  # Names of pairings whose network input is light lines on black
# Values of --norms: batch-norm statistics of each picture, or those stored in the file
NORM_SOURCES = ("picture", "stored")
# Suffixes of imported models' names, by file stem; _A and _B are the directions of a CycleGAN.
# These file stems are the same for all models of a tool, so a model gets the name of its folder plus a suffix.
NAME_SUFFIXES = {"latest_net_G": "", "latest_net_G_A": "_A", "latest_net_G_B": "_B", "manifest": ""}


@dataclass(frozen=True)
class ModelImport(Command):
    """Convert a model of another tool to a model file.

    FILE is a checkpoint of pix2pix, CycleGAN, CUT, pix2pixHD and others ('vidtrans model formats' lists them), or the
    folder of a training. The model file has the network and a description of its input. A network with many styles
    becomes a model with looks. Programs in FILE do not run, unless --trust allows it.
    """

    CONTEXT: ClassVar = WRITE_OPTIONS
    TABLES: ClassVar = {"pairing": (), "card": ()}

    model: Path = argument("FILE")
    output: Path | None = output_option(
        "The model file.", "here, named after FILE, or after the folder of a latest_net_G.pth"
    )
    _: KW_ONLY
    pairing: str | None = option(
        None,
        "How the network's input is made from a frame. 'none': the frame itself.",
        Group.INPUT,
        choices=Names("vidtrans.pairing:PAIRINGS", "pairing", (NO_PAIRING,)),
        default_text="detected from the file",
    )
    size: int | None = option(
        None,
        "Working size: the short side of the frames that the network sees, in pixels.",
        Group.OUTPUT,
        default_text="as trained",
    )
    norms: str = option(
        "",
        "Statistics of batch norms. picture: those of each picture, as in the tests of the authors. stored: "
        "those in the file.",
        Group.INPUT,
        choices=NORM_SOURCES,
        default_text="picture",
    )
    calibrate: Path | None = option(
        None,
        "Compute the statistics of batch norms from this clip, and use them for all frames.",
        Group.INPUT,
        metavar="VIDEO",
    )
    invert: bool | None = option(
        None,
        "The network takes dark lines on white instead of light lines on black.",
        Group.INPUT,
        ("--invert/--no-invert",),
    )
    bgr: bool | None = option(None, "Order of the colour channels.", Group.INPUT, ("--bgr/--rgb",))
    value_range: str = option(
        "",
        "Value range of the pictures, if the file does not show it.",
        Group.INPUT,
        ("--range",),
        choices=tuple(RANGES),
    )
    layout: str = option("", "Order of the axes, if the file does not show it.", Group.INPUT, choices=("nchw", "nhwc"))
    style: tuple[Path, ...] = option(
        (),
        "Add the style of this picture to the model, as a look with the picture's name. Needs --predictor. "
        "Can be repeated.",
        Group.INPUT,
        metavar="PICTURE",
    )
    predictor: Path | None = option(
        None, "The ONNX file that computes the style of a picture, for a network that takes a style.", Group.INPUT
    )
    embed: bool = option(False, "Include the network of --pairing model in the model file.", Group.OUTPUT)
    trust: bool = option(
        False, "Run the program in a TorchScript file once, to convert it.", Group.INPUT, access="program"
    )
    recipe: Recipe

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)
        if self.size is not None and not 16 <= self.size <= 8192:
            raise UsageError(f"--size {self.size}", "a short side is 16 to 8192 pixels", "choose another")
        if self.norms and self.calibrate is not None:
            why = "norms use statistics of each picture, of the file, or of a clip"
            raise UsageError(f"--norms {self.norms} and --calibrate", why, "leave one of them out")
        if bool(self.style) != (self.predictor is not None):
            given, missing = ("--style", "--predictor FILE") if self.style else ("--predictor", "--style PICTURE")
            raise UsageError(given, "a network finds the style of a picture: each needs the other", f"add {missing}")
        if len(self.style) > MAX_LOOKS:
            raise UsageError("--style", f"a model has at most {MAX_LOOKS} looks", "give fewer pictures")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Table, arguments: Table) -> Recipe:  # type: ignore[override]
        """Return the recipe: the pairing that --pairing chooses, and the model card."""
        if name := arguments.get("pairing"):
            tables = tables | {"pairing": {"name": name} | tables.get("pairing", {})}
        return import_recipe(preset, tables)

    def make(self, context: Context) -> Table:
        """Convert a model file of another tool. Raises UsageError, ModelError, MediaError."""
        from vidtrans.clips.indexing import content_digest
        from vidtrans.core.settings import record_table
        from vidtrans.models.formats import ForeignFormat, detect_format, load_format
        from vidtrans.models.model_file import file_in_folder
        from vidtrans.models.model_record import Card
        from vidtrans.output.result import produce, refuse_link
        from vidtrans.pairing.pairing_records import make_pairing, pairing_record
        from vidtrans.rendering.extraction import FrameExtractor

        path = file_in_folder(self.model)
        form = load_format(detect_format(path))
        if not isinstance(form, ForeignFormat):
            raise UsageError(
                str(path), "vidtrans uses it as it is", f"give it to 'vidtrans stylize' and others with --model {path}"
            )
        output = self.output or refuse_link(Path(f"{_default_name(path)}{MODEL_SUFFIX}"))
        model = self._describe(form, path)
        pairing = _choose_pairing(model, self.recipe)
        extractor = FrameExtractor.of_pairing(pairing, context) if pairing else None
        if pairing and extractor:
            pairing = make_pairing(pairing.name, record_table(pairing.settings) | extractor.for_record())
        elif self.embed:
            why = "no other network makes the model's input, so there is none to embed"
            raise UsageError("--embed", why, "leave it out, or use --pairing model")
        key = {
            "command": "model import",
            "version": VERSION,
            "model": [context.cache.digest(p) for p in form.files(path)],
            "described": to_table(model),
            "pairing": pairing_record(pairing) if pairing else {},
            "card": to_table(self.recipe.settings("card", Card)),
            "norms": self.norms,
            "calibrate": content_digest(context, self.calibrate) if self.calibrate else "",
            "embed": self.embed,
        }
        record = model.record(path, pairing)  # Raises before any file is written.

        def prepare() -> Callable[[Path], Table]:
            """Read the weights; return a function that writes the model file to a path."""
            return self._writer(form, path, model, pairing, extractor, context)

        table = produce(context, output, key, form.files(path), prepare)
        for note in () if table["cached"] else model.notes:
            context.note(note)
        _warn_if_shrunk(model, record, context)
        return table | {
            "family": record.origin["family"],
            "pairing": record.pairing["name"],
            "working_size": record.size,
            "looks": record.pairing["settings"].get("looks", []),
        }

    def _writer(
        self,
        form: ForeignFormat,
        path: Path,
        model: ForeignModel,
        pairing: Pairing | None,
        extractor: FrameExtractor | None,
        context: Context,
    ) -> Callable[[Path], Table]:
        """Read the weights and the calibration clip; return a function that writes the imported model to a path.

        ``form``: the format of the file ``path``. ``extractor``: the network that makes the model's input, if it has
        one. Raises UsageError, MediaError.
        """
        from vidtrans.models.model_file import embed_extractor, save_model
        from vidtrans.rendering.extraction import calibration_inputs

        generator, record = form.load_described(path, model, pairing)
        record = replace(record, card=record.card | _card_texts(self.recipe))
        if self.norms or self.calibrate:
            record = self._with_norms(record)
        inputs = calibration_inputs(self.calibrate, record, extractor, context) if self.calibrate else None

        def make(target: Path) -> Table:
            """Calibrate the batch norms, if requested, and write the model file with its extractor."""
            if inputs is not None:
                from vidtrans.interop.calibration import calibrate

                calibrate(generator, inputs)
            save_model(target, generator, record)
            if extractor and self.embed:
                embed_extractor(target, target, extractor.model.load_generator())
            return {"frames": 0}

        return make

    def describe(self, table: Table) -> str:
        """Return the model's family, input and size, as text. ``table``: the result of ``make``."""
        done = "would make" if table.get("dry_run") else "up to date:" if table["cached"] else "made"
        takes = "takes the frame itself" if table["pairing"] == FRAME_PAIRING else f"pairing '{table['pairing']}'"
        if table["looks"]:
            takes = count(len(table["looks"]), "look")
        what = f"{done} {table['output']}: {table['family']}, {takes}, rendered at {table['working_size']} px"
        return what if table.get("dry_run") else f"{what}\nnext: {next_command(table['output'])}"

    def _describe(self, form: ForeignFormat, path: Path) -> ForeignModel:
        """Return the description of the model in a file, overridden by the user's options.

        ``form``: the format of the file.
        """
        from vidtrans.models.formats import Hints
        from vidtrans.models.look_pictures import look_names
        from vidtrans.networks.ports import named_range

        if self.predictor and not form.uses_predictor:
            why = f"{path} is no ONNX file, and takes no style"
            raise UsageError(f"--predictor {self.predictor}", why, "leave out --predictor and --style")
        styles = tuple(zip(look_names(self.style), self.style, strict=True))
        hints = Hints(self.value_range or "", self.layout or "", self.trust, self.predictor, styles)
        model = form.describe(path, hints)
        ports: Table = {}
        if self.value_range and not form.uses_range:
            ports |= named_range(self.value_range)
        named = self.recipe.tables.get("pairing", {}).get("name", "")
        if model.dark_lines and named in LIGHT_LINE_PAIRINGS:
            ports["invert"] = True
        for name in ("invert", "bgr"):
            if (value := getattr(self, name)) is not None:
                ports[name] = value
        return replace(model, ports=model.ports | ports, size=self.size or model.size)

    def _with_norms(self, record: ModelRecord) -> ModelRecord:
        """Return the record with the source of batch-norm statistics that --norms or --calibrate selects.

        Raises UsageError if the network has no batch norms, or its file has no statistics.
        """
        settings = record.generator["settings"]
        if settings.get("norm") not in ("picture", "batch"):
            option = "--norms" if self.norms else "--calibrate"
            raise UsageError(option, "the norms of this network have no statistics to choose from", "leave it out")
        if not self.calibrate and self.norms == "stored" and record.origin.get("statistics") is False:
            raise UsageError("--norms stored", "its file has no statistics", "give a clip with --calibrate")
        norm = "picture" if self.norms == "picture" else "batch"
        generator_table = record.generator | {"settings": settings | {"norm": norm}}
        return replace(record, generator=generator_table)


def _default_name(path: Path) -> str:
    """Return the name of the imported model: the file's stem, or the folder's name for a stem in ``NAME_SUFFIXES``."""
    folder = path.resolve().parent.name
    return f"{folder}{NAME_SUFFIXES[path.stem]}" if folder and path.stem in NAME_SUFFIXES else path.stem


def _choose_pairing(model: ForeignModel, recipe: Recipe) -> Pairing | None:
    """Return the pairing that the recipe names, or else the file's pairing with the recipe's settings.

    Return None if neither names a pairing.
    """
    from vidtrans.pairing.pairing_records import make_pairing

    table = {**recipe.tables.get("pairing", {}), **recipe.pairing_changes}
    from_file = model.pairing.get("name", "")
    name = table.pop("name", from_file)
    if name == from_file and name:
        table = model.pairing["settings"] | table  # such as the number of classes of label maps
    return make_pairing(name, table) if name else None


def _warn_if_shrunk(model: ForeignModel, record: ModelRecord, context: Context) -> None:
    """Warn if the network enlarges pictures by a larger factor than its pairing, so that frames are first shrunk."""
    from vidtrans.pairing.pairing_records import make_pairing

    enlarges = int(model.generator["settings"].get("enlarges", 1))
    factor = make_pairing(record.pairing["name"], record.pairing["settings"]).upscale_factor
    if enlarges > factor:
        text = f"it enlarges pictures {enlarges} times, but with this pairing each frame is shrunk to"
        remedy = f"leave --pairing out for results {enlarges} times as large"
        context.note(f"{text} 1/{enlarges // factor} first: {remedy}", "warning")


def _card_texts(recipe: Recipe) -> Table:
    """Return the texts of the model card that are not empty, by name."""
    from vidtrans.models.model_record import Card

    return {name: text for name, text in to_table(recipe.settings("card", Card)).items() if text}
