"""Every generator and discriminator with its settings varied, pairs of values together: built, kept, trained.

A new entry, and a new setting that is a switch or a choice, is in here by being in its table.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from variants import LEAST, axes, pairwise

from vidtrans.core.registry import Registry
from vidtrans.core.settings import Table
from vidtrans.inference.folding import fold_norm
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, OVERFITTED = 2, 12


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


GENERATOR_CASES, DISCRIMINATOR_CASES = cases(GENERATORS), cases(DISCRIMINATORS)
every_generator = pytest.mark.parametrize(("name", "table"), GENERATOR_CASES, ids=label)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def made_generator(name: str, table: Table) -> Any:
    generator = build_generator(name, table, 3)
    initialise(generator, 0)
    return generator


@every_generator
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
        # As it is rendered: norms folded into convolutions.
        assert torch.allclose(fold_norm(copy.deepcopy(generator))(x), made, atol=1e-4)
    painted = generator.train()(noise(1, 3, side, side))
    (painted - noise(1, 3, side, side, seed=2)).abs().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


@pytest.mark.parametrize(("name", "table"), DISCRIMINATOR_CASES, ids=label)
def test_a_discriminator_in_any_variant_trains_from_its_smallest_size_up(name: str, table: Table) -> None:
    discriminator = build_discriminator(name, table, 6)
    initialise(discriminator, 0)
    again = build_discriminator(name, table, 6)
    again.load_state_dict(discriminator.state_dict())
    for side in (discriminator.smallest, discriminator.smallest + 1, 2 * discriminator.smallest):
        judged = discriminator.train().judge(noise(1, 6, side, side))
        assert all(f.isfinite().all() and f.numel() for features in judged for f in features)
        logits = discriminator(noise(1, 6, side, side))
        assert len(logits if isinstance(logits, list) else [logits]) == len(judged)
    sum(features[-1].square().mean() for features in judged).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in discriminator.parameters())
    again.load_state_dict(discriminator.state_dict())
    x = noise(1, 6, side, side)
    for a, b in zip(discriminator.eval().judge(x), again.eval().judge(x), strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def telling(found: list[tuple[str, Table]]) -> list[tuple[str, Table]]:
    """The first cases in which every value of every setting of each entry is met."""
    kept, met = [], set[tuple[str, str, Any]]()
    for name, table in found:
        new = {(name, key, value) for key, value in {"": None, **table}.items()}
        if not new <= met:
            kept.append((name, table))
            met |= new
    return kept


# Each generator meets another discriminator; all of them are met.
LEARNING = telling(GENERATOR_CASES)
MATCHES = [
    (*LEARNING[i % len(LEARNING)], *DISCRIMINATOR_CASES[i % len(DISCRIMINATOR_CASES)])
    for i in range(max(len(LEARNING), len(DISCRIMINATOR_CASES)))
]


@pytest.mark.parametrize(("name", "table", "judge", "judge_table"), MATCHES, ids=label)
def test_any_generator_trains_with_any_discriminator(name: str, table: Table, judge: str, judge_table: Table) -> None:
    """L1 falls on the one batch that it sees; then some steps against the discriminator stay finite."""
    torch.manual_seed(0)
    generator, discriminator = made_generator(name, table).train(), build_discriminator(judge, judge_table, 6)
    initialise(discriminator.train(), 1)
    m = generator.multiple
    side = max(32, generator.smallest, -(-discriminator.smallest // m) * m)
    x = noise(2, 3, side, side)
    y = torch.tensor([0.6, -0.5, 0.4]).view(1, 3, 1, 1) + 0.2 * x[:, :1]
    for_d, for_g = (torch.optim.Adam(n.parameters(), 2e-3, (0.5, 0.999)) for n in (discriminator, generator))

    losses = (descend(for_g, (generator(x) - y).abs().mean()) for _ in range(OVERFITTED))
    first = next(losses)
    assert any(loss < 0.97 * first for loss in losses)  # without norms, the first steps are slow

    def verdict(picture: torch.Tensor, sign: int) -> torch.Tensor:
        judged = discriminator.judge(torch.cat([x, picture], 1))
        return torch.stack([F.softplus(sign * logits).mean() for *_, logits in judged]).mean()

    for _ in range(STEPS):
        fake = generator(x)
        descend(for_d, verdict(fake.detach(), 1) + verdict(y, -1))
        descend(for_g, verdict(fake, -1) + (fake - y).abs().mean())
    for parameter in (*generator.parameters(), *discriminator.parameters()):
        assert parameter.isfinite().all()


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    assert loss.isfinite()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
