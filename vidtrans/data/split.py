"""Short blocks of frames held out for scoring, middles over a shot, with a gap around each.

Neighbouring frames are nearly the same picture: without a gap the held-out ones would have been seen. And a
time-lapse's tail is another picture: held out whole, it would say nothing of the rest.
"""

from __future__ import annotations

from typing import Literal

from vidtrans.clips.sampling import segment_centres

# 'thinned' frames are on record and not stored: what followed them still does not follow what was before them.
Role = Literal["train", "held-out", "gap", "thinned"]


def split_roles(num_frames: int, fraction: float, block: int, gap: int) -> list[Role]:
    """Return the role of each frame of a shot.

    About ``fraction`` of the frames are held out, in blocks of ``block`` with ``gap`` unused frames on either
    side, middles evenly. A shot too short to spare a block and its gaps is all for training.
    """
    roles: list[Role] = ["train"] * num_frames
    span = block + 2 * gap
    # At least half of every stretch stays for training.
    count = min(round(num_frames * fraction / block) or 1, num_frames // (2 * span)) if fraction > 0 else 0
    for middle in segment_centres(num_frames, count):
        first = middle - span // 2
        for i in range(first, first + span):
            roles[i] = "held-out" if gap <= i - first < gap + block else "gap"
    return roles
