"""Scores of a next-frame model's rollouts, without camera moves or drift correction."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.data.moving_windows import render
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.dreaming.pointer import Pointer
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls, RolloutModel, start_view
from vidtrans.dreaming.seeds import to_signed
from vidtrans.inference.torch_engine import TorchEngine, to_pictures
from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.training.feedback import round_trip, successors
from vidtrans.training.report.training_page import RolloutSummary
from vidtrans.video.images.picture import picture_size, read_picture

MAX_BLOCKS = 4  # held-out blocks that horizons are measured in
QUICK_HORIZON = 10  # frames
STILL = CameraMove()


class _Start(NamedTuple):
    """A rollout's start: the ``pair`` whose target is its first frame, and the true pictures from that frame on."""

    pair: Pair
    truth: tuple[Path, ...] = ()


class RolloutScorer:
    """Scores rollouts that start at held-out blocks of a dataset, or, without any, at its first training pair.

    ``window``: (width, height) of what is seen of the middle of the pictures; None for all.
    """

    def __init__(
        self,
        dataset: Dataset,
        pairs: Sequence[Pair],
        pairing: NextFrame,
        memory: ClipMemory | None,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.dataset, self.pairing, self.memory, self.window = dataset, pairing, memory, window
        stored = picture_size(pairs[0].target)
        self.zoom = stored[1] / window[1] if window else 1.0
        self._pointer = Pointer(memory, 0) if memory and not pairing.has_clock else None
        held_out = [pair for pair in dataset.role("val") if not pairing.has_clock or pair.shot == pairs[0].shot]
        self.blocks = _starts(held_out, pairing.stride)[:MAX_BLOCKS]
        self.start = self.blocks[0] if self.blocks else _Start(pairs[0])
        self.positions = round_trip(pairs, pairs[0].shot) if pairing.has_clock else 0
        self.rate = Fraction(dataset.sources[0].get("rate", "25"))
        files = sorted({path for pair in pairs for path in (*pair.inputs, pair.target)})
        self._files = [files[i] for i in segment_centres(len(files), min(dreams.MAX_TRAINING_FRAMES, len(files)))]
        shot = self.start.pair.shot
        self._clip = [dataset.path(r.file) for r in dataset.records if (r.source, r.shot) == shot and r.names]

    def _read(self, path: Path) -> np.ndarray:
        picture = read_picture(path)
        return render(picture, np.eye(3), self.window) if self.window else picture

    @cached_property
    def training_frames(self) -> list[np.ndarray]:
        """Return the training frames, at most ``dreams.MAX_TRAINING_FRAMES``."""
        return [self._read(path) for path in self._files]

    def score(self, engine: TorchEngine) -> RolloutSummary:
        """Return the scores of ``metrics.dreams`` and a strip of frames. Motion is relative to the true clip's."""
        film = self._film(engine, self.start, dreams.ROLLOUT_FRAMES)
        clip = [self._read(path) for path in self._clip[:: self.pairing.stride][: dreams.MAX_TRAINING_FRAMES]]
        true_film = dreams.ping_pong(clip, dreams.ROLLOUT_FRAMES)
        scores = self._horizons(engine, film) | dreams.score_rollout(film, self.training_frames, true_film)
        return RolloutSummary(scores, [(n, film[n - 1]) for n in dreams.STRIP_FRAMES])

    def quick_score(self, engine: TorchEngine) -> Table:
        """Return ``horizon``, the PSNR in dB at ``QUICK_HORIZON`` in a held-out block; {} if the block is shorter."""
        truth = self.start.truth[:QUICK_HORIZON]
        if len(truth) < QUICK_HORIZON:
            return {}
        film = self._film(engine, self.start, QUICK_HORIZON)
        return {"horizon": round(min(psnr(film[-1], self._read(truth[-1])), PSNR_CAP), 2)}

    def for_record(self) -> Table:
        """Return the model file's table for dreams: positions, frame rate, frames' statistics, runs of kept frames."""
        rate = str(self.rate / self.pairing.stride)
        table = {"positions": self.positions, "rate": rate, "statistics": frame_statistics(self.training_frames)}
        table |= {"zoom": self.zoom} if self.window else {}
        if (memory := self.memory) is None:
            return table
        return table | {"runs": list(memory.runs), "shots": list(memory.shots)} | self._origins(memory.files)

    def _origins(self, files: Sequence[Path]) -> Table:
        """Return the clips, with their frame rates, and of each kept frame the number of its clip and its own there."""
        records = {self.dataset.path(record.file): record for record in self.dataset.records}
        kept = [records[path] for path in files]
        clips = []
        for number, source in enumerate(self.dataset.sources):
            steps = np.diff(sorted(r.index for r in self.dataset.records if r.source == number))
            every = int(steps[steps > 0].min()) if (steps > 0).any() else 1
            clips.append({"name": source["name"], "rate": str(Fraction(source.get("rate", "25")) * every)})
        return {"clips": clips, "frames": [[record.source, record.index] for record in kept]}

    def _film(self, engine: TorchEngine, start: _Start, count: int) -> list[np.ndarray]:
        """Return ``count`` dreamt frames, (H, W, 3) uint8."""
        settings, positions = self.pairing.settings, self.positions
        model = RolloutModel(
            engine,
            settings.context_frames,
            settings.step,
            positions,
            pointer=self._pointer,
            start=start_view(self.zoom),
        )
        phase = (start.pair.place - self.pairing.stride) / positions if positions else 0.0
        controls = RolloutControls(lambda frame: STILL, lambda frame: 1.0)
        seed = [to_signed(self._read(path)) for path in start.pair.inputs]
        rollout = Rollout(seed, lambda frame: model, controls, phase=phase)
        return [to_pictures(rollout.step()[None], deep=False)[0] for _ in range(count)]

    def _horizons(self, engine: TorchEngine, film: Sequence[np.ndarray]) -> Table:
        """Return mean horizons over the held-out blocks, and of a copy-last baseline. ``film``: the first's rollout."""
        ours, copies = [], []
        for number, block in enumerate(self.blocks):
            truth = [self._read(path) for path in block.truth]
            ours.append(dreams.horizons(film if number == 0 else self._film(engine, block, len(truth)), truth))
            copies.append(dreams.copy_last(self._read(block.pair.inputs[-1]), truth))
        return {"horizons": _means(ours), "copy_last": _means(copies)} if ours else {}


def rollout_scorer(
    dataset: Dataset, pairs: Sequence[Pair], memory: ClipMemory | None, window: tuple[int, int] | None = None
) -> RolloutScorer | None:
    """Return a scorer; None if the pairing does not predict frames.

    ``memory``: the frames that the model keeps. ``window``: see ``RolloutScorer``.
    """
    pairing = dataset.pairing
    return RolloutScorer(dataset, pairs, pairing, memory, window) if isinstance(pairing, NextFrame) else None


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
