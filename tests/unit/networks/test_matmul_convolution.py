"""Convolutions as matrix products: the same numbers, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vidtrans.networks import matmul_convolution
from vidtrans.networks.matmul_convolution import MOST_POSITIONS, MatmulConv, MatmulConvTranspose, is_faster

pytestmark = pytest.mark.usefixtures("one_thread")


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
    patch.setattr(matmul_convolution, "is_faster", lambda x, positions: True)
    yield
    patch.undo()


@hypothesis_settings(max_examples=25)
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
    plain: nn.Module = copy.deepcopy(layer)
    plain.__class__ = nn.Conv2d if kind is MatmulConv else nn.ConvTranspose2d
    grain = 2 if kind is MatmulConv else 1
    x = torch.randn(batch, 6, grain * height, grain * width)
    within = 0.03 if bf16 else 1e-5  # measured: 0.0094 and 7e-7, on 5 seeds × SSE4.1, AVX2 and AVX-512
    for ours, theirs in zip(learn(layer, x, bf16=bf16), learn(plain, x, bf16=False), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=within, atol=within * float(theirs.abs().max()))


def test_a_render_goes_by_the_convolution_itself() -> None:
    x = torch.randn(1, 6, 4, 4)
    for kind, plain in ((MatmulConv, nn.Conv2d), (MatmulConvTranspose, nn.ConvTranspose2d)):
        layer = kind(6, 4).eval()
        assert torch.equal(layer(x), plain.forward(layer, x))


def test_only_few_positions_in_bf16_on_a_cpu_pay() -> None:
    x = torch.zeros(1, 1, 1, 1)
    assert not is_faster(x, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert is_faster(x, MOST_POSITIONS)
        assert not is_faster(x, MOST_POSITIONS + 1)
        assert not is_faster(torch.zeros(1, device="meta"), 1)
