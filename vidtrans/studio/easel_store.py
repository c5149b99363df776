"""Layers and history of painted frames, stored in the state folder of the project.

The folder of a frame holds ``sheet.json``, changes (``000012.json``) and pictures that are named by their digest. A
change is written once, with the number of its parent: painting after an undo starts a new branch, and no file is
replaced. ``sheet.json`` points to the current change, and to the one at which all layers were stored as pictures; from
there a page applies the changes up to the current one. A crash between two writes loses only the last change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import move_into_place, remove, write_json
from vidtrans.core.settings import Table
from vidtrans.core.text_files import is_count, read_table
from vidtrans.studio.project_folder import RESERVED_BYTES, ProjectFolder

# Key of a stored picture: the first 40 hexadecimal digits of the SHA-256 of its file
PICTURE_KEY = re.compile(r"[0-9a-f]{40}")
MAX_LAYERS = 64  # Largest number of layers of a frame
MAX_NAME_CHARS = 80  # Longest name of a layer, in characters


def layers_in(value: object) -> list[Table]:
    """Return the checked layers of a message, the lowest first. Raises UsageError."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LAYERS:
        raise UsageError("layers", f"they are 1 to {MAX_LAYERS}", "send a list")
    layers = [_layer_in(one) for one in value]
    if len({layer["id"] for layer in layers}) != len(layers):
        raise UsageError("layers", "two have one number", "reload the page")
    return layers


def _layer_in(value: object) -> Table:
    """Return the checked id, name, visibility and opacity of a layer. Raises UsageError."""
    layer = value if isinstance(value, dict) else {}
    number, name, opacity = layer.get("id"), layer.get("name"), layer.get("opacity")
    is_valid = isinstance(layer.get("visible"), bool) and isinstance(name, str) and len(name) <= MAX_NAME_CHARS
    if not is_valid or not is_count(number) or not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise UsageError("layer", "it has an id, a name, an opacity, and is visible or not", "reload the page")
    return {"id": number, "name": name, "visible": layer["visible"], "opacity": float(opacity)}


def change_in(message: Table) -> Table:
    """Return the checked change of a message: pixels of a layer in a box, a new list of layers, or both.

    ``box``: (x, y, width, height) in pixels. Raises UsageError.
    """
    layer, box, parent = message.get("layer"), message.get("box"), message.get("parent")
    if not is_count(parent):
        raise UsageError("parent", "it is not a number", "reload the page")
    change: Table = {"parent": parent, "layer": None, "box": None, "before": None, "after": None}
    change |= {"layers_before": None, "layers_after": None}
    if box is not None:
        is_box = isinstance(box, list) and len(box) == 4 and all(is_count(n) for n in box) and box[2] and box[3]
        if not is_box or not is_count(layer):
            raise UsageError("box", "it is not x, y, width and height, of a layer", "reload the page")
        change |= {"layer": layer, "box": box} | {side: key_in(message.get(side)) for side in ("before", "after")}
    if message.get("layers_after") is not None:
        change |= {key: layers_in(message.get(key)) for key in ("layers_before", "layers_after")}
    elif box is None:
        raise UsageError("change", "it changes nothing", "send a box, or layers")
    return change


def is_sheet(table: Table) -> bool:
    """Return whether a table from an untrusted file is a valid sheet (layers and history) of a painted frame."""
    counts = [table.get(name) for name in ("position", "tip", "last", "stored", "saved")]
    size, stamp = table.get("size"), table.get("stamp")
    if not (all(map(is_count, counts)) and isinstance(size, list) and len(size) == 2 and all(map(is_count, size))):
        return False
    try:
        layers_in(table.get("layers")), pictures_in_message(table.get("pictures"))
    except UsageError:
        return False
    return isinstance(stamp, str) and max(table["position"], table["tip"], table["stored"]) <= table["last"]


def is_change(table: Table, number: int) -> bool:
    """Return whether a table from an untrusted file is a valid change with this number."""
    try:
        return table.get("number") == number and change_in(table)["parent"] < number
    except UsageError:
        return False


def key_in(value: object) -> str:
    """Return a value that is a valid key of a picture. Raises UsageError for other values."""
    if not isinstance(value, str) or not PICTURE_KEY.fullmatch(value):
        raise UsageError("picture", "it has no key", "send it first")
    return value


def pictures_in_message(value: object) -> dict[str, str]:
    """Return the checked picture keys of a message, by layer number. Raises UsageError."""
    if not isinstance(value, dict) or not 0 < len(value) <= 1000:
        raise UsageError("pictures", "they are keys by layer", "send an object")
    if not all(isinstance(layer, str) and layer.isdecimal() for layer in value):
        raise UsageError("pictures", "they are keys by layer", "send an object")
    return {layer: key_in(key) for layer, key in value.items()}


# Name of a painted frame in the project, such as "clip.keyframes/000120.png"
PAINTED_NAME = re.compile(r"[^/]+\.(keyframes|corrections|strokes)/[0-9]{1,9}\.png")
MAX_PICTURE_BYTES = 512 << 20  # Largest PNG file of a layer or a region
MAX_SIDE_PX = 16_384  # Longest side, in pixels, of a picture
MAX_HISTORY_BYTES = 1 << 30  # Largest size of the history of one frame; beyond it the oldest changes are deleted
UNUSED_PICTURE_S = 3600.0  # Age, in s, at which a picture that no layer and no change uses is deleted
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"  # First bytes of a PNG file


class EaselStore:
    """The sheets (layers and history) of a project's painted frames.

    ``check``: decodes a file, and raises MediaError if it is not media.
    """

    def __init__(self, folder: ProjectFolder, check: Callable[[Path], Table]) -> None:
        self._folder, self._check, self._lock = folder, check, Lock()

    def target(self, name: str) -> Path:
        """Return the path of the painted frame ``name``, which may not exist. Raises UsageError for other files."""
        if not PAINTED_NAME.fullmatch(name):
            raise UsageError(name[:80] or "name", "it is no painted frame", "name CLIP.keyframes/NUMBER.png")
        return self._folder.path_of(name)

    def stamp(self, name: str) -> str:
        """Return a text that changes with the file of a frame: its time and size; "" without a file.

        Raises UsageError.
        """
        with suppress(FileNotFoundError):
            state = self.target(name).stat()
            return f"{state.st_mtime_ns}-{state.st_size}"
        return ""

    def table(self, name: str) -> Table:
        """Return the layers and history of a frame, the ``stamp`` of its file, and the changes around the current one.

        ``sheet``: None without one. ``back`` (to undo) and ``forth`` (to apply) lead from the stored layers to the
        current ones; ``redo``: the undone changes, nearest first.
        """
        with self._lock:
            folder, sheet = self._sheet_folder(name), self._read_sheet(name)
            table: Table = {"sheet": sheet, "stamp": self.stamp(name), "back": [], "forth": [], "redo": []}
            if sheet is not None:
                table["back"], table["forth"] = _path(folder, sheet["stored"], sheet["position"])
                table["redo"] = _path(folder, sheet["position"], sheet["tip"])[1]
            return table

    def change(self, name: str, number: int) -> Table | None:
        """Return change ``number`` of a frame; None if it does not exist or was deleted."""
        return _change(self._sheet_folder(name), number)

    def picture(self, name: str, key: str) -> Path:
        """Return the path of the picture with a key, of frame ``name``. Raises UsageError."""
        path = self._sheet_folder(name) / f"{key}.png"
        if not (PICTURE_KEY.fullmatch(key) and path.is_file()):
            raise UsageError(key[:40], "the easel has no such picture", "reload the page")
        return path

    def receive(self, name: str, mark: str, offset: int, num_bytes: int, data: bytes) -> str:
        """Add a part of a PNG file of ``num_bytes``; return its key once it is complete and can be decoded, else "".

        ``mark``: the page's name for this upload. Raises UsageError, MediaError, OSError.
        """
        folder = self._sheet_folder(name)
        if not PICTURE_KEY.fullmatch(mark) or not 0 < num_bytes <= MAX_PICTURE_BYTES or offset + len(data) > num_bytes:
            raise UsageError("picture", f"it has 1 byte to {MAX_PICTURE_BYTES >> 20} MiB, and a mark", "send it again")
        if shutil.disk_usage(self._folder.root).free - num_bytes < RESERVED_BYTES:
            raise UsageError("picture", "the disk is nearly full", "free some space")
        partial = self._folder.state / "uploads" / f"easel-{mark}.png"
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab" if offset else "wb") as file:
            if file.tell() != offset:
                raise UsageError("picture", f"{file.tell()} bytes of it are here, not {offset}", "send it again")
            file.write(data)
        if offset + len(data) < num_bytes:
            return ""
        try:
            size, decoded = png_size(partial), self._check(partial)
            if size != (decoded["width"], decoded["height"]):
                raise MediaError("picture", "it is damaged", "send it again")
        except MediaError:
            partial.unlink(missing_ok=True)
            raise MediaError("picture", "it is no PNG file that can be decoded", "send it again") from None
        with partial.open("rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()[:40]
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(partial)
        move_into_place(partial, folder / f"{key}.png")
        return key

    def add(self, name: str, message: Table) -> int:
        """Store the change of a message, make it the current one, and return its number. Raises UsageError, OSError."""
        with self._lock:
            folder, sheet = self._sheet_folder(name), self._existing_sheet(name)
            change = change_in(message)
            if not 0 <= change["parent"] <= sheet["last"]:
                raise UsageError("parent", "there is no such change", "reload the page")
            if (box := change["box"]) is not None:
                width, height = sheet["size"]
                if box[0] + box[2] > width or box[1] + box[3] > height:
                    raise UsageError("box", "it is not inside of the frame", "reload the page")
                for key in (change["before"], change["after"]):
                    self._check_size(name, key, (box[2], box[3]))
            number = sheet["last"] + 1
            while (folder / f"{number:06d}.json").exists():  # Left by a crash before the pointer was written
                number += 1
            write_json(folder / f"{number:06d}.json", change | {"number": number})
            layers = change["layers_after"]
            write_json(
                folder / "sheet.json",
                sheet | {"last": number, "position": number, "tip": number} | ({"layers": layers} if layers else {}),
            )
            return number

    def move(self, name: str, message: Table) -> None:
        """Make another change the current one, for undo and redo. Raises UsageError, OSError.

        The message has ``position`` (the current change), ``tip`` (the last change that redo reaches) and ``layers``.
        """
        with self._lock:
            sheet = self._existing_sheet(name)
            position, tip, layers = message.get("position"), message.get("tip"), layers_in(message.get("layers"))
            for number in (position, tip):
                if type(number) is not int or not 0 <= number <= sheet["last"]:
                    raise UsageError("position", "there is no such change", "reload the page")
            changed = {"position": position, "tip": tip, "layers": layers}
            write_json(self._sheet_folder(name) / "sheet.json", sheet | changed)

    def save(self, name: str, message: Table) -> str:
        """Store all layers as pictures, and the flattened picture as the frame's file; return a stamp of that file.

        Without ``flat`` the file does not change, and ``stamp`` says to which version of it the layers belong. The
        first call creates the sheet; with ``begin`` an existing sheet does not change. Raises UsageError, OSError.
        """
        with self._lock:
            sheet, pictures = self._read_sheet(name), pictures_in_message(message.get("pictures"))
            if sheet is not None and message.get("begin"):  # Another page was faster
                return str(sheet["stamp"])
            layers, size, flat = layers_in(message.get("layers")), message.get("size"), message.get("flat")
            if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)):
                raise UsageError("size", "it is not a width and a height", "send two numbers")
            sheet = sheet or {"size": size, "position": 0, "tip": 0, "last": 0}
            number = message.get("number")
            if type(number) is not int or not 0 <= number <= sheet["last"] or sheet["size"] != size:
                raise UsageError("number", "the sheet has no such change, or another size", "reload the page")
            for key in (*pictures.values(), *([str(flat)] if flat is not None else [])):
                self._check_size(name, key, (size[0], size[1]))
            stamp = message.get("stamp", "")
            if flat is not None:
                self._write_flat_picture(name, str(flat))
                stamp = self.stamp(name)
            stored = {"stored": number, "pictures": pictures, "stamp": str(stamp)[:60], "saved": number}
            if sheet["position"] == number:
                stored["layers"] = layers
            write_json(self._sheet_folder(name) / "sheet.json", sheet | stored)
            self._prune(name)
            return str(stamp)

    def move_sheets(self, name: str, new_name: str) -> None:
        """Rename the layers and history of frames after their files or folder were renamed."""
        names = [(name, new_name)]
        if self._folder.path_of(new_name).is_dir():
            names = [(f"{name}/{file}", f"{new_name}/{file}") for file in self._folder.names(new_name)]
        with self._lock:
            for old, new in names:
                is_painted = PAINTED_NAME.fullmatch(old) and PAINTED_NAME.fullmatch(new)
                if is_painted and self._sheet_folder(old).is_dir():
                    remove(self._sheet_folder(new))  # Of another file that had this name
                    self._sheet_folder(old).rename(self._sheet_folder(new))

    def _write_flat_picture(self, name: str, key: str) -> None:
        """Copy the picture with a key to the file of a painted frame. Raises UsageError, OSError."""
        target, uploads = self.target(name), self._folder.state / "uploads"
        uploads.mkdir(parents=True, exist_ok=True)
        copy = uploads / f"flat-{key}.png"
        shutil.copyfile(self.picture(name, key), copy)
        target.parent.mkdir(parents=True, exist_ok=True)
        move_into_place(copy, target)

    def _check_size(self, name: str, key: str, size: tuple[int, int]) -> None:
        """Raise UsageError if the picture with a key does not have the ``size``, (width, height)."""
        actual = png_size(self.picture(name, key))
        if actual != size:
            raise UsageError("picture", f"it is {actual[0]}x{actual[1]}, not {size[0]}x{size[1]}", "reload the page")

    def _sheet_folder(self, name: str) -> Path:
        """Return the folder of the layers and history of a frame. Raises UsageError if it is not a painted frame."""
        self.target(name)
        return self._folder.state / "easel" / hashlib.sha256(name.encode()).hexdigest()[:32]

    def _read_sheet(self, name: str) -> Table | None:
        """Return the layers and history of a frame; None if there are none or the file is damaged."""
        sheet = read_table(self._sheet_folder(name) / "sheet.json")
        return sheet if sheet is not None and is_sheet(sheet) else None

    def _existing_sheet(self, name: str) -> Table:
        """Return the layers and history of a frame. Raises UsageError if there are none."""
        if (sheet := self._read_sheet(name)) is None:
            raise UsageError(name, "the easel keeps nothing of this frame", "reload the page")
        return sheet

    def _prune(self, name: str) -> None:
        """Delete the oldest changes beyond ``MAX_HISTORY_BYTES``, and old pictures that no layer and no change uses."""
        folder, sheet = self._sheet_folder(name), self._existing_sheet(name)
        sizes = {path.stem: path.stat().st_size for path in folder.glob("*.png")}
        total, used = sum(sizes.values()), set(sheet["pictures"].values())
        needed = {each["number"] for way in _path(folder, sheet["stored"], sheet["position"]) for each in way}
        for path in sorted(path for path in folder.glob("[0-9]*.json") if path.stem.isdecimal()):
            change = _change(folder, int(path.stem)) or {}
            own = {str(change.get(side)) for side in ("before", "after")} & sizes.keys()
            if total > MAX_HISTORY_BYTES and change.get("number") not in needed:
                total -= sum(sizes[key] for key in own - used)
                path.unlink(missing_ok=True)
            else:
                used |= own
        for key in sizes.keys() - used:
            with suppress(OSError):
                if time.time() - (path := folder / f"{key}.png").stat().st_mtime > UNUSED_PICTURE_S:
                    path.unlink()


def png_size(path: Path) -> tuple[int, int]:
    """Return the (width, height) in the header of a PNG file. Raises MediaError."""
    with path.open("rb") as file:
        head = file.read(24)
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if not (head.startswith(PNG_SIGNATURE) and head[12:16] == b"IHDR" and 0 < min(width, height) <= MAX_SIDE_PX):
        raise MediaError("picture", "it is no PNG file", "send a PNG file")
    if max(width, height) > MAX_SIDE_PX:
        raise MediaError("picture", f"it is larger than {MAX_SIDE_PX} pixels", "paint on a smaller clip")
    return width, height


def _change(folder: Path, number: int) -> Table | None:
    """Return change ``number`` in the folder of a frame's history; None if it does not exist or is damaged."""
    change = read_table(folder / f"{number:06d}.json")
    return change if change is not None and is_change(change, number) else None


def _path(folder: Path, start: int, end: int) -> tuple[list[Table], list[Table]]:
    """Return the changes to undo, and then the changes to apply, to go from change ``start`` to change ``end``."""
    back, forth = list[Table](), list[Table]()
    while start != end:
        number = max(start, end)  # A change has a greater number than its parent
        if (change := _change(folder, number)) is None:
            break
        if number == start:
            back.append(change)
            start = change["parent"]
        else:
            forth.insert(0, change)
            end = change["parent"]
    return back, forth
