"""The style transfer network whose norms are predicted: strokes, mixtures, sizes, what is flat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.models.style_prediction import StylePrediction
from vidtrans.networks.predicted_style import PredictedStyle

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network() -> PredictedStyle:
    """A network with two looks, of two different pictures."""
    prediction = StylePrediction()
    return prediction.network([prediction.norms(prediction.vector(scene(96, 96, seed))) for seed in (3, 8)])


def paint(network: PredictedStyle, frame: np.ndarray, shares: tuple[float, float], stroke: float) -> np.ndarray:
    planes = [2 * share - 1 for share in shares] + [stroke]
    x = torch.from_numpy(frame).permute(2, 0, 1).float() / 127.5 - 1
    given = torch.cat([x, *(torch.full_like(x[:1], value) for value in planes)])
    with torch.inference_mode():
        return network(given[None])[0].permute(1, 2, 0).numpy()


def roughness(picture: np.ndarray) -> float:
    """The mean absolute Laplacian."""
    inner, up, left = (
        picture[1:-1, 1:-1],
        picture[:-2, 1:-1] + picture[2:, 1:-1],
        picture[1:-1, :-2] + picture[1:-1, 2:],
    )
    return float(np.abs(4 * inner - up - left).mean())


def test_broad_strokes_have_less_fine_texture_than_fine_ones(network: PredictedStyle) -> None:
    frame = scene(128, 96, 5)
    for shares in ((1.0, 0.0), (0.0, 1.0)):
        fine, middle, broad = (roughness(paint(network, frame, shares, stroke)) for stroke in (-1.0, 0.0, 1.0))
        assert fine > middle > broad > 0


def test_looks_differ_and_mix_and_any_size_is_painted(network: PredictedStyle) -> None:
    frame = scene(104, 64, 5)
    one, other, half = (paint(network, frame, shares, 0.0) for shares in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)))
    apart = np.abs(one - other).mean()
    assert apart > 0.05
    assert max(np.abs(half - one).mean(), np.abs(half - other).mean()) < apart
    assert paint(network, scene(16, 24, 1), (1.0, 0.0), 0.0).shape == (24, 16, 3)


def test_what_is_flat_stays_as_it_is(network: PredictedStyle) -> None:
    grey = np.full((32, 48, 3), 90, np.uint8)
    assert np.abs(paint(network, grey, (1.0, 0.0), 0.0) - (90 / 127.5 - 1)).max() < 0.01


def test_a_moved_picture_is_painted_alike(network: PredictedStyle) -> None:
    """A shift by one pixel, which the strides of the original network answer with other strokes."""
    frame = scene(160, 96, 5)
    first, second = (paint(network, np.ascontiguousarray(frame[:, n : n + 144]), (1.0, 0.0), 0.0) for n in (8, 9))
    assert np.abs(first[16:-16, 17:-16] - second[16:-16, 16:-17]).mean() < 0.25 * np.abs(first).mean()
