"""The looks of a network that takes a style vector beside the picture: a weight for each look, or predicted numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table
from vidtrans.interop.onnx.checks import GraphInputs, check_graph, style_shape
from vidtrans.interop.onnx.graph_reading import Port, read_graph
from vidtrans.interop.onnx.ranges import known_range
from vidtrans.interop.onnx.trial import predict_styles
from vidtrans.models.foreign_format import Hints
from vidtrans.models.formats import format_of
from vidtrans.networks.ports import MAX_LOOKS

LISTED = 6  # names of looks in a note
USUAL_RANGE = "0..1"  # of a predictor's pictures, unless its graph or the user says another


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
