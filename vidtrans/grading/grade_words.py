"""Say in words what a grade does, by what becomes of greys and of the colours that were seen."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidtrans.grading.operators import GAMMA

TONES = {"shadows": 0.2, "mid-tones": 0.45, "highlights": 0.8}
NOTICED = 2.0  # of CIE Lab's a and b: a cast that is seen
STOPS_NOTICED, SHARE_NOTICED = 0.1, 0.05
ENDS_NOTICED = 4.0  # of CIE Lab's lightness
Map = Callable[[np.ndarray], np.ndarray]


def _all(colours: np.ndarray) -> np.ndarray:
    return np.ones(len(colours), bool)


def describe(grade: Map, seen: np.ndarray, is_known: Callable[[np.ndarray], np.ndarray] = _all) -> list[str]:
    """Return phrases such as "exposure +0.4", "warmer shadows".

    ``seen`` (N, 3) are colours of the source, in [0, 1]; ``is_known``: of which colours (N, 3) it is known what becomes
    of them, (N,) bool. An empty list: it changes nothing to speak of.
    """
    said = []
    greys = np.repeat(np.linspace(0, 1, 65)[:, None], 3, axis=1)
    tones = _lab(grade(greys))
    light = _lab(greys)[:, 0]
    middle = slice(20, 50)
    before, after = greys[middle, 0], np.clip(grade(greys[middle]).mean(axis=1), 1e-3, 1)
    stops = float(np.median(GAMMA * np.log2(after / before)))
    if abs(stops) >= STOPS_NOTICED:
        said.append(f"exposure {stops:+.1f}")
    slope = float(np.polyfit(light[middle], tones[middle, 0], 1)[0])
    if abs(slope - 1) >= SHARE_NOTICED:
        said.append(f"contrast {100 * (slope - 1):+.0f} %")
    ends = (("lifted blacks", 0, tones[0, 0]), ("lowered whites", -1, 100 - tones[-1, 0]))
    said += [text for text, end, apart in ends if apart >= ENDS_NOTICED and is_known(greys[[end]])[0]]
    casts: dict[str, list[str]] = {}
    tones_known = {name: at for name, at in TONES.items() if is_known(np.full((1, 3), at))[0]}
    for name, at in tones_known.items():
        _, a, b = _lab(grade(np.full((1, 3), at)))[0]
        for text in _casts(a, b):
            casts.setdefault(text, []).append(name)
    for text, names in casts.items():
        said.append(text if len(names) == len(tones_known) > 1 else f"{text} {' and '.join(names)}")
    colours, graded = _lab(seen), _lab(grade(seen))
    graded -= _cast_of(tones, graded)
    chroma, chroma_after = (np.hypot(lab[:, 1], lab[:, 2]) for lab in (colours, graded))
    coloured = chroma > 8
    if coloured.mean() > 0.02:
        share = float(np.median(chroma_after[coloured] / chroma[coloured]))
        if share < 0.1:
            said.append("black and white")
        elif abs(share - 1) >= SHARE_NOTICED:
            said.append(f"saturation {100 * (share - 1):+.0f} %")
    return said


def _casts(a: float, b: float) -> list[str]:
    found = []
    if abs(b) >= NOTICED:
        found.append("warmer" if b > 0 else "cooler")
    if abs(a) >= NOTICED:
        found.append("more magenta" if a > 0 else "greener")
    return found


def _cast_of(tones: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the cast that greys of the colours' lightness get, as Lab without lightness, (N, 3)."""
    order = np.argsort(tones[:, 0])
    casts = [np.interp(colours[:, 0], tones[order, 0], tones[order, c]) for c in (1, 2)]
    return np.stack([np.zeros(len(colours)), *casts], axis=1)


def _lab(colours: np.ndarray) -> np.ndarray:
    """Return CIE Lab of colours (N, 3) in [0, 1]."""
    picture = np.clip(colours, 0, 1).astype(np.float32)[None]
    lab: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[0]
    return lab
