"""Model files from hostile_models: everything that one who means harm, or a bad disk, may put into one."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save
from safetensors.torch import save as save_tensors

from vidtrans.models.formats import weights_digest

Record = dict[str, Any]


class Bomb:
    """What a careless ``torch.load`` would carry out."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def raw(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header, and any ``length`` said of it."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def parts_of(path: Path) -> tuple[Record, dict[str, np.ndarray]]:
    with safe_open(str(path), framework="numpy") as file:
        return json.loads(file.metadata()["vidtrans"]), load_file(path)


def written(record: Record | str, weights: dict[str, np.ndarray]) -> bytes:
    text = record if isinstance(record, str) else json.dumps(record)
    return save(weights, {"vidtrans": text})


def changed(*where: str, to: object) -> Callable[[Record], None]:
    """Set one value of a record; the last of ``where`` is its key."""

    def change(record: Record) -> None:
        for key in where[:-1]:
            record = record[key]
        record[where[-1]] = to

    return change


def without(name: str) -> Callable[[Record], None]:
    return lambda record: record.pop(name) and None


GENERATOR = ("generator", "settings")
RECORDS: dict[str, Callable[[Record], None]] = {
    "another architecture": changed("generator", "name", to="residual"),
    "unknown architecture": changed("generator", "name", to="unet-9000"),
    "negative channels": changed(*GENERATOR, "channels", to=-8),
    "text for a number": changed(*GENERATOR, "channels", to="8"),
    "yes for a number": changed(*GENERATOR, "channels", to=True),
    "a million layers": changed(*GENERATOR, "blocks", to=[1_000_000] * 3),
    "endless layers": changed(*GENERATOR, "blocks", to=10**4000),
    "a setting too many": changed(*GENERATOR, "__class__", to="x"),
    "terabytes": changed("generator", to={"name": "hd", "settings": {"channels": 10**6}}),
    "unknown pairing": changed("pairing", "name", to="edgs"),
    "wrong setting of its pairing": changed("pairing", "settings", to={"density": "much"}),
    "pairing of other channels": changed("pairing", to={"name": "next-frame", "settings": {"context_frames": 4}}),
    "no channels": changed("in_channels", to=0),
    "half a pixel": changed("size", to=32.5),
    "text for a size": changed("size", to="32"),
    "a huge size": changed("size", to=10**12),
    "a list for a table": changed("training", to=[1]),
    "text for a table": changed("card", to="mine"),
    "steps that are no list": changed("training", "steps", to=7),
    "scores that are no table": changed("training", "held_out", to=[1]),
    "a huge plate": changed("plate", to={"size": [8192, 10**9], "still": 1.0}),
    "a plate without weights": changed("plate", to={"size": [64, 64], "still": 1.0}),
    "a plate of no stillness": changed("plate", to={"size": [64, 64], "still": "very"}),
    "an endless clock": changed("dream", to={"positions": 10**12, "rate": "25"}),
    "a rate that takes ages": changed("dream", to={"positions": 8, "rate": "1e-999999999"}),
    "unknown flow": changed("memory", to={"flow": "os:system"}),
    "codes of no weights": changed("codes", to={"size": 2, "mean": [0.0, 0.0], "spread": [1.0, 1.0]}),
    "a million numbers of a code": changed("codes", to={"size": 10**6, "mean": [0.0], "spread": [1.0]}),
    "codes that are no numbers": changed("codes", to={"size": 1, "mean": ["0"], "spread": [1.0]}),
    "codes out of bounds": changed("codes", to={"size": 1, "mean": [1e300], "spread": [1.0]}),
    "codes of no spread": changed("codes", to={"size": 1, "mean": [0.0], "spread": [-1.0]}),
    "codes with a secret": changed("codes", to={"size": 1, "mean": [0.0], "spread": [1.0], "run": "os:system"}),
    "unknown format": changed("format", to=[1]),
    "no weights' digest": without("weights"),
    "a key too many": changed("surprise", to=1),
    "a key too few": without("size"),
}


def bad_texts(record: Record) -> dict[str, str]:
    """Metadata that is no record's JSON."""
    whole = json.dumps(record)
    return {
        "deep nesting": "[" * 1_000_000 + "]" * 1_000_000,
        "deep within": whole[:-1] + ', "surprise": ' + '{"a":' * 100_000 + "1" + "}" * 100_001,
        "repeated keys": whole[:-1] + ', "size": 64}',
        "repeated keys within": whole.replace('"settings": {', '"settings": {"channels": 64, ', 1),
        "a list": "[]",
        "a number": "1e999",
        "cut off": whole[:-9],
        "digits without end": whole[:-1] + ', "surprise": ' + "9" * 1_000_000 + "}",
        "large": whole[:-1] + " " * (5 << 20) + "}",
    }


def bad_weights(weights: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    name = next(n for n in weights if n.endswith("weight"))
    one = weights[name]
    return {
        "not a number": weights | {name: np.full_like(one, np.nan)},
        "infinite": weights | {name: np.full_like(one, np.inf)},
        "of twice the width": weights | {name: one.astype(np.float64)},
        "whole numbers": weights | {name: one.astype(np.int32)},
        "of another shape": weights | {name: one[None]},
        "empty": weights | {name: one[:0]},
        "one too many": weights | {"surprise": one},
        "one too few": {n: w for n, w in weights.items() if n != name},
        "none": {},
    }


def bad_files(whole: bytes) -> dict[str, bytes]:
    """What is hardly a safetensors file. ``whole`` is one that is."""
    length = int.from_bytes(whole[:8], "little")
    header, data = whole[8 : 8 + length], whole[8 + length :]
    tensors = json.loads(header)
    first = next(n for n in tensors if n != "__metadata__")

    def told(**of_first: object) -> bytes:
        return raw(json.dumps(tensors | {first: tensors[first] | of_first}).encode(), data)

    many = {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(200_000)}
    return {
        "nothing": b"",
        "seven bytes": whole[:7],
        "its header alone": whole[: 8 + length],
        "half": whole[: len(whole) // 2],
        "a byte too few": whole[:-1],
        "a byte too many": whole + b"\0",
        "an empty header": raw(b""),
        "no tensors": raw(b"{}"),
        "a header of 2^64 bytes": raw(header, data, 2**64 - 1),
        "a header of a gigabyte": raw(header, data, 1 << 30),
        "a header of 90 MB": raw(b'{"__metadata__":{"vidtrans":"' + b" " * 90_000_000 + b'"}}'),
        "200,000 tensors": raw(json.dumps(many).encode()),
        "deep header": raw(b'{"a":' * 500_000 + b"1" + b"}" * 500_000),
        "metadata that is a table": raw(json.dumps(tensors | {"__metadata__": {"vidtrans": {}}}).encode(), data),
        "a shape of terabytes": told(shape=[1 << 40]),
        "a shape that overflows": told(shape=[1 << 63, 4]),
        "offsets beyond the end": told(data_offsets=[0, 1 << 50]),
        "offsets that turn back": told(data_offsets=[64, 0]),
        "bfloat16": told(dtype="BF16"),
        "a zip": b"PK\x03\x04" + bytes(1000),
        "a pickle": pickle.dumps(Bomb()),
        "a pickle of torch": torch_file(Bomb()),
    }


def torch_file(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def bad_models(good: Path) -> list[Path]:
    """Every bad model, as a file of its own in the current folder."""
    record, weights = parts_of(good)
    files = bad_files(good.read_bytes())
    for name, change in RECORDS.items():
        own = json.loads(json.dumps(record))
        change(own)
        files[name] = written(_text(own), weights)
    files |= {name: written(text, weights) for name, text in bad_texts(record).items()}
    files |= {f"weights {name}": written(signed(record, other), other) for name, other in bad_weights(weights).items()}
    # A stranger's digest may be right: what it is of is looked at all the same.
    files["bfloat16, signed"] = bfloat16(record, weights)
    for name, data in files.items():
        Path(f"{name.replace(' ', '-')}.safetensors").write_bytes(data)
    return sorted(Path().glob("*.safetensors"))


def _text(record: Record) -> str:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(record)
    finally:
        sys.set_int_max_str_digits(limit)


def signed(record: Record, weights: dict[str, np.ndarray]) -> Record:
    return record | {"weights": weights_digest({n: torch.from_numpy(w) for n, w in weights.items()})}


def bfloat16(record: Record, weights: dict[str, np.ndarray]) -> bytes:
    state = {n: torch.from_numpy(w).to(torch.bfloat16 if w.dtype == np.float32 else None) for n, w in weights.items()}
    return save_tensors(state, {"vidtrans": json.dumps(record)})
