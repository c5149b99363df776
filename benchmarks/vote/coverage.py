"""How often the intervals of a vote contain the true value, with simulated voters of known preference.

    python -m benchmarks.vote.coverage [--runs 1000] [--parts scores,shares,more]

Voters answer the trials of real ballots; each answer is drawn by the Bradley–Terry model from true strengths that lie
`step` apart (0.3: one is preferred to the next in 57 % of the votes; 1.5: in 82 %; 2.5: in 92 %). `all` is the share of
the 95 % intervals of strengths that hold the truth, over runs and conditions; `least` and `most` are those of single
conditions; `wald` is what ± 1.96 standard errors would give. `shares`: the same of Wilson intervals of fooled rates.
`more`: how often two conditions are distinguished after as many more votes as `votes_to_separate` names from a first
set that shows their true difference (80 % is what it promises).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks import harness
from benchmarks.tables import head, row
from vidtrans.voting.ballot import Study, draw_trials
from vidtrans.voting.vote_summary import Z_95, Preferences, share

CONDITIONS, STEPS, VOTES = (2, 3, 5), (0.3, 1.5, 2.5), (40, 120, 400)
RATES, TRIALS = (0.02, 0.1, 0.3, 0.5), (20, 40, 200)
PARTS = ("scores", "shares", "more")


def simulated(strengths: Sequence[float], votes: int, rng: np.random.Generator) -> np.ndarray:
    """Return the wins of as many votes, by the trials of as many voters as that takes."""
    names, size = tuple(map(str, range(len(strengths)))), len(strengths)
    items, seed = tuple(map(str, range(40))), int(rng.integers(1 << 31))
    study = Study(names, names, items, False, False, 1.0, 40, 0.1, seed)
    wins, voter = np.zeros((size, size), int), 0
    while (left := votes - int(wins.sum())) > 0:
        for trial in [t for t in draw_trials(study, voter) if t.repeats is None][:left]:
            chance = 1 / (1 + math.exp(strengths[trial.right] - strengths[trial.left]))
            won = rng.random() < chance
            wins[(trial.left, trial.right) if won else (trial.right, trial.left)] += 1
        voter += 1
    return wins


def scores(runs: int) -> None:
    """Print the coverage of the intervals of strengths."""
    head("conditions", "step", "votes", "all", "least", "most", "wald")
    for size in CONDITIONS:
        for step in STEPS:
            truth = step * (np.arange(size) - (size - 1) / 2)
            for votes in VOTES:
                rng = np.random.default_rng([size, round(10 * step), votes])
                held, wald = np.zeros(size), 0
                for _ in range(runs):
                    model = Preferences(simulated(truth, votes, rng))
                    for i in range(size):
                        one = model.strength(i)
                        held[i] += one.low <= truth[i] <= one.high
                        contrast = np.eye(size)[i] - 1 / size
                        spread = np.linalg.pinv(model._information(model.strengths))
                        wald += abs(one.value - truth[i]) <= Z_95 * math.sqrt(contrast @ spread @ contrast)
                found = (held.mean() / runs, held.min() / runs, held.max() / runs, wald / runs / size)
                row(size, step, votes, *(f"{value:.3f}" for value in found))


def shares(runs: int) -> None:
    """Print the coverage of Wilson intervals."""
    head("fooled rate", "votes", "held")
    for rate in RATES:
        for trials in TRIALS:
            rng = np.random.default_rng([round(1000 * rate), trials])
            found = [share(int(part), trials) for part in rng.binomial(trials, rate, runs)]
            row(rate, trials, f"{np.mean([one.low <= rate <= one.high for one in found]):.3f}")


def more(runs: int) -> None:
    """Print how often as many more votes as are named distinguish two conditions."""
    head("first votes", "true difference", "more votes", "distinguished")
    for wins in ((15, 7), (24, 16), (44, 36)):
        first = Preferences(np.array([[0, wins[0]], [wins[1], 0]]))
        difference = first.difference(0, 1)
        named = first.votes_to_separate(difference)
        assert named
        rng = np.random.default_rng(list(wins))
        strengths, found = (difference.value, 0.0), 0
        for _ in range(runs):
            model = Preferences(simulated(strengths, sum(wins) + named, rng))
            found += model.difference(0, 1).low > 0
        row(f"{wins[0]} : {wins[1]}", f"{difference.value:.2f}", named, f"{found / runs:.3f}")


def main() -> None:
    """Measure."""
    parser = harness.parser(__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--parts", type=harness.comma_list, default=PARTS)
    given = parser.parse_args()
    harness.each(given.parts, lambda name: {"scores": scores, "shares": shares, "more": more}[name](given.runs))


if __name__ == "__main__":
    harness.run(main)
