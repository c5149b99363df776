"""What is painted on the frames of a clip, read and brought to the size at which it is followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.registry import name_check
from vidtrans.core.settings import Time
from vidtrans.matting.marks import MATTE, Brushes, Strokes
from vidtrans.painting.key_frames import named_frames
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.frame_numbers import sequence_numbers

SMALL = 64  # pixels of the working size, below which a thing is hardly followed


@dataclass(frozen=True)
class PaintedFrame:
    """A painted frame, (H, W, 3) uint8, and the mattes of the things on it, (H, W) uint8 by name.

    ``grown``: the names of those that were grown from strokes.
    """

    picture: np.ndarray
    mattes: Mapping[str, np.ndarray]
    grown: frozenset[str]


def places_of(
    frames: Sequence[tuple[Time, Path]], files: Sequence[Path], clip: Clip, first_number: int | None
) -> dict[int, Path]:
    """Return the picture painted on each frame, in order. Raises UsageError, MediaError."""
    found: dict[int, Path] = {}
    numbers = sequence_numbers(clip.index.names) or []
    for when, path in frames:
        # Pictures are counted by the numbers in their names, as in a folder of painted frames.
        frame = numbers.index(when.frame) if when.frame in numbers else clip.frame_at(when)
        if not 0 <= frame < clip.index.num_frames:
            last = clip.index.num_frames - 1
            why = f"the last frame of {clip.name} is {last}" if frame > 0 else f"{clip.name} has no such picture"
            raise UsageError(f"--frame {when}={path}", why, "give another one")
        if not path.exists():
            raise MediaError(str(path), "no such file", name_check(path))
        if frame in found:
            why = f"{found[frame].name} and {path.name} are both painted on frame {frame}"
            raise UsageError(f"--frame {when}={path}", why, "give one of them")
        found[frame] = path
    for path, frame in named_frames(files, clip, first_number).items():
        found.setdefault(frame, path)
    return dict(sorted(found.items()))


def read_painted(places: Mapping[int, Path], brushes: Brushes, clip: Clip, context: Context) -> dict[int, PaintedFrame]:
    """Read the painted frames; grow masks from strokes. Raises MediaError."""
    found = {}
    for frame in read_clip_frames(clip, list(places), FrameFormat(), context):
        path = places[frame.index]
        mattes, grown_names = {}, []
        for name, what in brushes.read(path, frame.rgb).items():
            matte = what
            if isinstance(what, Strokes):
                from vidtrans.matting.stroke_masks import grown

                matte = grown(frame.rgb, what.labels)
                grown_names.append(name)
                if not (matte >= 0.5).any():
                    raise MediaError(str(path), "nothing grew from its strokes", "paint more of the thing")
            mattes[name] = np.rint(255 * np.asarray(matte)).astype(np.uint8)
        if not mattes:
            things = ", ".join(brushes.things)
            remedy = "paint it in the colours of --inside and --outside, or of --names"
            raise MediaError(str(path), f"nothing is painted in it ({things})", remedy)
        found[frame.index] = PaintedFrame(frame.rgb, mattes, frozenset(grown_names))
    return found


def small_matte(matte: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a matte (H, W) uint8 at the working size, (width, height)."""
    return cv2.resize(matte, size, interpolation=cv2.INTER_AREA) if matte.shape[::-1] != size else matte


def check_size(path: Path, name: str, small: np.ndarray, context: Context) -> None:
    """Raise MediaError where nothing of a thing is left at the working size; warn where little is."""
    area = int((small >= 128).sum())
    whose = "the thing" if name == MATTE else f"'{name}'"
    if not area:
        height, width = small.shape
        why = f"{whose} is smaller than a pixel at {width}x{height}, where it is followed"
        raise MediaError(str(path), why, "raise --set matting.size, or cut the clip to what is around it")
    if area < SMALL:
        text = f"{path.name}: {whose} has {count(area, 'pixel')} at the size at which it is followed"
        context.note(f"{text}: look at the result", "warning")


def painted_digest(places: Mapping[int, Path], brushes: Brushes, context: Context) -> str:
    """Return the digest of painted frames, their numbers, and the meaning of their colours."""
    files = [[frame, context.cache.digest(path)] for frame, path in places.items()]
    return digest_of([files, brushes.inside, brushes.outside, sorted(brushes.things.items())])


def opaque(clip: Clip) -> Clip:
    """Return a clip whose transparency is not delivered: a matte is grey, and its alpha would be read instead."""
    findings = replace(clip.index.findings, alpha=False)
    return replace(clip, index=replace(clip.index, findings=findings))
