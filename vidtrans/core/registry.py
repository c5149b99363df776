"""Registries of interchangeable parts: from a name to a dotted path and a one-line summary.

A registry is filled explicitly, in the ``__init__`` of its package, and an entry is imported only when it is used:
``--help`` can list every choice without loading torch or OpenCV.

Another package offers a part by an entry point in the group ``vidtrans.KIND`` (``GROUPS``), whose value names an entry
of the registry: the line that would stand in the registry's table. ``VIDTRANS_PLUGINS=module:object`` adds parts that
are not installed, while one develops them: the object maps kinds to tables of entries. The installed packages are
searched once in a process, and only when a name is unknown or names are listed. A plug-in is imported when its part is
used.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from vidtrans.core.errors import PluginError, UsageError, VidtransError, first_line
from vidtrans.core.system import name_key

GROUPS = (
    "pairings",
    "generators",
    "losses",
    "training_methods",
    "flow_methods",
    "filters",
    "engines",
    "executors",
    "model_formats",
    "commands",
)
VARIABLE = "VIDTRANS_PLUGINS"
_PREFIX = "vidtrans."
_RECORDS = (".dist-info", ".egg-info")
_DIGITS = 12  # of the digest that stands for the version of a module in VIDTRANS_PLUGINS
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OBJECT = re.compile(r"[A-Za-z_][\w.]{0,99}:[A-Za-z_][\w.]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}")
LONGEST_LIST = 80  # characters of names that are listed beside the nearest one


class Package(NamedTuple):
    """Where a part comes from: name and version of a distribution, or a ``module:object`` and a digest of its file."""

    name: str
    version: str

    @classmethod
    def of_table(cls, table: object) -> Package:
        """Read a package from a record, which may be a stranger's. Raises ValueError."""
        name, version = (table.get(key) for key in ("package", "version")) if isinstance(table, dict) else ("", "")
        if not isinstance(name, str) or not (_PACKAGE.fullmatch(name) or _OBJECT.fullmatch(name)):
            raise ValueError("the package of its plug-in has no valid name")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ValueError("the package of its plug-in has no valid version")
        return cls(name, version)

    def __str__(self) -> str:
        return f"{VARIABLE}={self.name}" if ":" in self.name else f"{self.name} {self.version}"

    def to_table(self) -> dict[str, str]:
        """Return the package for records and cache keys."""
        return {"package": self.name, "version": self.version}

    def how_to_install(self) -> str:
        """Return the advice for a machine that lacks the package."""
        return f"set {self}" if ":" in self.name else f"if you trust it: pip install {self.name}"


@dataclass(frozen=True)
class Plugin:
    """A part of another package. ``group``: its kind, of ``GROUPS``; ``path``: the ``module:object`` of its entry.

    ``error``: why it cannot be used, known without its import; '' if nothing is wrong.
    """

    group: str
    name: str
    package: Package
    path: str
    entry: Any = field(default=None, compare=False)  # found already, of VIDTRANS_PLUGINS
    error: str = ""

    def load(self) -> Any:  # noqa: ANN401  (an entry of the registry, which the registry checks)
        """Return the entry. Raises PluginError if the plug-in cannot be imported."""
        if self.error:
            raise broken_plugin(self.package, self.error)
        return self.entry if self.entry is not None else _import(self.path, self.package)


def broken_plugin(package: Package, why: str) -> PluginError:
    """Return the error for a plug-in that cannot be used."""
    remedy = "correct it" if ":" in package.name else f"update or remove it: pip uninstall {package.name}"
    return PluginError(f"plug-in {package}", why, remedy)


@cache
def _outcome(path: str) -> tuple[Any, str]:
    """Return what a ``module:object`` names and '', or None and why it cannot be imported."""
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except VidtransError as error:
        return None, str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's code raises
        return None, f"{type(error).__name__}: {first_line(error)}"
    return found, ""


def _import(path: str, package: Package) -> Any:  # noqa: ANN401  (whatever the path names)
    found, error = _outcome(path)
    if error:
        raise broken_plugin(package, error)
    return found


def import_part(path: str) -> Any:  # noqa: ANN401  (whatever the path names)
    """Import the part of a plug-in's entry. Raises PluginError if its module cannot be imported."""
    root = path.partition(":")[0].partition(".")[0]
    same_root = (one.package for one in installed_plugins() if one.path.partition(":")[0].partition(".")[0] == root)
    return _import(path, next(same_root, Package(path, "")))


def plugins_of(group: str) -> dict[str, list[Plugin]]:
    """Return the plug-ins of a group by name, usually one for each name."""
    by_name: dict[str, list[Plugin]] = {}
    for plugin in installed_plugins():
        if plugin.group == group and plugin.name:
            by_name.setdefault(plugin.name, []).append(plugin)
    return by_name


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """Return all plug-ins, those in VIDTRANS_PLUGINS first."""
    return (*_of_variable(), *_of_packages())


def _of_packages() -> Iterator[Plugin]:
    seen = set()
    for folder in _folders_with_entry_points():
        from importlib.metadata import Distribution  # slow to import, and rarely needed

        distribution = Distribution.at(folder)
        name = distribution.metadata["Name"] or folder.name.partition("-")[0]
        if (normal := re.sub(r"[-_.]+", "-", name).lower()) in seen:
            continue  # the first one on the path is the one that is imported
        seen.add(normal)
        package = Package(name, distribution.metadata["Version"] or "0")
        try:
            points = [*distribution.entry_points]
        except (TypeError, ValueError) as error:  # a line without '=', or bytes that are no text
            why = f"its entry_points.txt cannot be read ({first_line(error)})"
            yield Plugin("", "", package, str(folder), error=why)
            continue
        for point in points:
            if point.group.startswith(_PREFIX):
                group = point.group.removeprefix(_PREFIX)
                unknown = "" if group in GROUPS else f"the group '{point.group}' is none of {', '.join(GROUPS)}"
                yield Plugin(group, point.name, package, point.value.partition("[")[0].strip(), error=unknown)


def _folders_with_entry_points() -> Iterator[Path]:
    """Yield the records of installed packages that mention a group of vidtrans.

    importlib.metadata reads the records of all packages, which takes a tenth of the time of ``vidtrans --help``.
    """
    for place in dict.fromkeys(sys.path):
        try:
            names = sorted(name for name in os.listdir(place or ".") if name.endswith(_RECORDS))
        except OSError:  # a place on the path need not exist, and may be an archive
            continue
        for name in names:
            folder = Path(place or ".", name)
            try:
                text = (folder / "entry_points.txt").read_bytes()
            except OSError:  # most packages have none
                continue
            if f"[{_PREFIX}".encode() in text.replace(b" ", b""):
                yield folder


def _of_variable() -> Iterator[Plugin]:
    for path in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        tables, error = _outcome(path) if _OBJECT.fullmatch(path) else (None, "it must be module:object")
        package = Package(path if ":" in path else f"{path}:object", _digest(path))
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            form = "the object must map kinds to tables of entries, as {'pairings': {'negative': Entry(…)}}"
            yield Plugin("", "", package, path, error=error or form)
            continue
        for group, table in tables.items():
            unknown = "" if group in GROUPS else f"the kind '{group}' is none of {', '.join(GROUPS)}"
            yield from (Plugin(group, name, package, path, entry, unknown) for name, entry in table.items())


def _digest(path: str) -> str:
    """Return the first digits of the SHA-256 of the file of a module that was imported; '0' without a file."""
    import hashlib

    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:_DIGITS] if file else "0"


def forget_plugins() -> None:
    """Search again at the next use, as after an installation."""
    installed_plugins.cache_clear()
    _outcome.cache_clear()


@dataclass(frozen=True)
class Entry:
    """A choice of a registry; ``path`` is ``package.module:Name``."""

    path: str
    summary: str

    def load(self) -> Any:  # noqa: ANN401  (whatever the path names)
        """Import and return the object at the path. Raises PluginError for a module outside vidtrans that fails."""
        module, _, name = self.path.partition(":")
        if module.partition(".")[0] != __name__.partition(".")[0]:
            return import_part(self.path)
        return getattr(importlib.import_module(module), name)


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """A read-only mapping of names to entries; the error for an unknown name lists the valid names.

    ``group``: the kind of plug-ins that add entries, of ``GROUPS``; '' for none. An entry that is built in
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
    def packages(self) -> dict[str, Package]:
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
            package = Package.of_table(record["plugin"])
            why = f"its {self.kind} '{record['name']}' is of the plug-in {package}, which is not installed here"
            raise error(str(file), why, package.how_to_install())

    def _plugins(self) -> dict[str, list[Plugin]]:
        found = plugins_of(self.group) if self.group else {}
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
            raise broken_plugin(plugin.package, why)
        return entry


def unknown_name(
    kind: str, name: object, choices: Iterable[str], packages: Mapping[str, Package] | None = None
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


def with_package(name: str, packages: Mapping[str, Package]) -> str:
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
