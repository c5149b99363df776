"""Learn a grade from pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.grading.fitting import SEEN, FittedGrade, certainty_of, fit_grade
from vidtrans.grading.grade_words import describe
from vidtrans.grading.operators import Operators
from vidtrans.grading.placing import place, sample_pair
from vidtrans.grading.samples import ColourSamples
from vidtrans.grading.transfer import match_colours
from vidtrans.grading.transport import AffineColours, linear_map, transport_colours
from vidtrans.video.colour.conversion import unit

SMALL_SIDE = 192  # in pixels, of pictures whose colours alone are compared
LOOK_NOT_GRADE = 4.0  # ΔE2000 left over in the median: colours do not say what became of them
FEW_COLOURS = 0.05  # of all colours; the rest of the table is a guess


@dataclass(frozen=True)
class LearnedGrade:
    """A grade, what it does in ``words``, its ``scores``, and ``doubts`` to tell the user."""

    grade: FittedGrade
    words: list[str]
    scores: Table
    doubts: list[str]
    num_pictures: int


@dataclass(frozen=True)
class PlacedPairs:
    """Colours of pictures before and after that show the same: of ``placed`` pairs, and not of ``strangers``."""

    samples: ColourSamples
    placed: int
    strangers: int

    def learn(self, size: int) -> LearnedGrade:
        """Fit a grade, a table of ``size`` nodes a side."""
        learned = _learned(fit_grade(self.samples, size), self.samples, self.placed)
        if not self.strangers:
            return learned
        left_out = f"{self.strangers} of {self.strangers + self.placed} pairs do not show the same: they were left out"
        return replace(learned, doubts=[*learned.doubts, left_out])


def place_pairs(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> PlacedPairs:
    """Find in pictures before and after, (H, W, 3) uint8 or uint16, what shows the same.

    They may be of any size, one perhaps a part of the other. Raises UsageError where they do not show the same.
    """
    parts, placed, strangers = [], 0, 0
    for before, after in pairs:
        placement = place(before, after)
        if not placement.agrees:
            strangers += 1
            continue
        placed += 1
        parts.append(sample_pair(before, after, placement))
    if not parts or not sum(len(part.before) for part in parts):
        why = "the pictures before and after do not show the same, as far as can be seen"
        raise UsageError("vidtrans grade", why, "give pictures of one scene, or --unpaired for the colours alone")
    return PlacedPairs(ColourSamples.join(parts), placed, strangers)


def learn_from_colours(
    before: Iterable[np.ndarray], after: Iterable[np.ndarray], size: int, method: str = UNPAIRED_METHODS[0]
) -> LearnedGrade:
    """Learn what brings the colours of one set of pictures to those of another, whatever both show.

    ``method`` is one of ``UNPAIRED_METHODS``.
    """
    sides = [list(map(_colours, pictures)) for pictures in (before, after)]
    first, second = (np.concatenate(side) for side in sides)
    if method == "linear":
        moved = linear_map(first, second)
        samples = ColourSamples(first, np.clip(moved(first), 0.0, 1.0), np.ones(len(first)))
        grade = FittedGrade(moved.lattice(size), Operators(), certainty_of(samples, size))
    else:
        samples = transport_colours(first, second) if method == "transport" else match_colours(first, second)
        grade = fit_grade(samples, size)
    learned = _learned(grade, samples, len(sides[0]))
    scores = {k: v for k, v in learned.scores.items() if k != "delta_e"}  # there is no truth to be near to
    return replace(learned, scores=scores, doubts=[])


def affine_colours(before: Iterable[np.ndarray], after: Iterable[np.ndarray]) -> AffineColours:
    """Return the affine map of [0, 1] that ``linear`` learns: where a generator may start."""
    first, second = (np.concatenate(list(map(_colours, pictures))) for pictures in (before, after))
    return linear_map(first, second)


def _learned(grade: FittedGrade, samples: ColourSamples, count: int) -> LearnedGrade:
    lattice = grade.lattice
    some = np.random.default_rng(0).permutation(len(samples.before))[:20000]
    before, after = samples.before[some], samples.after[some]
    apart = deltaE_ciede2000(rgb2lab(lattice(before)[None]), rgb2lab(np.clip(after, 0, 1)[None]))[0]
    order = np.argsort(apart)
    share = np.cumsum(samples.weights[some][order])
    median = float(apart[order][np.searchsorted(share, share[-1] / 2)])
    seen = float((grade.certainty >= SEEN).mean())
    doubts = []
    if median > LOOK_NOT_GRADE:
        doubts.append(
            f"no map of colours makes the one of the other (ΔE {median:.1f} is left): places differ, or it is more "
            "than a grade; vidtrans make-dataset --target and train learn such"
        )
    if seen < FEW_COLOURS:
        doubts.append(f"{100 * seen:.1f} % of all colours were seen: what becomes of the others is guessed")
    scores = {"delta_e": round(median, 3), "colours_seen": round(seen, 4)}
    return LearnedGrade(grade, describe(lattice, before, grade.is_seen), scores, doubts, count)


def _colours(picture: np.ndarray) -> np.ndarray:
    """Return a picture's colours, (N, 3) float64 in [0, 1], a little averaged."""
    height, width = picture.shape[:2]
    scale = min(1.0, SMALL_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: np.ndarray = cv2.resize(unit(picture), size, interpolation=cv2.INTER_AREA)
    return small.reshape(-1, 3).astype(np.float64)
