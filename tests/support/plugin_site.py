"""Packages with plug-ins, installed into a folder on the path, without pip."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from extending import Page

from vidtrans.core.registry import forget_plugins

# The names of the classes of entries, which the lines of tables in docs/extend use.
ENTRIES = """
from vidtrans.core.registry import Entry
from vidtrans.core.options import option
from vidtrans.flow import FlowEntry
from vidtrans.temporal import FilterEntry
from vidtrans.training import Label, Loss, Method, own_settings
"""


class PackageSite:
    """A folder on the path in which packages are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, points: dict[str, str], text: str, version: str = "1.0") -> None:
        """Install a package, instead of the version that is there.

        ``points``: 'GROUP.NAME' by the object's name in its module, whose name stands for NAME in the text.
        """
        self.remove(package)
        module = module_name(package)
        (self.folder / f"{module}.py").write_text(text.replace("NAME", module), "utf-8")
        lines = [
            f"[vidtrans.{group}]\n{name} = {module}:{value}"
            for (group, _, name), value in ((point.partition("."), value) for point, value in points.items())
        ]
        self.record(package, "\n".join(lines), version)

    def record(self, package: str, entry_points: str, version: str = "1.0") -> None:
        """Write the record of an installed package."""
        record = self.folder / f"{package.replace('-', '_')}-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (record / "entry_points.txt").write_text(entry_points)
        forget_plugins()

    def install_page(self, group: str, page: str, version: str = "1.0") -> None:
        """Install the part of a page of docs/extend as the package 'my-PAGE'."""
        [(path, code)] = Page(page).files
        added = ".".join(Path(path).with_suffix("").parts)
        call = Page(page).line[2].partition(":")[2].strip().rstrip(",").replace(added, "NAME")
        # The page's imports of what is imported anyway come first, as __future__ has to.
        self.install(
            f"my-{page}", {f"{group}.{Page(page).entry}": "ENTRY"}, f"{code}{ENTRIES}ENTRY = {call}\n", version
        )

    def remove(self, package: str) -> None:
        """Uninstall a package, if it is there."""
        for record in self.folder.glob(f"{package.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(record)
        (self.folder / f"{module_name(package)}.py").unlink(missing_ok=True)
        forget_modules()


def module_name(package: str) -> str:
    """Return the name of the module of a package."""
    return f"plug_{package.replace('-', '_')}"


def forget_modules() -> None:
    """Let a new process's state come back: no plug-in is imported, and none is known."""
    for name in [name for name in sys.modules if name.startswith("plug_")]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
    forget_plugins()
