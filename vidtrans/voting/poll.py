"""A vote in progress: people join by name, see their trials, and vote; every vote is in the log before it counts."""

from __future__ import annotations

import math
import secrets
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.core.system import name_key
from vidtrans.voting.ballot import Study, VoteTrial, draw_trials
from vidtrans.voting.vote_log import CastVote, OpenLog

LONGEST_NAME = 40  # characters
MOST_VOTERS = 1000
SIDES = ("left", "right")


class Poll:
    """The voters of a study. ``key``: what a page holds instead of its voter's name, new whenever a page joins.

    Nothing that it returns names a condition before the voter's last vote.
    """

    def __init__(self, study: Study, log: OpenLog) -> None:
        self.study, self._log = study, log
        self._names: dict[str, str] = {}  # by key
        self._trials: dict[str, list[VoteTrial]] = {}  # by name

    def join(self, name: object, *, is_sure: bool) -> Table:
        """Return a key and the voter's state; for a name that has votes, unless ``is_sure``, only how many.

        '' gives a voter a number for a name. Raises UsageError if the name cannot be one.
        """
        found = self._known_name(_clean_name(name))
        votes = self._log.log.votes
        if found in votes and votes[found] and not is_sure:
            return {"taken": True, "name": found, **self._progress(found)}
        if found not in votes:
            if len(votes) >= MOST_VOTERS:
                raise UsageError("vote", f"{MOST_VOTERS} people have voted", "begin another vote")
            self._log.write({"voter": found, "number": max(self._log.log.numbers.values(), default=-1) + 1})
        key = secrets.token_urlsafe(12)
        self._names[key] = found
        return {"key": key, **self.state(key)}

    def state(self, key: object) -> Table:
        """Return a voter's progress. Raises UsageError if the key is unknown, as after a restart of the server."""
        name = self.name_of(key)
        return {"name": name, **self._progress(name)}

    def vote(self, key: object, message: Table) -> Table:
        """Take a vote for the trial that the voter is at, and return the state; one for another trial changes nothing.

        So a key that was pressed twice, or a second window of the same voter, gives no second vote. Raises UsageError
        if the message does not fit, OSError if the vote cannot be written.
        """
        name = self.name_of(key)
        side, number = message.get("side"), message.get("trial")
        if side not in SIDES:
            raise UsageError("side", f"it is one of {' and '.join(SIDES)}", "see vidtrans.voting.poll")
        if type(number) is not int or number != self._at(name) or number >= len(self.trials_of(name)):
            return self.state(key) | {"stale": True}
        trial, names = self.trials_of(name)[number], self.study.conditions
        chosen = names[trial.condition(str(side))]
        vote = CastVote(
            number,
            self.study.items[trial.item],
            names[trial.left],
            names[trial.right],
            chosen,
            trial.is_practice,
            trial.repeats is not None,
            _seconds(message.get("answer_s")),
            _seconds(message.get("exposure_s")),
        )
        self._log.write({"voter": name, **vars(vote)})
        return self.state(key) | ({"was_right": chosen == names[-1]} if trial.is_practice else {})

    def undo(self, key: object, trial: object) -> Table:
        """Take back the voter's last vote if it is that of ``trial``; return the state.

        Not in real or fake, where the pictures would be seen twice, nor after the last vote, when the scores are open.
        Raises UsageError, OSError.
        """
        name = self.name_of(key)
        is_last = type(trial) is int and 0 <= trial == self._at(name) - 1
        if is_last and not self.study.is_real and not self.is_finished(key):
            self._log.write({"voter": name, "undo": trial})
        return self.state(key)

    def trial(self, key: object, number: int) -> VoteTrial:
        """Return the trial that the voter is at, or the next one, to be loaded early. Raises UsageError for others."""
        name = self.name_of(key)
        if not self._at(name) <= number < min(self._at(name) + 2, len(self.trials_of(name))):
            raise UsageError("trial", "its time is over, or has not come", "load the page again")
        return self.trials_of(name)[number]

    def is_finished(self, key: object) -> bool:
        """Return whether the voter has given all votes. Raises UsageError."""
        return bool(self._progress(self.name_of(key))["finished"])

    def name_of(self, key: object) -> str:
        """Return the name of the voter with this key. Raises UsageError if it is unknown."""
        if not isinstance(key, str) or key not in self._names:
            raise UsageError("vote", "nobody has joined with this key", "load the page again")
        return self._names[key]

    def trials_of(self, name: str) -> list[VoteTrial]:
        """Return all trials of a voter."""
        if name not in self._trials:
            self._trials[name] = draw_trials(self.study, self._log.log.numbers[name])
        return self._trials[name]

    def _at(self, name: str) -> int:
        return len(self._log.log.votes[name])

    def _progress(self, name: str) -> Table:
        trials, at = self.trials_of(name), self._at(name)
        practice = sum(trial.is_practice for trial in trials)
        return {
            "trial": min(at, len(trials)),
            "trials": len(trials),
            "given": max(0, at - practice),
            "total": len(trials) - practice,
            "practice": max(0, practice - at),
            "finished": at >= len(trials),
        }

    def _known_name(self, name: str) -> str:
        """Return a name as it is in the log, whatever its capitals; a number for a voter who gives none."""
        known = {one.casefold(): one for one in self._log.log.votes}
        if not name:
            number = len(known) + 1
            while f"voter {number}" in known:
                number += 1
            name = f"Voter {number}"
        return known.get(name.casefold(), name)


def _clean_name(name: object) -> str:
    """Return a name without control characters and surplus spaces. Raises UsageError if it is too long."""
    text = name_key(name) if isinstance(name, str) else ""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > LONGEST_NAME:
        raise UsageError("name", f"it has more than {LONGEST_NAME} characters", "shorten it")
    return text


def _seconds(value: Any) -> float | None:  # noqa: ANN401  (JSON)
    """Return a plausible number of seconds in milliseconds' steps, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return round(float(value), 3) if is_number and 0 <= value < 1e6 else None
