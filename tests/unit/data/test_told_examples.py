"""What a next-frame network is told in training: positions, how far it may recall, and noise; and other colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import make_dataset

from vidtrans.data.augment import apply_colour_variant
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Loader
from vidtrans.pairing.next_frame import (
    CHANNELS,
    POSITION_CHANNELS,
    VIEW_CHANNELS,
    ClipConditions,
    NextFrame,
    NextFrameSettings,
)

POSITIONS = (0.125, 0.25, 0.375)


def loader(folder: Path, forget: float, count: int = 400) -> Loader:
    pairs = [replace(pair, nearest=POSITIONS) for pair in open_dataset(make_dataset(folder, "next-frame")).pairs]
    told = NextFrame(NextFrameSettings(1, len(pairs[0].inputs), "nearest"))
    return Loader(pairs, told, BatchPlan(batch_size=count, seed=3, multiple=8, crop=16), forget=forget)


def told_values(batch_inputs: np.ndarray) -> np.ndarray:
    """Of each example, (N, CHANNELS)."""
    planes = batch_inputs[:, -CHANNELS:].astype(np.float32) / 127.5 - 1
    assert (planes == planes[:, :, :1, :1]).all()
    return planes[:, :, 0, 0]


def test_examples_are_told_the_nearest_position_half_of_the_time_and_else_another(tmp_path: Path) -> None:
    told = told_values(loader(tmp_path / "d", 0.0).make(0).inputs)
    wanted = np.stack([ClipConditions(position).values()[:POSITION_CHANNELS] for position in POSITIONS])
    chosen = np.abs(told[:, None, :POSITION_CHANNELS] - wanted[None]).max(2).argmin(1)
    shares = np.bincount(chosen, minlength=3) / len(chosen)
    assert shares[0] == pytest.approx(0.5, abs=0.08)
    assert shares[1] == pytest.approx(0.25, abs=0.08)
    assert (told[chosen == 0, POSITION_CHANNELS + VIEW_CHANNELS] == 1).all()  # full recall of the pair's own frame
    assert (told[chosen > 0, POSITION_CHANNELS + VIEW_CHANNELS] <= 0).all()  # at most half recall of other frames
    assert (told[:, POSITION_CHANNELS + VIEW_CHANNELS + 1] == -1).all()  # noise comes later


def test_a_share_is_told_to_recall_nothing_and_half_of_it_has_other_colours(tmp_path: Path) -> None:
    made = loader(tmp_path / "d", 0.5)
    batch = made.make(0)
    recalls = (told_values(batch.inputs)[:, POSITION_CHANNELS + VIEW_CHANNELS] + 1) / 2
    exchanged = np.array([example.geometry.colours > 0 for example in batch.examples])
    assert exchanged.mean() == pytest.approx(0.25, abs=0.07)
    assert (recalls[exchanged] == 0).all()
    assert (recalls == 0).mean() == pytest.approx(0.25 + 0.75 * 0.25, abs=0.08)
    assert (recalls == 1).mean() == pytest.approx(0.75 * 0.5 * 0.5, abs=0.08)  # and of its own place
    number = int(np.flatnonzero(exchanged)[0])
    example = batch.examples[number]
    plain = replace(example, geometry=replace(example.geometry, colours=0))
    given, target, _ = made.pictures(plain, np.random.default_rng(0))
    for planes, true in ((batch.inputs[number, :3], given[:3]), (batch.targets[number], target)):
        changed = apply_colour_variant(true.transpose(1, 2, 0), example.geometry.colours)
        assert np.array_equal(planes, changed.transpose(2, 0, 1))
