"""ONNX files of other tools: any network that makes one picture of one picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table
from vidtrans.interop.onnx.checks import CHANNELS, check_graph
from vidtrans.interop.onnx.graph_reading import SMALL, Graph, Port, read_graph, read_graph_in
from vidtrans.interop.onnx.protobuf import BYTES, VARINT, Buffer, DamagedError, fields, map_file
from vidtrans.interop.onnx.ranges import (
    ENDS,
    RangeFinding,
    affine_at_input,
    bounds_at_output,
    choose_ranges,
    input_affine,
    range_of_graph,
    range_of_metadata,
)
from vidtrans.interop.onnx.trial import Trial, run_trial
from vidtrans.models.foreign_format import NO_HINTS, ForeignFormat, ForeignModel, Hints
from vidtrans.networks import ONNX_GRAPH
from vidtrans.networks.ports import RANGES

AXES = {"nchw": "batch, channels, rows, columns", "nhwc": "batch, rows, columns, channels"}
AXES |= {"chw": "channels, rows, columns", "hwc": "rows, columns, channels"}


@dataclass(frozen=True)
class OnnxDescription:
    """What was found: settings of ``networks.onnx_graph`` and of ports, and the findings by what they are about."""

    generator: Table
    ports: Table
    enlarges: int
    findings: dict[str, RangeFinding] = field(default_factory=dict)


def describe_onnx(path: Path, wanted_range: str = "", layout: str = "") -> OnnxDescription:
    """Read a detected file, check it and try it. A range of ``networks.ports.RANGES`` and a layout may be given.

    Raises ModelError for what is not one image→image network, UsageError where a person has to choose.
    """
    graph = read_graph(path)
    port = check_graph(path, graph)
    known, bgr = _known_range(graph, port, wanted_range)
    names = [known.value] if known else list(RANGES)
    trial = run_trial(path, graph, port, names, layout.removeprefix("n"))
    bounds = bounds_at_output(graph, graph.outputs[trial.index].name)
    found, given = choose_ranges(trial.ranges, trial.out_channels, bounds, names)
    taken = known or found
    if not taken.sure:
        options = " or ".join(f"--range {name}" for name in names if name in taken.reason)
        why = f"its file does not say what range of numbers it takes ({taken.reason})"
        raise UsageError(str(path), why, f"vidtrans model import {path} {options}")
    findings = _findings(trial, taken, given, bounds, bgr)
    generator = _generator(path, port, trial, str(taken.value))
    return OnnxDescription(generator, _ports(trial, str(taken.value), given, bgr), max(trial.factor, 1), findings)


def _known_range(graph: Graph, port: Port, wanted: str) -> tuple[RangeFinding | None, bool]:
    """Return the range that need not be tried, and whether colours are BGR."""
    bgr = graph.metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr")
    read = range_of_graph(affine_at_input(graph, port.name))
    bgr |= bool(read and read[1])
    if wanted:
        return RangeFinding(wanted, True, "as given"), bgr
    if port.kind == "uint8":
        return RangeFinding("0..255", True, "it takes whole numbers of 8 bits"), bgr
    return range_of_metadata(graph.metadata) or (read[0] if read else None), bgr


def _generator(path: Path, port: Port, trial: Trial, taken: str) -> Table:
    """Return the settings of ``OnnxGraph``."""
    shape = port.shape or ()
    pictures = shape[0] if len(shape) == 4 and isinstance(shape[0], int) else 1
    _, high = ENDS.get(taken, (0.0, 1.0))
    return {
        "bytes": path.stat().st_size,
        "layout": trial.layout,
        "kind": port.kind,
        "pictures": pictures,
        "height": trial.size[0] if trial.size else 0,
        "width": trial.size[1] if trial.size else 0,
        "multiple": trial.multiple,
        "sees_whole": trial.sees_whole,
        "opaque": high if trial.channels == max(CHANNELS) else None,
        "output": trial.index,
        "out_layout": trial.out_layout,
        "enlarges": max(trial.factor, 1),
        "shrinks": max(-trial.factor, 1),
    }


def _ports(trial: Trial, taken: str, given: tuple[float, float], bgr: bool) -> Table:
    """Return the settings of ``PortSettings``: from [−1, 1] to the range, and back."""
    channels = min(trial.channels, 3)
    scale, shift = input_affine(taken, channels, bgr)
    low, high = given
    return {
        "in_channels": channels,
        "out_channels": trial.out_channels,
        "bgr": bgr,
        "in_scale": [s / 2 for s in scale],
        "in_shift": [s / 2 + b for s, b in zip(scale, shift, strict=len(scale) == len(shift))],
        "out_scale": [2 / (high - low)],
        "out_shift": [-1 - 2 * low / (high - low)],
    }


def _findings(
    trial: Trial, taken: RangeFinding, given: tuple[float, float], bounds: tuple[float, float] | None, bgr: bool
) -> dict[str, RangeFinding]:
    """Return what was found, for people."""
    free = "any" if trial.multiple == 1 else f"any, in multiples of {trial.multiple}"
    size = f"{trial.size[1]}x{trial.size[0]}" if trial.size else free
    how = "its last operators bound it" if bounds else "the least and the largest values that trials gave"
    found = {
        "layout": RangeFinding(AXES[trial.layout], True, "it ran"),
        "size": RangeFinding(size, True, "its file fixes it" if trial.size else "other sizes were tried"),
        "input": taken,
        "output": RangeFinding(f"{given[0]:g}..{given[1]:g}", bounds is not None or given in ENDS.values(), how),
    }
    if bgr:
        found["colours"] = RangeFinding("blue, green, red", True, "its file says so")
    if trial.factor != 1:
        word = "larger" if trial.factor > 1 else "smaller"
        found["factor"] = RangeFinding(f"{abs(trial.factor)} times {word} pictures", True, "it ran")
    if trial.pictures > 1:
        why = f"{trial.pictures} outputs are pictures: of the input's size, in colour, or fused of the others"
        found["outputs"] = RangeFinding(f"output {trial.index}", False, why)
    return found


FAMILY = "ONNX graph"
FREE_SIZE = 512  # pixels of the short side, by default: what most such networks are shown at
MAX_FACTOR = 4  # that the pairing ``enlarge`` has
WHAT = {
    "layout": "axes",
    "size": "size",
    "input": "range of its input",
    "output": "range of its output",
    "colours": "order of colours",
    "factor": "it gives",
    "outputs": "the picture",
}


class OnnxFormat(ForeignFormat):
    """One file with all of its weights. It is read and checked before ONNX Runtime sees it, then tried by itself."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    uses_range: ClassVar[bool] = True

    def detect(self, path: Path) -> bool:
        """Return whether its first fields are those of an ONNX model, damaged or not. Raises OSError."""
        known = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
        versions, graphs = 0, 0
        with map_file(path) as data:
            try:
                for count, part in enumerate(fields(data, 0, len(data))):
                    if known.get(part.number) != part.wire or count > SMALL:
                        break
                    versions += part.number == 1 and 1 <= part.value <= 1000
                    graphs += part.number == 7
            except DamagedError:  # cut off: the head says what it was
                graphs += _names_graph(data)
        return versions > 0 and graphs > 0

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return what a file holds, with what a person says of it. Raises ModelError, UsageError."""
        stat = path.stat()
        return graph_model(path, _described(path.absolute(), stat.st_mtime_ns, stat.st_size, hints))

    @staticmethod
    def check_graph(path: Path, data: bytes) -> None:
        """Refuse the bytes of a graph that ``path`` holds, as ``describe`` does. Raises ModelError."""
        check_graph(path, read_graph_in(data, path))

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the bytes of the file."""
        import torch

        data = bytearray(path.read_bytes())
        return {"data": torch.frombuffer(data, dtype=torch.uint8)}


def graph_model(path: Path, found: OnnxDescription) -> ForeignModel:
    """Return the model of a graph that was described. Raises ModelError."""
    if found.enlarges > MAX_FACTOR:
        why = f"it makes pictures {found.enlarges} times larger, at most {MAX_FACTOR} times can be used"
        raise ModelError(str(path), why, "use another network")
    sides = [side for side in (found.generator["height"], found.generator["width"]) if side]
    return ForeignModel(
        family=FAMILY,
        generator={"name": ONNX_GRAPH, "settings": found.generator},
        ports=found.ports,
        size=min(sides) if sides else FREE_SIZE,
        pairing=_pairing(found),
        notes=tuple(
            f"{WHAT[about]}: {finding.value} ({'' if finding.sure else 'likely: '}{finding.reason})"
            for about, finding in found.findings.items()
        ),
    )


def _pairing(found: OnnxDescription) -> Table:
    """Return the frame itself as the input, or, for what enlarges, the interpolated one."""
    if found.enlarges > 1:
        return {"name": "enlarge", "settings": {"factor": found.enlarges}}
    return {"name": "aligned", "settings": {}}


@lru_cache(maxsize=16)
def _described(path: Path, mtime_ns: int, size: int, hints: Hints) -> OnnxDescription:
    return describe_onnx(path, hints.range, hints.layout)


def _names_graph(data: Buffer) -> bool:
    """Return whether a field that is not all there is a graph."""
    try:
        at = 0
        for part in fields(data, 0, len(data)):
            at = part.end
    except DamagedError:
        return len(data) > at + 2 and data[at] == 7 << 3 | BYTES
    return False
