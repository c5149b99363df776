"""Weights in bf16 that are kept between steps give what autocast gives, to the bit."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from vidtrans.networks.layers import run_stages, spectral
from vidtrans.networks.matmul_convolution import MatmulConv, MatmulConvTranspose
from vidtrans.training.device.weight_copies import WeightCopies

pytestmark = pytest.mark.usefixtures("one_thread")


class Network(nn.Module):
    """Layers of each kind; one weight is used by two layers, and one is spectrally normalised."""

    def __init__(self, *, products: bool = False, checkpointing: bool = False) -> None:
        super().__init__()
        second, twin = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        twin.weight = second.weight
        inner = nn.Sequential(MatmulConv(8, 16), nn.ReLU(), MatmulConvTranspose(16, 8)) if products else nn.ReLU()
        stages = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), second, twin, inner, spectral(nn.Conv2d(8, 3, 1))]
        self.stages = nn.ModuleList(stages)
        self.line = nn.Linear(3, 2)
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> Tensor:
        found = run_stages(self.stages, x, checkpointing=self.checkpointing)
        return self.line(found.mean((2, 3)))  # type: ignore[no-any-return]


def learn(
    network: nn.Module, copies: WeightCopies | None, uses: int, *, steps: int = 3, parts: int = 2
) -> list[Tensor]:
    """Return the weights after ``steps`` with the gradients of two batches, each a graph of ``uses`` passes."""
    adam = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        adam.zero_grad()
        for _ in range(2):
            x = torch.randn(2, 3, 16, 16, generator=random)
            with torch.autocast("cpu", torch.bfloat16), copies.used() if copies else nullcontext():
                answers = [network(x * (1 + number)) for number in range(uses)]
            torch.stack([answer.float().square().mean() for answer in answers]).sum().backward()
        adam.step()
        if copies:
            copies.forget()
    return [p.detach().clone() for p in network.parameters()]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("uses", "products"), [(1, True), (2, False)])
def test_weights_after_some_steps_are_those_of_autocast(uses: int, products: bool, checkpointing: bool) -> None:
    """A matrix product's weight is used once: autocast casts its view again in every pass."""
    torch.manual_seed(0)
    plain = Network(products=products, checkpointing=checkpointing)
    own = copy.deepcopy(plain)
    for one, other in zip(learn(plain, None, uses), learn(own, WeightCopies(own), uses), strict=True):
        assert torch.equal(one, other)


def test_layers_have_their_own_weights_again_after_use_and_after_an_error() -> None:
    network = Network()
    copies, before = WeightCopies(network), dict(network.named_parameters())
    found = []

    def fail() -> None:
        with copies.used():
            found.append(network.line.weight.dtype)
            with copies.used():
                pass
            found.append(network.line.weight.dtype)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found == [torch.bfloat16, torch.bfloat16]
    assert dict(network.named_parameters()).keys() == before.keys()
    assert all(after is before[name] for name, after in network.named_parameters())


def test_weights_that_were_loaded_are_cast_again() -> None:
    network, other = nn.Linear(4, 4), nn.Linear(4, 4)
    copies = WeightCopies(network)
    with copies.used():
        pass
    network.load_state_dict(other.state_dict())
    with copies.used():
        assert torch.equal(network.weight, other.weight.bfloat16())


def test_frozen_weights_get_no_gradient() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[0].requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16), WeightCopies(network).used():
        answer = network(torch.ones(2, 4))
    answer.float().sum().backward()
    assert network[0].weight.grad is None
    assert network[1].weight.grad is not None
    assert network[1].weight.grad.dtype == torch.float32


def test_layers_that_compute_their_kernel_keep_their_precision() -> None:
    class Composed(nn.Conv2d):
        """Uses its weight in fp32."""

    network = Composed(3, 3, 3)
    with WeightCopies(network).used():
        assert network.weight.dtype == torch.float32
