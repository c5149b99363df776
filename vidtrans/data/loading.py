"""Training batches of pictures from disk, in an order and at a size that depend only on the seed and the step.

So a resumed run gets the same pictures. With progressive resizing, a run begins with downscaled pictures, whose steps
are short, and ends at full size. Unlike Karras et al. (ICLR 2018), the networks do not change: fully convolutional
networks take any size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.machine import cores
from vidtrans.core.settings import Size
from vidtrans.data.augment import NUM_COLOUR_VARIANTS, Geometry, crop_size, draw_geometry
from vidtrans.data.dataset import Pair
from vidtrans.data.moving_windows import draw_windows
from vidtrans.flow.history import no_history
from vidtrans.pairing import LARGEST_ZOOM
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.next_frame import ClipConditions, append_condition_planes
from vidtrans.video.images.picture import picture_size, read_picture

CACHE_BYTES = 1 << 30  # Memory limit of the cache of decoded pictures, in bytes.
MIN_WORKERS = 2  # Minimum number of threads that load batches.
# Maximum recall condition (allowed use of memorised frames, 0 to 1) with a frame that is only similar to the true one.
MAX_RECALL_OF_ALTERNATIVES = 0.5
# Maximum number of frames per example for which the newest frame is repeated in place of a missing earlier frame.
MAX_FRAMES_WITH_REPEATS = 2
EPOCH_STRIDE = 1 << 40  # Difference between the epoch numbers of two domains; it exceeds the number of epochs of a run.
SOURCE_KEY, TARGET_KEY = 1 << 63, 3 << 62  # First keys of the random draws for source frames and for target frames.
# A function of a pair, its geometry and its transformed target, (H, W, 3), to pixel weights, (1, H, W) float32.
PixelWeights = Callable[[Pair, Geometry, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PictureScale:
    """The picture size of a step: resize by the factor ``scale``, then crop to ``crop``, (width, height) in pixels."""

    crop: tuple[int, int]
    scale: float = 1.0


@dataclass(frozen=True)
class PictureGrowth:
    """The picture scales of a run of ``total`` steps with progressive resizing, the smallest first, full size last.

    ``share``: the share of the run before full size, divided evenly among the smaller scales; ``since``: the step at
    which ``total`` was last changed, and the share of the run completed at that step.
    """

    scales: tuple[PictureScale, ...]
    share: float = 0.0
    total: int = 1
    since: tuple[int, float] = (0, 0.0)

    @property
    def _starts(self) -> list[int]:
        """Return the first step of each scale."""
        smaller, (first, done) = len(self.scales) - 1, self.since
        num_steps = (self.total - first) / (1 - done)  # Steps of a whole run at the current pace.
        num_done = num_steps * done
        starts = [num_steps * self.share * k / smaller - num_done for k in range(smaller + 1)] if smaller else [0.0]
        return [first + round(start) if k else 0 for k, start in enumerate(starts)]

    def at(self, step: int) -> PictureScale:
        """Return the picture scale of ``step``, counted from 0."""
        return self.scales[sum(start <= step for start in self._starts) - 1]

    def of_run(self, total: int, since: tuple[int, float] = (0, 0.0)) -> PictureGrowth:
        """Return a copy for a run of ``total`` steps; ``since``: step and completed share when ``total`` changed."""
        return replace(self, total=total, since=since)

    def parts(self) -> list[tuple[float, float, PictureGrowth]]:
        """Return (start, end, growth) of each scale: its span in shares of the run, and a plan with only this scale."""
        smaller = len(self.scales) - 1
        ends = [self.share * k / smaller for k in range(smaller + 1)] if smaller else [0.0]
        spans = zip(ends, [*ends[1:], 1.0], self.scales, strict=True)
        return [(start, end, PictureGrowth((scale,))) for start, end, scale in spans]


def plan_growth(
    crop: tuple[int, int], first: int, share: float, total: int, *, multiple: int, smallest: int
) -> PictureGrowth:
    """Return a run's progressive resizing, from crops of about ``first`` pixels, doubled until they reach ``crop``.

    Args:
        crop: (width, height) at full size.
        first: The short side of the first crops; 0 for full size from the start.
        share: The share of the steps before full size.
        total: Steps of the run.
        multiple: A divisor of all sides.
        smallest: The smallest side that all networks accept.

    Raises:
        UsageError: No such crop is smaller than the full one.
    """
    full = PictureScale(crop)
    if not first or not share:
        return PictureGrowth((full,))
    scales: list[PictureScale] = []
    side, short = first, min(crop)
    while side < short:
        width, height = (_fitting(n * side / short, n, multiple, smallest) for n in crop)
        scale = max(width / crop[0], height / crop[1])  # The crop must fit into the scaled picture.
        if scale < 1 and PictureScale((width, height), scale) not in scales:
            scales.append(PictureScale((width, height), scale))
        side *= 2
    if not scales:
        why = f"the crops of this run are {crop[0]}x{crop[1]}, and no smaller ones suit its networks"
        remedy = "leave it out, choose a smaller one, or raise make-dataset --size or training.crop_size"
        raise UsageError(f"training.grow_from={first}", why, remedy)
    return PictureGrowth((*scales, full), share, total)


def _fitting(side: float, full: int, multiple: int, smallest: int) -> int:
    """Return the length in pixels nearest to ``side`` that all networks accept, at most ``full``.

    ``multiple``: a divisor of the length. ``smallest``: the smallest side that all networks accept.
    """
    least = -(-smallest // multiple) * multiple
    return min(full, max(least, round(side / multiple) * multiple, multiple))


@dataclass(frozen=True)
class Example:
    """One example of a batch: the pair at ``index`` in the loader's pairs, and the transform of its pictures."""

    index: int
    geometry: Geometry


@dataclass(frozen=True)
class TrainingBatch:
    """A batch: ``inputs`` (N, C, H, W) and ``targets`` (N, 3, H, W), uint8, or float32 in [−1, 1].

    ``weights``: pixel weights, (N, 1, H, W) float32, whose meaning depends on the method; None: no weights.
    ``examples``: empty for noise. ``whole``: the pictures are untransformed; the device applies the geometries of
    ``examples``.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    examples: tuple[Example, ...] = ()
    whole: bool = False

    def __repr__(self) -> str:
        return f"TrainingBatch(inputs={self.inputs.shape}, targets={self.targets.shape})"


@lru_cache(maxsize=16)  # One or two epochs of each domain.
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the permutation of ``count`` pairs in an epoch, determined by (seed, epoch); the array is read-only."""
    permutation = np.random.Generator(np.random.Philox(key=(seed << 64) + epoch)).permutation(count)
    permutation.setflags(write=False)
    return permutation


class Batches(Protocol):
    """A source of training batches. ``crop``: (width, height) of pictures at full size.

    ``growth``: picture size by step.
    """

    crop: tuple[int, int]
    growth: PictureGrowth

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0; a batch does not depend on other batches."""

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop)."""
        return (self.make(step) for step in range(first, stop))


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The size of a batch, and how its examples are drawn.

    Attributes:
        batch_size: Number of examples in a step.
        seed: Determines order and geometry, together with the step.
        multiple: A divisor of the crop's sides, required by the network.
        crop: The crop's side in pixels; None for the largest that fits in every picture.
        jitter, flip, zoom_range: See ``draw_geometry``.
        share: The positions in a step's batch that this process loads; None: all.
    """

    batch_size: int
    seed: int
    multiple: int
    crop: int | None = None
    jitter: float = 1.0
    flip: bool = False
    zoom_range: float = 1.0
    share: range | None = None


class PictureBatches(Batches):
    """The base of batches of pictures on disk, those of the training ``pairs``."""

    def __init__(self, pairs: Sequence[Pair], plan: BatchPlan) -> None:
        self.pairs, self.plan = list(pairs), plan
        self.share = range(plan.batch_size) if plan.share is None else plan.share
        self.sizes = sorted({picture_size(p.target) for p in self.pairs})  # Photographs in a folder differ in size.
        self.crop = crop_size(self.sizes, plan.crop, plan.multiple)
        self.growth = PictureGrowth((PictureScale(self.crop),))
        self.max_pixels = max(width * height for width, height in self.sizes)
        self.read = lru_cache(max(1, CACHE_BYTES // (3 * self.max_pixels)))(read_picture)

    def stream(self, first: int, stop: int) -> Iterator[TrainingBatch]:
        """Yield the batches of the steps [first, stop), computed in advance by threads."""
        return prefetch(self.make, first, stop)

    def draw(self, key: int, picture: np.ndarray, scale: PictureScale) -> tuple[np.random.Generator, Geometry]:
        """Return a random generator, seeded by the run's seed and ``key``, and its transform drawn for ``picture``."""
        plan = self.plan
        rng = np.random.Generator(np.random.Philox(key=(plan.seed << 64) + key))
        size = (picture.shape[1], picture.shape[0])
        return rng, draw_geometry(rng, size, scale.crop, plan.jitter * scale.scale, plan.flip, plan.zoom_range)


class NoiseLoader(Batches):
    """Batches of noise in the format of ``Loader``, for timing a training before its pictures exist.

    ``size``: (width, height) in pixels. ``batch``: the number of examples. ``plate``, ``recurrent``: whether inputs
    have the channels of a background plate and of a history.
    """

    def __init__(
        self, size: tuple[int, int], pairing: Pairing, *, batch: int, plate: bool = False, recurrent: bool = False
    ) -> None:
        self.crop, self.pairing, self.batch = size, pairing, batch
        self.plate, self.recurrent = plate, recurrent
        self.growth = PictureGrowth((PictureScale(size),))

    def make(self, step: int) -> TrainingBatch:
        """Return a batch of noise for ``step``, determined by the step."""
        rng, (width, height) = np.random.default_rng(step), self.growth.at(step).crop
        count = len(self.pairing.offsets) * self.pairing.pictures_per_frame
        rows = []
        for _ in range(self.batch):
            frames = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]
            conditions = ClipConditions(0.0) if self.pairing.has_conditions else None
            network_input = append_condition_planes(self.pairing.training_input(frames, rng), conditions)
            network_input = _append_channels(network_input, frames[-1] if self.plate else None, self.recurrent)
            rows.append((to_planes(network_input), to_planes(frames[-1])))
        return TrainingBatch(np.stack([x for x, _ in rows]), np.stack([y for _, y in rows]))


class Loader(PictureBatches):
    """Batches of the pairs of a dataset: inputs, their targets, and pixel weights if ``weigh`` is given.

    ``plate``: a background plate of the pairs' size, (H, W, 3) uint8, appended to each input; ``weigh``: computes pixel
    weights; ``recurrent``: append an empty history to each input; ``whole``: leave jitter, crop and flip to the device
    if the result is the same, that is, for pictures at full scale and of one size, a pointwise pairing, no zoom and no
    ``weigh``; ``forget``: the share of examples with conditions that forbid recalling the clip, half of these examples
    in other colours; ``camera``: the share of examples with a moving camera window, with ``crop`` as its short side; 0:
    random crops.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        pairing: Pairing,
        plan: BatchPlan,
        *,
        plate: np.ndarray | None = None,
        weigh: PixelWeights | None = None,
        recurrent: bool = False,
        whole: bool = False,
        forget: float = 0.0,
        camera: float = 0.0,
    ) -> None:
        super().__init__(pairs, plan)
        self.camera = camera
        if camera and plan.crop is not None:
            width, height = Size(short=plan.crop).of(*self.sizes[0])
            self.crop = crop_size([(width, height)], None, plan.multiple)
            if self.sizes[0][1] > LARGEST_ZOOM * self.crop[1]:
                why = f"the frames are more than {LARGEST_ZOOM:g} times as large as this window"
                raise UsageError(f"training.crop_size={plan.crop}", why, "raise it, or make the dataset smaller")
            self.growth = PictureGrowth((PictureScale(self.crop),))
        self.pairing, self.plate, self.weigh, self.recurrent = pairing, plate, weigh, recurrent
        self.forget = forget if pairing.has_conditions else 0.0
        single = len(self.sizes) == 1 and pairing.pointwise and not camera
        self.whole = whole and single and weigh is None and not self.forget and plan.zoom_range == 1

    def indices(self, step: int) -> list[int]:
        """Return the indices of the pairs in the batch of ``step``, counted from 0."""
        count = len(self.pairs)
        positions = range(step * self.plan.batch_size, (step + 1) * self.plan.batch_size)
        return [int(epoch_order(self.plan.seed, p // count, count)[p % count]) for p in positions]

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        indices = self.indices(step)
        rows = [self._draw(indices[k], step * self.plan.batch_size + k) for k in self.share]
        examples, pictures = zip(*rows, strict=True)
        inputs, targets, weights = zip(*pictures, strict=True)
        pixel_weights = None if self.weigh is None else np.stack(weights)
        whole = self.whole and self.growth.at(step).crop == self.crop
        return TrainingBatch(np.stack(inputs), np.stack(targets), pixel_weights, examples, whole)

    def _draw(self, index: int, position: int) -> tuple[Example, tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Draw the transform of pair ``index``; return the example and its pictures, see ``pictures``.

        ``position``: the number of the example in the run, from 0.
        """
        target, scale = self.read(self.pairs[index].target), self.growth.at(position // self.plan.batch_size)
        rng, geometry = self.draw((1 << 63) + position, target, scale)
        if self.camera:
            frame, count = (target.shape[1], target.shape[0]), len(self.pairs[index].inputs) + 1
            moving = bool(rng.random() < self.camera)
            geometry = replace(
                geometry, scaled=frame, windows=draw_windows(rng, self.crop, frame, count, moving=moving)
            )
        if self.forget and rng.random() < self.forget / 2:
            geometry = replace(geometry, colours=int(rng.integers(1, NUM_COLOUR_VARIANTS)))
        return Example(index, geometry), self.pictures(Example(index, geometry), rng)

    def pictures(self, example: Example, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return an example's input, (C, H, W) uint8, target, (3, H, W) uint8, and weights, (1, H, W), or None."""
        pair, geometry = self.pairs[example.index], example.geometry
        whole = self.whole and geometry.crop == self.crop
        transform = _unchanged if whole else geometry.apply
        frames, target = [self.read(p) for p in pair.inputs], self.read(pair.target)
        conditions = draw_conditions(pair, geometry, (target.shape[1], target.shape[0]), self.forget, rng)
        transformed = [transform(frame, len(frames) - k) for k, frame in enumerate(frames)]
        network_input = append_condition_planes(self.pairing.training_input(transformed, rng), conditions)
        plate = None if self.plate is None else transform(self.plate)
        network_input = _append_channels(network_input, plate, self.recurrent)
        target = transform(target) if self.pairing.class_colours is None or whole else geometry.apply_to_labels(target)
        weights = self.weigh(pair, geometry, target) if self.weigh else None
        return to_planes(network_input), to_planes(target), weights


def _unchanged(picture: np.ndarray, num_back: int = 0) -> np.ndarray:
    """Return the picture unchanged, in place of ``Geometry.apply`` for batches that the device transforms."""
    del num_back
    return picture


def condition_position(pair: Pair) -> float | None:
    """Return the position on the clip's timeline that is a pair's condition, in [0, 1); None without conditions."""
    return pair.nearest[0] if pair.nearest else pair.phase


def draw_conditions(
    pair: Pair, geometry: Geometry, frame: tuple[int, int], forget: float, rng: np.random.Generator
) -> ClipConditions | None:
    """Draw a next-frame example's conditions: timeline position, recall, camera view; None if the pairing has none.

    The noise level is left at its default. ``frame``: (width, height) of the pair's stored pictures. ``forget``: see
    ``Loader``.
    """
    if (position := condition_position(pair)) is None:
        return None
    recall, view = _draw_recall(geometry, forget, rng), geometry.view(frame)
    if len(pair.nearest) > 1 and rng.random() < 0.5:
        other = pair.nearest[rng.integers(1, len(pair.nearest))]
        return ClipConditions(other, recall * MAX_RECALL_OF_ALTERNATIVES * float(rng.random()), view=view)
    return ClipConditions(position, recall, view=view)


def _draw_recall(geometry: Geometry, forget: float, rng: np.random.Generator) -> float:
    """Draw the recall condition, the allowed use of memorised frames: 1, or less for a share ``forget`` of examples.

    It is 0 for a colour variant.
    """
    if geometry.colours:
        return 0.0
    value = rng.random() if forget else 1.0
    if value < forget / 2:
        return 0.0
    return float(rng.random()) if value < forget else 1.0


@dataclass(frozen=True)
class _Domain:
    """A domain's pairs, and ``rows``: for each possible example, its consecutive pair numbers, newest first."""

    number: int
    pairs: tuple[Pair, ...]
    rows: tuple[tuple[int, ...], ...]


class UnpairedLoader(PictureBatches):
    """Batches of frames of several domains; ``crop`` fits in every picture of every domain.

    ``inputs``: F consecutive frames of domain 0, the newest first, (N, 3·F, H, W) uint8; ``targets``: frames of another
    domain in the same format, drawn independently; several target domains alternate over the run. The frames of an
    example share jitter, crop and flip. For F = 2 a frame stands for its missing neighbour; for larger F only frames
    with all their neighbours are drawn. ``examples`` belong to the inputs.

    Args:
        pairs: Training pairs of all domains.
        names: The names of the domains, for messages.
        num_frames: F.
        plan: The size of a batch, and how its examples are drawn.

    Raises:
        MediaError: A domain has no pictures.
        UsageError: A domain has no F consecutive frames.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        names: Sequence[str],
        plan: BatchPlan,
        num_frames: int = 1,
    ) -> None:
        self.domains = [_select_domain(number, name, pairs, num_frames) for number, name in enumerate(names)]
        super().__init__(pairs, plan)

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        positions = [step * self.plan.batch_size + k for k in self.share]
        scale = self.growth.at(step)
        sources, inputs = zip(*(self._draw(self.domains[0], p, SOURCE_KEY + p, scale) for p in positions), strict=True)
        others = len(self.domains) - 1
        drawn = [self._draw(self.domains[1 + p % others], p // others, TARGET_KEY + p, scale) for p in positions]
        return TrainingBatch(np.stack(inputs), np.stack([planes for _, planes in drawn]), examples=sources)

    def _draw(self, domain: _Domain, position: int, key: int, scale: PictureScale) -> tuple[Example, np.ndarray]:
        """Return the example at ``position`` in the domain's random order, and its F frames, (3·F, H, W) uint8.

        ``key``: seeds the transform, which is drawn at the picture size ``scale``.
        """
        count = len(domain.rows)
        epoch = domain.number * EPOCH_STRIDE + position // count
        row = domain.rows[epoch_order(self.plan.seed, epoch, count)[position % count]]
        frames = [self.read(domain.pairs[number].target) for number in row]
        _, geometry = self.draw(key, frames[0], scale)
        return Example(row[0], geometry), np.concatenate([to_planes(geometry.apply(frame)) for frame in frames])


class UnpairedNoise(Batches):
    """Batches of noise in the format of ``UnpairedLoader``, for timing a training before its pictures exist.

    ``size``: (width, height) in pixels. ``batch``: the number of examples. ``num_frames``: frames per example.
    """

    def __init__(self, size: tuple[int, int], *, batch: int, num_frames: int = 1) -> None:
        self.crop, self.batch, self.channels = size, batch, 3 * num_frames
        self.growth = PictureGrowth((PictureScale(size),))

    def make(self, step: int) -> TrainingBatch:
        """Return a batch of noise for ``step``, determined by the step."""
        rng, (width, height) = np.random.default_rng(step), self.growth.at(step).crop
        shape = (self.batch, self.channels, height, width)
        inputs, targets = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
        return TrainingBatch(inputs, targets)


def _select_domain(number: int, name: str, pairs: Sequence[Pair], num_frames: int) -> _Domain:
    """Return the pairs of domain ``number``. Raises MediaError without pairs, UsageError without consecutive frames."""
    domain_pairs = tuple(pair for pair in pairs if pair.domain == number)
    if not domain_pairs:
        raise MediaError(
            name, "no picture of this domain is left to learn from", "make the dataset again, or --restore"
        )
    rows = _consecutive_rows(domain_pairs, num_frames)
    if not rows:
        why = f"the method learns from {num_frames} frames in a row, and '{name}' has nowhere as many"
        remedy = "give a clip rather than single pictures, and keep all its frames with --set "
        raise UsageError("this dataset", why, f"{remedy}dataset.drop_duplicates=false --set dataset.min_sharpness=0")
    return _Domain(number, domain_pairs, rows)


def _consecutive_rows(pairs: Sequence[Pair], num_frames: int) -> tuple[tuple[int, ...], ...]:
    """Return the indices of ``num_frames`` consecutive pairs, newest first, for each pair that can be the newest."""
    numbers = {(pair.shot, pair.place): i for i, pair in enumerate(pairs)}
    rows = []
    for i, pair in enumerate(pairs):
        numbers_back = [numbers.get((pair.shot, pair.place - back)) for back in range(num_frames)]
        row = tuple(i if n is None and num_frames <= MAX_FRAMES_WITH_REPEATS else n for n in numbers_back)
        if None not in row:
            rows.append(row)
    return tuple(rows)  # type: ignore[arg-type]


def preserved_content_weights(pair: Pair, geometry: Geometry, target: np.ndarray) -> np.ndarray:
    """Return the matte of preserved content, a ``PixelWeights`` function: (1, H, W), 0 to 1; all 0 without a matte."""
    if pair.keep is None:
        return np.zeros((1, *target.shape[:2]), np.float32)
    return to_planes(geometry.apply(read_picture(pair.keep)))[:1] / np.float32(255)


def prefetch(make: Callable[[int], TrainingBatch], first: int, stop: int) -> Iterator[TrainingBatch]:
    """Yield ``make(step)`` for the steps [first, stop), computed in threads.

    More threads are started if a step waits.
    """
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


def _append_channels(picture: np.ndarray, plate: np.ndarray | None, recurrent: bool) -> np.ndarray:
    """Append ``plate``, if any, and if ``recurrent`` the channels of an empty history, to an input, (H, W, C) uint8."""
    if plate is not None:
        picture = np.dstack([picture, plate])
    return np.dstack([picture, no_history(*picture.shape[:2])]) if recurrent else picture


def to_planes(picture: np.ndarray) -> np.ndarray:
    """Convert a picture (H, W, C) to a new array (C, H, W)."""
    return np.array(picture.transpose(2, 0, 1), order="C")


def to_signed(picture: np.ndarray) -> np.ndarray:
    """Convert a picture (H, W, C) uint8 to (C, H, W) float32 in [−1, 1]."""
    return signed_planes(to_planes(picture))


def signed_planes(planes: np.ndarray) -> np.ndarray:
    """Convert uint8 of any shape to float32 in [−1, 1]; copy float32 unchanged."""
    if planes.dtype != np.uint8:
        return planes.copy()
    return planes.astype(np.float32) / np.float32(127.5) - np.float32(1)
