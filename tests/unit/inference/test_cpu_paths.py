"""What a CPU computes by other means: convolutions in oneDNN's layout, instance norms, levels made by numpy."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from vidtrans.inference import torch_engine
from vidtrans.inference.device import Device
from vidtrans.inference.device_pixels import from_levels_serially, to_levels_serially
from vidtrans.inference.folding import use_quick_norms
from vidtrans.inference.packed import PackedConvolution, can_pack, pack
from vidtrans.inference.torch_engine import TorchEngine, to_levels
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.layers import PictureNorm

CPU = Device("cpu", "cpu")
needs_packing = pytest.mark.skipif(not can_pack(CPU, "fp32"), reason="this torch has no oneDNN")
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


@needs_packing
@pytest.mark.parametrize("name", ["hd", "residual", "unet-128", "unet-small", "warp-mix"])
def test_every_generator_paints_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = generator_of(name)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    plain, packed = (engine_of(generator, "fp32", monkeypatch, packed=p) for p in (False, True))
    assert (packed.identity["engine"], plain.identity["engine"]) == ("torch-packed", "torch")
    has_convolutions = any(isinstance(m, nn.Conv2d) for m in generator.modules())
    assert any(isinstance(m, PackedConvolution) for m in packed._network.modules()) == has_convolutions
    apart = np.abs(plain(frames).astype(int) - packed(frames).astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.01


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


@needs_packing
@given(ROWS, st.integers(0, 99))
@settings(max_examples=30)
def test_any_layers_in_a_row(names: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(*(LAYERS[name]() for name in names)).eval()
    packed = pack(copy.deepcopy(network))
    with torch.inference_mode():
        for size in ((16, 24), (24, 16), (16, 24)):  # laid out anew, and back
            x = torch.randn(2, 8, *size)
            assert torch.allclose(network(x), packed(x), atol=1e-5)


def normed() -> nn.Sequential:
    torch.manual_seed(0)
    norms = nn.InstanceNorm2d(5, affine=True), nn.InstanceNorm2d(5), PictureNorm(5)
    made = nn.Sequential(nn.Conv2d(3, 5, 3), *norms)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 1, 0.3)
    return made


def outputs_and_gradients(made: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = made(x)
    (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum().backward()
    gradients = [x.grad, *(parameter.grad for parameter in made.parameters())]
    return [y.detach(), *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_they_learn_as_torchs_own_do(count: int, layout: torch.memory_format) -> None:
    x = torch.randn(count, 3, 9, 7, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    own, quick = normed(), normed()
    assert use_quick_norms(quick, training=True)
    wanted, found = outputs_and_gradients(own, x), outputs_and_gradients(quick, x)
    assert len(found) == len(wanted) == 2 + 6
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for name, value in own.state_dict().items():  # statistics that are learned, too
        torch.testing.assert_close(quick.state_dict()[name], value)


@pytest.mark.parametrize("deep", [False, True])
def test_both_ways_give_the_same_levels_and_leave_their_input_as_it_is(deep: bool) -> None:
    top = 65535 if deep else 255
    exact = torch.arange(0, 512).reshape(1, 1, 16, 32).expand(2, 3, -1, -1) / 255 - 1.01  # beyond both ends, and halves
    before = exact.clone()
    made = to_levels_serially(exact[..., :30], deep=deep)
    assert torch.equal(made, to_levels(exact[..., :30], deep=deep))
    assert made.shape == (2, 16, 30, 3)
    assert torch.equal(exact, before)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, top + 1, (2, 9, 7, 3), np.int32))
    values = from_levels_serially(levels.permute(0, 3, 1, 2), top / 2)
    assert torch.equal(values, levels.permute(0, 3, 1, 2).to(torch.float32) / (top / 2) - 1)
    assert torch.equal(to_levels_serially(values, deep=deep), to_levels(values, deep=deep))
