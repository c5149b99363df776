"""The log of votes: a text file with one JSON object per line, the study first; each vote is appended and synced.

    {"study": {…}}   {"voter": "Anna", "number": 0}
    {"voter": "Anna", "trial": 0, "item": "000100", "left": "gan", "right": "l1", "chosen": "gan", …}
    {"voter": "Anna", "undo": 0}

An incomplete last line, left by a killed process, is ignored: the voter gets that trial again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import check_regular_file, parse_json, read_small_file
from vidtrans.core.settings import Table
from vidtrans.voting.ballot import Study

SUFFIX = ".jsonl"  # Suffix of log files


@dataclass(frozen=True)
class CastVote:
    """A vote. ``chosen``: the name of the condition that was preferred, or judged to be real.

    ``answer_s``: the response time in s. ``exposure_s``: the time for which each picture was shown, in s; None: no
    limit.
    """

    trial: int
    item: str
    left: str
    right: str
    chosen: str
    is_practice: bool = False
    is_repeat: bool = False
    answer_s: float | None = None
    exposure_s: float | None = None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Self:
        """Return the vote in a line of a log. Raises KeyError, TypeError or ValueError if the line is invalid."""
        item, left, right, chosen = (str(line[key]) for key in ("item", "left", "right", "chosen"))
        is_practice, is_repeat = (bool(line[key]) for key in ("is_practice", "is_repeat"))
        answer_s, exposure_s = (None if line[key] is None else float(line[key]) for key in ("answer_s", "exposure_s"))
        vote = cls(int(line["trial"]), item, left, right, chosen, is_practice, is_repeat, answer_s, exposure_s)
        if vote.chosen not in (vote.left, vote.right):
            raise ValueError(line)
        return vote

    @property
    def rejected(self) -> str:
        """Return the name of the condition that was not chosen."""
        return self.right if self.chosen == self.left else self.left


@dataclass
class VoteLog:
    """The votes of a study by voter name, in order. ``skipped``: the number of unreadable lines.

    ``numbers``: the number of each voter, from 0, by name.
    """

    study: Study
    votes: dict[str, list[CastVote]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    skipped: int = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a log of votes from a file. Raises MediaError if it is invalid."""
        try:
            first, *lines = _complete_lines(read_small_file(path))
            log = cls(Study.of(parse_json(first)["study"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise MediaError(str(path), "it is no readable log of votes", f"give the {SUFFIX} file of a vote") from None
        for line in lines:
            try:
                log.add(parse_json(line))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                log.skipped += 1
        return log

    def add(self, line: Mapping[str, Any]) -> None:
        """Apply a line to the log: a new voter, a vote or an undo.

        Raises KeyError, TypeError, ValueError or IndexError if the line is invalid.
        """
        voter = str(line["voter"])
        if "number" in line:
            self.numbers[voter] = int(line["number"])
            self.votes.setdefault(voter, [])
        elif "undo" in line:
            if self.votes[voter][-1].trial != line["undo"]:
                raise ValueError(line)
            self.votes[voter].pop()
        else:
            vote = CastVote.of(line)
            has_conditions = {vote.left, vote.right} <= set(self.study.conditions)
            if not has_conditions or vote.trial != len(self.votes[voter]):
                raise ValueError(line)
            self.votes[voter].append(vote)

    @classmethod
    def merged(cls, paths: Sequence[Path]) -> Self:
        """Read several logs of one study as one log; a name in two logs counts as two people. Raises MediaError."""
        merged = cls.read(paths[0])
        for path in paths[1:]:
            log = cls.read(path)
            studies = [one.study for one in (log, merged)]
            kinds = [(one.digests, one.conditions, one.items, one.is_real) for one in studies]
            if kinds[0] != kinds[1]:
                why = f"its votes are on other conditions than those of {paths[0]}"
                raise MediaError(str(path), why, "give the logs of one vote")
            for voter, votes in log.votes.items():
                merged.votes[voter if voter not in merged.votes else f"{voter} ({path})"] = votes
            merged.skipped += log.skipped
        return merged


def _complete_lines(content: bytes) -> list[str]:
    """Return the complete lines of a log; a last line without a newline is left out."""
    return content[: content.rfind(b"\n") + 1].decode("utf-8", "replace").split("\n")[:-1]


def read_votes_on(study: Study, path: Path) -> VoteLog:
    """Return the log of a study from a file; an empty log if the file does not exist.

    Raises UsageError if its votes are on another study, MediaError if the file is not a log.
    """
    check_regular_file(path)
    if not path.exists() or (b"\n" not in (content := read_small_file(path)) and b'{"study"'.startswith(content[:8])):
        return VoteLog(study)  # Without a complete line nothing has been recorded
    log = VoteLog.read(path)
    if change := _difference(log.study, study):
        remedy = "give what it was begun with, or choose another -o"
        raise UsageError(str(path), f"it holds votes on {change}", remedy)
    return log


class OpenLog:
    """A log of votes that one process at a time has open for appending.

    The file is created with the first line. Raises UsageError if its votes are on another study or another process has
    it open, MediaError if it is not a log.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self._path, self.log = path, read_votes_on(study, path)
        # Writing continues after the last newline, because text after it is an incomplete line.
        self._end = read_small_file(path).rfind(b"\n") + 1 if path.exists() else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UsageError(str(path), "another vote has it open", "end that one, or choose another -o") from None

    def write(self, line: Table) -> None:
        """Append a line to the file and apply it to the log. Raises OSError; then the log is unchanged."""
        lines = [line] if self._end else [{"study": self.log.study.table()}, line]
        data = b"".join(json.dumps(one).encode("ascii") + b"\n" for one in lines)
        with open(self._path, "r+b" if self._path.exists() else "xb") as stream:
            stream.seek(self._end)
            stream.truncate()  # Removes an incomplete line
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        self._end += len(data)
        self.log.add(line)

    def close(self) -> None:
        """Release the lock, so that other processes can open the log."""
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def _difference(logged: Study, requested: Study) -> str:
    """Return a text that describes how a log's study differs from the requested study; '' if they are equal."""
    if logged.conditions != requested.conditions:
        return f"other conditions ({', '.join(logged.conditions)})"
    if logged.digests != requested.digests:
        changed = [n for n, a, b in zip(logged.conditions, logged.digests, requested.digests, strict=True) if a != b]
        return f"another content of {', '.join(changed)}"
    if logged.is_real != requested.is_real or logged.is_motion != requested.is_motion:
        return "another question" if logged.is_real != requested.is_real else "clips" if logged.is_motion else "stills"
    for name in ("seconds", "trials", "repeats", "seed"):
        if getattr(logged, name) != getattr(requested, name):
            return f"--{name} {getattr(logged, name):g}"
    return "" if logged.items == requested.items else "other items"
