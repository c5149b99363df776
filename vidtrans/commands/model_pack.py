"""``vidtrans model pack``: one file to share, with the model and what people need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import output
from vidtrans.commands.words import timing
from vidtrans.core.errors import MediaError, ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.parameters import Argument, FileName, Group, Option
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.models.model_record import ModelRecord
    from vidtrans.models.packs import PackFacts

VERSION = 1
PICTURE = "assets/frames/landscape.jpg"  # painted for a thumbnail


@dataclass(frozen=True)
class ModelPack(Command):
    """Pack MODEL into one file to share: with its card, its licence, a thumbnail, and the command that made it.

    'vidtrans model add' takes it. Names of folders are left out of the command.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    model: Annotated[str, Argument(values=FileName("model"))]
    output: Annotated[Path | None, output("The pack, a .vidtrans.zip file.", "MODEL.vidtrans.zip")] = None
    _: KW_ONLY
    author: Annotated[str, Option("Who made it.", Group.OUTPUT, metavar="NAME", default="as on its card")] = ""
    licence: Annotated[
        str, Option("How it may be used, such as CC-BY-4.0.", Group.OUTPUT, metavar="NAME", default="as on its card")
    ] = ""
    notes: Annotated[
        str, Option("What it is good for, in a line.", Group.OUTPUT, metavar="TEXT", default="as on its card")
    ] = ""
    licence_file: Annotated[Path | None, Option("The text of the licence.", Group.OUTPUT, metavar="FILE")] = None
    about: Annotated[Path | None, Option("A longer text about it, as Markdown.", Group.OUTPUT, metavar="FILE")] = None
    thumbnail: Annotated[
        Path | None,
        Option(
            "A picture of its results.",
            Group.OUTPUT,
            metavar="PICTURE",
            default="the last preview of its training, or a picture that ships, painted",
        ),
    ] = None

    def __post_init__(self) -> None:
        from vidtrans.models.formats import PACK_SUFFIX

        if self.output is not None and not self.output.name.endswith(PACK_SUFFIX):
            stem = self.output.name.removesuffix(".zip").removesuffix(".safetensors")
            remedy = f"use -o {self.output.with_name(stem + PACK_SUFFIX)}"
            raise UsageError(str(self.output), f"a pack is a {PACK_SUFFIX} file", remedy)

    def make(self, context: Context) -> Table:
        """Write the pack. Raises UsageError, ModelError, MediaError."""
        from vidtrans.models.formats import NATIVE, PACK_SUFFIX, format_of
        from vidtrans.models.model_file import find_model, read_record
        from vidtrans.models.packs import is_model_name
        from vidtrans.output.result import produce, refuse_link

        path = find_model(self.model)
        if path is None:
            raise ModelError(f"model '{self.model}'", "it is built in", "name a model file")
        if (kind := format_of(path)) != NATIVE:
            remedy = f"import it first: vidtrans model import {path}"
            raise ModelError(str(path), f"its format is '{kind}', and a pack holds a model of vidtrans", remedy)
        output = self.output or refuse_link(Path(f"{path.stem}{PACK_SUFFIX}"))
        name = output.name.removesuffix(PACK_SUFFIX)
        if not is_model_name(name):
            raise UsageError(
                str(output), f"'{name}' cannot name a model on every system", "choose another name with -o"
            )
        facts = self._facts(name, path, read_record(path), context)
        texts = {"about": _read(self.about), "licence": _read(self.licence_file)}
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
            return lambda temporary: self._write(temporary, path, facts, texts, picture, context)

        sources = [one for one in (path, self.about, self.licence_file, self.thumbnail) if one is not None]
        table = produce(context, output, key, sources, prepare, lineage="model pack")
        if not facts.licence and not table["cached"]:
            context.note("it has no licence, without which others may not use it: add --licence NAME", "warning")
        return table

    def describe(self, table: Table) -> str:
        """Return the pack's size, and the command that takes it."""
        if table.get("dry_run"):
            return f"would write {table['output']}"
        size = f"{table['bytes'] / 1e6:.1f} MB"
        return f"{table['output']}: {size}{timing(table)}\nto use it: vidtrans model add {table['output']}"

    def _facts(self, name: str, path: Path, record: ModelRecord, context: Context) -> PackFacts:
        from vidtrans.core.system import command_line
        from vidtrans.models.packs import PackFacts, card_of, without_folders
        from vidtrans.output.result import recorded

        card = card_of(record.card, {"author": self.author, "licence": self.licence, "notes": self.notes})
        line = (recorded(context.cache, path) or {}).get("line", ())
        return PackFacts(
            name,
            digest_file(path),
            path.stat().st_size,
            card.author,
            card.licence,
            card.notes,
            command_line(["vidtrans", *without_folders(line)]) if line else "",
            str(record.generator["name"]),
            str(record.pairing["name"]),
            record.size,
        )

    def _write(
        self, target: Path, model: Path, facts: PackFacts, texts: dict[str, str], picture: Path | None, context: Context
    ) -> Table:
        """Write the pack to a path, and return the report."""
        from vidtrans.models.packs import ABOUT, LICENCE, THUMBNAIL, about_text, thumbnail_of, write_pack
        from vidtrans.video.images.picture import read_picture

        painted = read_picture(picture) if picture else _painted(model, context)
        if painted is None:
            context.note("it has no thumbnail, as its model paints no picture alone: give --thumbnail PICTURE")
        thumbnail = thumbnail_of(painted) if painted is not None else b""
        contents = {ABOUT: about_text(facts, texts["about"]).encode()}
        contents |= {LICENCE: texts["licence"].encode()} if texts["licence"] else {}
        contents |= {THUMBNAIL: thumbnail} if thumbnail else {}
        write_pack(target, model, facts, contents)
        return {"frames": 0, "bytes": target.stat().st_size, "thumbnail": bool(thumbnail), **asdict(facts)}


def _read(path: Path | None) -> str:
    """Return the text of a file; '' without one. Raises MediaError."""
    from vidtrans.core.text_files import read_text

    return "" if path is None else read_text(path, MediaError)


def _painted(model: Path, context: Context) -> np.ndarray | None:
    """Return a picture that ships, painted by a model, (H, W, 3) uint8 RGB; None if it needs more than a frame."""
    from vidtrans.core.files import PACKAGE
    from vidtrans.library.frame_model import load_model
    from vidtrans.video.images.picture import read_picture

    try:
        painted: np.ndarray = load_model(model, device="cpu", cache_dir=context.cache_dir)(
            read_picture(PACKAGE / PICTURE)
        )
    except (ModelError, UsageError):
        return None
    return painted


def _last_preview(model: Path) -> Path | None:
    """Return the last preview that the training of a model wrote beside it; None without one."""
    return max(model.with_suffix(".train").glob("film/[0-9]*.png"), default=None)
