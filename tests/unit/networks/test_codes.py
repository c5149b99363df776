"""Codes of looks, and a network of classes: what they are told, what they give, and how they learn."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from method_setup import ToySetup
from torch import nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.inference.device import Device
from vidtrans.inference.tiles import run_tiled
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.code_planes import CODE_RANGE, plane_values, with_planes
from vidtrans.networks.init import build_generator, initialise, inner_generator
from vidtrans.networks.picture_encoder import code_planes
from vidtrans.networks.wrappers.coded_generator import CodedGenerator, CodedNorm
from vidtrans.training.methods.class_method import NO_CLASS, ClassMethod, class_weights, labels_of
from vidtrans.training.settings import TrainingSettings

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


COLOURS = np.array([[10, 20, 30], [200, 0, 0], [0, 90, 255], [1, 1, 1]], np.uint8)
SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def network(seed: int = 0, **settings: Any) -> Any:
    made = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0], **settings}, 3, classes=COLOURS)
    initialise(made, seed)
    return made


def pictures(count: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(3)) * 2 - 1


def targets(count: int = 4, side: int = 32) -> torch.Tensor:
    """Label maps in colours, of which every fifth pixel is of no class."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, len(COLOURS), (count, side, side))
    rgb = COLOURS[labels]
    rgb[labels.cumsum(axis=2) % 5 == 0] = (7, 7, 7)
    return torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def toy(**settings: Any) -> ClassMethod:
    class OfClasses(ToySetup):
        in_channels = 3

        def make_generator(self, number: int = 0, *, reverse: bool = False) -> Any:
            return network(self.seed + number)

        def find_class_shares(self) -> torch.Tensor:
            return SHARES

    torch.manual_seed(0)
    table = {"method": "classes", "precision": "fp32", **settings}
    return ClassMethod.make(OfClasses(TrainingSettings.of(**table)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_pixel_has_exactly_the_colour_of_its_best_class(precision: str) -> None:
    made, x = network(), pictures()
    engine = TorchEngine(made, Device("cpu", "cpu"), precision)
    given = ((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    found = engine(given)
    assert {tuple(c) for c in np.unique(found.reshape(-1, 3), axis=0).tolist()} <= set(map(tuple, COLOURS.tolist()))
    if precision == "fp32":
        with torch.inference_mode():
            best = made.eval().logits(torch.from_numpy(given).permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1)
        assert (found == COLOURS[best.numpy()]).mean() > 0.99  # of equal ones, kernels may choose another


def test_tiles_of_classes_are_cut_not_faded() -> None:
    colours = torch.tensor([[-1.0, 1.0]]).reshape(1, 2, 1, 1)

    def by_place(x: torch.Tensor) -> torch.Tensor:  # neighbouring tiles disagree everywhere
        by_place.calls += 1  # type: ignore[attr-defined]
        return colours[:, by_place.calls % 2].expand(1, 3, *x.shape[2:])  # type: ignore[attr-defined]

    for fades in (True, False):
        by_place.calls = 0  # type: ignore[attr-defined]
        whole = run_tiled(by_place, torch.zeros(1, 3, 64, 96), 64, 8, fades=fades)
        assert (set(whole.unique().tolist()) == {-1.0, 1.0}) == (not fades)


def test_a_step_is_cross_entropy_whatever_the_parts() -> None:
    whole, method = toy(), toy(batch_size=4, grad_accum_steps=3)
    weights = class_weights(SHARES, 0.25)
    with torch.no_grad():
        logits = whole.generator.train().logits(pictures())
    wanted = F.cross_entropy(logits, labels_of(targets(), torch.from_numpy(COLOURS)), weights, ignore_index=NO_CLASS)
    losses = [m.step(pictures(), targets(), lr=1e-3, seed=1) for m in (whole, method)]
    assert losses[0]["cross_entropy"] == pytest.approx(float(wanted), rel=1e-4)
    # Batch norms see only their part, so that other parts are near, not equal.
    assert losses[1]["cross_entropy"] == pytest.approx(losses[0]["cross_entropy"], rel=0.02)
    assert method.painted.shape == (4, 3, 32, 32)


def test_a_batch_without_a_class_changes_nothing_that_is_not_finite() -> None:
    method = toy()
    nothing = torch.full((2, 3, 32, 32), 7 / 127.5 - 1)
    assert method.step(pictures(2), nothing, lr=1e-3, seed=1)["cross_entropy"] == 0
    assert method.is_finite()


def test_a_network_that_adds_to_its_frame_has_no_classes() -> None:
    with pytest.raises(UsageError, match=r"generator\.residual"):
        network(residual=True)
    assert inner_generator(network()) is not None
