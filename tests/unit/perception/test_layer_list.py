"""Networks that files describe as lists of layers, and the networks of the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.nn import functional as F

from vidtrans.perception.layer_list import KINDS, METADATA_KEY, LayerList
from vidtrans.perception.people import NETWORKS, network

pytestmark = pytest.mark.usefixtures("one_thread")


def described(layers: list[object], outputs: list[int], tensors: dict[str, torch.Tensor], size: int = 8) -> LayerList:
    description = {"input": 0, "outputs": outputs, "size": [size, size], "layers": layers}
    save_file(tensors, "n.safetensors", metadata={METADATA_KEY: json.dumps(description)})
    return LayerList(Path("n.safetensors")).eval()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("person", [(2, 1, 256, 256)]),
        ("pose", [(2, 1, 256, 256), (2, 39, 64, 64)]),
        ("face", [(2, 896, 16), (2, 896, 1)]),
    ],
)
def test_the_networks_of_the_package_give_fixed_shapes(name: str, shapes: list[tuple[int, ...]]) -> None:
    own = network(name)
    assert network(name) is own
    pictures = [np.random.default_rng(n).integers(0, 256, (*own.size, 3), dtype=np.uint8) for n in range(2)]
    found = own.run(pictures)
    assert [each.shape for each in found] == shapes
    assert all(np.isfinite(each).all() for each in found)
    again = own.run(pictures[1:])
    assert all(np.abs(one[1:] - other).max() < 1e-2 for one, other in zip(found, again, strict=True))
    assert {kind for kind, *_ in own.layers} <= set(KINDS)
    assert (NETWORKS / f"{name}.safetensors").stat().st_size < 2 << 20


@given(st.integers(1, 5), st.integers(1, 3), st.integers(3, 12))
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, size: int) -> None:
    """ceil(size / stride) values, and the odd pixel of padding at the end: output k begins at k · stride − before."""
    tensors = {"c.weight": torch.randn(1, 3, kernel, kernel), "c.bias": torch.zeros(1)}
    traits = {"name": "c", "stride": stride, "groups": 1, "same": True, "activation": ""}
    pooling = {"kernel": [kernel, kernel], "stride": stride, "same": True}
    net = described([["convolution", [0], 1, traits], ["max_pool", [0], 2, pooling]], [1, 2], tensors, size)
    x = torch.randn(1, 3, size, size)
    made, pooled = net(x)
    length = -(-size // stride)
    before = max(0, (length - 1) * stride + kernel - size) // 2
    padded, lowest = (F.pad(x, (before, kernel, before, kernel), value=value) for value in (0.0, -float("inf")))
    assert made.shape[2:] == pooled.shape[2:] == (length, length)
    for row, column in ((0, 0), (length - 1, 0), (length // 2, length - 1)):
        area = np.s_[..., row * stride : row * stride + kernel, column * stride : column * stride + kernel]
        assert made[0, 0, row, column] == pytest.approx(float((padded[area] * tensors["c.weight"]).sum()), abs=1e-4)
        assert torch.equal(pooled[0, :, row, column], lowest[area].amax((0, 2, 3)))


def test_weights_of_8_bits_are_within_half_their_step() -> None:
    weight = torch.randn(4, 3, 3, 3)
    step = weight.abs().amax((1, 2, 3)) / 127
    tensors = {
        "c.weight": (weight / step.view(-1, 1, 1, 1)).round().to(torch.int8),
        "c.step": step,
        "c.bias": torch.zeros(4),
    }
    traits = {"name": "c", "stride": 1, "groups": 1, "same": False, "activation": "relu6"}
    net = described([["convolution", [0], 1, traits]], [1], tensors)
    assert ((net.tensor("c.weight") - weight).abs() <= step.view(-1, 1, 1, 1) * 0.5001).all()
    x = torch.randn(2, 3, 8, 8)
    [made] = net(x)
    limit = float(x.abs().amax() * step.max() / 2 * 27)
    assert (made - F.conv2d(x, weight).clamp(0, 6)).abs().max() <= limit
    assert float(made.min()) >= 0


def test_a_convolution_of_1x1_is_a_product_of_matrices() -> None:
    tensors = {"c.weight": torch.randn(5, 3, 1, 1), "c.bias": torch.randn(5)}
    traits = {"name": "c", "stride": 1, "groups": 1, "same": True, "activation": ""}
    net = described(
        [["convolution", [0], 1, traits], ["sigmoid", [1], 2, {}], ["add", [1, 2], 3, traits]], [3], tensors
    )
    x = torch.randn(1, 3, 8, 8)
    wanted = F.conv2d(x, tensors["c.weight"], tensors["c.bias"])
    assert torch.allclose(net(x)[0], wanted + wanted.sigmoid(), atol=1e-5)
