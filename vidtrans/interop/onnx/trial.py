"""Try an ONNX file in a separate process, with limits on memory and time."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.machine import cores
from vidtrans.core.settings import Table
from vidtrans.core.system import module_command
from vidtrans.interop.onnx.checks import feeds, fixed_sides
from vidtrans.interop.onnx.graph_reading import REMEDY, Graph, Port
from vidtrans.interop.onnx.ranges import input_affine

SECONDS = 240
MEMORY = 8 << 30  # bytes of address space, of which ONNX Runtime reserves more than it uses
PREDICTED_SIDE = 256  # pixels of a square style picture, where the predictor takes any size
COPIES = 4  # copies of the file in memory while a session is created
MODULES = ("onnxruntime", "onnx")
COMMAND = module_command("vidtrans.interop.onnx.trial_process")


@dataclass(frozen=True)
class Trial:
    """The result of a trial.

    Attributes:
        layout: Axis order of the input, such as 'nchw'.
        channels: Number of the input's channels.
        size: The input's fixed (height, width); None if it is free.
        multiple: Number of pixels of which the input's sides must be multiples.
        index: Index of the chosen output among the graph's outputs.
        out_layout: Axis order of the chosen output.
        out_channels: Number of the chosen output's channels.
        factor: How many times larger than the input the chosen output is; negative: smaller.
        sees_whole: Whether an output pixel depends on distant input pixels; tested for fixed sizes only.
        pictures: Number of outputs that are pictures.
        ranges: Statistics of the chosen output for each input range, for ``ranges.choose_ranges``.
    """

    layout: str
    channels: int
    size: tuple[int, int] | None
    multiple: int
    index: int
    out_layout: str
    out_channels: int
    factor: int
    sees_whole: bool
    pictures: int
    ranges: Table


def check_installed(what: str) -> None:
    """Raise UsageError if ONNX Runtime is not installed; ``what`` begins the message."""
    if find_spec(MODULES[0]) is None:
        raise UsageError(what, "ONNX Runtime is not installed", "pip install 'vidtrans[onnx]'")


def run_trial(
    path: Path, graph: Graph, port: Port, ranges: Sequence[str], layout: str = "", style: Table | None = None
) -> Trial:
    """Try a network with each of the input ``ranges``, by name. ``layout``: 'nchw' or 'nhwc' alone; '': both.

    ``port``: its input for the picture; ``style``: what its second input gets, see ``StyleLooks.feed``. Raises
    ModelError if it gives no pictures, or needs too much time or memory; UsageError without ONNX Runtime.
    """
    request = _request(path, port, ranges, layout) | {"outputs": [out.name for out in graph.outputs], "style": style}
    found = _tried(path, request)
    return Trial(**found | {"size": tuple(found["size"]) if found["size"] else None})


def predict_styles(
    path: Path, port: Port, taken: str, length: int, read: Callable[[int, int], Sequence[np.ndarray]]
) -> tuple[tuple[float, ...], ...]:
    """Return the style vectors, of ``length`` numbers each, that a predictor gives for pictures.

    ``port``: its input; ``taken``: the name of its range; ``read(width, height)`` returns the pictures, (H, W, 3)
    uint8, of its size. Raises ModelError if it gives none, UsageError without ONNX Runtime.
    """
    request = _request(path, port, [taken])
    height, width = (request["height"] or request["width"], request["width"] or request["height"])
    pictures = read(width or PREDICTED_SIDE, height or PREDICTED_SIDE)
    request["pictures"] = [[base64.b64encode(each.tobytes()).decode(), each.shape] for each in pictures]
    found = _tried(path, request | {"length": length}, "give the network that predicts this network's styles")
    if not np.isfinite(found["vectors"]).all():
        raise ModelError(str(path), "it gives a style that is not finite (NaN or infinite)", "give another picture")
    return tuple(tuple(vector) for vector in found["vectors"])


def _request(path: Path, port: Port, ranges: Sequence[str], layout: str = "") -> Table:
    """Return a request to the trial process about the picture input ``port``. Raises UsageError."""
    check_installed(str(path))
    ways = [feed for feed in feeds(port) if not layout or feed[0].endswith(layout.removeprefix("n"))]
    if not ways:
        raise UsageError(f"--layout {layout}", f"the input of {path} has another layout", "leave out --layout")
    height, width = fixed_sides(port, ways[0][0])
    shape = port.shape or ()
    return {
        "path": str(path.absolute()),
        "threads": cores(),
        "memory": MEMORY + COPIES * path.stat().st_size,
        "seconds": SECONDS,
        "input": port.name,
        "kind": port.kind,
        "feeds": ways,
        "batch": shape[0] if len(shape) == 4 and isinstance(shape[0], int) else 1,
        "height": height,
        "width": width,
        "ranges": [(name, *input_affine(name, ways[0][1])) for name in ranges],
    }


def _tried(path: Path, request: Table, remedy: str = REMEDY) -> dict[str, Any]:
    """Return the answer of the trial process. Raises ModelError with the ``remedy`` if that is an error."""
    found = _answer(path, request)
    if "error" in found:
        raise ModelError(str(path), str(found["error"]), remedy)
    return found


def _answer(path: Path, request: Table) -> dict[str, Any]:
    """Run the trial process and return its answer. Raises ModelError if the process times out or crashes."""
    try:
        done = subprocess.run(COMMAND, input=json.dumps(request).encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        why = f"it needs more than {SECONDS} s for a few small pictures"
        raise ModelError(str(path), why, "use a smaller network") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        why = f"ONNX Runtime crashes with it (status {done.returncode}{': ' * bool(last[0])}{last[0][:200]})"
        raise ModelError(str(path), why, "do not use this file") from None
    return answer
