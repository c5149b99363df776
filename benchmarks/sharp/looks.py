"""Looks whose result at any size is known: each is a function of a picture (H, W, 3) float32 from 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np

MIXED = np.array([[0.9, 0.25, -0.1], [0.05, 0.8, 0.1], [0.1, -0.15, 1.1]], np.float32)
CURVES = np.array([0.7, 1.1, 1.4], np.float32)
INKS = np.array([[0.1, 0.1, 0.3], [0.5, 0.15, 0.3], [0.8, 0.4, 0.2], [0.9, 0.7, 0.3], [1, 0.95, 0.8]], np.float32)


def grade(picture: np.ndarray) -> np.ndarray:
    """Mix the channels, then a curve for each."""
    return np.clip(picture @ MIXED.T, 0, 1) ** CURVES


def hue_curve(picture: np.ndarray) -> np.ndarray:
    """Move each hue by another angle."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (180 + 120 * np.sin(np.radians(2 * hsv[..., 0] + 40))) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def poster(picture: np.ndarray) -> np.ndarray:
    """Five inks, by the brightness of the smoothed picture."""
    smooth = cv2.bilateralFilter(picture, 5, 0.1, 2.0).mean(axis=2)
    return INKS[np.clip((smooth * len(INKS)).astype(int), 0, len(INKS) - 1)]


def outlined(picture: np.ndarray) -> np.ndarray:
    """The poster, with dark lines of two pixels along Canny's edges."""
    lines = cv2.dilate(cv2.Canny(np.rint(picture * 255).astype(np.uint8), 60, 150), np.ones((2, 2), np.uint8))
    return poster(picture) * (1 - 0.85 * (lines[..., None] > 0)).astype(np.float32)


def kuwahara(picture: np.ndarray) -> np.ndarray:
    """At each pixel the mean of the calmest of four squares (Kuwahara et al., 1976)."""
    side, (height, width) = 4, picture.shape[:2]
    means, squares = cv2.blur(picture, (side, side)), cv2.blur(picture * picture, (side, side))
    variances = (squares - means * means).sum(axis=2)
    shifts = [np.array([[1, 0, x], [0, 1, y]], np.float32) for x in (-2, 2) for y in (-2, 2)]
    each = [
        [cv2.warpAffine(z, shift, (width, height), borderMode=cv2.BORDER_REFLECT) for shift in shifts]
        for z in (means, variances)
    ]
    calmest = np.argmin(np.stack(each[1]), axis=0)
    return np.take_along_axis(np.stack(each[0]), calmest[None, ..., None], axis=0)[0]


def drawn_lines(picture: np.ndarray) -> np.ndarray:
    """Black lines by the difference of two blurs (Winnemöller, "XDoG", NPAR 2011)."""
    grey = picture.mean(axis=2)
    difference = 20 * cv2.GaussianBlur(grey, (0, 0), 1.0) - 19 * cv2.GaussianBlur(grey, (0, 0), 1.6)
    tone = np.clip(np.where(difference > 0.5, 1, 1 + np.tanh(8 * (difference - 0.5))), 0, 1)
    return np.repeat(tone[..., None], 3, axis=2).astype(np.float32)


def stylised(picture: np.ndarray) -> np.ndarray:
    """Smooth areas and dark edges (Gastal and Oliveira, "Domain Transform", SIGGRAPH 2011), as OpenCV has it."""
    return cv2.stylization(np.rint(picture * 255).astype(np.uint8), sigma_s=20, sigma_r=0.2).astype(np.float32) / 255


def dodged(picture: np.ndarray) -> np.ndarray:
    """A pencil drawing: brightness over its own blur, with a tint of the colours."""
    grey = picture.mean(axis=2, keepdims=True)
    lines = np.clip(grey / np.maximum(cv2.GaussianBlur(grey, (0, 0), 4)[..., None], 0.02), 0, 1)
    return (lines * (0.8 + 0.2 * picture)).astype(np.float32)


# No rule was chosen on the last two.
LOOKS = {
    "grade": grade,
    "hue curve": hue_curve,
    "poster": poster,
    "outlined": outlined,
    "Kuwahara": kuwahara,
    "XDoG lines": drawn_lines,
    "stylised": stylised,
    "pencil": dodged,
}
