"""The generator that moves the latest frame and mixes in a picture painted anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY
from clips import moving_frames, scene, write_clip

import vidtrans as api
from vidtrans.data.loader import to_signed
from vidtrans.dreaming.governor import bank_of
from vidtrans.errors import UsageError
from vidtrans.inference.device import Device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.model import load_generator, read_record
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.clock import CHANNELS, clock, with_clock
from vidtrans.video.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")


def network(channels: int = 6, **settings: Any) -> Any:
    made = build_generator("warp-mix", {"channels": 8, "blocks": [0, 0, 0], **settings}, channels).eval()
    initialise(made, 0)
    return made


def told(generator: Any, *, share: float = 0.0, flow: tuple[float, float] = (0.0, 0.0), paint: float = 0.0) -> Any:
    """The generator, its head answering the same everywhere, before it is bounded."""
    bias = torch.tensor([paint] * 3 + [share, *flow]).repeat_interleave(4)
    with torch.no_grad():
        generator.head[0].weight.zero_()
        generator.head[0].bias.copy_(bias)
    return generator


def frames(width: int = 48, height: int = 32, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([to_signed(scene(width, height, seed=i)) for i in range(count)]))[None]


@torch.no_grad()
def test_what_is_not_painted_is_the_latest_frame_and_a_leak_is_always_painted() -> None:
    x = frames()
    assert torch.allclose(told(network(leak=0.0), share=-99)(x), x[:, 3:], atol=1e-6)
    leaked = told(network(leak=0.05), share=-99, paint=99)(x)
    assert torch.allclose(leaked, 0.95 * x[:, 3:] + 0.05, atol=1e-5)
    assert torch.allclose(told(network(), share=99, paint=99)(x), torch.ones(1, 3, 32, 48), atol=1e-6)


@torch.no_grad()
def test_the_latest_frame_is_moved_by_no_more_than_its_reach() -> None:
    x = frames()
    moved = told(network(leak=0.0, reach=4.0), share=-99, flow=(99, 0))(x)
    assert torch.allclose(moved[..., :-4], x[:, 3:, :, 4:], atol=1e-4)
    down = told(network(leak=0.0, reach=4.0), share=-99, flow=(0, -99))(x)
    assert torch.allclose(down[:, :, 4:], x[:, 3:, :-4], atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_of_half_precision_moves_pixels_to_the_right_place(precision: str) -> None:
    """Places of hundreds of pixels have no bits left in bf16 for the part behind the point."""
    shown = np.dstack([scene(512, 32, seed=i) for i in range(2)])
    still = told(network(leak=0.0), share=-99)
    made = TorchEngine(still, Device("cpu", "cpu"), precision)(shown[None])[0]
    assert np.abs(made.astype(int) - shown[..., 3:]).max() <= 1


@torch.no_grad()
def test_a_clock_is_read_at_one_pixel_and_changes_the_picture() -> None:
    generator, x = network(6 + CHANNELS, clock=CHANNELS), frames()
    at = lambda phase: torch.from_numpy(clock(phase))[None, :, None, None].expand(1, -1, 32, 48).clone()  # noqa: E731
    one, other, spoilt = at(0.1), at(0.6), at(0.1)
    spoilt[..., 1:, :] = 9
    spoilt[..., 0, 1:] = 9
    made = generator(torch.cat([x, one], 1))
    assert torch.equal(made, generator(torch.cat([x, spoilt], 1)))
    assert (made - generator(torch.cat([x, other], 1))).abs().max() > 1e-3


def test_where_there_is_no_frame_all_is_painted() -> None:
    assert [network(n).warps for n in (1, 2, 3, 12)] == [False, False, True, True]
    assert not network(2 + CHANNELS, clock=CHANNELS).warps


def test_it_wants_something_to_see_and_makes_no_masks() -> None:
    with pytest.raises(UsageError, match="nothing is left to see"):
        network(8, clock=8)
    with pytest.raises(UsageError, match="plate=false"):
        build_generator("warp-mix", {}, 6, plate=(64, 64))


def test_training_tells_it_of_the_clock_and_the_model_file_knows() -> None:
    clip, cache = write_clip(Path("c.mp4"), moving_frames(12)), {"cache_dir": Path("cache")}
    pairing = {"name": "next-frame", "context": 2, "clock": True}
    dataset = {**TINY["dataset"], "hold_out": 0, "thin": False, "blur": 0}
    api.make_dataset(clip, Path("c.dataset"), settings={"dataset": dataset, "pairing": pairing}, **cache)
    small = {"generator": {"name": "warp-mix", "channels": 8}, "training": {**TINY["training"], "steps": 3, "gan": 0.0}}
    made = api.train(Path("c.dataset"), Path("c.safetensors"), settings=small, **cache)
    record = read_record(Path("c.safetensors"))
    assert record.generator["settings"]["clock"] == CHANNELS
    assert (record.dream["positions"], record.dream["rate"]) == (22, "30")
    assert record.dream["bank"] == bank_of([read_picture(path) for path in sorted(Path("c.dataset/c").glob("*.png"))])
    generator, _ = load_generator(Path("c.safetensors"))
    shown = with_clock(np.zeros((32, 48, 6), np.uint8), 0.5)
    assert TorchEngine(generator, Device("cpu", "cpu"))(shown[None]).shape == (1, 32, 48, 3)
    assert made["dreamt"]["frames"] == 300
    small["generator"] |= {"clock": 4}
    with pytest.raises(UsageError, match="that of this dataset has 8 channels"):
        api.train(Path("c.dataset"), Path("d.safetensors"), settings=small, **cache)
