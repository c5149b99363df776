"""The networks against their papers; what all of them promise is in test_registries.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from vidtrans.errors import UsageError
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, full_table, initialise
from vidtrans.networks.unet import UNet256, UNetSettings


def num_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_networks_have_the_sizes_of_their_papers() -> None:
    """The pix2pix U-Net has 54.4 M parameters, its 70×70 PatchGAN on 3 + 3 channels 2.77 M."""
    with torch.device("meta"):
        assert round(num_parameters(build_generator("unet-256", {}, 3)) / 1e6, 2) == 54.41
        assert num_parameters(build_discriminator("patchgan", {}, 6)) == 2_768_705
        assert 1.2e6 < num_parameters(build_generator("unet-small", {}, 1)) < 1.6e6


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70), (5, 286)])
def test_a_patchgan_judges_patches_of_the_size_it_says(layers: int, patch: int) -> None:
    network = build_discriminator("patchgan", {"channels": 4, "layers": layers}, 1).double().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    side = 2**layers * 3 + 2 * patch
    x = torch.zeros(1, 1, side, side, dtype=torch.double).requires_grad_()
    logits = network(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].abs().amax(1).nonzero(), x.grad[0, 0].abs().amax(0).nonzero()
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == patch


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_a_patchgan_knows_its_smallest_picture(layers: int) -> None:
    network = build_discriminator("patchgan", {"channels": 4, "layers": layers}, 2).eval()
    assert network(noise(1, 2, network.smallest, network.smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        network(noise(1, 2, network.smallest - 1, network.smallest - 1))


def test_a_patchgan_has_no_batchnorm_in_its_first_layer_and_logits_at_its_end() -> None:
    layers = list(build_discriminator("patchgan", {}, 6).net)
    assert [type(layer) for layer in layers[:2]] == [nn.Conv2d, nn.LeakyReLU]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 3
    assert isinstance(layers[-1], nn.Conv2d)
    assert all(layer.negative_slope == 0.2 for layer in layers if isinstance(layer, nn.LeakyReLU))


def test_the_unet_is_built_as_in_the_paper() -> None:
    network = UNet256(3, 3, UNetSettings(channels=4))
    assert network.multiple == 256
    assert [d[-1 if i in (0, 7) else -2].out_channels for i, d in enumerate(network.down)] == [4, 8, 16, *[32] * 5]
    norms = [any(isinstance(m, nn.BatchNorm2d) for m in d) for d in network.down]
    assert norms == [False, *[True] * 6, False]
    drops = [any(isinstance(m, nn.Dropout) for m in u) for u in network.up]
    assert drops == [True] * 3 + [False] * 4
    assert not any(isinstance(m, nn.LeakyReLU) for m in network.down[0])


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_a_shallower_unet_takes_smaller_pictures(depth: int) -> None:
    network = build_generator("unet-256", {"downsamplings": depth, "channels": 4}, 1)
    assert network.multiple == 2**depth
    assert network.train()(noise(1, 1, 2**depth, 2 ** (depth + 1))).shape == (1, 3, 2**depth, 2 ** (depth + 1))


def test_the_skips_carry_detail_past_the_bottleneck() -> None:
    """Each skip reaches the output: without it the picture changes."""
    network = build_generator("unet-256", {"downsamplings": 4, "channels": 4}, 1).eval()
    initialise(network, 0)
    x = noise(1, 1, 16, 16)
    with torch.no_grad():
        whole = network(x)
        for up in network.up:
            handle = up.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
            assert network(x).std() > 0  # with that layer silent, its skip is what is left
            assert not torch.equal(network(x), whole)
            handle.remove()


@pytest.mark.parametrize("head", ["pixel-shuffle", "resize"])
@pytest.mark.parametrize("blocks", [[0, 0, 0], [2, 1, 0]])
def test_the_small_unet_takes_each_head_and_any_number_of_blocks(head: str, blocks: list[int]) -> None:
    network = build_generator("unet-small", {"channels": 8, "head": head, "blocks": blocks}, 2, 3).eval()
    assert network(noise(1, 2, 32, 48)).shape == (1, 3, 32, 48)
    residuals = sum(type(m).__name__ == "_Residual" for m in network.modules())
    assert residuals == sum(blocks)


@pytest.mark.parametrize("blocks", [[], [1], [1, 2], [1, 2, 2, 2]])
def test_the_small_unet_refuses_blocks_for_another_depth(blocks: list[int]) -> None:
    """It has three depths; a list of another length must not be cut short, or fail while training."""
    with pytest.raises(UsageError, match="blocks"):
        build_generator("unet-small", {"blocks": blocks}, 1)


# Starting weights


@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=lambda r: r.kind)
def test_weights_start_as_in_the_paper_whatever_the_global_seed(registry: Any) -> None:
    for name in registry:
        cls = registry.load(name)
        settings = cls.Settings()
        networks, settings = [], replace(settings, **({"channels": 16} if hasattr(settings, "channels") else {}))
        for seed in (7, 7, 8):  # each from another state of the global generator
            torch.manual_seed(len(networks))
            network = cls(3, 3, settings) if registry is GENERATORS else cls(6, settings)
            initialise(network, seed)
            networks.append(network)
        first, same, other = (torch.cat([p.detach().flatten() for p in n.parameters()]) for n in networks)
        assert torch.equal(first, same)
        assert not torch.equal(first, other)
        weights, scales = [], []
        for module in networks[0].modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                weights.append(module.weight.flatten())
            elif isinstance(module, nn.BatchNorm2d):
                scales.append(module.weight)
            bias = getattr(module, "bias", None)
            assert bias is None or not bias.any()
        drawn, scale = torch.cat(weights).detach(), torch.cat(scales).detach()
        assert drawn.mean().abs() < 1e-3
        assert drawn.std() == pytest.approx(0.02, rel=0.02)
        assert scale.mean() == pytest.approx(1, abs=0.01)


def test_a_residual_network_adds_to_the_picture_in_its_input() -> None:
    table = {"channels": 8, "blocks": [0, 0, 0], "residual": True}
    network: Any = build_generator("unet-small", table, 5).eval()
    for parameter in network.head.parameters():
        torch.nn.init.zeros_(parameter)
    x = noise(1, 5, 32, 48)
    assert torch.equal(network(x), x[:, :3].clamp(-1, 1))
    with pytest.raises(UsageError, match=r"no picture in 1 input channel to add to — .*residual=false"):
        build_generator("unet-small", table, 1)


def test_networks_are_built_by_name_and_their_tables_are_checked() -> None:
    with pytest.raises(UsageError, match="did you mean 'unet-256'"):
        build_generator("unet-25", {}, 3)
    with pytest.raises(UsageError, match=r"generator\.chanels"):
        build_generator("unet-256", {"chanels": 8}, 3)
    with pytest.raises(UsageError, match=r"discriminator\.layers"):
        build_discriminator("patchgan", {"layers": 0}, 6)
    table = full_table(GENERATORS, "unet-small", {"channels": 16}, "generator")
    assert table == {"channels": 16, "blocks": [1, 2, 2], "head": "pixel-shuffle", "residual": False}
