"""When held-out pairs are scored, which state was the best, and when a run has had enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.training.stopping import APART, TIMES, advice, best_of, is_enough, score_steps

values = st.one_of(st.none(), st.floats(0, 50))


@given(st.integers(1, 200_000), st.integers(0, 5_000))
def test_scorings_end_with_the_run_and_are_no_nearer_than_they_shall_be(total: int, every: int) -> None:
    steps = score_steps(total, every)
    assert steps[-1] == total
    gaps = {b - a for a, b in zip([0, *steps], steps[:-1], strict=False)}
    assert gaps <= {every or max(APART, -(-total // TIMES))}
    assert every or len(steps) <= TIMES


@given(st.lists(values, min_size=1), st.sampled_from(["l1", "psnr", "ssim", "patch_distance"]))
def test_the_best_is_better_than_all_before_and_no_worse_than_any(found: list[float | None], name: str) -> None:
    scores = [(10 * i, {name: value}) for i, value in enumerate(found, 1)]
    best = best_of(scores, name)
    known = [v for v in found if v is not None]
    value = (min if name in ("l1", "patch_distance") else max)(known, default="there is none")
    assert best == next((step for step, table in scores if table[name] == value), None)


@pytest.mark.parametrize(
    ("found", "patience", "enough"),
    [
        ([3.0, 2.0, 2.5, 2.6], 2, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.0, 2.0], 2, True),  # as good is not better
        ([3.0, 4.0, 5.0, 6.0], 0, False),
        ([None, None], 1, False),
        ([3.0, 2.0, 2.5], 1, True),
        ([3.0, 2.0], 1, False),
    ],
)
def test_patience(found: list[float | None], patience: int, enough: bool) -> None:
    assert is_enough([(i, {"l1": v}) for i, v in enumerate(found, 1)], "l1", patience) is enough


def test_only_a_run_that_got_worse_is_told_so() -> None:
    assert advice([]) == ""
    rising = [(step, {"likeness": value}) for step, value in ((200, 0.2), (600, 0.4), (800, 0.5))]
    assert "likeness was still rising (40% at step 600, 50% at 800)" in advice(rising)
    assert advice([*rising, (1200, {"likeness": 0.51})]) == ""
    assert advice([(1, {"l1": 0.3}), (2, {"l1": 0.2})]) == ""
    assert advice([(1, {"l1": 0.2}), (2, {"l1": 0.201})]) == ""
    told = advice([(1, {"l1": 0.3}), (2, {"l1": 0.2}), (3, {"l1": 0.25})])
    assert "step 2 (0.2)" in told
    assert "0.25 now" in told
