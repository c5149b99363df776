"""Scores of votes: right on data whose answer is known, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidtrans.voting.vote_summary import Preferences, share


def test_two_conditions_have_the_log_odds_of_their_votes_half_a_vote_added() -> None:
    model = Preferences(np.array([[0, 30], [10, 0]]))
    difference = model.difference(0, 1)
    assert difference.value == pytest.approx(math.log(30.5 / 10.5))
    assert model.strength(0).value == pytest.approx(difference.value / 2)
    assert difference.as_chances().value == pytest.approx(30.5 / 41)
    assert difference.low > 0
    assert model.votes_to_separate(difference) == 0


def test_strengths_are_those_of_an_independent_maximisation() -> None:
    from scipy.optimize import minimize

    wins = np.array([[0, 9, 12, 3], [3, 0, 8, 5], [1, 4, 0, 6], [5, 7, 6, 0]])

    def loss(theta: np.ndarray) -> float:
        gaps = theta[:, None] - theta[None, :]
        return float(((wins + (1 - np.eye(4)) * 2**0.5 / 4**1.5) * np.logaddexp(0, -gaps)).sum())

    found = minimize(loss, np.zeros(4), tol=1e-10).x
    assert Preferences(wins).strengths == pytest.approx(found - found.mean(), abs=1e-4)


def test_a_condition_that_won_everything_and_one_without_votes_have_finite_scores() -> None:
    model = Preferences(np.array([[0, 40, 0], [0, 0, 0], [0, 0, 0]]))
    for i in range(3):
        one = model.strength(i)
        assert all(map(math.isfinite, (one.low, one.value, one.high)))
        assert one.low < one.value < one.high
    assert model.difference(0, 1).low > 1
    unseen = model.difference(0, 2)
    assert unseen.low < 0 < unseen.high


def test_equal_conditions_have_no_number_of_votes() -> None:
    model = Preferences(np.array([[0, 20], [20, 0]]))
    assert model.votes_to_separate(model.difference(0, 1)) is None
    empty = Preferences(np.zeros((2, 2)))
    assert empty.votes_to_separate(empty.difference(0, 1)) is None


def test_shares_have_wilson_intervals() -> None:
    found = share(9, 40)  # by the formula of Wilson, 1927
    assert (found.value, found.low, found.high) == pytest.approx((0.225, 0.1232, 0.3750), abs=2e-4)
    assert (share(0, 5).low, share(5, 5).high) == (0, 1)
