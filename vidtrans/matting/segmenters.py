"""Interactive video segmenters: one is shown a thing in a frame, and finds it in the frames that follow.

``--segmenter FOLDER`` gives networks of the SAM 2 family, exported to ONNX; ``--segmenter NAME:PATH`` the segmenter of
an installed package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from vidtrans.core.costs import estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table
from vidtrans.matting.network import PaintedObject
from vidtrans.matting.object_mattes import (
    STORED_BYTES_PER_PIXEL,
    MatteSource,
    Sweep,
    SweptMattes,
    TrackedFrame,
    Tracker,
)
from vidtrans.matting.settings import MattingSettings
from vidtrans.session import Context
from vidtrans.store.stages import MatteNetworkStage

VERSION = 1  # Version of the way in which segmenters are called, for cache keys
PREFIX = "segmenter."  # Begins the names of a segmenter's own arrays in the cache


class VideoSegmenter(Protocol):
    """The interface of segmenters. Frames are (H, W, 3) uint8, all of one size; mattes (H, W) float32 from 0 to 1.

    A segmenter follows one thing at a time. Equal calls give equal results.
    """

    def identity(self) -> Table:
        """Return what determines the results: names, versions, digests of weights. For cache keys, so it is quick."""

    def matte_at(self, frame: np.ndarray, corners: Sequence[tuple[float, float]]) -> np.ndarray:
        """Return the matte of the thing at a point of a frame, (x, y) in its pixels, or in a box of two corners."""

    def begin(self, known: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Forget all, and take a thing from one or several frames in which its matte is known."""

    def advance(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the thing's matte in the next frame, and the confidence in it from 0 to 1; 0 where it is not seen."""

    def state(self) -> dict[str, np.ndarray]:
        """Return what ``restore`` needs to go on behind the last frame, as named arrays."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a ``state``, in this or another process."""


# Segmenters by name. An entry names a callable that takes the path behind the name, or None, and returns a segmenter.
SEGMENTERS = Registry(
    "segmenter",
    {
        "onnx": Entry("vidtrans.matting.sam_segmenter:open_folder", "SAM 2, EdgeTAM or EfficientTAM, as ONNX files"),
    },
    group="segmenters",
)


def open_segmenter(text: str) -> tuple[VideoSegmenter, Table]:
    """Open a segmenter: a folder with ONNX files, NAME or NAME:PATH. Return it, and its properties for cache keys.

    Raises UsageError, MediaError, ModelError, PluginError.
    """
    name, colon, path = text.partition(":")
    if Path(text).exists() or (name not in SEGMENTERS and {"/", "\\"} & set(text)):
        name, colon, path = "onnx", ":", text
    elif name not in SEGMENTERS:
        remedy = f"give the folder of its ONNX files, or the name of a segmenter ({', '.join(SEGMENTERS)})"
        raise UsageError(f"--segmenter {text}", "neither a folder nor a segmenter", remedy)
    open_path: Callable[[Path | None], VideoSegmenter] = SEGMENTERS.load(name)
    segmenter = open_path(Path(path) if colon else None)
    return segmenter, {"name": name, "version": VERSION} | SEGMENTERS.origin(name) | {"own": segmenter.identity()}


class SegmenterTracker:
    """Follows one thing by a segmenter; ``state``: that of an earlier tracker, or None to begin from ``known``."""

    def __init__(
        self,
        segmenter: VideoSegmenter,
        known: Callable[[], Sequence[PaintedObject]],
        state: Mapping[str, np.ndarray] | None,
    ) -> None:
        self._segmenter = segmenter
        if state is None:
            segmenter.begin([(one.picture, one.matte) for one in known()])
        else:
            own = {name.removeprefix(PREFIX): array for name, array in state.items() if name.startswith(PREFIX)}
            segmenter.restore(own)

    def advance(self, frame: np.ndarray) -> TrackedFrame:
        """Return the thing's matte, with its confidence, in the next ``frame``, (H, W, 3) uint8."""
        matte, confidence = self._segmenter.advance(frame)
        return TrackedFrame(np.clip(np.rint(255 * matte), 0, 255).astype(np.uint8), min(1.0, max(0.0, confidence)))

    def state(self) -> dict[str, np.ndarray]:
        """Return the segmenter's memory as named arrays."""
        return {PREFIX + name: array for name, array in self._segmenter.state().items()}


class SegmenterMattes(SweptMattes):
    """The mattes of one object, followed by a segmenter from the frames in which the object is known.

    ``segmenter``: the segmenter, and its properties for cache keys, from ``open_segmenter``.
    """

    def __init__(
        self, source: MatteSource, settings: MattingSettings, context: Context, segmenter: tuple[VideoSegmenter, Table]
    ) -> None:
        super().__init__(source, settings, context)
        self._segmenter, self._key = segmenter

    def check(self) -> None:
        """Show the object to the segmenter. Raises ModelError if its networks do not run."""
        for one in self.painted(list(self.source.painted)[:1]):
            self._segmenter.begin([(one.picture, one.matte)])

    def cost(self) -> Table:
        """Estimate the time to follow the object, from the time of one frame."""
        followed, (width, height) = sum(len(sweep.frames) for sweep in self.sweeps), self.source.size
        seconds = 0.0
        if self.sweeps:
            [one] = self.painted(list(self.source.painted)[:1])
            self.check()
            began = perf_counter()
            self._segmenter.advance(one.picture)
            seconds = perf_counter() - began
        return estimate(seconds * followed, 0, STORED_BYTES_PER_PIXEL * width * height * followed)

    def _tracker(self, sweep: Sweep, frame: np.ndarray, state: Mapping[str, np.ndarray] | None, task: str) -> Tracker:
        """Return a tracker by the segmenter."""
        del frame, task
        return SegmenterTracker(self._segmenter, lambda: self.painted(sweep.training_keys), state)

    def _network_stage(self, training_keys: tuple[int, ...]) -> MatteNetworkStage:
        """Return the cache stage of the segmenter, which is not trained."""
        stage = super()._network_stage(training_keys)
        return replace(stage, settings={"segmenter": self._key}, seed=0, weights="")
