"""The style transfer network whose norms are predicted: strokes, mixtures, sizes, what is flat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.models.style_prediction import StylePrediction
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.predicted_style import PredictedStyle, is_narrower, load_narrower

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network() -> PredictedStyle:
    """A network with two looks, of two different pictures."""
    prediction = StylePrediction()
    return prediction.network([prediction.style([scene(96, 96, seed)]) for seed in (3, 8)])


def paint(network: PredictedStyle, frame: np.ndarray, shares: tuple[float, float], stroke: float) -> np.ndarray:
    planes = [2 * share - 1 for share in shares] + [stroke]
    x = torch.from_numpy(frame).permute(2, 0, 1).float() / 127.5 - 1
    given = torch.cat([x, *(torch.full_like(x[:1], value) for value in planes)])
    with torch.inference_mode():
        return network(given[None])[0].permute(1, 2, 0).numpy()


def test_looks_differ_and_mix_and_any_size_is_painted(network: PredictedStyle) -> None:
    frame = scene(104, 64, 5)
    one, other, half = (paint(network, frame, shares, 0.0) for shares in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)))
    apart = np.abs(one - other).mean()
    assert apart > 0.05
    assert max(np.abs(half - one).mean(), np.abs(half - other).mean()) < apart
    assert paint(network, scene(16, 24, 1), (1.0, 0.0), 0.0).shape == (24, 16, 3)


def test_a_moved_picture_is_painted_alike(network: PredictedStyle) -> None:
    """A shift by one pixel, which the strides of the original network answer with other strokes."""
    frame = scene(160, 96, 5)
    first, second = (paint(network, np.ascontiguousarray(frame[:, n : n + 144]), (1.0, 0.0), 0.0) for n in (8, 9))
    assert np.abs(first[16:-16, 17:-16] - second[16:-16, 16:-17]).mean() < 0.25 * np.abs(first).mean()


def test_the_colours_of_a_drawing_in_one_ink_lie_on_a_line() -> None:
    ink = np.array([20, 30, 70]) + (np.random.default_rng(1).random((96, 96, 1)) ** 2 * [220, 200, 140])
    prediction = StylePrediction()
    off = {}
    for name, picture in (("ink", ink.astype(np.uint8)), ("paint", scene(96, 96, 3))):
        network = prediction.network([prediction.style([picture])])
        x = torch.from_numpy(scene(96, 96, 8)).permute(2, 0, 1).float() / 127.5 - 1
        with torch.inference_mode():
            painted = network(torch.cat([x, 0 * x[:1]])[None])[0].flatten(1).T.numpy()
        spreads = np.linalg.svd(painted - painted.mean(0), compute_uv=False)
        off[name] = spreads[1] / spreads[0]
    assert off["ink"] < 0.02
    assert off["paint"] > 0.1


def test_a_wider_network_begins_with_the_output_of_a_narrower_one_and_learns_in_all_channels(
    network: PredictedStyle,
) -> None:
    tables = [{"looks": 2, "channels": channels} for channels in (8, 12)]
    assert is_narrower(tables[1], tables[0])
    assert not is_narrower(tables[0], tables[1])
    assert is_narrower(tables[0], tables[0] | {"corrects": True})
    assert not is_narrower(tables[1], tables[0] | {"looks": 1})
    wide = build_generator("predicted-style", tables[1] | {"corrects": True}, 6)
    assert isinstance(wide, PredictedStyle)
    initialise(wide, 3)
    load_narrower(wide, network.state_dict())
    frame = scene(64, 48, 5)
    np.testing.assert_allclose(paint(wide, frame, (0.3, 0.7), 0.2), paint(network, frame, (0.3, 0.7), 0.2), atol=1e-4)
    x = torch.rand(1, 6, 32, 32) * 2 - 1
    wide(x).square().mean().backward()
    unused = wide.head.conv.weight.grad
    assert unused is not None
    assert unused[:, 8:].abs().min() > 0


@pytest.mark.thorough
def test_a_dark_frame_in_half_precision_is_painted() -> None:
    network = StylePrediction()
    painter = network.network([network.style([scene(96, 96, 3)])]).half()
    frame = torch.full((1, 4, 1088, 1920), -0.97, dtype=torch.half)
    frame[:, :3, :8, :8] = 1
    with torch.inference_mode():
        assert bool(painter(frame).isfinite().all())
