"""Windows that move over stored frames as a camera does, so that what the camera did is known exactly.

A window is a 3 × 3 matrix, float64, that maps its pixels to those of the frame, both relative to the centre, y down.
Beyond its edges a frame is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

# Limits of a move per frame: share of the window's side, change of size, degrees.
MAX_PAN, MAX_ZOOM, MAX_TURN = 0.03, 0.03, 2.0
STANDING = 0.25  # The share of the windows that do not move.
TILT = 8.0  # The standard deviation of the windows' rotation, in degrees.
ANY_TILT = 0.1  # The share of the windows that are rotated by any angle.
TURNING_BACK = 0.05  # The probability per frame that a moving window changes its motion.
OUTSIDE = 0.15  # The share of a frame's side by which a window's centre may leave the frame.

Matrix = tuple[float, ...]  # the two upper rows of a window


def move_view(zoom: float, rotate: float, dx: float, dy: float) -> np.ndarray:
    """Return the view, (3, 3), after the picture was moved: by pixels, anticlockwise by degrees, and enlarged."""
    angle = np.deg2rad(rotate)
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    view: np.ndarray = rotation @ np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy], [0.0, 0.0, 1.0]])
    return view


def normalised(view: np.ndarray, picture: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
    """Return a view of pixels as one of places from -1 to 1 between edges; sizes are (width, height)."""
    of_picture = np.diag([picture[0] / 2, picture[1] / 2, 1.0])
    scaled: np.ndarray = np.diag([2 / frame[0], 2 / frame[1], 1.0]) @ view @ of_picture
    return scaled


def render(picture: np.ndarray, view: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Render (H, W, C), uint8 or float32, through a view to (width, height); smaller copies are not aliased."""
    scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))
    if scale > 1:
        height, width = picture.shape[:2]
        smaller = max(1, round(width / scale)), max(1, round(height / scale))
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
        view = np.diag([smaller[0] / width, smaller[1] / height, 1.0]) @ view
    centre = np.array([[1.0, 0.0, (picture.shape[1] - 1) / 2], [0.0, 1.0, (picture.shape[0] - 1) / 2], [0, 0, 1.0]])
    origin = np.array([[1.0, 0.0, (1 - size[0]) / 2], [0.0, 1.0, (1 - size[1]) / 2], [0, 0, 1.0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    rows = (centre @ view @ origin)[:2]
    return cv2.warpAffine(picture, rows, size, flags=flags, borderMode=cv2.BORDER_REFLECT)


def place_in(picture: np.ndarray, back: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3) float32 where it lies in a frame of (width, height).

    ``back``: the map from places of the frame to those of the picture, see ``normalised``.
    """
    to_pixels = np.diag([picture.shape[1] / 2, picture.shape[0] / 2, 1.0])
    return render(picture, to_pixels @ back @ np.diag([2 / size[0], 2 / size[1], 1.0]), size)


def covered_by(back: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return what a picture covers of a frame of (width, height): (height, width) float32, 0 or 1; see ``place_in``."""
    x, y = np.meshgrid(*((np.arange(side) + 0.5) * 2 / side - 1 for side in size))
    there = np.stack([x, y, np.ones_like(x)], axis=-1) @ back[:2].T
    return (np.abs(there) <= 1).all(-1).astype(np.float32)


@dataclass(frozen=True)
class Windows:
    """The windows of an example's frames, of ``size`` (width, height), oldest first; the last is the target's."""

    size: tuple[int, int]
    rows: tuple[Matrix, ...]

    @classmethod
    def of(cls, size: tuple[int, int], views: list[np.ndarray]) -> Self:
        """Return the windows of matrices (3, 3)."""
        return cls(size, tuple(tuple(map(float, view[:2].ravel())) for view in views))

    def view(self, back: int = 0) -> np.ndarray:
        """Return the window ``back`` frames before the target's, (3, 3)."""
        return np.vstack([np.reshape(self.rows[-1 - back], (2, 3)), (0.0, 0.0, 1.0)])

    def target(self, frame: np.ndarray) -> np.ndarray:
        """Return what is seen of the target's frame."""
        return render(frame, self.view(), self.size)

    def past(self, frame: np.ndarray, back: int) -> np.ndarray:
        """Return what was seen of an earlier frame, moved with the camera to where it would be seen now."""
        return self.moved(render(frame, self.view(back), self.size), back)

    def moved(self, picture: np.ndarray, back: int) -> np.ndarray:
        """Return what a window ``back`` frames before showed, (H, W, 3), moved to where it would be seen now."""
        change = np.linalg.solve(self.view(back), self.view())
        return picture if np.allclose(change, np.eye(3), atol=1e-9) else render(picture, change, self.size)

    def standing(self) -> Self:
        """Return windows that have stood where the last one is."""
        return replace(self, rows=(self.rows[-1],) * len(self.rows))

    def following(self, rng: np.random.Generator, frame: tuple[int, int]) -> Self:
        """Return the windows a frame later: on their way, or on another one if this leads out of the frame."""
        now, before = self.view(), self.view(1)
        then = now @ np.linalg.solve(before, now)
        if rng.random() < TURNING_BACK or not _is_inside(then, self.size, frame):
            then = now @ _draw_move(rng, self.size)
            if not _is_inside(then, self.size, frame):
                then = now
        return type(self).of(self.size, [self.view(back) for back in reversed(range(len(self.rows) - 1))] + [then])


def draw_windows(
    rng: np.random.Generator, size: tuple[int, int], frame: tuple[int, int], count: int, *, moving: bool
) -> Windows:
    """Draw a window of ``size`` in a frame, (width, height), and its last ``count`` places."""
    largest = _largest(size, frame)
    scale = largest ** rng.uniform(0, 1)
    tilt = rng.uniform(-180, 180) if rng.random() < ANY_TILT else TILT * rng.standard_normal()
    room = [max(0.0, side - scale * own) / 2 for side, own in zip(frame, size, strict=True)]
    x, y = (rng.uniform(-1, 1) * one for one in room)
    if not moving or rng.random() < 0.5:
        tilt = 0.0
    at = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]) @ move_view(1 / scale, tilt, 0.0, 0.0)
    still = not moving or rng.random() < STANDING
    back = np.eye(3) if still else np.linalg.inv(_draw_move(rng, size))
    views = [at]
    for _ in range(count - 1):
        views.insert(0, views[0] @ back)
    return Windows.of(size, views)


def _draw_move(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a move of a frame: shifts, often also a zoom or a turn."""
    dx, dy, zoom, turn = rng.uniform(-1, 1, 4) * (MAX_PAN * size[0], MAX_PAN * size[1], MAX_ZOOM, MAX_TURN)
    chosen = rng.random(4) < (0.7, 0.5, 0.4, 0.3)
    dx, dy, zoom, turn = np.where(chosen, (dx, dy, zoom, turn), 0.0)
    return move_view(1 + zoom, turn, dx, dy)


def _largest(size: tuple[int, int], frame: tuple[int, int]) -> float:
    return max(1.0, min(side / own for side, own in zip(frame, size, strict=True)))


def _is_inside(view: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether a window's middle is in the frame, or nearly, and its scale one that is drawn."""
    scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))
    near = all(abs(at) <= (0.5 + OUTSIDE) * side for at, side in zip(view[:2, 2], frame, strict=True))
    return near and 0.9 <= scale <= 1.1 * _largest(size, frame)
