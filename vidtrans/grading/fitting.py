"""Fit a grade to samples: a colourist's operators, plus a smooth residual lattice where colours were seen.

The operators extrapolate a grade to unseen colours. As in "Exposure" (Hu et al., ACM TOG
2018): a few named operators, in a fixed order.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from vidtrans.grading.lattice import SIZE, ColourLattice, differences, interpolation, node_colours
from vidtrans.grading.samples import ColourSamples

LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
GAMMA = 2.2  # of a display, for gains, which belong to light
MAX_SAMPLES = 4000
OPERATOR_OUTLIER = 0.03  # of full scale: from there on a sample counts less
# How far each operator is expected to go: a ridge for those that the samples do not decide.
EXPECTED = np.array([1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.5, 0.5])
RIDGE = 0.02


@dataclass(frozen=True)
class Operators:
    """Exposure and gains in linear light, then gamma, lift, contrast and saturation on stored values; 0 is neutral.

    ``exposure``: stops. ``warmth``: stops of red over blue. ``tint``: stops of green. ``gamma_*``: binary logarithm of
    each channel's exponent. ``lift_*``: the new black level. ``contrast`` and ``saturation``: natural logarithms of
    factors.
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
        """Map colours (…, 3) in [0, 1]; the result is not clipped."""
        stops = self.exposure + np.array([self.warmth / 2, self.tint, -self.warmth / 2])
        exponent = np.exp2([self.gamma_red, self.gamma_green, self.gamma_blue])
        lift = np.array([self.lift_red, self.lift_green, self.lift_blue])
        bright = np.clip(colours, 0.0, None) * np.exp2(stops / GAMMA)
        curved = lift + (1 - lift) * bright**exponent
        around = 0.5 + (curved - 0.5) * np.exp(self.contrast)
        luma = (around @ LUMA)[..., None]
        return luma + (around - luma) * np.exp(self.saturation)


def fit_operators(samples: ColourSamples) -> Operators:
    """Return the operators that best map ``before`` to ``after``, by least squares robust to outliers."""
    some = slice(None, None, -(-len(samples.before) // MAX_SAMPLES))
    before, after, weights = samples.before[some], samples.after[some], samples.weights[some]
    root = np.sqrt(weights / weights.sum())[:, None]

    def errors(values: np.ndarray) -> np.ndarray:
        misfit = (np.clip(Operators(*values)(before), 0.0, 1.0) - after) / OPERATOR_OUTLIER
        # soft L1 of the distance, as residuals
        size = np.linalg.norm(misfit, axis=1, keepdims=True)
        misfit *= np.sqrt(2 * (np.sqrt(1 + size**2) - 1)) / np.maximum(size, 1e-9)
        return np.concatenate([(root * misfit).ravel(), RIDGE * values / EXPECTED])

    found = least_squares(errors, np.array(astuple(Operators())), method="trf", max_nfev=60)
    return Operators(*(float(v) for v in found.x))


LEVELS = (9, 17)  # nodes a side of the lattices that come first
ROUNDS = 2  # at each level, of weights by what was left over
OUTLIER = 0.015  # of full scale: from there on a sample counts less
BEND, SLOPE, SIZE_OF_REST = 3e-2, 3e-4, 1e-5  # what the rest costs: its bends, its slopes, itself
NEAR = 0.03  # σ, of the range of a channel, within which a sample decides what a colour becomes
SEEN = 0.5  # a node is seen where samples decide at least this share of its value
TOLERANCE, MAX_ITERATIONS, TINY = 1e-4, 600, 1e-30


@dataclass(frozen=True)
class FittedGrade:
    """A grade's ``lattice``, its ``operators``, and the certainty of each node, (n, n, n), 0 to 1, from the samples."""

    lattice: ColourLattice
    operators: Operators
    certainty: np.ndarray

    def is_seen(self, colours: np.ndarray) -> np.ndarray:
        """Return whether the samples determine the mapping of colours (…, 3) in [0, 1]: (…,) bool."""
        flat = colours.reshape(-1, 3)
        share = interpolation(flat, len(self.certainty)) @ self.certainty.ravel()
        return (share >= SEEN).reshape(colours.shape[:-1])


def fit_grade(samples: ColourSamples, size: int = SIZE) -> FittedGrade:
    """Return a smooth grade, ``size`` nodes per side, that fits the samples; unseen colours follow its operators."""
    samples = samples.averaged()
    operators = fit_operators(samples)
    counts = samples.weights / samples.weights.mean()
    trust, rest = np.ones(len(counts)), np.zeros((1, 3))
    coarser = 1
    for finer in sorted({min(size, n) for n in LEVELS} | {size}):
        # What a coarse lattice has found is where a fine one starts: far fewer iterations.
        rest = np.repeat(rest, finer**3, axis=0) if coarser == 1 else _resampled(rest, coarser, finer)
        base = np.clip(operators(node_colours(finer)), 0.0, 1.0)
        weights, stiff = interpolation(samples.before, finer), _stiffness(finer)
        wanted = samples.after - weights @ base.reshape(-1, 3)
        for _ in range(ROUNDS):
            system = (weights.T @ sparse.diags_array(counts * trust) @ weights + stiff).tocsr()
            rest = _solve(system, weights.T @ (wanted * (counts * trust)[:, None]), rest)
            misfit = np.linalg.norm(wanted - weights @ rest, axis=1)
            trust = 1 / (1 + (misfit / OUTLIER) ** 2)
        coarser = finer
    nodes = np.clip(base + rest.reshape(base.shape), 0.0, 1.0)
    return FittedGrade(ColourLattice(nodes), operators, _certainty(weights, size))


def certainty_of(samples: ColourSamples, size: int) -> np.ndarray:
    """Return the certainty of a lattice's nodes given samples, (n, n, n), 0 to 1, as in ``fit_grade``."""
    return _certainty(interpolation(samples.averaged().before, size), size)


def _resampled(rest: np.ndarray, size: int, finer: int) -> np.ndarray:
    """Resample node values of a lattice, (size³, 3), to a finer lattice."""
    return interpolation(node_colours(finer).reshape(-1, 3), size) @ rest


def _certainty(weights: sparse.csr_matrix, size: int) -> np.ndarray:
    """Return how well nearby samples determine each node, (n, n, n), 0 to 1."""
    counts = np.asarray(weights.sum(axis=0)).reshape(size, size, size)
    near = gaussian_filter(counts, NEAR * (size - 1), mode="constant")
    # What a single sample gives to its own place counts as half of certainty.
    single = (NEAR * (size - 1) * (2 * np.pi) ** 0.5) ** -3
    return near / (near + single)


def _stiffness(size: int) -> sparse.csr_matrix:
    """Return the matrix K of the cost rᵀKr, which keeps the residual r of a lattice smooth, scaled for any ``size``."""
    step = 1 / (size - 1)
    bend, slope = differences(size, 2), differences(size, 1)
    return (
        BEND * (0.1 / step) * (bend.T @ bend) + SLOPE * (slope.T @ slope) + SIZE_OF_REST * sparse.eye_array(size**3)
    ).tocsr()


def _solve(system: sparse.csr_matrix, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Solve for all columns of ``right`` at once, by conjugate gradients with the diagonal as preconditioner.

    ``start``: the first guess. SciPy's solver takes one column, and its threaded dot products wait for each other: on a
    busy machine that takes twenty times as long.
    """
    easier = 1 / system.diagonal()[:, None]
    x = start.copy()
    residual = right - system @ x
    step = conditioned = easier * residual
    energy = np.einsum("nc,nc->c", residual, conditioned)
    enough = TOLERANCE**2 * np.einsum("nc,nc->c", right, easier * right)
    for _ in range(MAX_ITERATIONS):
        if (energy <= enough).all():
            break
        along = system @ step
        length = energy / np.maximum(np.einsum("nc,nc->c", step, along), TINY)
        x += length * step
        residual -= length * along
        conditioned = easier * residual
        before, energy = energy, np.einsum("nc,nc->c", residual, conditioned)
        step = conditioned + energy / np.maximum(before, TINY) * step
    return x
