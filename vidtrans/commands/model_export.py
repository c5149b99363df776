"""``vidtrans model export``: write a model as a file for other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import check_suffix, output_option
from vidtrans.commands.text_reports import timing
from vidtrans.core.costs import count
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.interop.exporting import EXPORTS
from vidtrans.session import Context

if TYPE_CHECKING:
    from fractions import Fraction

    from vidtrans.models.loaded_model import LoadedModel

VERSION = 2  # Version of the exporting code, part of the cache key of exported files
STROKE_SIZE = 0.5  # Default of --stroke-size, from 0 (fine) to 1 (broad)


@dataclass(frozen=True)
class ModelExport(Command):
    """Write MODEL as a file for other programs, for pictures of any size.

    The command first runs the file on pictures of three sizes, and compares the results with those of the model.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    model: str = argument(file="model")
    format: str = option(
        MISSING,
        "File format: onnx for ONNX Runtime and similar programs, torchscript for Nuke and libtorch, pth for "
        "the network's own tool.",
        Group.OUTPUT,
        choices=Names("vidtrans.interop.exporting:EXPORTS", "export format"),
    )
    output: Path | None = output_option("The exported file.", "MODEL with the format's file extension")
    _: KW_ONLY
    whole: bool = option(
        False, "Include the pairing (such as edges) and the colour range: input and output are RGB.", Group.OUTPUT
    )
    look: str = option("", "With --whole: the look to use, for a model with several looks.", Group.LOOK, metavar="NAME")
    stroke_size: float | None = option(
        None,
        "With --whole: the stroke size of a look from pictures. 0 is fine, 1 is broad.",
        Group.LOOK,
        metavar="X",
        default_text="0.5",
    )

    def __post_init__(self) -> None:
        kind = EXPORTS[self.format]  # Raises UsageError for an unknown name.
        check_suffix(self.output, f"--format {self.format}", kind.suffix)
        if self.whole and not kind.takes_whole:
            raise UsageError("--whole", f"a {kind.suffix} file holds weights alone", "leave it out")
        given = ["--look"] * bool(self.look) + ["--stroke-size"] * (self.stroke_size is not None)
        if given and not self.whole:
            remedy = f"add --whole, or leave {given[0]} out"
            raise UsageError(given[0], "the file holds only the network, which takes it as input", remedy)
        if self.stroke_size is not None and not 0 <= self.stroke_size <= 1:
            raise UsageError(f"--stroke-size {self.stroke_size:g}", "out of bounds", "choose a value from 0 to 1")

    def make(self, context: Context) -> Table:
        """Write a model in another format, and compare the outputs of the written file and the model.

        Raises UsageError for a model or options that the format does not support, ModelError.
        """
        from vidtrans.interop.exporting.base import ExportFormat, ExportSubject, check_exports
        from vidtrans.models.loaded_model import load_model
        from vidtrans.models.model_file import load_generator, read_record
        from vidtrans.output.result import produce, refuse_link

        model = load_model(self.model, context)
        path = model.path
        if path is None:
            raise ModelError(f"model '{model.name}'", "it is built in and has no network", "name a model file")
        check_exports(model.name, read_record(path), model.pairing, whole=self.whole)
        conditions = self._conditions(model)
        output = self.output or refuse_link(Path(f"{model.name}{EXPORTS[self.format].suffix}"))
        key = {
            "command": "model export",
            "version": VERSION,
            "model": model.digest,
            "name": model.name,
            "format": self.format,
            "whole": self.whole,
            "conditions": list(conditions),
        }

        def prepare() -> Callable[[Path], Table]:
            """Load the network and check the format's limits; return a function that writes the file to a path."""
            generator, record = load_generator(path)
            subject = ExportSubject(model.name, generator, record, model.pairing, self.whole, conditions)
            form: ExportFormat = EXPORTS.load(self.format)()
            form.check(subject)

            def make(temporary: Path) -> Table:
                """Write the exported model to a temporary path; return the report on it."""
                report = form.write(temporary, subject)
                size = temporary.stat().st_size
                return {"frames": 0, "format": self.format, "whole": self.whole, "bytes": size, **report}

            return make

        return produce(context, output, key, [path], prepare)

    def describe(self, table: Table) -> str:
        """Return the size of the file, and its largest difference from the model, as text.

        ``table``: the result of ``make``.
        """
        if table.get("dry_run"):
            return f"would write {table['output']}"
        if "family" in table:
            return (
                f"{table['output']}: {count(table['tensors'], 'tensor')} as {table['tool']} names them{timing(table)}"
            )
        takes = "RGB in, RGB out" if table["whole"] else "the network alone"
        same = f"at most {table['max_difference']:.2g} from the model, where colours are from -1 to 1"
        size = f"{table['bytes'] / 1e6:.1f} MB"
        return f"{table['output']}: {takes}, {size}, {same}{timing(table)}"

    def _conditions(self, model: LoadedModel) -> tuple[float, ...]:
        """Return the values of the input planes for style and stroke size, in [0, 1]; () without --whole.

        Raises UsageError if --look or --stroke-size is given and the model has no input for it.
        """
        from vidtrans.pairing.look_pairing import LookPairing, look_conditions

        pairing = model.pairing
        if isinstance(pairing, LookPairing):
            stroke = STROKE_SIZE if self.stroke_size is None else self.stroke_size
            return look_conditions(pairing, self.look, stroke) if self.whole else ()
        if model.has_codes and self.stroke_size is None:
            return _code_of(model, self.look) if self.whole else ()
        if self.look or self.stroke_size is not None:
            option = "--look" if self.look else "--stroke-size"
            raise UsageError(option, f"'{model.name}' was not made by 'vidtrans look'", "leave it out")
        return ()


def _code_of(model: LoadedModel, look: str) -> tuple[float, ...]:
    """Return the values of the input planes, in [0, 1], for a style. ``look``: a seed number or a picture's path.

    Raises UsageError, MediaError.
    """
    from vidtrans.curves.curve import CurveClock
    from vidtrans.rendering.conditions import CodeConditions

    def refuse(moment: Time) -> Fraction:
        """Raise UsageError: a style that changes over time cannot be exported."""
        raise UsageError(f"--look '{look}'", "an exported file has one look", "give one number or picture")

    return tuple((CodeConditions(model, look, CurveClock(int, refuse, float)).values(0) / 255).tolist())
