"""Batches of frames of the source domain and of the other domains, drawn independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.data.dataset import Pair
from vidtrans.data.growing import PictureGrowth, PictureScale
from vidtrans.data.loading import Batches, Example, PictureBatches, TrainingBatch, order, to_planes

STAND_INS = 2  # frames of an example up to which a frame stands in for a neighbour that it lacks
EPOCHS = 1 << 40  # more than a run has: the orders of domain k are those from k · EPOCHS on
SOURCE, OTHERS = 1 << 63, 3 << 62  # first keys of what is drawn for the examples of either side


@dataclass(frozen=True)
class _Domain:
    """A domain's pairs, and a row of consecutive pair numbers, newest first, for each frame that can be drawn."""

    number: int
    pairs: tuple[Pair, ...]
    rows: tuple[tuple[int, ...], ...]


class UnpairedLoader(PictureBatches):
    """Batches of frames of several domains; ``crop`` fits in every picture of every domain.

    ``inputs`` (N, 3·F, H, W) uint8: F consecutive frames of domain 0, the newest first; ``targets``: the same of
    another domain, drawn independently; several target domains alternate over the run. The frames of an example
    share jitter, crop and flip. For F = 2 a frame replaces its missing neighbour; for larger F only frames with
    all their neighbours are drawn. ``examples`` are those of the inputs.

    Args:
        pairs: Training pairs of all domains.
        names: The names of the domains, for messages.
        num_frames: F.
        batch, seed, multiple, crop, jitter, flip, zoom_range, share: As in ``PictureBatches``.

    Raises:
        MediaError: A domain has no pictures.
        UsageError: A domain has no F consecutive frames.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        names: Sequence[str],
        *,
        batch: int,
        seed: int,
        multiple: int,
        num_frames: int = 1,
        crop: int | None = None,
        jitter: float = 1.0,
        flip: bool = False,
        zoom_range: float = 1.0,
        share: range | None = None,
    ) -> None:
        self.domains = [_domain(number, name, pairs, num_frames) for number, name in enumerate(names)]
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

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of ``step``, counted from 0."""
        positions = [step * self.batch + k for k in self.share]
        scale = self.growth.at(step)
        sources, inputs = zip(*(self._draw(self.domains[0], p, SOURCE + p, scale) for p in positions), strict=True)
        others = len(self.domains) - 1
        drawn = [self._draw(self.domains[1 + p % others], p // others, OTHERS + p, scale) for p in positions]
        return TrainingBatch(np.stack(inputs), np.stack([planes for _, planes in drawn]), examples=sources)

    def _draw(self, domain: _Domain, position: int, key: int, scale: PictureScale) -> tuple[Example, np.ndarray]:
        """Return the example at ``position`` in the domain's order, and its frames, (3·F, H, W) uint8."""
        count = len(domain.rows)
        epoch = domain.number * EPOCHS + position // count
        row = domain.rows[order(self.seed, epoch, count)[position % count]]
        frames = [self.read(domain.pairs[number].target) for number in row]
        _, geometry = self.draw(key, frames[0], scale)
        return Example(row[0], geometry), np.concatenate([to_planes(geometry.apply(frame)) for frame in frames])


class UnpairedNoise(Batches):
    """Batches of noise in the format of ``UnpairedLoader``, to time training before pictures exist."""

    def __init__(self, size: tuple[int, int], *, batch: int, num_frames: int = 1) -> None:
        self.crop, self.batch, self.channels = size, batch, 3 * num_frames
        self.growth = PictureGrowth((PictureScale(size),))

    def make(self, step: int) -> TrainingBatch:
        """Return the batch of a step."""
        rng, (width, height) = np.random.default_rng(step), self.growth.at(step).crop
        shape = (self.batch, self.channels, height, width)
        inputs, targets = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
        return TrainingBatch(inputs, targets)


def _domain(number: int, name: str, pairs: Sequence[Pair], num_frames: int) -> _Domain:
    own = tuple(pair for pair in pairs if pair.domain == number)
    if not own:
        raise MediaError(
            name, "no picture of this domain is left to learn from", "make the dataset again, or --restore"
        )
    rows = _rows(own, num_frames)
    if not rows:
        why = f"the method learns from {num_frames} frames in a row, and '{name}' has nowhere as many"
        remedy = "give a clip rather than single pictures, and keep all its frames with --set "
        raise UsageError("this dataset", why, f"{remedy}dataset.drop_duplicates=false --set dataset.min_sharpness=0")
    return _Domain(number, own, rows)


def _rows(pairs: Sequence[Pair], num_frames: int) -> tuple[tuple[int, ...], ...]:
    """Return rows of ``num_frames`` consecutive pair numbers, the newest first, for each possible newest pair."""
    numbers = {(pair.shot, pair.place): i for i, pair in enumerate(pairs)}
    rows = []
    for i, pair in enumerate(pairs):
        found = [numbers.get((pair.shot, pair.place - back)) for back in range(num_frames)]
        row = tuple(i if n is None and num_frames <= STAND_INS else n for n in found)
        if None not in row:
            rows.append(row)
    return tuple(rows)  # type: ignore[arg-type]
