"""Layers computed by other means: the same numbers and gradients as those that they replace, with less memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks import convolutions, unet_small
from vidtrans.networks.convolutions import (
    BlurredConv,
    DoublingConv,
    MatmulConv,
    MatmulConvTranspose,
    TiledConv,
    fix_kernels,
    to_standard_layers,
)
from vidtrans.networks.unet_small import SmallResidual, UNetSmall, UNetSmallSettings

pytestmark = pytest.mark.usefixtures("one_thread")


def blurred(conv: BlurredConv, x: Tensor) -> Tensor:
    row = torch.tensor((0.25, 0.5, 0.25))
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.conv2d(x, kernel, groups=x.shape[1]), conv.weight, conv.bias, 2)


def doubled(conv: DoublingConv, x: Tensor) -> Tensor:
    """On a picture whose border is repeated before it is doubled."""
    larger = F.interpolate(F.pad(x, (1,) * 4, mode="replicate"), scale_factor=2.0, mode=conv.mode)
    return F.conv2d(larger, conv.weight, conv.bias)[:, :, 1:-1, 1:-1]


def tiled(conv: TiledConv, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight, conv.bias)


KINDS: dict[str, tuple[Callable[[], nn.Conv2d], Callable[..., Tensor]]] = {
    "tiled": (lambda: TiledConv(2, 3, 5), tiled),
    "tiled without bias": (lambda: TiledConv(4, 3, 9, bias=False), tiled),
    "many outputs": (lambda: TiledConv(2, 12, 5), tiled),
    "blurred": (lambda: BlurredConv(2, 5), blurred),
    "nearest": (lambda: DoublingConv(3, 2, "nearest"), doubled),
    "bilinear": (lambda: DoublingConv(3, 2, "bilinear", bias=False), doubled),
}


@hypothesis_settings(max_examples=30)
@given(
    kind=st.sampled_from(list(KINDS)),
    batch=st.integers(1, 2),
    height=st.integers(9, 20),
    width=st.integers(9, 20),
    last=st.booleans(),
)
def test_numbers_and_gradients_are_those_of_layers(kind: str, batch: int, height: int, width: int, last: bool) -> None:
    torch.manual_seed(height)
    make, apart = KINDS[kind]
    conv = make().to(memory_format=torch.channels_last if last else torch.contiguous_format)
    x = torch.randn(batch, conv.in_channels, height, width, requires_grad=True)
    given_x = x.contiguous(memory_format=torch.channels_last) if last else x
    made, wanted = conv(given_x), apart(conv, x)
    assert made.shape == wanted.shape
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)
    leaves = [x, *conv.parameters()]
    share = torch.randn_like(wanted)
    found, right = (torch.autograd.grad((y * share).sum(), leaves) for y in (made, wanted))
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_exported_or_rendered_gives_the_same(kind: str) -> None:
    network = nn.Sequential(KINDS[kind][0]())
    conv: Any = network[0]
    pictures = [torch.randn(1, conv.in_channels, 16, width) for width in (20, 21)]
    wanted = [network(x) for x in pictures]
    torch.testing.assert_close(to_standard_layers(conv)(pictures[0]), wanted[0], atol=1e-5, rtol=1e-5)
    fix_kernels(network, tiled=True)
    for x, y in zip(pictures, wanted, strict=True):
        torch.testing.assert_close(network(x), y, atol=1e-5, rtol=1e-5)


def learn(layer: nn.Module, x: Tensor, *, bf16: bool) -> list[Tensor]:
    """What comes out, and the gradients of input, weights and bias."""
    layer = copy.deepcopy(layer).train()
    x = x.clone().requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        made = layer(x)
    made.float().square().sum().backward()
    return [made.detach().float(), *(t.grad for t in (x, *layer.parameters()) if t.grad is not None)]


@pytest.fixture(scope="module", autouse=True)
def _always() -> Iterator[None]:
    """Whatever the device can do: whether it pays is another question."""
    patch = pytest.MonkeyPatch()
    patch.setattr(convolutions, "is_matmul_faster", lambda x, positions: True)
    yield
    patch.undo()


@hypothesis_settings(max_examples=12)
@given(
    kind=st.sampled_from([MatmulConv, MatmulConvTranspose]),
    batch=st.integers(1, 3),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    bias=st.booleans(),
    bf16=st.booleans(),
)
def test_products_are_convolutions(
    kind: type[MatmulConv] | type[MatmulConvTranspose], batch: int, height: int, width: int, bias: bool, bf16: bool
) -> None:
    """The convolution itself in fp32: in bf16 a processor with AMX makes NaN of a column of pixels (torch 2.13)."""
    torch.manual_seed(0)
    layer = kind(6, 4, bias=bias)
    to_standard_layers: nn.Module = copy.deepcopy(layer)
    to_standard_layers.__class__ = nn.Conv2d if kind is MatmulConv else nn.ConvTranspose2d
    grain = 2 if kind is MatmulConv else 1
    x = torch.randn(batch, 6, grain * height, grain * width)
    within = 0.03 if bf16 else 1e-5  # measured: 0.0094 and 7e-7, on 5 seeds × SSE4.1, AVX2 and AVX-512
    for ours, theirs in zip(learn(layer, x, bf16=bf16), learn(to_standard_layers, x, bf16=False), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=within, atol=within * float(theirs.abs().max()))


def small_unet(head: str, *, skips: bool = True, residual: bool = False) -> UNetSmall:
    torch.manual_seed(0)
    settings = UNetSmallSettings(channels=8, head=head, skip_connections=skips, residual=residual)
    return UNetSmall(3, 3, settings).eval()


@pytest.mark.parametrize(
    ("head", "skips", "residual", "height"),
    [("pixel-shuffle", True, False, 176), ("resize", True, False, 160), ("resize", False, True, 400)],
)
def test_strips_give_the_same_numbers(
    head: str, skips: bool, residual: bool, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_unet(head, skips=skips, residual=residual).to(memory_format=torch.channels_last)
    x = torch.rand(1, 3, height, 96).to(memory_format=torch.channels_last) * 2 - 1
    with torch.inference_mode():
        whole = network(x)
        monkeypatch.setattr(unet_small, "WHOLE_BYTES", 1)
        monkeypatch.setattr(unet_small, "STRIP_BYTES", 16 * 48 * 4 * 20)  # 20 rows at half size
        unet_small.reduce_memory(network)
        assert unet_small.strip_rows(*network.inner(x)) <= 20
        torch.testing.assert_close(network(x), whole, rtol=0, atol=1e-5)


def test_an_engine_on_the_cpu_runs_strips_and_leaves_its_network_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_unet("pixel-shuffle")
    picture = np.random.default_rng(0).integers(0, 256, (1, 256, 64, 3), np.uint8)
    whole = TorchEngine(network, resolve_device("cpu"), "fp32")(picture)
    monkeypatch.setattr(unet_small, "WHOLE_BYTES", 1)
    monkeypatch.setattr(unet_small, "STRIP_BYTES", 1)
    engine = TorchEngine(network, resolve_device("cpu"), "fp32")
    assert np.abs(engine(picture).astype(int) - whole).max() <= 1
    assert "outermost" not in vars(network)
    assert not any("forward" in vars(m) for m in network.modules() if isinstance(m, SmallResidual))
