"""What becomes of a next-frame model that is fed its own frames: rolled out without a hand on it, and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.inference.engine import Engine
from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.pairing.clock import with_clock
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.rendering.frame_renderer import FrameRenderer, Inputs
from vidtrans.settings import Table
from vidtrans.training.feedback.rollout_pool import round_trip, successors
from vidtrans.training.report.rollout_summary import RolloutSummary
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.images.picture import read_picture

BLOCKS = 4  # held-out blocks that horizons are measured in
GLANCE = 10  # frames of the look on the way


def roll_out(
    engine: Engine, pairing: NextFrame, seed: Sequence[np.ndarray], place: int = 0, positions: int = 0
) -> Iterator[np.ndarray]:
    """One predicted frame after another, (H, W, 3) uint8, without an end; own frames are fed back in 16 bits.

    ``seed``: as many frames as the pairing's context, oldest first. With a clock of so many ``positions``, ``place`` is
    that of the first predicted frame.
    """
    frames, renderer = [to_uint16(frame) for frame in seed], FrameRenderer(Inputs(pairing), engine, deep=True)
    while True:
        phase = place % positions / positions if positions else None
        made = renderer.picture(with_clock(pairing.input(frames), phase))
        frames = [*frames[1:], made]
        place += pairing.stride
        yield to_uint8(made)


@dataclass(frozen=True)
class RolloutStart:
    """Where a rollout starts: the pair of its first frame, and the pictures that truly follow, that one's included."""

    pair: Pair
    truth: tuple[Path, ...]


class RolloutScorer:
    """Rolls models out from the held-out blocks of a dataset, or, where there are none, from where it begins.

    ``pairs``: those that are learned from.
    """

    def __init__(self, dataset: Dataset, pairs: Sequence[Pair], pairing: NextFrame) -> None:
        self.pairing = pairing
        held_out = [pair for pair in dataset.role("held-out") if not pairing.has_clock or pair.shot == pairs[0].shot]
        self.blocks = _starts(held_out, pairing.stride)[:BLOCKS]
        self.start = self.blocks[0] if self.blocks else RolloutStart(pairs[0], ())
        self.positions = round_trip(pairs, pairs[0].shot) if pairing.has_clock else 0
        self.rate = Fraction(dataset.sources[0].get("rate", "25"))
        files = sorted({path for pair in pairs for path in (*pair.inputs, pair.target)})
        self._known = [files[i] for i in segment_centres(len(files), min(dreams.MAX_TRAINING_FRAMES, len(files)))]
        shot = self.start.pair.shot
        self._clip = [dataset.folder / r.file for r in dataset.records if (r.source, r.shot) == shot and r.names]

    @cached_property
    def training(self) -> list[np.ndarray]:
        """The frames that were learned, or some of them."""
        return [read_picture(path) for path in self._known]

    @cached_property
    def real(self) -> list[np.ndarray]:
        """A film of true frames: to and fro through the clip."""
        clip = [read_picture(path) for path in self._clip[:: self.pairing.stride][: dreams.MAX_TRAINING_FRAMES]]
        return dreams.ping_pong(clip, dreams.ROLLOUT_FRAMES)

    def film(self, engine: Engine, start: RolloutStart, count: int) -> list[np.ndarray]:
        """Return the frames of a rollout."""
        seed = [read_picture(path) for path in start.pair.inputs]
        frames = roll_out(engine, self.pairing, seed, start.pair.place, self.positions)
        return [next(frames) for _ in range(count)]

    def score(self, engine: Engine) -> RolloutSummary:
        """Return the scores of ``metrics.dreams`` and a strip of frames."""
        film = self.film(engine, self.start, dreams.ROLLOUT_FRAMES)
        return RolloutSummary(
            self.horizons(engine, film) | self.holding(film), [(n, film[n - 1]) for n in dreams.STRIP_FRAMES]
        )

    def on_the_way(self, engine: Engine) -> Table:
        """Score one horizon in one held-out block, if it is long enough: quick, for use during training."""
        reached = self.blocks[0].truth[:GLANCE] if self.blocks else ()
        if len(reached) < GLANCE:
            return {}
        film = self.film(engine, self.start, GLANCE)
        return {"horizon": round(min(psnr(film[-1], read_picture(reached[-1])), PSNR_CAP), 2)}

    def for_record(self) -> Table:
        """Return the model file's table for dreams: clock positions, frame rate, statistics of the training frames."""
        rate = str(self.rate / self.pairing.stride)
        return {"positions": self.positions, "rate": rate, "bank": frame_statistics(self.training)}

    def horizons(self, engine: Engine, film: Sequence[np.ndarray]) -> Table:
        """Means over the held-out blocks, beside copies of the last frame; {} without any. ``film``: of the first."""
        ours, copies = [], []
        for number, block in enumerate(self.blocks):
            truth = [read_picture(path) for path in block.truth]
            ours.append(dreams.horizons(film if number == 0 else self.film(engine, block, len(truth)), truth))
            copies.append(dreams.copy_last(read_picture(block.pair.inputs[-1]), truth))
        return {"horizons": _means(ours), "copy_last": _means(copies)} if ours else {}

    def holding(self, film: Sequence[np.ndarray]) -> Table:
        """Score all frames of ``film``; motion is relative to the true clip's."""
        return dreams.score_rollout(film, self.training, self.real)


def rollout_scorer(dataset: Dataset, pairs: Sequence[Pair]) -> RolloutScorer | None:
    """None where the pairing predicts no frames."""
    pairing = dataset.pairing
    return RolloutScorer(dataset, pairs, pairing) if isinstance(pairing, NextFrame) else None


def _starts(pairs: Sequence[Pair], stride: int) -> list[RolloutStart]:
    """Every pair that follows no other, with what follows it; the longest first."""
    following = successors(pairs, stride)
    heads = set(range(len(pairs))) - {k for k in following if k is not None}
    found = []
    for head in sorted(heads):
        at: int | None = head
        truth: list[Path] = []
        while at is not None and len(truth) < max(dreams.HORIZONS):
            truth.append(pairs[at].target)
            at = following[at]
        found.append(RolloutStart(pairs[head], tuple(truth)))
    return sorted(found, key=lambda start: -len(start.truth))


def _means(tables: Sequence[dict[int, float]]) -> Table:
    """Of each horizon, over those that reach it."""
    reached = sorted(set().union(*tables))
    return {str(h): round(float(np.mean([t[h] for t in tables if h in t])), 2) for h in reached}
