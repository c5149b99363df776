"""Zips that lie: of sizes, names, order and methods. The pickle within is good, unless two are there."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from hostile_parts.code_pickles import call, unicode, whole
from hostile_parts.containers import pickled, specs_of, zip_of, zipped
from hostile_parts.maker import Maker

MEGABYTE = 1 << 20
# Readers need not look at these numbers.
HARMLESS = {
    "an order of bytes that is no deflated data",
    "an order of bytes that is no LZMA data",
    "a wrong checksum",
    "a comment longer than the file",
    "a disk of many",
    "a record within another",
    "a directory of 65534 records",
}


def _entries(data: bytes) -> Iterator[int]:
    """Yield where each record of the central directory begins."""
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        yield place
        place = data.find(b"PK\x01\x02", place + 4)


def _changed(data: bytes, place: int, value: int, form: str = "<I") -> bytes:
    packed = struct.pack(form, value)
    return data[:place] + packed + data[place + len(packed) :]


def _entry_of(data: bytes, name: str) -> int:
    return next(place for place in _entries(data) if data[place + 46 :].startswith(name.encode()))


def lies(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, zip) with one number of its directory changed; archive/data/0 of ``good`` has over 4 bytes."""
    entry, pickle_entry = _entry_of(good, "archive/data/0"), _entry_of(good, "archive/data.pkl")
    end = good.rfind(b"PK\x05\x06")
    yield "a record larger than the file", _changed(_changed(good, entry + 24, 1 << 30), entry + 20, 1 << 30)
    yield "a record of 4 GB", _changed(_changed(good, entry + 24, 0xFFFFFFFE), entry + 20, 0xFFFFFFFE)
    yield "a record smaller than it is", _changed(_changed(good, entry + 24, 4), entry + 20, 4)
    yield "a record of 0 bytes", _changed(_changed(good, entry + 24, 0), entry + 20, 0)
    yield "a record stored in fewer bytes than it has", _changed(good, entry + 24, 1 << 30)
    yield "a record at the end of the file", _changed(good, entry + 42, len(good))
    yield "a record 4 GB away", _changed(good, entry + 42, 0xFFFFFFFE)
    yield "a record within another", _changed(good, entry + 42, struct.unpack_from("<I", good, pickle_entry + 42)[0])
    yield "a wrong checksum", _changed(good, entry + 16, 7)
    yield "a pickle of 4 GB", _changed(_changed(good, pickle_entry + 24, 0xFFFFFFFE), pickle_entry + 20, 0xFFFFFFFE)
    yield "an encrypted record", _changed(good, pickle_entry + 8, 1, "<H")
    yield "an unknown compression", _changed(good, pickle_entry + 10, 99, "<H")
    yield "a name of 65535 letters", _changed(good, entry + 28, 0xFFFF, "<H")
    yield "a directory of 65534 records", _changed(_changed(good, end + 8, 0xFFFE, "<H"), end + 10, 0xFFFE, "<H")
    yield "a directory of 4 GB", _changed(good, end + 12, 0xFFFFFFFE)
    yield "a directory beyond the file", _changed(good, end + 16, 0xFFFFFFFE)
    yield "a directory that is itself", _changed(good, end + 16, end)
    order = _entry_of(good, "archive/byteorder")
    for name, method in {"deflated": zipfile.ZIP_DEFLATED, "LZMA": zipfile.ZIP_LZMA}.items():
        yield f"an order of bytes that is no {name} data", _changed(good, order + 10, method, "<H")
    yield "a disk of many", _changed(good, end + 4, 7, "<H")
    yield "a comment longer than the file", _changed(good, end + 20, 0xFFFF, "<H")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 1 << 62, 1)
    yield "a directory at 2^62", good[:end] + locator + _changed(good[end:], 16, 0xFFFFFFFF)
    big = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 60, 1 << 60, 1 << 62, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    yield "a directory of 2^60 records", good[:end] + big + locator + _changed(good[end:], 16, 0xFFFFFFFF)


def _bomb(size: int, copies: int) -> bytes:
    """Return a zip of a state of ``copies`` storages of ``size`` MB of zeros, all in one compressed record."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(MEGABYTE)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    deflated, checksum = block * size + b"\x03\x00", 0
    for _ in range(size):
        checksum = zlib.crc32(bytes(MEGABYTE), checksum)
    count = size * MEGABYTE // 4
    rebuilt = [
        unicode(f"model.{number}.weight")
        + b"ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + b"ctorch\nFloatStorage\n"
        + unicode(str(number)) + unicode("cpu") + b"J" + struct.pack("<i", count) + b"tQK\x00J"
        + struct.pack("<i", count) + b"\x85K\x01\x85\x89}tR"
        for number in range(copies)
    ]  # fmt: skip
    records = [("archive/data.pkl", whole(b"}(" + b"".join(rebuilt) + b"u")), ("archive/version", b"3\n")]
    whole_zip = zip_of(records)
    end = whole_zip.rfind(b"PK\x05\x06")
    start = whole_zip.find(b"PK\x01\x02")
    sizes = struct.pack("<III", checksum, len(deflated), size * MEGABYTE)
    first = b"archive/data/0"
    body = struct.pack("<4sHHHHH", b"PK\x03\x04", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(first), 0) + first
    directory = whole_zip[start:end]
    for number in range(copies):
        name = f"archive/data/{number}".encode()
        directory += struct.pack("<4sHHHHHH", b"PK\x01\x02", 20, 20, 0, 8, 0, 33) + sizes
        directory += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, start) + name
    where = start + len(body) + len(deflated)
    total = copies + 2
    closing = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, total, total, len(directory), where, 0)
    return whole_zip[:start] + body + deflated + directory + closing


def _named(state: OrderedDict[str, Tensor], names: dict[str, str]) -> bytes:
    """Return a good zip with records that are named anew, or added."""
    specs, storages = specs_of(state)
    records = {"archive/data.pkl": pickled(specs), "archive/version": b"3\n"}
    records |= {f"archive/data/{key}": data for key, data in storages.items()}
    return zip_of((names.get(name, name), data) for name, data in records.items())


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    specs, storages = specs_of(state)
    good = zipped(pickled(specs), storages)
    for name, data in lies(good):
        maker.add(f"a zip with {name}", data, refused=name not in HARMLESS)
    maker.add("a gigabyte in a megabyte", _bomb(1024, 1))
    maker.add("a thousand storages of 64 MB in 80 KB", _bomb(64, 1000))
    evil = whole(call("os system", unicode(f"touch '{maker.marker}'")))
    records = [("archive/data.pkl", pickled(specs)), ("archive/version", b"3\n")]
    records += [(f"archive/data/{key}", data) for key, data in storages.items()]
    for name, order in {
        "first": [("archive/data.pkl", evil), *records],
        "last": [*records, ("archive/data.pkl", evil)],
    }.items():
        maker.add(f"two pickles of one name, the evil one {name}", _zip_of_twins(order), refused=False)
    maker.add(
        "two archives in one zip",
        zip_of([*records, ("other/data.pkl", evil), ("other/version", b"3\n")]),
        refused=False,
    )
    for place in (
        "../../evil",
        "/tmp/evil-of-a-checkpoint",
        "C:\\evil",
        "archive/../../evil",
        "archive/data/../../../evil",
    ):
        maker.add(f"a record named {place}", zip_of([*records, (place, b"evil")]), refused=False)
    maker.add("a pickle above the folder", _named(state, {"archive/data.pkl": "archive/../data.pkl"}))
    maker.add("no pickle", _named(state, {"archive/data.pkl": "archive/other.pkl"}))
    maker.add("no storages", zipped(pickled(specs)))
    maker.add("half of the storages", zipped(pickled(specs), dict(list(storages.items())[::2])))
    maker.add("an empty zip", zip_of([]))
    maker.add(
        "20,000 empty records", zipped(pickled(specs), storages, {f"x/{n}": b"" for n in range(20_000)}), refused=False
    )
    maker.add("a zip after a megabyte of noise", bytes(range(256)) * 4096 + good, refused=False)
    maker.add("a compressed checkpoint", zip_of(records, zipfile.ZIP_DEFLATED), refused=False)
    for part in (
        1,
        4,
        30,
        100,
        1000,
        len(good) // 4,
        len(good) // 2,
        3 * len(good) // 4,
        len(good) - 22,
        len(good) - 1,
    ):
        maker.add(f"a zip cut after {part} bytes", good[:part])
    maker.add("a zip with a byte of its pickle changed", _flipped(good, good.find(b"_rebuild")))
    maker.add("a checkpoint in a zip", lambda path: _wrapped(path, good))


def _zip_of_twins(records: list[tuple[str, bytes]]) -> bytes:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Duplicate name" is meant
        return zip_of(records)


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :]


def _wrapped(path: Path, good: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("latest_net_G.pth", good)
