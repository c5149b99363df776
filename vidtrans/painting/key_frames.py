"""Read painted key frames: find the clip's frame for each picture, and align the picture with that frame.

Paint programs crop, pad, scale, and sometimes shift a picture. It is aligned by its edges, which painting mostly
preserves, while colours change. Matrices are (3, 3), from pixels (x, y, 1) of a frame to pixels of a painting; pixel
centres are integers.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.flow.warping import blur
from vidtrans.painting.composing import Painting
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.frame_numbers import frame_numbers, likely_numbers, numbers_in, sequence_numbers, stem_key
from vidtrans.video.images.picture import read_layers, read_picture, resize
from vidtrans.video.io.picture_paths import pictures_in, unsupported_pictures_in

# Alignment
SHORT_SIDE = 240  # Short side at which a painting is aligned with its frame, in pixels
BLUR_SIGMAS = (6.0, 2.0)  # σ of the blurs of edges, for a coarse and a fine alignment, in pixels
MIN_GAIN = 0.02  # Gain in likeness from which a painting is moved; the shift, as a share of the size, is added to it
MIN_LIKENESS = 0.3  # Minimum likeness (edge correlation) of a painting that is moved
# A painting is already aligned if MIN_UNTOUCHED of its detailed pixels equal the frame's up to MAX_LEVEL_CHANGE levels
MIN_UNTOUCHED, MAX_LEVEL_CHANGE = 0.6, 2
MIN_DETAIL = 8  # Difference of neighbouring pixels, in 8-bit levels, from which a pixel counts as detailed
MIN_SHIFT_PX = 0.4  # Smallest shift that is corrected, in pixels at the short side ``SHORT_SIDE``
MAX_SHIFT, MAX_TURN_DEGREES, MAX_SCALE = 0.2, 15.0, 1.3  # Plausible range: share of the frame's size, degrees, factor
# Stop criteria of OpenCV's alignment (ECC): iterations and change of the correlation
ECC_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
ASPECT_TOLERANCE = 0.01  # Relative difference up to which aspect ratios count as equal (1088 lines in place of 1080)
# Search for frames
SHEET = "sheet"  # Stem of the contact sheet in the folder that 'vidtrans keyframes' writes; it is no painting
SEARCH_SIDE_PX, SEARCH_FRAMES = 96, 400  # Short side of the frames in a search; frames of its coarse pass
LIKE, UNLIKE = 0.25, 0.08  # Likeness of edges that identifies a frame, and below which a numbered one gets a warning
CHECK_SIDE_PX = 240  # Short side of frames that are compared with the pictures numbered like them, in pixels
MIN_LIKENESS_GAIN = 0.03  # Gain in likeness from which another number in a file's name is taken as the frame number
# Mean gain in likeness, if each picture is compared with the frame before its own, from which a message suggests that
# the numbers begin at 1; factor on this gain for a single picture
OFF_BY_ONE_GAIN, SINGLE_FACTOR = 0.005, 4
MAX_UNPAINTED_CHANGE = 2  # Difference from its frame, in 8-bit levels, up to which a picture counts as unpainted

PixelSize = tuple[int, int]  # (width, height) in pixels


@dataclass(frozen=True)
class Placement:
    """The alignment of a painting with the clip's frame that it shows."""

    matrix: np.ndarray  # (3, 3), from the frame's pixels to the painting's
    likeness: float  # Correlation of their edges, −1 to 1
    words: str  # Description of the changes to the painting; "" for none

    def apply(self, painting: np.ndarray, size: PixelSize) -> tuple[np.ndarray, np.ndarray]:
        """Align a painting (h, w, C) with its frame; return it as (H, W, C), and the mask of covered pixels, (H, W)."""
        width, height = size
        own = painting.shape[1], painting.shape[0]
        if np.allclose(self.matrix, resize_matrix(own, size), atol=1e-6):
            return resize(painting, *size).reshape(height, width, -1), np.ones((height, width), bool)
        whole, covered = _warp(painting, self.matrix, size)
        return whole.reshape(height, width, -1), covered


def align(painting: np.ndarray, frame: np.ndarray, alpha: np.ndarray | None = None) -> Placement:
    """Find the alignment of a painting (h, w, 3) uint8 or uint16 with its frame (H, W, 3) uint8.

    ``alpha``: the opacity of a layer, (h, w). A layer is not moved, because its strokes may cross the edges below. A
    partly painted picture whose unpainted areas already match the frame is not moved either.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    there, target = resize_matrix((width, height), size), edges(resize(frame, *size))
    small = to_uint8(painting)
    still = alpha
    if small.shape == frame.shape and _is_untouched(small, frame):
        still = np.full((height, width), 255, np.uint8)
    found = []
    for matrix, words in _guesses((small.shape[1], small.shape[0]), (width, height)):
        if still is None:
            found.append(_refine_guess(small, target, matrix @ there, words))
        else:
            found.append(_score_guess(small, still, target, matrix @ there, words))
    best = max(found, key=lambda placement: placement.likeness)
    return Placement(best.matrix @ np.linalg.inv(there), best.likeness, best.words)


def edges(rgb: np.ndarray) -> np.ndarray:
    """Return the edge strength of a picture (H, W, 3) uint8, the fourth root of its squared gradient: (H, W)."""
    soft = blur(rgb.astype(np.float32), 1.0)
    squares = [np.square(cv2.Sobel(soft, cv2.CV_32F, dx, 1 - dx, ksize=3)).sum(2) for dx in (1, 0)]
    return (squares[0] + squares[1]) ** 0.25


def likeness(first: np.ndarray, second: np.ndarray, covered: np.ndarray) -> float:
    """Return the correlation, −1 to 1, of two edge pictures (H, W) within the mask ``covered``, (H, W) bool."""
    if covered.mean() < 0.01:
        return 0.0
    one, other = (blur(picture, BLUR_SIGMAS[1])[covered] for picture in (first, second))
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / scale if scale > 1e-6 else 0.0


def resize_matrix(picture: PixelSize, frame: PixelSize) -> np.ndarray:
    """Return the matrix, (3, 3), from pixels of a frame to pixels of a picture of the whole frame at another size."""
    sx, sy = picture[0] / frame[0], picture[1] / frame[1]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])


def _guesses(picture: PixelSize, frame: PixelSize) -> Iterator[tuple[np.ndarray, str]]:
    """Yield candidate alignments, each a matrix with its description; the first is the whole frame, resized.

    If the aspect ratios differ, the others are the frame centred at the same width, the same height, and unscaled.
    """
    (w, h), (width, height) = picture, frame
    same_shape = abs(w * height / (h * width) - 1) <= ASPECT_TOLERANCE
    done = "" if picture == frame else f"{w}x{h}: {'scaled' if same_shape else 'stretched'}"
    yield resize_matrix(picture, frame), done
    if same_shape:
        return
    for scale in sorted({w / width, h / height, 1.0}):
        x, y = (w - scale * width + scale - 1) / 2, (h - scale * height + scale - 1) / 2
        yield np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]]), f"{w}x{h}: taken as cropped or padded"


def _is_untouched(painting: np.ndarray, frame: np.ndarray) -> bool:
    """Return whether large parts of a painting (H, W, 3) uint8 equal its frame, so that it is already aligned."""
    beside = np.ones((3, 3), np.uint8)
    clear = cv2.subtract(cv2.dilate(frame, beside), cv2.erode(frame, beside)).max(2) >= MIN_DETAIL  # Not blank paper
    difference = np.abs(painting.astype(np.int16) - frame).max(2)
    return bool(clear.any()) and float((difference[clear] <= MAX_LEVEL_CHANGE).mean()) > MIN_UNTOUCHED


def _warp(picture: np.ndarray, matrix: np.ndarray, size: PixelSize) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture sampled through a matrix at a (width, height), and the mask of samples inside it."""
    own = picture.shape[1], picture.shape[0]
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if scale > 1:  # Shrink by averaging first, because sampling alone would alias
        less = max(1, round(own[0] / scale)), max(1, round(own[1] / scale))
        picture, matrix = resize(picture, *less), resize_matrix(less, own) @ matrix
    flags, rows = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, matrix[:2]
    whole = cv2.warpAffine(picture, rows, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones(picture.shape[:2], np.float32)
    inside = cv2.warpAffine(ones, rows, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return whole, inside > 0.99


def _score_guess(
    painting: np.ndarray, alpha: np.ndarray, target: np.ndarray, guess: np.ndarray, words: str
) -> Placement:
    """Return the placement of a candidate alignment, with its edge likeness where the painting is opaque.

    ``target``: the edges of the frame, (H, W). ``guess``: the candidate, a matrix (3, 3). ``words``: its description.
    """
    size = target.shape[1], target.shape[0]
    own, covered = _warp(painting, guess, size)
    opacity, _ = _warp(alpha.astype(np.float32) / np.iinfo(alpha.dtype).max, guess, size)
    return Placement(guess, likeness(edges(own), target, covered & (opacity > 0.5)), words)


def _refine_guess(painting: np.ndarray, target: np.ndarray, guess: np.ndarray, words: str) -> Placement:
    """Return the placement near a candidate with the best edge likeness, or the candidate if it is about as good.

    ``target``, ``guess`` and ``words``: see ``_score_guess``.
    """
    size = target.shape[1], target.shape[0]

    def likeness_at(matrix: np.ndarray) -> float:
        """Return the edge likeness of the painting and the frame if the painting is aligned by a matrix."""
        picture, covered = _warp(painting, matrix, size)
        return likeness(edges(picture), target, covered)

    own, covered = _warp(painting, guess, size)
    source, before = edges(own), likeness(edges(own), target, covered)
    move = np.eye(2, 3, dtype=np.float32)
    try:
        for sigma in BLUR_SIGMAS:
            one, other = blur(target, sigma), blur(source, sigma)
            mask = covered.astype(np.uint8)
            _, move = cv2.findTransformECC(one, other, move, cv2.MOTION_AFFINE, ECC_CRITERIA, mask, 1)
    except cv2.error:  # The pictures have no common edges: one is flat, or they differ
        return Placement(guess, before, words)
    moved = guess @ np.vstack([move, [0, 0, 1]])
    shift = _shift_share(move, size)
    if shift is None or (after := likeness_at(moved)) < max(before + MIN_GAIN + shift, MIN_LIKENESS):
        return Placement(guess, before, words)
    more = f"moved by {shift:.0%} of its size" if shift >= 0.01 else "moved a little"
    return Placement(moved, after, f"{words}, {more}" if words else more)


def _shift_share(move: np.ndarray, size: PixelSize) -> float | None:
    """Return the largest shift of a picture's corner by an affine map ``move``, (2, 3), as a share of the longer side.

    Return None if the shift is below ``MIN_SHIFT_PX``, or the map is implausible.
    """
    width, height = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    shifts = np.linalg.norm(corners @ move.T.astype(np.float64) - corners[:, :2], axis=1)
    across, down = move[:, 0], move[:, 1]
    scales = np.linalg.norm(across), np.linalg.norm(down)
    turn = np.degrees(np.arctan2(across[1], across[0]))
    shear = abs(float(across @ down)) / float(scales[0] * scales[1])
    is_plausible = all(1 / MAX_SCALE < s < MAX_SCALE for s in scales) and abs(turn) < MAX_TURN_DEGREES and shear < 0.1
    middle = float(np.linalg.norm(np.array([width / 2, height / 2, 1]) @ move.T - [width / 2, height / 2]))
    if not is_plausible or middle > MAX_SHIFT * max(size) or shifts.max() < MIN_SHIFT_PX:
        return None
    return float(shifts.max()) / max(size)


@dataclass(frozen=True)
class PaintedPicture:
    """A file with a painted picture, and the number of the ``frame`` that it shows."""

    path: Path
    digest: str
    frame: int
    placement: Placement  # Alignment of the picture with the frame
    full: tuple[int, int]  # (width, height) of the clip's frame
    is_whole: bool  # Whether the whole frame is painted

    def painting(self, size: tuple[int, int]) -> Painting:
        """Read the painting, aligned and scaled to a (width, height). Raises MediaError."""
        placed = _align(*read_layers(self.path), self.placement, self.full)
        return _unpack_painting(self.frame, resize(placed, *size))


def key_frame_files(folder: Path, option: str = "--keyframes", *, needed: bool = True) -> list[Path]:
    """Return the picture files in a folder of painted frames; ``option``: name of its option, for error messages.

    Raises UsageError for a wrong folder, and MediaError where it has no pictures and ``needed`` is true.
    """
    if not folder.is_dir():
        why = "it is not a folder" if folder.exists() else "no such folder"
        remedy = "name the folder of the painted frames; 'vidtrans keyframes VIDEO' makes one of frames to paint over"
        raise UsageError(f"{option} {folder}", why, remedy)
    files = [path for path in pictures_in(folder) if path.stem != SHEET]
    if not files and needed:
        if unread := unsupported_pictures_in(folder):
            why = f"it holds no readable picture (found {unread[0].name})"
            raise MediaError(str(folder), why, "save the painted frames as PNG")
        raise MediaError(str(folder), "there are no pictures in it", "put the painted frames there")
    return files


def warn_unreadable(folder: Path, context: Context) -> None:
    """Warn about files in a folder that are probably paintings, in formats that cannot be read."""
    for path in unsupported_pictures_in(folder):
        context.note(f"{path.name}: not a picture that can be read, and left out: save it as PNG", "warning")


def find_key_frames(
    files: Sequence[Path], clip: Clip, context: Context, first_number: int | None = None
) -> list[PaintedPicture]:
    """Return the painted pictures in the order of their frames, each aligned with the frame that it shows.

    The frame is found by the number in the picture's name, else by its edges. ``clip``: with frames of one size.
    ``first_number``: the number of the clip's first frame in the names; by default 0. Raises MediaError if a picture
    cannot be read, matches no frame, is fully transparent, or two match the same frame.
    """
    numbers, found = frame_numbers_of(files, clip, context, first_number), []
    frames = read_clip_frames(clip, list(numbers.values()), DEFAULT_FORMAT, context)
    for path, frame in zip(numbers, frames, strict=True):
        picture, alpha = read_layers(path)
        if alpha is not None and not alpha.any():
            raise MediaError(str(path), "it is fully transparent", "paint it, or take it out of the folder")
        placement = align(picture, frame.rgb, alpha)
        if placement.words:
            context.note(f"{path.name}: {placement.words}")
        if placement.likeness < UNLIKE and alpha is None:
            text = f"{path.name}: it does not look like frame {frame.index}, whose number is in its name"
            context.note(f"{text}: is it the right one?", "warning")
        same_shape = alpha is None and picture.shape == frame.rgb.shape
        if same_shape and int(np.abs(to_uint8(picture).astype(np.int16) - frame.rgb).max()) <= MAX_UNPAINTED_CHANGE:
            context.note(f"{path.name}: it shows frame {frame.index} unchanged: paint it, or take it out", "warning")
        full = frame.rgb.shape[1], frame.rgb.shape[0]
        whole = _unpack_painting(frame.index, _align(picture, alpha, placement, full)).is_whole
        found.append(PaintedPicture(path, context.cache.digest(path), frame.index, placement, full, whole))
    return found


def _align(rgb: np.ndarray, alpha: np.ndarray | None, placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """Align a picture with its frame at a (width, height): premultiplied colours and opacity, (H, W, 4) float32."""
    whole = np.iinfo(rgb.dtype).max
    opaque = np.full(rgb.shape[:2], whole, rgb.dtype) if alpha is None else alpha.astype(rgb.dtype)
    share = opaque.astype(np.float32)[..., None] / whole
    layers = np.dstack([rgb.astype(np.float32) / whole * share, share])  # Transparent pixels have no colour
    placed, covered = placement.apply(layers, size)
    return placed * covered[..., None]


def _unpack_painting(frame: int, layers: np.ndarray) -> Painting:
    """Create a painting from premultiplied colours and opacity, (H, W, 4) float32."""
    colours = np.clip(layers[..., :3] / np.maximum(layers[..., 3:], 1e-4), 0, 1)
    return Painting(frame, colours, np.clip(layers[..., 3], 0, 1))


def named_frames(files: Sequence[Path], clip: Clip, first_number: int | None = None) -> dict[Path, int]:
    """Return the number of the clip's frame for each picture, found by the number in the file's name alone.

    Raises MediaError where a name has no number of a frame, or two have the same.
    """
    numbers = _frames_by_name(files, clip, first_number)
    for path in files:
        if path not in numbers:
            raise MediaError(str(path), "no frame's number is in its name", "call it 000012.png, for frame 12")
    return _sort_by_frame(numbers)


def _sort_by_frame(numbers: Mapping[Path, int]) -> dict[Path, int]:
    """Sort pictures by their frame numbers. Raises MediaError if two pictures have the same frame."""
    ordered = sorted(numbers, key=lambda path: numbers[path])
    for one, other in itertools.pairwise(ordered):
        if numbers[one] == numbers[other]:
            why = f"{one.name} and {other.name} are both painted on frame {numbers[one]}"
            raise MediaError(str(one.parent), why, "keep one of them")
    return {path: numbers[path] for path in ordered}


def frame_numbers_of(
    files: Sequence[Path], clip: Clip, context: Context, first_number: int | None = None
) -> dict[Path, int]:
    """Return the number of the clip's frame for each picture, by name or content, in order; see ``find_key_frames``.

    Raises MediaError where a picture matches no frame, or two match the same.
    """
    numbers = _frames_by_name(files, clip, first_number)
    if unnamed := [path for path in files if path not in numbers]:
        numbers |= _frames_by_content(_EdgeComparison(unnamed, clip, context, SEARCH_SIDE_PX), clip)
        for path in unnamed:
            context.note(f"{path.name}: painted on frame {numbers[path]}, found by its content")
    named = [path for path in files if path not in unnamed]
    numbers |= _better_frames(numbers, _EdgeComparison(named, clip, context, CHECK_SIDE_PX), clip, first_number)
    return _sort_by_frame(numbers)


def _frame_by_number(clip: Clip, first_number: int | None) -> dict[int, int]:
    """Return a map from the number in a file's name to the index of the clip's frame.

    A clip of numbered pictures gives their numbers; otherwise its frames count from ``first_number``.

    Raises UsageError where ``first_number`` is given for pictures that have numbers of their own.
    """
    numbers = sequence_numbers(clip.index.names)
    if numbers is None:
        return {frame + (first_number or 0): frame for frame in range(clip.index.num_frames)}
    if first_number is not None:
        why = f"the pictures of {clip.name} have numbers in their names, which count"
        raise UsageError(f"--first-number {first_number}", why, "leave it out")
    return {number: frame for frame, number in enumerate(numbers) if number is not None}


def _frames_by_name(files: Sequence[Path], clip: Clip, first_number: int | None) -> dict[Path, int]:
    """Return the frame of each picture that has the name of a clip's picture, or a frame's number in its name.

    Raises MediaError where the clip has no such frame.
    """
    names, places = clip.index.names, _frame_by_number(clip, first_number)
    stems, is_numbered = [stem_key(name) for name in names], sequence_numbers(names) is not None
    found: dict[Path, int] = {}
    for path, number in zip(files, frame_numbers([path.name for path in files]), strict=True):
        # If a name contains several numbers, the names of the clip's pictures show which one is the frame's number.
        known = [n for n in likely_numbers(path.name) if n in places] if is_numbered else []
        if path.name in names:
            found[path] = names.index(path.name)
        elif stems.count(stem_key(path.name)) == 1:
            found[path] = stems.index(stem_key(path.name))
        elif number in places:
            found[path] = places[number]
        elif known:
            found[path] = places[known[0]]
        elif number is not None:
            high = max(places)
            what = f"frame {number} of a clip whose last one is {high}"
            remedy = f"or say with --first-number which one frame 0 has{' (1?)' if number == high + 1 else ''}"
            if is_numbered:
                what, remedy = f"picture {number} of a folder that has {min(places)} to {high}", ""
            elif first_number is not None:
                remedy = ""
            raise MediaError(str(path), what, ", ".join(filter(None, ("give it the right number", remedy))))
    return found


class _EdgeComparison:
    """Compares painted pictures with frames of a clip by their edges, at a short side of ``side`` pixels."""

    def __init__(self, files: Sequence[Path], clip: Clip, context: Context, side: int) -> None:
        index = clip.index
        size = Size(short=min(side, index.width, index.height)).of(index.width, index.height)
        self.clip, self.context, self.files, self._format = clip, context, files, FrameFormat(Size(exact=size))
        self._size, self._everywhere = size, np.ones((size[1], size[0]), bool)

    def to(self, candidates: Mapping[Path, Collection[int]]) -> dict[Path, dict[int, float]]:
        """Return the edge likeness of each picture to each of its ``candidates``, which are frame numbers."""
        found: dict[Path, dict[int, float]] = {path: {} for path in candidates}
        outlines = {path: edges(resize(read_picture(path), *self._size)) for path in candidates}
        numbers = sorted({number for frames in candidates.values() for number in frames})
        for frame in read_clip_frames(self.clip, numbers, self._format, self.context) if numbers else ():
            lines = edges(frame.rgb)
            for path in (path for path, frames in candidates.items() if frame.index in frames):
                found[path][frame.index] = likeness(outlines[path], lines, self._everywhere)
        return found


def _better_frames(
    numbers: Mapping[Path, int], likenesses: _EdgeComparison, clip: Clip, first_number: int | None
) -> dict[Path, int]:
    """Return a new frame for each picture that is more like the frame of a different number in its name.

    Warns of these pictures, and if all pictures look more like the frame before their own.
    """
    context, places = likenesses.context, _frame_by_number(clip, first_number)
    counted = first_number is None and sequence_numbers(clip.index.names) is None and 0 not in numbers.values()
    others = {path: {places[n.value] for n in numbers_in(path.name) if n.value in places} for path in likenesses.files}
    wanted = {
        path: {numbers[path]} | found | ({numbers[path] - 1} if counted else set()) for path, found in others.items()
    }
    files = [path for path, frames in wanted.items() if len(frames) > 1 and read_layers(path)[1] is None]
    likeness_to = likenesses.to({path: wanted[path] for path in files})
    moved: dict[Path, int] = {}
    for path in files:
        own, best = numbers[path], max(others[path], key=lambda n: likeness_to[path][n], default=numbers[path])
        if likeness_to[path][best] > max(LIKE, likeness_to[path][own] + MIN_LIKENESS_GAIN):
            moved[path] = best
            text = f"{path.name}: painted on frame {best}, which it looks more like than frame {own}"
            context.note(f"{text}: both numbers are in its name", "warning")
    gains = [likeness_to[path][numbers[path] - 1] - likeness_to[path][numbers[path]] for path in files if counted]
    if gains and min(gains) > 0 and sum(gains) > OFF_BY_ONE_GAIN * (len(gains) if len(gains) > 1 else SINGLE_FACTOR):
        whom = "it looks" if len(files) == 1 else "all painted frames look"
        text = f"{whom} more like the frame before: numbered from 1? Then give --first-number 1"
        context.note(f"{files[0].parent.name}: {text}", "warning")
    return moved


def _frames_by_content(likenesses: _EdgeComparison, clip: Clip) -> dict[Path, int]:
    """Return the frame with the most similar edges for each picture. Raises MediaError if none is similar."""
    total = clip.index.num_frames
    step = max(1, total // SEARCH_FRAMES)
    best: dict[Path, int] = {}
    for path, rough in likenesses.to(dict.fromkeys(likenesses.files, range(0, total, step))).items():
        middle = max(rough, key=lambda number: rough[number])
        near = range(max(0, middle - step + 1), min(total, middle + step))
        fine = rough if step == 1 else likenesses.to({path: near})[path]
        best[path] = max(fine, key=lambda number: fine[number])
        if fine[best[path]] < LIKE:
            why = "its name has no number, and it does not look like any frame of the clip"
            raise MediaError(str(path), why, "put the number of its frame into its name")
    return best
