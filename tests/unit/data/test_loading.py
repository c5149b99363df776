"""The batches that training sees, and the geometry that is drawn for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import scene
from datasets import make_dataset, put
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import MediaError
from vidtrans.data import loading as loader_module
from vidtrans.data.augment import crop_size, draw_geometry
from vidtrans.data.dataset import Pair, open_dataset
from vidtrans.data.loading import (
    BatchPlan,
    Loader,
    NoiseLoader,
    PictureGrowth,
    PictureScale,
    TrainingBatch,
    UnpairedLoader,
    UnpairedNoise,
    plan_growth,
)
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import read_picture, resize

repeatable = hypothesis_settings(max_examples=12)


PLAN = BatchPlan(batch_size=3, seed=5, multiple=8, crop=16, jitter=1.2, flip=True)


def loader(folder: Path, pairing: str = "next-frame", **options: Any) -> Loader:
    dataset = open_dataset(make_dataset(folder, pairing))
    return Loader(dataset.pairs, dataset.pairing, replace(PLAN, **options))


def equal(a: TrainingBatch, b: TrainingBatch) -> bool:
    return np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets)


def test_a_batch_is_the_same_whatever_was_made_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = loader(tmp_path / "a"), loader(tmp_path / "a")
    batches = [first.make(step) for step in range(8)]
    assert all(equal(second.make(step), batches[step]) for step in (7, 2, 2, 5, 0))
    assert not equal(batches[0], batches[3])
    assert not equal(loader(tmp_path / "a", seed=6).make(0), batches[0])
    for processors in (1, 2, 5):
        monkeypatch.setattr(loader_module, "cores", lambda: processors)  # noqa: B023
        streamed = list(second.stream(2, 7))
        assert len(streamed) == 5
        assert all(equal(a, b) for a, b in zip(streamed, batches[2:7], strict=True))
    left_in_the_middle = second.stream(0, 1000)
    next(left_in_the_middle)
    left_in_the_middle.close()


def test_the_shares_of_a_batch_are_that_batch(tmp_path: Path) -> None:
    whole = loader(tmp_path / "a", batch_size=6).make(3)
    shares = [loader(tmp_path / "a", batch_size=6, share=range(i, i + 2)).make(3) for i in (0, 2, 4)]
    joined = [np.concatenate([getattr(s, side) for s in shares]) for side in ("inputs", "targets")]
    assert equal(TrainingBatch(*joined), whole)


def test_a_picture_that_vanishes_while_training_is_a_media_error(tmp_path: Path) -> None:
    made = loader(tmp_path / "a")
    for path in (tmp_path / "a" / "clip").iterdir():
        path.unlink()
    made.read.cache_clear()
    with pytest.raises(MediaError, match=r"\.png: no such file"):
        next(made.stream(0, 2))


def test_jitter_and_flip_do_to_the_input_what_they_do_to_the_target(tmp_path: Path) -> None:
    """Input and target are one picture here: they stay one, and their place differs from draw to draw."""
    made = loader(tmp_path / "a", "aligned", batch_size=8)
    for step in range(4):
        batch = made.make(step)
        assert np.array_equal(batch.inputs, batch.targets)
    plans = [replace(made.plan, seed=seed) for seed in (1, 2)]
    same_pair, other_seed = (Loader(made.pairs[:1], made.pairing, plan) for plan in plans)
    first, second = ([x.tobytes() for x in same_pair.make(step).inputs] for step in (0, 1))
    assert len(set(first)) > 4
    assert first != second  # the second epoch draws anew
    assert first != [x.tobytes() for x in other_seed.make(0).inputs]


sizes = st.integers(8, 90)


@repeatable
@given(st.integers(0, 10**6), sizes, sizes, sizes, sizes, st.floats(1, 2), st.booleans(), st.floats(1, 3))
def test_a_drawn_geometry_cuts_a_box_of_the_crops_size(
    seed: int, w: int, h: int, cw: int, ch: int, jitter: float, flip: bool, zoom: float
) -> None:
    geometry = draw_geometry(np.random.default_rng(seed), (w, h), (cw, ch), jitter, flip, zoom)
    picture = scene(w, h, seed=1)
    made = geometry.apply(picture)
    assert made.shape == (ch, cw, 3)
    assert 0 <= geometry.x <= max(0, geometry.scaled[0] - cw)
    assert 0 <= geometry.y <= max(0, geometry.scaled[1] - ch)
    assert flip or not geometry.mirrored
    plain = replace(geometry, mirrored=not geometry.mirrored).apply(picture)
    assert np.array_equal(made, plain[:, ::-1])


SMALL, FULL = PictureScale((32, 16), 0.5), PictureScale((64, 32))
GROWTH = PictureGrowth((SMALL, FULL), 0.5, 8)


def pair_of(name: str, seed: int, domain: int = 0) -> Pair:
    path = put(Path(name), seed, (64, 32))
    return Pair((path,), path, "train", (domain, 0), domain=domain)


def test_a_batch_shows_the_whole_picture_scaled_down_and_then_at_full_size() -> None:
    pairs = [pair_of("a.png", 1)]
    loader = Loader(pairs, make_pairing("edges", {}), BatchPlan(batch_size=1, seed=0, multiple=16))
    before = [loader.make(step) for step in range(8)]
    loader.growth = GROWTH
    after = [loader.make(step) for step in range(8)]
    picture = read_picture(Path("a.png"))
    assert np.array_equal(after[3].targets[0], resize(picture, 32, 16).transpose(2, 0, 1))
    assert after[3].inputs.shape[2:] == (16, 32)
    for step in range(4, 8):
        assert np.array_equal(after[step].inputs, before[step].inputs)
        assert np.array_equal(after[step].targets, before[step].targets)
    assert [b.targets.shape for b in loader.stream(2, 6)] == [(1, 3, 16, 32)] * 2 + [(1, 3, 32, 64)] * 2


def test_domains_and_noise_grow_alike() -> None:
    pairs = [pair_of("a.png", 1), pair_of("b.png", 2, domain=1)]
    unpaired = UnpairedLoader(pairs, ("a", "b"), BatchPlan(batch_size=2, seed=0, multiple=16))
    noise = NoiseLoader((64, 32), make_pairing("edges", {}), batch=2)
    for loader in (unpaired, noise, UnpairedNoise((64, 32), batch=2)):
        loader.growth = GROWTH
        for batch, size in zip(loader.stream(3, 5), ((16, 32), (32, 64)), strict=True):
            assert batch.inputs.shape[2:] == batch.targets.shape[2:] == size


def test_crops_fit_in_all_pictures_and_those_of_growing_ones_double() -> None:
    assert crop_size([(40, 30), (36, 50)], None, 8) == (32, 24)
    assert crop_size([(100, 5)], 48, 8) == crop_size([(99, 99), (50, 7)], 49, 8) == (48, 8)
    for crop, multiple, wanted in (((512, 512), 8, [128, 256, 512]), ((448, 256), 32, [224, 448])):
        scales = plan_growth(crop, 128, 0.5, 100, multiple=multiple, smallest=8).scales
        assert [scale.crop[0] for scale in scales] == wanted


def test_zooms_go_both_ways_and_never_below_the_crop() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_geometry(rng, (120, 80), (40, 40), 1.0, False, 1.5).scaled for _ in range(200)]
    assert (min(drawn), max(drawn)) == (pytest.approx((80, 53), abs=2), pytest.approx((180, 120), abs=2))
    assert min(draw_geometry(rng, (120, 80), (60, 60), 1.0, False, 3.0).scaled for _ in range(200)) == (90, 60)
