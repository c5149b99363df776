"""Align a painted picture with its frame, by edges, which paint mostly keeps.

Paint programs crop, pad, scale, and sometimes shift a picture. Colours are not compared, because paint changes them.
Matrices are (3, 3), from pixels (x, y, 1) of a frame to pixels of a painting; pixel centres are integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.warping import blur
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize

SHORT_SIDE = 240  # pixels, of what is compared
BLURS = (6.0, 2.0)  # σ in pixels of edges, to find a place roughly, then finely
GAIN = 0.02  # of the likeness, and as much again as the share of its size: by less a picture is not moved
LEAST_LIKE = 0.3  # what is less like its frame is not moved
UNTOUCHED, LEVELS = 0.6, 2  # of what stands out that is as in the frame, within so many levels: a painting lies right
STANDS_OUT = 8  # levels between a pixel and those beside it
SHIFT = 0.4  # pixels of what is compared: less is none
MOST_SHIFT, MOST_TURN, MOST_SCALE = 0.2, 15.0, 1.3  # of the frame's size, degrees, and times, that are believed
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
SAME_SHAPE = 0.01  # by which aspects may differ: of 1088 lines for 1080
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Placement:
    """The alignment of a painting with its frame."""

    matrix: np.ndarray  # (3, 3), from the frame's pixels to the painting's
    likeness: float  # the correlation of their edges, −1 to 1
    words: str  # about the changes made to the painting; "" for none

    def apply(self, painting: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Return a painting (h, w, C) aligned with its frame, (H, W, C), and the mask of covered pixels, (H, W)."""
        width, height = size
        own = painting.shape[1], painting.shape[0]
        if np.allclose(self.matrix, stretched(own, size), atol=1e-6):
            return resize(painting, *size).reshape(height, width, -1), np.ones((height, width), bool)
        whole, seen = _warped(painting, self.matrix, size)
        return whole.reshape(height, width, -1), seen


def place(painting: np.ndarray, frame: np.ndarray, alpha: np.ndarray | None = None) -> Placement:
    """Find the alignment of a painting (h, w, 3) uint8 or uint16 with a frame (H, W, 3) uint8.

    ``alpha``: the opacity of a layer, (h, w). A layer is not moved, because strokes need not follow the edges below. A
    partly painted picture whose unpainted areas already match the frame is not moved either.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    there, target = stretched((width, height), size), edges(resize(frame, *size))
    small = to_uint8(painting)
    still = alpha
    if small.shape == frame.shape and _is_untouched(small, frame):
        still = np.full((height, width), 255, np.uint8)
    found = []
    for matrix, words in _guesses((small.shape[1], small.shape[0]), (width, height)):
        if still is None:
            found.append(_refined(small, target, matrix @ there, words))
        else:
            found.append(_unmoved(small, still, target, matrix @ there, words))
    best = max(found, key=lambda placement: placement.likeness)
    return Placement(best.matrix @ np.linalg.inv(there), best.likeness, best.words)


def edges(rgb: np.ndarray) -> np.ndarray:
    """Return the edge strength of (H, W, 3) uint8, the fourth root of the summed squared slopes: (H, W) float32."""
    soft = blur(rgb.astype(np.float32), 1.0)
    squares = [np.square(cv2.Sobel(soft, cv2.CV_32F, dx, 1 - dx, ksize=3)).sum(2) for dx in (1, 0)]
    strength: np.ndarray = (squares[0] + squares[1]) ** 0.25
    return strength


def likeness(first: np.ndarray, second: np.ndarray, seen: np.ndarray) -> float:
    """Return the correlation, −1 to 1, of the edges of two pictures, (H, W), inside the mask ``seen`` (H, W) bool."""
    if seen.mean() < 0.01:
        return 0.0
    one, other = (blur(picture, BLURS[1])[seen] for picture in (first, second))
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / scale if scale > 1e-6 else 0.0


def stretched(picture: Size, frame: Size) -> np.ndarray:
    """Return the matrix for a picture that shows the whole frame at another size."""
    sx, sy = picture[0] / frame[0], picture[1] / frame[1]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])


def _guesses(picture: Size, frame: Size) -> Iterator[tuple[np.ndarray, str]]:
    """Yield candidate alignments, each a matrix and words as in ``Placement``; first the whole frame, resized.

    If the aspect ratios differ, then also the frame centred at the same width, the same height, and unscaled.
    """
    (w, h), (width, height) = picture, frame
    same_shape = abs(w * height / (h * width) - 1) <= SAME_SHAPE
    done = "" if picture == frame else f"{w}x{h}: {'scaled' if same_shape else 'stretched'}"
    yield stretched(picture, frame), done
    if same_shape:
        return
    for scale in sorted({w / width, h / height, 1.0}):
        x, y = (w - scale * width + scale - 1) / 2, (h - scale * height + scale - 1) / 2
        yield np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]]), f"{w}x{h}: taken as cropped or padded"


def _is_untouched(painting: np.ndarray, frame: np.ndarray) -> bool:
    """Return whether much of a painting (H, W, 3) equals its frame, so that it is already aligned; both are uint8."""
    beside = np.ones((3, 3), np.uint8)
    clear = cv2.subtract(cv2.dilate(frame, beside), cv2.erode(frame, beside)).max(2) >= STANDS_OUT  # no white paper
    difference = np.abs(painting.astype(np.int16) - frame).max(2)
    return bool(clear.any()) and float((difference[clear] <= LEVELS).mean()) > UNTOUCHED


def _warped(picture: np.ndarray, matrix: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture sampled through a matrix, and the mask of samples inside it, (H, W) bool."""
    own = picture.shape[1], picture.shape[0]
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if scale > 1:  # single pixels are sampled: average them first
        less = max(1, round(own[0] / scale)), max(1, round(own[1] / scale))
        picture, matrix = resize(picture, *less), stretched(less, own) @ matrix
    flags, rows = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, matrix[:2]
    whole = cv2.warpAffine(picture, rows, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones(picture.shape[:2], np.float32)
    inside = cv2.warpAffine(ones, rows, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return whole, inside > 0.99


def _unmoved(painting: np.ndarray, alpha: np.ndarray, target: np.ndarray, guess: np.ndarray, words: str) -> Placement:
    """Return a guess as the placement, with the likeness of edges where the painting is opaque."""
    size = target.shape[1], target.shape[0]
    own, seen = _warped(painting, guess, size)
    opacity, _ = _warped(alpha.astype(np.float32) / np.iinfo(alpha.dtype).max, guess, size)
    return Placement(guess, likeness(edges(own), target, seen & (opacity > 0.5)), words)


def _refined(painting: np.ndarray, target: np.ndarray, guess: np.ndarray, words: str) -> Placement:
    """Return the placement near a guess at which edges match best, or the guess if it is about as good."""
    size = target.shape[1], target.shape[0]

    def placed(matrix: np.ndarray) -> float:
        picture, seen = _warped(painting, matrix, size)
        return likeness(edges(picture), target, seen)

    own, seen = _warped(painting, guess, size)
    source, before = edges(own), likeness(edges(own), target, seen)
    move = np.eye(2, 3, dtype=np.float32)
    try:
        for sigma in BLURS:
            one, other = blur(target, sigma), blur(source, sigma)
            mask = seen.astype(np.uint8)
            _, move = cv2.findTransformECC(one, other, move, cv2.MOTION_AFFINE, STEPS, mask, 1)
    except cv2.error:  # nothing to hold on to: a flat picture, or another one
        return Placement(guess, before, words)
    moved = guess @ np.vstack([move, [0, 0, 1]])
    shift = _motion(move, size)
    if shift is None or (after := placed(moved)) < max(before + GAIN + shift, LEAST_LIKE):
        return Placement(guess, before, words)
    more = f"moved by {shift:.0%} of its size" if shift >= 0.01 else "moved a little"
    return Placement(moved, after, f"{words}, {more}" if words else more)


def _motion(move: np.ndarray, size: Size) -> float | None:
    """Return a corner's largest movement as a share of the longer side; None if too small, or implausibly large."""
    width, height = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    shifts = np.linalg.norm(corners @ move.T.astype(np.float64) - corners[:, :2], axis=1)
    across, down = move[:, 0], move[:, 1]
    scales = np.linalg.norm(across), np.linalg.norm(down)
    turn = np.degrees(np.arctan2(across[1], across[0]))
    shear = abs(float(across @ down)) / float(scales[0] * scales[1])
    believed = all(1 / MOST_SCALE < s < MOST_SCALE for s in scales) and abs(turn) < MOST_TURN and shear < 0.1
    middle = float(np.linalg.norm(np.array([width / 2, height / 2, 1]) @ move.T - [width / 2, height / 2]))
    if not believed or middle > MOST_SHIFT * max(size) or shifts.max() < SHIFT:
        return None
    return float(shifts.max()) / max(size)
