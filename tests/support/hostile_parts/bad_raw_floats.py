"""Folders of raw floats whose manifests point elsewhere, or lie about sizes."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer_networks.raw_float_style import RawFloatStyle, write_raw_floats

from hostile_parts.maker import Maker, make_queue

Manifest = dict[str, Any]
SHIFT = "Variable_1"
COUNT = 3


def _of_one(**values: object) -> Callable[[Manifest], object]:
    return lambda manifest: manifest[SHIFT].update(values)


def _same_file(manifest: Manifest) -> None:
    for entry in manifest.values():
        entry["filename"] = "Variable"


MANIFESTS: dict[str, Callable[[Manifest], object]] = {
    "a file above the folder": _of_one(filename="../secret-floats"),
    "a file far above the folder": _of_one(filename="../../../../../../../../../../etc/passwd"),
    "a file above it, by way of a folder within": _of_one(filename="within/../../secret-floats"),
    "an absolute file": _of_one(filename="/etc/passwd"),
    "a device": _of_one(filename="/dev/zero"),
    "a file of this process": _of_one(filename="/proc/self/environ"),
    "an address": _of_one(filename="http://127.0.0.1:9/x"),
    "a share": _of_one(filename="\\\\127.0.0.1\\x"),
    "a drive": _of_one(filename="C:\\Windows\\win.ini"),
    "a home folder": _of_one(filename="~/.ssh/id_rsa"),
    "a variable of the shell": _of_one(filename="$HOME/.ssh/id_rsa"),
    "a command": _of_one(filename="|touch exploded"),
    "a null byte": _of_one(filename="Variable\0_1"),
    "an empty file name": _of_one(filename=""),
    "the folder itself": _of_one(filename="."),
    "the manifest for a file": _of_one(filename="manifest.json"),
    "a file name of ten million letters": _of_one(filename="x" * 10_000_000),
    "a file name that is a number": _of_one(filename=7),
    "a file name with colours": _of_one(filename="\x1b[31mx\n\r"),
    "no file name": lambda manifest: manifest[SHIFT].pop("filename"),
    "a file that is not there": _of_one(filename="Variable_99"),
    "one file for all": _same_file,
    "a side of 2^63": _of_one(shape=[1 << 63]),
    "a side of 2^40": _of_one(shape=[1 << 40]),
    "a negative side": _of_one(shape=[-COUNT]),
    "two negative sides": _of_one(shape=[-COUNT, -1]),
    "sides whose product overflows": _of_one(shape=[1 << 32, 1 << 32]),
    "a side that is a fraction": _of_one(shape=[3.5]),
    "a side that is a switch": _of_one(shape=[True]),
    "a shape that is text": _of_one(shape="3"),
    "no shape": lambda manifest: manifest[SHIFT].pop("shape"),
    "a size smaller than its file": _of_one(shape=[COUNT - 1]),
    "a size larger than its file": _of_one(shape=[COUNT + 1]),
    "a variable too few": lambda manifest: manifest.pop("Variable_47"),
    "a variable too many": lambda manifest: manifest.update(Variable_48=manifest[SHIFT]),
    "an entry that is a list": lambda manifest: manifest.update({SHIFT: []}),
    "50,000 variables": lambda manifest: manifest.update({f"x{n}": manifest[SHIFT] for n in range(50_000)}),
}
TEXTS = {
    "nothing": b"",
    "a list": b"[]",
    "half of itself": b'{"Variable": {"filename": "Variable", "sha',
    "200,000 levels": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "half a character": b'{"Variable": {"filename": "\xff"}}',
    "a million digits": b'{"Variable": {"filename": "Variable", "shape": [' + b"9" * 1_000_000 + b"]}}",
}


def _folder(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what makes a good folder, with a file of just the right size beside it, and changes it."""

    def make(folder: Path) -> None:
        write_raw_floats(RawFloatStyle(COUNT, seed=0), folder)
        (folder / "within").mkdir()
        (folder.parent / "secret-floats").write_bytes(struct.pack(f"<{COUNT}f", *range(COUNT)))
        change(folder)

    return make


def _with_manifest(change: Callable[[Manifest], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return _folder(make)


def _linked(name: str, target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return _folder(make)


def _queue(folder: Path) -> None:
    (folder / SHIFT).unlink()
    make_queue(folder / SHIFT)


def _enormous(folder: Path) -> None:
    """A file of a tebibyte that takes no room on the disk."""
    os.truncate(folder / SHIFT, 1 << 40)


def write(maker: Maker) -> None:
    """Make them: each is a folder."""
    for name, change in MANIFESTS.items():
        maker.add(f"raw floats with {name}", _with_manifest(change), "style")
    for name, text in TEXTS.items():
        maker.add(
            f"raw floats with a manifest of {name}",
            _folder(lambda f, t=text: (f / "manifest.json").write_bytes(t)),
            "style",
        )
    links = {
        "a link out of the folder": "../secret-floats",
        "a link to a device": "/dev/zero",
        "a link to itself": SHIFT,
    }
    for name, target in links.items():
        maker.add(f"raw floats with {name}", _linked(SHIFT, target), "style")
    maker.add("raw floats with a manifest that is a device", _linked("manifest.json", "/dev/zero"), "style")
    maker.add("raw floats with a file that is a queue", _folder(_queue), "style")
    maker.add("raw floats with a file of a tebibyte", _folder(_enormous), "style")
    nan = struct.pack("<f", float("nan")) * COUNT
    maker.add("raw floats that are not numbers", _folder(lambda folder: (folder / SHIFT).write_bytes(nan)), "style")
    maker.add("raw floats cut short", _folder(lambda folder: (folder / "Variable").write_bytes(b"xxx")), "style")
