"""Results of commands: checks of their output paths, and their creation, records and reports.

Every command that writes a result uses ``Result.produce`` or, for small results, ``produce``.
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

from vidtrans.core.costs import add_seconds
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.files import (
    digest_file,
    digest_of,
    finish_replacing,
    link_target,
    partial_path,
    read_small_json,
    refresh_folder_listing,
    special_file_kind,
    write_atomically,
    write_json,
)
from vidtrans.core.settings import Table
from vidtrans.core.system import (
    is_too_long,
    max_name_length,
    max_path_length,
    name_length,
    path_key,
    windows_name_problem,
)
from vidtrans.session import Context
from vidtrans.store.cache import Cache
from vidtrans.video.io.encoding import split_pattern

# Keys of a result's report with numbers of frames that this execution processed; 0 if the result was up to date
COUNTS = ("frames_extracted", "frames_inferred", "frames_spared", "frames_encoded")


def check_place(output: Path, sources: Sequence[Path], *, folder: bool = False) -> None:
    """Raise UsageError if the output cannot be written as a file (or a ``folder``), or is one of the sources."""
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
    if not folder and target.suffix.lower() != output.suffix.lower():  # The suffix decides the format
        why = f"it is a link to '{target}', which does not end in {output.suffix}"
        raise UsageError(str(output), why, "choose another name with -o, or link to a file with that ending")


def check_named(output: Path) -> None:
    """Raise UsageError if an output path does not end in a file name, for example in ".."."""
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it does not end in a name", "add the name of the result")


def refuse_link(output: Path) -> Path:
    """Return a path that was not given by -o, unchanged. Raises UsageError for a link, which others may have made."""
    if output.is_symlink():
        why = "it is a link, and links are followed only if they are given with -o"
        raise UsageError(str(output), why, "remove it, or choose another place with -o")
    return output


def check_parents(output: Path) -> None:
    """Raise UsageError if a parent folder of a path is a file or not writable, or a name or a link is not valid."""
    _check_name(output)
    place = link_target(output)
    if output.is_symlink() and not place.parent.exists():
        # The link's target is probably on an unmounted disk, so no folder is created in its place.
        why = f"it is a link into '{place.parent}', which does not exist"
        raise UsageError(str(output), why, "choose another place with -o")
    for parent in place.absolute().parents:
        if parent.is_symlink() and not parent.exists():
            raise UsageError(str(output), f"'{parent}' is a link to nothing", "choose another place with -o")
        if parent.exists() and not parent.is_dir():
            raise UsageError(str(output), f"'{parent}' is a file, not a folder", "choose another place with -o")
    folder = next(parent for parent in place.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK) or _is_kernel_folder(folder):
        raise UsageError(str(output), f"no file can be written into '{folder}'", "choose another place with -o")


def _is_kernel_folder(folder: Path) -> bool:
    """Return whether a folder is in a file system of the kernel such as /proc, where even root cannot write files."""
    if shutil.disk_usage(folder).total:
        return False
    try:  # Some network drives do not report their size either
        with TemporaryFile(dir=folder):
            return False
    except OSError:
        return True


def _check_name(output: Path) -> None:
    """Raise UsageError if a name in a path is too long for the file system, or links form a loop."""
    limit = max_name_length(output.parent)
    for part in output.parts:
        if name_length(part) > limit:
            why = f"a name in it has {name_length(part)} bytes, and {limit} is the most"
            raise UsageError(str(output), why, "use a shorter name with -o")
        if part != output.anchor and (fault := windows_name_problem(part)):
            raise UsageError(str(output), fault, "use another name with -o")
    if output.name and is_too_long(str(partial_path(output))):
        why = f"with its temporary name the path has more than the {max_path_length()} characters that Windows takes"
        raise UsageError(str(output), why, "use a shorter path with -o, or switch on long paths in Windows")
    try:
        output.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(str(output), "it is a link back to itself", "choose another name with -o") from None
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(str(output), "the whole path is too long", "use a shorter path with -o") from None


def _record_path(cache: Cache, output: Path) -> Path:
    """Return the path of an output's record in the cache."""
    # The path is relative to the folder that contains the cache, so that records stay valid if this folder is moved.
    place = os.path.relpath(output.resolve(), cache.root.resolve().parent)
    name = hashlib.sha256(place.encode()).hexdigest()
    return cache.root / "outputs" / f"{name}.json"


def _refresh_folder(output: Path) -> None:
    """Refresh this host's view of the output's shared folder, because another host may have written the output."""
    refresh_folder_listing(link_target(output).parent)


def _read_record(cache: Cache, output: Path) -> Table:
    """Read the record of an output. Raises ValueError, KeyError or OSError if it is missing or damaged."""
    path = _record_path(cache, output)
    refresh_folder_listing(path.parent)  # Another host may have written the record
    value: Table = read_small_json(path)
    if value.pop("sha256") != digest_of(value):
        raise ValueError("the record changed")
    return value


def is_result_folder(cache: Cache, folder: Path) -> bool:
    """Return whether a folder has a record and contains only files that the record lists."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read_record(cache, folder)
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*")} <= set(value["names"])
    return False


def recorded(cache: Cache, output: Path) -> Table | None:
    """Return the record of an output whose content has not changed since the record was written; else None."""
    if special_file_kind(output):
        return None
    _refresh_folder(output)
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = _read_record(cache, output)
        if _content_digest(output, cache.digest) == value["digest"]:
            return value
    return None


def replaces_own(cache: Cache, output: Path, lineage: str) -> bool:
    """Return whether an output is unchanged and has this ``lineage``, so that its continuation may replace it.

    ``lineage``: a digest shared by requests whose results continue one another, such as corrections of one result.
    """
    existing = recorded(cache, output) if lineage else None
    return existing is not None and existing["lineage"] == lineage


def _file_names(folder: Path) -> list[str]:
    """Return the relative paths of all files in a folder, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _content_digest(output: Path, of_file: Callable[[Path], str]) -> str:
    """Return the digest of a file, or of a folder's file names and contents. ``of_file(path)``: a file's digest."""
    if output.is_dir():
        return digest_of([[name, of_file(output / name)] for name in _file_names(output)])
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
    """Write the record of ``output``: the digest of its ``request``, its report table ``result``, and its content.

    Call it when the content is complete under its temporary path, ``written``: if the process is killed after the
    rename, the record exists, and a record without an output is harmless. ``lineage``: a digest shared by requests
    whose results continue one another. ``made_of``: the inputs from which the result can be made again. ``line``: the
    words of the command line.
    """
    cache.prepare()
    # Use ``digest_file``, not ``cache.digest``, which would store a digest under the temporary name.
    value: Table = {
        "digest": _content_digest(written, digest_file),
        "request": request,
        "result": result,
        "lineage": lineage,
    }
    value["made_of"] = made_of or {}
    value["line"] = [*line]
    if written.is_dir():
        value["names"] = _file_names(written)
    json_value = json.loads(json.dumps(value))  # Converts tuples and keys, so that the digest matches when read
    write_json(_record_path(cache, output), json_value | {"sha256": digest_of(json_value)})
    cache.save_digests()


def _check_replaceable(cache: Cache, output: Path) -> None:
    """Raise UsageError if an output folder has files that no record lists, and that --overwrite would delete."""
    if output.is_dir() and not is_result_folder(cache, output):
        raise UsageError(
            str(output), "it holds files that are not results of this command", "choose another place with -o"
        )


def check_foreign(cache: Cache, output: Path, overwrite: bool) -> None:
    """Raise UsageError if the output exists without a valid record, unless ``overwrite`` allows replacing it."""
    check_parents(output)
    _refresh_folder(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    _check_replaceable(cache, output)
    if not overwrite and recorded(cache, output) is None:
        raise UsageError(str(output), "it exists", "use --overwrite, or another name with -o")


def up_to_date(cache: Cache, output: Path, request: str, overwrite: bool, *, folder: bool = False) -> Table | None:
    """Return the recorded report if ``output`` is the result of ``request``; None if the result has to be made.

    ``folder``: the output is a folder of pictures. Raises UsageError if another output exists and ``overwrite`` is
    false.
    """
    _refresh_folder(output)
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
    """The interface of a job that can estimate its time, disk space and memory."""

    def summary(self, output: Path) -> Table:
        """Return the entries of the report that are known before the result exists. ``output``: the result's path."""

    def estimate(self) -> Table:
        """Estimate the time, disk space and memory of the job."""


@dataclass(frozen=True)
class Work:
    """What a command does after all checks: a function that makes a result, and one that forecasts it in a dry run.

    Attributes:
        make: Makes a result, records it, and returns its report.
        forecast: Returns the report of a dry run.
        fills_cache: The work writes to the cache, so trim the cache afterwards.
    """

    make: Callable[[Result], Table]
    forecast: Callable[[], Table]
    fills_cache: bool = True


@dataclass(frozen=True)
class Result:
    """A requested result: its output path, its inputs, and the digest that identifies it.

    Attributes:
        output: The file or folder.
        request: The digest of everything that affects the result.
        sources: The input files.
        context: The command's context.
        folder: The output is a folder.
        lineage: A digest shared by requests whose results continue one another; '' if nothing continues it.
        overwrite: Replace an existing output; None: only with --overwrite, or if it has the same lineage.
        made_of: The inputs from which the result can be made again, for the record.
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
        """Raise UsageError if the output is one of the sources, or an existing folder or file of the wrong kind."""
        check_place(self.output, self.sources, folder=self.folder)

    def existing(self) -> Table | None:
        """Return the recorded report if the result exists, else None. Raises UsageError if another output is there."""
        self.check()
        if not self.context.dry_run:
            finish_replacing(link_target(self.output))
        return self._recorded()

    def _recorded(self) -> Table | None:
        """Return the recorded report if the result is up to date; None if it has to be made. Raises UsageError."""
        cache, overwrite = self.context.cache, self.overwrite
        if overwrite is None:
            overwrite = self.context.overwrite or replaces_own(cache, self.output, self.lineage)
        return up_to_date(cache, self.output, self.request, overwrite, folder=self.folder)

    def produce(self, prepare: Callable[[], Work]) -> Table:
        """Make the result unless it exists; return its report. ``prepare``: see ``produce_all``."""
        [table] = produce_all([self], prepare)
        return table

    def write(self, make: Callable[[Path], Table]) -> Table:
        """Make the result under a temporary name, record it, and rename it; return its report.

        ``make`` writes the result to a path and returns the report. Raises UsageError if another output has been
        created since the checks.
        """
        self.check()
        self._recorded()
        with write_atomically(link_target(self.output)) as temporary:
            table = make(temporary)
            cache, line = self.context.cache, self.context.line
            record(cache, self.output, temporary, self.request, table, self.lineage, self.made_of, line)
        return table

    def forecast(self, job: Job) -> Table:
        """Return the report of a dry run: the job's summary with estimates of time, disk space and memory."""
        estimate = add_seconds(time.monotonic() - self.began, job.estimate())
        return job.summary(self.output) | {"dry_run": True} | estimate

    def report(self, table: Table, *, cached: bool) -> Table:
        """Add the output path, the seconds and ``cached`` to a report. ``cached``: the result was not made again."""
        seconds = round(time.monotonic() - self.began, 3)
        return table | {"output": str(self.output), "seconds": seconds, "cached": cached}


def produce_all(results: Sequence[Result], prepare: Callable[[], Work]) -> list[Table]:
    """Make the results of a command that do not exist yet; return all reports.

    ``prepare`` makes all checks, also in a dry run, and returns the work. A dry run returns one report, the forecast of
    the work. Raises UsageError if the path of a result has another output.
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
    """Make a small result in one step, unless the result exists; return its report.

    ``request``: everything that affects the result. ``sources``: the input files. ``prepare``: makes all quick checks,
    also in a dry run, and returns the function that writes the result to a path and returns its report. ``folder``: the
    result is a folder. ``lineage``: an existing result with the same lineage is replaced. Raises UsageError if another
    output exists.
    """
    if split_pattern(output)[1]:
        why = f"the result is one {'folder' if folder else 'picture'}"
        raise UsageError(str(output), why, "leave out the number in its name")
    result = Result(output, digest_of(request), sources, context, folder, lineage)

    def work() -> Work:
        """Make the quick checks; return the function that writes the result."""
        make = prepare()

        def write(result: Result) -> Table:
            """Write the result; an interruption reports that nothing was written."""
            try:
                return result.write(make)
            except Interrupted as error:
                error.why = "nothing was written"  # Small results do not resume
                raise

        return Work(write, lambda: result.report({"frames": 0, "dry_run": True}, cached=False), fills_cache=False)

    return result.produce(work)
