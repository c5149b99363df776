"""The exposure flicker of a clip, measured once at a small size, then cached."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Size
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE
from vidtrans.flow.exposure import VERSION, ExposureMeter, corrected
from vidtrans.session import Context
from vidtrans.store.stages import ExposureStage, media_libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import Frame


@dataclass(frozen=True)
class SteadyExposure:
    """Corrections of a clip's frames, (N, 3, 2): a and b of a·x + b for each channel x, in [0, 1]."""

    corrections: np.ndarray

    def __call__(self, frame: Frame) -> np.ndarray:
        """Return a frame's picture without exposure flicker."""
        return corrected(frame.rgb, self.corrections[frame.index])

    def for_key(self) -> str:
        """Return a digest of the corrections, for cache keys."""
        return digest_of(self.corrections.tolist())


def measure_exposure(clip: Clip, context: Context) -> SteadyExposure:
    """Return the corrections of a clip's exposure, from the cache or by reading it once. Raises MediaError."""
    stage = ExposureStage(clip.digest, list(clip.shots), VERSION, media_libraries())
    entry = context.cache.entry(stage.name, stage.key)
    cached = entry.read()
    if cached is None:
        made = _measured(clip, context)
        cached = {"corrections": made.tolist()}
        if not context.dry_run:
            with entry.locked(wait_for=f"another run that measures {clip.path.name}"):
                entry.finish(cached)
    return SteadyExposure(np.array(cached["corrections"]))


def _measured(clip: Clip, context: Context) -> np.ndarray:
    meter = ExposureMeter()
    frames = clip.frames(FrameFormat(Size(short=ANALYSIS_SHORT_SIDE)), context.decode_threads)
    with closing(frames):
        for frame in frames:
            meter.add(frame.rgb)
            context.stop.check()
            context.report(Progress(f"measuring {clip.path.name}", frame.index + 1, clip.index.num_frames))
    found = meter.corrections(clip.shots)
    for number in clip.survey.held:  # equal pictures stay equal
        found[number] = found[number - 1]
    return found
