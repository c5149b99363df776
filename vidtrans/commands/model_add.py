"""``vidtrans model add``: take the model of a pack, for use by its name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import MODEL_SUFFIX, check_suffix, output
from vidtrans.core.parameters import Argument
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.packs import OpenedPack

ABOUT_SUFFIX = ".about"  # of the folder beside a model that was taken from a pack


@dataclass(frozen=True)
class ModelAdd(Command):
    """Take the model of FILE, which 'vidtrans model pack' made, so that --model finds it by its name everywhere.

    Its hash is checked. Its card, its licence and its thumbnail are kept in a folder beside it.
    """

    CONTEXT: ClassVar = ("overwrite", "dry_run")

    pack: Annotated[Path, Argument("FILE")]
    output: Annotated[Path | None, output("The model.", "in the user's folder of models, under the pack's name")] = None

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)

    def make(self, context: Context) -> Table:
        """Write the model, and what comes with it. Raises UsageError, ModelError."""
        from vidtrans.core.errors import UsageError
        from vidtrans.core.files import link_target, write_atomically
        from vidtrans.models.model_file import read_record, user_models
        from vidtrans.models.packs import extract_model, has_model, open_pack
        from vidtrans.output.result import check_named, check_place, refuse_link

        began = time.monotonic()
        pack = open_pack(self.pack)
        output = self.output or refuse_link(user_models() / f"{pack.facts.name}{MODEL_SUFFIX}")
        beside = refuse_link(output.with_suffix(ABOUT_SUFFIX))
        check_named(output)
        check_place(output, [self.pack])
        check_place(beside, [self.pack], folder=True)
        _check_about(beside)
        is_there = has_model(output, pack)
        if not context.overwrite and output.exists() and not is_there:
            raise UsageError(str(output), "another model has this name", "use --overwrite, or another name with -o")
        table = {"frames": 0, "output": str(output), "name": output.stem, "about": str(beside)} | card_table(pack)
        if context.dry_run:
            return table | {"seconds": round(time.monotonic() - began, 3), "cached": is_there, "dry_run": True}
        if not is_there:
            with write_atomically(link_target(output)) as temporary:
                extract_model(pack, temporary)
                read_record(temporary)  # raises for what is no model
        with write_atomically(beside) as folder:
            _write_about(folder, pack)
        return table | {"seconds": round(time.monotonic() - began, 3), "cached": is_there}

    def describe(self, table: Table) -> str:
        """Return the licence, and the command that renders with the model."""
        from vidtrans.core.system import command_line
        from vidtrans.models.model_file import model_folders

        if table.get("dry_run"):
            return f"would write {table['output']}"
        is_found = Path(table["output"]).parent in model_folders()
        line = f"vidtrans stylize VIDEO --model {command_line([table['name' if is_found else 'output']])}"
        licence = table["licence"] or "none is named: ask its author before you use it"
        return f"{table['output']}\nlicence: {licence}\nto use it: {line}"


def card_table(pack: OpenedPack) -> Table:
    """Return what a report says of a pack."""
    facts = pack.facts
    return {
        "author": facts.author,
        "licence": facts.licence,
        "notes": facts.notes,
        "command": facts.command,
        "sha256": facts.sha256,
        "bytes": facts.size,
    }


def _check_about(folder: Path) -> None:
    """Raise UsageError if a folder that will be replaced has files of somebody else."""
    from vidtrans.core.errors import UsageError
    from vidtrans.models.packs import ABOUT, LICENCE, THUMBNAIL

    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if foreign := [name for name in names if name not in (ABOUT, LICENCE, THUMBNAIL)]:
        why = f"it is the place for the model's card, and holds '{foreign[0]}'"
        raise UsageError(str(folder), why, "move that, or choose another name with -o")


def _write_about(folder: Path, pack: OpenedPack) -> None:
    """Write the texts and the thumbnail of a pack into a folder."""
    from vidtrans.models.packs import ABOUT, LICENCE, THUMBNAIL, checked_thumbnail

    folder.mkdir()
    thumbnail = checked_thumbnail(pack.thumbnail)
    files = {ABOUT: pack.about.encode(), LICENCE: pack.licence_text.encode(), THUMBNAIL: thumbnail}
    for name, content in files.items():
        if content:
            (folder / name).write_bytes(content)
