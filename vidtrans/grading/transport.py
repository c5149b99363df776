"""Bring all colours of one set of pictures to those of another, as domains that lack pairs need it.

``transfer`` gives a picture the grade of one that shows something else; here both sides show much the same, and what is
common in one is to become as common as in the other. Pitié and Kokaram, "The Linear Monge-Kantorovitch Linear Colour
Mapping" (CVMP 2007); Pitié, Kokaram and Dahyot, "Automated colour grading using colour distribution transfer" (CVIU
2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.grading.lattice import SIZE, ColourLattice, node_colours
from vidtrans.grading.samples import ColourSamples

COUNT = 20_000  # colours of each side that are transported
ROUNDS = 20  # of three directions each
SHARE = 0.5  # of the way from the linear map: all of it, a grey wall takes the colour of a meadow that is as large
NOISE = 0.02  # of full scale: deviations below it tell noise from noise
STEEPEST = 3.0  # a slope above it would show the steps of 8 bits, one below its inverse flattens the picture


@dataclass(frozen=True)
class AffineColours:
    """Colours mapped by ``matrix`` (3, 3) and ``shift`` (3,): ``matrix @ colour + shift`` of R'G'B' in [0, 1]."""

    matrix: np.ndarray
    shift: np.ndarray

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3), not clipped to [0, 1]."""
        mapped: np.ndarray = colours @ self.matrix.T + self.shift
        return mapped

    def signed(self) -> AffineColours:
        """Return the same map for colours in [−1, 1], as networks have them."""
        return AffineColours(self.matrix, self.matrix.sum(axis=1) + 2 * self.shift - 1)

    def lattice(self, size: int = SIZE) -> ColourLattice:
        """Return the map on a lattice, clipped to [0, 1]."""
        return ColourLattice(np.clip(self(node_colours(size)), 0.0, 1.0))


def linear_map(before: np.ndarray, after: np.ndarray) -> AffineColours:
    """Return the affine map that gives colours (N, 3) mean and covariance of others (M, 3), and moves them least.

    Its matrix is symmetric and positive: along no direction are colours reversed, so light stays light.
    """
    sides = [np.cov(colours.T) + NOISE**2 * np.eye(3) for colours in (before, after)]
    root, inverse = _power(sides[0], 0.5), _power(sides[0], -0.5)
    free = inverse @ _power(root @ sides[1] @ root, 0.5) @ inverse
    slopes, directions = np.linalg.eigh(free)
    matrix = (directions * np.clip(slopes, 1 / STEEPEST, STEEPEST)) @ directions.T
    return AffineColours(matrix, after.mean(axis=0) - matrix @ before.mean(axis=0))


def transport_colours(before: np.ndarray, after: np.ndarray, seed: int = 0) -> ColourSamples:
    """Return colours of one set, (N, 3) in [0, 1], and what becomes of them near to the others' distribution.

    From the linear map on, along random directions, three at a time, the sorted values of one side become those of the
    other. What that adds to the linear map counts by ``SHARE``.
    """
    random = np.random.default_rng(seed)
    source, target = (colours[random.integers(len(colours), size=COUNT)] for colours in (before, after))
    linear = linear_map(before, after)(source)
    moved = linear.copy()
    for _ in range(ROUNDS):
        directions = np.linalg.qr(random.normal(size=(3, 3)))[0]
        projected, wanted = moved @ directions, np.sort(target @ directions, axis=0)
        places = np.argsort(np.argsort(projected, axis=0, kind="stable"), axis=0, kind="stable")
        moved += (np.take_along_axis(wanted, places, axis=0) - projected) @ directions.T
    return ColourSamples(source, np.clip(linear + SHARE * (moved - linear), 0.0, 1.0), np.ones(COUNT))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    powered: np.ndarray = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return powered
