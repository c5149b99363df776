"""The background plate of a model: found in a dataset with a static camera, to refuse clips of other scenes.

``data/background_plate.py`` defines a plate, and when two pictures show the same scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Size, Table
from vidtrans.data.background_plate import SAME_SCENE, BackgroundPlate, find_background_plate, visible_share
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import Frame

FRAMES_PER_SHOT = 5  # Number of frames of each shot that are compared with the background plate
# Pixel format in which frames are read for the comparison with the background plate, which shrinks them further
COMPARISON_FORMAT = FrameFormat(Size(short=256))


def require_background_plate(dataset: Dataset, pairs: Sequence[Pair]) -> BackgroundPlate:
    """Find the background plate of a dataset. Raises MediaError unless pictures show one scene from a static camera."""
    plate = find_background_plate(pairs)
    what, remedy = f"{dataset.folder}: no background plate", "leave out background_plate=true, or use one static shot"
    if plate is None:
        raise MediaError(what, "its pictures have several sizes, or are fewer than five", remedy)
    if not plate.is_still:
        share = f"in a tenth of the frames less than {max(1, round(100 * plate.still))} % of the scene is static"
        raise MediaError(what, f"the camera moves, or shots differ ({share})", remedy)
    return plate


def plate_hint(pairs: Sequence[Pair], dataset: Dataset, generator: Table) -> str:
    """Return a note to the user that suggests training with a background plate; '' if this would not help.

    There is no note for pairings or generators that keep source pixels, for frame prediction, for data without targets,
    and for a moving camera.
    """
    pairing = dataset.pairing
    if pairing.finishes or not pairing.has_target or generator.get("residual") or isinstance(pairing, NextFrame):
        return ""
    plate = find_background_plate(pairs)
    if plate is None or not plate.is_still:
        return ""
    return (
        "the camera stands still in these pictures. If you will render only clips from this camera position, add "
        "--set background_plate=true: the background stays sharp and steady"
    )


def placeholder_plate(size: tuple[int, int]) -> BackgroundPlate:
    """Return a grey plate of ``size``, (width, height), to estimate costs before there are pictures."""
    grey = np.full((size[1], size[0], 3), 128, np.uint8)
    return BackgroundPlate(grey, grey, 1.0)


@dataclass(frozen=True)
class Scene:
    """The scene that the clips of the model ``name`` must show; ``picture``: its background plate, (H, W, 3) uint8."""

    name: str
    picture: np.ndarray

    @classmethod
    def of(cls, model: LoadedModel) -> Scene | None:
        """Return the scene of a model, or of the first model of a chain; None without a background plate."""
        model = model.parts[0]
        if model.record is None or not model.record.plate or model.path is None:
            return None
        from safetensors import safe_open

        with safe_open(str(model.path), framework="numpy") as file:
            return cls(model.name, file.get_tensor("scene"))

    def check_clip(self, clip: Clip, first: int, stop: int, context: Context) -> None:
        """Raise MediaError if a shot within the frames [first, stop) shows another scene."""
        starts = sorted({first, *(s for s in clip.shots if first < s < stop)})
        for begin, end in zip(starts, [*starts[1:], stop], strict=True):
            numbers = [begin + n for n in segment_centres(end - begin, min(FRAMES_PER_SHOT, end - begin))]
            where = f"frame {begin}" if end - begin == 1 else f"frames {begin} to {end - 1}"
            self.check(list(read_clip_frames(clip, numbers, COMPARISON_FORMAT, context)), f"{clip.name}: {where}")

    def check(self, frames: Sequence[Frame], where: str) -> None:
        """Raise MediaError if the median share of the scene that is visible in the frames is too low.

        ``where``: the clip and the frames, for the message.
        """
        share = float(np.median([visible_share(f.rgb, self.picture) for f in frames]))
        if share < SAME_SCENE:
            raise MediaError(
                where,
                f"not the scene that '{self.name}' was trained on: only {100 * share:.0f} % of its background plate "
                "is found here",
                "render clips of that camera position, or train without background_plate=true",
            )
