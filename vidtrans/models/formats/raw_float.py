"""Fast neural style for web pages: a manifest, and the raw float32 numbers of each variable in a file beside it.

deeplearn.js and TensorFlow.js clients read them. ``manifest.json`` is a table of {"filename", "shape"} by the names of
variables: ``Variable``, ``Variable_1`` … are a kernel, a shift and a scale for each of the network's layers, in order.
TensorFlow's kernels are (height, width, inputs, outputs), of transposed convolutions (height, width, outputs, inputs).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.models.families.base import Layout, Shape, Shapes, side
from vidtrans.models.families.fast_style import KERNEL
from vidtrans.models.families.resnet import FRAME
from vidtrans.models.formats.foreign import NO_HINTS, ForeignFormat, ForeignModel, Hints
from vidtrans.models.formats.tensorflow_kernels import check_layout, checked_shape, to_torch

MAX_MANIFEST = 1 << 20
MAX_VARIABLES = 1000
AROUND = 6  # layers that are not in residual blocks: three down, two up, the last
NORM_EPS = 1e-3
SWING = 150 / 127.5  # the network gives 127.5 ± 150 for tanh's ±1
COPY = "copy the whole folder again"


class RawFloatFormat(ForeignFormat):
    """A folder of raw floats, named by its ``manifest.json``."""

    suffixes = ()  # a bare name never means one

    def detect(self, path: Path) -> bool:
        """Return whether it is a table of files with shapes, one of which is ``Variable``."""
        with path.open("rb") as file:
            head = file.read(MAX_MANIFEST + 1)
        if len(head) > MAX_MANIFEST or not head.lstrip().startswith(b"{") or b'"filename"' not in head:
            return False
        try:
            entry = json.loads(head).get("Variable")
        except (ValueError, RecursionError):
            return False
        return isinstance(entry, dict) and {"filename", "shape"} <= set(entry)

    def files(self, path: Path) -> list[Path]:
        """Return the manifest and all files of variables."""
        return [path, *(file for file, _ in read_manifest(path).values())]

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return the network of as many blocks as there are variables for. Raises ModelError."""
        shapes = {name: shape for name, (_, shape) in read_manifest(path).items()}
        settings, layout = _network(shapes)
        check_layout(path, layout, shapes, "fast neural style in raw floats")
        return ForeignModel(
            family="raw-float-style",
            generator={"name": "style-net", "settings": settings},
            ports={"in_scale": (127.5,), "in_shift": (127.5,), "out_scale": (SWING,)},
            size=256,
            pairing=FRAME,
        )

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the generator's tensors by our names."""
        import torch

        variables = read_manifest(path)
        layout = _network({name: shape for name, (_, shape) in variables.items()})[1]
        weights = {}
        for ours, theirs in layout.names.items():
            file, shape = variables[theirs]
            data = bytearray(file.read_bytes())
            if len(data) != 4 * math.prod(shape):
                raise ModelError(str(file), "its size changed while it was read", COPY)
            weights[ours] = to_torch(torch.frombuffer(data, dtype=torch.float32).reshape(shape))
        return weights


def read_manifest(path: Path) -> dict[str, tuple[Path, Shape]]:
    """Return the file and the shape of each variable; each file has the size of its shape. Raises ModelError."""
    if path.stat().st_size > MAX_MANIFEST:
        raise ModelError(str(path), "its manifest is absurdly large", "do not use this file")
    try:
        table = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not 0 < len(table) <= MAX_VARIABLES:
        raise ModelError(str(path), "its manifest is no table of variables", COPY)
    found = {name: _entry(path, name, entry) for name, entry in table.items()}
    if len({file for file, _ in found.values()}) != len(found):
        raise ModelError(str(path), "two of its variables are in one file", COPY)
    return found


def _entry(path: Path, name: str, entry: object) -> tuple[Path, Shape]:
    """Return a variable's file, which lies in the manifest's folder, and its shape. Raises ModelError."""
    filename = entry.get("filename") if isinstance(entry, dict) else None
    shape = checked_shape(entry.get("shape") if isinstance(entry, dict) else None)
    if not isinstance(filename, str) or shape is None:
        raise ModelError(str(path), f"its variable '{name[:80]}' has no file or no shape", COPY)
    is_plain = filename not in ("", ".", "..") and not set(filename) & set("/\\:\0") and len(filename) < 256
    file = path.parent / filename if is_plain else path
    if not is_plain or not _is_inside(file, path.parent):
        raise ModelError(str(path), f"its variable '{name[:80]}' is in a file outside its folder", "do not use it")
    if not file.is_file():
        raise ModelError(str(path), f"the file '{filename}' of its variable '{name[:80]}' is missing", COPY)
    if (size := file.stat().st_size) != 4 * math.prod(shape):
        raise ModelError(str(file), f"it has {size} bytes, not the {4 * math.prod(shape)} of its shape", COPY)
    return file, shape


def _is_inside(file: Path, folder: Path) -> bool:
    """Return whether a file, or what a link leads to, lies right in a folder."""
    try:
        return file.resolve().parent == folder.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        return False


def _network(shapes: Shapes) -> tuple[Table, Layout]:
    """Return the settings and the layout of the network that variables are nearest to."""
    first = "Variable"
    layers = len([name for name in shapes if name == first or name.startswith(f"{first}_")]) // 3
    width, blocks = side(shapes, first, 3, 1), max(1, (layers - AROUND) // 2)
    settings: Table = {"channels": width, "blocks": blocks, "padding": "zero", "upsampling": "transposed"}
    settings |= {"norm_eps": NORM_EPS, "head": "tanh", "conv_bias": False}
    layout, number = Layout(shapes), 0

    def layer(ours: str, kernel: int, inputs: int, outputs: int, *, turned: bool = False) -> None:
        nonlocal number
        names = [f"{first}_{n}" if n else first for n in range(number, number + 3)]
        sizes = (outputs, inputs) if turned else (inputs, outputs)
        layout.tensor(f"{ours}.conv.weight", names[0], (kernel, kernel, *sizes))
        layout.tensor(f"{ours}.norm.bias", names[1], (outputs,))
        layout.tensor(f"{ours}.norm.weight", names[2], (outputs,))
        number += 3

    layer("entrance", KERNEL, 3, width)
    layer("down.0", 3, width, 2 * width)
    layer("down.1", 3, 2 * width, 4 * width)
    for i in range(blocks):
        layer(f"blocks.{i}.first", 3, 4 * width, 4 * width)
        layer(f"blocks.{i}.second", 3, 4 * width, 4 * width)
    layer("up.0", 3, 4 * width, 2 * width, turned=True)
    layer("up.1", 3, 2 * width, width, turned=True)
    layer("head", KERNEL, width, 3)
    return settings, layout
