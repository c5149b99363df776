"""Telling a drawing from a photograph, so that a drawing's lines are taken as they are."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.pairing.base import DrawingKind
from vidtrans.pairing.paper import ink
from vidtrans.video.images.picture import resize

_SIDE = 512  # long side, in pixels, that a picture is judged at
_PAPER_SHARE, _FLAT_SHARE = 0.75, 0.95
_THICKEST = 13  # pixels, of a stroke


def is_drawing(rgb: np.ndarray, kind: DrawingKind) -> bool:
    """Whether a picture, (H, W, 3) uint8, is drawn in ``lines`` on plain paper, or painted in ``flats``."""
    scale = _SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = resize(rgb, max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return _is_line_drawing(rgb) if kind == "lines" else _is_flat(rgb) if kind == "flats" else False


def _is_line_drawing(rgb: np.ndarray) -> bool:
    """Colourless, most of it bare paper, and what is not is thin strokes.

    Measured: at least 0.92 of six outlines and a drawing is bare paper, at most 0.70 of 20 photographs and frames;
    people cut out on white come to 0.86, but they are no strokes.
    """
    inked = ink(rgb)
    strokes = (inked >= 128).astype(np.uint8)
    box = np.ones((_THICKEST, _THICKEST), np.uint8)
    thick = cv2.morphologyEx(strokes, cv2.MORPH_OPEN, box).sum() / max(1, int(strokes.sum()))
    colourless = (rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2) < 48).mean()
    return bool((inked == 0).mean() >= _PAPER_SHARE and strokes.any() and thick <= 0.3 and colourless >= 0.9)


def _is_flat(rgb: np.ndarray) -> bool:
    """A few colours, with nothing between them but their borders, make up nearly all of it."""
    coarse = (rgb >> 3).astype(np.int32)
    _, counts = np.unique(coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2], return_counts=True)
    return bool(np.sort(counts)[-16:].sum() / counts.sum() >= _FLAT_SHARE)
