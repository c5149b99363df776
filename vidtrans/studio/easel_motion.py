"""The part of a clip that shows what was painted on a frame in motion, and the command that carries the paint there."""

from __future__ import annotations

from collections.abc import Sequence

from vidtrans.studio.wishes import WishStep

MOST_FRAMES = 36  # on each side of the painted frame, as a preview is to come within seconds


def motion_range(frame: int, painted: Sequence[int], shots: Sequence[int], num_frames: int) -> tuple[int, int]:
    """Return the frames [first, stop) around a painted one: between its painted neighbours, within its shot.

    ``painted``: numbers of painted frames. ``shots``: first frames of the shots.
    """
    first = max([0, *(start for start in shots if start <= frame), frame - MOST_FRAMES])
    stop = min([num_frames, *(start for start in shots if start > frame), frame + MOST_FRAMES + 1])
    before = [number for number in painted if first <= number < frame]
    after = [number for number in painted if frame < number < stop]
    return max([first, *before]), min([stop, *(number + 1 for number in after)])


def motion_step(clip: str, folder: str) -> WishStep:
    """Return the command that carries the paint in a folder along the motion of a clip."""
    return WishStep("propagate", {"video": [clip], "keyframes": folder, "minutes": 0}, "motion")
