"""Convolutions in oneDNN's layout: the same pictures, whatever the network, the size and the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from vidtrans.inference import torch_engine
from vidtrans.inference.device import Device
from vidtrans.inference.packed import PackedConvolution, can_pack, pack
from vidtrans.inference.torch_engine import MAX_PIXELS, TorchEngine
from vidtrans.networks import GENERATORS
from vidtrans.networks.init import build_generator, initialise

CPU = Device("cpu", "cpu")
pytestmark = pytest.mark.skipif(not can_pack(CPU, "fp32"), reason="this torch has no oneDNN")
SMALL = {"unet-256": {"channels": 8}, "unet-512": {"channels": 4}, "residual": {"channels": 8, "blocks": 2}}
SMALL |= {"unet-64": {"channels": 8}, "unet-128": {"channels": 8}, "hd": {"channels": 8}, "spade": {"channels": 8}}


def generator_of(name: str) -> nn.Module:
    generator = build_generator(name, SMALL.get(name, {}), 3)
    initialise(generator, 0)
    return generator


def engine_of(generator: nn.Module, precision: str, monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> TorchEngine:
    with monkeypatch.context() as patch:
        if not packed:
            patch.setattr(torch_engine, "can_pack", lambda device, precision: False)
        return TorchEngine(generator, CPU, precision)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_generator_paints_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = generator_of(name)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    plain, packed = (engine_of(generator, "fp32", monkeypatch, packed=p) for p in (False, True))
    assert (packed.identity["engine"], plain.identity["engine"]) == ("torch-packed", "torch")
    has_convolutions = any(isinstance(m, nn.Conv2d) for m in generator.modules())
    assert any(isinstance(m, PackedConvolution) for m in packed._network.modules()) == has_convolutions
    apart = np.abs(plain(frames).astype(int) - packed(frames).astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.01


@pytest.mark.parametrize("name", ["unet-128", "unet-small", "residual"])
def test_half_precision_is_no_further_off_than_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_pack(CPU, "bf16"):
        pytest.skip("this processor has no bf16")
    generator = generator_of(name)
    frames = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    exact = engine_of(generator, "fp32", monkeypatch, packed=False)(frames).astype(float)
    off = [
        np.sqrt(np.mean((engine_of(generator, "bf16", monkeypatch, packed=p)(frames) - exact) ** 2))
        for p in (False, True)
    ]
    assert off[1] <= 1.1 * off[0] + 0.05


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "strided": lambda: nn.Conv2d(8, 8, 4, 2, 1),
    "dilated": lambda: nn.Conv2d(8, 8, 3, 1, 2, dilation=2, bias=False),
    "grouped": lambda: nn.Conv2d(8, 8, 3, 1, 1, groups=2),
    "one": lambda: nn.Conv2d(8, 8, 1),
    "transposed": lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1),
    "odd transposed": lambda: nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1, bias=False),
    "mirrored": lambda: nn.Conv2d(8, 8, 3, 1, 1, padding_mode="reflect"),
    "same": lambda: nn.Conv2d(8, 8, 3, padding="same"),
    "spectral": lambda: parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, 1, 1)),
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.3),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "nothing": nn.Identity,
    "norm": lambda: nn.InstanceNorm2d(8, affine=True),
}


# No more than two that halve the picture: behind the fourth it is one pixel, which not every layer takes.
ROWS = st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6).filter(lambda r: r.count("strided") <= 2)


@given(ROWS, st.integers(0, 99))
@settings(max_examples=80)
def test_any_layers_in_a_row(names: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(*(LAYERS[name]() for name in names)).eval()
    packed = pack(copy.deepcopy(network))
    with torch.inference_mode():
        for size in ((16, 24), (24, 16), (16, 24)):  # laid out anew, and back
            x = torch.randn(2, 8, *size)
            assert torch.allclose(network(x), packed(x), atol=1e-5)


def test_what_the_layers_cannot_do_stays_as_it_is() -> None:
    network = pack(nn.Sequential(LAYERS["mirrored"](), LAYERS["relu"](), LAYERS["one"](), nn.Identity(), nn.ReLU()))
    assert [type(m) for m in network] == [nn.Conv2d, nn.ReLU, PackedConvolution, nn.Identity, nn.Identity]


def test_no_picture_is_painted_twice_to_fill_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(generator_of("unet-small"), CPU)
    painted: list[int] = []
    run = engine._forward

    def counted(inputs: torch.Tensor, deep: bool) -> torch.Tensor:
        painted.append(len(inputs))
        return run(inputs, deep)

    monkeypatch.setattr(engine, "_forward", counted)
    engine(np.zeros((engine.batch, 240, 320, 3), np.uint8))  # three would be few enough
    assert painted == [2, 2]


def test_a_picture_does_not_depend_on_how_many_come_with_it() -> None:
    generator = generator_of("unet-small")
    engine = TorchEngine(generator, CPU)
    side = 272
    assert side * side * 4 > MAX_PIXELS["cpu"]  # four at once are more than go through together
    frames = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), np.uint8)
    alone = np.concatenate([TorchEngine(generator, CPU)(frame[None]) for frame in frames])
    assert np.array_equal(engine(frames), alone)
