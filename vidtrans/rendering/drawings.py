"""Telling a drawing from a photograph, so that a drawing's lines are taken as they are."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.pairing.base import Drawing
from vidtrans.video.picture import resize

_SIDE = 512  # long side, in pixels, that a picture is judged at
_PAPER_SHARE, _FLAT_SHARE = 0.75, 0.95


def looks_drawn(rgb: np.ndarray, kind: Drawing) -> bool:
    """Whether a picture, (H, W, 3) uint8, is drawn in ``lines`` on plain paper, or painted in ``flats``."""
    scale = _SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = resize(rgb, max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return _is_line_drawing(rgb) if kind == "lines" else _is_flat(rgb) if kind == "flats" else False


def _is_line_drawing(rgb: np.ndarray) -> bool:
    """Most of it is one light (or dark) colourless tone, and something is drawn on it."""
    spread = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    tone = int(np.argmax(np.bincount(grey.ravel() // 8, minlength=32))) * 8 + 4
    paper = np.abs(grey.astype(np.int16) - tone) <= 24
    plain = tone >= 170 or tone <= 40
    return bool(plain and _PAPER_SHARE <= paper.mean() < 1 and (spread < 48).mean() > 0.9)


def _is_flat(rgb: np.ndarray) -> bool:
    """A few colours, with nothing between them but their borders, make up nearly all of it."""
    coarse = (rgb >> 3).astype(np.int32)
    _, counts = np.unique(coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2], return_counts=True)
    return bool(np.sort(counts)[-16:].sum() / counts.sum() >= _FLAT_SHARE)
