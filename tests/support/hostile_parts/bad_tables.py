"""Files of safetensors whose tables of names, shapes and places lie."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from hostile_models import raw
from safetensors.torch import save
from torch import Tensor

from hostile_parts.bad_tensors import NAME
from hostile_parts.maker import Maker

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


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    _write_safetensors(maker, state)
