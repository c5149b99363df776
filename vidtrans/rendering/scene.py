"""The background plate of a model: found in a dataset with a still camera; clips of other scenes are refused.

What a plate is, and what "the same scene" means, is in ``data/background_plate.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Size, Table
from vidtrans.data.background_plate import SAME_SCENE, BackgroundPlate, agreement, find_background_plate
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import Frame

FRAMES_PER_SHOT = 5  # that are compared
FORM = FrameFormat(Size(short=256))  # they are compared at half of that


def require_background_plate(dataset: Dataset, pairs: Sequence[Pair]) -> BackgroundPlate:
    """Return the plate of a dataset. Raises MediaError unless all pictures show one still scene."""
    plate = find_background_plate(pairs)
    what, remedy = f"{dataset.folder}: it has no plate", "leave out background_plate=true, or take one locked-off shot"
    if plate is None:
        raise MediaError(what, "its pictures are of several sizes, or fewer than five", remedy)
    if not plate.is_still:
        share = f"in a tenth of its frames less than {max(1, round(100 * plate.still))} % of the scene stays in place"
        raise MediaError(what, f"the camera moves, or shots differ ({share})", remedy)
    return plate


def plate_hint(pairs: Sequence[Pair], dataset: Dataset, generator: Table) -> str:
    """Return a note where a plate would help, else '': the frame's own pixels are kept anyway, or the camera moves.

    What predicts frames moves, and paints nothing onto anything; and a plate is made of targets.
    """
    pairing = dataset.pairing
    if pairing.finishes or not pairing.has_target or generator.get("residual") or isinstance(pairing, NextFrame):
        return ""
    plate = find_background_plate(pairs)
    if plate is None or not plate.is_still:
        return ""
    return (
        "the camera does not move in these pictures: --set background_plate=true trains a model that keeps their "
        "background sharp and steady, for clips of this camera position"
    )


def placeholder_plate(size: tuple[int, int]) -> BackgroundPlate:
    """Return a plate of that (width, height) for an estimate of costs, before there are pictures."""
    grey = np.full((size[1], size[0], 3), 128, np.uint8)
    return BackgroundPlate(grey, grey, 1.0)


@dataclass(frozen=True)
class Scene:
    """What frames must look like for the model ``name`` to be rendered onto them: ``picture``, (H, W, 3) uint8."""

    name: str
    picture: np.ndarray

    @classmethod
    def of(cls, look: LoadedModel) -> Scene | None:
        """Return the scene of a model, or of the first one of a chain; None for one without a plate."""
        look = look.parts[0]
        if look.record is None or not look.record.plate or look.path is None:
            return None
        from safetensors import safe_open

        with safe_open(str(look.path), framework="numpy") as file:
            return cls(look.name, file.get_tensor("scene"))

    def check_clip(self, clip: Clip, first: int, stop: int, context: Context) -> None:
        """Raise MediaError where a shot of the frames [first, stop) shows another scene."""
        starts = sorted({first, *(s for s in clip.shots if first < s < stop)})
        for begin, end in zip(starts, [*starts[1:], stop], strict=True):
            numbers = [begin + n for n in segment_centres(end - begin, min(FRAMES_PER_SHOT, end - begin))]
            where = f"frame {begin}" if end - begin == 1 else f"frames {begin} to {end - 1}"
            self.check(list(read_clip_frames(clip, numbers, FORM, context)), f"{clip.name}: {where}")

    def check(self, frames: Sequence[Frame], where: str) -> None:
        """Raise MediaError where half of the frames show another scene."""
        share = float(np.median([agreement(f.rgb, self.picture) for f in frames]))
        if share < SAME_SCENE:
            raise MediaError(
                where,
                f"not the scene that '{self.name}' learned: of the still background that it paints on, "
                f"{100 * share:.0f} % is found here",
                "render clips of that camera position, or train without background_plate=true",
            )
