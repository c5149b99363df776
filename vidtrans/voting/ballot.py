"""The study of a vote and the trials of each voter, which are a function of the seed and the number of the voter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

import numpy as np

from vidtrans.core.settings import Table

VERSION = 1  # Version of the study table in a log
# Number of practice trials where the question is which one is real: they give feedback, and are not counted
NUM_PRACTICE = 4  # Isola et al. had ten
# Delays on the page, in s: before the first picture, between the two pictures, for feedback, and before the answer.
FIXATION_S, GAP_S, FEEDBACK_S, SETTLE_S = 0.4, 0.2, 0.9, 0.3
MIN_REPEAT_GAP = 5  # Smallest number of trials from a trial to its repetition, if there are that many


@dataclass(frozen=True)
class Study:
    """The study of a vote: the conditions (results to compare), the items (pictures or excerpts) and the settings.

    Attributes:
        conditions: The names of the conditions; in real or fake the last one is the real one.
        digests: The digest of each condition's content.
        items: The names of the pictures or excerpts, which all conditions have.
        is_real: Whether the question is which of two is real, rather than which one is preferred.
        is_motion: Whether clips are shown, not pictures.
        seconds: The exposure of each picture in real or fake; the length of an excerpt.
        trials: The largest number of trials of a voter, including repetitions.
        repeats: The share of trials that repeat an earlier one with the sides exchanged.
        seed: The seed of all random draws.
    """

    conditions: tuple[str, ...]
    digests: tuple[str, ...]
    items: tuple[str, ...]
    is_real: bool
    is_motion: bool
    seconds: float
    trials: int
    repeats: float
    seed: int

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Return the pairs of conditions that are compared, as indices.

        If the question is which one is real, each other condition is compared with the real one, the last.
        """
        last = len(self.conditions) - 1
        if self.is_real:
            return [(fake, last) for fake in range(last)]
        return list(combinations(range(last + 1), 2))

    @property
    def num_trials(self) -> int:
        """The number of trials of a voter: less than ``trials`` if there is less to compare."""
        unique = min(self._num_unique, len(self.pairs) * len(self.items))
        return unique + min(self.trials - self._num_unique, unique)

    @property
    def forced_s(self) -> float:
        """The shortest time, in s, in which a voter can finish: the delays and exposures of all trials."""
        waits_s = FIXATION_S + GAP_S + 2 * self.seconds if self.is_real else SETTLE_S
        return (self.num_trials + self.num_practice) * waits_s + self.num_practice * FEEDBACK_S

    @property
    def num_practice(self) -> int:
        """The number of practice trials of a voter; 0 unless the question is which picture is real."""
        return min(NUM_PRACTICE, len(self.pairs) * len(self.items)) if self.is_real else 0

    @property
    def _num_unique(self) -> int:
        """The number of trials of a voter that are not repetitions, if there are enough pairs and items."""
        return max(1, self.trials - round(self.repeats * self.trials))

    def table(self) -> Table:
        """Return the study as a JSON table for the log."""
        own = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {"version": VERSION} | own

    @classmethod
    def of(cls, table: Table) -> Self:
        """Return the study in a JSON table. Raises KeyError, TypeError or ValueError if the table is invalid."""
        if table["version"] != VERSION:
            raise ValueError(table["version"])
        conditions, digests, items = (tuple(map(str, table[name])) for name in ("conditions", "digests", "items"))
        is_real, is_motion = (bool(table[name]) for name in ("is_real", "is_motion"))
        seconds, repeats = (float(table[name]) for name in ("seconds", "repeats"))
        numbers = int(table["trials"]), repeats, int(table["seed"])
        return cls(conditions, digests, items, is_real, is_motion, seconds, *numbers)


@dataclass(frozen=True)
class VoteTrial:
    """A comparison of two conditions, with indices ``left`` and ``right``, by one ``item`` (picture or excerpt).

    In real or fake, ``left`` is shown first. ``repeats``: the index of the trial that this trial repeats with exchanged
    sides; None: a new trial. ``is_practice``: the vote is not counted.
    """

    item: int
    left: int
    right: int
    repeats: int | None = None
    is_practice: bool = False

    def condition(self, side: str) -> int:
        """Return the index of the condition at a side, 'left' or 'right'."""
        return self.left if side == "left" else self.right


def draw_trials(study: Study, voter: int) -> list[VoteTrial]:
    """Return the trials of a voter in order; ``voter``: the number of the voter, from 0.

    The numbers of trials of two pairs of conditions differ by one at most. A pair is shown with another item each time,
    until all items were shown, and its sides alternate from a random start. Only repetitions show a trial twice.
    """
    rng = np.random.default_rng([study.seed, voter])
    new = _unique_trials(study, rng, min(study._num_unique, len(study.pairs) * len(study.items)))
    repeated = study.num_trials - len(new)
    spaced = max(repeated, len(new) - MIN_REPEAT_GAP)  # The first trials, which leave room for the gap
    originals = sorted(rng.choice(spaced, repeated, replace=False).tolist())
    positions: list[tuple[float, int, bool]] = [(float(n), n, False) for n in range(len(new))]
    for n in originals:
        earliest = min(n + MIN_REPEAT_GAP, len(new) - 1)
        positions.append((rng.uniform(earliest, len(new)) + 0.001, n, True))
    practice = [replace(t, is_practice=True) for t in _unique_trials(study, rng, study.num_practice)]
    trials, position_of = practice, dict[int, int]()
    for _, n, is_repeat in sorted(positions):
        if is_repeat:
            trials.append(VoteTrial(new[n].item, new[n].right, new[n].left, position_of[n]))
        else:
            position_of[n] = len(trials)
            trials.append(new[n])
    return trials


def _unique_trials(study: Study, rng: np.random.Generator, count: int) -> list[VoteTrial]:
    """Return ``count`` random trials without repetitions."""

    def draw() -> Iterator[VoteTrial]:
        """Yield all trials in random order: each item for each pair of conditions once, with alternating sides."""
        orders = [rng.permutation(len(study.items)).tolist() for _ in study.pairs]
        sides = rng.integers(0, 2, len(study.pairs)).tolist()
        for turn in range(len(study.items)):
            for n in rng.permutation(len(study.pairs)).tolist():
                first, second = study.pairs[n][:: 1 if (sides[n] + turn) % 2 else -1]
                yield VoteTrial(orders[n][turn], first, second)

    return [trial for trial, _ in zip(draw(), range(count), strict=False)]
