"""Parts of a generator that keep their weights while the rest learns anew."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vidtrans.errors import UsageError
from vidtrans.registry import unknown_name


def freeze(generator: nn.Module, names: Sequence[str]) -> None:
    """No gradient for the parameters of the modules ``names``, as in 'down' or 'down.0', and of all inside them.

    BatchNorm's statistics are no weights: they follow the new pictures. Raises UsageError on a name that is not
    there, and where nothing is left to learn.
    """
    parts = [name for name, _ in generator.named_modules() if name]
    for name in names:
        if name not in parts:
            # Deeper ones are there as well; these are enough to find one's way.
            raise unknown_name("part of the generator", name, [p for p in parts if p.count(".") < 2])
        generator.get_submodule(name).requires_grad_(False)
    if not any(p.requires_grad for p in generator.parameters()):
        raise UsageError(f"training.freeze = {list(names)}", "nothing of the generator is left to learn", "name fewer")
