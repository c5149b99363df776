"""The network for a few painted frames."""

from __future__ import annotations

import pytest
import torch

from vidtrans.networks.few_shot import FewShot, FewShotSettings
from vidtrans.networks.init import initialise

pytestmark = pytest.mark.usefixtures("one_thread")


def made() -> FewShot:
    network = FewShot(3, 3, FewShotSettings(8, 1))
    initialise(network, 0)
    return network


def test_white_has_a_gradient_in_training_and_a_limit_in_renders() -> None:
    network = made()
    with torch.no_grad():
        assert network.end.bias is not None
        network.end.bias.fill_(3)
    x = torch.zeros(1, 3, 16, 16)
    network.train()(x).sum().backward()
    assert network.end.bias.grad is not None
    assert bool((network.end.bias.grad != 0).all())
    with torch.inference_mode():
        assert torch.equal(network.eval()(x), torch.ones(1, 3, 16, 16))


def test_a_patch_of_a_picture_is_painted_as_in_the_picture() -> None:
    """There are no norms: what lies far away changes nothing."""
    network = made().eval()
    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    changed = x.clone()
    changed[..., 72:] = 0
    with torch.inference_mode():
        whole, other = network(x), network(changed)
    assert torch.equal(whole[..., :16], other[..., :16])
    assert not torch.equal(whole[..., 72:], other[..., 72:])
