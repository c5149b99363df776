"""Style transfer whose norms are predicted, and that which optimises each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.flow.history import no_history, to_signed_range
from vidtrans.inference import ENGINES
from vidtrans.inference.device import resolve_device
from vidtrans.models.style_prediction import StylePrediction, ink_of
from vidtrans.networks import GENERATORS, UNTRAINED
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.predicted_style import PredictedStyle, box_means, is_narrower, load_narrower
from vidtrans.perception import DEFAULT, load_measure
from vidtrans.perception.measure import Style, to_signed

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network() -> PredictedStyle:
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


def test_a_wider_network_begins_as_a_narrower_one_and_learns_in_all_channels(network: PredictedStyle) -> None:
    tables = [{"looks": 2, "channels": channels} for channels in (16, 20)]
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
    assert unused[:, 16:].abs().min() > 0


@pytest.mark.parametrize(("size", "radius"), [((5, 9), 1), ((7, 4), 3), ((3, 6), 30)])
def test_means_over_squares_are_those_of_the_picture_with_its_border_repeated(
    size: tuple[int, int], radius: int
) -> None:
    picture = np.random.default_rng(radius).uniform(-1, 1, size).astype(np.float32)
    side = 2 * radius + 1
    wide = np.pad(picture.astype(np.float64), radius, mode="edge")
    wanted = np.lib.stride_tricks.sliding_window_view(wide, (side, side)).mean((2, 3))
    assert np.allclose(box_means(torch.from_numpy(picture)[None, None], radius)[0, 0].numpy(), wanted, atol=1e-6)


def test_painted_colours_come_nearer_to_the_pictures() -> None:
    prediction, picture = StylePrediction(), scene(96, 96, 3)
    frames = torch.from_numpy(np.stack([scene(96, 64, seed) for seed in (5, 6)])).permute(0, 3, 1, 2).float()
    wanted = torch.from_numpy(picture).float().flatten(0, 1)

    def distance(style: torch.Tensor) -> float:
        with torch.inference_mode():
            painted = prediction.network([style])(torch.nn.functional.pad(frames / 127.5 - 1, (0, 0, 0, 0, 0, 1)))
        colours = (painted.permute(0, 2, 3, 1).reshape(-1, 3) + 1) * 127.5
        return float((colours.mean(0) - wanted.mean(0)).norm() + (colours.T.cov() - wanted.T.cov()).norm() ** 0.5)

    unmatched = torch.cat([prediction.norms(prediction.vector(picture)), ink_of([picture])])
    assert distance(prediction.style([picture])) < 0.85 * distance(unmatched)


@pytest.mark.thorough
def test_a_dark_frame_in_half_precision_is_painted() -> None:
    network = StylePrediction()
    painter = network.network([network.style([scene(96, 96, 3)])]).half()
    frame = torch.full((1, 4, 1088, 1920), -0.97, dtype=torch.half)
    frame[:, :3, :8, :8] = 1
    with torch.inference_mode():
        assert bool(painter(frame).isfinite().all())


CPU = torch.device("cpu")
QUICK: dict[str, Any] = {"sizes": ["48x40"], "first_steps": 16, "next_steps": 8}


def generator(*pictures: np.ndarray, **settings: Any) -> Any:
    table = QUICK | {"sizes": [f"{p.shape[1]}x{p.shape[0]}" for p in pictures]} | settings
    made = build_generator("optimised", table, 4 if len(pictures) == 1 else 4 + len(pictures), memory=True)
    made.set_pictures(pictures)
    return made


def seen(frame: np.ndarray, *shares: float, past: torch.Tensor | None = None) -> torch.Tensor:
    """A frame with its conditions, in strokes of the middle size, and its history."""
    x = to_signed(frame, CPU)
    planes = torch.tensor([*(2 * share - 1 for share in shares), 0.0]).view(1, -1, 1, 1).expand(1, -1, *x.shape[2:])
    nothing = torch.from_numpy(to_signed_range(no_history(*frame.shape[:2]))).permute(2, 0, 1)[None]
    return torch.cat([x, planes, nothing if past is None else past], 1)


def test_a_frame_comes_nearer_to_the_style_and_shows_the_same() -> None:
    style, frame = scene(48, 40, 1), scene(48, 48, 2)
    paint, x = generator(style, first_steps=40), seen(frame)
    made = paint(x)
    measure = load_measure(DEFAULT)
    wanted = Style.of(style, 256, measure)
    before, after = (float(measure.style(measure.see(p), wanted.statistics)) for p in (to_signed(frame, CPU), made))
    assert after < 0.7 * before
    others = [measure.content(measure.see(p), measure.see(to_signed(frame, CPU))) for p in (made, made.flip(3))]
    assert float(others[0]) < 0.7 * float(others[1])
    assert made.shape == (1, 3, 48, 48)
    assert float(made.abs().max()) <= 1
    with torch.inference_mode():  # the same picture every time, in there too
        assert torch.equal(paint(x), made)


def test_what_the_last_output_brings_is_kept_where_that_is_sure() -> None:
    made, frame = generator(scene(48, 40, 1)), scene(48, 48, 2)
    last = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sure = torch.full((1, 1, 48, 48), -1.0)
    sure[..., :24] = 1
    past = torch.cat([last * (sure + 1) / 2, sure], 1)
    moved = (made(seen(frame, past=past)) - last).abs().mean(1)[0]
    assert float(moved[:, :20].mean()) < 0.5 * float(moved[:, 28:].mean())


def test_looks_are_told_apart_and_mixed() -> None:
    pictures = scene(48, 40, 1), 255 - scene(48, 40, 5)
    made, frame = generator(*pictures), scene(40, 40, 2)
    one, other, both = (made(seen(frame, *shares)) for shares in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)))
    apart = float((one - other).abs().mean())
    assert apart > 0.03
    assert all(float((both - single).abs().mean()) < apart for single in (one, other))


def test_only_torch_can_run_it_sizes_of_style_pictures_are_checked_and_no_recipe_names_it() -> None:
    for name in [name for name in ENGINES if name != "torch"]:
        with pytest.raises(UsageError, match="optimises each frame"):
            ENGINES.load(name)(generator(scene(48, 40, 1)), resolve_device("cpu"))
    for sizes in ([], ["40"], ["4000x40"], ["40 by 30"]):
        with pytest.raises((UsageError, ValueError)):
            build_generator("optimised", {"sizes": sizes}, 4, memory=True)
    assert "optimised" not in GENERATORS
    assert "optimised" in UNTRAINED
