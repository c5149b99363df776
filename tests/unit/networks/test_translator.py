"""The generator for looks without pairs."""

from __future__ import annotations

import pytest
import torch

from vidtrans.networks.init import initialise
from vidtrans.networks.translator import Translator, TranslatorSettings

SMALL = TranslatorSettings(channels=8, blocks=2)


def made(settings: TranslatorSettings = SMALL) -> Translator:
    network = Translator(3, 3, settings)
    initialise(network, 0)
    return network.eval()


@pytest.mark.parametrize("head", ["resize", "pixel-shuffle"])
def test_a_picture_becomes_one_of_its_size(head: str) -> None:
    network = made(TranslatorSettings(channels=8, blocks=1, head=head))
    output = network(torch.rand(2, 3, 32, 48) * 2 - 1)
    assert output.shape == (2, 3, 32, 48)
    assert output.abs().max() <= 1


def test_deep_blocks_see_further() -> None:
    """A pixel of the output depends on pixels of the input that it does not see without them."""
    reach = []
    for count in (0, 2):
        network = made(TranslatorSettings(channels=4, blocks=1, deep_blocks=count, norm="none"))
        x = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
        network(x)[0, :, 64, 64].sum().backward()
        assert x.grad is not None
        reach.append(int((x.grad.abs().sum((0, 1, 3)) > 0).sum()))
        assert network.multiple == (16 if count else 8)
    assert reach[1] > 2 * reach[0]


def test_taps_are_the_features_inside_of_the_same_pass() -> None:
    network, x = made(), torch.rand(1, 3, 32, 32) * 2 - 1
    output, taps = network.forward_with_taps(x)
    assert torch.equal(output, network(x))
    assert [tuple(t.shape[1:]) for t in taps] == [(8, 16, 16), (16, 8, 8), (16, 8, 8), (16, 8, 8)]
    assert all(torch.equal(a, b) for a, b in zip(taps, network.taps(x), strict=True))


def test_a_network_that_begins_with_colours_gives_them_before_it_has_learned() -> None:
    network = made(TranslatorSettings(channels=8, blocks=1, colour_start=True))
    for parameter in network.head[-1].parameters():
        torch.nn.init.zeros_(parameter)
    colours = torch.tensor([[0.0, 0.5, 0, 0.1], [0, 0, 0.5, -0.2], [0.5, 0, 0, 0.0]])
    network.set_colours(colours)
    x = torch.rand(1, 3, 16, 16) - 0.5
    wanted = torch.stack([0.5 * x[0, 1] + 0.1, 0.5 * x[0, 2] - 0.2, 0.5 * x[0, 0]])
    assert torch.allclose(network(x)[0], wanted, atol=1e-5)
    assert torch.equal(network.state_dict()["colours"], colours)


def test_colours_beyond_black_and_white_stay_within_what_a_network_can_change() -> None:
    network = made(TranslatorSettings(channels=8, blocks=1, colour_start=True))
    network.set_colours(3 * torch.eye(3, 4))
    assert torch.isfinite(network(torch.tensor([-1.0, 1.0]).repeat(1, 3, 16, 8))).all()
