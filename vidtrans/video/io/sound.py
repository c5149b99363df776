"""Read sound as samples: the first track of a file, mixed to mono."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer

from vidtrans.core.errors import MediaError
from vidtrans.video.io.container import open_media, picture_stream, zero_s

RATE_HZ = 22_050


def read_blocks(path: Path) -> Generator[np.ndarray, None, None]:
    """Yield blocks of samples in order, (n,) float32 in [-1, 1] at ``RATE_HZ``; the first sample is at 0 s.

    Times count from the start of the file's clock, as those of its pictures do. Samples before 0 are left out, and gaps
    between packets become silence. Raises MediaError where there is no sound.
    """
    with open_media(path) as container:
        tracks = [s for s in container.streams.audio if s.codec_context is not None]
        if not tracks:
            raise MediaError(str(path), "there is no sound in it", "give a file with a sound track")
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        zero = _zero_s(container, path)
        at = 0  # the next sample's number
        try:
            for frame in container.decode(tracks[0]):
                for part in resampler.resample(frame):
                    samples = part.to_ndarray()[0]
                    first = at
                    if part.pts is not None and part.time_base is not None:
                        first = round((part.pts * part.time_base - zero) * RATE_HZ)
                    placed = _placed(samples, first, at)
                    at += len(placed)
                    yield placed
            for part in resampler.resample(None):
                at += part.samples
                yield part.to_ndarray()[0]
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(str(path), f"its sound cannot be decoded ({error})", "convert it first") from None


def _zero_s(container: InputContainer, path: Path) -> Fraction:
    """Return the time in the file, in s, that is 0 for a viewer; the pictures count where there are any."""
    try:
        pictures = picture_stream(container, path)
    except MediaError:
        return zero_s(container)
    if pictures.start_time is None or not pictures.time_base:
        return zero_s(container)
    return zero_s(container, pictures, pictures.start_time * pictures.time_base)


# Times in containers are rounded: less than this is no gap.
_GAP = RATE_HZ // 50


def _placed(samples: np.ndarray, first: int, at: int) -> np.ndarray:
    """Return ``samples``, numbered from ``first``, after silence from number ``at`` on; samples below 0 are cut."""
    if at == 0 and first < 0:
        return samples[-first:]
    if first - at > _GAP:
        return np.concatenate([np.zeros(first - at, np.float32), samples])
    return samples
