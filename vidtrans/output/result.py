"""Find, make, record and report results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vidtrans.core.costs import after
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.files import digest_of, finish_replacing, link_target, write_atomically
from vidtrans.core.settings import Table
from vidtrans.output.places import check_place
from vidtrans.output.records import record, replaces_own, up_to_date
from vidtrans.session import Context
from vidtrans.video.io.encoding import split_pattern


class Job(Protocol):
    """The interface of a job that makes a result and can estimate its cost."""

    def summary(self, output: Path) -> Table:
        """Return the part of the report that is known before the result is made."""

    def estimate(self) -> Table:
        """Return the estimated cost of the job: time, disk and memory."""

    def render(self, wanted: Result) -> Table:
        """Make the result, record it, and return its report."""


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

    def made(self, prepare: Callable[[], Job]) -> Table:
        """Return the report of the result: the recorded one, or that of the job that ``prepare`` returns.

        ``prepare`` makes all checks, for a dry run too. Raises UsageError if another output is at its path.
        """
        if (existing := self.existing()) is not None:
            return self.report(existing, cached=True)
        job = prepare()
        if self.context.dry_run:
            return self.forecast(job)
        table = job.render(self)
        self.context.trim_cache()
        return self.report(table, cached=False)

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
    """Make a small result in one step, unless it exists.

    Args:
        context: The command's context.
        output: The file or folder.
        request: Everything that affects the result.
        sources: The input files.
        prepare: Makes all checks that need no work, also for a dry run, and returns the function that writes the result
            to a path and returns its report.
        folder: The result is a folder.
        lineage: An existing result of the same lineage is replaced.

    Returns:
        The report of the result.

    Raises:
        UsageError: Something else is at the output, or ``prepare`` raised it.
    """
    if split_pattern(output)[1]:
        why = f"the result is one {'folder' if folder else 'picture'}"
        raise UsageError(str(output), why, "leave out the number in its name")
    result = Result(output, digest_of(request), sources, context, folder, lineage)
    if (existing := result.existing()) is not None:
        return result.report(existing, cached=True)
    make = prepare()
    if context.dry_run:
        return result.report({"frames": 0, "dry_run": True}, cached=False)
    try:
        table = result.write(make)
    except Interrupted as error:
        error.why = "nothing was written"  # it takes seconds, and begins anew
        raise
    return result.report(table, cached=False)
