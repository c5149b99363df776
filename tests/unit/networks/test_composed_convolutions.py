"""Composed convolutions: the same numbers and gradients as the layers that they replace, at any size and layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.composed_convolutions import (
    BlurredConv,
    DoublingConv,
    TiledConv,
    fix_kernels,
    plain,
    repeat_border,
)

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


@given(
    kind=st.sampled_from(list(KINDS)),
    batch=st.integers(1, 2),
    height=st.integers(9, 20),
    width=st.integers(9, 20),
    last=st.booleans(),
)
def test_numbers_and_gradients_are_those_of_the_layers_apart(
    kind: str, batch: int, height: int, width: int, last: bool
) -> None:
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
def test_what_is_exported_gives_the_same(kind: str) -> None:
    conv = KINDS[kind][0]()
    x = torch.randn(1, conv.in_channels, 16, 20)
    assert isinstance(conv, TiledConv | BlurredConv | DoublingConv)
    torch.testing.assert_close(plain(conv)(x), conv(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [20, 21])
def test_what_is_rendered_gives_the_same(kind: str, width: int) -> None:
    network = nn.Sequential(KINDS[kind][0]())
    x = torch.randn(1, network[0].in_channels, 16, width)  # type: ignore[arg-type]
    wanted = network(x)
    fix_kernels(network, tiled=True)
    torch.testing.assert_close(network(x), wanted, atol=1e-5, rtol=1e-5)


def test_a_border_is_repeated_as_torch_does() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(repeat_border(x), F.pad(x, (1,) * 4, mode="replicate"))
