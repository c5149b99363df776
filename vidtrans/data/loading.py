"""Batches for training: streamed from disk, in an order that depends on nothing but the seed and the step."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from vidtrans.data.augment import Geometry, crop_size, draw_geometry
from vidtrans.data.dataset import Pair
from vidtrans.data.motion_weight import MotionWeights
from vidtrans.flow.history import no_history
from vidtrans.machine import cores
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.clock import with_clock
from vidtrans.video.images.picture import picture_size, read_picture

CACHE_BYTES = 1 << 30
WORKERS = 2  # threads that make batches, to begin with


@dataclass(frozen=True)
class Example:
    """One of a batch: pair number ``index``, cut out and mirrored by ``geometry``."""

    index: int
    geometry: Geometry


@dataclass(frozen=True)
class TrainingBatch:
    """``inputs`` (N, C, H, W) and ``targets`` (N, 3, H, W), float32 in [−1, 1].

    ``weights`` (N, 1, H, W) float32: how much each pixel's L1 counts, where that is not the same for all.
    ``examples``: what each was made from; empty where that is noise.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    examples: tuple[Example, ...] = ()

    def __repr__(self) -> str:
        return f"Batch(inputs={self.inputs.shape}, targets={self.targets.shape})"


class PictureCache:
    """The most recently used pictures, up to ``limit`` bytes. Safe to share between threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit = limit
        self._held: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __call__(self, path: Path) -> np.ndarray:
        """Return the picture of a file, (H, W, 3) uint8."""
        with self._lock:
            if path in self._held:
                self._held.move_to_end(path)
                return self._held[path]
        picture = read_picture(path)
        with self._lock:
            if path not in self._held:
                self._held[path] = picture
                self._bytes += picture.nbytes
            while self._bytes > self.limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        return picture


@lru_cache(maxsize=4)
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return an epoch's permutation of ``count`` pairs, which depends on (seed, epoch) alone; read-only."""
    permutation = np.random.Generator(np.random.Philox(key=(seed << 64) + epoch)).permutation(count)
    permutation.setflags(write=False)
    return permutation


class Batches(Protocol):
    """What training draws from. ``crop`` is the (width, height) of its pictures."""

    crop: tuple[int, int]

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        ...

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop)."""


class NoiseLoader:
    """Batches of noise, for trials before there are pictures: they cost what real ones cost."""

    def __init__(
        self, size: tuple[int, int], pairing: Pairing, *, batch: int, plate: bool = False, recurrent: bool = False
    ) -> None:
        self.crop, self.pairing, self.batch = size, pairing, batch
        self.plate, self.recurrent = plate, recurrent

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of a step."""
        rng = np.random.default_rng(step)
        count = len(self.pairing.offsets) * max(1, len(self.pairing.guides))
        rows = []
        for _ in range(self.batch):
            frames = [rng.integers(0, 256, (self.crop[1], self.crop[0], 3), dtype=np.uint8) for _ in range(count)]
            shown = with_clock(self.pairing.training_input(frames, rng), 0.0 if self.pairing.has_clock else None)
            if self.plate:
                shown = np.dstack([shown, frames[-1]])
            if self.recurrent:
                shown = np.dstack([shown, no_history(*shown.shape[:2])])
            rows.append((to_signed(shown), to_signed(frames[-1])))
        return TrainingBatch(np.stack([x for x, _ in rows]), np.stack([y for _, y in rows]))

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop)."""
        return (self.make(step) for step in range(first, stop))


class Loader:
    """Makes the batch of any step, without having made those before it.

    Parameters: ``batch`` pairs a step; ``crop`` in pixels or None for whole pictures; ``jitter`` ≥ 1 and ``flip``
    as in ``draw_geometry``; ``multiple``: what the network's sides must be multiples of; ``share``: which of a step's
    pairs are made, where several processes share them (all, unless said); ``plate`` (H, W, 3) uint8, of the pairs'
    size, stands beside each input, cut and mirrored as that is; ``motion`` gives the weights;
    ``recurrent``: adds channels of an empty history to each input.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        pairing: Pairing,
        *,
        batch: int,
        seed: int,
        multiple: int,
        crop: int | None = None,
        jitter: float = 1.0,
        flip: bool = False,
        share: range | None = None,
        plate: np.ndarray | None = None,
        motion: MotionWeights | None = None,
        recurrent: bool = False,
    ) -> None:
        self.share = range(batch) if share is None else share
        self.pairs, self.pairing, self.batch, self.seed = list(pairs), pairing, batch, seed
        self.jitter, self.flip, self.plate, self.motion, self.recurrent = jitter, flip, plate, motion, recurrent
        self.read = PictureCache()
        self.crop = crop_size(self._sizes(), crop, multiple)

    def _sizes(self) -> list[tuple[int, int]]:
        """(width, height) of every target, from its header: photographs in a folder are of several sizes."""
        return sorted({picture_size(p.target) for p in self.pairs})

    def indices(self, step: int) -> list[int]:
        """Which pairs make the batch of ``step``."""
        count = len(self.pairs)
        positions = range(step * self.batch, (step + 1) * self.batch)
        return [int(order(self.seed, p // count, count)[p % count]) for p in positions]

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        indices = self.indices(step)
        made = [self._drawn(indices[k], step * self.batch + k) for k in self.share]
        examples, pictures = zip(*made, strict=True)
        inputs, targets, weights = zip(*pictures, strict=True)
        return TrainingBatch(
            np.stack(inputs), np.stack(targets), None if self.motion is None else np.stack(weights), examples
        )

    def _drawn(self, index: int, position: int) -> tuple[Example, tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        rng = np.random.Generator(np.random.Philox(key=(self.seed << 64) + (1 << 63) + position))
        target = self.read(self.pairs[index].target)
        size = (target.shape[1], target.shape[0])
        example = Example(index, draw_geometry(rng, size, self.crop, self.jitter, self.flip))
        return example, self.pictures(example, rng)

    def pictures(self, example: Example, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the input (C, H, W), the target (3, H, W) and the weights of an example, as in a ``TrainingBatch``."""
        pair, geometry = self.pairs[example.index], example.geometry
        frames, target = [self.read(p) for p in pair.inputs], self.read(pair.target)
        shown = with_clock(self.pairing.training_input([geometry.apply(f) for f in frames], rng), pair.phase)
        if self.plate is not None:
            shown = np.dstack([shown, geometry.apply(self.plate)])
        if self.recurrent:
            shown = np.dstack([shown, no_history(*shown.shape[:2])])
        target = geometry.apply(target)
        weights = self.motion(pair, geometry, target) if self.motion else None
        return to_signed(shown), to_signed(target), weights

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop), prefetched by threads, whose number changes no result.

        As many threads as it takes that no step waits, but no more than processors.
        """
        most = max(WORKERS, cores())
        with ThreadPoolExecutor(most, thread_name_prefix="loader") as pool:
            ahead: deque[Future[TrainingBatch]] = deque()
            workers = WORKERS
            try:
                for step in range(first, stop):
                    if ahead and not ahead[0].done():
                        workers = min(most, workers + 1)
                    while len(ahead) < 2 * workers and step + len(ahead) < stop:
                        ahead.append(pool.submit(self.make, step + len(ahead)))
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()


def to_signed(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 → (C, H, W) float32 in [−1, 1]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(127.5) - np.float32(1)
