"""Contracts of every measure of looks that is installed. A new line of ``MEASURES`` is tested by being there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.perception import MEASURES, load_measure
from vidtrans.perception.measure import LookMeasure

pytestmark = pytest.mark.usefixtures("one_thread")


def signed(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def stripes(width: int, seed: int = 0) -> torch.Tensor:
    """A texture: stripes of two colours."""
    colours = np.random.default_rng(seed).integers(0, 256, (2, 3))
    x = np.arange(96) // width % 2
    return signed(np.broadcast_to(colours[x][None], (96, 96, 3)).astype(np.uint8))


@pytest.fixture(params=list(MEASURES))
def measure(request: pytest.FixtureRequest) -> LookMeasure:
    found: LookMeasure = load_measure(request.param)
    return found


def test_a_style_is_nearest_to_itself_and_one_of_several_is_as_if_it_were_alone(measure: LookMeasure) -> None:
    statistics = measure.statistics(stripes(4))
    distances = [
        float(measure.style(measure.see(picture), statistics))
        for picture in (stripes(4), stripes(4).roll(2, 3), stripes(12), stripes(4, seed=1))
    ]
    assert len(measure.identity()) > 3
    assert distances[0] < 0.2 * min(distances[2:])  # parts of it differ a little from all of it
    assert max(distances[:2]) < min(distances[2:])
    both = torch.cat([stripes(6), stripes(9)])
    alone = float(measure.style(measure.see(both[1:]), statistics))
    assert float(measure.style(measure.one(measure.see(both), 1), statistics)) == pytest.approx(alone, rel=1e-4)


def test_content_is_what_is_where_in_whatever_colours(measure: LookMeasure) -> None:
    frame = signed(scene(96, 96, 3))
    of_frame = measure.see(frame)
    darker, other = 0.6 * frame - 0.2, frame.flip(3)
    assert float(measure.content(measure.see(frame), of_frame)) == 0
    same, moved = (float(measure.content(measure.see(p), of_frame)) for p in (darker, other))
    assert same < 0.5 * moved


@pytest.mark.parametrize("size", [(8, 8)])
def test_pictures_may_be_tiny(measure: LookMeasure, size: tuple[int, int]) -> None:
    tiny = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen = measure.see(tiny)
    assert np.isfinite(float(measure.style(seen, measure.statistics(stripes(4)))))
    assert float(measure.content(seen, measure.see(tiny))) == 0
    where = torch.ones(1, 1, *size)
    assert np.isfinite(float(measure.style(seen, measure.statistics(stripes(4)), where)))
    assert float(measure.content(seen, measure.see(tiny), where)) == 0
