"""Chains: own outputs become inputs, in a pool that a resumed run takes up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from chain import said, said_json, tiny_flags
from clips import moving_frames, scene, write_clip
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.data.dataset import Pair, open_dataset
from vidtrans.data.dataset_planning import split_roles
from vidtrans.data.loading import BatchPlan, Loader, TrainingBatch, signed_planes
from vidtrans.pairing.next_frame import CHANNELS, NextFrame, NextFrameSettings
from vidtrans.training.feedback import (
    MIN_LENGTH,
    MIN_RELOCATION_SUCCESSORS,
    NextFrameFeedback,
    RolloutPool,
    num_clock_positions,
    successors,
)
from vidtrans.training.settings import TrainingSettings


def pairs_of(shots: Sequence[Sequence[str]], pairing: NextFrame) -> list[Pair]:
    """The pairs of shots of frames with the given roles, as a dataset makes them: of one role throughout."""
    found = []
    for shot, roles in enumerate(shots):
        for place, step in enumerate(pairing.pair_positions(len(roles))):
            used = {roles[i] for i in (*step.inputs, step.target)}
            if used in ({"train"}, {"val"}):
                *inputs, target = (Path(f"{shot}/{i}") for i in (*step.inputs, step.target))
                found.append(Pair(tuple(inputs), target, roles[step.target], (0, shot), place, step.phase))
    return found


shots_with_holes = st.lists(
    st.builds(split_roles, st.integers(3, 40), st.sampled_from([0.0, 0.2]), st.integers(1, 4), st.integers(0, 2)),
    min_size=1,
    max_size=3,
)


@hypothesis_settings(max_examples=25)
@given(shots_with_holes, st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_the_next_pair_sees_the_target_last(shots: list[list[str]], step: int, context: int, clock: bool) -> None:
    """Across no cut and no held-out gap; around both ends of a clock's timeline."""
    pairing = NextFrame(NextFrameSettings(step, context, clock))
    pairs = pairs_of(shots, pairing)
    following = successors(pairs, pairing.stride)
    places = {p.shot: num_clock_positions(pairs, p.shot) for p in pairs if p.phase}
    for pair, k in zip(pairs, following, strict=True):
        wanted = (pair.place + step) % places[pair.shot] if clock and pair.shot in places else pair.place + step
        there = [i for i, p in enumerate(pairs) if p.shot == pair.shot and p.place == wanted]
        assert there == ([] if k is None else [k])
    for pair, after in [(pair, pairs[k]) for pair, k in zip(pairs, following, strict=True) if k is not None]:
        assert after.inputs[-1] == pair.target
        assert after.inputs[:-1] == pair.inputs[1:]
        assert after.role == pair.role


def dataset(folder: Path, count: int = 24) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"{i:02d}.png" for i in range(count)]
    for i, file in enumerate(files):
        cv2.imwrite(str(file), scene(32, 32, seed=i))
    return files


def loader_of(files: list[Path], pairing: NextFrame, batch: int = 4) -> Loader:
    def pair(place: int, step: Any) -> Pair:
        return Pair(tuple(files[i] for i in step.inputs), files[step.target], "train", (0, 0), place, step.phase)

    pairs = [pair(place, step) for place, step in enumerate(pairing.pair_positions(len(files)))]
    return Loader(pairs, pairing, BatchPlan(batch_size=batch, seed=0, multiple=16, flip=True))


def chains_of(loader: Loader, **settings: Any) -> RolloutPool:
    pairing: Any = loader.pairing
    feedback = NextFrameFeedback(pairing.settings.context_frames)
    return RolloutPool(loader, feedback, TrainingSettings.of(rollout_fraction=0.5, **settings))


def painted(batch: TrainingBatch, step: int) -> torch.Tensor:
    """Outputs near enough to their targets, and each like no other."""
    rng = np.random.default_rng(step)
    return torch.from_numpy((batch.targets + rng.uniform(-0.1, 0.1, batch.targets.shape)).astype(np.float32))


def run(chains: RolloutPool, steps: range, progress: float = 1.0) -> list[TrainingBatch]:
    made = []
    for step in steps:
        batch = chains.mix(chains.loader.make(step), step, progress)
        chains.update(batch, painted(batch, step))
        made.append(batch)
    return made


@pytest.mark.parametrize("clock", [False, True])
def test_own_frames_stand_where_the_true_ones_were_and_the_target_stays_true(clock: bool) -> None:
    pairing = NextFrame(NextFrameSettings(1, 2, "clock" if clock else "none"))
    chains = chains_of(loader_of(dataset(Path("d")), pairing))
    ages = set()
    for step in range(20):
        plain = chains.loader.make(step)
        before = list(chains.slots)
        batch = chains.mix(plain, step, 1.0)
        for k, slot in enumerate(chains._example_slots):
            chain = None if slot is None else before[slot]
            assert np.array_equal(batch.inputs[k], signed_planes(plain.inputs[k])) == (chain is None)
            if chain is None:
                continue
            ages.add(chain.age)
            assert np.array_equal(batch.inputs[k, 3:6], chain.outputs[-1])
            true, target = map(signed_planes, chains.loader.pictures(chain.example, np.random.default_rng(0))[:2])
            assert np.array_equal(batch.targets[k], target)
            older = chain.outputs[-2] if len(chain.outputs) == 2 else true[:3]
            assert np.array_equal(batch.inputs[k, :3], older)
            assert np.array_equal(batch.inputs[k, 6:], true[6:])  # the clock is that of the true place
            assert batch.inputs.shape[1] == 6 + (CHANNELS if clock else 0)
            assert np.abs(chain.outputs[-1] - true[3:6]).max() <= 0.11  # mirrored as it was
        chains.update(batch, painted(batch, step))
    assert max(ages) > 3


def test_a_chain_ends_where_the_clip_does_and_where_it_is_lost() -> None:
    pairing = NextFrame(NextFrameSettings(1, 1))
    chains = chains_of(loader_of(dataset(Path("d"), 6), pairing))
    run(chains, range(60))
    last = len(chains.loader.pairs) - 1
    assert all(chain is None or chain.example.index <= last for chain in chains.slots)
    assert max(chain.age for chain in chains.slots if chain is not None) <= last
    batch = chains.mix(chains.loader.make(99), 99, 1.0)
    taken = [slot for slot in chains._example_slots if slot is not None]
    assert taken
    chains.update(batch, torch.full_like(torch.from_numpy(batch.targets), float("nan")))
    assert all(chains.slots[slot] is None for slot in taken)


@pytest.mark.parametrize("clock", [True, False])
def test_a_restored_pool_goes_on_exactly(clock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    landed: list[int] = []
    land = RolloutPool._relocate
    monkeypatch.setattr(RolloutPool, "_relocate", lambda *given: landed.append(1) or land(*given))
    loader = loader_of(dataset(Path("d")), NextFrame(NextFrameSettings(1, 2, "clock" if clock else "none")))
    whole, other = chains_of(loader), chains_of(loader)
    run(whole, range(30))
    before = len(landed)
    torch.save(whole.state(), "pool.pt")
    other.restore(torch.load("pool.pt", weights_only=True))
    for a, b in zip(run(whole, range(30, 60)), run(other, range(30, 60)), strict=True):
        assert np.array_equal(a.inputs, b.inputs)
        assert np.array_equal(a.targets, b.targets)
    assert max(chain.age for chain in other.slots if chain is not None) > 4
    assert clock == (before == 0) == (len(landed) == before)  # on either side, where a clip ends


NETWORK = ("--set=generator.name=warp-mix", "--set=generator.channels=8", "--set=generator.blocks=[0,0,0]")


def train_flags(steps: int) -> list[str]:
    learn = ["rollout_fraction=0.5", "input_noise=0.05", "gan_start=0.6", "lambda_gan=0.1", "ema_decay=0.9"]
    tables = [*NETWORK, *tiny_flags("training"), *tiny_flags("discriminator")]
    return ["train", "c.dataset", *tables, *(f"--set=training.{flag}" for flag in (*learn, f"steps={steps}"))]


@pytest.fixture
def short_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.metrics.dreams.ROLLOUT_FRAMES", 30)
    monkeypatch.setattr("vidtrans.metrics.dreams.STRIP_FRAMES", (1, 30))


def make(capsys: pytest.CaptureFixture[str], *flags: str, shots: Sequence[int] = (0,)) -> None:
    """Write c.mp4 and c.dataset; without flags one with held-out blocks."""
    write_clip(Path("c.mp4"), moving_frames(70, shots=shots))
    hold = "val_fraction=0.2", "val_block_size=14", "val_gap=1", "min_sharpness=0"
    own = flags or [f"--set=dataset.{flag}" for flag in hold]
    said(capsys, 0, "make-dataset", "c.mp4", "--pairing=next-frame", "--set=dataset.size=32", *own)


def test_a_run_is_scored_by_what_it_makes_of_its_own_frames_and_its_gan_begins_late(
    short_rollouts: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.training.health.CHECK_INTERVAL", 5)  # the ages of chains are logged then
    make(capsys)
    dreamt = said_json(capsys, *train_flags(10), "--set=training.val_interval=5")["dreamt"]
    assert dreamt["horizons"].keys() == dreamt["copy_last"].keys() == {"1", "5", "10"}
    assert dreamt.keys() >= {"nn", "drift", "sharpness", "m1", "m4", "uniq", "uniq_real"}
    page = Path("c.train/report.html").read_text()
    for words in ("Rollout", "the last frame, copied", "frame 30", "Rollouts", "Ten frames on"):
        assert words in page, words
    assert Path("c.train/dream.png").is_file()
    assert open_dataset(Path("c.dataset")).sources[0]["rate"] == "30"
    shown = said_json(capsys, "model", "show", "c.safetensors")
    assert shown["training"]["dreamt"] == dreamt
    assert shown["dream"]["positions"] == 0
    rows = [line.split(",") for line in Path("c.train/losses.csv").read_text().splitlines()]
    gan, discriminator = (rows[0].index(name) for name in ("generator_gan", "discriminator"))
    on = [float(row[gan]) > 0 and float(row[discriminator]) > 0 for row in rows[1:]]
    assert on == [False] * 6 + [True] * 4


def test_a_clock_goes_through_one_shot_and_says_so(short_rollouts: None, capsys: pytest.CaptureFixture[str]) -> None:
    make(capsys, "--preset=loop", shots=(0, 30))
    told = said(capsys, 0, *train_flags(3))
    assert "only the longest of 2 shots is used" in told
    shown = said_json(capsys, "model", "show", "c.safetensors")
    assert shown["dream"]["positions"] == 2 * (40 - 1)
    assert shown["training"]["pairs"] == 78
    assert "horizons" not in shown["training"]["dreamt"]
    assert "it follows its own clip" in said(capsys, 2, "stylize", "c.mp4", "--model", "c.safetensors")
    assert "next: vidtrans dream VIDEO --model c.safetensors" in told
    assert "plate" not in told  # the camera stands still, but what would be painted onto what?
    run = ("run", "c.mp4", "--preset", "loop", "--apply", "c.mp4", "-o", "out.mp4")
    before = set(Path().iterdir())
    assert "its own clip" in said(capsys, 2, *run)  # before anything is learned
    assert set(Path().iterdir()) == before


def test_at_the_clips_end_what_is_wrong_goes_on_elsewhere() -> None:
    """On the true frames of another place, the same on all of the context; and the chain grows older than the clip."""
    chains = chains_of(loader_of(dataset(Path("d")), NextFrame(NextFrameSettings(1, 2))))
    pairs, landed = chains.loader.pairs, 0
    for step in range(160):
        batch = chains.mix(chains.loader.make(step), step, 1.0)
        before = list(chains.slots)
        made = painted(batch, step)
        chains.update(batch, made)
        for example, slot, picture, target in zip(
            batch.examples, chains._example_slots, made, batch.targets, strict=True
        ):
            chain = None if slot is None else chains.slots[slot]
            if chain is None or slot is None or example.index != len(pairs) - 1:
                continue
            landed += 1
            was = before[slot]
            assert was is not None
            assert chain.age == was.age + 1
            true = signed_planes(chains.loader.pictures(chain.example, np.random.default_rng(0))[0])
            wrong = picture.numpy() - target
            for frame, output in zip((true[:3], true[3:6]), chain.outputs, strict=True):
                assert np.allclose(output, np.clip(frame + wrong, -1, 1), atol=1e-6)
            assert len(pairs) - 1 - chain.example.index >= MIN_RELOCATION_SUCCESSORS
    assert landed > 3
    assert max(chain.age for chain in chains.slots if chain) > len(pairs)


def test_chains_begin_late_and_grow_evenly_between_a_tenth_and_half_of_the_run() -> None:
    loader = loader_of(dataset(Path("d")), NextFrame(NextFrameSettings(1, 1, "clock")))
    early = chains_of(loader)
    assert all(
        np.array_equal(mixed.inputs, signed_planes(loader.make(step).inputs))
        for step, mixed in enumerate(run(early, range(20), 0.05))
    )
    assert all(chain is None or chain.age == 1 for chain in early.slots)
    for progress, longest in ((0.1, MIN_LENGTH), (0.2, 8), (0.3, 12), (0.5, 20), (1.0, 20)):
        chains = chains_of(loader, max_rollout_length=20)
        chains.mix(loader.make(0), 0, progress)
        assert chains._max_length == longest
    for longest in (5, 9):
        chains, oldest = chains_of(loader, max_rollout_length=longest), 0
        for step in range(80):
            run(chains, range(step, step + 1))
            oldest = max(oldest, *(chain.age for chain in chains.slots if chain is not None))
        assert oldest == longest
