"""Edges in the light of other cameras: what is drawn in training, and that nothing is where it is off."""

from __future__ import annotations

import numpy as np
import pytest
from clips import scene

from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import UsageError
from vidtrans.pairing.base import make_pairing
from vidtrans.pairing.edges import Edges, EdgesSettings
from vidtrans.pairing.sensor_noise import UNDISTURBED, disturb

FRAME = scene(96, 64, 4)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


@pytest.mark.parametrize("gradient_channel", [False, True])
def test_only_training_varies_and_only_where_it_is_asked_to(gradient_channel: bool) -> None:
    plain, varied = (Edges(EdgesSettings(gradient_channel=gradient_channel, variation=v)) for v in (0.0, 1.0))
    rng, untouched = generator(3), generator(3)
    assert np.array_equal(plain.training_input([FRAME], rng), plain.input([FRAME]))
    assert rng.random() == untouched.random()  # nothing is drawn
    assert np.array_equal(varied.input([FRAME]), plain.input([FRAME]))


def test_every_draw_is_another_and_more_variation_reaches_further() -> None:
    def apart(amount: float) -> float:
        pairing = Edges(EdgesSettings(gradient_channel=True, variation=amount))
        usual = pairing.input([FRAME]).astype(float)
        made = [pairing.training_input([FRAME], generator(seed)) for seed in range(24)]
        assert all(set(np.unique(m[..., 0])) <= {0, 255} for m in made)
        assert len({m.tobytes() for m in made}) == 24
        return float(np.mean([np.abs(m - usual).mean() for m in made]))

    assert apart(0.2) < 0.6 * apart(1.0)


def test_variation_and_what_it_draws_stay_within_their_bounds() -> None:
    most = EdgesSettings(density=0.9, hysteresis=1.0, sigma=10.0, variation=1.0)
    for seed in range(12):
        assert Edges(most).training_input([FRAME], generator(seed)).shape == (64, 96, 1)
    with pytest.raises(UsageError, match=r"pairing\.variation"):
        make_pairing("edges", {"variation": 1.1})


def test_some_frames_stay_as_they_are_and_the_others_have_other_light() -> None:
    made = [disturb(FRAME, 1.0, generator(seed)) for seed in range(200)]
    spared = np.mean([np.array_equal(picture, FRAME) for picture in made])
    assert spared == pytest.approx(UNDISTURBED, abs=0.08)
    light = [picture.mean() / FRAME.mean() for picture in made]
    assert min(light) < 0.6
    assert max(light) > 1.2
    assert all(picture.shape == FRAME.shape and picture.dtype == np.uint8 for picture in made)


def test_the_preset_draws_and_edges_does_not() -> None:
    assert make_recipe("edges-live", None, {}).tables["pairing"]["variation"] > 0
    assert make_recipe("edges", None, {}).tables["pairing"].get("variation", 0) == 0
