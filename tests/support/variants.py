"""Settings varied, pairs of values together: what the tests of networks and of training share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from vidtrans.core.options import option_of
from vidtrans.core.registry import Registry
from vidtrans.core.settings import Table

LEAST = ("channels", "downsamplings", "upsamplings", "blocks", "enhancer_blocks", "hidden")
# Whole numbers that change how a network is built.
NUMBERS = {
    "enhancers": (0, 1, 2),
    "dilation": (1, 2),
    "deep_blocks": (0, 1),
    "num_layers": (3, 2, 1, 0),
    "num_scales": (2, 1),
}


def least_of(field: Field[Any]) -> int:
    """The least number that a setting takes; of channels four, for with one a ReLU may leave nothing."""
    low = int(option_of(field).ends[0])
    return max(low, 4) if field.name == "channels" else low


def axes(cls: type) -> dict[str, tuple[Any, ...]]:
    """The values that each setting takes here; the first of a switch or a choice is its default."""
    made: dict[str, tuple[Any, ...]] = {}
    for field in fields(cls):
        if field.name in NUMBERS:
            low, high = option_of(field).ends
            made[field.name] = tuple(number for number in NUMBERS[field.name] if low <= number <= high)
        elif isinstance(field.default, bool):
            made[field.name] = (field.default, not field.default)
        elif (choices := option_of(field).choices) is not None:
            others = [c for c in choices if c != field.default]
            made[field.name] = (field.default, *others)
        elif field.name in LEAST and isinstance(field.default, int):
            made[field.name] = (least_of(field),)
    return made


def pairwise(values: dict[str, tuple[Any, ...]]) -> Iterator[Table]:
    """Tables in which any two values of any two settings meet, the fewest that a greedy search finds."""
    names = list(values)
    pairs = [((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in values[a] for y in values[b]]
    bits = {pair: 1 << number for number, pair in enumerate(pairs)}
    rows = [dict(zip(names, row, strict=True)) for row in itertools.product(*values.values())]
    met = [sum(bits[pair] for pair in itertools.combinations(row.items(), 2)) for row in rows]
    wanted = (1 << len(pairs)) - 1
    while wanted:
        best = max(range(len(rows)), key=lambda i: (met[i] & wanted).bit_count())
        wanted &= ~met[best]
        yield rows[best]


def least(registry: Registry, name: str, **more: Any) -> Table:
    """Return the settings of the smallest network of its kind, and those of ``more`` that it has."""
    table, known = {}, {f.name: f for f in fields(registry.load(name).Settings)}
    for field in known.values():
        if field.name in LEAST and isinstance(field.default, int):
            table[field.name] = least_of(field)
    return table | {key: value for key, value in more.items() if key in known}
