"""The plate and what moves before it: found, learned with the pair's own geometry, painted, kept in the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from plates import before, dataset_of, panned

import vidtrans as api
from vidtrans.data.background_plate import SAME_SCENE, STILL, find_background_plate, find_motion_weights, visible_share
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Loader
from vidtrans.video.images.picture import read_picture, write_picture

repeatable = hypothesis_settings(max_examples=8)


@repeatable
@given(
    st.integers(0, 500), st.integers(501, 1000), st.floats(0.4, 1.0), st.sampled_from([(96, 64), (64, 96), (233, 70)])
)
def test_a_scene_is_known_in_other_light_and_size_and_no_other_is(
    seed: int, other: int, light: float, size: tuple[int, int]
) -> None:
    plate = scene(*size, seed)
    assert visible_share(plate, plate) == 1
    darker = (plate * light).astype(np.uint8)
    assert visible_share(darker, plate) > 0.95
    assert visible_share(cv2.resize(plate, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), plate) > 0.95
    assert visible_share(scene(*size, other), plate) < SAME_SCENE
    assert visible_share(np.roll(plate, size[0] // 4, axis=1), plate) < SAME_SCENE


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("still"))
        return dataset_of(before(1)).resolve()


def test_a_camera_at_rest_is_told_from_one_that_moves(still: Path) -> None:
    pairs = open_dataset(still).role("train")
    plate = find_background_plate(pairs)
    assert plate is not None
    assert plate.is_still
    assert plate.still > 0.7
    moving = find_background_plate(open_dataset(dataset_of(panned(), "moving")).role("train"))
    assert moving is not None
    assert not moving.is_still
    assert moving.still < STILL
    assert find_background_plate(pairs[:4]) is None


def test_the_plate_is_cut_and_mirrored_as_the_pair_is(still: Path) -> None:
    dataset = open_dataset(still)
    pairs = dataset.role("train")
    target = read_picture(pairs[0].target)
    plan = BatchPlan(batch_size=6, seed=1, multiple=16, crop=32, jitter=1.3, flip=True)
    own = Loader(pairs[:1], dataset.pairing, plan, plate=target)
    for step in range(4):
        batch = own.make(step)
        assert np.array_equal(batch.inputs[:, -3:], batch.targets)
    plain, plated = (Loader(pairs, dataset.pairing, plan, plate=plate).make(2) for plate in (None, target))
    assert plated.inputs.shape[1] == plain.inputs.shape[1] + 3
    assert np.array_equal(plated.inputs[:, :-3], plain.inputs)
    assert np.array_equal(plated.targets, plain.targets)
    assert plain.weights is plated.weights is None


def test_the_weights_of_a_shot_are_1_on_average_and_even_where_the_camera_moves() -> None:
    dataset = open_dataset(dataset_of([*before(1), *panned()]))
    assert len({r.shot for r in dataset.records}) == 2
    pairs = dataset.role("train")
    motion = find_motion_weights(dataset, pairs, 4.0)
    known = {p.target for p in pairs if int(p.target.stem) < 24}
    assert set(motion.plates) == known
    plan = BatchPlan(batch_size=len(pairs), seed=0, multiple=16)
    made = Loader(pairs, dataset.pairing, plan, weigh=motion).make(0)
    assert made.weights is not None
    assert made.weights.shape == (len(pairs), 1, *made.targets.shape[2:])
    even = np.array([w.min() == w.max() == 1 for w in made.weights])
    assert even.sum() == len(pairs) - len(known)
    assert made.weights[~even].mean() == pytest.approx(1, abs=0.1)


def test_photographs_have_even_weights_and_no_plate() -> None:
    for i in range(8):
        write_picture(Path(f"A/{i}.png"), scene(64, 64 if i else 80, i))
        write_picture(Path(f"B/{i}.png"), scene(64, 64 if i else 80, i + 20))
    api.make_dataset(".", "photos.dataset", pairing="aligned", settings={"dataset": {"size": "64"}})
    dataset = open_dataset(Path("photos.dataset"))
    assert find_motion_weights(dataset, dataset.pairs, 4.0).plates == {}
    plate = find_background_plate(dataset.pairs)
    assert plate is None or not plate.is_still
