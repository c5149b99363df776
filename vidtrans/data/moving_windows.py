"""Moving windows on stored frames, which simulate a camera with exactly known motion.

A window is a 3 × 3 matrix, float64, that maps its pixels to the frame's pixels, both relative to the centre, y down. A
frame is mirrored beyond its edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

MAX_PAN = 0.03  # Maximum shift of a window per frame, as a share of the window's side.
MAX_ZOOM = 0.03  # Maximum relative change of a window's size per frame.
MAX_ROTATION_DEG = 2.0  # Maximum rotation of a window per frame, in degrees.
STATIONARY_SHARE = 0.25  # Share of the windows that do not move.
ROTATION_SIGMA_DEG = 8.0  # Standard deviation of the windows' rotation, in degrees.
FULL_ROTATION_SHARE = 0.1  # Share of the windows whose rotation is drawn uniformly from all angles instead.
MOTION_CHANGE_PROBABILITY = 0.05  # Probability per frame that a moving window changes its motion.
MAX_OUTSIDE = 0.15  # Maximum distance of a window's centre outside of the frame, as a share of the frame's side.

Matrix = tuple[float, ...]  # The two upper rows of a window's 3 × 3 matrix, row by row.


def moved_view(zoom: float, rotate: float, dx: float, dy: float) -> np.ndarray:
    """Return a view: the matrix, (3, 3) float64, from output pixels to source pixels, both relative to the centre.

    The picture appears moved, rotated and enlarged. The move is (``dx``, ``dy``) in pixels, the rotation ``rotate`` in
    degrees anticlockwise, ``zoom`` the enlargement.
    """
    angle = np.deg2rad(rotate)
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    view: np.ndarray = rotation @ np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy], [0.0, 0.0, 1.0]])
    return view


def normalised(view: np.ndarray, picture: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
    """Convert a view (matrix) from pixels to coordinates that are −1 and 1 at the edges of picture and frame.

    ``picture``, ``frame``: their (width, height) in pixels.
    """
    of_picture = np.diag([picture[0] / 2, picture[1] / 2, 1.0])
    scaled: np.ndarray = np.diag([2 / frame[0], 2 / frame[1], 1.0]) @ view @ of_picture
    return scaled


def render(picture: np.ndarray, view: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Warp a picture, (H, W, C) uint8 or float32, by a view to ``size`` (width, height), without aliasing.

    ``view``: the matrix from output pixels to picture pixels, both relative to the centre.
    """
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


def render_into_frame(picture: np.ndarray, back: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Warp a picture to its place in a frame of ``size`` (width, height); return the frame, (H, W, 3) float32.

    ``back``: the matrix from positions in the frame to positions in the picture, see ``normalised``.
    """
    to_pixels = np.diag([picture.shape[1] / 2, picture.shape[0] / 2, 1.0])
    return render(picture, to_pixels @ back @ np.diag([2 / size[0], 2 / size[1], 1.0]), size)


def frame_coverage(back: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask of a frame, (height, width) float32: 1 where a picture lies; see ``render_into_frame``."""
    x, y = np.meshgrid(*((np.arange(side) + 0.5) * 2 / side - 1 for side in size))
    positions = np.stack([x, y, np.ones_like(x)], axis=-1) @ back[:2].T
    return (np.abs(positions) <= 1).all(-1).astype(np.float32)


@dataclass(frozen=True)
class Windows:
    """The camera windows of an example's frames, of ``size`` (width, height), oldest first; the last is the target's.

    ``rows``: the two upper rows of each window's matrix.
    """

    size: tuple[int, int]
    rows: tuple[Matrix, ...]

    @classmethod
    def of(cls, size: tuple[int, int], views: list[np.ndarray]) -> Self:
        """Return the windows with the matrices ``views``, (3, 3) each."""
        return cls(size, tuple(tuple(map(float, view[:2].ravel())) for view in views))

    def view(self, num_back: int = 0) -> np.ndarray:
        """Return the matrix of the window ``num_back`` frames before the target's, (3, 3)."""
        return np.vstack([np.reshape(self.rows[-1 - num_back], (2, 3)), (0.0, 0.0, 1.0)])

    def render_target(self, frame: np.ndarray) -> np.ndarray:
        """Render the target's frame through the last window."""
        return render(frame, self.view(), self.size)

    def render_past(self, frame: np.ndarray, num_back: int) -> np.ndarray:
        """Render the frame ``num_back`` frames before the target through its window, then align it to the last one."""
        return self.align_to_target(render(frame, self.view(num_back), self.size), num_back)

    def align_to_target(self, picture: np.ndarray, num_back: int) -> np.ndarray:
        """Warp a picture, (H, W, 3), from the window ``num_back`` frames before the target's to the target's window."""
        change = np.linalg.solve(self.view(num_back), self.view())
        return picture if np.allclose(change, np.eye(3), atol=1e-9) else render(picture, change, self.size)

    def stationary(self) -> Self:
        """Return the windows of a camera that stays at the last window."""
        return replace(self, rows=(self.rows[-1],) * len(self.rows))

    def advance(self, rng: np.random.Generator, frame: tuple[int, int]) -> Self:
        """Return the windows one frame later: the motion continues, or rarely a new motion is drawn."""
        current, previous = self.view(), self.view(1)
        following = current @ np.linalg.solve(previous, current)
        if rng.random() < MOTION_CHANGE_PROBABILITY or not _is_inside(following, self.size, frame):
            following = current @ _draw_move(rng, self.size)
            if not _is_inside(following, self.size, frame):
                following = current
        return type(self).of(self.size, [self.view(k) for k in reversed(range(len(self.rows) - 1))] + [following])


def draw_windows(
    rng: np.random.Generator, size: tuple[int, int], frame: tuple[int, int], count: int, *, moving: bool
) -> Windows:
    """Draw ``count`` windows of one camera motion; window ``size`` and ``frame`` size are (width, height) in pixels.

    ``moving``: if False, the camera stands still, without rotation; if True, it usually moves.
    """
    scale = _largest_scale(size, frame) ** rng.uniform(0, 1)
    is_any_angle = rng.random() < FULL_ROTATION_SHARE
    angle = rng.uniform(-180, 180) if is_any_angle else ROTATION_SIGMA_DEG * rng.standard_normal()
    margins = [max(0.0, side - scale * window_side) / 2 for side, window_side in zip(frame, size, strict=True)]
    x, y = (rng.uniform(-1, 1) * margin for margin in margins)
    if not moving or rng.random() < 0.5:
        angle = 0.0
    last = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]) @ moved_view(1 / scale, angle, 0.0, 0.0)
    is_stationary = not moving or rng.random() < STATIONARY_SHARE
    inverse_move = np.eye(3) if is_stationary else np.linalg.inv(_draw_move(rng, size))
    views = [last]
    for _ in range(count - 1):
        views.insert(0, views[0] @ inverse_move)
    return Windows.of(size, views)


def _draw_move(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a camera motion per frame as a matrix, (3, 3): shifts, and often a zoom or a rotation."""
    dx, dy, zoom, angle = rng.uniform(-1, 1, 4) * (MAX_PAN * size[0], MAX_PAN * size[1], MAX_ZOOM, MAX_ROTATION_DEG)
    is_used = rng.random(4) < (0.7, 0.5, 0.4, 0.3)
    dx, dy, zoom, angle = np.where(is_used, (dx, dy, zoom, angle), 0.0)
    return moved_view(1 + zoom, angle, dx, dy)


def _largest_scale(size: tuple[int, int], frame: tuple[int, int]) -> float:
    """Return the maximum scale at which a window fits into the frame, at least 1."""
    return max(1.0, min(side / window_side for side, window_side in zip(frame, size, strict=True)))


def _is_inside(view: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether a window is in or near the frame (see ``MAX_OUTSIDE``), neither too small nor too large."""
    scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))
    is_near = all(abs(centre) <= (0.5 + MAX_OUTSIDE) * side for centre, side in zip(view[:2, 2], frame, strict=True))
    return is_near and 0.9 <= scale <= 1.1 * _largest_scale(size, frame)
