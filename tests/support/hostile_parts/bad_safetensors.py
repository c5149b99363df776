"""Safetensors files of other tools' weights whose headers lie."""

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

Header = dict[str, Any]


def headers(tensors: Header) -> Iterator[tuple[str, Header | str]]:
    """Yield (name, header), one lie in each."""
    good = tensors[NAME]
    begin, end = good["data_offsets"]
    lies: dict[str, dict[str, object]] = {
        "a side of 2^63": {"shape": [1 << 63, 3, 7, 7]},
        "sides whose product overflows": {"shape": [1 << 32, 1 << 32, 1, 1]},
        "a negative side": {"shape": [-1, 3, 7, 7]},
        "a side that is text": {"shape": ["1", 3, 7, 7]},
        "a side that is a fraction": {"shape": [1.5, 3, 7, 7]},
        "100,000 sides": {"shape": [1] * 100_000},
        "no shape": {"shape": None},
        "offsets beyond the end": {"data_offsets": [begin, 1 << 50]},
        "offsets of 2^64": {"data_offsets": [(1 << 64) - 1, 1 << 64]},
        "offsets that turn back": {"data_offsets": [end, begin]},
        "one offset": {"data_offsets": [begin]},
        "offsets over another tensor": {"data_offsets": [begin + 4, end + 4]},
        "an unknown type": {"dtype": "F7"},
        "whole numbers": {"dtype": "I32"},
        "another size of number": {"dtype": "F64"},
    }
    for name, lie in lies.items():
        yield name, tensors | {NAME: good | lie}
    yield "all tensors in one place", {n: t if n == "__metadata__" else good for n, t in tensors.items()}
    yield "metadata of numbers", tensors | {"__metadata__": {"step": 7}}
    yield "metadata of a megabyte", tensors | {"__metadata__": {"x": "x" * (1 << 20)}}
    yield "a header that is a list", "[]"
    yield "a header with a name twice", json.dumps(tensors)[:-1] + f', "{NAME}": {json.dumps(good)}}}'
    yield "a header nested 500,000 deep", '{"a":' * 500_000 + "1" + "}" * 500_000
    yield "a header of a million digits", f'{{"{NAME}": {"9" * 1_000_000}}}'


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    whole = save(dict(state))
    length = int.from_bytes(whole[:8], "little")
    header, data = whole[8 : 8 + length], whole[8 + length :]
    for name, lie in headers(json.loads(header)):
        text = lie if isinstance(lie, str) else json.dumps(lie)
        harmless = name in ("metadata of a megabyte", "a header with a name twice")
        maker.add(f"safetensors with {name}", raw(text.encode(), data), "net.safetensors", refused=not harmless)
    for name, said in {"2^64 - 1": 2**64 - 1, "2^40": 1 << 40, "0": 0, "one more": length + 1}.items():
        maker.add(f"safetensors with a header of {name} bytes", raw(header, data, said), "net.safetensors")
    for part in (0, 7, 8, 8 + length // 2, 8 + length, len(whole) // 2, len(whole) - 1):
        maker.add(f"safetensors cut after {part} bytes", whole[:part], "net.safetensors")
    maker.add("safetensors with half a character", raw(b'{"\xff\xfe":{}}', data), "net.safetensors")
