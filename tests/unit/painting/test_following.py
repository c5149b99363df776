"""How far paint is relied on that is carried along the motion, beside a network's."""

from __future__ import annotations

import numpy as np
import pytest

from vidtrans.painting.composing import LEVELS
from vidtrans.painting.following import shares_of

COUNTS = np.full(len(LEVELS), 100.0)


def shares(carried: np.ndarray, learned: float) -> np.ndarray:
    """Where what is carried is wrong by ``carried`` at each level of trust, and the network everywhere by one value."""
    return np.array(shares_of(COUNTS * (np.square(carried) + learned**2), COUNTS))


def test_what_is_sure_is_taken_and_what_is_wrong_is_left() -> None:
    found = shares(0.2 * (1 - np.array(LEVELS)), learned=0.03)
    assert found[-1] == pytest.approx(1, abs=0.1)
    assert found[0] < 0.01
    assert np.all(np.diff(found) >= 0)


def test_the_worse_the_network_the_more_is_carried() -> None:
    wrong = 0.1 * (1 - np.array(LEVELS))
    good, poor = shares(wrong, learned=0.02), shares(wrong, learned=0.2)
    assert np.all(poor >= good)
    assert poor[0] > 0.4 > good[0]


def test_where_nothing_was_compared_the_trust_itself_counts_and_where_nothing_is_sure_the_surest() -> None:
    assert shares_of(np.zeros(len(LEVELS)), np.zeros(len(LEVELS))) == LEVELS
    counts = np.where(np.array(LEVELS) > 0.5, 0, COUNTS)
    assert max(shares_of(counts * 0.01, counts)) == 1
