"""Results: find, make, record and name them."""

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
    """What makes a result, and can say what that takes."""

    def summary(self, output: Path) -> Table:
        """Return what is reported of the result before it is made."""

    def estimate(self) -> Table:
        """Return its cost."""


@dataclass(frozen=True)
class Result:
    """A result that is asked for.

    Attributes:
        output: The file or folder.
        request: The digest of all that decides it.
        sources: The files that it is made of.
        context: Of the command.
        folder: It is a folder.
        lineage: The same for requests whose results go on from one another.
        overwrite: What is there may be replaced; None: where the command says so, or it is of the same lineage.
        made_of: What it takes to make it again, for the record.
        began: When it was asked for, in seconds of ``time.monotonic``.
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
        """Raise UsageError where the output is one of the sources, or of the wrong kind."""
        check_place(self.output, self.sources, folder=self.folder)

    def existing(self) -> Table | None:
        """Return what was reported of the result, if it is there. Raises UsageError where something else is there."""
        self.check()
        if not self.context.dry_run:
            finish_replacing(link_target(self.output))
        return self._recorded()

    def _recorded(self) -> Table | None:
        cache, overwrite = self.context.cache, self.overwrite
        if overwrite is None:
            overwrite = self.context.overwrite or replaces_own(cache, self.output, self.lineage)
        return up_to_date(cache, self.output, self.request, overwrite, folder=self.folder)

    def write(self, make: Callable[[Path], Table]) -> Table:
        """Give the result its name when it is complete and on record; return what is reported of it.

        ``make`` writes it to the path that it is given, and returns what is reported. Raises UsageError where something
        else has appeared there meanwhile.
        """
        self.check()
        self._recorded()
        with write_atomically(link_target(self.output)) as temporary:
            table = make(temporary)
            record(self.context.cache, self.output, temporary, self.request, table, self.lineage, self.made_of)
        return table

    def forecast(self, job: Job) -> Table:
        """Return what is reported of a dry run."""
        estimate = after(time.monotonic() - self.began, job.estimate())
        return job.summary(self.output) | {"dry_run": True} | estimate

    def report(self, table: Table, *, cached: bool) -> Table:
        """Complete what is reported with output, seconds and ``cached``."""
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
    """Make a small result in one go, unless it is there.

    Args:
        context: Of the command.
        output: The file or folder.
        request: All that decides the result.
        sources: The files that are read.
        prepare: Checks all that can be checked without work, for a dry run, too, and returns what writes the result to
            a path and reports of it.
        folder: The result is a folder.
        lineage: A result of the same one is replaced.

    Returns:
        What is reported of the result.

    Raises:
        UsageError: something else is in its place, or what ``prepare`` raises.
    """
    if split_pattern(output)[1]:
        raise UsageError(str(output), f"this is one {'folder' if folder else 'picture'}", "leave the number out")
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
