"""How near a picture is to the one it should be. Pictures are (H, W, 3) uint8."""

from __future__ import annotations

import math

import cv2
import numpy as np
from skimage.metrics import structural_similarity

SSIM_WINDOW = 11  # pixels a side


def l1(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, in units of full scale (0 to 1)."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean() / 255)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) with its Gaussian window, −1 to 1; pictures of 11 pixels and up."""
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, channel_axis=2, data_range=255, **window))


def sharpness(picture: np.ndarray) -> float:
    """Mean |Laplacian| of the grey picture, in grey levels; compare only pictures of one size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())
