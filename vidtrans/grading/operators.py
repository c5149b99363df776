"""The operators of a colourist, fitted to samples: what a grade does to colours that were not seen.

In the manner of "Exposure" (Hu et al., ACM TOG 2018): few of them, each of which has a name, in a fixed order.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import least_squares

from vidtrans.grading.samples import ColourSamples

LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
GAMMA = 2.2  # of a display, for gains, which belong to light
MAX_SAMPLES = 4000
OUTLIER = 0.03  # of full scale: from there on a sample counts less
# How far each operator is expected to go: a ridge for those that the samples do not decide.
EXPECTED = np.array([1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.5, 0.5])
RIDGE = 0.02


@dataclass(frozen=True)
class Operators:
    """Exposure and gains on light, then gamma, lift, contrast and saturation on stored values; 0 changes nothing.

    ``exposure``: stops. ``warmth``: stops of red over blue. ``tint``: stops of green. ``gamma_*``: stops of each
    channel's exponent. ``lift_*``: what black becomes. ``contrast`` and ``saturation``: logarithms of factors.
    """

    exposure: float = 0.0
    warmth: float = 0.0
    tint: float = 0.0
    gamma_red: float = 0.0
    gamma_green: float = 0.0
    gamma_blue: float = 0.0
    lift_red: float = 0.0
    lift_green: float = 0.0
    lift_blue: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3) in [0, 1], not clipped to it."""
        stops = self.exposure + np.array([self.warmth / 2, self.tint, -self.warmth / 2])
        exponent = np.exp2([self.gamma_red, self.gamma_green, self.gamma_blue])
        lift = np.array([self.lift_red, self.lift_green, self.lift_blue])
        bright = np.clip(colours, 0.0, None) * np.exp2(stops / GAMMA)
        curved = lift + (1 - lift) * bright**exponent
        around = 0.5 + (curved - 0.5) * np.exp(self.contrast)
        luma = (around @ LUMA)[..., None]
        return luma + (around - luma) * np.exp(self.saturation)


def fit_operators(samples: ColourSamples) -> Operators:
    """Return the operators that map ``before`` to ``after`` best, in the least squares of what is no outlier."""
    some = slice(None, None, -(-len(samples.before) // MAX_SAMPLES))
    before, after, weights = samples.before[some], samples.after[some], samples.weights[some]
    root = np.sqrt(weights / weights.sum())[:, None]

    def errors(values: np.ndarray) -> np.ndarray:
        apart = (np.clip(Operators(*values)(before), 0.0, 1.0) - after) / OUTLIER
        # soft L1 of the distance, as residuals
        size = np.linalg.norm(apart, axis=1, keepdims=True)
        apart *= np.sqrt(2 * (np.sqrt(1 + size**2) - 1)) / np.maximum(size, 1e-9)
        return np.concatenate([(root * apart).ravel(), RIDGE * values / EXPECTED])

    found = least_squares(errors, np.array(astuple(Operators())), method="trf", max_nfev=60)
    return Operators(*(float(v) for v in found.x))
