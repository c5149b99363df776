"""``vidtrans model pack|add|page``: pack a model into one file to share, install a pack, write a page of packs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import MODEL_SUFFIX, check_suffix, output_option
from vidtrans.commands.text_reports import timing
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.models.model_record import ModelRecord
    from vidtrans.models.packs import OpenedPack, PackFacts

VERSION = 1  # Version of the packing code, part of the cache key of packs
# Path in the package of the bundled picture that a model paints for its thumbnail
THUMBNAIL_SOURCE = "assets/frames/landscape.jpg"
# Suffix of the folder with the card, licence and thumbnail of an installed model, in the model's folder
ABOUT_SUFFIX = ".about"
PAGE_NAME = "models.html"  # Default file name of the page of packs


@dataclass(frozen=True)
class ModelPack(Command):
    """Pack MODEL into one file to share: with its card, its licence, a thumbnail, and the command that made it.

    'vidtrans model add' takes it. Names of folders are left out of the command.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    model: str = argument(file="model")
    output: Path | None = output_option("The pack, a .vidtrans.zip file.", "MODEL.vidtrans.zip")
    _: KW_ONLY
    author: str = option("", "Who made it.", Group.OUTPUT, metavar="NAME", default_text="as on its card")
    licence: str = option(
        "", "How it may be used, such as CC-BY-4.0.", Group.OUTPUT, metavar="NAME", default_text="as on its card"
    )
    notes: str = option(
        "", "What it is good for, in a line.", Group.OUTPUT, metavar="TEXT", default_text="as on its card"
    )
    licence_file: Path | None = option(None, "The text of the licence.", Group.OUTPUT, metavar="FILE")
    about: Path | None = option(None, "A longer text about it, as Markdown.", Group.OUTPUT, metavar="FILE")
    thumbnail: Path | None = option(
        None,
        "A picture of its results.",
        Group.OUTPUT,
        metavar="PICTURE",
        default_text="the last preview of its training, or a picture that ships, painted",
    )

    def __post_init__(self) -> None:
        from vidtrans.models.formats import PACK_SUFFIX

        if self.output is not None and not self.output.name.endswith(PACK_SUFFIX):
            stem = self.output.name.removesuffix(".zip").removesuffix(".safetensors")
            remedy = f"use -o {self.output.with_name(stem + PACK_SUFFIX)}"
            raise UsageError(str(self.output), f"a pack is a {PACK_SUFFIX} file", remedy)

    def make(self, context: Context) -> Table:
        """Write the pack of a model. Raises UsageError, ModelError, MediaError."""
        from vidtrans.models.formats import NATIVE, PACK_SUFFIX, detect_format
        from vidtrans.models.model_file import find_model, read_record
        from vidtrans.models.packs import is_model_name
        from vidtrans.output.result import produce, refuse_link

        path = find_model(self.model)
        if path is None:
            raise ModelError(f"model '{self.model}'", "it is built in", "name a model file")
        if (kind := detect_format(path)) != NATIVE:
            remedy = f"import it first: vidtrans model import {path}"
            raise ModelError(str(path), f"its format is '{kind}', and a pack holds a model of vidtrans", remedy)
        output = self.output or refuse_link(Path(f"{path.stem}{PACK_SUFFIX}"))
        name = output.name.removesuffix(PACK_SUFFIX)
        if not is_model_name(name):
            raise UsageError(
                str(output), f"'{name}' cannot name a model on every system", "choose another name with -o"
            )
        facts = self._facts(name, path, read_record(path), context)
        texts = {"about": _read_text(self.about), "licence": _read_text(self.licence_file)}
        if self.thumbnail is not None and not self.thumbnail.is_file():
            raise MediaError(str(self.thumbnail), "no such file", "give a picture")
        picture = self.thumbnail or _last_preview(path)
        key = {
            "command": "model pack",
            "version": VERSION,
            "facts": asdict(facts),
            "texts": texts,
            "picture": digest_file(picture) if picture else "",
        }

        def prepare() -> Callable[[Path], Table]:
            """Return a function that writes the pack to a path."""
            return lambda temporary: self._write(temporary, path, facts, texts, picture, context)

        sources = [one for one in (path, self.about, self.licence_file, self.thumbnail) if one is not None]
        table = produce(context, output, key, sources, prepare, lineage="model pack")
        if not facts.licence and not table["cached"]:
            context.note("it has no licence, without which others may not use it: add --licence NAME", "warning")
        return table

    def describe(self, table: Table) -> str:
        """Return the size of the pack and the command that installs it, as text. ``table``: the result of ``make``."""
        if table.get("dry_run"):
            return f"would write {table['output']}"
        size = f"{table['bytes'] / 1e6:.1f} MB"
        return f"{table['output']}: {size}{timing(table)}\nto use it: vidtrans model add {table['output']}"

    def _facts(self, name: str, path: Path, record: ModelRecord, context: Context) -> PackFacts:
        """Return the facts of a pack: name, hash, size, card, command, network, pairing and training size."""
        from vidtrans.core.system import command_line
        from vidtrans.models.packs import PackFacts, make_card, strip_folders
        from vidtrans.output.result import recorded

        card = make_card(record.card, {"author": self.author, "licence": self.licence, "notes": self.notes})
        line = (recorded(context.cache, path) or {}).get("line", ())
        return PackFacts(
            name,
            digest_file(path),
            path.stat().st_size,
            card.author,
            card.licence,
            card.notes,
            command_line(["vidtrans", *strip_folders(line)]) if line else "",
            str(record.generator["name"]),
            str(record.pairing["name"]),
            record.size,
        )

    def _write(
        self, target: Path, model: Path, facts: PackFacts, texts: dict[str, str], picture: Path | None, context: Context
    ) -> Table:
        """Write a pack to ``target``: the model, its facts, texts and thumbnail. Return the facts."""
        from vidtrans.models.packs import LICENCE, README, THUMBNAIL, about_text, encode_thumbnail, write_pack
        from vidtrans.video.images.picture import read_picture

        painted = read_picture(picture) if picture else _paint_thumbnail(model, context)
        if painted is None:
            context.note("it has no thumbnail, as its model paints no picture alone: give --thumbnail PICTURE")
        thumbnail = encode_thumbnail(painted) if painted is not None else b""
        contents = {README: about_text(facts, texts["about"]).encode()}
        contents |= {LICENCE: texts["licence"].encode()} if texts["licence"] else {}
        contents |= {THUMBNAIL: thumbnail} if thumbnail else {}
        write_pack(target, model, facts, contents)
        return {"frames": 0, "bytes": target.stat().st_size, "thumbnail": bool(thumbnail), **asdict(facts)}


def _read_text(path: Path | None) -> str:
    """Return the text of a file; '' for None. Raises MediaError."""
    from vidtrans.core.text_files import read_text

    return "" if path is None else read_text(path, MediaError)


def _paint_thumbnail(model: Path, context: Context) -> np.ndarray | None:
    """Return a bundled picture painted by a model, (H, W, 3) uint8 RGB; None if the model needs more than a frame."""
    from vidtrans.core.files import PACKAGE
    from vidtrans.library.frame_model import load_model
    from vidtrans.video.images.picture import read_picture

    try:
        painted: np.ndarray = load_model(model, device="cpu", cache_dir=context.cache_dir)(
            read_picture(PACKAGE / THUMBNAIL_SOURCE)
        )
    except (ModelError, UsageError):
        return None
    return painted


def _last_preview(model: Path) -> Path | None:
    """Return the path of the last preview picture that a model's training wrote; None if there is none."""
    return max(model.with_suffix(".train").glob("film/[0-9]*.png"), default=None)


@dataclass(frozen=True)
class ModelAdd(Command):
    """Take the model of FILE, which 'vidtrans model pack' made, so that --model finds it by its name everywhere.

    Its hash is checked. Its card, its licence and its thumbnail are kept in a folder beside it.
    """

    CONTEXT: ClassVar = ("overwrite", "dry_run")

    pack: Path = argument("FILE")
    output: Path | None = output_option("The model.", "in the user's folder of models, under the pack's name")

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)

    def make(self, context: Context) -> Table:
        """Extract the model of a pack, its card, its licence and its thumbnail. Raises UsageError, ModelError."""
        from vidtrans.core.errors import UsageError
        from vidtrans.core.files import link_target, write_atomically
        from vidtrans.models.model_file import read_record, user_model_folder
        from vidtrans.models.packs import extract_model, has_model, open_pack
        from vidtrans.output.result import check_named, check_place, refuse_link

        began = time.monotonic()
        pack = open_pack(self.pack)
        output = self.output or refuse_link(user_model_folder() / f"{pack.facts.name}{MODEL_SUFFIX}")
        beside = refuse_link(output.with_suffix(ABOUT_SUFFIX))
        check_named(output)
        check_place(output, [self.pack])
        check_place(beside, [self.pack], folder=True)
        _check_about(beside)
        is_installed = has_model(output, pack)
        if not context.overwrite and output.exists() and not is_installed:
            raise UsageError(str(output), "another model has this name", "use --overwrite, or another name with -o")
        table = {"frames": 0, "output": str(output), "name": output.stem, "about": str(beside)} | card_table(pack)
        if context.dry_run:
            return table | {"seconds": round(time.monotonic() - began, 3), "cached": is_installed, "dry_run": True}
        if not is_installed:
            with write_atomically(link_target(output)) as temporary:
                extract_model(pack, temporary)
                read_record(temporary)  # Raises ModelError if the file is not a model.
        with write_atomically(beside) as folder:
            _write_about(folder, pack)
        return table | {"seconds": round(time.monotonic() - began, 3), "cached": is_installed}

    def describe(self, table: Table) -> str:
        """Return the installed model's path, licence and the command that uses it, as text.

        ``table``: the result of ``make``.
        """
        from vidtrans.core.system import command_line
        from vidtrans.models.model_file import model_folders

        if table.get("dry_run"):
            return f"would write {table['output']}"
        is_found = Path(table["output"]).parent in model_folders()
        line = f"vidtrans stylize VIDEO --model {command_line([table['name' if is_found else 'output']])}"
        licence = table["licence"] or "none is named: ask its author before you use it"
        return f"{table['output']}\nlicence: {licence}\nto use it: {line}"


def card_table(pack: OpenedPack) -> Table:
    """Return the facts of a pack for the report of 'vidtrans model add': author, licence, command, hash, size."""
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
    """Raise UsageError if the folder for a pack's card has files that 'vidtrans model add' does not write."""
    from vidtrans.core.errors import UsageError
    from vidtrans.models.packs import LICENCE, README, THUMBNAIL

    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if foreign := [name for name in names if name not in (README, LICENCE, THUMBNAIL)]:
        why = f"it is the place for the model's card, and holds '{foreign[0]}'"
        raise UsageError(str(folder), why, "move that, or choose another name with -o")


def _write_about(folder: Path, pack: OpenedPack) -> None:
    """Write the card, the licence and the thumbnail of a pack into a new folder."""
    from vidtrans.models.packs import LICENCE, README, THUMBNAIL, reencode_thumbnail

    folder.mkdir()
    thumbnail = reencode_thumbnail(pack.thumbnail)
    files = {README: pack.about.encode(), LICENCE: pack.licence_text.encode(), THUMBNAIL: thumbnail}
    for name, content in files.items():
        if content:
            (folder / name).write_bytes(content)


@dataclass(frozen=True)
class ModelPage(Command):
    """Write a page that shows the packs in FOLDER: pictures, cards, licences, and how to use them.

    It links to the packs beside it, so that folder and page may be put on any web server.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    folder: Path = argument(default=Path())
    output: Path | None = output_option("The page, in FOLDER.", f"FOLDER/{PAGE_NAME}")

    def __post_init__(self) -> None:
        check_suffix(self.output, "the page", ".html")

    def make(self, context: Context) -> Table:
        """Write a page of the packs in a folder; warn about damaged packs. Raises MediaError, UsageError."""
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
        output = self.output or refuse_link(self.folder / PAGE_NAME)
        title = f"Models in {self.folder.resolve().name}"

        def make(path: Path) -> Table:
            """Write the page of packs to a path."""
            write_bytes(path, render_page(packs, title).encode("utf-8", "replace"))
            return {"frames": 0, "packs": [pack.path.name for pack in packs]}

        key = {"command": "model page", "title": title, "packs": [[p.path.name, digest_file(p.path)] for p in packs]}
        return produce(context, output, key, [p.path for p in packs], lambda: make, lineage="model page")

    def describe(self, table: Table) -> str:
        """Return the page's path and the number of models on it, as text. ``table``: the result of ``make``."""
        if table.get("dry_run"):
            return f"would write {table['output']}"
        return f"{table['output']}: {count(len(table['packs']), 'model')}"

    def _packs(self, context: Context) -> list[OpenedPack]:
        """Return the readable packs in the folder, by file name; warn about damaged ones."""
        from vidtrans.models.formats import PACK_SUFFIX
        from vidtrans.models.packs import open_pack

        packs: list[OpenedPack] = []
        for path in sorted(self.folder.glob(f"*{PACK_SUFFIX}")):
            try:
                packs.append(open_pack(path))
            except ModelError as error:
                context.note(str(error), "warning")
        return packs
