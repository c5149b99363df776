"""The model format for ONNX files of other tools: networks from image to image, also with a style vector as input."""

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
from vidtrans.interop.onnx.checks import CHANNEL_COUNTS, GraphInputs, check_graph, style_shape
from vidtrans.interop.onnx.graph_reading import (
    BYTES,
    MAX_CONSTANT_SIZE,
    VARINT,
    DamagedError,
    Graph,
    Port,
    map_file,
    parse_graph,
    read_fields,
    read_graph,
)
from vidtrans.interop.onnx.ranges import (
    RANGE_ENDS,
    RangeFinding,
    bounds_at_output,
    choose_ranges,
    input_affine,
    known_range,
)
from vidtrans.interop.onnx.trial import Trial, predict_styles, run_trial
from vidtrans.models.formats import NO_HINTS, ForeignFormat, ForeignModel, Hints, detect_format
from vidtrans.networks import ONNX_GRAPH
from vidtrans.networks.ports import MAX_LOOKS, RANGES, range_ports

MAX_LISTED_LOOKS = 6  # Largest number of style names that are listed in a message.
DEFAULT_PREDICTOR_RANGE = "0..1"  # Name of the default value range of the pictures for a style predictor.


@dataclass(frozen=True)
class StyleLooks:
    """The styles of a network with a style input: the input ``port``, and the styles' names and vectors.

    ``reason``: where the styles come from, for messages.
    """

    port: Port
    names: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]
    reason: str

    @property
    def listed(self) -> str:
        """Return the style names as a list for messages, shortened if there are many."""
        several = self.names if len(self.names) <= MAX_LISTED_LOOKS else (self.names[0], "…", self.names[-1])
        return ", ".join(several).replace(", …,", " …")

    @property
    def feed(self) -> Table:
        """Return the first style as an input of the network: its name, shape, dtype and numbers."""
        return {"input": self.port.name, "values": self.vectors[0]} | self._port_settings

    @property
    def settings(self) -> Table:
        """Return the settings of ``OnnxGraph`` for the styles."""
        return {"looks": len(self.names)} | {f"style_{name}": value for name, value in self._port_settings.items()}

    @property
    def _port_settings(self) -> Table:
        """Return the shape and the dtype of the network's style input."""
        return {"shape": style_shape(self.port), "kind": self.port.kind}


def find_looks(path: Path, inputs: GraphInputs, hints: Hints) -> StyleLooks | None:
    """Return a network's styles; None if it has no style input.

    With a predictor there is a style for each of the user's pictures; otherwise each number of the style input is the
    weight of one style.

    Raises UsageError if the style input needs a predictor or does not accept one, ModelError, MediaError.
    """
    port = inputs.style
    if port is None:
        if hints.predictor:
            why = f"{path} takes a picture alone, and no style"
            raise UsageError(f"--predictor {hints.predictor}", why, "leave out --predictor and --style")
        return None
    length, name = math.prod(style_shape(port)), port.name[:40]
    if hints.predictor:
        vectors = _predict_vectors(hints.predictor, hints, length)
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


def _predict_vectors(path: Path, hints: Hints, length: int) -> tuple[tuple[float, ...], ...]:
    """Return the style vectors of ``length`` numbers that the predictor in file ``path`` gives for the user's pictures.

    Raises ModelError, MediaError, UsageError.
    """
    if detect_format(path) != "onnx":
        raise UsageError(f"--predictor {path}", "it is no ONNX file", "give the network that predicts styles")
    graph = read_graph(path)
    inputs = check_graph(path, graph)
    if inputs.style:
        raise ModelError(
            str(path), "it takes a style itself, and predicts none", "give the network that predicts styles"
        )
    finding, _ = known_range(graph, inputs.picture, hints.range)
    input_range = str(finding.value) if finding else DEFAULT_PREDICTOR_RANGE
    return predict_styles(
        path, inputs.picture, input_range, length, lambda width, height: _crop_pictures(hints, width, height)
    )


def _crop_pictures(hints: Hints, width: int, height: int) -> Sequence[np.ndarray]:
    """Return the style pictures, cropped around their centres to (height, width, 3) uint8. Raises MediaError."""
    from vidtrans.models.at_once import read_look_picture
    from vidtrans.video.images.picture import cover_crop, resize

    cropped = []
    for _, path in hints.styles:
        picture = read_look_picture(path, "give another picture", "--style")
        size, rows, columns = cover_crop(picture.shape[1], picture.shape[0], (width, height))
        cropped.append(resize(picture, *size)[rows, columns])
    return cropped


# Names of the axes for messages, by axis order.
AXIS_LABELS = {"nchw": "batch, channels, rows, columns", "nhwc": "batch, rows, columns, channels"}
AXIS_LABELS |= {"chw": "channels, rows, columns", "hwc": "rows, columns, channels"}


@dataclass(frozen=True)
class OnnxDescription:
    """The description of an ONNX graph, from parsing and test runs.

    ``generator``: settings of ``OnnxGraph``. ``ports``: settings of ``PortSettings``. ``enlarges``: factor from input
    to output size, at least 1. ``looks``: the styles of a network with a style input. ``findings``: the results with
    reasons, for messages, by subject such as 'size'.
    """

    generator: Table
    ports: Table
    enlarges: int
    looks: StyleLooks | None = None
    findings: dict[str, RangeFinding] = field(default_factory=dict)


def describe_onnx(path: Path, hints: Hints = NO_HINTS) -> OnnxDescription:
    """Return the description of an ONNX file, from parsing, test runs and the user's hints.

    Raises ModelError unless the file maps images to images, UsageError if the user must choose the input range or
    name style pictures, MediaError for a damaged style picture.
    """
    graph = read_graph(path)
    inputs = check_graph(path, graph)
    looks = find_looks(path, inputs, hints)
    finding, bgr = known_range(graph, inputs.picture, hints.range)
    names = [finding.value] if finding else list(RANGES)
    trial = run_trial(path, graph, inputs.picture, names, hints.layout, looks.feed if looks else None)
    bounds = bounds_at_output(graph, graph.outputs[trial.index].name)
    estimated, output_range = choose_ranges(trial.ranges, trial.out_channels, bounds, names)
    input_finding = finding or estimated
    if not input_finding.is_sure:
        options = " or ".join(f"--range {name}" for name in names if name in input_finding.reason)
        why = f"the value range of its input is not clear ({input_finding.reason})"
        raise UsageError(
            str(path), why, f"add {options}" if hints.predictor else f"vidtrans model import {path} {options}"
        )
    generator = _generator(path, inputs, trial, str(input_finding.value))
    ports = _ports(trial, str(input_finding.value), output_range, bgr)
    findings = _findings(trial, input_finding, output_range, bounds, bgr)
    if looks:
        generator |= looks.settings
        ports["conditions"] = len(looks.names) if len(looks.names) > 1 else 0
        findings["looks"] = RangeFinding(looks.listed, True, looks.reason)
    return OnnxDescription(generator, ports, max(trial.factor, 1), looks, findings)


def _generator(path: Path, inputs: GraphInputs, trial: Trial, input_range: str) -> Table:
    """Return the settings of ``OnnxGraph``, except those of its styles, from the inputs and the test runs ``trial``.

    ``input_range``: the name of the input's value range.
    """
    shape = inputs.picture.shape or ()
    pictures = shape[0] if len(shape) == 4 and isinstance(shape[0], int) else 1
    _, high = RANGE_ENDS.get(input_range, (0.0, 1.0))
    return {
        "bytes": path.stat().st_size,
        "layout": trial.layout,
        "kind": inputs.picture.kind,
        "pictures": pictures,
        "height": trial.size[0] if trial.size else 0,
        "width": trial.size[1] if trial.size else 0,
        "multiple": trial.multiple,
        "sees_whole": trial.sees_whole,
        "opaque": high if trial.channels == max(CHANNEL_COUNTS) else None,
        "picture_input": inputs.picture_index,
        "output": trial.index,
        "out_layout": trial.out_layout,
        "enlarges": max(trial.factor, 1),
        "shrinks": max(-trial.factor, 1),
    }


def _ports(trial: Trial, input_range: str, output_range: tuple[float, float], bgr: bool) -> Table:
    """Return the ``PortSettings`` that convert pictures in [−1, 1] to the graph's input range, and its output back.

    ``input_range``: a name in ``RANGE_ENDS`` or 'imagenet'; ``output_range``: (low, high); ``bgr``: the graph's colours
    are in the order blue, green, red.
    """
    channels = min(trial.channels, 3)
    scale, shift = input_affine(input_range, channels, bgr)
    low, high = output_range
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
    trial: Trial,
    input_finding: RangeFinding,
    output_range: tuple[float, float],
    bounds: tuple[float, float] | None,
    bgr: bool,
) -> dict[str, RangeFinding]:
    """Return the results of the test runs with their reasons, for messages, by subject such as 'size'.

    ``bounds``: the (low, high) that the graph imposes on its output, or None; ``bgr``: its colours are in the order
    blue, green, red.
    """
    free = "any" if trial.multiple == 1 else f"any, in multiples of {trial.multiple}"
    size = f"{trial.size[1]}x{trial.size[0]}" if trial.size else free
    how = "limited by its last operators" if bounds else "from the smallest and largest values of trial outputs"
    findings = {
        "layout": RangeFinding(AXIS_LABELS[trial.layout], True, "it ran with it"),
        "size": RangeFinding(size, True, "its file fixes it" if trial.size else "other sizes were tried"),
        "input": input_finding,
        "output": RangeFinding(
            f"{output_range[0]:g}..{output_range[1]:g}", bounds is not None or output_range in RANGE_ENDS.values(), how
        ),
    }
    if bgr:
        findings["colours"] = RangeFinding("blue, green, red", True, "its file says so")
    if trial.factor != 1:
        word = "larger" if trial.factor > 1 else "smaller"
        findings["factor"] = RangeFinding(f"pictures {abs(trial.factor)} times {word}", True, "it ran")
    if trial.pictures > 1:
        why = f"{trial.pictures} outputs are pictures; preferred: the input's size, colour, a fusion of the others"
        findings["outputs"] = RangeFinding(f"output {trial.index}", False, why)
    return findings


FAMILY = "ONNX graph"  # Family name of ONNX models.
DEFAULT_SIZE_PX = 512  # Default short side of renders in pixels, which is usual for such networks.
MAX_FACTOR = 4  # Largest factor by which the pairing ``enlarge`` can enlarge a picture.
# Labels for messages, by subject of a finding.
FINDING_LABELS = {
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
    """The model format for ONNX files with embedded weights. Graphs are checked, then run in a separate process."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    uses_range: ClassVar[bool] = True
    uses_predictor: ClassVar[bool] = True

    def detect(self, path: Path) -> bool:
        """Return whether a file's first fields are those of an ONNX model, even if it is damaged. Raises OSError."""
        wire_types = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
        versions, graphs, end = 0, 0, 0
        with map_file(path) as data:
            try:
                for count, part in enumerate(read_fields(data, 0, len(data))):
                    if wire_types.get(part.number) != part.wire or count > MAX_CONSTANT_SIZE:
                        break
                    versions += part.number == 1 and 1 <= part.value <= 1000
                    graphs += part.number == 7
                    end = part.end
            except DamagedError:  # A truncated file: judge it by the fields before the error, or by a truncated graph
                graphs += len(data) > end + 2 and data[end] == 7 << 3 | BYTES
        return versions > 0 and graphs > 0

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Describe a file from parsing, test runs and the user's hints; raises like ``describe_onnx``."""
        if hints.predictor:  # The description also depends on the predictor's file and the style pictures
            return graph_model(path, describe_onnx(path, hints))
        stat = path.stat()
        if hints == NO_HINTS and (model := exported_graph(path, read_graph(path))):
            return model
        return graph_model(path, _cached_description(path.absolute(), stat.st_mtime_ns, stat.st_size, hints))

    @staticmethod
    def check_bytes(path: Path, data: bytes, channels: int) -> None:
        """Check a graph in memory as ``describe`` does; ``path`` names the file in errors. Raises ModelError.

        ``channels``: the number of the model's input channels, which the graph of an exported model also has.
        """
        check_graph(path, parse_graph(data, path), (*CHANNEL_COUNTS, channels))

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the file's bytes as the weight 'data' (uint8), and the style vectors as the weight 'styles'."""
        return graph_weights(path.read_bytes(), model)


def exported_graph(path: Path, graph: Graph, text: str | bytes = b"") -> ForeignModel | None:
    """Return the model of a graph that 'vidtrans model export' wrote, or None; ``text``: its separate description.

    A graph that was converted from TorchScript does not contain its description. Raises ModelError.
    """
    exported = ExportedModel.read(text or graph.metadata.get(METADATA_KEY, ""))
    if exported is None:
        return None
    channels = 3 if exported.whole else exported.in_channels
    port = check_graph(path, graph, (*CHANNEL_COUNTS, channels)).picture
    layout = "nhwc" if port.kind == "uint8" else "nchw"
    if port.shape is None or len(port.shape) != 4 or port.shape[layout.index("c")] != channels:
        return None
    factor = exported.input_pairing(path).upscale_factor if exported.whole else 1
    settings = {
        "bytes": path.stat().st_size,
        "layout": layout,
        "kind": port.kind,
        "out_layout": layout,
        "enlarges": factor,
    }
    ports = range_ports(0, 255 if port.kind == "uint8" else 1) if exported.whole else {}
    return exported.model(path, FAMILY, {"name": ONNX_GRAPH, "settings": settings}, ports)


def graph_weights(data: bytes, model: ForeignModel) -> dict[str, Any]:
    """Return the weights of an ``OnnxGraph`` from the bytes ``data`` of an ONNX file."""
    import torch

    weights = {"data": torch.frombuffer(bytearray(data), dtype=torch.uint8)}
    return weights | ({"styles": torch.tensor(model.styles)} if model.styles else {})


def graph_model(path: Path, description: OnnxDescription) -> ForeignModel:
    """Return the ``ForeignModel`` for the description of an ONNX graph. Raises ModelError."""
    if description.enlarges > MAX_FACTOR:
        why = f"it enlarges pictures {description.enlarges} times, but at most {MAX_FACTOR} times is supported"
        raise ModelError(str(path), why, "use another network")
    sides = [side for side in (description.generator["height"], description.generator["width"]) if side]
    return ForeignModel(
        family=FAMILY,
        generator={"name": ONNX_GRAPH, "settings": description.generator},
        ports=description.ports,
        size=min(sides) if sides else DEFAULT_SIZE_PX,
        pairing=_pairing(description),
        styles=description.looks.vectors if description.looks else (),
        notes=tuple(
            f"{FINDING_LABELS[subject]}: {finding.value} ({'' if finding.is_sure else 'likely: '}{finding.reason})"
            for subject, finding in description.findings.items()
        ),
    )


def _pairing(description: OnnxDescription) -> Table:
    """Return the pairing 'look' for a graph with styles, 'enlarge' for a graph that enlarges, otherwise 'aligned'."""
    if description.looks:
        return {"name": "look", "settings": {"looks": list(description.looks.names), "strokes": False}}
    if description.enlarges > 1:
        return {"name": "enlarge", "settings": {"factor": description.enlarges}}
    return {"name": "aligned", "settings": {}}


@lru_cache(maxsize=16)
def _cached_description(path: Path, mtime_ns: int, size: int, hints: Hints) -> OnnxDescription:
    """Return ``describe_onnx``'s result, cached while the file's modification time and size stay the same."""
    return describe_onnx(path, hints)
