"""Batches of two or more domains without pairs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import make_domains
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, TrainingBatch, UnpairedLoader

repeatable = hypothesis_settings(max_examples=6)
THREE = {"counts": (8, 5, 4), "sizes": ((40, 32), (32, 40), (40, 40))}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_domains(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_domains(tmp_path_factory.mktemp("three"), **THREE)  # type: ignore[arg-type]


def loader(folder: Path, num_frames: int = 1, **options: Any) -> UnpairedLoader:
    dataset = open_dataset(folder)
    plan = BatchPlan(**{"batch_size": 3, "seed": 5, "multiple": 8, "crop": 16, "flip": True} | options)
    return UnpairedLoader(dataset.role("train"), dataset.domains, plan, num_frames)


def equal(a: TrainingBatch, b: TrainingBatch) -> bool:
    return np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets)


def numbers(planes: np.ndarray) -> list[list[int]]:
    """The numbers of the frames of (N, 3·F, H, W): pictures are ``datasets.numbered``, and not enlarged."""
    blue = planes[:, 2::3]
    assert (blue == blue[:, :, :1, :1]).all()
    return blue[:, :, 0, 0].astype(int).tolist()  # type: ignore[no-any-return]


@repeatable
@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 500), frames=st.integers(1, 3), batch=st.integers(1, 4))
def test_a_batch_depends_on_seed_and_step_alone(two: Path, seed: int, step: int, frames: int, batch: int) -> None:
    options = {"seed": seed, "num_frames": frames, "batch_size": batch}
    used, fresh = loader(two, **options), loader(two, **options)
    used.make(step + 7), used.make(0)
    whole = used.make(step)
    assert equal(whole, fresh.make(step))
    parts = [loader(two, **options, share=range(k, k + 1)).make(step) for k in range(batch)]
    for side in ("inputs", "targets"):
        assert np.array_equal(np.concatenate([getattr(p, side) for p in parts]), getattr(whole, side))
    assert not equal(whole, used.make(step + 1))


def test_the_source_is_the_input_and_the_others_take_turns_as_the_target(three: Path) -> None:
    made = loader(three)
    batches = list(made.stream(0, 8))
    inputs = [n for batch in batches for (n,) in numbers(batch.inputs)]
    targets = [n for batch in batches for (n,) in numbers(batch.targets)]
    assert set(inputs) == set(range(8))
    assert [n // 50 for n in targets] == [1, 2] * 12
    assert all(sorted(inputs[i : i + 8]) == list(range(8)) for i in (0, 8, 16))  # each frame once an epoch
    assert sorted(targets[0:10:2]) == list(range(50, 55))
    assert sorted(targets[1:9:2]) == list(range(100, 104))


@repeatable
@given(step=st.integers(0, 100), frames=st.integers(2, 3), seed=st.integers(0, 100))
def test_frames_of_an_example_share_their_geometry_the_newest_first(
    two: Path, step: int, frames: int, seed: int
) -> None:
    batch = loader(two, seed=seed, num_frames=frames, jitter=1.0).make(step)
    for planes in (batch.inputs, batch.targets):
        assert planes.shape == (3, 3 * frames, 16, 16)
        for example, row in zip(planes, numbers(planes), strict=True):
            assert all(np.array_equal(example[:2], example[3 * f : 3 * f + 2]) for f in range(1, frames))
            newest = row[0]
            first = newest % 50 in (0, 3)  # of a shot
            assert row == [newest, newest] if first and frames == 2 else row == [newest - f for f in range(frames)]


def test_three_frames_in_a_row_never_cross_a_cut_or_a_missing_picture(tmp_path: Path) -> None:
    folder = make_domains(tmp_path / "d", (12, 9), ((40, 32), (40, 32)))
    (folder / "clip0" / "000007.png").unlink()
    drawn = {row[0] for step in range(12) for row in numbers(loader(folder, num_frames=3).make(step).inputs)}
    assert drawn == {2, 5, 6, 10, 11}


def test_a_domain_that_cannot_be_learned_from_is_named(tmp_path: Path) -> None:
    folder = make_domains(tmp_path / "d", (6, 2), ((40, 32), (40, 32)))
    assert loader(folder, num_frames=2).make(0).targets.shape[1] == 6
    with pytest.raises(UsageError, match=r"3 frames in a row, and 'domain1' has nowhere as many"):
        loader(folder, num_frames=3)
    shutil.rmtree(folder / "clip1")
    with pytest.raises(MediaError, match=r"domain1: no picture of this domain is left"):
        loader(folder)


def test_an_index_whose_sources_have_no_domain_is_damaged(tmp_path: Path) -> None:
    folder = make_domains(tmp_path / "d")
    index = json.loads((folder / "dataset.json").read_text())
    for domain in (None, 5, "1", True):
        index["sources"][1]["domain"] = domain
        (folder / "dataset.json").write_text(json.dumps(index))
        with pytest.raises(MediaError, match=r"damaged .*do not belong to the domains domain0, domain1"):
            open_dataset(folder)
