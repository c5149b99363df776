"""The pairing "poses and landmarks drawn from keypoints → frame", for motion transfer.

Chan, Ginosar, Zhou and Efros ("Everybody Dance Now", ICCV 2019) draw the pose of each frame, train on one performer,
and render the poses of another performer, whose place and size in the picture are mapped to those of the first. A
source is a file or folder of keypoints, which ``video.keypoints`` draws; ``guides`` passes this pairing's settings to
the reader.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vidtrans.core.errors import MediaError
from vidtrans.core.options import option
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing
from vidtrans.video.keypoints import POSE_GUIDE, PoseView


@dataclass(frozen=True)
class PoseSettings:
    """Settings of ``Pose``: how keypoints are drawn; ``size`` and ``body`` come from the dataset's clip."""

    score: float = option(PoseView.score, "leave out points with a lower score", bounds=(0.0, 1.0))
    gap: int = option(
        PoseView.gap, "longest gap, in frames, in which a missing point is interpolated", bounds=(0, 1000)
    )
    smooth: float = option(PoseView.smooth, "σ in frames of the smoothing over time; 0: none", bounds=(0.0, 50.0))
    fit: bool = option(True, "move and scale other performers to the place and size of the performer in training")
    size: str = option(
        "", "size of the drawn pictures in pixels, as in 1280x720; empty: the size of the dataset's --target"
    )
    body: str = option("", "place and size of the performer in training; empty: found in the keypoints")

    def __post_init__(self) -> None:
        for name, text, form in (("size", self.size, "1280x720"), ("body", self.body, "640_500_700_300_420")):
            if not text:
                continue
            try:
                view = PoseView.parse(text if name == "size" else f"body={text}", Path())
                is_valid = getattr(view, name) is not None
            except MediaError:
                is_valid = False
            if not is_valid:
                raise ValueError(f"pairing.{name} = '{text}' says none — write it as in {form}")

    @property
    def view(self) -> PoseView:
        """Return the settings by which a clip's reader draws keypoints. Raises MediaError if a setting is malformed."""
        body = f"body={self.body}" if self.fit and self.body else ""
        numbers = PoseView.parse(",".join(filter(None, (self.size, body))), Path("keypoints"))
        return replace(numbers, score=self.score, gap=self.gap, smooth=self.smooth)


class Pose(Pairing):
    """A pairing of people, drawn in coloured lines on black from keypoints, with the frames that show these people."""

    name = "pose"
    needs_target = True
    pointwise = True
    operators = PLAIN_OPERATORS
    Settings = PoseSettings
    settings: PoseSettings

    def __init__(self, settings: PoseSettings) -> None:
        super().__init__(settings)
        self.guides = (f"{POSE_GUIDE}#{settings.view}",)
