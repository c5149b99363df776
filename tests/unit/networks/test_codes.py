"""Codes of looks: their planes, the generator that takes them, and the encoder that finds them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from clips import scene
from torch import nn

from vidtrans.networks.code_planes import CODE_RANGE, plane_values, with_planes
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.picture_encoder import code_planes
from vidtrans.networks.wrappers.coded_generator import CodedGenerator, CodedNorm

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 4
KINDS = {
    "batch": ("unet-small", {"channels": 8, "blocks": [1, 1, 1]}),
    "instance": ("residual", {"channels": 4, "blocks": 1, "norm": "instance"}),
    "plain-instance": ("residual", {"channels": 4, "blocks": 1, "norm": "plain-instance"}),
    "none": ("few-shot", {"channels": 8, "blocks": 1}),
}


def coded(kind: str = "batch", seed: int = 0) -> CodedGenerator:
    """A generator whose norms listen to the code, as after some training."""
    made: CodedGenerator = build_generator(*KINDS[kind], 1, code_size=SIZE)
    initialise(made, seed)
    random = torch.Generator().manual_seed(seed)
    for module in made.modules():
        if isinstance(module, CodedNorm):
            for weight in (module.scale, module.shift):
                nn.init.normal_(weight, 0.0, 0.3, generator=random)
    return made.eval()


def lines(side: int = 32) -> torch.Tensor:
    return torch.from_numpy(scene(side, side, 0)[..., 0].copy())[None, None].float() / 127.5 - 1


def painted(network: nn.Module, code: list[float], x: torch.Tensor) -> torch.Tensor:
    planes = code_planes(torch.tensor([code]), *x.shape[2:])
    with torch.no_grad():
        made: torch.Tensor = network(torch.cat([x, planes], 1))
    return made


def test_planes_hold_a_code_to_a_sixtieth_of_a_standard_deviation_beside_a_picture_in_its_depth() -> None:
    code = np.linspace(-CODE_RANGE, CODE_RANGE, 41)
    levels = plane_values(code)
    assert levels.dtype == np.uint8
    assert (levels[0], levels[-1]) == (0, 255)
    assert np.abs(levels / 127.5 - 1 - code / CODE_RANGE).max() * CODE_RANGE <= 1 / 60
    assert plane_values([99.0, -99.0]).tolist() == [255, 0]
    plain = scene(8, 6, 0)
    made = with_planes(plain.astype(np.uint16) * 257, np.array([0, 128, 255], np.uint8))
    assert np.array_equal(made[..., :3], plain.astype(np.uint16) * 257)
    assert [np.unique(made[..., 3 + n]).tolist() for n in range(3)] == [[0], [32896], [65535]]


@pytest.mark.parametrize("kind", KINDS)
def test_another_code_is_another_picture_and_none_is_the_middle(kind: str) -> None:
    network, x = coded(kind), lines()
    one, other = (painted(network, code, x) for code in ([1.0, 0, 0, -1], [-1.0, 2, 0, 1]))
    assert one.shape == (1, 3, 32, 32)
    assert (one - other).abs().mean() > 1e-4
    with torch.no_grad():
        assert torch.equal(network(x), painted(network, [0.0] * SIZE, x))


def test_every_example_of_a_batch_has_its_own_code_and_a_copy_may_be_made_before_its_gradients() -> None:
    network, x = coded(), lines()
    codes = torch.tensor([[1.0, 0, 0, -1], [-1.0, 2, 0, 1]])
    with torch.no_grad():
        both = network(torch.cat([x.repeat(2, 1, 1, 1), code_planes(codes, 32, 32)], 1))
    alone = [painted(network, code, x) for code in codes.tolist()]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)
    made = network.train()(torch.cat([x, code_planes(network.encoder(scene_tensor(1)), 32, 32)], 1))
    other = copy.deepcopy(network)
    made.mean().backward()
    assert next(network.encoder.parameters()).grad is not None
    assert next(other.encoder.parameters()).grad is None
    assert torch.isfinite(other(x)).all()


def scene_tensor(seed: int, gain: float = 1.0, side: int = 40) -> torch.Tensor:
    picture = torch.from_numpy(scene(side, side, seed).copy()).permute(2, 0, 1)[None].float() / 255
    return 2 * (picture * gain) - 1
