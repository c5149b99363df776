"""The model format for ONNX files of other tools: image→image networks, also with a style vector as second input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table
from vidtrans.interop.exported import METADATA_KEY, ExportedModel
from vidtrans.interop.onnx.checks import CHANNELS, GraphInputs, check_graph, style_shape
from vidtrans.interop.onnx.graph_reading import (
    BYTES,
    SMALL,
    VARINT,
    DamagedError,
    Graph,
    Port,
    fields,
    map_file,
    read_graph,
    read_graph_in,
)
from vidtrans.interop.onnx.ranges import (
    ENDS,
    RangeFinding,
    bounds_at_output,
    choose_ranges,
    input_affine,
    known_range,
)
from vidtrans.interop.onnx.trial import Trial, predict_styles, run_trial
from vidtrans.models.formats import NO_HINTS, ForeignFormat, ForeignModel, Hints, format_of
from vidtrans.networks import ONNX_GRAPH
from vidtrans.networks.ports import MAX_LOOKS, RANGES, range_ports

LISTED = 6  # The most names of looks in a note.
USUAL_RANGE = "0..1"  # The range of a predictor's pictures, unless its graph or the user gives another.


@dataclass(frozen=True)
class StyleLooks:
    """The looks of a network, by name, with a style vector for each. ``reason``: what they are, for a note."""

    port: Port
    names: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]
    reason: str

    @property
    def listed(self) -> str:
        """Return the names of the looks, for a note."""
        several = self.names if len(self.names) <= LISTED else (self.names[0], "…", self.names[-1])
        return ", ".join(several).replace(", …,", " …")

    @property
    def feed(self) -> Table:
        """Return the first look as the network's second input takes it: its name, shape, type and numbers."""
        return {"input": self.port.name, "values": self.vectors[0]} | self._form

    @property
    def settings(self) -> Table:
        """Return the settings of ``OnnxGraph`` for the looks."""
        return {"looks": len(self.names)} | {f"style_{name}": value for name, value in self._form.items()}

    @property
    def _form(self) -> Table:
        return {"shape": style_shape(self.port), "kind": self.port.kind}


def find_looks(path: Path, inputs: GraphInputs, hints: Hints) -> StyleLooks | None:
    """Return the looks of a network, one for each of its weights or of the user's pictures; None without a style input.

    Raises UsageError if the style needs a predictor or does not take one, ModelError, MediaError.
    """
    port = inputs.style
    if port is None:
        if hints.predictor:
            why = f"{path} takes a picture alone, and no style"
            raise UsageError(f"--predictor {hints.predictor}", why, "leave out --predictor and --style")
        return None
    length, name = math.prod(style_shape(port)), port.name[:40]
    if hints.predictor:
        vectors = _predicted(hints.predictor, hints, length)
        return StyleLooks(
            port, tuple(look for look, _ in hints.styles), vectors, f"predicted by {hints.predictor.name}"
        )
    if length > MAX_LOOKS:
        why = f"its input '{name}' takes the {length} numbers of a style, which another network predicts from a picture"
        remedy = (
            f"vidtrans model import {path} --predictor FILE.onnx --style PICTURE (or 'vidtrans stylize --look PICTURE')"
        )
        raise UsageError(str(path), why, remedy)
    names = tuple(f"style-{number}" for number in range(1, length + 1))
    weights = tuple(tuple(row) for row in np.eye(length).tolist())
    return StyleLooks(
        port, names, weights, f"each of the {length} numbers of its input '{name}' is the weight of a look"
    )


def _predicted(path: Path, hints: Hints, length: int) -> tuple[tuple[float, ...], ...]:
    """Return the style vectors of the user's pictures. Raises ModelError, MediaError, UsageError."""
    if format_of(path) != "onnx":
        raise UsageError(f"--predictor {path}", "it is no ONNX file", "give the network that predicts styles")
    graph = read_graph(path)
    inputs = check_graph(path, graph)
    if inputs.style:
        raise ModelError(
            str(path), "it takes a style itself, and predicts none", "give the network that predicts styles"
        )
    known, _ = known_range(graph, inputs.picture, hints.range)
    taken = str(known.value) if known else USUAL_RANGE
    return predict_styles(path, inputs.picture, taken, length, lambda width, height: _cut(hints, width, height))


def _cut(hints: Hints, width: int, height: int) -> Sequence[np.ndarray]:
    """Return the centres of the style pictures, (height, width, 3) uint8. Raises MediaError."""
    from vidtrans.models.at_once import read_look
    from vidtrans.video.images.picture import cover_crop, resize

    cut = []
    for _, path in hints.styles:
        picture = read_look(path, "give another picture", "--style")
        size, rows, columns = cover_crop(picture.shape[1], picture.shape[0], (width, height))
        cut.append(resize(picture, *size)[rows, columns])
    return cut


AXES = {"nchw": "batch, channels, rows, columns", "nhwc": "batch, rows, columns, channels"}
AXES |= {"chw": "channels, rows, columns", "hwc": "rows, columns, channels"}


@dataclass(frozen=True)
class OnnxDescription:
    """The description of an ONNX graph, from reading and trying it.

    ``generator``: settings of ``OnnxGraph``. ``ports``: of ``PortSettings``. ``enlarges``: factor from input to output
    size, at least 1. ``looks``: of a network with a style vector. ``findings``: what was found and why, for notes, by
    subject such as 'size'.
    """

    generator: Table
    ports: Table
    enlarges: int
    looks: StyleLooks | None = None
    findings: dict[str, RangeFinding] = field(default_factory=dict)


def describe_onnx(path: Path, hints: Hints = NO_HINTS) -> OnnxDescription:
    """Return a detected file's description, from reading and trying it, with the user's hints.

    Raises ModelError unless it is an image→image network, UsageError if the user must choose the range or name style
    pictures, MediaError for a damaged style picture.
    """
    graph = read_graph(path)
    inputs = check_graph(path, graph)
    looks = find_looks(path, inputs, hints)
    known, bgr = known_range(graph, inputs.picture, hints.range)
    names = [known.value] if known else list(RANGES)
    trial = run_trial(path, graph, inputs.picture, names, hints.layout, looks.feed if looks else None)
    bounds = bounds_at_output(graph, graph.outputs[trial.index].name)
    found, given = choose_ranges(trial.ranges, trial.out_channels, bounds, names)
    taken = known or found
    if not taken.sure:
        options = " or ".join(f"--range {name}" for name in names if name in taken.reason)
        why = f"the value range of its input is not clear ({taken.reason})"
        raise UsageError(
            str(path), why, f"add {options}" if hints.predictor else f"vidtrans model import {path} {options}"
        )
    generator = _generator(path, inputs, trial, str(taken.value))
    ports = _ports(trial, str(taken.value), given, bgr)
    findings = _findings(trial, taken, given, bounds, bgr)
    if looks:
        generator |= looks.settings
        ports["conditions"] = len(looks.names) if len(looks.names) > 1 else 0
        findings["looks"] = RangeFinding(looks.listed, True, looks.reason)
    return OnnxDescription(generator, ports, max(trial.factor, 1), looks, findings)


def _generator(path: Path, inputs: GraphInputs, trial: Trial, taken: str) -> Table:
    """Return the settings of ``OnnxGraph`` without looks; ``taken``: the name of its input range."""
    shape = inputs.picture.shape or ()
    pictures = shape[0] if len(shape) == 4 and isinstance(shape[0], int) else 1
    _, high = ENDS.get(taken, (0.0, 1.0))
    return {
        "bytes": path.stat().st_size,
        "layout": trial.layout,
        "kind": inputs.picture.kind,
        "pictures": pictures,
        "height": trial.size[0] if trial.size else 0,
        "width": trial.size[1] if trial.size else 0,
        "multiple": trial.multiple,
        "sees_whole": trial.sees_whole,
        "opaque": high if trial.channels == max(CHANNELS) else None,
        "picture_input": inputs.picture_index,
        "output": trial.index,
        "out_layout": trial.out_layout,
        "enlarges": max(trial.factor, 1),
        "shrinks": max(-trial.factor, 1),
    }


def _ports(trial: Trial, taken: str, given: tuple[float, float], bgr: bool) -> Table:
    """Return the ``PortSettings`` from [−1, 1] to the range named ``taken``, and back from the range ``given``."""
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
    """Return the findings about a file by subject, for the notes of an import."""
    free = "any" if trial.multiple == 1 else f"any, in multiples of {trial.multiple}"
    size = f"{trial.size[1]}x{trial.size[0]}" if trial.size else free
    how = "limited by its last operators" if bounds else "from the smallest and largest values of trial outputs"
    found = {
        "layout": RangeFinding(AXES[trial.layout], True, "it ran with it"),
        "size": RangeFinding(size, True, "its file fixes it" if trial.size else "other sizes were tried"),
        "input": taken,
        "output": RangeFinding(f"{given[0]:g}..{given[1]:g}", bounds is not None or given in ENDS.values(), how),
    }
    if bgr:
        found["colours"] = RangeFinding("blue, green, red", True, "its file says so")
    if trial.factor != 1:
        word = "larger" if trial.factor > 1 else "smaller"
        found["factor"] = RangeFinding(f"pictures {abs(trial.factor)} times {word}", True, "it ran")
    if trial.pictures > 1:
        why = f"{trial.pictures} outputs are pictures; preferred: the input's size, colour, a fusion of the others"
        found["outputs"] = RangeFinding(f"output {trial.index}", False, why)
    return found


FAMILY = "ONNX graph"
FREE_SIZE = 512  # The default short side in pixels, which is usual for such networks.
MAX_FACTOR = 4  # The largest factor of the pairing ``enlarge``.
WHAT = {
    "looks": "looks",
    "layout": "axes",
    "size": "size",
    "input": "range of its input",
    "output": "range of its output",
    "colours": "order of colours",
    "factor": "it gives",
    "outputs": "the picture",
}


class OnnxFormat(ForeignFormat):
    """The format for ONNX files with embedded weights. They are checked, then tried in a separate process."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    uses_range: ClassVar[bool] = True
    uses_predictor: ClassVar[bool] = True

    def detect(self, path: Path) -> bool:
        """Return whether its first fields are those of an ONNX model, even if it is damaged. Raises OSError."""
        known = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
        versions, graphs, end = 0, 0, 0
        with map_file(path) as data:
            try:
                for count, part in enumerate(fields(data, 0, len(data))):
                    if known.get(part.number) != part.wire or count > SMALL:
                        break
                    versions += part.number == 1 and 1 <= part.value <= 1000
                    graphs += part.number == 7
                    end = part.end
            except DamagedError:  # cut off, but the fields before may suffice, or the first incomplete one is a graph
                graphs += len(data) > end + 2 and data[end] == 7 << 3 | BYTES
        return versions > 0 and graphs > 0

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Describe a file by reading and trying it, with the user's hints; raises as ``describe_onnx``."""
        if hints.predictor:  # other files have a part in it
            return graph_model(path, describe_onnx(path, hints))
        stat = path.stat()
        if hints == NO_HINTS and (made := exported_graph(path, read_graph(path))):
            return made
        return graph_model(path, _described(path.absolute(), stat.st_mtime_ns, stat.st_size, hints))

    @staticmethod
    def check_bytes(path: Path, data: bytes, channels: int) -> None:
        """Check a graph's bytes as ``describe`` does; ``path`` names the file in errors. Raises ModelError.

        ``channels``: of the model's input, which an exported graph takes as it is.
        """
        check_graph(path, read_graph_in(data, path), (*CHANNELS, channels))

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the file's bytes as the weight 'data', uint8, and the looks' vectors as 'styles'."""
        return graph_weights(path.read_bytes(), model)


def exported_graph(path: Path, graph: Graph, text: str | bytes = b"") -> ForeignModel | None:
    """Return the model of a graph that 'vidtrans model export' wrote; None for another one.

    ``text``: the description of a graph that has none, since it was converted from TorchScript. Raises ModelError.
    """
    found = ExportedModel.read(text or graph.metadata.get(METADATA_KEY, ""))
    if found is None:
        return None
    channels = 3 if found.whole else found.in_channels
    port = check_graph(path, graph, (*CHANNELS, channels)).picture
    layout = "nhwc" if port.kind == "uint8" else "nchw"
    if port.shape is None or len(port.shape) != 4 or port.shape[layout.index("c")] != channels:
        return None
    factor = found.made_pairing(path).upscale_factor if found.whole else 1
    settings = {
        "bytes": path.stat().st_size,
        "layout": layout,
        "kind": port.kind,
        "out_layout": layout,
        "enlarges": factor,
    }
    ports = range_ports(0, 255 if port.kind == "uint8" else 1) if found.whole else {}
    return found.model(path, FAMILY, {"name": ONNX_GRAPH, "settings": settings}, ports)


def graph_weights(data: bytes, model: ForeignModel) -> dict[str, Any]:
    """Return the weights of an ``OnnxGraph`` for the bytes of its file."""
    import torch

    weights = {"data": torch.frombuffer(bytearray(data), dtype=torch.uint8)}
    return weights | ({"styles": torch.tensor(model.styles)} if model.styles else {})


def graph_model(path: Path, found: OnnxDescription) -> ForeignModel:
    """Return the ``ForeignModel`` for a described graph. Raises ModelError."""
    if found.enlarges > MAX_FACTOR:
        why = f"it enlarges pictures {found.enlarges} times, but at most {MAX_FACTOR} times is supported"
        raise ModelError(str(path), why, "use another network")
    sides = [side for side in (found.generator["height"], found.generator["width"]) if side]
    return ForeignModel(
        family=FAMILY,
        generator={"name": ONNX_GRAPH, "settings": found.generator},
        ports=found.ports,
        size=min(sides) if sides else FREE_SIZE,
        pairing=_pairing(found),
        styles=found.looks.vectors if found.looks else (),
        notes=tuple(
            f"{WHAT[about]}: {finding.value} ({'' if finding.sure else 'likely: '}{finding.reason})"
            for about, finding in found.findings.items()
        ),
    )


def _pairing(found: OnnxDescription) -> Table:
    """Return the pairing 'look' for a graph with looks, 'enlarge' for one that enlarges, else the frame itself."""
    if found.looks:
        return {"name": "look", "settings": {"looks": list(found.looks.names), "strokes": False}}
    if found.enlarges > 1:
        return {"name": "enlarge", "settings": {"factor": found.enlarges}}
    return {"name": "aligned", "settings": {}}


@lru_cache(maxsize=16)
def _described(path: Path, mtime_ns: int, size: int, hints: Hints) -> OnnxDescription:
    return describe_onnx(path, hints)
