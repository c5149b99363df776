"""The outcome of a vote as a table: scores with intervals, differences, repeated answers, and the critic's votes.

Practice never counts; a repetition measures attention only. Each vote counts once, whoever cast it, so the intervals
are those of the votes: they say nothing about people who did not vote.

Scores of pairwise votes are Bradley–Terry strengths (R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block
designs", Biometrika 1952): i is preferred to j with probability 1 / (1 + exp(θj − θi)). The strengths are maximum
likelihood estimates, after √2 / K^1.5 of a vote is added to each side of each pair of the K conditions. For two
conditions this is Firth's correction (Biometrika 1993), half a vote; it keeps the strength of a condition finite that
has won, or lost, all its votes. With more conditions half a vote for each pair would pull the strongest and the
weakest together; the exponent was chosen by simulation, with 40 votes on five conditions. The intervals are profile
likelihood intervals: estimate ± 1.96 standard errors covers the truth too rarely where preferences are strong and votes
few ("Votes" in benchmarks/RESULTS.md).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import median

import numpy as np

from vidtrans.core.costs import count
from vidtrans.core.settings import Table
from vidtrans.voting.ballot import Study
from vidtrans.voting.vote_log import CastVote, VoteLog

Z_95 = 1.959964  # Normal quantile of a two-sided 95 % interval
Z_80 = 0.841621  # Normal quantile of a test power of 80 %
MAX_STEPS, MAX_STEP = 60, 2.0  # Most steps of Newton's method, and longest step, in log-odds
ROOT_TOLERANCE = 1e-3  # Tolerance of the ends of the profile likelihood interval, in standard normal units
DIGITS = 4  # Number of decimals of rounded values and intervals


@dataclass(frozen=True)
class Estimate:
    """An estimated value with its 95 % interval [``low``, ``high``]."""

    value: float
    low: float
    high: float

    def as_chances(self) -> Estimate:
        """Convert a difference of strengths (log-odds) to the probability that the first condition is preferred."""
        return Estimate(*(1 / (1 + math.exp(-x)) for x in (self.value, self.low, self.high)))


def share(part: int, whole: int) -> Estimate:
    """Return the share ``part`` of ``whole`` (≥ 1) votes with its Wilson interval (JASA 1927)."""
    p, z2 = part / whole, Z_95 * Z_95 / whole
    middle, half = p + z2 / 2, Z_95 * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole))
    low, high = ((middle + sign * half) / (1 + z2) for sign in (-1, 1))
    return Estimate(p, max(0.0, low), min(1.0, high))


class Preferences:
    """Bradley–Terry strengths of K conditions, estimated from votes on pairs.

    ``wins``: (K, K), how often the condition of the row was preferred to the condition of the column.
    """

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
        """Return the number of votes."""
        return int(self.wins.sum())

    @cached_property
    def strengths(self) -> np.ndarray:
        """The strengths (K,) of the conditions, in log-odds, with mean 0."""
        return self._fit(np.ones((1, len(self.wins))), np.zeros(1), np.zeros(len(self.wins)))

    def strength(self, i: int) -> Estimate:
        """Return the strength of condition ``i``, in log-odds, relative to the mean of all conditions."""
        contrast = np.full(len(self.wins), -1 / len(self.wins))
        contrast[i] += 1
        return self._profile(contrast)

    def difference(self, i: int, j: int) -> Estimate:
        """Return the strength of condition ``i`` minus that of condition ``j``, in log-odds."""
        contrast = np.zeros(len(self.wins))
        contrast[i], contrast[j] = 1, -1
        return self._profile(contrast)

    def votes_to_separate(self, difference: Estimate) -> int | None:
        """Return the number of further votes that would show a difference of two conditions with a power of 80 %.

        It assumes that further votes are distributed as the existing ones, and that ``difference`` is the true one; its
        interval shrinks with the root of the number of votes. 0: the interval already excludes 0. None: the conditions
        look equal, so that no number is meaningful.
        """
        if difference.low > 0 or difference.high < 0:
            return 0
        if not difference.value or not self.num_votes:
            return None
        error = (difference.high - difference.low) / (2 * Z_95)
        more = self.num_votes * (((Z_95 + Z_80) * error / difference.value) ** 2 - 1)
        return max(1, math.ceil(more)) if more < 1e6 else None

    def _win_probabilities(self, strengths: np.ndarray) -> np.ndarray:
        """Return, for each pair, the probability that its first condition is preferred, given strengths (K,)."""
        return 1 / (1 + np.exp(-np.clip(self._design @ strengths, -500, 500)))

    def _information(self, strengths: np.ndarray) -> np.ndarray:
        """Return the Fisher information matrix (K, K) of the strengths."""
        p = self._win_probabilities(strengths)
        return self._design.T @ ((self._total * p * (1 - p))[:, None] * self._design)

    def _likelihood(self, strengths: np.ndarray) -> float:
        """Return the log-likelihood of strengths (K,), given the votes and the prior (part of a vote for each side)."""
        odds = self._design @ strengths
        lost = self._total - self._won
        return float(-(self._won * np.logaddexp(0, -odds) + lost * np.logaddexp(0, odds)).sum())

    def _fit(self, constraints: np.ndarray, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return the maximum likelihood strengths under linear constraints, by Newton's method.

        ``constraints`` @ strengths = ``values``. ``start``: the initial strengths.
        """
        size, count = len(start), len(values)
        system = np.zeros((size + count, size + count))
        system[:size, size:], system[size:, :size] = constraints.T, constraints
        strengths = start
        for _ in range(MAX_STEPS):
            slope = self._design.T @ (self._won - self._total * self._win_probabilities(strengths))
            system[:size, :size] = self._information(strengths) + 1e-12 * np.eye(size)
            step = np.linalg.solve(system, np.concatenate([slope, values - constraints @ strengths]))[:size]
            largest = float(np.abs(step).max())
            strengths = strengths + step * min(1.0, MAX_STEP / max(largest, 1e-300))
            if largest < 1e-9:
                break
        return strengths

    def _profile(self, contrast: np.ndarray) -> Estimate:
        """Return a weighted sum of the strengths with its 95 % profile likelihood interval.

        ``contrast``: the weights (K,).
        """
        best = self.strengths
        value, peak = float(contrast @ best), self._likelihood(best)
        constraints = np.vstack([np.ones_like(contrast), contrast])
        error = math.sqrt(contrast @ np.linalg.pinv(self._information(best)) @ contrast)

        def interval_end(sign: int) -> float:
            """Return the lower (``sign`` -1) or upper (1) end of the interval."""
            near, far, start = 0.0, 2 * error, best
            at_near = -Z_95

            def excess(distance: float) -> float:
                """Return the deviation at a distance from the estimate, minus that of the end, in standard units."""
                nonlocal start
                start = self._fit(constraints, np.array([0.0, value + sign * distance]), start)
                return math.sqrt(max(0.0, 2 * (peak - self._likelihood(start)))) - Z_95

            while (at_far := excess(far)) < 0:
                near, at_near, far = far, at_far, 1.6 * far
            middle = far
            for _ in range(30):  # The function is nearly linear: regula falsi takes 3 to 6 steps
                middle = far - at_far * (far - near) / (at_far - at_near)
                at_middle = excess(middle)
                if abs(at_middle) < ROOT_TOLERANCE:
                    break
                if at_middle > 0:
                    far, at_far = middle, at_middle
                else:
                    near, at_near = middle, at_middle
            return value + sign * middle

        return Estimate(value, interval_end(-1), interval_end(1))


def summarise(log: VoteLog, left_out: Collection[str] = ()) -> Table:
    """Return the current outcome of a log as a table, without the votes of the people in ``left_out``."""
    study, voters = log.study, {name: votes for name, votes in log.votes.items() if name not in left_out}
    new = [vote for votes in voters.values() for vote in counted_votes(votes)]
    answers = [vote.answer_s for votes in voters.values() for vote in votes if vote.answer_s is not None]
    exposures = [vote.exposure_s for vote in new if vote.exposure_s is not None]
    table: Table = {
        "question": "real" if study.is_real else "preferred",
        "votes": len(new),
        "voters": [_voter_table(name, votes) for name, votes in voters.items() if votes],
        "repeated": _share_table(*_repeat_agreement(voters.values())),
        "answer_s": round(median(answers), 2) if answers else None,
        "exposure_s": round(median(exposures), 3) if exposures else None,
        "conditions": _fooled_rates(study, new) if study.is_real else [],
        "pairs": [],
        "skipped": log.skipped,
        "critic": None,
    }
    if not study.is_real:
        table["conditions"], table["pairs"] = _preference_scores(study, new)
    return table | {"verdict": verdict(table)}


def counted_votes(votes: Sequence[CastVote]) -> list[CastVote]:
    """Return the votes that are neither practice nor repetitions."""
    return [vote for vote in votes if not vote.is_practice and not vote.is_repeat]


def _repeat_agreement(ballots: Collection[Sequence[CastVote]]) -> tuple[int, int]:
    """Return the number of repeated trials with the same answer as before, and the number of repeated trials.

    ``ballots``: the votes of each voter, in order.
    """
    same = whole = 0
    for votes in ballots:
        first = {(vote.item, frozenset((vote.left, vote.right))): vote.chosen for vote in counted_votes(votes)}
        for vote in votes:
            if vote.is_repeat:
                whole += 1
                same += first.get((vote.item, frozenset((vote.left, vote.right)))) == vote.chosen
    return same, whole


def _share_table(part: int, whole: int) -> Table:
    """Return ``part`` of ``whole`` votes as a table: counts, share and interval; the share is None without votes."""
    table = {"part": part, "whole": whole}
    return table | (_interval_table(share(part, whole)) if whole else {"value": None, "low": None, "high": None})


def _interval_table(estimate: Estimate) -> Table:
    """Return a value and its interval as a table of rounded numbers."""
    return {name: round(value, DIGITS) for name, value in vars(estimate).items()}


def _voter_table(name: str, votes: Sequence[CastVote]) -> Table:
    """Return the table of a voter: name, counted votes, repeated trials, and those with the same answer."""
    same, repeated = _repeat_agreement([votes])
    return {"name": name, "votes": len(counted_votes(votes)), "same": same, "repeated": repeated}


def _fooled_rates(study: Study, votes: Sequence[CastVote]) -> list[Table]:
    """Return the fooled rate of each condition: the share of its trials in which it was judged to be real."""
    rows = []
    for name in study.conditions[:-1]:
        own = [vote for vote in votes if name in (vote.left, vote.right)]
        rows.append({"name": name, **_share_table(sum(vote.chosen == name for vote in own), len(own))})
    return sorted(rows, key=lambda row: -(row["value"] or 0))


def _preference_scores(study: Study, votes: Sequence[CastVote]) -> tuple[list[Table], list[Table]]:
    """Return the strength and win counts of each condition, best first, and the comparisons of all pairs."""
    names = study.conditions
    wins = np.zeros((len(names), len(names)), int)
    for vote in votes:
        wins[names.index(vote.chosen), names.index(vote.rejected)] += 1
    model = Preferences(wins)
    order = sorted(range(len(names)), key=lambda i: -model.strengths[i])
    conditions = []
    for i in order:
        part, whole = int(wins[i].sum()), int(wins[i].sum() + wins[:, i].sum())
        strength = _interval_table(model.strength(i)) if whole else {"value": None, "low": None, "high": None}
        conditions.append({"name": names[i], "part": part, "whole": whole, **strength})
    pairs = []
    for at, i in enumerate(order):
        for j in order[at + 1 :]:
            difference = model.difference(i, j)
            chance = _interval_table(difference.as_chances()) if votes else {"value": None, "low": None, "high": None}
            own = {"wins": int(wins[i, j]), "losses": int(wins[j, i])}
            more = model.votes_to_separate(difference) if votes else None
            pairs.append({"first": names[i], "second": names[j], **own, **chance, "more_votes": more})
    return conditions, pairs


def set_against_critic(
    table: Table, log: VoteLog, left_out: Collection[str], distances: Mapping[tuple[int, int], float], measured: str
) -> Table:
    """Return the outcome with the votes of the critic, and their agreement with the votes of the people.

    The agreement is the share of the people's counted votes for the condition that is nearer to the reference; in real
    or fake, the share of pairs of conditions whose nearer one fooled people more often. ``distances``: by (condition,
    item). ``measured``: the name of the critic's measure.
    """
    study = log.study
    votes = [vote for name, votes in log.votes.items() if name not in left_out for vote in counted_votes(votes)]
    mean = {
        name: float(np.mean([value for (condition, _), value in distances.items() if condition == number] or [np.nan]))
        for number, name in enumerate(study.conditions)
    }
    if study.is_real:
        agrees = list(_rank_agreement(table["conditions"], mean))
    else:
        agrees = []
        for vote in votes:
            item = study.items.index(vote.item)
            own, other = (distances[study.conditions.index(n), item] for n in (vote.chosen, vote.rejected))
            if own != other:
                agrees.append(own < other)
    order = sorted((name for name in mean if np.isfinite(mean[name])), key=mean.__getitem__)
    distance_rows = [{"name": name, "distance": float(f"{mean[name]:.4g}")} for name in order]
    return table | {"critic": {"measured": measured, "order": distance_rows, **_share_table(sum(agrees), len(agrees))}}


def _rank_agreement(rows: Sequence[Table], distance: Mapping[str, float]) -> Iterator[bool]:
    """Yield whether the condition nearer to the reference has the higher fooled rate, for each pair of conditions.

    Pairs with equal rates are left out. ``distance``: the mean distance of each condition, by name.
    """
    for at, row in enumerate(rows):
        for other in rows[at + 1 :]:
            if None not in (row["value"], other["value"]) and row["value"] != other["value"]:
                yield (distance[row["name"]] < distance[other["name"]]) == (row["value"] > other["value"])


def verdict(table: Table) -> str:
    """Return the result of the votes as a sentence."""
    if not table["votes"]:
        return "nobody has voted yet"
    if table["question"] == "real":
        return "; ".join(_fooled_text(row) for row in table["conditions"] if row["whole"])
    best = table["conditions"][0]["name"]
    own = [pair for pair in table["pairs"] if pair["first"] == best]
    return "; ".join(_pair_text(pair) for pair in sorted(own, key=lambda pair: pair["more_votes"] != 0))


def chance_text(row: Mapping[str, float]) -> str:
    """Return a share with its interval as text, such as ``71 % (58 to 82)``."""
    return f"{100 * row['value']:.0f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def more_text(pair: Table) -> str:
    """Return the number of further votes that would show a difference between two conditions, as text."""
    more = pair["more_votes"]
    return (
        "no number of votes is known that would"
        if more is None
        else f"about {int(float(f'{more:.2g}')):,} more vote{'' if more == 1 else 's'}"
    )


def _pair_text(pair: Table) -> str:
    """Return the comparison of two conditions as a clause of the result."""
    names = pair["first"], pair["second"]
    if pair["more_votes"] == 0:
        return f"{names[0]} is preferred to {names[1]}, {chance_text(pair)}"
    would = more_text(pair) if pair["more_votes"] is None else f"{more_text(pair)} would"
    return f"{names[0]} and {names[1]} are not distinguished yet, {chance_text(pair)}: {would}"


def _fooled_text(row: Table) -> str:
    """Return the fooled rate of a condition as a clause of the result."""
    side = "less than" if row["high"] < 0.5 else "more than" if row["low"] > 0.5 else "not distinguished from"
    share = f"{chance_text(row)} of {count(row['whole'], 'vote')}"
    return f"{row['name']} was taken for real in {share}, {side} chance (50 %)"
