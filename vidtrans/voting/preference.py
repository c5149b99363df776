"""Scores of pairwise votes with intervals: Bradley–Terry strengths, and shares of votes.

R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 1952: i is preferred to j with
probability 1 / (1 + exp(θj − θi)). The strengths are of maximum likelihood, after √2 / K^1.5 of a vote is added to each
side of each pair of the K conditions. For two conditions this is Firth's correction (Biometrika 1993), half a vote; it
keeps the strength of a condition finite that has won, or lost, all its votes. With more conditions as much for each
pair would draw the strongest and the weakest together; the exponent was chosen by simulation, with 40 votes on five
conditions. The intervals are of profile likelihood: estimate ± 1.96 standard errors holds the truth too rarely where
preferences are strong and votes few (benchmarks/vote/coverage.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

Z = 1.959964  # of a 95 % interval
Z_POWER = 0.841621  # of a chance of 80 %
STEPS, LARGEST_STEP = 60, 2.0  # of Newton's method
PRECISE = 1e-3  # of the profile's root


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval [``low``, ``high``]."""

    value: float
    low: float
    high: float

    def as_chances(self) -> Estimate:
        """Return a difference of strengths as the probability that the first is preferred."""
        return Estimate(*(1 / (1 + math.exp(-x)) for x in (self.value, self.low, self.high)))


def share(part: int, whole: int) -> Estimate:
    """Return the share ``part`` of ``whole`` (≥ 1) votes with its Wilson interval (JASA 1927)."""
    p, z2 = part / whole, Z * Z / whole
    middle, half = p + z2 / 2, Z * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole))
    low, high = ((middle + sign * half) / (1 + z2) for sign in (-1, 1))
    return Estimate(p, max(0.0, low), min(1.0, high))


class Preferences:
    """Bradley–Terry strengths of ``wins`` (K, K): how often the row's condition was preferred to the column's."""

    def __init__(self, wins: np.ndarray) -> None:
        self.wins = np.asarray(wins, np.float64)
        self.pairs = list(combinations(range(len(wins)), 2))
        prior = math.sqrt(2) / len(wins) ** 1.5
        self._won = np.array([self.wins[i, j] + prior for i, j in self.pairs])
        self._total = np.array([self.wins[i, j] + self.wins[j, i] + 2 * prior for i, j in self.pairs])
        self._design = np.zeros((len(self.pairs), len(wins)))
        for row, (i, j) in enumerate(self.pairs):
            self._design[row, i], self._design[row, j] = 1, -1

    @property
    def num_votes(self) -> int:
        """The number of votes."""
        return int(self.wins.sum())

    @cached_property
    def strengths(self) -> np.ndarray:
        """The strengths (K,), in log-odds, with mean 0."""
        return self._fit(np.ones((1, len(self.wins))), np.zeros(1), np.zeros(len(self.wins)))

    def strength(self, i: int) -> Estimate:
        """Return the strength of a condition, relative to the mean of all."""
        contrast = np.full(len(self.wins), -1 / len(self.wins))
        contrast[i] += 1
        return self._profile(contrast)

    def difference(self, i: int, j: int) -> Estimate:
        """Return the difference of two strengths."""
        contrast = np.zeros(len(self.wins))
        contrast[i], contrast[j] = 1, -1
        return self._profile(contrast)

    def votes_to_separate(self, difference: Estimate) -> int | None:
        """Return how many more votes, spread as these, separate two conditions with a chance of 80 %.

        If the ``difference`` is the true one: its interval shrinks with the root of the number of votes. 0: the
        interval excludes 0 already. None: the conditions look equal, so that no number is meaningful.
        """
        if difference.low > 0 or difference.high < 0:
            return 0
        if not difference.value or not self.num_votes:
            return None
        error = (difference.high - difference.low) / (2 * Z)
        more = self.num_votes * (((Z + Z_POWER) * error / difference.value) ** 2 - 1)
        return max(1, math.ceil(more)) if more < 1e6 else None

    def _chances(self, strengths: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.clip(self._design @ strengths, -500, 500)))

    def _information(self, strengths: np.ndarray) -> np.ndarray:
        p = self._chances(strengths)
        return self._design.T @ ((self._total * p * (1 - p))[:, None] * self._design)

    def _likelihood(self, strengths: np.ndarray) -> float:
        odds = self._design @ strengths
        lost = self._total - self._won
        return float(-(self._won * np.logaddexp(0, -odds) + lost * np.logaddexp(0, odds)).sum())

    def _fit(self, constraints: np.ndarray, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return the strengths of the largest likelihood with ``constraints`` @ strengths = ``values``, by Newton."""
        size, count = len(start), len(values)
        system = np.zeros((size + count, size + count))
        system[:size, size:], system[size:, :size] = constraints.T, constraints
        found = start
        for _ in range(STEPS):
            slope = self._design.T @ (self._won - self._total * self._chances(found))
            system[:size, :size] = self._information(found) + 1e-12 * np.eye(size)
            step = np.linalg.solve(system, np.concatenate([slope, values - constraints @ found]))[:size]
            largest = float(np.abs(step).max())
            found = found + step * min(1.0, LARGEST_STEP / max(largest, 1e-300))
            if largest < 1e-9:
                break
        return found

    def _profile(self, contrast: np.ndarray) -> Estimate:
        """Return ``contrast`` @ strengths, and where its profile likelihood falls to that of a 95 % interval."""
        best = self.strengths
        value, peak = float(contrast @ best), self._likelihood(best)
        constraints = np.vstack([np.ones_like(contrast), contrast])
        error = math.sqrt(contrast @ np.linalg.pinv(self._information(best)) @ contrast)

        def end(sign: int) -> float:
            near, far, start = 0.0, 2 * error, best
            at_near = -Z

            def excess(distance: float) -> float:
                nonlocal start
                start = self._fit(constraints, np.array([0.0, value + sign * distance]), start)
                return math.sqrt(max(0.0, 2 * (peak - self._likelihood(start)))) - Z

            while (at_far := excess(far)) < 0:
                near, at_near, far = far, at_far, 1.6 * far
            middle = far
            for _ in range(30):  # the root is nearly a line: regula falsi takes 3 to 6 steps
                middle = far - at_far * (far - near) / (at_far - at_near)
                at_middle = excess(middle)
                if abs(at_middle) < PRECISE:
                    break
                if at_middle > 0:
                    far, at_far = middle, at_middle
                else:
                    near, at_near = middle, at_middle
            return value + sign * middle

        return Estimate(value, end(-1), end(1))
