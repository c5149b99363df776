"""The pack of a model, for sharing: a zip file with the model file, its card, licence, thumbnail and manifest.

Any zip program opens a pack. Its bytes depend only on its contents: there are no times and no folder names. A pack may
come from an untrusted source: ``open_pack`` checks names, sizes and hashes, and ``extract_model`` checks the hash of
the file that it writes. The page of a folder of packs is one self-contained HTML file from the Jinja template
``packs.html``.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from vidtrans import __version__
from vidtrans.core.costs import count
from vidtrans.core.errors import ModelError, UsageError, first_line, strip_controls
from vidtrans.core.files import canonical_json, check_regular_file, convert_disk_errors, digest_file
from vidtrans.core.settings import Table
from vidtrans.core.system import command_line
from vidtrans.core.text_files import parse_table
from vidtrans.models.formats import PACK_SUFFIX
from vidtrans.models.model_record import Card
from vidtrans.video.images.picture import resize
from vidtrans.video.report_page import Filter, load_page

FORMAT = 1  # Version of a pack's manifest
# File names of the entries of a pack
MANIFEST, README, LICENCE, THUMBNAIL = "manifest.json", "README.md", "LICENSE.txt", "thumbnail.jpg"
# Largest size in bytes of an entry of a pack, by file name
MAX_ENTRY_BYTES = {MANIFEST: 1 << 16, README: 1 << 18, LICENCE: 1 << 18, THUMBNAIL: 1 << 20}
MAX_MODEL_BYTES = 16 << 30  # Largest size of the model file in a pack, in bytes
MAX_LINE_CHARACTERS = 4096  # Largest length of a line on the card, in characters
BLOCK_BYTES = 1 << 20  # Number of bytes that are copied at once
# Accepted compression methods of a pack; other methods may need gigabytes of memory and raise other errors
COMPRESSION_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A model name that is a valid file name on every system, such as "night-2.0"
MODEL_NAME = re.compile(r"[^\W_][\w .+-]{0,79}")
# File names that Windows reserves for devices, such as "con" or "lpt1.txt"
RESERVED_NAME = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
DAMAGED_REMEDY = "get it again, or make one with 'vidtrans model pack'"  # Advice in errors about damaged packs
RATIO = re.compile(r"[\d.]+/[\d.]+")  # A ratio of two numbers, such as "30000/1001", which is no path
# The folders of a path, such as "/home/me/" in "/home/me/a.mp4"; of a relative path only folders without spaces.
FOLDER_PREFIX = re.compile(r"(?:(?:[A-Za-z]:|~)?[/\\][^=,:]*[/\\]|(?:[A-Za-z]:|~)?[^\s=,:]*[/\\]+)(?=[^\s/\\])")
THUMBNAIL_PX = 640  # Longest side of a thumbnail, in pixels
JPEG_QUALITY = 88  # JPEG quality of thumbnails, from 0 to 100


@dataclass(frozen=True)
class PackFacts:
    """The manifest of a pack: facts about the model, its file and its card."""

    name: str
    sha256: str  # SHA-256 (hex) of the model file
    size: int  # Size of the model file, in bytes
    author: str = ""
    licence: str = ""
    notes: str = ""
    command: str = ""  # Command line that made the model, without folder names; '' if unknown
    network: str = ""  # Name of the generator
    pairing: str = ""
    short_side: int = 0  # Short side of the training pictures, in pixels
    version: str = __version__  # The vidtrans version that wrote the pack

    def __post_init__(self) -> None:
        if not is_model_name(self.name):
            raise ValueError("its model has no usable name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError("it has no hash")


@dataclass(frozen=True)
class OpenedPack:
    """The contents of a pack without the model: its manifest, its texts, and its thumbnail (JPEG; b'' without one)."""

    path: Path
    facts: PackFacts
    about: str
    licence_text: str
    thumbnail: bytes


def is_model_name(name: str) -> bool:
    """Return whether a text is a valid model name: a file name on every system, without a folder."""
    return bool(MODEL_NAME.fullmatch(name)) and not RESERVED_NAME.fullmatch(name) and name == name.rstrip(" .")


def strip_folders(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with file names instead of paths, because folder names may be private."""
    return [*map(_strip_folders, words)]


def _strip_folders(word: str) -> str:
    """Return a word of a command line without the folders of its paths."""
    if RATIO.fullmatch(word):
        return word
    if not re.search(r"[=,]|: ", word):  # The word is a single path, or no path
        return re.split(r"[/\\](?=[^/\\])", word)[-1].rstrip("/\\") or word
    return FOLDER_PREFIX.sub("", word)


def write_pack(path: Path, model: Path, facts: PackFacts, texts: Mapping[str, bytes]) -> None:
    """Write a pack, the zip file ``path``, with the model file ``model``.

    ``texts``: contents of ``README``, and optionally of ``LICENCE`` and ``THUMBNAIL``. Raises UsageError if a text
    exceeds ``MAX_ENTRY_BYTES``, ModelError if the model file is too large, or changes while it is read.
    """
    contents = {MANIFEST: canonical_json({"format": FORMAT, **asdict(facts)}).encode(), **texts}
    for name, content in contents.items():
        if len(content) > MAX_ENTRY_BYTES[name]:
            raise UsageError(name, f"it has {len(content):,} bytes, of {MAX_ENTRY_BYTES[name]:,} allowed", "shorten it")
    if facts.size > MAX_MODEL_BYTES:
        raise ModelError(str(model), "it is too large for a pack", "share the file")
    digest = hashlib.sha256()
    with convert_disk_errors(path), zipfile.ZipFile(path, "w", allowZip64=True) as packed:
        for name, content in contents.items():
            packed.writestr(_zip_entry(name), content)
        entry = _zip_entry(f"{facts.name}.safetensors")
        entry.file_size = facts.size  # The size selects 32-bit or 64-bit zip fields
        with model.open("rb") as source, packed.open(entry, "w") as target:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
                target.write(block)
    if digest.hexdigest() != facts.sha256:
        raise ModelError(str(model), "it changes while it is read", "wait until it is complete")


def open_pack(path: Path) -> OpenedPack:
    """Return the contents of a pack without checking the hash of its model. Raises ModelError."""
    with _open_zip(path) as packed:
        names = packed.namelist()
        if any(entry.compress_type not in COMPRESSION_METHODS for entry in packed.infolist()):
            raise ValueError("it is compressed in a way that packs are not")
        if len(set(names)) != len(names) or MANIFEST not in names or README not in names:
            raise ValueError("its contents are not those of a pack")
        facts = _parse_facts(parse_table(_read_entry(packed, MANIFEST)))
        if extra := set(names) - {*MAX_ENTRY_BYTES, f"{facts.name}.safetensors"}:
            raise ValueError(f"it contains {sorted(extra)[0]!r:.80}, which no pack has")
        if packed.getinfo(f"{facts.name}.safetensors").file_size != facts.size or facts.size > MAX_MODEL_BYTES:
            raise ValueError("its model has another size than it says")
        texts = {name: _read_entry(packed, name) for name in (README, LICENCE, THUMBNAIL) if name in names}
        about, licence = (texts.get(name, b"").decode("utf-8", "replace") for name in (README, LICENCE))
        return OpenedPack(path, facts, about, licence, texts.get(THUMBNAIL, b""))


def extract_model(pack: OpenedPack, target: Path) -> None:
    """Write the model of a pack to the file ``target``. Raises ModelError if its hash differs from the manifest's."""
    digest = hashlib.sha256()
    with (
        _open_zip(pack.path) as packed,
        convert_disk_errors(target),
        packed.open(f"{pack.facts.name}.safetensors") as source,
        target.open("wb") as file,
    ):
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != pack.facts.sha256:
        raise ModelError(str(pack.path), "its model is not the one that it names: its hash differs", "get it again")


def has_model(path: Path, pack: OpenedPack) -> bool:
    """Return whether the file ``path`` exists and equals the model in a pack, by size and hash."""
    return path.is_file() and path.stat().st_size == pack.facts.size and digest_file(path) == pack.facts.sha256


def make_card(table: Mapping[str, object], overrides: Mapping[str, str]) -> Card:
    """Return the card in the record ``table`` of a model, with its values replaced by ``overrides``."""
    values = {field.name: str(table.get(field.name, ""))[:MAX_LINE_CHARACTERS] for field in fields(Card)}
    return Card(**values | {name: value for name, value in overrides.items() if value})


def _parse_facts(table: Table) -> PackFacts:
    """Return the checked facts in the table of a manifest. Raises ValueError."""
    if table.pop("format", None) != FORMAT:
        raise ValueError("its format is unknown to this version: update vidtrans")
    values: dict[str, Any] = {}
    for field in fields(PackFacts):
        value = table.get(field.name)
        is_number = field.name in ("size", "short_side")
        if type(value) is not (int if is_number else str) or (isinstance(value, int) and value < 0):
            raise ValueError(f"its manifest has no usable '{field.name}'")
        # Remove control characters, because a terminal may display the value
        values[field.name] = value if is_number else strip_controls(str(value)[:MAX_LINE_CHARACTERS])
    return PackFacts(**values)


def _zip_entry(name: str) -> zipfile.ZipInfo:
    """Return the zip header of a file in a pack, which depends only on the file's name."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    return entry


def _read_entry(packed: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of an entry of a pack. Raises ValueError if it is too large."""
    if packed.getinfo(name).file_size > MAX_ENTRY_BYTES[name]:
        raise ValueError(f"its {name} is absurdly large")
    with packed.open(name) as file:
        return file.read(MAX_ENTRY_BYTES[name])


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip file of a pack. Raises ModelError for any damage."""
    check_regular_file(path, ModelError)
    if not path.exists():
        raise ModelError(str(path), "no such file", f"give a {PACK_SUFFIX} file")
    try:
        with zipfile.ZipFile(path) as packed:
            yield packed
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, ValueError, EOFError, zlib.error) as error:
        why = first_line(error) if isinstance(error, ValueError) else "it is no pack of a model, or it is damaged"
        raise ModelError(str(path), why, DAMAGED_REMEDY) from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ModelError(str(path), "it is damaged", DAMAGED_REMEDY) from None


def about_text(facts: PackFacts, more: str) -> str:
    """Return the README of a pack as Markdown; ``more``: additional text of the author."""
    size = f"{facts.size / 1e6:.1f} MB, SHA-256 {facts.sha256}"
    rows = [
        *([f"- Author: {facts.author}"] if facts.author else []),
        f"- Licence: {facts.licence or 'none is named: ask its author before you usage_commands it'}",
        f"- Network: {facts.network}, from pictures of {count(facts.short_side, 'pixel')} on the short side",
        f"- Input: pairing '{facts.pairing}'",
        f"- Model file: {size}",
    ]
    making = f"\n## How it was made\n\n```sh\n{facts.command}\n```\n" if facts.command else ""
    notes = f"{facts.notes.strip()}\n\n" if facts.notes.strip() else ""
    introduction = f"{more.strip()}\n\n" if more.strip() else ""
    usage = f"## Use\n\n```sh\n{usage_commands(facts, facts.name + PACK_SUFFIX)}\n```"
    return f"# {facts.name}\n\n{notes}{introduction}" + "\n".join(rows) + f"\n\n{usage}\n{making}"


def usage_commands(facts: PackFacts, file: str) -> str:
    """Return the commands that install the pack from ``file`` and render with its model."""
    add = command_line(["vidtrans", "model", "add", file])
    return f"{add}\n{command_line(['vidtrans', 'stylize', 'VIDEO', '--model', facts.name])}"


def encode_thumbnail(rgb: np.ndarray) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a JPEG of at most ``THUMBNAIL_PX`` pixels on its longest side."""
    from PIL import Image

    height, width = rgb.shape[:2]
    scale = min(1.0, THUMBNAIL_PX / max(height, width))
    small = resize(rgb, max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else rgb
    file = io.BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def reencode_thumbnail(data: bytes) -> bytes:
    """Return an untrusted thumbnail, encoded again as JPEG; b'' if it is not a picture of a usual size."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if max(picture.size) > 4 * THUMBNAIL_PX:
                return b""
            return encode_thumbnail(np.asarray(picture.convert("RGB")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""


def render_page(packs: Sequence[OpenedPack], title: str) -> str:
    """Return an HTML page about ``packs``, with links to their files in the page's folder. All text is escaped."""

    def picture(pack: OpenedPack) -> Markup:
        """Return a pack's thumbnail as a data URL; '' without one."""
        data = reencode_thumbnail(pack.thumbnail)
        return Markup(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else "")

    filters: dict[str, Filter] = {
        "picture": picture,
        "link": lambda pack: quote(pack.path.name),
        "megabytes": lambda size: f"{size / 1e6:.1f} MB",
        "use": usage_commands,
    }
    return load_page(Path(__file__).with_suffix(".html"), filters).render(packs=packs, title=title)
