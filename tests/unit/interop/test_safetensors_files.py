"""Safetensors of other tools: recognised by their tensors; headers that lie are refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_models import raw
from peer_variants import VARIANTS, save_variant
from safetensors.torch import save_file

from vidtrans.core.errors import ModelError
from vidtrans.interop.checkpoints.safetensors_file import is_safetensors, read_safetensors
from vidtrans.models.formats import format_of
from vidtrans.models.model_file import load_generator, read_record

KINDS = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
STYLE = next(variant for variant in VARIANTS if variant.name == "fast-style-w5")


def test_tensors_of_every_kind_are_read_as_they_were_written() -> None:
    made = {kind: (torch.arange(24).reshape(2, 3, 4) % 5).to(getattr(torch, kind)) for kind in KINDS}
    made |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3), "line": torch.arange(5.0)}
    save_file(made, "t.safetensors", metadata={"format": "pt"})
    found = read_safetensors(Path("t.safetensors"))
    assert found.keys() == made.keys()
    for name, tensor in made.items():
        read = found[name].read()
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor)


def test_a_network_in_half_precision_is_read_in_single_and_our_own_files_stay_our_own(tiny_model: Path) -> None:
    network = save_variant(STYLE, Path("a.safetensors"), "safetensors")
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, "half.safetensors")
    assert format_of(Path("half.safetensors")) == "checkpoint"
    generator, record = load_generator(Path("half.safetensors"))
    assert record.origin["family"] == "fast-style"
    assert {tensor.dtype for tensor in generator.state_dict().values()} == {torch.float32}
    assert is_safetensors(tiny_model)
    assert format_of(tiny_model) == "vidtrans"


Change = Callable[[dict[str, Any]], object]
FIRST = "conv1.conv2d.bias"
LIES: dict[str, tuple[Change, str]] = {
    "beyond the end": (lambda t: t[FIRST].update(data_offsets=[1 << 40, (1 << 40) + 20]), "cut off"),
    "negative": (lambda t: t[FIRST].update(data_offsets=[-20, 0]), "out of bounds"),
    "too long": (lambda t: t[FIRST].update(shape=[6]), "does not fit its shape"),
    "overflowing": (lambda t: t[FIRST].update(shape=[1 << 63, 4]), "out of bounds"),
    "a fraction": (lambda t: t[FIRST].update(shape=[5.0]), "out of bounds"),
    "no list": (lambda t: t[FIRST].update(shape=5), "no complete entry"),
    "of 8 bits": (lambda t: t[FIRST].update(dtype="F8_E4M3"), "unsupported type"),
    "shared": (lambda t: t[FIRST].update(data_offsets=t["in1.bias"]["data_offsets"]), "share their bytes"),
    "one too many": (
        lambda t: t.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "'x' does not belong to it",
    ),
    "one too few": (lambda t: t.pop(FIRST), f"'{FIRST}' is missing"),
}


def test_a_header_that_lies_and_a_file_that_is_cut_off_are_one_line() -> None:
    save_variant(STYLE, Path("a.safetensors"), "safetensors")
    data = Path("a.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    bad = [(data[:-cut], "cut off") for cut in (1, 1000)]
    for change, reason in LIES.values():
        table = json.loads(data[8 : 8 + length])
        change(table)
        bad.append((raw(json.dumps(table).encode(), data[8 + length :]), reason))
    for made, reason in bad:
        Path("bad.safetensors").write_bytes(made)
        with pytest.raises(ModelError, match=reason) as caught:
            read_record(Path("bad.safetensors"))
        assert "\n" not in str(caught.value)
