"""Fit a lattice to samples: the operators of a colourist, and a smooth rest where colours were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import LinearOperator, cg

from vidtrans.grading.lattice import SIZE, ColourLattice, differences, interpolation, node_colours
from vidtrans.grading.operators import Operators, fit_operators
from vidtrans.grading.samples import ColourSamples

ROUNDS = 4  # of weights by what was left over
OUTLIER = 0.015  # of full scale: from there on a sample counts less
BEND, SLOPE, SIZE_OF_REST = 3e-2, 3e-4, 1e-5  # what the rest costs: its bends, its slopes, itself
NEAR = 0.03  # σ, of the range of a channel, within which a sample decides what a colour becomes
SEEN = 0.5  # a node is seen where samples decide at least this share of its value
TOLERANCE = 1e-5


@dataclass(frozen=True)
class FittedGrade:
    """A grade, what of it the ``operators`` alone do, and how far samples decide each node, ``certainty`` (n, n, n)."""

    lattice: ColourLattice
    operators: Operators
    certainty: np.ndarray

    def is_seen(self, colours: np.ndarray) -> np.ndarray:
        """Return where colours (…, 3) lie among those that were seen: (…,) bool."""
        flat = colours.reshape(-1, 3)
        share = interpolation(flat, len(self.certainty)) @ self.certainty.ravel()
        return (share >= SEEN).reshape(colours.shape[:-1])


def fit_grade(samples: ColourSamples, size: int = SIZE) -> FittedGrade:
    """Return the smoothest lattice near to the samples. Where nothing was seen it is what the operators make."""
    samples = samples.averaged()
    operators = fit_operators(samples)
    base = np.clip(operators(node_colours(size)), 0.0, 1.0)
    weights = interpolation(samples.before, size)
    rest = samples.after - weights @ base.reshape(-1, 3)
    stiff = _stiffness(size)
    counts = samples.weights / samples.weights.mean()
    solution = np.zeros((size**3, 3))
    trust = np.ones(len(counts))
    for _ in range(ROUNDS):
        system = _system(weights, counts * trust, stiff)
        right = weights.T @ (rest * (counts * trust)[:, None])
        solution = _solve(system, right, solution)
        apart = np.linalg.norm(rest - weights @ solution, axis=1)
        trust = 1 / (1 + (apart / OUTLIER) ** 2)
    nodes = np.clip(base + solution.reshape(base.shape), 0.0, 1.0)
    return FittedGrade(ColourLattice(nodes), operators, _certainty(weights, size))


def _certainty(weights: sparse.csr_matrix, size: int) -> np.ndarray:
    """Return how far each node is decided by samples near it, (n, n, n), 0 to 1."""
    counts = np.asarray(weights.sum(axis=0)).reshape(size, size, size)
    near = gaussian_filter(counts, NEAR * (size - 1), mode="constant")
    # What a single sample gives to its own place counts as half of certainty.
    single = (NEAR * (size - 1) * (2 * np.pi) ** 0.5) ** -3
    return near / (near + single)


def _stiffness(size: int) -> sparse.csr_matrix:
    """What the rest costs, as a quadratic form; per unit of colour, whatever the size."""
    step = 1 / (size - 1)
    bend, slope = differences(size, 2), differences(size, 1)
    return (
        BEND * (0.1 / step) * (bend.T @ bend) + SLOPE * (slope.T @ slope) + SIZE_OF_REST * sparse.eye_array(size**3)
    ).tocsr()


def _system(weights: sparse.csr_matrix, counts: np.ndarray, stiff: sparse.csr_matrix) -> sparse.csr_matrix:
    return (weights.T @ sparse.diags_array(counts) @ weights + stiff).tocsr()


def _solve(system: sparse.csr_matrix, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    diagonal = system.diagonal()
    easier = LinearOperator(system.shape, lambda x: x / diagonal)
    columns = [
        cg(system, right[:, c], start[:, c], rtol=TOLERANCE, maxiter=600, M=easier)[0] for c in range(right.shape[1])
    ]
    return np.stack(columns, axis=1)
