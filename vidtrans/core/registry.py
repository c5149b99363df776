"""Registries of interchangeable parts: from a name to a dotted path and a one-line summary.

A registry is filled explicitly, in the ``__init__`` of its package, and an entry is imported
only when it is used: ``--help`` can list every choice without loading torch or OpenCV. Other packages add entries by
entry points, see ``entry_points``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from vidtrans.core import entry_points
from vidtrans.core.errors import PluginError, UsageError, VidtransError
from vidtrans.core.system import name_key

LONGEST_LIST = 80  # characters of names that are listed beside the nearest one


@dataclass(frozen=True)
class Entry:
    """A choice of a registry; ``path`` is ``package.module:Name``."""

    path: str
    summary: str

    def load(self) -> Any:  # noqa: ANN401  (whatever the path names)
        """Import and return the object at the path. Raises PluginError for a module outside vidtrans that fails."""
        module, _, name = self.path.partition(":")
        if module.partition(".")[0] != __name__.partition(".")[0]:
            return entry_points.import_part(self.path)
        return getattr(importlib.import_module(module), name)


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """A read-only mapping of names to entries; the error for an unknown name lists the valid names.

    ``group``: the kind of plug-ins that add entries, of ``entry_points.GROUPS``; '' for none. An entry that is built in
    outranks a plug-in of its name. To get the entry of a plug-in imports it and may raise PluginError; its name alone
    does not.
    """

    def __init__(self, kind: str, entries: Mapping[str, E], group: str = "") -> None:
        self.kind, self.group = kind, group
        self._entries = dict(entries)

    @property
    def builtin(self) -> Mapping[str, E]:
        """The entries that are not of plug-ins; plug-ins are not searched for."""
        return self._entries

    def __getitem__(self, name: str) -> E:
        if name in self._entries:
            return self._entries[name]
        if name in self._plugins():
            return self._entry(name)
        raise unknown_name(self.kind, name, self)

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from self._plugins()

    def __len__(self) -> int:
        return len(self._entries) + len(self._plugins())

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._plugins()

    def load(self, name: str) -> Any:  # noqa: ANN401  (whatever the entry names)
        """Import and return the object of a name. Raises UsageError on an unknown name."""
        return self[name].load()

    def working(self) -> Iterator[tuple[str, E]]:
        """Yield names and entries: first those that are built in, then of the plug-ins that can be imported."""
        yield from self._entries.items()
        for name in self._plugins():
            try:
                entry = self._entry(name)
            except PluginError:  # 'vidtrans plugins' and the use of its name say why
                continue
            yield name, entry

    def loaded(self) -> Iterator[tuple[str, Any]]:
        """Yield names and objects of the entries of ``working``, without those whose module cannot be imported."""
        for name, entry in self.working():
            try:
                part = entry.load()
            except PluginError:
                continue
            yield name, part

    @property
    def packages(self) -> dict[str, entry_points.Package]:
        """The packages of the names that plug-ins add."""
        return {name: found[0].package for name, found in self._plugins().items()}

    def origin(self, name: str) -> dict[str, Any]:
        """Return ``{"plugin": …}`` with package and version, for records and cache keys; {} for what is built in."""
        package = None if name in self._entries else self.packages.get(name)
        return {"plugin": package.to_table()} if package else {}

    def require(self, record: Mapping[str, Any], file: Path, error: type[VidtransError]) -> None:
        """Raise ``error`` for the ``file`` of a recorded part that is of an absent plug-in.

        ``record``: its ``name``, and ``plugin`` if it is of one (see ``origin``). Raises ValueError if that is invalid.
        """
        if "plugin" in record and record["name"] not in self:
            package = entry_points.Package.of_table(record["plugin"])
            why = f"its {self.kind} '{record['name']}' is of the plug-in {package}, which is not installed here"
            raise error(str(file), why, package.how_to_install())

    def _plugins(self) -> dict[str, list[entry_points.Plugin]]:
        found = entry_points.found(self.group) if self.group else {}
        return {name: found[name] for name in found if name not in self._entries}

    def _entry(self, name: str) -> E:
        plugin, *others = self._plugins()[name]
        if others:
            packages = " and ".join(str(one.package) for one in (plugin, *others))
            raise PluginError(f"{self.kind} '{name}'", f"{packages} both offer it", "uninstall one of them")
        entry: E = plugin.load()
        wanted = type(next(iter(self._entries.values())))
        if not isinstance(entry, wanted):
            why = f"'{plugin.path}' must be a {wanted.__name__}, as for any {self.kind}"
            raise entry_points.broken(plugin.package, why)
        return entry


def unknown_name(
    kind: str, name: object, choices: Iterable[str], packages: Mapping[str, entry_points.Package] | None = None
) -> UsageError:
    """Return the error for a name that is not in ``choices``, with the nearest one if it looks like a typo.

    A long list of names is left out then.

    ``packages``: of the names that plug-ins add; by default those of ``choices``, if it is a registry.
    """
    names = sorted(choices)
    near = nearest_name(str(name), names)
    hint = f"did you mean '{near}'?" if near else ""
    found = choices.packages if packages is None and isinstance(choices, Registry) else packages or {}
    words = f"choose from: {', '.join(with_package(one, found) for one in names) or 'none'}"
    remedy = hint if hint and len(words) > LONGEST_LIST else f"{hint} {words}".strip()
    return UsageError(f"unknown {kind} '{name}'", "", remedy)


def with_package(name: str, packages: Mapping[str, entry_points.Package]) -> str:
    """Return a name, followed by its package if it is of a plug-in."""
    return f"{name} (of {packages[name]})" if name in packages else name


def nearest_name(name: str, choices: Iterable[str]) -> str:
    """Return the choice that a mistyped name is nearest to, whatever its case; '' if none is near."""
    plain = {name_key(choice).casefold(): choice for choice in choices}
    near = get_close_matches(name_key(name).casefold(), plain, n=1)
    return plain[near[0]] if near else ""


def nearest_file(path: Path) -> Path | None:
    """Return the file in a path's folder whose name is nearest to the path's, at which there is none; None if none."""
    try:
        near = nearest_name(path.name, (name for name in os.listdir(path.parent) if name != path.name))
    except (OSError, ValueError):
        near = ""
    return path.parent / near if near else None


def name_check(path: Path) -> str:
    """Return the remedy for a file that is not there: the nearest name in its folder, or to check the name."""
    near = nearest_file(path)
    return f"did you mean '{near}'?" if near else "check the name"
