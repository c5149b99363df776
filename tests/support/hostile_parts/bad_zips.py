"""Zips that lie: of sizes, names, order and methods. The pickle within is good, unless two are there."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor

from hostile_parts.containers import pickled, specs_of, zip_of, zipped
from hostile_parts.maker import Maker
from hostile_parts.pickles import call, unicode, whole

MEGABYTE, MOST = 1 << 20, 0xFFFFFFFE
# Readers need not look at these numbers.
HARMLESS = {"an order of bytes that is no data", "a wrong checksum", "a comment longer than the file"}
HARMLESS |= {"a record within another", "a directory of 65534 records"}
ABOVE = ("../../evil", "/tmp/evil-of-a-checkpoint", "C:\\evil", "archive/data/../../../evil")


def _entry_of(data: bytes, name: bytes) -> int:
    """Return where a record begins in the central directory."""
    return data.index(name, data.index(b"PK\x01\x02")) - 46


def _changed(data: bytes, form: str, **values: int) -> bytes:
    """Return the data with numbers packed at places; ``p12`` is the twelfth byte."""
    changed = bytearray(data)
    for place, value in values.items():
        struct.pack_into(form, changed, int(place[1:]), value)
    return bytes(changed)


def lies(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, zip) with one number of its directory changed; archive/data/0 of ``good`` has over 4 bytes."""
    entry, pickle_entry = _entry_of(good, b"archive/data/0"), _entry_of(good, b"archive/data.pkl")
    order, end = _entry_of(good, b"archive/byteorder"), good.rfind(b"PK\x05\x06")

    def at(place: int, value: int, form: str = "<I", also: int | None = None) -> bytes:
        return _changed(good, form, **{f"p{place}": value, f"p{place if also is None else also}": value})

    yield "a record larger than the file", at(entry + 24, 1 << 30, also=entry + 20)
    yield "a record smaller than it is", at(entry + 24, 4, also=entry + 20)
    yield "a record stored in fewer bytes than it has", at(entry + 24, 1 << 30)
    yield "a record at the end of the file", at(entry + 42, len(good))
    yield "a record within another", at(entry + 42, struct.unpack_from("<I", good, pickle_entry + 42)[0])
    yield "a wrong checksum", at(entry + 16, 7)
    yield "a pickle of 4 GB", at(pickle_entry + 24, MOST, also=pickle_entry + 20)
    yield "an encrypted record", at(pickle_entry + 8, 1, "<H")
    yield "an unknown compression", at(pickle_entry + 10, 99, "<H")
    yield "a name of 65535 letters", at(entry + 28, 0xFFFF, "<H")
    yield "a directory of 65534 records", at(end + 8, 0xFFFE, "<H", also=end + 10)
    yield "a directory of 4 GB", at(end + 12, MOST)
    yield "a directory beyond the file", at(end + 16, MOST)
    yield "an order of bytes that is no data", at(order + 10, zipfile.ZIP_LZMA, "<H")
    yield "a comment longer than the file", at(end + 20, 0xFFFF, "<H")
    big = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 60, 1 << 60, 1 << 62, 0)
    for name, record, place in (("at 2^62", b"", 1 << 62), ("of 2^60 records", big, end)):
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1)
        yield f"a directory {name}", good[:end] + record + locator + at(end + 16, 0xFFFFFFFF)[end:]


def _bomb(size: int, copies: int) -> bytes:
    """Return a zip of a state of ``copies`` storages of ``size`` MB of zeros, all in one compressed record."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(MEGABYTE)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    deflated, count = block * size + b"\x03\x00", struct.pack("<i", size * MEGABYTE // 4)
    rebuilt = [
        unicode(f"model.{number}.weight")
        + b"ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + b"ctorch\nFloatStorage\n"
        + unicode(str(number)) + unicode("cpu") + b"J" + count + b"tQK\x00J" + count + b"\x85K\x01\x85\x89}tR"
        for number in range(copies)
    ]  # fmt: skip
    names = [f"archive/data/{number}" for number in range(copies)]
    data = zip_of([("archive/data.pkl", whole(b"}(" + b"".join(rebuilt) + b"u")), (names[0], b"")])
    # The record at the end, which is empty, becomes the deflated one, for all names.
    start, at = data.index(b"PK\x01\x02"), data.rindex(b"PK\x03\x04")
    first = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 33, 0, len(deflated), size * MEGABYTE, 14, 0)
    directory = data[start : _entry_of(data, names[0].encode())]
    for name in names:
        sizes = (0, len(deflated), size * MEGABYTE, len(name))
        directory += struct.pack("<4s6H3I", b"PK\x01\x02", 20, 20, 0, 8, 0, 33, *sizes[:3])
        directory += struct.pack("<5HII", sizes[3], 0, 0, 0, 0, 0, at) + name.encode()
    body = data[:at] + first + names[0].encode() + deflated
    total = copies + 1
    return body + directory + struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, total, total, len(directory), len(body), 0)


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    specs, storages = specs_of(state)
    good = zipped(pickled(specs), storages)
    for name, data in lies(good):
        maker.add(f"a zip with {name}", data, refused=name not in HARMLESS)
    maker.add("a gigabyte in a megabyte", _bomb(1024, 1))
    maker.add("a thousand storages of 64 MB in 80 KB", _bomb(64, 1000))
    evil = ("archive/data.pkl", whole(call("os system", unicode(f"touch '{maker.marker}'"))))
    records = [("archive/data.pkl", pickled(specs)), ("archive/version", b"3\n")]
    records += [(f"archive/data/{key}", data) for key, data in storages.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Duplicate name" is meant
        maker.add("two pickles of one name, the evil one first", zip_of([evil, *records]), refused=False)
        maker.add("two pickles of one name, the evil one last", zip_of([*records, evil]), refused=False)
    maker.add("two archives in one zip", zip_of([*records, ("other/data.pkl", evil[1])]), refused=False)
    for place in ABOVE:
        maker.add(f"a record named {place}", zip_of([*records, (place, b"evil")]), refused=False)
    maker.add("a pickle above the folder", zip_of([("archive/../data.pkl", pickled(specs)), *records[1:]]))
    maker.add("no pickle", zip_of(records[1:]))
    maker.add("no storages", zipped(pickled(specs)))
    maker.add("an empty zip", zip_of([]))
    empty = {f"x/{n}": b"" for n in range(20_000)}
    maker.add("20,000 empty records", zipped(pickled(specs), storages, empty), refused=False)
    maker.add("a zip after a megabyte of noise", bytes(range(256)) * 4096 + good, refused=False)
    maker.add("a compressed checkpoint", zip_of(records, zipfile.ZIP_DEFLATED), refused=False)
    for part in (1, 4, 30, 1000, len(good) // 2, len(good) - 22, len(good) - 1):
        maker.add(f"a zip cut after {part} bytes", good[:part])
    maker.add("a zip with a byte of its pickle changed", good.replace(b"_rebuild", b"\x7frebuild", 1))
    maker.add("a checkpoint in a zip", zip_of([("latest_net_G.pth", good)]))
