"""Batches for training: streamed from disk, in an order that depends only on the seed and the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.machine import cores
from vidtrans.core.settings import Size
from vidtrans.data.augment import COLOUR_EXCHANGES, Geometry, crop_size, draw_geometry
from vidtrans.data.dataset import Pair
from vidtrans.data.growing import PictureGrowth, PictureScale
from vidtrans.data.moving_windows import draw_windows
from vidtrans.data.told_examples import draw_told
from vidtrans.flow.history import no_history
from vidtrans.pairing import LARGEST_ZOOM
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.next_frame import Told, with_told
from vidtrans.video.images.picture import picture_size, read_picture

CACHE_BYTES = 1 << 30
MIN_WORKERS = 2  # threads that make batches
# Returns the weights of pixels, (1, H, W) float32, of a pair with a geometry, and its transformed target (H, W, 3).
PixelWeights = Callable[[Pair, Geometry, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Example:
    """A batch example: pair number ``index``, transformed by ``geometry``."""

    index: int
    geometry: Geometry


@dataclass(frozen=True)
class TrainingBatch:
    """A batch: ``inputs`` (N, C, H, W) and ``targets`` (N, 3, H, W), uint8, or float32 in [−1, 1].

    ``weights`` (N, 1, H, W) float32: of pixels, as the method uses them; None without. ``examples``: empty for noise.
    ``whole``: the pictures are untransformed; the device applies the geometries of ``examples``.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    examples: tuple[Example, ...] = ()
    whole: bool = False

    def __repr__(self) -> str:
        return f"TrainingBatch(inputs={self.inputs.shape}, targets={self.targets.shape})"


@lru_cache(maxsize=16)  # an epoch or two of each domain
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return an epoch's permutation of ``count`` pairs, determined by (seed, epoch); read-only."""
    permutation = np.random.Generator(np.random.Philox(key=(seed << 64) + epoch)).permutation(count)
    permutation.setflags(write=False)
    return permutation


class Batches(Protocol):
    """A source of batches. ``crop``: (width, height) of its pictures at full size; ``growth``: their size at a step."""

    crop: tuple[int, int]
    growth: PictureGrowth

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0, independent of those before it."""
        ...

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop)."""
        return (self.make(step) for step in range(first, stop))


class PictureBatches(Batches):
    """Batches of pictures on disk.

    Args:
        pairs: Training pairs.
        batch: Examples in a step.
        seed: Determines order and geometry, together with the step.
        multiple: A divisor of the crop's sides, as the network needs it.
        crop: The crop's side in pixels; None for the largest that fits in every picture.
        jitter: As in ``draw_geometry``.
        flip: As in ``draw_geometry``.
        zoom_range: As in ``draw_geometry``.
        share: The positions in a step's batch that this process makes; by default all.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        batch: int,
        seed: int,
        multiple: int,
        crop: int | None = None,
        jitter: float = 1.0,
        flip: bool = False,
        zoom_range: float = 1.0,
        share: range | None = None,
    ) -> None:
        self.pairs, self.batch, self.seed, self.jitter, self.flip = list(pairs), batch, seed, jitter, flip
        self.zoom_range = zoom_range
        self.share = range(batch) if share is None else share
        self.sizes = sorted({picture_size(p.target) for p in self.pairs})  # photographs in a folder are of several
        self.crop = crop_size(self.sizes, crop, multiple)
        self.growth = PictureGrowth((PictureScale(self.crop),))
        self.max_pixels = max(width * height for width, height in self.sizes)
        self.read = lru_cache(max(1, CACHE_BYTES // (3 * self.max_pixels)))(read_picture)

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop), prefetched by threads."""
        return prefetched(self.make, first, stop)

    def draw(self, key: int, picture: np.ndarray, scale: PictureScale) -> tuple[np.random.Generator, Geometry]:
        """Return a generator seeded by the seed and ``key``, and a geometry drawn with it for pictures of this size."""
        rng = np.random.Generator(np.random.Philox(key=(self.seed << 64) + key))
        size = (picture.shape[1], picture.shape[0])
        return rng, draw_geometry(rng, size, scale.crop, self.jitter * scale.scale, self.flip, self.zoom_range)


class NoiseLoader(Batches):
    """Batches of noise in the format of ``Loader``, to time training before pictures exist."""

    def __init__(
        self, size: tuple[int, int], pairing: Pairing, *, batch: int, plate: bool = False, recurrent: bool = False
    ) -> None:
        self.crop, self.pairing, self.batch = size, pairing, batch
        self.plate, self.recurrent = plate, recurrent
        self.growth = PictureGrowth((PictureScale(size),))

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of a step."""
        rng, (width, height) = np.random.default_rng(step), self.growth.at(step).crop
        count = len(self.pairing.offsets) * self.pairing.pictures_per_frame
        rows = []
        for _ in range(self.batch):
            frames = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]
            given = with_told(self.pairing.training_input(frames, rng), Told(0.0) if self.pairing.is_told else None)
            given = _extended(given, frames[-1] if self.plate else None, self.recurrent)
            rows.append((to_planes(given), to_planes(frames[-1])))
        return TrainingBatch(np.stack([x for x, _ in rows]), np.stack([y for _, y in rows]))


class Loader(PictureBatches):
    """Batches of pairs.

    ``plate`` (H, W, 3) uint8: a background plate of the pairs' size, appended to each input; ``weigh``: makes weights
    of pixels; ``recurrent``: append an empty history to each input; ``whole``: leave jitter, crop and flip to the
    device where its result is the same: for pictures at full scale and of one size, a pointwise pairing, no zoom, no
    ``weigh``;
    ``forget``: the share of examples that are told to recall nothing of their clip, half of them in other colours;
    ``camera``: the share of examples whose window moves over the frames, with ``crop`` as its short side; 0: crops.
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
        zoom_range: float = 1.0,
        share: range | None = None,
        plate: np.ndarray | None = None,
        weigh: PixelWeights | None = None,
        recurrent: bool = False,
        whole: bool = False,
        forget: float = 0.0,
        camera: float = 0.0,
    ) -> None:
        super().__init__(
            pairs,
            batch=batch,
            seed=seed,
            multiple=multiple,
            crop=crop,
            jitter=jitter,
            flip=flip,
            zoom_range=zoom_range,
            share=share,
        )
        self.camera = camera
        if camera and crop is not None:
            width, height = Size(short=crop).of(*self.sizes[0])
            self.crop = crop_size([(width, height)], None, multiple)
            if self.sizes[0][1] > LARGEST_ZOOM * self.crop[1]:
                why = f"the frames are more than {LARGEST_ZOOM:g} times as large as this window"
                raise UsageError(f"training.crop_size={crop}", why, "raise it, or make the dataset smaller")
            self.growth = PictureGrowth((PictureScale(self.crop),))
        self.pairing, self.plate, self.weigh, self.recurrent = pairing, plate, weigh, recurrent
        self.forget = forget if pairing.is_told else 0.0
        single = len(self.sizes) == 1 and pairing.pointwise and not camera
        self.whole = whole and single and weigh is None and not self.forget and zoom_range == 1

    def indices(self, step: int) -> list[int]:
        """Return the indices of the pairs in the batch of ``step``."""
        count = len(self.pairs)
        positions = range(step * self.batch, (step + 1) * self.batch)
        return [int(order(self.seed, p // count, count)[p % count]) for p in positions]

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        indices = self.indices(step)
        drawn = [self._draw(indices[k], step * self.batch + k) for k in self.share]
        examples, pictures = zip(*drawn, strict=True)
        inputs, targets, weights = zip(*pictures, strict=True)
        pixel_weights = None if self.weigh is None else np.stack(weights)
        whole = self.whole and self.growth.at(step).crop == self.crop
        return TrainingBatch(np.stack(inputs), np.stack(targets), pixel_weights, examples, whole)

    def _draw(self, index: int, position: int) -> tuple[Example, tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        target, scale = self.read(self.pairs[index].target), self.growth.at(position // self.batch)
        rng, geometry = self.draw((1 << 63) + position, target, scale)
        if self.camera:
            frame, count = (target.shape[1], target.shape[0]), len(self.pairs[index].inputs) + 1
            moving = bool(rng.random() < self.camera)
            geometry = replace(
                geometry, scaled=frame, windows=draw_windows(rng, self.crop, frame, count, moving=moving)
            )
        if self.forget and rng.random() < self.forget / 2:
            geometry = replace(geometry, colours=int(rng.integers(1, COLOUR_EXCHANGES)))
        return Example(index, geometry), self.pictures(Example(index, geometry), rng)

    def pictures(self, example: Example, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return an example's input (C, H, W) uint8, target (3, H, W) uint8 and weights (1, H, W), if any."""
        pair, geometry = self.pairs[example.index], example.geometry
        whole = self.whole and geometry.crop == self.crop
        place = _as_it_is if whole else geometry.apply
        frames, target = [self.read(p) for p in pair.inputs], self.read(pair.target)
        told = draw_told(pair, geometry, (target.shape[1], target.shape[0]), self.forget, rng)
        placed = [place(frame, len(frames) - k) for k, frame in enumerate(frames)]
        given = with_told(self.pairing.training_input(placed, rng), told)
        given = _extended(given, None if self.plate is None else place(self.plate), self.recurrent)
        target = place(target) if self.pairing.class_colours is None or whole else geometry.apply_to_labels(target)
        weights = self.weigh(pair, geometry, target) if self.weigh else None
        return to_planes(given), to_planes(target), weights


def _as_it_is(picture: np.ndarray, back: int = 0) -> np.ndarray:
    del back
    return picture


def keep_weights(pair: Pair, geometry: Geometry, target: np.ndarray) -> np.ndarray:
    """Return where a look keeps the content of a pair, ``PixelWeights`` from 0 to 1: its matte; 0 without one."""
    if pair.keep is None:
        return np.zeros((1, *target.shape[:2]), np.float32)
    return to_planes(geometry.apply(read_picture(pair.keep)))[:1] / np.float32(255)


def prefetched(make: Callable[[int], TrainingBatch], first: int, stop: int) -> Iterator[TrainingBatch]:
    """Yield ``make(step)`` for the steps [first, stop), computed in threads; more threads start if a step waits."""
    max_workers = max(MIN_WORKERS, cores())
    with ThreadPoolExecutor(max_workers, thread_name_prefix="loader") as pool:
        pending: deque[Future[TrainingBatch]] = deque()
        workers = MIN_WORKERS
        try:
            for step in range(first, stop):
                if pending and not pending[0].done():
                    workers = min(max_workers, workers + 1)
                while len(pending) < 2 * workers and step + len(pending) < stop:
                    pending.append(pool.submit(make, step + len(pending)))
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _extended(given: np.ndarray, plate: np.ndarray | None, recurrent: bool) -> np.ndarray:
    """Append the channels of a background plate and of an empty history to an input, (H, W, C) uint8."""
    if plate is not None:
        given = np.dstack([given, plate])
    return np.dstack([given, no_history(*given.shape[:2])]) if recurrent else given


def to_planes(picture: np.ndarray) -> np.ndarray:
    """Return (H, W, C) as a new array (C, H, W)."""
    return np.array(picture.transpose(2, 0, 1), order="C")


def to_signed(picture: np.ndarray) -> np.ndarray:
    """Convert (H, W, C) uint8 to (C, H, W) float32 in [−1, 1]."""
    return signed_planes(to_planes(picture))


def signed_planes(planes: np.ndarray) -> np.ndarray:
    """Convert uint8 of any shape to float32 in [−1, 1]; copy float32."""
    if planes.dtype != np.uint8:
        return planes.copy()
    return planes.astype(np.float32) / np.float32(127.5) - np.float32(1)
