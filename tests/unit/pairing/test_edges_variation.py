"""Edges in the light of other cameras: what is drawn in training, and that nothing is where it is off."""

from __future__ import annotations

import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.config.recipe import make_recipe
from vidtrans.errors import UsageError
from vidtrans.pairing import camera
from vidtrans.pairing.base import make_pairing
from vidtrans.pairing.camera import disturb
from vidtrans.pairing.edges import Edges, EdgesSettings

FRAME = scene(96, 64, 4)
amounts = st.floats(0.01, 1.0)
seeds = st.integers(0, 1000)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


@pytest.mark.parametrize("gradient_channel", [False, True])
def test_without_variation_training_sees_what_rendering_sees_and_nothing_is_drawn(gradient_channel: bool) -> None:
    pairing = Edges(EdgesSettings(gradient_channel=gradient_channel))
    rng, untouched = generator(3), generator(3)
    assert np.array_equal(pairing.training_input([FRAME], rng), pairing.input([FRAME]))
    assert rng.random() == untouched.random()


def test_rendering_is_the_same_with_variation_and_without() -> None:
    with_variation = Edges(EdgesSettings(gradient_channel=True, variation=1.0))
    assert np.array_equal(with_variation.input([FRAME]), Edges(EdgesSettings(gradient_channel=True)).input([FRAME]))


@hypothesis_settings(max_examples=20)
@given(seeds, amounts, st.sampled_from([(96, 64), (33, 17), (5, 3)]))
def test_what_training_sees_is_a_function_of_frame_and_draws(seed: int, amount: float, size: tuple[int, int]) -> None:
    frame, pairing = scene(*size, 4), Edges(EdgesSettings(gradient_channel=True, variation=amount))
    before = frame.copy()
    made = pairing.training_input([frame], generator(seed))
    assert made.shape == (size[1], size[0], 2)
    assert made.dtype == np.uint8
    assert np.array_equal(made, pairing.training_input([frame], generator(seed)))
    assert np.array_equal(frame, before)
    assert set(np.unique(made[..., 0])) <= {0, 255}


def test_every_draw_is_another_and_more_variation_reaches_further() -> None:
    def apart(amount: float) -> float:
        pairing = Edges(EdgesSettings(gradient_channel=True, variation=amount))
        usual = pairing.input([FRAME]).astype(float)
        return float(np.mean([np.abs(pairing.training_input([FRAME], generator(s)) - usual).mean() for s in range(24)]))

    pairing = Edges(EdgesSettings(variation=1.0))
    assert len({pairing.training_input([FRAME], generator(s)).tobytes() for s in range(12)}) == 12
    assert apart(0.2) < 0.6 * apart(1.0)


@pytest.mark.parametrize("amount", [-0.1, 1.1])
def test_variation_out_of_bounds_is_refused(amount: float) -> None:
    with pytest.raises(UsageError, match=r"pairing\.variation"):
        make_pairing("edges", {"variation": amount})


def test_drawn_settings_stay_within_their_bounds() -> None:
    most = EdgesSettings(density=0.9, hysteresis=1.0, sigma=10.0, variation=1.0)
    for seed in range(12):
        assert Edges(most).training_input([FRAME], generator(seed)).shape == (64, 96, 1)


def test_some_frames_stay_as_they_are_and_the_others_have_other_light() -> None:
    made = [disturb(FRAME, 1.0, generator(seed)) for seed in range(200)]
    spared = np.mean([np.array_equal(picture, FRAME) for picture in made])
    assert spared == pytest.approx(camera.UNDISTURBED, abs=0.08)
    light = [picture.mean() / FRAME.mean() for picture in made]
    assert min(light) < 0.6
    assert max(light) > 1.2
    assert all(picture.shape == FRAME.shape and picture.dtype == np.uint8 for picture in made)


def test_the_preset_draws_and_edges_does_not() -> None:
    assert make_recipe("edges-live", None, {}).tables["pairing"]["variation"] > 0
    assert make_recipe("edges", None, {}).tables["pairing"].get("variation", 0) == 0
