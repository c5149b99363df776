"""A network of classes: its output has their colours, exactly; its training is plain cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from method_setup import ToySetup
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.inference.device import Device
from vidtrans.inference.tiles import run_tiled
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.init import build_generator, initialise, inner_generator
from vidtrans.training.methods.class_method import NO_CLASS, ClassMethod, class_weights, labels_of
from vidtrans.training.settings import TrainingSettings

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
