"""Compare a picture with its reference. Pictures are (H, W, 3) uint8."""

from __future__ import annotations

import math

import cv2
import numpy as np

DETAIL_WINDOW, DETAIL_SIGMA = 7, 0.7  # pixels: of local detail; of the blur that removes single pixels
SSIM_WINDOW = 11  # pixels a side
PSNR_CAP = 99.0  # dB that stand for equal pictures, where a number is needed


def l1(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference, in units of full scale (0 to 1)."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean() / 255)


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean squared difference, in 8-bit levels squared."""
    return float(np.square(cv2.absdiff(a, b), dtype=np.uint32).mean())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal pictures."""
    return psnr_of(squared_error(a, b))


def psnr_of(error: float) -> float:
    """Return the PSNR in dB of a mean squared difference in 8-bit levels squared; infinite for 0."""
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the structural similarity (Wang et al. 2004) with its Gaussian window, −1 to 1, averaged over channels.

    Raises ValueError if a picture is smaller than its window of 11 pixels.
    """
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW} pixels a side (win_size), not {a.shape[1]}x{a.shape[0]}")
    edge = SSIM_WINDOW // 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(picture: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(picture, (SSIM_WINDOW, SSIM_WINDOW), 1.5)[edge:-edge, edge:-edge]

    # Around the picture's mean, squares are small enough for float32.
    middle_x, middle_y = np.float32(a.mean()), np.float32(b.mean())
    x, y = a.astype(np.float32) - middle_x, b.astype(np.float32) - middle_y
    mean_x, mean_y = mean(x), mean(y)
    covariance = mean(x * y) - mean_x * mean_y
    variances = mean(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)
    mean_x, mean_y = mean_x + middle_x, mean_y + middle_y
    structure = (2 * covariance + c2) / (variances + c2)
    light = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return float((light * structure).mean(dtype=np.float64))


def sharpness(picture: np.ndarray) -> float:
    """Return the mean |Laplacian| of the grey picture, in grey levels; compare only pictures of one size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def detail_ratio(picture: np.ndarray, target: np.ndarray) -> float:
    """Return how much of the target's fine detail a picture has where the target has it; both (H, W, 3) uint8.

    1 is as sharp, below 1 softer, above 1 sharper. It is the slope of a line through the local detail of both, the mean
    |Laplacian| of a grey picture over ``DETAIL_WINDOW`` pixels. So detail need not lie at the same pixel, and what is
    everywhere alike, such as noise or a network's checkerboard, counts for nothing; it would make blur look sharp in
    the ratio of both pictures' ``sharpness``. 0 for a target of equal detail everywhere.
    """
    ours, wanted = (_local_detail(each) for each in (picture, target))
    wanted = wanted - wanted.mean()
    return float(((ours - ours.mean()) * wanted).mean() / max((wanted * wanted).mean(), 1e-9))


def _local_detail(picture: np.ndarray) -> np.ndarray:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), DETAIL_SIGMA)
    return cv2.blur(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), (DETAIL_WINDOW, DETAIL_WINDOW)).astype(np.float64)
