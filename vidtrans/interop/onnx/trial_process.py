"""The process in which an ONNX file is tried: it imports NumPy and ONNX Runtime, and prints one JSON object.

It may be killed at any time, cannot write files, and has a memory limit.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from vidtrans.core.errors import first_line
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.interop.onnx.trial_pictures import correlation, luminance, structure, trial_picture

# Sizes (height, width) to try if sides are free: multiples of powers of two, then of 32 · 7, 9 · 28, 48 and 512.
BASES = ((256, 512), (224, 448), (252, 504), (240, 480), (512, 1024))
MULTIPLES = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 128, 256)
FACTORS = (1, 2, 3, 4, 8, 16)  # possible factors of enlarging or shrinking
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SEEDS = (0, 1)
TONE = 0.02  # share of an output's standard deviation above which a change shows as a seam
Table = dict[str, Any]
View = tuple[int, str, int, int]  # index of an output, its layout, channels, and factor: negative where it shrinks


class TrialError(Exception):
    """The network cannot be used; the message gives the reason."""


def main() -> None:
    """Read a request (JSON) from standard input, try the network, and print the result or an error as JSON."""
    request = json.load(sys.stdin)
    stdout = os.dup(1)
    os.dup2(2, 1)  # output of libraries goes to stderr
    runtime = import_onnx_runtime()  # before the limits are set, because it writes a file, which is removed
    _limit(request["memory"], request["seconds"] * request["threads"])
    try:
        run = TrialRun(request, runtime)
        found = run.predict() if "pictures" in request else run.find()
    except TrialError as error:
        found = {"error": str(error)}
    except MemoryError:
        found = {"error": "it takes too much memory"}
    with os.fdopen(stdout, "w", encoding="utf-8") as out:
        json.dump(found, out)


def _limit(memory: int, cpu_seconds: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limits; the parent has a timeout
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
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
