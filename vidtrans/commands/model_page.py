"""``vidtrans model page``: a page that shows the packs in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import check_suffix, output
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, ModelError
from vidtrans.core.parameters import Argument
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.packs import OpenedPack

NAME = "models.html"


@dataclass(frozen=True)
class ModelPage(Command):
    """Write a page that shows the packs in FOLDER: pictures, cards, licences, and how to use them.

    It links to the packs beside it, so that folder and page may be put on any web server.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    folder: Annotated[Path, Argument()] = Path()
    output: Annotated[Path | None, output("The page, in FOLDER.", f"FOLDER/{NAME}")] = None

    def __post_init__(self) -> None:
        check_suffix(self.output, "the page", ".html")

    def make(self, context: Context) -> Table:
        """Write the page; packs that are damaged are left out with a warning. Raises MediaError, UsageError."""
        from vidtrans.core.files import digest_file, write_bytes
        from vidtrans.models.packs import render_page
        from vidtrans.output.result import produce, refuse_link

        if not self.folder.is_dir():
            raise MediaError(str(self.folder), "it is no folder", "give the folder of the packs")
        packs = self._packs(context)
        if not packs:
            why = "there is no pack in it"
            raise MediaError(
                str(self.folder), why, "make one with 'vidtrans model pack MODEL -o FOLDER/NAME.vidtrans.zip'"
            )
        output = self.output or refuse_link(self.folder / NAME)
        title = f"Models in {self.folder.resolve().name}"

        def make(path: Path) -> Table:
            write_bytes(path, render_page(packs, title).encode("utf-8", "replace"))
            return {"frames": 0, "packs": [pack.path.name for pack in packs]}

        key = {"command": "model page", "title": title, "packs": [[p.path.name, digest_file(p.path)] for p in packs]}
        return produce(context, output, key, [p.path for p in packs], lambda: make, lineage="model page")

    def describe(self, table: Table) -> str:
        """Return how many packs the page shows."""
        if table.get("dry_run"):
            return f"would write {table['output']}"
        return f"{table['output']}: {count(len(table['packs']), 'model')}"

    def _packs(self, context: Context) -> list[OpenedPack]:
        from vidtrans.models.formats import PACK_SUFFIX
        from vidtrans.models.packs import open_pack

        packs: list[OpenedPack] = []
        for path in sorted(self.folder.glob(f"*{PACK_SUFFIX}")):
            try:
                packs.append(open_pack(path))
            except ModelError as error:
                context.note(str(error), "warning")
        return packs
