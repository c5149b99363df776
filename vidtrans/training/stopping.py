"""Early stopping: when to score held-out pairs, the best state, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TIMES = 20  # scorings of a run by default
APART = 200  # steps between two of them, at least, so that scoring costs a few percent
WORSE = 1.02  # times the best held-out L1, above which there is advice
RISING = 0.03  # of the likeness of features over the last quarter of a look's run, from which there is advice
LOWER_IS_BETTER = ("l1", "patch_distance")

Score = Mapping[str, float | None]
Scores = Sequence[tuple[int, Score]]


def score_steps(total: int, every: int = 0) -> list[int]:
    """Return the steps that are scored: every ``every`` steps (0: at most ``TIMES`` a run), and the last, ``total``."""
    every = every or max(APART, -(-total // TIMES))
    return sorted({*range(every, total, every), total})


def best_of(scores: Scores, name: str) -> int | None:
    """Return the first step with the best score ``name``: lowest for ``LOWER_IS_BETTER``, highest for other names."""
    known = [(value, step) for step, table in scores if (value := table.get(name)) is not None]
    if not known:
        return None
    sign = 1 if name in LOWER_IS_BETTER else -1
    return min(known, key=lambda found: sign * found[0])[1]


def is_enough(scores: Scores, name: str, patience: int) -> bool:
    """Return whether the last ``patience`` scorings brought no improvement; never if ``patience`` is 0."""
    best = best_of(scores, name)
    return patience > 0 and best is not None and sum(step > best for step, _ in scores) >= patience


def describe_score(scores: Scores) -> str:
    """Return the newest held-out score as words for a progress line; '' without one."""
    newest = scores[-1][1] if scores else {}
    if (psnr := newest.get("psnr")) is not None:
        return f"held out {psnr:.1f} dB"
    if (found := newest.get("mean_iou")) is not None:
        return f"held-out mean IoU {found:.3f}"
    if (likeness := newest.get("feature_likeness")) is not None:
        return f"{likeness:.0%} of the way to the picture"
    distance = newest.get("patch_distance")
    return "" if distance is None else f"{1 - distance:.0%} of the way to the target"


def advice(scores: Scores) -> str:
    """Return advice at the end of a run; '' if its last state is about as good as the best."""
    if rising := _rising(scores):
        return rising
    best = best_of(scores, "l1")
    if best is None or best == scores[-1][0]:
        return ""
    at_best, at_last = dict(scores)[best]["l1"], scores[-1][1]["l1"]
    if at_best is None or at_last is None or at_last <= WORSE * at_best:
        return ""
    return (
        f"held-out L1 was lowest at step {best} ({at_best:.4g}) and is {at_last:.4g} now: "
        "more steps learn the training pictures by heart"
    )


def _rising(scores: Scores) -> str:
    """Return advice if a style model's likeness of features was still rising, else ''."""
    known = [(step, value) for step, table in scores if (value := table.get("feature_likeness")) is not None]
    earlier = [found for found in known if found[0] <= known[-1][0] * 3 / 4]
    if not earlier or known[-1][1] - earlier[-1][1] < RISING:
        return ""
    (before, was), (last, now) = earlier[-1], known[-1]
    return (
        f"the held-out likeness of features was still rising ({was:.0%} at step {before}, {now:.0%} at {last}): "
        "give more --steps"
    )
