"""The ``.pict`` files of pix2pix-tensorflow's web client, which programs for Unity read as well.

Three parts, each behind its length as a big-endian number of 4 bytes: JSON, a list of {"name", "shape"}; 256 float32
values; a byte for each weight, which names one of them. So a file is a quarter of its network.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.models.families.base import COUNTER, STATISTICS, Layout, Shape, Shapes, side, value_of
from vidtrans.models.families.unet import NAMES
from vidtrans.models.formats.foreign import NO_HINTS, ForeignFormat, ForeignModel, Hints
from vidtrans.models.formats.tensorflow_kernels import check_layout, checked_shape, to_torch

MAX_LIST = 1 << 20  # bytes of the names and shapes
MAX_VARIABLES = 1000
VALUES = 256
MAX_HALVINGS = 9
ENCODER = re.compile(r"generator/encoder_([1-9])/conv2d/kernel")
COPY = "copy it again"


class PictFormat(ForeignFormat):
    """pix2pix-tensorflow's generator with weights of 256 values."""

    suffixes = (".pict",)

    def detect(self, path: Path) -> bool:
        """Return whether it begins with a list of names and shapes of the length that it says."""
        with path.open("rb") as file:
            length = int.from_bytes(file.read(4), "big")
            head = file.read(min(length, MAX_LIST)) if 0 < length <= MAX_LIST else b""
            second = file.read(4)
        is_list = re.match(rb"\s*\[\s*\{", head) is not None and b'"name"' in head and b'"shape"' in head
        return is_list and second in (b"", (4 * VALUES).to_bytes(4, "big"))

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return the network of as many halvings as the file has encoders. Raises ModelError."""
        shapes = read_parts(path).shapes
        settings, layout, inputs, outputs = _network(shapes)
        check_layout(path, layout, shapes, "pix2pix-tensorflow's generator")
        halvings = settings["downsamplings"]
        return ForeignModel(
            family="pict",
            generator={"name": NAMES.get(halvings, "unet-256"), "settings": settings},
            ports={"in_channels": inputs, "out_channels": outputs},
            size=2**halvings,
            origin={"statistics": False},
            dark_lines=True,
            notes=("its file has no statistics: its norms use those of each picture, or of a clip (--calibrate)",),
        )

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the generator's tensors by our names."""
        import torch

        parts = read_parts(path)
        layout = _network(parts.shapes)[1]
        with path.open("rb") as file:
            file.seek(parts.values_at)
            values = torch.frombuffer(bytearray(file.read(4 * VALUES)), dtype=torch.float32)
            weights = {
                ours: to_torch(_read_variable(file, parts, theirs, values)) for ours, theirs in layout.names.items()
            }
        return weights | {ours: value_of(constant) for ours, constant in layout.constants.items()}


@dataclass(frozen=True)
class PictParts:
    """Where things are in a file: the bytes at which its values begin, and each variable's indices."""

    shapes: dict[str, Shape]
    values_at: int
    places: dict[str, int]


def read_parts(path: Path) -> PictParts:
    """Return where a file's parts are; they fill it. Raises ModelError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(4), "big")
        if not 0 < length <= min(size, MAX_LIST):
            raise ModelError(str(path), "its list of variables is cut off, or absurdly long", COPY)
        shapes = _shapes(path, file.read(length))
        values_at = 4 + length + 4
        is_whole = int.from_bytes(file.read(4), "big") == 4 * VALUES
        file.seek(values_at + 4 * VALUES)
        indices = int.from_bytes(file.read(4), "big")
    begin, total = values_at + 4 * VALUES + 4, sum(math.prod(shape) for shape in shapes.values())
    if not is_whole or indices != total or size != begin + total:
        why = f"it has {max(0, size - begin)} bytes of weights, not the {total} of its variables"
        raise ModelError(str(path), why if is_whole else f"it has no table of {VALUES} values", COPY)
    places = {}
    for name, shape in shapes.items():
        places[name] = begin
        begin += math.prod(shape)
    return PictParts(shapes, values_at, places)


def _shapes(path: Path, data: bytes) -> dict[str, Shape]:
    """Return the shapes of a file's variables by name, in the order of the file. Raises ModelError."""
    try:
        listed = json.loads(data)
    except (ValueError, RecursionError):
        listed = None
    shapes: dict[str, Shape] = {}
    for entry in listed if isinstance(listed, list) and len(listed) <= MAX_VARIABLES else ():
        name = entry.get("name") if isinstance(entry, dict) else None
        shape = checked_shape(entry.get("shape")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or shape is None or name in shapes:
            raise ModelError(str(path), "a variable in its list has no name, no shape, or stands there twice", COPY)
        shapes[name] = shape
    if not shapes:
        raise ModelError(str(path), "its list of variables is damaged", COPY)
    return shapes


def _read_variable(file: BinaryIO, parts: PictParts, name: str, values: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return a variable's tensor, of the values that its indices name."""
    import torch

    shape = parts.shapes[name]
    file.seek(parts.places[name])
    indices = torch.frombuffer(bytearray(file.read(math.prod(shape))), dtype=torch.uint8)
    return values[indices.long()].reshape(shape)


def _network(shapes: Shapes) -> tuple[Table, Layout, int, int]:
    """Return settings, layout and channels in and out of the network that variables are nearest to."""
    numbers = {int(found[1]) for name in shapes if (found := ENCODER.fullmatch(name))}
    depth = min(max(3, len(numbers)), MAX_HALVINGS)
    first = "generator/encoder_1/conv2d/kernel"
    width, inputs = side(shapes, first, 3, 1), side(shapes, first, 2, 1)
    outputs = side(shapes, "generator/decoder_1/conv2d_transpose/kernel", 2, 3)
    settings: Table = {"channels": width, "downsamplings": depth, "norm": "picture"}
    settings |= {"inner_norm": True, "conv_bias": True}
    layout, widths = Layout(shapes), [width * min(2**i, 8) for i in range(depth)]
    for i, (a, b) in enumerate(zip([inputs, *widths[:-1]], widths, strict=True)):
        at = 0 if i == 0 else 1
        _layer(layout, f"down.{i}.{at}", f"generator/encoder_{i + 1}/conv2d", (4, 4, a, b), b)
        if i:
            _norm(layout, f"down.{i}.{at + 1}", f"generator/encoder_{i + 1}", b)
    for i in range(depth - 1, 0, -1):
        taken, scope = widths[i] * (1 if i == depth - 1 else 2), f"generator/decoder_{i + 1}"
        ours = f"up.{depth - 1 - i}"
        _layer(layout, f"{ours}.1", f"{scope}/conv2d_transpose", (4, 4, widths[i - 1], taken), widths[i - 1])
        _norm(layout, f"{ours}.2", scope, widths[i - 1])
    _layer(layout, "head.1", "generator/decoder_1/conv2d_transpose", (4, 4, outputs, 2 * width), outputs)
    return settings, layout, inputs, outputs


def _layer(layout: Layout, ours: str, theirs: str, kernel: Shape, outputs: int) -> None:
    layout.tensor(f"{ours}.weight", f"{theirs}/kernel", kernel)
    layout.tensor(f"{ours}.bias", f"{theirs}/bias", (outputs,))


def _norm(layout: Layout, ours: str, scope: str, channels: int) -> None:
    """Lay out a norm, whose files hold no statistics."""
    layout.tensor(f"{ours}.weight", f"{scope}/batch_normalization/gamma", (channels,))
    layout.tensor(f"{ours}.bias", f"{scope}/batch_normalization/beta", (channels,))
    for name, value in zip(STATISTICS, (0.0, 1.0), strict=True):
        layout.constants[f"{ours}.{name}"] = ((channels,), value)
    layout.constants[f"{ours}.{COUNTER}"] = ((), 0)
