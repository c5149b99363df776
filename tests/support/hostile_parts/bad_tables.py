"""Files of other tools whose tables of names, shapes and places lie: safetensors, ``.pict``, folders of raw floats."""

from __future__ import annotations

import json
import os
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile_models import raw
from peer_networks.pict import PictGenerator, pict_bytes, write_pict
from peer_networks.styles import RawFloatStyle, write_raw_floats
from safetensors.torch import save
from torch import Tensor

from hostile_parts.bad_tensors import NAME
from hostile_parts.maker import Maker, make_queue

Table = dict[str, Any]
# Of JSON, whatever it is for.
DEEP, MANY_DIGITS = b'{"a":' * 200_000 + b"1" + b"}" * 200_000, b"9" * 1_000_000
SHAPES: dict[str, object] = {
    "a side of 2^63": [1 << 63],
    "a negative side": [-3],
    "sides whose product overflows": [1 << 32, 1 << 32],
    "a side that is a fraction": [1.5],
    "a side that is a switch": [True],
    "a shape that is text": "3",
    "no shape": None,
    "one element more": [4],
}


def headers(tensors: Table) -> Iterator[tuple[str, Table | bytes]]:
    """Yield (name, header of safetensors), one lie in each."""
    good = tensors[NAME]
    begin, end = good["data_offsets"]
    lies: dict[str, Table] = {name: {"shape": shape} for name, shape in SHAPES.items()}
    lies |= {
        "100,000 sides": {"shape": [1] * 100_000},
        "offsets beyond the end": {"data_offsets": [begin, 1 << 50]},
        "offsets over another tensor": {"data_offsets": [begin + 4, end + 4]},
        "an unknown type": {"dtype": "F7"},
        "another size of number": {"dtype": "F64"},
    }
    for name, lie in lies.items():
        yield name, tensors | {NAME: good | lie}
    yield "metadata of numbers", tensors | {"__metadata__": {"step": 7}}
    yield "a header with a name twice", json.dumps(tensors)[:-1].encode() + f', "{NAME}": {json.dumps(good)}}}'.encode()
    yield "a header nested 200,000 deep", DEEP
    yield "a header of a million digits", f'{{"{NAME}": '.encode() + MANY_DIGITS + b"}"


def _write_safetensors(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    whole = save(dict(state))
    length = int.from_bytes(whole[:8], "little")
    header, data = whole[8 : 8 + length], whole[8 + length :]
    for name, lie in headers(json.loads(header)):
        text = lie if isinstance(lie, bytes) else json.dumps(lie).encode()
        maker.add(f"safetensors with {name}", raw(text, data), "net.safetensors")
    for said in (2**64 - 1, 1 << 40, 0, length + 1):
        maker.add(f"safetensors with a header of {said} bytes", raw(header, data, said), "net.safetensors")
    for part in (7, 8 + length // 2, 8 + length, len(whole) - 1):
        maker.add(f"safetensors cut after {part} bytes", whole[:part], "net.safetensors")


def picts(shapes: list[Table]) -> Iterator[tuple[str, object]]:
    """Yield (name, list of names and shapes), one lie in each."""
    first, *others = shapes
    for name, shape in SHAPES.items():
        yield name, [first | {"shape": shape}, *others]
    yield "a name that is a number", [first | {"name": 7}, *others]
    yield "a name with colours", [first | {"name": "\x1b[31mgenerator\n\r"}, *others]
    yield "a name twice", [first, others[0] | {"name": first["name"]}, *others[1:]]
    yield "one weight too many", [*shapes, {"name": "generator/x", "shape": [1]}]
    yield "kernels of another order", [entry | {"shape": entry["shape"][::-1]} for entry in shapes]
    yield "no entries", []
    yield "50,000 empty weights", [{"name": f"x{n}", "shape": [0]} for n in range(50_000)]
    for name, new in {"an older version": "encoder", "a discriminator": "discriminator/"}.items():
        yield f"names of {name}", [entry | {"name": entry["name"].replace("generator/", new)} for entry in shapes]


def _write_picts(maker: Maker) -> None:
    scratch = maker.folder / "scratch.pict"
    write_pict(PictGenerator(3, 3, 1), scratch)
    whole = scratch.read_bytes()
    scratch.unlink()
    first = int.from_bytes(whole[:4], "big")
    text, codebook, indices = whole[4 : 4 + first], whole[8 + first : 1032 + first], whole[1036 + first :]
    texts = {name: json.dumps(shapes).encode() for name, shapes in picts(json.loads(text))}
    texts |= {"nothing for its shapes": b"", "shapes cut short": text[:80], "shapes nested 200,000 deep": DEEP}
    texts |= {"a side of a million digits": b'[{"name": "x", "shape": [' + MANY_DIGITS + b"]}]"}
    files = {name: pict_bytes(data, codebook, indices) for name, data in texts.items()}
    nan = struct.pack("<f", float("nan"))
    books = {"no codebook": b"", "257 values": codebook + codebook[:4], "no number in its codebook": nan * 256}
    files |= {name: pict_bytes(text, book, indices) for name, book in books.items()}
    for place in (0, 4 + first, 1032 + first):
        for said in (0, 0xFFFFFFFF):
            files[f"{said} said at {place}"] = whole[:place] + struct.pack(">L", said) + whole[place + 4 :]
    files["two parts"] = pict_bytes(text, codebook)
    files["four parts"] = whole + pict_bytes(b"x")
    files |= {f"{part} bytes of it": whole[:part] for part in (0, 3, first // 2, len(whole) - 1)}
    for name, data in files.items():
        maker.add(f"pict with {name}", data, "net.pict", "discriminator" if "discriminator" in name else "")


SHIFT, COUNT = "Variable_1", 3
FILENAMES: dict[str, object] = {
    "a file above the folder": "../secret-floats",
    "a drive": "C:\\Windows\\win.ini",
    "a null byte": "Variable\0_1",
    "an empty file name": "",
    "the folder itself": ".",
    "a file name of ten million letters": "x" * 10_000_000,
    "a file name that is a number": 7,
    "a file name with colours": "\x1b[31mx\n\r",
    "no file name": None,
    "a file that is not there": "Variable_99",
    "one file for two": "Variable_2",
}


def manifests(good: Table) -> Iterator[tuple[str, Table | bytes]]:
    """Yield (name, manifest), one lie in each."""
    entry = good[SHIFT]
    for name, shape in SHAPES.items():
        yield name, good | {SHIFT: entry | {"shape": shape}}
    for name, file in FILENAMES.items():
        yield name, good | {SHIFT: entry | {"filename": file}}
    yield "a variable too few", {name: value for name, value in good.items() if name != "Variable_47"}
    yield "a variable too many", good | {"Variable_48": entry}
    yield "an entry that is a list", good | {SHIFT: []}
    yield "50,000 variables", good | {f"x{n}": entry for n in range(50_000)}
    yield "half of a manifest", b'{"Variable": {"filename": "Variable", "sha'
    yield "a manifest of 200,000 levels", DEEP


def _link(name: str, target: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def _queue(folder: Path) -> None:
    (folder / SHIFT).unlink()
    make_queue(folder / SHIFT)


FOLDERS: dict[str, Callable[[Path], object]] = {
    "a link out of the folder": _link(SHIFT, "../secret-floats"),
    "a link to itself": _link(SHIFT, SHIFT),
    "a manifest that is a device": _link("manifest.json", "/dev/zero"),
    "a file that is a queue": _queue,
    "a file of a tebibyte that takes no room": lambda folder: os.truncate(folder / SHIFT, 1 << 40),
    "no number": lambda folder: (folder / SHIFT).write_bytes(struct.pack("<f", float("nan")) * COUNT),
}


def _write_raw_floats(maker: Maker) -> None:
    """Each is a folder beside a file of just the right size."""
    network = RawFloatStyle(COUNT)
    good = {name: {"filename": name, "shape": list(value.shape)} for name, value in network.state.items()}

    def folder(change: Callable[[Path], object]) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            write_raw_floats(network, path)
            (path / "within").mkdir()
            (path.parent / "secret-floats").write_bytes(bytes(4 * COUNT))
            change(path)

        return make

    def with_manifest(text: bytes) -> Callable[[Path], None]:
        return folder(lambda path: (path / "manifest.json").write_bytes(text))

    for name, manifest in manifests(good):
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        maker.add(f"raw floats with {name}", with_manifest(text), "style")
    for name, change in FOLDERS.items():
        maker.add(f"raw floats with {name}", folder(change), "style")


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    _write_safetensors(maker, state)
    _write_picts(maker)
    _write_raw_floats(maker)
