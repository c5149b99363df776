"""Test an ONNX file in a separate process, which imports NumPy and ONNX Runtime and prints one JSON object.

The process may be killed at any time, cannot write files, and has limits on memory and time. The test pictures are
synthetic, with the statistics of photographs: overlapping discs of all sizes ("dead leaves": Lee, Mumford and Huang,
"Occlusion Models for Natural Images", IJCV 2001) with shading and fine texture.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.child_process import limit_resources, module_command, take_output
from vidtrans.core.errors import ModelError, UsageError, first_line
from vidtrans.core.machine import cores, import_onnx_runtime, start_onnx_session
from vidtrans.core.settings import Table
from vidtrans.interop.onnx.checks import fixed_sides, input_layouts
from vidtrans.interop.onnx.graph_reading import REMEDY, Graph, Port
from vidtrans.interop.onnx.ranges import input_affine

TIMEOUT_S = 240  # Time limit of the test process, in seconds.
MEMORY_BYTES = 8 << 30  # Limit of the test process's address space in bytes; ONNX Runtime reserves more than it uses.
STYLE_SIDE_PX = 256  # Side of a square style picture in pixels, for a predictor that accepts any size.
# Number of copies of the file in memory while ONNX Runtime creates a session; it increases the memory limit.
NUM_FILE_COPIES = 4
COMMAND = module_command("vidtrans.interop.onnx.trial")  # Command line of the test process.

# Sizes (height, width) in pixels to try if sides are free: multiples of 2^n, then of 32 · 7, 9 · 28, 48 and 512.
BASE_SIZES = ((256, 512), (224, 448), (252, 504), (240, 480), (512, 1024))
# Numbers of pixels of which a network's input sides may have to be multiples, in the order of the tests.
MULTIPLES = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 128, 256)
SCALE_FACTORS = (1, 2, 3, 4, 8, 16)  # Possible factors between input and output size.
# Quantiles of the output values, from 0 to 1, by which ranges are chosen.
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SEEDS = (0, 1)  # Seeds of the synthetic test pictures.
# Change of the output, as a share of its standard deviation, above which tiles would have visible seams.
SEAM_THRESHOLD = 0.02
# (output index, axis order, channels, size factor) of an output that is a picture; the factor is −n for 1/n.
OutputView = tuple[int, str, int, int]
NUM_DISCS = 260  # Number of discs in a synthetic picture.
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 weights of R'G'B'


@dataclass(frozen=True)
class Trial:
    """The result of testing a network.

    Attributes:
        layout: Axis order of the input, such as 'nchw'.
        channels: Number of the input's channels.
        size: The input's fixed (height, width) in pixels; None if the size is free.
        multiple: Number of pixels of which the input's sides must be multiples.
        index: Index of the chosen output among the graph's outputs.
        out_layout: Axis order of the chosen output.
        out_channels: Number of the chosen output's channels.
        factor: Size of the chosen output divided by the input size; negative for the inverse factor of a smaller one.
        sees_whole: Whether an output pixel depends on distant input pixels; tested for fixed sizes only.
        pictures: Number of the graph's outputs that are pictures.
        ranges: Statistics of the chosen output by the name of the input range, for ``ranges.choose_ranges``.
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
    if find_spec("onnxruntime") is None:
        raise UsageError(what, "ONNX Runtime is not installed", "pip install 'vidtrans[onnx]'")


def run_trial(
    path: Path, graph: Graph, port: Port, ranges: Sequence[str], layout: str = "", style: Table | None = None
) -> Trial:
    """Test a network with each of the named input ``ranges``. ``layout``: 'nchw' or 'nhwc'; '' tests both.

    ``port``: the picture input; ``style``: the values of the style input, see ``StyleLooks.feed``. Raises ModelError if
    no output is a picture, or if the network needs too much time or memory; UsageError without ONNX Runtime.
    """
    request = _trial_request(path, port, ranges, layout)
    request |= {"outputs": [out.name for out in graph.outputs], "style": style}
    answer = run_request(path, COMMAND, request, TIMEOUT_S)
    return Trial(**answer | {"size": tuple(answer["size"]) if answer["size"] else None})


def predict_styles(
    path: Path, port: Port, input_range: str, length: int, read_pictures: Callable[[int, int], Sequence[np.ndarray]]
) -> tuple[tuple[float, ...], ...]:
    """Return the style vectors, of ``length`` numbers each, that a predictor network computes for pictures.

    ``port``: the predictor's input; ``input_range``: the name of its value range; ``read_pictures(width, height)``
    returns the pictures in this size, (H, W, 3) uint8. Raises ModelError if the predictor returns no styles, UsageError
    without ONNX Runtime.
    """
    request = _trial_request(path, port, [input_range])
    height, width = (request["height"] or request["width"], request["width"] or request["height"])
    pictures = read_pictures(width or STYLE_SIDE_PX, height or STYLE_SIDE_PX)
    request["pictures"] = [[base64.b64encode(each.tobytes()).decode(), each.shape] for each in pictures]
    remedy = "give the network that predicts this network's styles"
    answer = run_request(path, COMMAND, request | {"length": length}, TIMEOUT_S, remedy)
    if not np.isfinite(answer["vectors"]).all():
        raise ModelError(str(path), "it gives a style that is not finite (NaN or infinite)", "give another picture")
    return tuple(tuple(vector) for vector in answer["vectors"])


def _trial_request(path: Path, port: Port, ranges: Sequence[str], layout: str = "") -> Table:
    """Return the request by which the test process runs a network with picture input ``port``. Raises UsageError.

    ``ranges``: names of the input ranges to try; ``layout``: 'nchw', 'nhwc', or '' for both.
    """
    check_installed(str(path))
    layouts = [feed for feed in input_layouts(port) if not layout or feed[0].endswith(layout.removeprefix("n"))]
    if not layouts:
        raise UsageError(f"--layout {layout}", f"the input of {path} has another layout", "leave out --layout")
    height, width = fixed_sides(port, layouts[0][0])
    shape = port.shape or ()
    return {
        "path": str(path.absolute()),
        "threads": cores(),
        "memory": MEMORY_BYTES + NUM_FILE_COPIES * path.stat().st_size,
        "seconds": TIMEOUT_S,
        "input": port.name,
        "kind": port.kind,
        "feeds": layouts,
        "batch": shape[0] if len(shape) == 4 and isinstance(shape[0], int) else 1,
        "height": height,
        "width": width,
        "ranges": [(name, *input_affine(name, layouts[0][1])) for name in ranges],
    }


def run_request(
    path: Path, command: Sequence[str], request: Table, timeout_s: float, remedy: str = REMEDY
) -> dict[str, Any]:
    """Return the answer of a process with limits that runs the network in a file. The process reads and prints JSON.

    Raises ModelError if it runs longer than ``timeout_s`` or crashes; with ``remedy``, if its answer contains an error.
    """
    try:
        done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=timeout_s)
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise ModelError(str(path), f"it runs for more than {timeout_s} s", "use a smaller network") from None
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        why = f"it crashes the process that runs it ({': '.join([f'status {done.returncode}', *last])[:200]})"
        raise ModelError(str(path), why, "do not use this file") from None
    if answer.get("error"):
        raise ModelError(str(path), str(answer["error"]), remedy)
    return answer


class TrialError(Exception):
    """The network is unusable; the message is the reason."""


def main() -> None:
    """Answer one request: test the network, or predict style vectors if the request has pictures."""
    with answer_request() as (request, answer):
        import_onnx_runtime()  # Before the limits are set, because the import writes a temporary file
        limit_resources(request["memory"], request["seconds"] * request["threads"], writes=False)
        run = TrialRun(request)
        answer |= run.predict() if "pictures" in request else run.find()


@contextmanager
def answer_request() -> Iterator[tuple[Table, Table]]:
    """Yield a request, parsed from standard input, and a table for the answer, which is printed as JSON at the end.

    A TrialError or a lack of memory becomes the ``error`` in the answer.
    """
    request, answer = json.load(sys.stdin), Table()
    output = take_output()
    try:
        yield request, answer
    except TrialError as error:
        answer["error"] = str(error)
    except MemoryError:
        answer["error"] = "it takes too much memory"
    with output:
        output.write(json.dumps(answer).encode())


class TrialRun:
    """The test of one network: its session, the request, and the axis order and number of channels of its input."""

    def __init__(self, request: Table) -> None:
        """Create the session of the network that the request names. Raises TrialError if ONNX Runtime refuses it."""
        try:
            self.session = start_onnx_session(Path(request["path"]).read_bytes(), request["threads"])
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime has a dozen exception classes
            raise TrialError(f"ONNX Runtime refuses it: {first_line(error)}") from None
        self.request = request
        self.layout, self.channels = "", 0

    def find(self) -> Table:
        """Return the fields of ``Trial``: axis orders, sizes, output statistics per input range. Raises TrialError."""
        size, outputs, views = self._first_run()
        view = self._choose_output(views, outputs)
        fixed = self.request["height"] is not None or self.request["width"] is not None
        multiple = 0 if fixed else self._multiple(size, view)
        return {
            "layout": self.layout,
            "channels": self.channels,
            "size": size if not multiple else None,
            "multiple": multiple or 1,
            **dict(zip(("index", "out_layout", "out_channels", "factor"), view, strict=True)),
            "pictures": len({v[0] for v in views}),
            "sees_whole": self._sees_whole(size, view) if not multiple else False,
            "ranges": self._try_ranges(size, view),
        }

    def predict(self) -> Table:
        """Return a predictor's style vectors for the pictures in the request. Raises TrialError."""
        pictures = [
            np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape) / 255
            for text, shape in self.request["pictures"]
        ]
        return {"vectors": [self._predict_vector(picture) for picture in pictures]}

    def _predict_vector(self, picture: np.ndarray) -> list[float]:
        """Return the predictor's style vector for one picture (H, W, 3) in [0, 1]. Raises TrialError."""
        reason = ""
        for layout, channels in self.request["feeds"]:
            self.layout, self.channels = layout, channels
            try:
                outputs = self._run(picture, *self.request["ranges"][0][1:])
            except TrialError as error:
                reason = reason or f"it does not run: {error}"
                continue
            vectors: list[list[float]] = [o.ravel().tolist() for o in outputs if o.size == self.request["length"]]
            if vectors:
                return vectors[0]
            shapes = ", ".join(str(list(o.shape)) for o in outputs[:8])
            reason = f"no output is a style of {self.request['length']} numbers (its outputs are {shapes})"
        raise TrialError(reason)

    def _first_run(self) -> tuple[tuple[int, int], list[np.ndarray], list[OutputView]]:
        """Return a valid input (height, width), the outputs for it, and views of the outputs that are pictures."""
        reason = ""
        height, width = self.request["height"], self.request["width"]
        sizes = [(height or width, width or height)] if height or width else BASE_SIZES
        for size in sizes:
            for layout, channels in self.request["feeds"]:
                self.layout, self.channels = layout, channels
                try:
                    outputs = self._run_first_range(size)
                except TrialError as error:
                    reason = reason or f"it does not run: {error}"
                    continue
                views = list(_output_views(outputs, size))
                if views:
                    return size, outputs, views
                shapes = ", ".join(str(list(o.shape)) for o in outputs[:8])
                reason = f"no output is a picture (its outputs are {shapes} for {size[1]}x{size[0]} pixels)"
        raise TrialError(reason)

    def _run_first_range(self, size: tuple[int, int]) -> list[np.ndarray]:
        """Run the network on a synthetic picture of a (height, width), with the first input range of the request."""
        return self._run(trial_picture(size[0], size[1], SEEDS[0]), *self.request["ranges"][0][1:])

    def _multiple(self, base: tuple[int, int], view: OutputView) -> int:
        """Return the number of pixels of which input sides must be multiples; 0 if only the size ``base`` works.

        It is the smallest of ``MULTIPLES`` that divides the (height, width) ``base`` and by which both can grow.
        """
        for multiple in MULTIPLES:
            if any(side % multiple for side in base):
                continue
            size = base[0] + multiple, base[1] + multiple
            try:
                outputs = self._run_first_range(size)
            except TrialError:
                continue
            if view in _output_views(outputs, size):
                return multiple
        return 0

    def _sees_whole(self, size: tuple[int, int], view: OutputView) -> bool:
        """Return whether a corner of the output depends on distant input pixels."""
        first, second = trial_picture(*size, SEEDS[0]), trial_picture(*size, SEEDS[1]).copy()
        height, width = size
        # The inputs are equal in their top left quarter. Compare the outputs in the top left corner (1/8 per side).
        second[: height // 2, : width // 2] = first[: height // 2, : width // 2]
        scale, shift = self.request["ranges"][0][1:]
        outputs = [_picture(self._run(picture, scale, shift)[view[0]], view) for picture in (first, second)]
        rows, columns = (max(n // 8, 1) for n in outputs[0].shape[1:])
        corners = [picture[:, :rows, :columns] for picture in outputs]
        return bool(np.abs(corners[0] - corners[1]).mean() > SEAM_THRESHOLD * outputs[0].std())

    def _choose_output(self, views: list[OutputView], outputs: list[np.ndarray]) -> OutputView:
        """Return the view of the main output: preferably of the input's size and in colour, and fused from the others.

        ``views``: the outputs that are pictures.
        """
        best = max((v[3] == 1, v[2] >= 3) for v in views)
        views = [v for v in views if (v[3] == 1, v[2] >= 3) == best]
        fused = [v for v in views if "fus" in self.request["outputs"][v[0]].lower()]
        if fused or len(views) == 1:
            return (fused or views)[0]
        if len({v[2] for v in views}) > 1:
            return views[0]
        # Among side outputs and their fusion, the fusion correlates most with their mean.
        pictures = [_picture(outputs[v[0]], v) for v in views]
        mean_picture = np.mean([(p - p.mean()) / (p.std() + 1e-9) for p in pictures], axis=0)
        return max(zip(views, pictures, strict=True), key=lambda pair: correlation(pair[1], mean_picture))[0]

    def _run(self, picture: np.ndarray, scale: list[float], shift: list[float]) -> list[np.ndarray]:
        """Return the outputs for a picture (H, W, 3) in [0, 1], times ``scale`` plus ``shift``. Raises TrialError."""
        x = picture if self.channels >= 3 else luminance(picture)[..., None]
        # Scale and shift have one number, or one number per channel; a single channel uses the first number.
        x = x * np.array(scale)[: x.shape[2]] + np.array(shift)[: x.shape[2]]
        if self.channels == 4:
            opaque = np.full_like(x[..., :1], scale[0] + shift[0])
            x = np.concatenate([x, opaque], axis=2)
        x = x if self.layout.endswith("c") else x.transpose(2, 0, 1)
        kind = self.request["kind"]
        x = np.rint(x).clip(0, 255).astype(kind) if kind == "uint8" else x.astype(kind)
        if self.layout.startswith("n"):
            x = np.repeat(x[None], self.request["batch"], axis=0)
        session_inputs = {self.request["input"]: np.ascontiguousarray(x)}
        if style := self.request.get("style"):
            session_inputs[style["input"]] = np.array(style["values"], style["kind"]).reshape(style["shape"])
        try:
            outputs = self.session.run(None, session_inputs)
        except MemoryError:
            raise
        except Exception as error:
            raise TrialError(first_line(error)) from None
        return [o if isinstance(o, np.ndarray) else np.empty(0) for o in outputs]

    def _try_ranges(self, size: tuple[int, int], view: OutputView) -> Table:
        """Return statistics of the output ``view`` on synthetic pictures of ``size`` (height, width), by input range.

        They include the correlations of the outputs for different ranges.
        """
        statistics: Table = {}
        outputs: dict[str, np.ndarray] = {}
        for name, scale, shift in self.request["ranges"]:
            pictures = [trial_picture(*size, seed) for seed in SEEDS]
            results = [_picture(self._run(p, scale, shift)[view[0]], view) for p in pictures]
            output = np.stack(results)
            if not np.isfinite(output).all():
                continue
            repeated = output[0] if outputs else _picture(self._run(pictures[0], scale, shift)[view[0]], view)
            if not np.array_equal(repeated, output[0]):
                raise TrialError("its output differs between runs on the same input")
            outputs[name] = output
            greys = [(luminance(p), _resize_grey(g.mean(axis=0), size)) for p, g in zip(pictures, results, strict=True)]
            statistics[name] = {
                "quantiles": np.quantile(output, QUANTILES).tolist(),
                "deviation": float(output.std()),
                "clipped": float(np.mean((output == output.min()) | (output == output.max()))),
                "structure": float(np.mean([structure(*pair) for pair in greys])),
                "content": float(np.mean([correlation(*pair) for pair in greys])),
                "alike": {
                    other: correlation(_crop_border(output), _crop_border(outputs[other]))
                    for other in outputs
                    if other != name
                },
            }
        if not statistics:
            raise TrialError("its output has values that are not finite (NaN or infinite) for ordinary pictures")
        if all(stats["deviation"] < 1e-6 for stats in statistics.values()):
            raise TrialError("its output does not depend on its input")
        return statistics


def _crop_border(pictures: np.ndarray) -> np.ndarray:
    """Crop an eighth at each border of (N, C, H, W), where the effect of zero padding depends on the value range."""
    rows, columns = (side // 8 for side in pictures.shape[2:])
    return pictures[:, :, rows : pictures.shape[2] - rows, columns : pictures.shape[3] - columns]


def _output_views(outputs: list[np.ndarray], size: tuple[int, int]) -> Iterator[OutputView]:
    """Yield a view of each network output that is a picture; ``size``: the input's (height, width)."""
    for index, output in enumerate(outputs):
        if output.dtype.kind not in "fu" or not output.size:
            continue
        shape = output.shape
        for layout in {4: ("nchw", "nhwc"), 3: ("nhw", "chw", "hwc"), 2: ("hw",)}.get(len(shape), ()):
            sides = shape[layout.index("h")], shape[layout.index("w")]
            channels = shape[layout.index("c")] if "c" in layout else 1
            factor = _size_factor(sides, size)
            if factor and channels in (1, 3, 4) and (layout != "nhw" or shape[0] == 1):
                yield index, layout, channels, factor
                break


def _size_factor(sides: tuple[int, int], size: tuple[int, int]) -> int:
    """Return the factor from ``size`` to ``sides`` as an integer, −n for the factor 1/n; 0 if there is none."""
    for factor in SCALE_FACTORS:
        if all(out == factor * side for out, side in zip(sides, size, strict=True)):
            return factor
        if all(out * factor == side for out, side in zip(sides, size, strict=True)):
            return -factor
    return 0


def _picture(output: np.ndarray, view: OutputView) -> np.ndarray:
    """Return the first picture of an output as (C, H, W) float64, with at most three channels."""
    _, layout, _, _ = view
    picture = output[0] if layout.startswith("n") else output
    layout = layout.removeprefix("n")
    if layout == "hwc":
        picture = picture.transpose(2, 0, 1)
    return (picture if picture.ndim == 3 else picture[None])[:3].astype(np.float64)


def _resize_grey(grey: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a grey picture to (height, width) by an integer factor: block means, or repeated pixels."""
    height, width = size
    if grey.shape[0] > height:
        return grey.reshape(height, grey.shape[0] // height, width, grey.shape[1] // width).mean(axis=(1, 3))
    return np.repeat(np.repeat(grey, height // grey.shape[0], 0), width // grey.shape[1], 1)


@lru_cache(maxsize=16)  # A picture has a few megabytes; all value ranges use the same pictures
def trial_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a synthetic picture, (height, width, 3) float64 in [0, 1], read-only and determined by the seed."""
    rng = np.random.default_rng(seed)
    side = min(height, width)
    rows, columns = np.mgrid[0:height, 0:width] / side
    picture = np.empty((height, width, 3))
    picture[:] = 0.25 + 0.5 * rng.random(3)
    # The density of the discs' radii is proportional to r^-3, as for occluding objects at all distances.
    radii = 1 / np.sqrt(rng.uniform(1 / 0.5**2, 1 / 0.015**2, NUM_DISCS))
    for radius in sorted(radii, reverse=True):
        y, x = rng.random(2) * (height, width) / side
        grey, tint = rng.beta(0.9, 0.9), rng.normal(0, 0.13, 3)
        slope = rng.normal(0, 0.35, 2)
        top, bottom = (round(np.clip((y + s * radius) * side, 0, height)) for s in (-1, 1))
        left, right = (round(np.clip((x + s * radius) * side, 0, width)) for s in (-1, 1))
        part = np.s_[top:bottom, left:right]
        dy, dx = rows[part] - y, columns[part] - x
        inside = dy**2 + dx**2 <= radius**2
        shade = grey * (1 + slope[0] * dy / radius + slope[1] * dx / radius)
        picture[part] = np.where(inside[..., None], shade[..., None] + tint, picture[part])
    grain = rng.normal(0, 0.02, (height, width, 1))
    picture = np.clip(picture + grain, 0, 1)
    picture.setflags(write=False)
    return picture


def luminance(picture: np.ndarray) -> np.ndarray:
    """Return the luminance (H, W) of a picture (H, W, 3), by ITU-R BT.601."""
    return picture @ LUMINANCE


def structure(picture: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of the gradient magnitudes of two grey pictures (H, W), −1 to 1; 0 if one is constant."""
    changes = [np.hypot(*np.gradient(grey)).ravel() for grey in (picture, other)]
    return correlation(*changes)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays of equal shape; 0 if one of them is constant."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 1e-12 else 0.0
