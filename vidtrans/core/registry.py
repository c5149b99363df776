"""Registries of interchangeable parts: from a name to a dotted path and a one-line summary.

A registry is filled explicitly, in the ``__init__`` of its package, and an entry is imported
only when it is used: ``--help`` can list every choice without loading torch or OpenCV.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from vidtrans.core.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """A choice of a registry; ``path`` is ``package.module:Name``."""

    path: str
    summary: str

    def load(self) -> Any:  # noqa: ANN401  (whatever the path names)
        """Import and return the object at the path."""
        module, _, name = self.path.partition(":")
        return getattr(importlib.import_module(module), name)


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """A read-only mapping of names to entries; the error for an unknown name lists the valid names."""

    def __init__(self, kind: str, entries: Mapping[str, E]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> E:
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def load(self, name: str) -> Any:  # noqa: ANN401  (whatever the entry names)
        """Import and return the object of a name. Raises UsageError on an unknown name."""
        return self[name].load()


def unknown_name(kind: str, name: object, choices: Mapping[str, Any] | list[str]) -> UsageError:
    """Return the error for a name that is not in ``choices``, with the nearest one if it looks like a typo."""
    names = sorted(choices)
    near = nearest_name(str(name), names)
    hint = f"did you mean '{near}'? " if near else ""
    return UsageError(f"unknown {kind} '{name}'", "", f"{hint}choose from: {', '.join(names) or 'none'}")


def nearest_name(name: str, choices: Iterable[str]) -> str:
    """Return the choice that a mistyped name is nearest to, whatever its case; '' if none is near."""
    plain = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(name.casefold(), plain, n=1)
    return plain[near[0]] if near else ""
