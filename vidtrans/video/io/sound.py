"""Read sound as samples: the first track of a file, mixed to mono."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from vidtrans.core.errors import MediaError
from vidtrans.video.io.container import open_media, packets_of, pictures_of, side_tracks
from vidtrans.video.io.timestamps import OneClock, zero_s

RATE_HZ = 22_050


def read_blocks(path: Path) -> Generator[np.ndarray, None, None]:
    """Yield blocks of samples in order, (n,) float32 from about -1 to 1 at ``RATE_HZ``; the first sample is at 0 s.

    Times count from the start of the file's clock, as those of its pictures do. Samples before 0, and where joined
    recordings overlap, are left out; gaps between packets, and samples that are no numbers, become silence. Raises
    MediaError without sound.
    """
    with open_media(path) as container:
        track, zero = sound_track(container, path), sound_zero_s(container, path)
        if track is None:
            raise MediaError(str(path), "there is no sound in it", "give a file with a sound track")
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        clock, at = OneClock(path), 0  # ``at``: the next sample's number
        try:
            for frame in decode_sound(container, track, path, clock):
                for part in resampler.resample(frame):
                    samples = part.to_ndarray()[0]
                    first = at
                    if part.pts is not None and part.time_base is not None:
                        first = round((part.pts * part.time_base - zero) * RATE_HZ)
                    if at and not clock.repair.restarts:  # times that lag behind the samples are wrong
                        first = max(first, at)
                    for placed in _placed(samples, first, at, path):
                        at += len(placed)
                        yield placed
            for part in resampler.resample(None):
                yield from _placed(part.to_ndarray()[0], at, at, path)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(str(path), f"its sound cannot be decoded ({error})", "convert it first") from None


def sound_track(container: InputContainer, path: Path) -> AudioStream | None:
    """Return the first sound track that belongs to the pictures and can be decoded."""
    tracks = side_tracks(container, pictures_of(container, path))
    return next((s for s in tracks if isinstance(s, AudioStream) and s.codec_context is not None), None)


def decode_sound(container: InputContainer, track: AudioStream, path: Path, clock: OneClock) -> Iterator[AudioFrame]:
    """Yield the frames of a sound track from the start, on one clock. Raises av.error.FFmpegError, OSError."""
    pictures = pictures_of(container, path)
    for packet in packets_of(container, [track, pictures] if pictures else [track]):
        if clock(packet).stream_index == track.index:
            yield from track.codec_context.decode(packet)
    yield from track.codec_context.decode(None)


def sound_zero_s(container: InputContainer, path: Path) -> Fraction:
    """Return the time in the file, in s, that is 0 for a viewer; the pictures count where there are any."""
    pictures = pictures_of(container, path)
    if pictures is None or pictures.start_time is None or not pictures.time_base:
        return zero_s(container)
    return zero_s(container, pictures, pictures.start_time * pictures.time_base)


# Times in containers are rounded: less than this is no gap, and no overlap.
_GAP = RATE_HZ // 50
_LONGEST_GAP_S = 4 * 3600  # of silence; more of it is a damaged clock
_LOUDEST = 100.0  # sample value; samples of float formats have no limit of their own


def _placed(samples: np.ndarray, first: int, at: int, path: Path) -> Iterator[np.ndarray]:
    """Yield ``samples``, numbered from ``first``, after silence from number ``at`` on; those before it are cut.

    Raises MediaError if the silence is too long.
    """
    gap = first - at if first - at > _GAP else 0
    if gap > _LONGEST_GAP_S * RATE_HZ:
        why = f"its sound has a gap of {gap // RATE_HZ:,} s"
        raise MediaError(str(path), why, "cut the part that is wanted, and give that")
    for start in range(0, gap, RATE_HZ):
        yield np.zeros(min(RATE_HZ, gap - start), np.float32)
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    overlap = at - first if at == 0 or at - first > _GAP else 0
    yield np.clip(finite[max(0, overlap) :], -_LOUDEST, _LOUDEST)
