"""torch's two formats, made by hand around any pickle."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Elements(bytes):
    """The bytes of a storage, and the ``width`` of its elements."""

    width = 4


@dataclass
class Storage:
    """A storage as a pickle names it: ``kind``, key, location and number of elements, each of which may be a lie."""

    key: object
    count: object
    kind: object = torch.FloatStorage
    location: object = "cpu"


@dataclass
class TensorSpec:
    """A tensor as a pickle builds it, of a storage, or of what stands in its place."""

    storage: object
    shape: object
    stride: object
    offset: object = 0
    hooks: object = None
    builder: Any = torch._utils._rebuild_tensor_v2

    def __reduce__(self) -> tuple[Any, ...]:
        hooks = OrderedDict() if self.hooks is None else self.hooks
        return self.builder, (self.storage, self.offset, self.shape, self.stride, False, hooks)


class _Pickler(pickle._Pickler):
    """Write storages as persistent ids; those of the older format end with a view, which is nothing."""

    views = False

    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, Storage):
            return ("storage", obj.kind, obj.key, obj.location, obj.count, *([None] if self.views else []))
        return None


def pickled(value: object, views: bool = False) -> bytes:
    """Return a pickle of protocol 2, with storages as torch's newer format has them, or the older one (``views``)."""
    file = io.BytesIO()
    pickler = _Pickler(file, 2)
    pickler.views = views
    pickler.dump(value)
    return file.getvalue()


def saved(value: object, **options: Any) -> bytes:
    """Return what ``torch.save`` writes."""
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def zipped(
    data_pickle: bytes, storages: Mapping[str, bytes] | None = None, more: Mapping[str, bytes] | None = None
) -> bytes:
    """Return a file of torch's newer format: a zip of ``data.pkl``, ``version`` and the storages."""
    records = {"data.pkl": data_pickle, "byteorder": b"little", "version": b"3\n"}
    records |= {f"data/{key}": data for key, data in (storages or {}).items()} | dict(more or {})
    return zip_of((f"archive/{name}", data) for name, data in records.items())


def zip_of(records: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of these names and bytes, in their order; a name may come twice."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in records:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def legacy(
    object_pickle: bytes,
    storages: Mapping[str, Elements] | None = None,
    magic: bytes | None = None,
    system: bytes | None = None,
    keys: bytes | None = None,
) -> bytes:
    """Return a file of torch's older format: five pickles, then each storage after its number of elements."""
    stored = storages or {}
    parts = [
        pickle.dumps(MAGIC, 2) if magic is None else magic,
        pickle.dumps(1001, 2),
        pickle.dumps(SYSTEM, 2) if system is None else system,
        object_pickle,
        pickle.dumps(sorted(stored), 2) if keys is None else keys,
    ]
    data = (struct.pack("<q", len(value) // value.width) + value for _, value in sorted(stored.items()))
    return b"".join(parts) + b"".join(data)


def specs_of(state: Mapping[str, Tensor]) -> tuple[OrderedDict[str, object], dict[str, Elements]]:
    """Return a state as specs, each tensor with a storage of its own, and the bytes of the storages."""
    specs: OrderedDict[str, object] = OrderedDict()
    storages: dict[str, Elements] = {}
    for number, (name, value) in enumerate(state.items()):
        kind = torch.LongStorage if value.dtype == torch.int64 else torch.FloatStorage
        specs[name] = TensorSpec(Storage(str(number), value.numel(), kind), tuple(value.shape), value.stride())
        storages[str(number)] = Elements(value.contiguous().numpy().tobytes())
        storages[str(number)].width = value.element_size()
    return specs, storages
