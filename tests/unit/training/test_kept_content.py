"""The losses of a look where a mask keeps the content: style and colours do not count there, and the content more."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from method_setup import ToySetup
from torch.nn import functional as F

from vidtrans.data.dataset import Pair
from vidtrans.pairing.look_pairing import LookPairing, LookSettings
from vidtrans.training.methods.look_method import LookMethod
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread", "small_paintings")
SIDE, GAIN = 32, 4.0
PAIRING = LookPairing(LookSettings(("a",)))


class OneLook(ToySetup):
    """For a painter of one look."""

    generator, in_channels = ("painter", {"channels": 8, "blocks": 1, "looks": 1}), 4


@pytest.fixture
def method(tmp_path: Path) -> LookMethod:
    write_picture(tmp_path / "a.png", stripes())
    own: dict[str, Any] = {"look_pictures": (str(tmp_path / "a.png"),), "look_measure": "patches", "look_keep": GAIN}
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
        of_pixels = float((method.painted - x[:, :3]).square().mean())
    assert float(white[1].detach()) == pytest.approx((1 + GAIN) * float(plain[1].detach()) + GAIN * of_pixels, rel=1e-4)
    assert white[3] == plain[3]  # what is kept is to be steady, too
    white.sum().backward()
    assert method.is_finite()
    assert all(torch.isfinite(p.grad).all() for p in method.generator.parameters() if p.grad is not None)


def test_style_and_colours_pull_at_no_pixel_that_is_kept(method: LookMethod) -> None:
    x, found = planes(frames(0)), []
    forward = method.generator.forward

    def hold(given: torch.Tensor) -> torch.Tensor:
        found.append(forward(given).detach().requires_grad_())
        return found[-1]

    method.generator.forward = hold  # type: ignore[method-assign]
    style, _, colour, _ = method._losses(x, x[:, :3], torch.Generator().manual_seed(0), left_half())
    (style + colour).backward()
    pull = found[0].grad[0].abs().sum(0)
    around = 4 * 7 // 2  # a patch at the coarsest scale reaches over the edge by half
    assert float(pull[:, : SIDE // 2 - around].max()) == 0
    assert float(pull[:, SIDE // 2 :].mean()) > 0


def test_what_is_painted_is_nearer_to_the_source_where_it_is_kept(method: LookMethod, tmp_path: Path) -> None:
    """The kept half is told by its colours, as a face is: it is warm, and the other one is cold."""
    warm, cold = np.array([1.0, 0.75, 0.5]), np.array([0.4, 0.7, 1.0])
    tint = np.where(np.arange(SIDE)[None, :, None] < SIDE // 2, warm, cold)
    x = planes(np.rint(frames(*range(5)) * tint).astype(np.uint8))
    fresh, apart = method.state(), {}
    for keep in (None, left_half()):
        method.restore(copy.deepcopy(fresh))
        for step in range(40):
            batch = x[[step % 4]]
            method.step(batch, batch[:, :3], lr=5e-3, seed=step, weights=keep)
        with torch.no_grad():
            distance = F.l1_loss(method.learned.eval()(x[4:]), x[4:, :3], reduction="none").mean((0, 1, 2))
        apart[keep is not None] = float(distance[: SIDE // 2].mean()), float(distance[SIDE // 2 :].mean())
    assert apart[True][0] < 0.85 * apart[False][0], apart
    assert apart[True][0] < 0.85 * apart[True][1], apart


def test_held_out_frames_are_scored_apart_where_they_are_kept(method: LookMethod, tmp_path: Path) -> None:
    frame = scene(128, 96, 0)
    write_picture(tmp_path / "f.png", frame)
    painted = frame.copy()
    painted[:, :64] = np.tile(stripes(), (2, 1, 1))[:96]
    scores = {}
    for name, columns in {"left": slice(0, 64), "right": slice(64, 128), "nowhere": slice(0, 0)}.items():
        keep = np.zeros((96, 128), np.uint8)
        keep[:, columns] = 255
        write_picture(tmp_path / f"{name}.png", keep)
        pair = Pair((tmp_path / "f.png",), tmp_path / "f.png", "val", keep=tmp_path / f"{name}.png")
        scores[name] = method.validate(lambda _: painted[None], PAIRING, [pair])  # type: ignore[arg-type]
    assert scores["left"]["content_kept"] > 3 * scores["right"]["content_kept"]
    assert scores["left"]["content"] == scores["nowhere"]["content"]
    assert "content_kept" not in scores["nowhere"]
    likeness = [scores[name]["feature_likeness"] for name in ("left", "nowhere", "right")]
    assert likeness[0] < likeness[1] - 0.2 < likeness[2] - 0.4  # what is kept has no part in it
