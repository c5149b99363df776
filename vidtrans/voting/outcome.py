"""Report a vote: the outcome of its log as a table and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.output.result import Result, produce
from vidtrans.session import Context
from vidtrans.voting.ballot import Study
from vidtrans.voting.result_page import write_page
from vidtrans.voting.vote_log import VoteLog
from vidtrans.voting.vote_summary import set_against_critic, summarise

VERSION = 1


@dataclass(frozen=True)
class Material:
    """What a page shows beside the votes.

    Attributes:
        examples: A JPEG file of each condition, by name.
        distances: What the critic measured, by condition and item; None: there is no critic.
        measured: In words, what that is.
    """

    examples: Mapping[str, bytes] = field(default_factory=dict)
    distances: Mapping[tuple[int, int], float] | None = None
    measured: str = ""


def check_page(page: Path, votes: Path, sources: Sequence[Path], study: Study, context: Context) -> None:
    """Raise UsageError if the page or the log cannot be written, or something else than this vote's is at the page."""
    Result(page, "", sources, context, lineage=_lineage(study)).existing()
    Result(votes, "", sources, context).check()


def check_left_out(log: VoteLog, names: Sequence[str]) -> None:
    """Raise UsageError if a person who is left out has not voted."""
    if unknown := [name for name in names if name not in log.votes]:
        remedy = f"give one of {', '.join(log.votes)}" if log.votes else "leave it out"
        raise UsageError(f"--leave-out {unknown[0]}", "nobody of this name has voted", remedy)


def report(
    log: VoteLog,
    output: Path | None,
    left_out: Sequence[str],
    material: Material,
    sources: Sequence[Path],
    context: Context,
) -> Table:
    """Return the outcome of a log without the votes of ``left_out``, and write its page to ``output``.

    Nothing is written if nobody has voted. Raises UsageError if a name of ``left_out`` has no votes, or something else
    is at ``output``.
    """
    check_left_out(log, left_out)
    table = summarise(log, left_out)
    if material.distances is not None:
        table = set_against_critic(table, log, left_out, material.distances, material.measured)
    if output is None or not any(log.votes.values()):
        return {"output": None, "seconds": 0.0, "cached": False} | table
    names = log.study.conditions[:-1] if log.study.is_real else log.study.conditions

    def make(path: Path) -> Table:
        write_page(path, table, f"Vote: {', '.join(names)}", material.examples)
        return {}

    key = {"command": "vote", "version": VERSION, "table": table, "examples": sorted(material.examples)}
    return produce(context, output, key, sources, lambda: make, lineage=_lineage(log.study)) | table


def _lineage(study: Study) -> str:
    """Return the digest that the pages of one vote share: each replaces the one before."""
    return digest_of(["vote", list(study.digests), study.is_real])
