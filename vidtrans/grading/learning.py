"""Learn a grade from pictures, and describe its effect on greys and on the seen colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.grading.fitting import GAMMA, SEEN, FittedGrade, Operators, certainty_of, fit_grade
from vidtrans.grading.placing import place, sample_pair
from vidtrans.grading.samples import ColourSamples
from vidtrans.grading.transfer import AffineColours, linear_map, match_colours, transport_colours
from vidtrans.video.colour.conversion import resize_alpha, unit
from vidtrans.video.images.picture_analysis import colour_differences

SMALL_SIDE = 192  # in pixels, of pictures whose colours alone are compared
LOOK_NOT_GRADE = 4.0  # ΔE2000 left over in the median: colours do not say what became of them
OPAQUE = 0.5  # alpha above which a pixel is part of a picture
FEW_COLOURS = 0.05  # of all colours; the rest of the table is a guess


@dataclass(frozen=True)
class LearnedGrade:
    """A grade, its description ``words``, its ``scores`` (ΔE2000, share of seen colours), and warnings, ``doubts``."""

    grade: FittedGrade
    words: list[str]
    scores: Table
    doubts: list[str]
    num_pictures: int


@dataclass(frozen=True)
class PlacedPairs:
    """Colour samples of ``placed`` aligned picture pairs; ``strangers``: the number of pairs that do not match."""

    samples: ColourSamples
    placed: int
    strangers: int

    def learn(self, size: int) -> LearnedGrade:
        """Fit a grade, a lattice with ``size`` nodes per side."""
        learned = _learned(fit_grade(self.samples, size), self.samples, self.placed)
        if not self.strangers:
            return learned
        left_out = (
            f"{self.strangers} of {plural(self.strangers + self.placed, 'pair')} do not match: they were left out"
        )
        return replace(learned, doubts=[*learned.doubts, left_out])


def place_pairs(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> PlacedPairs:
    """Align pictures before and after, (H, W, 3) uint8 or uint16, and sample their colours.

    They may be of any size, and one may be a crop of the other. Raises UsageError if no pair matches.
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
        why = "the pictures before and after do not match"
        raise UsageError("vidtrans grade", why, "give pictures of one scene, or --unpaired for the colours alone")
    return PlacedPairs(ColourSamples.join(parts), placed, strangers)


def learn_from_colours(
    before: Iterable[np.ndarray], after: Iterable[np.ndarray], size: int, method: str = UNPAIRED_METHODS[0]
) -> LearnedGrade:
    """Learn the map from one set's colours to another's, whatever the pictures show.

    Pictures are (H, W, 3) or, with alpha, (H, W, 4), uint8 or uint16. ``size``: nodes per side. ``method``: one of
    ``UNPAIRED_METHODS``. Raises UsageError if all pictures of a side are fully transparent.
    """
    sides = [list(map(_colours, pictures)) for pictures in (before, after)]
    first, second = (np.concatenate(side) for side in sides)
    if not len(first) or not len(second):
        raise UsageError("vidtrans grade", "a picture is fully transparent", "give pictures with colours")
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
    """Return the affine map on [0, 1] that the method ``linear`` learns; a generator may start as this map."""
    first, second = (np.concatenate(list(map(_colours, pictures))) for pictures in (before, after))
    return linear_map(first, second)


def _learned(grade: FittedGrade, samples: ColourSamples, count: int) -> LearnedGrade:
    lattice = grade.lattice
    some = np.random.default_rng(0).permutation(len(samples.before))[:20000]
    before, after = samples.before[some], samples.after[some]
    delta = colour_differences(lattice(before), np.clip(after, 0, 1))
    order = np.argsort(delta)
    share = np.cumsum(samples.weights[some][order])
    median = float(delta[order][np.searchsorted(share, share[-1] / 2)])
    seen = float((grade.certainty >= SEEN).mean())
    doubts = []
    if median > LOOK_NOT_GRADE:
        doubts.append(
            f"no colour map turns one into the other (ΔE {median:.1f} remains): local edits differ, or it is more "
            "than a grade; use vidtrans make-dataset --target, then vidtrans train"
        )
    if seen < FEW_COLOURS:
        doubts.append(f"{100 * seen:.1f} % of all colours were seen: the mapping of the others is extrapolated")
    scores = {"delta_e": round(median, 3), "colours_seen": round(seen, 4)}
    return LearnedGrade(grade, describe(lattice, before, grade.is_seen), scores, doubts, count)


def _colours(picture: np.ndarray) -> np.ndarray:
    """Return a downscaled picture's colours, (N, 3) float64 in [0, 1], without those of transparent pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, SMALL_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.shape[2] == 4:
        rgba = unit(resize_alpha(picture, *size))
        return rgba[rgba[..., 3] > OPAQUE][:, :3].astype(np.float64)
    small: np.ndarray = cv2.resize(unit(picture), size, interpolation=cv2.INTER_AREA)
    return small.reshape(-1, 3).astype(np.float64)


TONES = {"shadows": 0.2, "mid-tones": 0.45, "highlights": 0.8}
NOTICED = 2.0  # of CIE Lab's a and b: a cast that is seen
STOPS_NOTICED, SHARE_NOTICED = 0.1, 0.05
ENDS_NOTICED = 4.0  # of CIE Lab's lightness
Map = Callable[[np.ndarray], np.ndarray]


def _all(colours: np.ndarray) -> np.ndarray:
    return np.ones(len(colours), bool)


def describe(grade: Map, seen: np.ndarray, is_known: Callable[[np.ndarray], np.ndarray] = _all) -> list[str]:
    """Return phrases such as "exposure +0.4", "warmer shadows".

    ``seen`` (N, 3): colours of the source, in [0, 1]; ``is_known``: returns for colours (N, 3) whether samples
    determine their mapping, (N,) bool. An empty list means no notable change.
    """
    phrases = []
    greys = np.repeat(np.linspace(0, 1, 65)[:, None], 3, axis=1)
    tones = _lab(grade(greys))
    light = _lab(greys)[:, 0]
    middle = slice(20, 50)
    before, after = greys[middle, 0], np.clip(grade(greys[middle]).mean(axis=1), 1e-3, 1)
    stops = float(np.median(GAMMA * np.log2(after / before)))
    if abs(stops) >= STOPS_NOTICED:
        phrases.append(f"exposure {stops:+.1f}")
    slope = float(np.polyfit(light[middle], tones[middle, 0], 1)[0])
    if abs(slope - 1) >= SHARE_NOTICED:
        phrases.append(f"contrast {100 * (slope - 1):+.0f} %")
    ends = (("lifted blacks", 0, tones[0, 0]), ("lowered whites", -1, 100 - tones[-1, 0]))
    phrases += [text for text, end, delta in ends if delta >= ENDS_NOTICED and is_known(greys[[end]])[0]]
    casts: dict[str, list[str]] = {}
    tones_known = {name: at for name, at in TONES.items() if is_known(np.full((1, 3), at))[0]}
    for name, at in tones_known.items():
        _, a, b = _lab(grade(np.full((1, 3), at)))[0]
        for text in _casts(a, b):
            casts.setdefault(text, []).append(name)
    for text, names in casts.items():
        phrases.append(text if len(names) == len(tones_known) > 1 else f"{text} {' and '.join(names)}")
    colours, graded = _lab(seen), _lab(grade(seen))
    graded -= _cast_of(tones, graded)
    chroma, chroma_after = (np.hypot(lab[:, 1], lab[:, 2]) for lab in (colours, graded))
    coloured = chroma > 8
    if coloured.mean() > 0.02:
        share = float(np.median(chroma_after[coloured] / chroma[coloured]))
        if share < 0.1:
            phrases.append("black and white")
        elif abs(share - 1) >= SHARE_NOTICED:
            phrases.append(f"saturation {100 * (share - 1):+.0f} %")
    return phrases


def _casts(a: float, b: float) -> list[str]:
    found = []
    if abs(b) >= NOTICED:
        found.append("warmer" if b > 0 else "cooler")
    if abs(a) >= NOTICED:
        found.append("more magenta" if a > 0 else "greener")
    return found


def _cast_of(tones: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the casts of the graded greys ``tones`` at the colours' lightness, as Lab with lightness 0, (N, 3)."""
    order = np.argsort(tones[:, 0])
    casts = [np.interp(colours[:, 0], tones[order, 0], tones[order, c]) for c in (1, 2)]
    return np.stack([np.zeros(len(colours)), *casts], axis=1)


def _lab(colours: np.ndarray) -> np.ndarray:
    """Return CIE Lab of colours (N, 3) in [0, 1]."""
    picture = np.clip(colours, 0, 1).astype(np.float32)[None]
    lab: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[0]
    return lab
