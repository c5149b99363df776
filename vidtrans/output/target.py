"""Results: never half-written, never overwritten unless asked, recognised when they are asked for again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vidtrans.errors import Interrupted, UsageError
from vidtrans.files import (
    digest_file,
    digest_of,
    link_target,
    look_anew,
    read_small_json,
    special_file_kind,
    write_atomically,
    write_json,
)
from vidtrans.partials import partial_path
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.cache import Cache
from vidtrans.system import is_too_long, name_fault, name_length, name_limit, path_key, path_limit
from vidtrans.video.io.encoding import split_pattern

COUNTS = ("frames_extracted", "frames_inferred", "frames_spared", "frames_encoded")  # of what was done this time


def _record_path(cache: Cache, output: Path) -> Path:
    # Relative to the cache's folder: a working folder that is moved keeps its records.
    place = os.path.relpath(output.resolve(), cache.root.resolve().parent)
    name = hashlib.sha256(place.encode()).hexdigest()
    return cache.root / "outputs" / f"{name}.json"


def _look_anew(output: Path) -> None:
    """Make a file server say again whether an output is there: another host may have made it."""
    look_anew(link_target(output).parent)


def _read(cache: Cache, output: Path) -> Table:
    """The record of an output. Raises ValueError (as JSON does), KeyError or OSError where there is no whole one."""
    path = _record_path(cache, output)
    look_anew(path.parent)  # another host may have written it
    value: Table = read_small_json(path)
    if value.pop("sha256") != digest_of(value):
        raise ValueError("the record changed")
    return value


def _is_known(cache: Cache, folder: Path) -> bool:
    """Whether a folder of pictures was made here, and everything in it has a name that was written then."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read(cache, folder)
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*")} <= set(value["names"])
    return False


def recorded(cache: Cache, output: Path) -> Table | None:
    """Return the record of an output, if its content is still what was written."""
    if special_file_kind(output):
        return None
    _look_anew(output)
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read(cache, output)
        if _digest(output, cache.digest) == value["digest"]:
            return value
    return None


def replaces_own(cache: Cache, output: Path, lineage: str) -> bool:
    """Return whether an output is of a lineage, so that what goes on from it may take its place."""
    made = recorded(cache, output) if lineage else None
    return made is not None and made["lineage"] == lineage


def _names(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _digest(output: Path, of_file: Callable[[Path], str]) -> str:
    """The digest of a file, or of all files in a folder of pictures."""
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
) -> None:
    """Remember that ``request`` made ``output``, and what was reported of it.

    Call it when the content is whole and still has its temporary name, ``written``: a run that is killed after the
    rename has its record, and a record without an output does no harm. ``lineage``: the same for requests whose results
    go on from one another. ``made_of``: what it takes to make it again.
    """
    cache.prepare()
    # Not with the cache's digests: they would remember the temporary name.
    value: Table = {"digest": _digest(written, digest_file), "request": request, "result": result, "lineage": lineage}
    value["made_of"] = made_of or {}
    if written.is_dir():
        value["names"] = _names(written)
    plain = json.loads(json.dumps(value))  # as it will be read
    write_json(_record_path(cache, output), plain | {"sha256": digest_of(plain)})
    cache.save_digests()


def check_place(output: Path, sources: Sequence[Path], *, folder: bool = False) -> None:
    """Raise UsageError where a file (or a ``folder``) cannot be written there, or is one of the sources."""
    check_parents(output)
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(str(output), "the output is one of the inputs", "choose another name with -o")
        if folder and path_key(output) in map(path_key, source.resolve().parents):
            raise UsageError(str(output), "the output folder holds one of the inputs", "choose another with -o")
    if special_file_kind(output):
        raise UsageError(str(output), "it is a device or a pipe, not a file", "choose another name with -o")
    if output.is_dir() and not folder:
        raise UsageError(str(output), "the output is an existing folder", "give a file name with -o")
    if output.exists() and folder and not output.is_dir():
        raise UsageError(str(output), "it is a file, and the result a folder of pictures", "choose another with -o")
    target = link_target(output)
    if not folder and target.suffix.lower() != output.suffix.lower():  # the ending decides what is written
        why = f"a link to '{target}', which does not end in {output.suffix}"
        raise UsageError(str(output), why, "choose another name with -o, or link to a file with that ending")


def check_named(output: Path) -> None:
    """Raise UsageError where an output is a place, as ``..`` is, and not a name."""
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the result a name")


def refuse_link(output: Path) -> Path:
    """Return the path of a result whose name nobody gave with -o.

    Raises:
        UsageError: a link has that name. Whoever put it there would choose where to write.
    """
    if output.is_symlink():
        why = "it is a link, and links are followed only where -o names them"
        raise UsageError(str(output), why, "remove it, or choose another place with -o")
    return output


def check_parents(output: Path) -> None:
    """Raise UsageError where a file stands in the place of a folder, or a name or a link cannot be followed."""
    _check_name(output)
    place = link_target(output)
    if output.is_symlink() and not place.parent.exists():
        # An unmounted disk, as a rule: no folder is made in its place.
        why = f"a link into '{place.parent}', which is not there"
        raise UsageError(str(output), why, "choose another place with -o")
    for parent in place.absolute().parents:
        if parent.is_symlink() and not parent.exists():
            raise UsageError(str(output), f"'{parent}' is a link to nothing", "choose another place with -o")
        if parent.exists() and not parent.is_dir():
            raise UsageError(str(output), f"'{parent}' is a file, not a folder", "choose another place with -o")


def _check_name(output: Path) -> None:
    """Raise UsageError where a name is longer than the file system allows, or links lead back to themselves."""
    limit = name_limit(output.parent)
    for part in output.parts:
        if name_length(part) > limit:
            why = f"a name of {name_length(part)} bytes, and {limit} is the most"
            raise UsageError(str(output), why, "use a shorter name with -o")
        if part != output.anchor and (fault := name_fault(part)):
            raise UsageError(str(output), fault, "use another name with -o")
    if output.name and is_too_long(str(partial_path(output))):
        why = f"with its temporary name the path has more than the {path_limit()} characters that Windows takes"
        raise UsageError(str(output), why, "use a shorter one with -o, or switch on long paths")
    try:
        output.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(str(output), "a link that leads back to itself", "choose another name with -o") from None
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(str(output), "the whole path is too long", "use a shorter one with -o") from None


def _check_replaceable(cache: Cache, output: Path) -> None:
    """Raise UsageError where --overwrite would delete files that are no result: a folder is replaced whole."""
    if output.is_dir() and not _is_known(cache, output):
        raise UsageError(str(output), "it holds files that are no result of this command", "choose another with -o")


def check_foreign(cache: Cache, output: Path, overwrite: bool) -> None:
    """Raise UsageError where the output is something that is not on record, before work is spent on it."""
    check_parents(output)
    _look_anew(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    _check_replaceable(cache, output)
    if not overwrite and recorded(cache, output) is None:
        raise UsageError(str(output), "it exists", "use --overwrite, or another name with -o")


def up_to_date(
    cache: Cache, output: Path, request: str, sources: Sequence[Path], overwrite: bool, *, folder: bool = False
) -> Table | None:
    """Return the recorded result, if ``output`` is what ``request`` makes; None if it has to be made.

    ``folder``: the output is a folder of pictures. Raises UsageError where it is one of the sources, is of the wrong
    kind, or is something else that exists and ``overwrite`` was not asked for.
    """
    _look_anew(output)
    check_place(output, sources, folder=folder)
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


def produce(
    context: Context,
    output: Path,
    request: Table,
    sources: Sequence[Path],
    make: Callable[[Path], Table],
    *,
    folder: bool = False,
    lineage: str = "",
) -> Table:
    """Make a small result in one go, unless it is there: ``make`` writes it to the path that it is given.

    ``request`` says all that decides the result, which is a file, or a ``folder``; a result of the same ``lineage`` is
    replaced. Returns what is reported of it. Raises UsageError.
    """
    began = time.monotonic()
    if split_pattern(output)[1]:
        raise UsageError(str(output), f"this is one {'folder' if folder else 'picture'}", "leave the number out")
    digest = digest_of(request)
    overwrite = context.overwrite or replaces_own(context.cache, output, lineage)
    table = up_to_date(context.cache, output, digest, sources, overwrite, folder=folder)
    cached = table is not None
    if table is None:
        if context.dry_run:
            return {"output": str(output), "frames": 0, "seconds": 0.0, "cached": False, "dry_run": True}
        try:
            with write_atomically(link_target(output)) as temporary:
                table = make(temporary)
                record(context.cache, output, temporary, digest, table, lineage)
        except Interrupted as error:
            error.why = "nothing was written"  # it takes seconds, and begins anew
            raise
    return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": cached}
