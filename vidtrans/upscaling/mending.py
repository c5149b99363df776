"""The faults of a network's pictures (blur, ringing, noise), found by their agreement with the source at three scales.

Half and a quarter of the size are nearly free of a fault whose reach is a pixel. There it shows how far the finest
detail can be predicted from what is coarser and from the source; at full size a blur makes it weaker than predicted,
ringing stronger, and noise adds what nothing predicts.

``ops`` is ``array_pictures`` or ``tensor_pictures``; pictures are theirs, float32 from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.detail import (
    WINDOW,
    DetailScale,
    Ops,
    Picture,
    agreement,
    enlarged_back,
    half_of,
    predicted,
    scale_of,
    unseen,
)
from vidtrans.upscaling.guidance import fit_colour_map

SCALES = 3
# A look that changes fine detail more than coarse detail is not a fault: its finest detail agrees less with the source.
LEAST_AGREEMENT, LEAST_STEADY = 0.5, 0.87  # of the finest detail; and as a share of the next scale's
# The strength of the finest detail over that of the coarsest: a blur is below; ringing between the others, and falls
# from scale to scale; where detail is stronger, the look draws lines of its own. A blur weakens the next scale, too.
BLURRED, RINGING, DRAWN = 0.78, 1.14, 1.26
BLURRED_NEXT = 0.95
STRONGEST = 1.55  # of the finest detail, over what is predicted
LEAST_ALIKE = 0.45  # agreement of the finest detail; or at any scale, where the network's own texture is not sought
# The network's own texture: its finest detail is far weaker than predicted, and does not agree with the source.
OWN, NOT_OWN = 0.72, 0.83  # strength over the next scale's, and agreement of the next scale with the source
# A network that follows the source closely but for its finest detail, which it has lost: that detail's strength, and
# agreement over the next scale's, at most; the agreement of the coarser scales, at least.
LOST, LOST_ALIKE, KEPT_ALIKE = 0.42, 0.58, (0.7, 0.9)
POWER = 1.5  # the coarsest scale has a part of the fault, so the factor is larger than measured
LEAST, MOST = (0.6, 0.8), (1.9, 1.25)  # factors of the finest detail and of the next
NOISIEST = 7 / 255  # standard deviation: beyond, it is texture
# Quantiles of absolute differences, with those of a normal distribution of deviation 1: noise has the same deviation by
# both; what a look adds is sparse, and has less by the lower one.
LOW, MIDDLE = (0.1, 0.1257), (0.25, 0.3186)
LEAST_NORMAL = 0.85  # of the one deviation to the other
# The most power of the errors of a map of colours, over those of a guided filter, and over the detail's.
MAP_BETTER, MAP_ERROR = 0.8, 0.5
COLOURS = 3
DIGITS = 3  # of the factors, so that rounding of a processor does not change them


@dataclass(frozen=True)
class Faults:
    """The faults of a network's pictures of one shot.

    ``finest`` and ``next``: factors for the detail of the finest octave and of the next. ``noise``: standard deviation
    in the finest octave, of colours from 0 to 1. ``is_own``: that octave is the network's own texture, which boils.
    ``is_unlike``: that octave is not the source's, as where this is a drawing; its detail stays out. ``is_colour_map``:
    a colour of the source becomes the same one all over a picture, as in a grade or a poster. ``is_lost``: the network
    follows the source closely, but its finest detail is gone, so that the source's takes its place.
    """

    finest: float = 1.0
    next: float = 1.0
    noise: float = 0.0
    is_own: bool = False
    is_unlike: bool = False
    is_colour_map: bool = False
    is_lost: bool = False


FAULTLESS = Faults()


def find_faults(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Faults:
    """Return the faults of a network's outputs, each beside its source at the same size, (h, w, 3) float32."""
    found, errors = [], []
    for output, source in pairs:
        scales = _scales(output, source)
        found.append(_moments(scales))
        errors.append(_errors(scales[0], output, source))
    if not found:
        return FAULTLESS
    of_filter, of_map = np.mean(errors, axis=0)
    own, made, shared, low, middle = np.maximum(np.mean(found, axis=0), 1e-12)
    is_colour_map = of_map < min(MAP_BETTER * of_filter, MAP_ERROR * own[0])
    strength, agrees = shared / made, shared / np.sqrt(made * own)
    is_steady = agrees[0] > max(LEAST_AGREEMENT, LEAST_STEADY * agrees[1])
    over_coarsest, next_over = strength[:2] / strength[2]
    is_blurred = over_coarsest < BLURRED and next_over < BLURRED_NEXT and strength[2] < DRAWN
    rings = RINGING < over_coarsest < DRAWN and STRONGEST > strength[0] > strength[1]
    finest = following = 1.0
    if is_steady and (is_blurred or rings):
        finest, following = np.clip((strength[2] / strength[:2]) ** POWER, LEAST, MOST)
    # White noise has a quarter of its power at half the size.
    deviation = float(np.sqrt(max(0.0, (low[0] ** 2 - 1.2 * low[1] ** 2) * 4 / 3)))
    is_unlike = agrees.max() < LEAST_ALIKE
    is_own = not (is_unlike or is_steady) and strength[0] < OWN * strength[1] and agrees[1] < NOT_OWN
    is_lost = strength[0] < LOST and agrees[0] < LOST_ALIKE * agrees[1] and bool((agrees[1:] > KEPT_ALIKE).all())
    is_unlike |= not is_own and agrees[0] < LEAST_ALIKE
    is_noise = low[0] > LEAST_NORMAL * middle[0] and deviation < NOISIEST
    noise = round(deviation, DIGITS + 1) if is_noise else 0.0
    return Faults(
        round(float(finest), DIGITS),
        round(float(following), DIGITS),
        noise,
        bool(is_own),
        bool(is_unlike),
        bool(is_colour_map),
        bool(is_lost),
    )


def _scales(output: np.ndarray, source: np.ndarray) -> list[DetailScale]:
    """Return the candidates for the detail at each scale, the finest first, and those of the next coarser scale."""
    scales: list[DetailScale] = []
    for _ in range(SCALES + 1):
        scales.append(scale_of(array_pictures, output, source))
        output, source = scales[-1].half, scales[-1].half_source
    return scales


def _errors(finest: DetailScale, output: np.ndarray, source: np.ndarray) -> tuple[float, float]:
    """Return the powers of the errors of the finest detail: by the guided filter, and by a map of all colours."""
    colour_map = fit_colour_map(finest.half_source, finest.half)
    scales = (finest, scale_of(array_pictures, output, source, colour_map))
    by_filter, by_map = (float(np.mean((scale.found.guided - scale.truth) ** 2)) for scale in scales)
    return by_filter, by_map


def _moments(scales: Sequence[DetailScale]) -> np.ndarray:
    """Return of each scale the detail's power, its prediction's, what both share, and two deviations: (5, N)."""
    moments = []
    for scale, coarser in pairwise(scales):
        made = predicted(array_pictures, scale, agreement(array_pictures, coarser))
        low, middle = np.quantile(np.abs(scale.truth - made), (LOW[0], MIDDLE[0])) / (LOW[1], MIDDLE[1])
        moments.append([(scale.truth**2).mean(), (made**2).mean(), (made * scale.truth).mean(), low, middle])
    return np.array(moments, np.float64).T


def mended(ops: Ops, x: Picture, source: Picture, faults: Faults) -> Picture:
    """Return a network's picture without its faults; the source has the same size."""
    if faults.noise:
        x = _without_noise(ops, x, source, faults.noise)
    if (faults.finest, faults.next) != (1, 1):
        whole, half = ops.size_of(x), half_of(ops, x)
        finest = unseen(ops, x, ops.size_of(half))
        following = unseen(ops, half, ops.size_of(half_of(ops, half)))
        x = ops.plus(x, finest, faults.finest - 1)
        x = ops.plus(x, enlarged_back(ops, following, whole, 1), faults.next - 1)
    return ops.clip(x, 0, 1)


def _without_noise(ops: Ops, x: Picture, source: Picture, deviation: float) -> Picture:
    """Return a picture whose finest detail is brought nearer to what is predicted, by Wiener's rule."""
    scale = scale_of(ops, x, source)
    coarser = scale_of(ops, scale.half, scale.half_source)
    left = ops.minus(scale.truth, predicted(ops, scale, agreement(ops, coarser)))
    power = ops.blur(ops.product(left, left), WINDOW) / COLOURS
    return ops.minus(x, ops.times(left, ops.clip(deviation**2 / (power + 1e-12), 0, 1)))
