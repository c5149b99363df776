"""The networks against their papers, and those of other tools; what all promise is in test_registries.py."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from variants import least

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import from_table
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.few_shot import FewShot, FewShotSettings
from vidtrans.networks.hd import load_coarser
from vidtrans.networks.init import build_discriminator, build_generator, complete_settings, initialise
from vidtrans.networks.ports import PortSettings, named_range, range_ports
from vidtrans.networks.translator import Translator, TranslatorSettings
from vidtrans.networks.unet_small import SmallResidual
from vidtrans.networks.wrappers import AdaptedGenerator


def num_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_networks_have_the_sizes_of_their_papers() -> None:
    """The pix2pix U-Net has 54.4 M parameters, its 70×70 PatchGAN on 3 + 3 channels 2.77 M."""
    with torch.device("meta"):
        assert round(num_parameters(build_generator("unet-256", {}, 3)) / 1e6, 2) == 54.41
        assert num_parameters(build_discriminator("patchgan", {}, 6)) == 2_768_705
        assert 1.2e6 < num_parameters(build_generator("unet-small", {}, 1)) < 1.6e6
        # CycleGAN's 11.38 M and 7.84 M (its norms have no scales), pix2pixHD's 182.5 M, SPADE's 92 M.
        assert round(num_parameters(build_generator("residual", {}, 3)) / 1e6, 2) == 11.38
        assert round(num_parameters(build_generator("residual", {"blocks": 6}, 3)) / 1e6, 2) == 7.84
        assert round(num_parameters(build_generator("hd", {}, 3)) / 1e6, 1) == 182.5
        assert 91e6 < num_parameters(build_generator("spade", {}, 3)) < 97e6


# Digest of the weights' names, the recorded settings, the mean square of an output.
NAMES: dict[str, tuple[str, dict[str, Any], float]] = {
    "unet-256": (
        "d27cb4e9fd36120e",
        {"channels": 4, "conv_bias": False, "downsamplings": 8, "dropout": 0.5, "inner_norm": False}
        | {"norm": "batch", "skip_connections": True, "upsample": "transposed"},
        0.0025880018,
    ),
    "unet-small": (
        "19c8eae329adbf0f",
        {"channels": 8, "blocks": [1, 2, 2], "head": "pixel-shuffle", "residual": False, "skip_connections": True},
        0.0129732332,
    ),
    "patchgan": (
        "9a0f8f8195ca7884",
        {"channels": 4, "norm": "batch", "num_layers": 3, "spectral_norm": False},
        0.0811519486,
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_weights_recorded_settings_and_first_weights_are_fixed(name: str) -> None:
    names, table, power = NAMES[name]
    registry, channels = (GENERATORS, 3) if name in GENERATORS else (DISCRIMINATORS, 6)
    given = {"channels": table["channels"]}
    assert complete_settings(registry, name, given, "x") == table
    network: Any = (build_generator if registry is GENERATORS else build_discriminator)(name, given, channels)
    assert hashlib.sha256(json.dumps(list(network.state_dict())).encode()).hexdigest()[:16] == names
    initialise(network, 3)
    torch.manual_seed(5)
    side = 256 if name == "unet-256" else 64
    made = network.train()(noise(1, channels, side, side))
    assert made.double().square().mean().item() == pytest.approx(power, rel=1e-3)


def test_the_small_unet_has_as_many_blocks_as_it_is_told_and_refuses_those_for_another_depth() -> None:
    """It has three depths; a list of another length must not be cut short, or fail while training."""
    network = build_generator("unet-small", {"channels": 8, "blocks": [2, 1, 0]}, 2)
    assert sum(isinstance(m, SmallResidual) for m in network.modules()) == 3
    for blocks in ([], [1, 2], [1, 2, 2, 2]):
        with pytest.raises(UsageError, match="blocks"):
            build_generator("unet-small", {"blocks": blocks}, 1)


TINY_HD = {"channels": 8, "downsamplings": 2, "blocks": 1, "enhancer_blocks": 1}


def test_a_trained_coarse_generator_is_put_into_a_finer_one() -> None:
    coarse, fine, finest = (build_generator("hd", {**TINY_HD, "enhancers": n}, 3) for n in range(3))
    for seed, network in enumerate((coarse, fine, finest)):
        initialise(network, seed)
    before = fine.head[1].weight.clone()
    load_coarser(fine, coarse.state_dict())
    assert torch.equal(fine.head[1].weight, before)
    x = noise(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(fine.eval().whole(x), coarse.eval().whole(x))
        # With the enhancer's own view silent, what is left is the coarser one's features.
        fine.enhancers[0].down.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
        assert not torch.equal(fine(x), torch.zeros(1, 3, 64, 64))
    load_coarser(finest, fine.state_dict())
    given, own = fine.state_dict(), finest.state_dict()
    assert all(torch.equal(own[n], given[n]) for n in own if n.startswith(("whole.", "enhancers.0.")))


def test_a_coarse_generator_of_another_kind_is_refused_and_changes_nothing() -> None:
    fine = build_generator("hd", {**TINY_HD, "enhancers": 1}, 3)
    before = {k: v.clone() for k, v in fine.state_dict().items()}
    others = [build_generator("hd", TINY_HD | more, 3) for more in ({"channels": 16}, {"blocks": 2}, {"enhancers": 2})]
    for other in (*others, build_generator("residual", {"channels": 8}, 3), nn.Sequential()):
        with pytest.raises(UsageError, match="coarser hd generator"):
            load_coarser(fine, other.state_dict())
    assert all(torch.equal(v, before[k]) for k, v in fine.state_dict().items())
    with pytest.raises(UsageError, match="multiple of 4"):
        build_generator("hd", {"channels": 18, "enhancers": 2}, 3)


CHECKPOINTED = [
    ("unet-256", {"channels": 4, "downsamplings": 4}),
    ("residual", {"channels": 4, "blocks": 2, "self_attention": True}),
    ("hd", {**TINY_HD, "enhancers": 1, "norm": "batch"}),
    ("spade", {"channels": 4, "hidden": 8, "upsamplings": 3}),
]


@pytest.mark.parametrize(("name", "table"), CHECKPOINTED, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_computed_again_changes_nothing_but_memory(name: str, table: dict[str, Any]) -> None:
    """Outputs, gradients, running statistics, spectral norms: to the bit, and fewer tensors kept."""
    x, found, kept = noise(2, 3, 32, 32), [], []
    for checkpointing in (False, True):
        network = build_generator(name, {**table, "grad_checkpointing": checkpointing}, 3).train()
        initialise(network, 0)
        sizes: list[int] = []
        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            made = network(x)
        kept.append(sum(sizes))
        made.square().mean().backward()
        found.append([made, *(p.grad for p in network.parameters()), *network.state_dict().values()])
        assert all(m.training for m in network.modules())
        assert all(m.track_running_stats for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=lambda r: r.kind)
def test_weights_start_as_in_the_paper_whatever_the_global_seed(registry: Any) -> None:
    for name in registry:
        table, networks = least(registry, name, channels=16), []
        for seed in (7, 7, 8):  # each from another state of the global generator
            torch.manual_seed(len(networks))
            made = build_generator(name, table, 3) if registry is GENERATORS else build_discriminator(name, table, 6)
            initialise(made, seed)
            networks.append(made)
        if not any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in networks[0].modules()):
            continue  # a table, of which nothing is drawn
        first, same, other = (torch.cat([p.detach().flatten() for p in n.parameters()]) for n in networks)
        assert torch.equal(first, same)
        assert not torch.equal(first, other)
        buffers = [list(n.buffers()) for n in networks[:2]]
        assert all(torch.equal(a, b) for a, b in zip(*buffers, strict=True))
        if hasattr(networks[0], "draw_weights"):
            continue  # not as in the paper
        weights = [p.flatten() for p in networks[0].parameters() if p.ndim == 4]
        scales = [m.weight for m in networks[0].modules() if isinstance(m, NORMS) and m.affine]
        assert not any(p.any() for n, p in networks[0].named_parameters() if n.endswith("bias"))
        drawn, scale = torch.cat(weights).detach(), torch.cat(scales or [torch.ones(1)]).detach()
        assert drawn.mean().abs() < 1e-3
        assert drawn.std() == pytest.approx(0.02, rel=max(0.02, 3 / len(drawn) ** 0.5))
        assert scale.mean() == pytest.approx(1, abs=0.01)


def test_a_residual_network_adds_to_the_picture_in_its_input() -> None:
    table = {"channels": 8, "blocks": [0, 0, 0], "residual": True}
    network: Any = build_generator("unet-small", table, 5).eval()
    for parameter in network.head.parameters():
        torch.nn.init.zeros_(parameter)
    x = noise(1, 5, 32, 48)
    assert torch.equal(network(x), x[:, :3].clamp(-1, 1))
    with pytest.raises(UsageError, match=r"1 input channel holds no colour picture to add to — .*residual=false"):
        build_generator("unet-small", table, 1)


def few_shot() -> FewShot:
    network = FewShot(3, 3, FewShotSettings(8, 1))
    initialise(network, 0)
    return network


def translator(**settings: Any) -> Translator:
    network = Translator(3, 3, TranslatorSettings(channels=8, **{"blocks": 1} | settings))
    initialise(network, 0)
    return network.eval()


class Recorder(nn.Module):
    """Returns its input, and keeps it."""

    multiple = smallest = 1

    def forward(self, x: Tensor) -> Tensor:
        self.taken = x
        return x


def run(x: Tensor, **ports: object) -> tuple[Tensor, Tensor]:
    network = Recorder()
    given = AdaptedGenerator(network, x.shape[1], from_table(PortSettings, ports, "ports"))(x)
    return network.taken, given


PICTURE = torch.rand(2, 3, 4, 5) * 2 - 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (-1, 1), (-0.5, 0.5)])
def test_a_range_is_what_the_network_sees_and_comes_back(low: float, high: float) -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    taken, given = run(ends, **range_ports(low, high))
    assert taken.flatten().tolist() == pytest.approx([low, (low + high) / 2, high])
    assert given.flatten().tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


def test_a_picture_becomes_grey_for_a_network_of_one_channel_and_grey_becomes_a_picture() -> None:
    taken, given = run(PICTURE, in_channels=1, out_channels=1)
    weighed = sum(w * PICTURE[:, c] for c, w in enumerate((0.299, 0.587, 0.114)))
    torch.testing.assert_close(taken[:, 0], weighed)
    assert torch.equal(given, taken.expand(-1, 3, -1, -1))


def test_no_tensor_is_made_of_its_numbers_which_a_cuda_graph_could_not_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("a copy from the host")

    wanted = run(PICTURE, **named_range("imagenet"))
    monkeypatch.setattr(torch, "tensor", refuse)
    monkeypatch.setattr(Tensor, "new_tensor", refuse)
    assert all(torch.equal(*pair) for pair in zip(run(PICTURE, **named_range("imagenet")), wanted, strict=True))
    assert run(PICTURE, in_channels=1)[0].shape == (2, 1, 4, 5)


def test_ports_that_do_not_fit_together_are_refused() -> None:
    for ports in ({"out_channels": 2}, {"in_scale": (1, 2)}, {"in_channels": 4, "in_shift": (1, 2, 3)}):
        with pytest.raises(UsageError, match="ports"):
            from_table(PortSettings, ports, "ports")
