"""The trials of voters: balanced, blind to nothing but chance, the same for the same seed."""

from __future__ import annotations

from collections import Counter

from vote_server import make_study

from vidtrans.voting.ballot import MIN_REPEAT_GAP, NUM_PRACTICE, draw_trials


def test_pairs_and_sides_are_balanced_and_no_trial_comes_twice_but_repetitions() -> None:
    study = make_study("a", "b", "c")
    for voter in range(20):
        trials = draw_trials(study, voter)
        new = [trial for trial in trials if trial.repeats is None]
        pairs = Counter(frozenset((trial.left, trial.right)) for trial in new)
        assert len(trials) == study.num_trials == 40
        assert (len(new), max(pairs.values()) - min(pairs.values())) == (36, 0)
        assert len({(t.item, frozenset((t.left, t.right))) for t in new}) == len(new)
        sides = Counter((t.left, t.right) for t in new)
        assert all(abs(sides[a, b] - sides[b, a]) <= 1 for a, b in study.pairs)


def test_repetitions_exchange_the_sides_of_an_earlier_trial_that_is_not_fresh_in_mind() -> None:
    for voter in range(20):
        trials = draw_trials(make_study("a", "b"), voter)
        repeated = [(n, trial) for n, trial in enumerate(trials) if trial.repeats is not None]
        assert len(repeated) == 4
        for n, trial in repeated:
            assert trial.repeats is not None
            first = trials[trial.repeats]
            assert (first.item, first.left, first.right, first.repeats) == (trial.item, trial.right, trial.left, None)
            assert n - trial.repeats >= MIN_REPEAT_GAP


def test_real_or_fake_compares_each_fake_with_the_real_one_after_practice() -> None:
    study = make_study("a", "b", "real", is_real=True)
    trials = draw_trials(study, 0)
    assert [trial.is_practice for trial in trials] == [True] * NUM_PRACTICE + [False] * 40
    assert all(2 in (trial.left, trial.right) and trial.left != trial.right for trial in trials)
    fakes = Counter(min(t.left, t.right) for t in trials[NUM_PRACTICE:] if t.repeats is None)
    assert fakes == {0: 18, 1: 18}
