"""What pictures made by a model are measured by, beside the true ones. Pictures are (H, W, 3) uint8."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import warp
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.motion import FlowPair
from vidtrans.metrics.picture_quality import psnr, sharpness, ssim

POOL = 8  # pixels a side
WAVELENGTHS = (3.0, 6.0, 12.0)  # pixels
ORIENTATIONS = 4
BESIDE = (-6, -5, -4, 4, 5, 6)  # lines of a spectrum: near, and not reached by the window's own width
FAINT = 0.01  # of full scale: energies below it are noise, and their logarithm would be large


def scores(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray], runs: Sequence[range]) -> dict[str, float]:
    """Means over pictures: PSNR in dB, SSIM, sharpness relative to the target's; gfd and flicker of all of them.

    ``runs``: which of them follow each other in the clip; flicker is measured within these, and left out without any.
    """
    pairs = list(zip(outputs, targets, strict=True))
    found = {
        "psnr": float(np.mean([psnr(o, t) for o, t in pairs])),
        "ssim": float(np.mean([ssim(o, t) for o, t in pairs])),
        "sharp": float(np.mean([sharpness(o) / sharpness(t) for o, t in pairs])),
        "gfd": gabor_distance(outputs, targets),
        "grid": grid(outputs, targets),
    }
    if steps := [(a, a + 1) for run in runs for a in run[:-1]]:
        found["flicker"] = flicker(outputs, targets, steps)
    return found


def flicker(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray], steps: Sequence[tuple[int, int]]) -> float:
    """The mean |difference| between neighbours along the true clip's motion, over that of the true clip itself."""
    method = FLOWS.load(SCORING_FLOW)()
    motions = [FlowPair.between(grey(targets[a]), grey(targets[b]), method) for a, b in steps]

    def change(pictures: Sequence[np.ndarray]) -> float:
        total = 0.0
        for (a, b), motion in zip(steps, motions, strict=True):
            first, second = pictures[a].astype(np.float32), pictures[b].astype(np.float32)
            total += float(np.abs(warp(second, motion.there) - first)[motion.reliable].sum())
        return total

    return change(outputs) / change(targets)


def gabor_distance(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> float:
    """Fréchet distance between the two sets of ``texture`` vectors, each taken for a normal distribution.

    (The formula of FID: Heusel et al., NIPS 2017.) It knows texture and colour and no meaning, and needs no network.
    """
    a, b = (np.concatenate([texture(p) for p in pictures]) for pictures in (outputs, targets))
    apart = float(np.square(a.mean(0) - b.mean(0)).sum())
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = _root(cov_a)
    return apart + float(np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(_root(root @ cov_b @ root)))


def texture(picture: np.ndarray) -> np.ndarray:
    """(pools, 15) float64: of each 8 by 8 pixels the mean colour and the log of the energy in each Gabor band."""
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    maps = list(np.moveaxis(picture.astype(np.float32) / 255, 2, 0))
    for wavelength in WAVELENGTHS:
        for turn in range(ORIENTATIONS):
            even, odd = (cv2.filter2D(light, cv2.CV_32F, _gabor(wavelength, turn, phase)) for phase in (0.0, np.pi / 2))
            maps.append(cv2.magnitude(even, odd))
    height, width = (side // POOL for side in picture.shape[:2])
    pooled = [
        cv2.resize(m[: height * POOL, : width * POOL], (width, height), interpolation=cv2.INTER_AREA) for m in maps
    ]
    values = np.stack(pooled, -1).reshape(-1, len(maps)).astype(np.float64)
    values[:, 3:] = np.log(values[:, 3:] + FAINT)
    return values


def _gabor(wavelength: float, turn: int, phase: float) -> np.ndarray:
    sigma = 0.5 * wavelength
    side = 2 * round(2.5 * sigma) + 1
    kernel = cv2.getGaborKernel((side, side), sigma, np.pi * turn / ORIENTATIONS, wavelength, 1.0, phase)
    kernel -= kernel.mean()
    return kernel / np.abs(kernel).sum()


def _root(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def grid(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray], period: int = 2) -> float:
    """How much more a pattern of ``period`` pixels stands out of the outputs than out of the targets; 1 is as much.

    The energy on the two lines of the spectrum where such a pattern lies, over that on lines beside them.
    """
    strengths = [np.mean([_stands_out(p, period) for p in pictures]) for pictures in (outputs, targets)]
    return float(strengths[0] / strengths[1])


def _stands_out(picture: np.ndarray, period: int) -> float:
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = (side // (4 * period) * 4 * period for side in light.shape)
    window = np.outer(np.hanning(height), np.hanning(width))
    energy = np.square(np.abs(np.fft.fft2(light[:height, :width] * window)))
    row, column = height // period, width // period
    on = energy[row].mean() + energy[:, column].mean()
    beside = [energy[(row + d) % height].mean() + energy[:, (column + d) % width].mean() for d in BESIDE]
    return float(on / max(np.mean(beside), 1e-9))
