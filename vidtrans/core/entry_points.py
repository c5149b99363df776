"""Parts from other packages, found by entry points: what is installed, from which package, and whether it loads.

A package offers a part by an entry point in the group ``vidtrans.KIND`` (``GROUPS``), whose value names an entry of the
registry: the line that would stand in the registry's table. ``VIDTRANS_PLUGINS=module:object`` adds parts that are not
installed, while one develops them: the object maps kinds to tables of entries.

The installed packages are searched once in a process, and only when a name is unknown or names are listed. A plug-in is
imported when its part is used.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from vidtrans.core.errors import PluginError, VidtransError, first_line

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
            raise broken(self.package, self.error)
        return self.entry if self.entry is not None else _import(self.path, self.package)


def broken(package: Package, why: str) -> PluginError:
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
        raise broken(package, error)
    return found


def import_part(path: str) -> Any:  # noqa: ANN401  (whatever the path names)
    """Import the part of a plug-in's entry. Raises PluginError if its module cannot be imported."""
    root = path.partition(":")[0].partition(".")[0]
    packages = (plugin.package for plugin in installed() if plugin.path.partition(":")[0].partition(".")[0] == root)
    return _import(path, next(packages, Package(path, "")))


def found(group: str) -> dict[str, list[Plugin]]:
    """Return the plug-ins of a group by name, usually one for each name."""
    by_name: dict[str, list[Plugin]] = {}
    for plugin in installed():
        if plugin.group == group and plugin.name:
            by_name.setdefault(plugin.name, []).append(plugin)
    return by_name


@cache
def installed() -> tuple[Plugin, ...]:
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


def forget() -> None:
    """Search again at the next use, as after an installation."""
    installed.cache_clear()
    _outcome.cache_clear()
