"""Every generator and discriminator with its settings varied, pairs of values together: built, kept, trained.

A new entry, and a new setting that is a switch or a choice, is in here by being in its table.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from variants import LEAST, axes, pairwise

from vidtrans.core.registry import Registry
from vidtrans.core.settings import Table
from vidtrans.networks import DISCRIMINATORS, GENERATORS, UNTRAINED
from vidtrans.networks.for_rendering import fold_norm
from vidtrans.networks.init import build_discriminator, build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")


def cases(registry: Registry) -> list[tuple[str, Table]]:
    """(name, table); entries that are one network at several sizes are varied once."""
    made: list[tuple[str, Table]] = []
    seen = set()
    for name in registry:
        cls = registry.load(name)
        rows = list(pairwise(axes(cls.Settings)))
        made += [(name, table) for table in (rows[:1] if cls.__init__ in seen else rows)]
        seen.add(cls.__init__)
    return made


def label(value: Any) -> str:
    if isinstance(value, str):
        return value
    shown = {k: v for k, v in value.items() if k not in LEAST}
    return ",".join(f"{k}={v}" for k, v in shown.items())


def tiered(found: list[tuple[str, Table]]) -> list[Any]:
    """In the first tier are the first cases in which every value of every setting of each entry is met."""
    made, met = [], set[tuple[str, str, Any]]()
    for name, table in found:
        new = {(name, key, value) for key, value in {"": None, **table}.items()}
        made.append(pytest.param(name, table, marks=[pytest.mark.thorough] if new <= met else []))
        met |= new
    return made


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def made_generator(name: str, table: Table) -> Any:
    generator = build_generator(name, table, 3)
    initialise(generator, 0)
    return generator


@pytest.mark.parametrize(("name", "table"), tiered(cases(GENERATORS)), ids=label)
def test_a_generator_in_any_variant_keeps_sizes_is_made_again_and_trains_on_a_picture(name: str, table: Table) -> None:
    generator = made_generator(name, table)
    m, side = generator.multiple, generator.smallest
    assert side % m == 0 or m % side == 0
    with torch.device("meta"):  # as a model file is loaded
        again = build_generator(name, table, 3)
    again.load_state_dict({k: v.clone() for k, v in generator.state_dict().items()}, assign=True)
    with torch.inference_mode():
        for height, width in ((m, 2 * m), (2 * m, m)):
            x = noise(2, 3, height, width)
            made = generator.eval()(x)
            assert made.shape == (2, 3, height, width)
            assert made.abs().max() <= 1
            assert made.std() > 0
            assert torch.equal(again.eval()(x), made)
        # What a frame becomes does not depend on which others share its batch.
        assert torch.allclose(torch.cat([generator(one) for one in x.split(1)]), made, atol=2e-3)
        # As it is rendered: norms folded into convolutions.
        assert torch.allclose(fold_norm(copy.deepcopy(generator))(x), made, atol=1e-4)
    painted = generator.train()(noise(1, 3, side, side))
    (painted - noise(1, 3, side, side, seed=2)).abs().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


@pytest.mark.parametrize(("name", "table"), tiered(cases(DISCRIMINATORS)), ids=label)
def test_a_discriminator_in_any_variant_trains_from_its_smallest_size_up(name: str, table: Table) -> None:
    discriminator = build_discriminator(name, table, 6)
    initialise(discriminator, 0)
    again = build_discriminator(name, table, 6)
    for side in (discriminator.smallest, discriminator.smallest + 1, 2 * discriminator.smallest):
        judged = discriminator.train().judge(noise(1, 6, side, side))
        assert all(f.isfinite().all() and f.numel() and f.ndim == 4 for features in judged for f in features)
        assert all(len(features) > 1 and features[-1].shape[:2] == (1, 1) for features in judged)
        logits = discriminator(noise(1, 6, side, side))
        assert len(logits if isinstance(logits, list) else [logits]) == len(judged)
    sum(features[-1].square().mean() for features in judged).backward()
    for parameter in discriminator.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0
    again.load_state_dict(discriminator.state_dict())
    x = noise(1, 6, side, side)
    for a, b in zip(discriminator.eval().judge(x), again.eval().judge(x), strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_no_module_of_networks_holds_tensors() -> None:
    """A model file that is loaded imports its network's module on the device "meta": such tensors had no values."""
    for registry in (GENERATORS, UNTRAINED, DISCRIMINATORS):
        for name in registry:
            registry.load(name)
    modules = [module for name, module in sys.modules.items() if name.startswith("vidtrans.networks.")]
    found = [
        f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, torch.Tensor)
    ]
    assert len(modules) > 10
    assert not found


def test_networks_of_looks_at_once_and_the_translator_import_no_compiler_when_they_are_loaded() -> None:
    """``torch.eye`` does so on the device "meta", which takes a second."""
    program = (
        "import sys, torch\n"
        "from vidtrans.networks.init import build_generator\n"
        "with torch.device('meta'):\n"
        "    build_generator('predicted-style', {'looks': 1, 'corrects': True}, 5)\n"
        "    build_generator('translator', {'colour_start': True}, 6)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
