"""A module that stores small copies of a clip's frames in a network and retrieves them by position in the clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_PIXELS = 16_000_000  # Largest total number of pixels of the stored frames.
# Largest total size of the compressed stored frames in bytes; for comparison, a model of the default width has 12 MB.
MAX_STORED_BYTES = 5_400_000
QUALITIES = (98, 95, 92, 88, 84, 78, 70, 60, 50)  # JPEG qualities to try for the stored frames, the best one first.
FULL_CHROMA = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # OpenCV's value for JPEG files without chroma subsampling.
POSITION_TOLERANCE = 0.25  # Largest error of a position that is given as 8-bit planes, in frames.


class FrameMemory(nn.Module):
    """Stored frames of a clip, ``length`` pictures of ``size`` (height, width), retrieved by position in the clip.

    The position runs from the first frame forwards to the last one, and backwards to the first one. The weights are the
    pictures as JPEG files: ``files``, the concatenated bytes, and ``ends``, each file's end offset.
    """

    pictures: Tensor
    files: Tensor
    ends: Tensor

    def __init__(self, length: int, size: tuple[int, int]) -> None:
        """Create a memory of ``length`` black frames of ``size`` (height, width)."""
        super().__init__()
        self.register_buffer("pictures", torch.zeros((length, 3, *size), dtype=torch.uint8), persistent=False)
        self.register_buffer("files", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("ends", torch.zeros(length, dtype=torch.int64))

    def fill(self, pictures: np.ndarray) -> None:
        """Compress and store frames, (length, h, w, 3) uint8."""
        self.take(*pack_pictures(pictures))

    def take(self, files: np.ndarray, ends: np.ndarray) -> None:
        """Store frames that ``pack_pictures`` compressed; without any files, store black frames.

        Raises ValueError if the files are damaged, or differ from the expected number or size.
        """
        count, _, height, width = self.pictures.shape
        if len(ends) != count:
            raise ValueError(f"{len(ends)} kept frames where {count} are expected")
        pictures = np.zeros(self.pictures.shape, np.uint8)
        if len(files):
            pictures = unpack_pictures(files, ends, (height, width)).transpose(0, 3, 1, 2)
        device = self.files.device if self.files.device.type != "meta" else torch.device("cpu")
        self.pictures = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
        self.files, self.ends = torch.from_numpy(files).to(device), torch.from_numpy(ends).to(device)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:  # noqa: ANN401
        """Decode the stored files in a state dict; torch calls this method."""
        _, strict, missing, _, errors = others
        names = [prefix + name for name in ("files", "ends")]
        if lacking := [name for name in names if name not in state_dict]:
            missing += lacking if strict else []
            return
        try:
            self.take(*(state_dict[name].detach().cpu().numpy() for name in names))
        except (ValueError, cv2.error) as error:
            errors.append(str(error))

    def forward(self, hands: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two stored frames around a position, (N, 6, h, w), and the frame at the position, (N, 3, h, w).

        ``hands`` (N, 8): the position, see ``decode_position``. Frames are in [−1, 1]. The first three channels are the
        previous frame in the direction of the timeline, the others the frame at or after the position. At positions
        between two frames, the frame at the position is their mixture.
        """
        turn, last = decode_position(hands), len(self.pictures) - 1
        position = turn.abs() * 2 * last
        forwards = turn >= 0
        after = torch.where(forwards, (position - POSITION_TOLERANCE).ceil(), (position + POSITION_TOLERANCE).floor())
        before = after - torch.where(forwards, 1.0, -1.0)
        weight = (1 - (after - position).abs()).clamp(0, 1)[:, None, None, None]
        neighbours = self.pictures[torch.stack([before, after]).long().clamp(0, last)].float() / 127.5 - 1
        return torch.cat([neighbours[0], neighbours[1]], 1), torch.lerp(neighbours[0], neighbours[1], weight)


def decode_views(planes: Tensor) -> Tensor:
    """Return affine views (N, 2, 3) float32 from plane values (N, 12) in [−1, 1]; see ``pairing.next_frame``.

    Each of the 6 numbers of a view is two values, high and low, of 8 bits each.
    """
    high, low = (((planes[:, k::2].float() + 1) * 127.5).round() for k in (0, 1))
    return ((256 * high + low) * (4 / 65535) - 2).reshape(-1, 2, 3)


def sample_view(pictures: Tensor, view: Tensor, height: int, width: int) -> Tensor:
    """Sample pictures (N, C, h, w) through affine views (N, 2, 3), bicubic: (N, C, height, width) float32.

    Outside of a picture's edges, the picture is mirrored.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        grid = F.affine_grid(view.float(), [len(pictures), 1, height, width], align_corners=False)
        return F.grid_sample(pictures.float(), grid, "bicubic", "reflection", align_corners=False)


def pack_pictures(pictures: np.ndarray, max_bytes: int = MAX_STORED_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N, h, w, 3) uint8 as JPEG files of at most ``max_bytes``: the bytes, and the end offsets (N,).

    The bytes of all files, (bytes,) uint8, are concatenated; offsets are int64. The files have the best of
    ``QUALITIES`` that fits, or else the last quality.
    """
    for quality in QUALITIES:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, FULL_CHROMA]
        files = [cv2.imencode(".jpg", picture[..., ::-1], options)[1] for picture in pictures]
        ends = np.cumsum([len(file) for file in files])
        if ends[-1] <= max_bytes:
            break
    return np.concatenate(files), ends.astype(np.int64)


def unpack_pictures(files: np.ndarray, ends: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Decode pictures that ``pack_pictures`` compressed: (N, h, w, 3) uint8 of ``size`` (h, w).

    Raises ValueError for damaged files or pictures of another size, before any file is decoded.
    """
    if not len(ends) or ends[-1] != len(files) or (np.diff(ends, prepend=0) <= 0).any():
        raise ValueError("the kept frames are damaged")
    parts = np.split(files, ends[:-1])
    if any(_jpeg_size(part.tobytes()) != size for part in parts):
        raise ValueError("a kept frame is damaged, or of another size")
    pictures = np.empty((len(parts), *size, 3), np.uint8)
    for picture, part in zip(pictures, parts, strict=True):
        decoded = cv2.imdecode(part, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded is None or decoded.shape != picture.shape:
            raise ValueError("a kept frame is damaged")
        picture[:] = decoded[..., ::-1]
    return pictures


def _jpeg_size(file: bytes) -> tuple[int, int] | None:
    """Return the (height, width) in the first frame header of a JPEG file; None without a header."""
    at = 2
    while file[:2] == b"\xff\xd8" and at + 9 <= len(file) and file[at] == 0xFF:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(file[at + 5 : at + 7], "big"), int.from_bytes(file[at + 7 : at + 9], "big")
        at += 2 + length
    return None


def decode_position(hands: Tensor) -> Tensor:
    """Return the position in a clip, (N,) float32 in turns from −½ to ½, from its sines and cosines ``hands`` (N, 8).

    ``hands`` are sines and cosines of 1, 2, 4, 8 times the position, possibly quantised to 8 bits; higher multiples
    refine the position.
    """
    angles = torch.atan2(hands[:, 0::2].float(), hands[:, 1::2].float()) / (2 * math.pi)
    turn = angles[:, 0]
    for number in range(1, angles.shape[1]):
        error = angles[:, number] - 2**number * turn
        turn = turn + (error - error.round()) / 2**number
    return (turn - turn.round()).float()
