"""Colour maps on a lattice over the RGB cube, and samples of a grade: colours before and after grading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse  # Imported in the functions, because most renders do not need it


NUM_CELLS = 48  # Number of cells along each side of the RGB cube, in each of which samples are averaged
SIZE = 33  # Default number of lattice nodes along each side, which Resolve, Premiere and ffmpeg support


@dataclass(frozen=True)
class ColourSamples:
    """Colours before and after grading, (N, 3) float64 in [0, 1] each, and the sample ``weights`` (N,)."""

    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray

    @classmethod
    def join(cls, parts: list[ColourSamples]) -> ColourSamples:
        """Join several sets of samples to one set."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("before", "after", "weights")))

    def averaged(self) -> ColourSamples:
        """Return one averaged sample for each non-empty cell of the RGB cube.

        Its weight is the square root of its samples' total weight, so that a large sky does not outweigh a face.
        """
        cell = np.minimum((self.before * NUM_CELLS).astype(np.int64), NUM_CELLS - 1) @ (1, NUM_CELLS, NUM_CELLS**2)
        _, at = np.unique(cell, return_inverse=True)
        total = np.bincount(at, self.weights)
        means = [
            np.stack([np.bincount(at, self.weights * colours[:, c]) / total for c in range(3)], axis=1)
            for colours in (self.before, self.after)
        ]
        return ColourSamples(means[0], means[1], np.sqrt(total))


@dataclass(frozen=True)
class ColourLattice:
    """A colour map by the colours of lattice nodes, with trilinear interpolation.

    ``nodes``: (n, n, n, 3) float64 in [0, 1], stored R'G'B': the first axis is blue, the third is red.
    """

    nodes: np.ndarray

    @property
    def size(self) -> int:
        """Return the number of nodes along each side."""
        return len(self.nodes)

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3) in [0, 1] to colours of the same shape, float64."""
        flat = np.asarray(colours, np.float64).reshape(-1, 3)
        mapped = interpolation(flat, self.size) @ self.nodes.reshape(-1, 3)
        return mapped.reshape(np.shape(colours))


def node_colours(size: int) -> np.ndarray:
    """Return the colours of the nodes of the identity lattice, (n, n, n, 3) in [0, 1]."""
    steps = np.linspace(0.0, 1.0, size)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack((red, green, blue), axis=-1)


def interpolation(colours: np.ndarray, size: int) -> sparse.csr_matrix:
    """Return the trilinear weights of colours (N, 3) as a sparse matrix (N, size³) with eight values per row."""
    from scipy import sparse

    place = np.clip(colours, 0.0, 1.0) * (size - 1)
    low = np.minimum(place.astype(np.int64), size - 2)
    share = place - low
    columns, weights = [], []
    for corner in range(8):
        steps = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        at = low + steps
        columns.append(at[:, 0] + size * (at[:, 1] + size * at[:, 2]))
        weights.append(np.prod(np.where(steps, share, 1 - share), axis=1))
    rows = np.tile(np.arange(len(colours)), 8)
    entries = (np.concatenate(weights), (rows, np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(len(colours), size**3))


def differences(size: int, order: int) -> sparse.csr_matrix:
    """Return the operator of first or second (``order``) differences between neighbouring nodes, (rows, size³)."""
    from scipy import sparse

    stencil = {1: (-1.0, 1.0), 2: (1.0, -2.0, 1.0)}[order]
    shape = (size - order, size)
    line = sparse.diags_array(stencil, offsets=range(order + 1), shape=shape)
    same = sparse.eye_array(size)
    parts = [(same, same, line), (same, line, same), (line, same, same)]
    return sparse.vstack([sparse.kron(sparse.kron(a, b), c) for a, b, c in parts]).tocsr()
