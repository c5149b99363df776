"""Try an ONNX file in a process of its own, which imports NumPy and ONNX Runtime and prints one JSON object.

The process may be killed at any time, cannot write files, and has limits on memory and time. The pictures to try
networks on are synthetic, with the statistics of photographs: overlapping discs of all sizes ("dead leaves": Lee,
Mumford and Huang, "Occlusion Models for Natural Images", IJCV 2001) with shading and fine texture.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import ModelError, UsageError, first_line
from vidtrans.core.machine import cores, import_onnx_runtime
from vidtrans.core.settings import Table
from vidtrans.core.system import module_command
from vidtrans.interop.onnx.checks import feeds, fixed_sides
from vidtrans.interop.onnx.graph_reading import REMEDY, Graph, Port
from vidtrans.interop.onnx.ranges import input_affine

SECONDS = 240  # The time limit of a trial.
MEMORY = 8 << 30  # The bytes of address space, of which ONNX Runtime reserves more than it uses.
PREDICTED_SIDE = 256  # The side in pixels of a style picture, where the predictor takes any size.
COPIES = 4  # The copies of the file in memory while a session is created.
COMMAND = module_command("vidtrans.interop.onnx.trial")

# Sizes (height, width) to try if sides are free: multiples of powers of two, then of 32 · 7, 9 · 28, 48 and 512.
BASES = ((256, 512), (224, 448), (252, 504), (240, 480), (512, 1024))
MULTIPLES = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 128, 256)
FACTORS = (1, 2, 3, 4, 8, 16)  # Possible factors of enlarging or shrinking.
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SEEDS = (0, 1)
TONE = 0.02  # The share of an output's standard deviation above which a change shows as a seam.
# The index of an output, its layout, channels, and factor: negative where it shrinks.
View = tuple[int, str, int, int]
DISCS = 260  # The number of discs in a synthetic picture.
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, of R'G'B'


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
    if find_spec("onnxruntime") is None:
        raise UsageError(what, "ONNX Runtime is not installed", "pip install 'vidtrans[onnx]'")


def run_trial(
    path: Path, graph: Graph, port: Port, ranges: Sequence[str], layout: str = "", style: Table | None = None
) -> Trial:
    """Try a network with each of the input ``ranges``, by name. ``layout``: 'nchw' or 'nhwc' alone; '': both.

    ``port``: its input for the picture; ``style``: what its second input gets, see ``StyleLooks.feed``. Raises
    ModelError if it gives no pictures, or needs too much time or memory; UsageError without ONNX Runtime.
    """
    request = _request(path, port, ranges, layout) | {"outputs": [out.name for out in graph.outputs], "style": style}
    found = _run_request(path, request)
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
    found = _run_request(path, request | {"length": length}, "give the network that predicts this network's styles")
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


def _run_request(path: Path, request: Table, remedy: str = REMEDY) -> dict[str, Any]:
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


class TrialError(Exception):
    """The network cannot be used; the message gives the reason."""


def main() -> None:
    """Try the network of a request, and answer with the result."""
    with answering() as (request, answer):
        runtime = import_onnx_runtime()  # before the limits are set, because it writes a file, which is removed
        limit_process(request["memory"], request["seconds"] * request["threads"])
        run = TrialRun(request, runtime)
        answer |= run.predict() if "pictures" in request else run.find()


@contextmanager
def answering() -> Iterator[tuple[Table, Table]]:
    """Yield a request, JSON from standard input, and a table for the answer, which is then printed as JSON.

    A TrialError, or a lack of memory, becomes the ``error`` in the answer.
    """
    request, answer = json.load(sys.stdin), Table()
    stdout = os.dup(1)
    os.dup2(2, 1)  # output of libraries goes to stderr
    try:
        yield request, answer
    except TrialError as error:
        answer["error"] = str(error)
    except MemoryError:
        answer["error"] = "it takes too much memory"
    with os.fdopen(stdout, "w", encoding="utf-8") as out:
        json.dump(answer, out)


def limit_process(memory: int, cpu_seconds: int, *, writes: bool = False) -> None:
    """Limit this process to a number of bytes and of seconds; ``writes``: it may write files."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limits; the parent has a timeout
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        if not writes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class TrialRun:
    """The trial of one network, with the input layout and channels that work."""

    def __init__(self, request: Table, onnxruntime: Any) -> None:  # noqa: ANN401  (a module without types)
        onnxruntime.set_default_logger_severity(4)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads use no CPU
        try:
            with open(request["path"], "rb") as file:
                self.session = onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime has a dozen exception classes
            raise TrialError(f"ONNX Runtime refuses it: {first_line(error)}") from None
        self.request = request
        self.layout, self.channels = "", 0

    def find(self) -> Table:
        """Return the fields of ``trial.Trial``: layouts and sizes, and output statistics for each input range."""
        size, outputs, views = self._first_run()
        view = self._choose(views, outputs)
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
        """Return the style vectors that a predictor gives for the request's pictures. Raises TrialError."""
        pictures = [
            np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape) / 255
            for text, shape in self.request["pictures"]
        ]
        return {"vectors": [self._vector(picture) for picture in pictures]}

    def _vector(self, picture: np.ndarray) -> list[float]:
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

    def _first_run(self) -> tuple[tuple[int, int], list[np.ndarray], list[View]]:
        """Return a working (height, width), its outputs, and the views of outputs as pictures. Raises TrialError."""
        reason = ""
        height, width = self.request["height"], self.request["width"]
        sizes = [(height or width, width or height)] if height or width else BASES
        for size in sizes:
            for layout, channels in self.request["feeds"]:
                self.layout, self.channels = layout, channels
                try:
                    outputs = self._run_first_range(size)
                except TrialError as error:
                    reason = reason or f"it does not run: {error}"
                    continue
                views = list(_views(outputs, size))
                if views:
                    return size, outputs, views
                shapes = ", ".join(str(list(o.shape)) for o in outputs[:8])
                reason = f"no output is a picture (its outputs are {shapes} for {size[1]}x{size[0]} pixels)"
        raise TrialError(reason)

    def _run_first_range(self, size: tuple[int, int]) -> list[np.ndarray]:
        return self._run(trial_picture(size[0], size[1], SEEDS[0]), *self.request["ranges"][0][1:])

    def _multiple(self, base: tuple[int, int], view: View) -> int:
        """Return the smallest number of pixels of which sides must be multiples; 0 if only the size ``base`` works."""
        for multiple in MULTIPLES:
            if any(side % multiple for side in base):
                continue
            size = base[0] + multiple, base[1] + multiple
            try:
                outputs = self._run_first_range(size)
            except TrialError:
                continue
            if view in _views(outputs, size):
                return multiple
        return 0

    def _sees_whole(self, size: tuple[int, int], view: View) -> bool:
        """Return whether a corner of the output depends on distant parts of the input."""
        one, other = trial_picture(*size, SEEDS[0]), trial_picture(*size, SEEDS[1]).copy()
        height, width = size
        # Two inputs share a quarter, in the top left. Compare a sixteenth of it, its far corner, in the outputs.
        other[: height // 2, : width // 2] = one[: height // 2, : width // 2]
        scale, shift = self.request["ranges"][0][1:]
        made = [_picture(self._run(picture, scale, shift)[view[0]], view) for picture in (one, other)]
        rows, columns = (max(n // 8, 1) for n in made[0].shape[1:])
        corners = [picture[:, :rows, :columns] for picture in made]
        return bool(np.abs(corners[0] - corners[1]).mean() > TONE * made[0].std())

    def _choose(self, views: list[View], outputs: list[np.ndarray]) -> View:
        """Return the main output: preferably of the input's size and in colour; of several, the fused output."""
        best = max((v[3] == 1, v[2] >= 3) for v in views)
        views = [v for v in views if (v[3] == 1, v[2] >= 3) == best]
        chosen = [v for v in views if "fus" in self.request["outputs"][v[0]].lower()]
        if chosen or len(views) == 1:
            return (chosen or views)[0]
        if len({v[2] for v in views}) > 1:
            return views[0]
        # Side outputs and their fusion, which is nearest to the mean of all.
        pictures = [_picture(outputs[v[0]], v) for v in views]
        middle = np.mean([(p - p.mean()) / (p.std() + 1e-9) for p in pictures], axis=0)
        return max(zip(views, pictures, strict=True), key=lambda pair: correlation(pair[1], middle))[0]

    def _run(self, picture: np.ndarray, scale: list[float], shift: list[float]) -> list[np.ndarray]:
        """Run the network on a picture (H, W, 3) in [0, 1], times ``scale`` plus ``shift``. Raises TrialError."""
        x = picture if self.channels >= 3 else luminance(picture)[..., None]
        # A scale has one number for all channels, or one for each, of which a single channel uses the first.
        x = x * np.array(scale)[: x.shape[2]] + np.array(shift)[: x.shape[2]]
        if self.channels == 4:
            opaque = np.full_like(x[..., :1], scale[0] + shift[0])
            x = np.concatenate([x, opaque], axis=2)
        x = x if self.layout.endswith("c") else x.transpose(2, 0, 1)
        kind = self.request["kind"]
        x = np.rint(x).clip(0, 255).astype(kind) if kind == "uint8" else x.astype(kind)
        if self.layout.startswith("n"):
            x = np.repeat(x[None], self.request["batch"], axis=0)
        feeds = {self.request["input"]: np.ascontiguousarray(x)}
        if style := self.request.get("style"):
            feeds[style["input"]] = np.array(style["values"], style["kind"]).reshape(style["shape"])
        try:
            outputs = self.session.run(None, feeds)
        except MemoryError:
            raise
        except Exception as error:
            raise TrialError(first_line(error)) from None
        return [o if isinstance(o, np.ndarray) else np.empty(0) for o in outputs]

    def _try_ranges(self, size: tuple[int, int], view: View) -> Table:
        """Return the statistics of the output pictures for each input range, and their correlations between ranges."""
        found: Table = {}
        shown: dict[str, np.ndarray] = {}
        for name, scale, shift in self.request["ranges"]:
            pictures = [trial_picture(*size, seed) for seed in SEEDS]
            given = [_picture(self._run(p, scale, shift)[view[0]], view) for p in pictures]
            made = np.stack(given)
            if not np.isfinite(made).all():
                continue
            again = made[0] if shown else _picture(self._run(pictures[0], scale, shift)[view[0]], view)
            if not np.array_equal(again, made[0]):
                raise TrialError("its output differs between runs on the same input")
            shown[name] = made
            greys = [(luminance(p), _resized(g.mean(axis=0), size)) for p, g in zip(pictures, given, strict=True)]
            found[name] = {
                "quantiles": np.quantile(made, QUANTILES).tolist(),
                "deviation": float(made.std()),
                "clipped": float(np.mean((made == made.min()) | (made == made.max()))),
                "structure": float(np.mean([structure(*pair) for pair in greys])),
                "content": float(np.mean([correlation(*pair) for pair in greys])),
                "alike": {other: correlation(_middle(made), _middle(shown[other])) for other in shown if other != name},
            }
        if not found:
            raise TrialError("its output has values that are not finite (NaN or infinite) for ordinary pictures")
        if all(stats["deviation"] < 1e-6 for stats in found.values()):
            raise TrialError("its output does not depend on its input")
        return found


def _middle(pictures: np.ndarray) -> np.ndarray:
    """Return (N, C, H, W) without an eighth at each border, where zero padding has another effect in each range."""
    rows, columns = (side // 8 for side in pictures.shape[2:])
    return pictures[:, :, rows : pictures.shape[2] - rows, columns : pictures.shape[3] - columns]


def _views(outputs: list[np.ndarray], size: tuple[int, int]) -> Iterator[View]:
    """Yield a view for each output that is a picture, given the input's (height, width)."""
    for index, output in enumerate(outputs):
        if output.dtype.kind not in "fu" or not output.size:
            continue
        shape = output.shape
        for layout in {4: ("nchw", "nhwc"), 3: ("nhw", "chw", "hwc"), 2: ("hw",)}.get(len(shape), ()):
            sides = shape[layout.index("h")], shape[layout.index("w")]
            channels = shape[layout.index("c")] if "c" in layout else 1
            factor = _factor(sides, size)
            if factor and channels in (1, 3, 4) and (layout != "nhw" or shape[0] == 1):
                yield index, layout, channels, factor
                break


def _factor(sides: tuple[int, int], size: tuple[int, int]) -> int:
    """Return the factor by which ``sides`` are larger than ``size``, negative if smaller, 0 if no factor fits."""
    for factor in FACTORS:
        if all(out == factor * side for out, side in zip(sides, size, strict=True)):
            return factor
        if all(out * factor == side for out, side in zip(sides, size, strict=True)):
            return -factor
    return 0


def _picture(output: np.ndarray, view: View) -> np.ndarray:
    """Return the first picture of an output as (C, H, W) float64, with at most three channels."""
    _, layout, _, _ = view
    picture = output[0] if layout.startswith("n") else output
    layout = layout.removeprefix("n")
    if layout == "hwc":
        picture = picture.transpose(2, 0, 1)
    return (picture if picture.ndim == 3 else picture[None])[:3].astype(np.float64)


def _resized(grey: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a grey picture resized to (height, width) by an integer factor: mean of blocks, or repeated pixels."""
    height, width = size
    if grey.shape[0] > height:
        return grey.reshape(height, grey.shape[0] // height, width, grey.shape[1] // width).mean(axis=(1, 3))
    return np.repeat(np.repeat(grey, height // grey.shape[0], 0), width // grey.shape[1], 1)


@lru_cache(maxsize=16)  # a few megabytes each; all value ranges are tried with the same pictures
def trial_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a synthetic picture (height, width, 3) float64 in [0, 1], read-only, the same for the same seed."""
    rng = np.random.default_rng(seed)
    side = min(height, width)
    rows, columns = np.mgrid[0:height, 0:width] / side
    picture = np.empty((height, width, 3))
    picture[:] = 0.25 + 0.5 * rng.random(3)
    # The density of radii is proportional to r^-3, as for occluding objects at all distances.
    radii = 1 / np.sqrt(rng.uniform(1 / 0.5**2, 1 / 0.015**2, DISCS))
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
