"""Results of commands: where they may be written, how they are made once, recorded, found again and reported.

``Result.produce`` and, for small results, ``produce`` are the way of every command that writes something.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from vidtrans.core.costs import after
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.files import (
    digest_file,
    digest_of,
    finish_replacing,
    link_target,
    look_anew,
    partial_path,
    read_small_json,
    special_file_kind,
    write_atomically,
    write_json,
)
from vidtrans.core.settings import Table
from vidtrans.core.system import is_too_long, name_fault, name_length, name_limit, path_key, path_limit
from vidtrans.session import Context
from vidtrans.store.cache import Cache
from vidtrans.video.io.encoding import split_pattern

COUNTS = ("frames_extracted", "frames_inferred", "frames_spared", "frames_encoded")  # of what was done this time


def check_place(output: Path, sources: Sequence[Path], *, folder: bool = False) -> None:
    """Raise UsageError if a file (or a ``folder``) cannot be written at a path, or the path is a source."""
    check_parents(output)
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(str(output), "the output is one of the inputs", "choose another name with -o")
        if folder and path_key(output) in map(path_key, source.resolve().parents):
            raise UsageError(str(output), "the output folder holds one of the inputs", "choose another place with -o")
    if special_file_kind(output):
        raise UsageError(str(output), "it is a device or a pipe, not a file", "choose another name with -o")
    if output.is_dir() and not folder:
        raise UsageError(str(output), "the output is an existing folder", "give a file name with -o")
    if output.exists() and folder and not output.is_dir():
        raise UsageError(
            str(output), "it is a file, but the result is a folder of pictures", "choose another place with -o"
        )
    target = link_target(output)
    if not folder and target.suffix.lower() != output.suffix.lower():  # the ending decides what is written
        why = f"it is a link to '{target}', which does not end in {output.suffix}"
        raise UsageError(str(output), why, "choose another name with -o, or link to a file with that ending")


def check_named(output: Path) -> None:
    """Raise UsageError if the last part of an output path is no name, as in ``..``."""
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it does not end in a name", "add the name of the result")


def refuse_link(output: Path) -> Path:
    """Return a path that was not given with -o. Raises UsageError for a link, which another person may have made."""
    if output.is_symlink():
        why = "it is a link, and links are followed only if they are given with -o"
        raise UsageError(str(output), why, "remove it, or choose another place with -o")
    return output


def check_parents(output: Path) -> None:
    """Raise UsageError if a parent of a path is a file, or a name or a link is not valid."""
    _check_name(output)
    place = link_target(output)
    if output.is_symlink() and not place.parent.exists():
        # An unmounted disk, as a rule: no folder is made in its place.
        why = f"it is a link into '{place.parent}', which does not exist"
        raise UsageError(str(output), why, "choose another place with -o")
    for parent in place.absolute().parents:
        if parent.is_symlink() and not parent.exists():
            raise UsageError(str(output), f"'{parent}' is a link to nothing", "choose another place with -o")
        if parent.exists() and not parent.is_dir():
            raise UsageError(str(output), f"'{parent}' is a file, not a folder", "choose another place with -o")
    folder = next(parent for parent in place.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK) or _takes_no_files(folder):
        raise UsageError(str(output), f"no file can be written into '{folder}'", "choose another place with -o")


def _takes_no_files(folder: Path) -> bool:
    """Return whether a folder is of a file system of the kernel, as /proc, where even root cannot write files."""
    if shutil.disk_usage(folder).total:
        return False
    try:  # some network drives do not tell their size
        with TemporaryFile(dir=folder):
            return False
    except OSError:
        return True


def _check_name(output: Path) -> None:
    """Raise UsageError if a name is too long for the file system, or links form a loop."""
    limit = name_limit(output.parent)
    for part in output.parts:
        if name_length(part) > limit:
            why = f"a name in it has {name_length(part)} bytes, and {limit} is the most"
            raise UsageError(str(output), why, "use a shorter name with -o")
        if part != output.anchor and (fault := name_fault(part)):
            raise UsageError(str(output), fault, "use another name with -o")
    if output.name and is_too_long(str(partial_path(output))):
        why = f"with its temporary name the path has more than the {path_limit()} characters that Windows takes"
        raise UsageError(str(output), why, "use a shorter path with -o, or switch on long paths in Windows")
    try:
        output.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(str(output), "it is a link back to itself", "choose another name with -o") from None
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(str(output), "the whole path is too long", "use a shorter path with -o") from None


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


class Job(Protocol):
    """The interface of a job that can estimate its cost."""

    def summary(self, output: Path) -> Table:
        """Return the part of the report that is known before the result is made."""

    def estimate(self) -> Table:
        """Return the estimated cost of the job: time, disk and memory."""


@dataclass(frozen=True)
class Work:
    """How results are made, after all checks.

    Attributes:
        make: Makes a result, records it, and returns its report.
        forecast: Returns the report of a dry run.
        fills_cache: Whether the cache is trimmed afterwards.
    """

    make: Callable[[Result], Table]
    forecast: Callable[[], Table]
    fills_cache: bool = True


@dataclass(frozen=True)
class Result:
    """A requested result.

    Attributes:
        output: The file or folder.
        request: The digest of everything that affects it.
        sources: The input files.
        context: The command's context.
        folder: Whether it is a folder.
        lineage: A digest shared by requests whose results continue one another; '' without.
        overwrite: Whether to replace an existing output; None: if --overwrite is given or it is of the same lineage.
        made_of: The inputs for making it again, for the record.
        began: The time of the request, in seconds of ``time.monotonic``.
    """

    output: Path
    request: str
    sources: Sequence[Path]
    context: Context
    folder: bool = False
    lineage: str = ""
    overwrite: bool | None = None
    made_of: Table = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise UsageError if the output is one of the sources, or of the wrong kind."""
        check_place(self.output, self.sources, folder=self.folder)

    def existing(self) -> Table | None:
        """Return the recorded report of the result, or None. Raises UsageError if another output is at its path."""
        self.check()
        if not self.context.dry_run:
            finish_replacing(link_target(self.output))
        return self._recorded()

    def _recorded(self) -> Table | None:
        cache, overwrite = self.context.cache, self.overwrite
        if overwrite is None:
            overwrite = self.context.overwrite or replaces_own(cache, self.output, self.lineage)
        return up_to_date(cache, self.output, self.request, overwrite, folder=self.folder)

    def produce(self, prepare: Callable[[], Work]) -> Table:
        """Return the report of the result; see ``produce_all``."""
        [table] = produce_all([self], prepare)
        return table

    def write(self, make: Callable[[Path], Table]) -> Table:
        """Make the result, record it, and then give it its final name; return its report.

        ``make`` writes it to the path that it is given, and returns the report. Raises UsageError if another
        output has been created at its path meanwhile.
        """
        self.check()
        self._recorded()
        with write_atomically(link_target(self.output)) as temporary:
            table = make(temporary)
            cache, line = self.context.cache, self.context.line
            record(cache, self.output, temporary, self.request, table, self.lineage, self.made_of, line)
        return table

    def forecast(self, job: Job) -> Table:
        """Return the report of a dry run: the job's summary and estimated cost."""
        estimate = after(time.monotonic() - self.began, job.estimate())
        return job.summary(self.output) | {"dry_run": True} | estimate

    def report(self, table: Table, *, cached: bool) -> Table:
        """Return a report completed by output, seconds and ``cached``: it was not made again."""
        seconds = round(time.monotonic() - self.began, 3)
        return table | {"output": str(self.output), "seconds": seconds, "cached": cached}


def produce_all(results: Sequence[Result], prepare: Callable[[], Work]) -> list[Table]:
    """Return the reports of a command's results: the recorded ones, or those of the work that ``prepare`` returns.

    ``prepare`` makes all checks, for a dry run too, whose one report is the work's forecast. Results that exist are not
    made again. Raises UsageError if another output is at the path of one.
    """
    tables, context = [result.existing() for result in results], results[0].context
    is_cached = None not in tables
    if not is_cached:
        work = prepare()
        if context.dry_run:
            return [work.forecast()]
        tables = [work.make(result) if table is None else table for result, table in zip(results, tables, strict=True)]
        if work.fills_cache:
            context.trim_cache()
    return [result.report(table or {}, cached=is_cached) for result, table in zip(results, tables, strict=True)]


def produce(
    context: Context,
    output: Path,
    request: Table,
    sources: Sequence[Path],
    prepare: Callable[[], Callable[[Path], Table]],
    *,
    folder: bool = False,
    lineage: str = "",
) -> Table:
    """Make a small result in one step, unless it exists; return its report.

    ``request``: everything that affects it. ``sources``: the input files. ``prepare``: makes all checks that need no
    work, also for a dry run, and returns the function that writes the result to a path and returns its report.
    ``folder``: the result is a folder. ``lineage``: an existing result of the same lineage is replaced. Raises
    UsageError if something else is at the output.
    """
    if split_pattern(output)[1]:
        why = f"the result is one {'folder' if folder else 'picture'}"
        raise UsageError(str(output), why, "leave out the number in its name")
    result = Result(output, digest_of(request), sources, context, folder, lineage)

    def work() -> Work:
        make = prepare()

        def write(wanted: Result) -> Table:
            try:
                return wanted.write(make)
            except Interrupted as error:
                error.why = "nothing was written"  # it takes seconds, and begins anew
                raise

        return Work(write, lambda: result.report({"frames": 0, "dry_run": True}, cached=False), fills_cache=False)

    return result.produce(work)
