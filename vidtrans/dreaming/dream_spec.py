"""The request of a dream, and its plan."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Time
from vidtrans.dreaming.controls import DreamControls
from vidtrans.dreaming.resumable_rollout import Loop
from vidtrans.dreaming.seeds import Driver, Seed
from vidtrans.dreaming.sequencer import ModelSequencer
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.video.io.encoding import EncodingSettings


@dataclass(frozen=True)
class DreamSpec:
    """The request of a dream.

    Attributes:
        source: Seed: a video, a picture or a folder of pictures; None: noise.
        frames: Number of frames to predict.
        start: Time in the source at which the seed begins; None: its start.
        blend: Driving video; None for none.
        sound: Sound file of the result, whose loudness expressions may use; None for none.
        dreaming: Settings of the rollout.
        rendering: Settings of size, chunks and engine.
        encoding: Settings of the output file.
        mask: Where the dream is seen, over the seed's clip as it goes on; None: everywhere.
    """

    source: Path | None
    frames: int
    start: Time | None
    blend: Path | None
    sound: Path | None
    dreaming: DreamingSettings
    rendering: RenderingSettings
    encoding: EncodingSettings
    mask: MaskFile | None = None


@dataclass(frozen=True)
class DreamPlan:
    """The resolved inputs of a dream at ``rate`` frames a second. ``pattern``: file names of pictures in a folder."""

    spec: DreamSpec
    seed: Seed
    rate: Fraction
    models: ModelSequencer
    controls: DreamControls
    loop: Loop | None
    driver: Driver | None
    pattern: str
