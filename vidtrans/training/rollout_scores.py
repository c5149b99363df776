"""Scores of a next-frame model's rollouts, without camera moves or drift correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.inference.engine import Engine
from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.pairing.next_frame import NextFrame, with_clock
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.training.feedback.rollout_pool import round_trip, successors
from vidtrans.training.report.training_page import RolloutSummary
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.images.picture import read_picture

MAX_BLOCKS = 4  # held-out blocks that horizons are measured in
QUICK_HORIZON = 10  # frames


class _Start(NamedTuple):
    """A rollout's start: the ``pair`` whose target is its first frame, and the true pictures from that frame on."""

    pair: Pair
    truth: tuple[Path, ...] = ()


class RolloutScorer:
    """Scores rollouts that start at held-out blocks of a dataset, or, without any, at its first training pair."""

    def __init__(self, dataset: Dataset, pairs: Sequence[Pair], pairing: NextFrame) -> None:
        self.pairing = pairing
        held_out = [pair for pair in dataset.role("val") if not pairing.has_clock or pair.shot == pairs[0].shot]
        self.blocks = _starts(held_out, pairing.stride)[:MAX_BLOCKS]
        self.start = self.blocks[0] if self.blocks else _Start(pairs[0])
        self.positions = round_trip(pairs, pairs[0].shot) if pairing.has_clock else 0
        self.rate = Fraction(dataset.sources[0].get("rate", "25"))
        files = sorted({path for pair in pairs for path in (*pair.inputs, pair.target)})
        self._files = [files[i] for i in segment_centres(len(files), min(dreams.MAX_TRAINING_FRAMES, len(files)))]
        shot = self.start.pair.shot
        self._clip = [dataset.folder / r.file for r in dataset.records if (r.source, r.shot) == shot and r.names]

    @cached_property
    def training_frames(self) -> list[np.ndarray]:
        """Return the training frames, at most ``dreams.MAX_TRAINING_FRAMES``."""
        return [read_picture(path) for path in self._files]

    def score(self, engine: Engine) -> RolloutSummary:
        """Return the scores of ``metrics.dreams`` and a strip of frames. Motion is relative to the true clip's."""
        film = self._film(engine, self.start, dreams.ROLLOUT_FRAMES)
        clip = [read_picture(path) for path in self._clip[:: self.pairing.stride][: dreams.MAX_TRAINING_FRAMES]]
        true_film = dreams.ping_pong(clip, dreams.ROLLOUT_FRAMES)
        scores = self._horizons(engine, film) | dreams.score_rollout(film, self.training_frames, true_film)
        return RolloutSummary(scores, [(n, film[n - 1]) for n in dreams.STRIP_FRAMES])

    def quick_score(self, engine: Engine) -> Table:
        """Return ``horizon``, the PSNR in dB at ``QUICK_HORIZON`` in a held-out block; {} if the block is shorter."""
        truth = self.start.truth[:QUICK_HORIZON]
        if len(truth) < QUICK_HORIZON:
            return {}
        film = self._film(engine, self.start, QUICK_HORIZON)
        return {"horizon": round(min(psnr(film[-1], read_picture(truth[-1])), PSNR_CAP), 2)}

    def for_record(self) -> Table:
        """Return the model file's table for dreams: number of clock positions, frame rate, training statistics."""
        rate = str(self.rate / self.pairing.stride)
        return {"positions": self.positions, "rate": rate, "statistics": frame_statistics(self.training_frames)}

    def _film(self, engine: Engine, start: _Start, count: int) -> list[np.ndarray]:
        return list(islice(self._roll_out(engine, start), count))

    def _roll_out(self, engine: Engine, start: _Start) -> Iterator[np.ndarray]:
        """Yield predicted frames, (H, W, 3) uint8, endlessly; predictions are fed back in 16 bits."""
        frames, place = [to_uint16(read_picture(path)) for path in start.pair.inputs], start.pair.place
        renderer = FrameRenderer(ModelInputs(self.pairing), engine, deep=True)
        while True:
            phase = place % self.positions / self.positions if self.positions else None
            frame = renderer.picture(with_clock(self.pairing.input(frames), phase))
            frames = [*frames[1:], frame]
            place += self.pairing.stride
            yield to_uint8(frame)

    def _horizons(self, engine: Engine, film: Sequence[np.ndarray]) -> Table:
        """Return mean horizons over the held-out blocks, and of a copy-last baseline. ``film``: the first's rollout."""
        ours, copies = [], []
        for number, block in enumerate(self.blocks):
            truth = [read_picture(path) for path in block.truth]
            ours.append(dreams.horizons(film if number == 0 else self._film(engine, block, len(truth)), truth))
            copies.append(dreams.copy_last(read_picture(block.pair.inputs[-1]), truth))
        return {"horizons": _means(ours), "copy_last": _means(copies)} if ours else {}


def rollout_scorer(dataset: Dataset, pairs: Sequence[Pair]) -> RolloutScorer | None:
    """Return a scorer; None if the pairing does not predict frames."""
    pairing = dataset.pairing
    return RolloutScorer(dataset, pairs, pairing) if isinstance(pairing, NextFrame) else None


def _starts(pairs: Sequence[Pair], stride: int) -> list[_Start]:
    """Return a rollout start for each pair whose preceding frame is not in the dataset, the longest rollouts first."""
    following = successors(pairs, stride)
    starts = []
    for head in sorted(set(range(len(pairs))) - set(following)):
        at: int | None = head
        truth: list[Path] = []
        while at is not None and len(truth) < max(dreams.HORIZONS):
            truth.append(pairs[at].target)
            at = following[at]
        starts.append(_Start(pairs[head], tuple(truth)))
    return sorted(starts, key=lambda start: -len(start.truth))


def _means(tables: Sequence[dict[int, float]]) -> Table:
    """Return the mean score at each horizon, over the tables that reach it."""
    reached = sorted(set().union(*tables))
    return {str(h): round(float(np.mean([t[h] for t in tables if h in t])), 2) for h in reached}
