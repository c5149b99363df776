"""``.pict`` files whose lengths, shapes and codebooks lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from peer_networks.pict import PictGenerator, pict_bytes, write_pict

from hostile_parts.maker import Maker

Shapes = list[dict[str, Any]]


def _changed(change: Callable[[Shapes], object]) -> Callable[[Shapes], Shapes]:
    def apply(shapes: Shapes) -> Shapes:
        own = json.loads(json.dumps(shapes))
        change(own)
        return own

    return apply


def _of_first(**values: object) -> Callable[[Shapes], Shapes]:
    return _changed(lambda shapes: shapes[0].update(values))


def _renamed(old: str, new: str) -> Callable[[Shapes], Shapes]:
    return lambda shapes: [entry | {"name": entry["name"].replace(old, new)} for entry in shapes]


SHAPES: dict[str, Callable[[Shapes], Any]] = {
    "a side of 2^63": _of_first(shape=[1 << 63]),
    "a side of 10^4000": _of_first(shape=[10**4000]),
    "a negative side": _of_first(shape=[-3]),
    "sides whose product overflows": _of_first(shape=[1 << 32, 1 << 32]),
    "a side that is a fraction": _of_first(shape=[1.5]),
    "a side that is text": _of_first(shape="3"),
    "no shape": _changed(lambda shapes: shapes[0].pop("shape")),
    "no name": _changed(lambda shapes: shapes[0].pop("name")),
    "a name that is a number": _of_first(name=7),
    "a name with colours": _of_first(name="\x1b[31mgenerator\n\r"),
    "a name that is a path": _of_first(name="../../secret"),
    "a name twice": _changed(lambda shapes: shapes[1].update(name=shapes[0]["name"])),
    "one weight too few": _changed(lambda shapes: shapes.pop()),
    "one weight too many": _changed(lambda shapes: shapes.append({"name": "generator/x", "shape": [1]})),
    "fewer indices than weights": _of_first(shape=[4]),
    "a scalar": _changed(lambda shapes: shapes.append({"name": "generator/x", "shape": []})),
    "kernels of another order": _changed(lambda shapes: [entry["shape"].reverse() for entry in shapes]),
    "no entries": lambda shapes: [],
    "a mapping of entries": lambda shapes: {entry["name"]: entry["shape"] for entry in shapes},
    "entries that are text": lambda shapes: [entry["name"] for entry in shapes],
    "50,000 empty weights": lambda shapes: [{"name": f"x{n}", "shape": [0]} for n in range(50_000)],
    "names of an older version": _renamed("conv2d", "conv"),
    "separable convolutions": _renamed("conv2d/kernel", "separable_conv2d/depthwise_kernel"),
    "a discriminator's names": _renamed("generator/", "discriminator/"),
}
TEXTS = {
    "nothing for its shapes": b"",
    "shapes cut short": b'[{"name": "generator/decoder_1',
    "shapes nested 200,000 deep": b"[" * 200_000 + b"]" * 200_000,
    "shapes of half characters": b'[{"name": "\xff\xfe", "shape": [1]}]',
    "a side of a million digits": b'[{"name": "x", "shape": [' + b"9" * 1_000_000 + b"]}]",
    "a side that is not a number": b'[{"name": "x", "shape": [NaN]}]',
    "a side that is infinite": b'[{"name": "x", "shape": [1e999]}]',
}


def _codebooks(codebook: bytes) -> Iterator[tuple[str, bytes]]:
    yield "no codebook", b""
    yield "a codebook of 10 values", codebook[:40]
    yield "a codebook of 257 values", codebook + codebook[:4]
    yield "a codebook of half a value more", codebook + b"xx"
    yield "a codebook that is not a number", struct.pack("<f", float("nan")) * 256
    yield "an infinite codebook", struct.pack("<f", float("inf")) * 256


def write(maker: Maker) -> None:
    """Make them."""
    scratch = Path(maker.folder / "scratch.pict")
    write_pict(PictGenerator(3, 3, 1, seed=0), scratch)
    whole = scratch.read_bytes()
    scratch.unlink()
    first = int.from_bytes(whole[:4], "big")
    text, codebook, indices = whole[4 : 4 + first], whole[8 + first : 1032 + first], whole[1036 + first :]
    shapes = json.loads(text)
    for name, change in SHAPES.items():
        changed = json.dumps(change(shapes)).encode()
        says = "discriminator" if "discriminator" in name else ""
        maker.add(f"pict with {name}", pict_bytes(changed, codebook, indices), "net.pict", says)
    for name, data in TEXTS.items():
        maker.add(f"pict with {name}", pict_bytes(data, codebook, indices), "net.pict")
    for name, data in _codebooks(codebook):
        maker.add(f"pict with {name}", pict_bytes(text, data, indices), "net.pict")
    for place, part in ((0, "shapes"), (4 + first, "a codebook"), (1032 + first, "indices")):
        for said in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            lie = whole[:place] + struct.pack(">L", said) + whole[place + 4 :]
            maker.add(f"pict with {part} of {said} bytes", lie, "net.pict")
    maker.add("pict of two parts", pict_bytes(text, codebook), "net.pict")
    maker.add("pict of four parts", whole + pict_bytes(b"x"), "net.pict")
    for part in (0, 3, 4, first // 2, 500 + first, len(whole) // 2, len(whole) - 1):
        maker.add(f"pict cut after {part} bytes", whole[:part], "net.pict")
