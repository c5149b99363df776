"""Records of results in the cache: they recognise a result that is requested again, and protect other files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import (
    digest_file,
    digest_of,
    link_target,
    look_anew,
    read_small_json,
    special_file_kind,
    write_json,
)
from vidtrans.core.settings import Table
from vidtrans.output.places import check_parents
from vidtrans.store.cache import Cache

COUNTS = ("frames_extracted", "frames_inferred", "frames_spared", "frames_encoded")  # of what was done this time


def _record_path(cache: Cache, output: Path) -> Path:
    # Relative to the cache's folder: a working folder that is moved keeps its records.
    place = os.path.relpath(output.resolve(), cache.root.resolve().parent)
    name = hashlib.sha256(place.encode()).hexdigest()
    return cache.root / "outputs" / f"{name}.json"


def _look_anew(output: Path) -> None:
    """Refresh this host's cached information about a shared folder, since another host may have made the output."""
    look_anew(link_target(output).parent)


def _read(cache: Cache, output: Path) -> Table:
    """Return the record of an output. Raises ValueError, KeyError or OSError if it is missing or damaged."""
    path = _record_path(cache, output)
    look_anew(path.parent)  # another host may have written it
    value: Table = read_small_json(path)
    if value.pop("sha256") != digest_of(value):
        raise ValueError("the record changed")
    return value


def is_result_folder(cache: Cache, folder: Path) -> bool:
    """Return whether a folder has a record and contains only files that are listed in it."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read(cache, folder)
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*")} <= set(value["names"])
    return False


def recorded(cache: Cache, output: Path) -> Table | None:
    """Return the record of an output whose content has not changed since it was written; else None."""
    if special_file_kind(output):
        return None
    _look_anew(output)
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read(cache, output)
        if _digest(output, cache.digest) == value["digest"]:
            return value
    return None


def replaces_own(cache: Cache, output: Path, lineage: str) -> bool:
    """Return whether an output is unchanged and of a ``lineage``, so that its continuation may replace it."""
    made = recorded(cache, output) if lineage else None
    return made is not None and made["lineage"] == lineage


def _names(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _digest(output: Path, of_file: Callable[[Path], str]) -> str:
    """Return the digest of a file, or of a folder's file names and files; ``of_file`` digests a file."""
    if output.is_dir():
        return digest_of([[name, of_file(output / name)] for name in _names(output)])
    return of_file(output)


def record(
    cache: Cache,
    output: Path,
    written: Path,
    request: str,
    result: Table,
    lineage: str = "",
    made_of: Table | None = None,
    line: Sequence[str] = (),
) -> None:
    """Record that ``request`` made ``output``, with its report table ``result``.

    Call it when the content is complete under its temporary path, ``written``: a run that is killed after the rename
    then has its record, and a record without an output is harmless. ``lineage``: shared by requests whose results
    continue one another. ``made_of``: the inputs for making the result again. ``line``: the words of its command line.
    """
    cache.prepare()
    # Not with the cache's digests: they would remember the temporary name.
    value: Table = {"digest": _digest(written, digest_file), "request": request, "result": result, "lineage": lineage}
    value["made_of"] = made_of or {}
    value["line"] = [*line]
    if written.is_dir():
        value["names"] = _names(written)
    plain = json.loads(json.dumps(value))  # as it will be read
    write_json(_record_path(cache, output), plain | {"sha256": digest_of(plain)})
    cache.save_digests()


def _check_replaceable(cache: Cache, output: Path) -> None:
    """Raise UsageError if an output folder has files without a record, which --overwrite would delete with it."""
    if output.is_dir() and not is_result_folder(cache, output):
        raise UsageError(
            str(output), "it holds files that are not results of this command", "choose another place with -o"
        )


def check_foreign(cache: Cache, output: Path, overwrite: bool) -> None:
    """Raise UsageError if the output is a file or folder without a record, which ``overwrite`` does not allow."""
    check_parents(output)
    _look_anew(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    _check_replaceable(cache, output)
    if not overwrite and recorded(cache, output) is None:
        raise UsageError(str(output), "it exists", "use --overwrite, or another name with -o")


def up_to_date(cache: Cache, output: Path, request: str, overwrite: bool, *, folder: bool = False) -> Table | None:
    """Return the recorded result if ``output`` is the result of ``request``; None if it has to be made.

    ``folder``: the output is a folder of pictures. Raises UsageError if another output exists and ``overwrite`` is
    false.
    """
    _look_anew(output)
    if not output.exists() or (folder and not any(output.iterdir())):
        return None
    existing = recorded(cache, output)
    if existing and existing["request"] == request:
        result: Table = existing["result"]
        return result | {k: 0 for k in result if k in COUNTS}
    _check_replaceable(cache, output)
    if overwrite:
        return None
    why = "it exists, made with other inputs or options" if existing else "it exists"
    raise UsageError(str(output), why, "use --overwrite, or another name with -o")
