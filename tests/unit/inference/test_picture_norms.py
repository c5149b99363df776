"""Instance norms on a CPU: the same outputs and gradients as torch's own, under the names that files know."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vidtrans.inference.picture_norms import EachPictureNorm, use_quick_norms
from vidtrans.networks.layers import PictureNorm


def network() -> nn.Sequential:
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
    own, quick = network(), network()
    assert use_quick_norms(quick, training=True)
    wanted, found = outputs_and_gradients(own, x), outputs_and_gradients(quick, x)
    assert len(found) == len(wanted) == 2 + 6
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for name, value in own.state_dict().items():  # statistics that are learned, too
        torch.testing.assert_close(quick.state_dict()[name], value)


def test_those_that_learn_statistics_stay_in_training() -> None:
    training, rendering = network(), network()
    use_quick_norms(training, training=True)
    use_quick_norms(rendering)
    assert [type(m) for m in training[1:]] == [EachPictureNorm, EachPictureNorm, PictureNorm]
    assert type(rendering[3]) is not PictureNorm
    assert use_quick_norms(training, training=True)  # once more: it still has some
    assert not use_quick_norms(nn.Sequential(nn.BatchNorm2d(5)))
