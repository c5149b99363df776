"""Registries of interchangeable components: they map a name to an import path and a one-line summary.

A registry is filled explicitly, in the ``__init__`` of its package, and an entry is imported only when it is used:
``--help`` can list every choice without loading torch or OpenCV.

Another package adds a component by an entry point in the group ``vidtrans.KIND`` (``GROUPS``), whose value names an
entry of the registry, as in the registry's own table. ``VIDTRANS_PLUGINS=module:object`` adds components under
development, which are not installed: the object maps kinds to tables of entries. The installed packages are searched
once per process, and only if a name is unknown or names are listed. A plug-in is imported when its component is used.
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

# Kinds of plug-ins: the names of groups of entry points, without the prefix "vidtrans."
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
    "segmenters",
    "commands",
)
VARIABLE = "VIDTRANS_PLUGINS"  # Environment variable that lists plug-ins under development, as module:object
_PREFIX = "vidtrans."  # Prefix of the names of entry-point groups
_RECORDS = (".dist-info", ".egg-info")  # Suffixes of the folders with the metadata of installed packages
_DIGITS = 12  # Number of hexadecimal digits of a file's digest, which is the version of a module in VIDTRANS_PLUGINS
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # Valid name of an installed distribution: my-plugin
# Valid location of a Python object: package.module:name
_OBJECT = re.compile(r"[A-Za-z_][\w.]{0,99}:[A-Za-z_][\w.]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}")  # Valid version of an installed distribution: 1.2.0rc1
# Length in characters above which an error gives only the nearest name, instead of the list of names
MAX_LIST_CHARS = 80


@dataclass(frozen=True)
class Entry:
    """An entry of a registry: the import path of a component, ``package.module:Name``, and a one-line summary."""

    path: str
    summary: str

    def load(self) -> Any:  # noqa: ANN401  (whatever the path names)
        """Import and return the object at the path. Raises PluginError for a module outside vidtrans that fails."""
        module, _, name = self.path.partition(":")
        if module.partition(".")[0] != __name__.partition(".")[0]:
            return import_part(self.path)
        return getattr(importlib.import_module(module), name)


E = TypeVar("E", bound=Entry)  # Class of a registry's entries


class Registry(Mapping[str, E], Generic[E]):
    """A read-only mapping of names to entries; the error for an unknown name lists the valid names.

    ``kind``: the noun for an entry in errors. ``group``: the kind of plug-ins that add entries, of ``GROUPS``; '' for
    none. A built-in entry outranks a plug-in with the same name. Getting the entry of a plug-in imports it and may
    raise PluginError; listing its name does not.
    """

    def __init__(self, kind: str, entries: Mapping[str, E], group: str = "") -> None:
        self.kind, self.group = kind, group
        self._entries = dict(entries)

    @property
    def builtin(self) -> Mapping[str, E]:
        """The built-in entries, without a search for plug-ins."""
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
        """Import and return the object of an entry. Raises UsageError if the name is unknown."""
        return self[name].load()

    def working_entries(self) -> Iterator[tuple[str, E]]:
        """Yield names and entries: first the built-in entries, then the plug-ins that can be imported."""
        yield from self._entries.items()
        for name in self._plugins():
            try:
                entry = self._entry(name)
            except PluginError:  # 'vidtrans plugins', and any use of the name, report the error.
                continue
            yield name, entry

    def loaded(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and imported objects of ``working_entries``; skip plug-ins that cannot be imported."""
        for name, entry in self.working_entries():
            try:
                part = entry.load()
            except PluginError:
                continue
            yield name, part

    @property
    def packages(self) -> dict[str, Package]:
        """The packages of plug-ins, by the names that they add."""
        return {name: found[0].package for name, found in self._plugins().items()}

    def origin(self, name: str) -> dict[str, Any]:
        """Return ``{"plugin": …}`` with package and version, for records and cache keys; {} for a built-in entry."""
        package = None if name in self._entries else self.packages.get(name)
        return {"plugin": package.to_table()} if package else {}

    def require(self, record: Mapping[str, Any], file: Path, error: type[VidtransError]) -> None:
        """Raise ``error`` if a recorded component needs a plug-in that is not installed. ``file``: the record's file.

        ``record``: the component's ``name``, and ``plugin`` if it belongs to one (see ``origin``). Raises ValueError if
        the entry ``plugin`` is invalid.
        """
        if "plugin" in record and record["name"] not in self:
            package = Package.of_table(record["plugin"])
            why = f"its {self.kind} '{record['name']}' is of the plug-in {package}, which is not installed here"
            raise error(str(file), why, package.how_to_install())

    def _plugins(self) -> dict[str, list[Plugin]]:
        """Return the plug-ins of this registry's group by name, without names of built-in entries."""
        found = plugins_of(self.group) if self.group else {}
        return {name: found[name] for name in found if name not in self._entries}

    def _entry(self, name: str) -> E:
        """Return the entry of the plug-in ``name``. Raises PluginError if it cannot be used.

        Also raises PluginError if several packages add an entry with this name.
        """
        plugin, *others = self._plugins()[name]
        if others:
            packages = " and ".join(str(one.package) for one in (plugin, *others))
            raise PluginError(f"{self.kind} '{name}'", f"{packages} both offer it", "uninstall one of them")
        entry: E = plugin.load()
        entry_class = type(next(iter(self._entries.values())))
        if not isinstance(entry, entry_class):
            why = f"'{plugin.path}' must be a {entry_class.__name__}, as for any {self.kind}"
            raise broken_plugin(plugin.package, why)
        return entry


def unknown_name(
    kind: str, name: object, choices: Iterable[str], packages: Mapping[str, Package] | None = None
) -> UsageError:
    """Return the error for a name that is not in ``choices``, with the nearest name if it looks like a typo.

    If there is a nearest name, a long list of all names is left out. ``packages``: the packages of plug-ins, by the
    names that they add; by default those of ``choices``, if it is a registry.
    """
    names = sorted(choices)
    near = nearest_name(str(name), names)
    hint = f"did you mean '{near}'?" if near else ""
    found = choices.packages if packages is None and isinstance(choices, Registry) else packages or {}
    words = f"choose from: {', '.join(with_package(one, found) for one in names) or 'none'}"
    remedy = hint if hint and len(words) > MAX_LIST_CHARS else f"{hint} {words}".strip()
    return UsageError(f"unknown {kind} '{name}'", "", remedy)


def with_package(name: str, packages: Mapping[str, Package]) -> str:
    """Return a component's name as text; of a plug-in's component, followed by its package."""
    return f"{name} (of {packages[name]})" if name in packages else name


def nearest_name(name: str, choices: Iterable[str]) -> str:
    """Return the choice that is most similar to a mistyped name, ignoring case; '' if none is similar."""
    plain = {name_key(choice).casefold(): choice for choice in choices}
    near = get_close_matches(name_key(name).casefold(), plain, n=1)
    return plain[near[0]] if near else ""


def nearest_file(path: Path) -> Path | None:
    """Return the file in the folder of a missing file whose name is most similar; None if none is similar."""
    try:
        near = nearest_name(path.name, (name for name in os.listdir(path.parent) if name != path.name))
    except (OSError, ValueError):
        near = ""
    return path.parent / near if near else None


def missing_file_remedy(path: Path) -> str:
    """Return the remedy for a missing file: the most similar name in its folder, or the advice to check the name."""
    near = nearest_file(path)
    return f"did you mean '{near}'?" if near else "check the name"


class Package(NamedTuple):
    """The package of a plug-in: name and version of a distribution, or a ``module:object`` and a digest of its file."""

    name: str
    version: str

    @classmethod
    def of_table(cls, table: object) -> Package:
        """Parse the package in a record, which may come from an untrusted file. Raises ValueError."""
        name, version = (table.get(key) for key in ("package", "version")) if isinstance(table, dict) else ("", "")
        if not isinstance(name, str) or not (_PACKAGE.fullmatch(name) or _OBJECT.fullmatch(name)):
            raise ValueError("the package of its plug-in has no valid name")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ValueError("the package of its plug-in has no valid version")
        return cls(name, version)

    def __str__(self) -> str:
        return f"{VARIABLE}={self.name}" if ":" in self.name else f"{self.name} {self.version}"

    def to_table(self) -> dict[str, str]:
        """Return the package's name and version as a table for records and cache keys."""
        return {"package": self.name, "version": self.version}

    def how_to_install(self) -> str:
        """Return the remedy, for messages, on a machine without the package."""
        return f"set {self}" if ":" in self.name else f"if you trust it: pip install {self.name}"


@dataclass(frozen=True)
class Plugin:
    """A component of another package. ``group``: its kind, of ``GROUPS``. ``path``: the ``module:object`` of its entry.

    ``error``: the reason why it cannot be used, if it is known without an import; '' otherwise.
    """

    group: str
    name: str
    package: Package
    path: str
    entry: Any = field(default=None, compare=False)  # The entry itself, if VIDTRANS_PLUGINS gave it
    error: str = ""

    def load(self) -> Any:  # noqa: ANN401  (an entry of the registry, which the registry checks)
        """Return the entry. Raises PluginError if the plug-in cannot be imported."""
        if self.error:
            raise broken_plugin(self.package, self.error)
        return self.entry if self.entry is not None else _import(self.path, self.package)


def broken_plugin(package: Package, why: str) -> PluginError:
    """Return the error for a plug-in that cannot be used, with the reason and a remedy."""
    remedy = "correct it" if ":" in package.name else f"update or remove it: pip uninstall {package.name}"
    return PluginError(f"plug-in {package}", why, remedy)


@cache
def _import_object(path: str) -> tuple[Any, str]:
    """Import the object at a ``module:object``; return it and '', or None and the reason for the failure."""
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except VidtransError as error:
        return None, str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Code of another package may raise anything.
        return None, f"{type(error).__name__}: {first_line(error)}"
    return found, ""


def _import(path: str, package: Package) -> Any:  # noqa: ANN401  (whatever the path names)
    """Import the object at a ``module:object``. Raises PluginError that names the package."""
    found, error = _import_object(path)
    if error:
        raise broken_plugin(package, error)
    return found


def import_part(path: str) -> Any:  # noqa: ANN401  (whatever the path names)
    """Import the object at the path of a plug-in's entry. Raises PluginError if its module cannot be imported."""
    root = path.partition(":")[0].partition(".")[0]
    same_root = (one.package for one in installed_plugins() if one.path.partition(":")[0].partition(".")[0] == root)
    return _import(path, next(same_root, Package(path, "")))


def plugins_of(group: str) -> dict[str, list[Plugin]]:
    """Return the plug-ins of a group, by name; there are several if packages use the same name."""
    by_name: dict[str, list[Plugin]] = {}
    for plugin in installed_plugins():
        if plugin.group == group and plugin.name:
            by_name.setdefault(plugin.name, []).append(plugin)
    return by_name


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """Return all plug-ins: first those in VIDTRANS_PLUGINS, then those of installed packages."""
    return (*_plugins_of_variable(), *_plugins_of_packages())


def _plugins_of_packages() -> Iterator[Plugin]:
    """Yield the plug-ins that installed packages declare by entry points."""
    seen = set()
    for folder in _folders_with_entry_points():
        from importlib.metadata import Distribution  # Its import is slow, and rarely needed.

        distribution = Distribution.at(folder)
        name = distribution.metadata["Name"] or folder.name.partition("-")[0]
        if (normal := re.sub(r"[-_.]+", "-", name).lower()) in seen:
            continue  # Python imports the first distribution on the path.
        seen.add(normal)
        package = Package(name, distribution.metadata["Version"] or "0")
        try:
            points = [*distribution.entry_points]
        except (TypeError, ValueError) as error:  # A line has no '=', or the bytes are not text.
            why = f"its entry_points.txt cannot be read ({first_line(error)})"
            yield Plugin("", "", package, str(folder), error=why)
            continue
        for point in points:
            if point.group.startswith(_PREFIX):
                group = point.group.removeprefix(_PREFIX)
                unknown = "" if group in GROUPS else f"the group '{point.group}' is none of {', '.join(GROUPS)}"
                yield Plugin(group, point.name, package, point.value.partition("[")[0].strip(), error=unknown)


def _folders_with_entry_points() -> Iterator[Path]:
    """Yield the metadata folders of installed packages that have entry points in a group of vidtrans.

    importlib.metadata would read the metadata of all packages, a tenth of the time of ``vidtrans --help``.
    """
    for parent in dict.fromkeys(sys.path):
        try:
            names = sorted(name for name in os.listdir(parent or ".") if name.endswith(_RECORDS))
        except OSError:  # An item of the path may be missing, or an archive.
            continue
        for name in names:
            folder = Path(parent or ".", name)
            try:
                text = (folder / "entry_points.txt").read_bytes()
            except OSError:  # Most packages have no entry points.
                continue
            if f"[{_PREFIX}".encode() in text.replace(b" ", b""):
                yield folder


def _plugins_of_variable() -> Iterator[Plugin]:
    """Yield the plug-ins in the environment variable VIDTRANS_PLUGINS."""
    for path in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        tables, error = _import_object(path) if _OBJECT.fullmatch(path) else (None, "it must be module:object")
        package = Package(path if ":" in path else f"{path}:object", _digest(path))
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            form = "the object must map kinds to tables of entries, as {'pairings': {'negative': Entry(…)}}"
            yield Plugin("", "", package, path, error=error or form)
            continue
        for group, table in tables.items():
            unknown = "" if group in GROUPS else f"the kind '{group}' is none of {', '.join(GROUPS)}"
            yield from (Plugin(group, name, package, path, entry, unknown) for name, entry in table.items())


def _digest(path: str) -> str:
    """Return the first digits of the SHA-256 of an imported module's file; '0' if it has no file."""
    import hashlib

    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:_DIGITS] if file else "0"


def forget_plugins() -> None:
    """Clear the cached search for plug-ins, for example after an installation."""
    installed_plugins.cache_clear()
    _import_object.cache_clear()
