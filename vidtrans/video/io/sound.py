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
from vidtrans.video.io.container import find_picture_stream, open_media, packets_of, side_tracks
from vidtrans.video.io.timestamps import ClockFilter, zero_s

RATE_HZ = 22_050  # Samples per second of the returned sound
_MIN_GAP = RATE_HZ // 50  # Shortest gap or overlap in samples; shorter ones come from rounded times
_MAX_GAP_S = 4 * 3600  # Longest gap in seconds; a longer one means a damaged clock
_MAX_SAMPLE = 100.0  # Largest magnitude of a sample, as float formats have no limit of their own


def read_blocks(path: Path) -> Generator[np.ndarray, None, None]:
    """Yield blocks of samples in order, (n,) float32 from about -1 to 1 at ``RATE_HZ``; the first sample is at 0 s.

    0 s is where players start the file, so times agree with those of its pictures. Samples before 0 s, and where joined
    recordings overlap, are left out. Gaps between packets, NaN and infinite samples become silence. Raises MediaError
    without sound.
    """
    with open_media(path) as container:
        track, zero = sound_track(container, path), sound_zero_s(container, path)
        if track is None:
            raise MediaError(str(path), "there is no sound in it", "give a file with a sound track")
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        clock, position = ClockFilter(path), 0
        try:
            for frame in decode_sound(container, track, path, clock):
                for resampled in resampler.resample(frame):
                    samples = resampled.to_ndarray()[0]
                    first = position
                    if resampled.pts is not None and resampled.time_base is not None:
                        first = round((resampled.pts * resampled.time_base - zero) * RATE_HZ)
                    if position and not clock.repair.num_restarts:  # Times that lag behind the samples are wrong
                        first = max(first, position)
                    for block in _fill_gap(samples, first, position, path):
                        position += len(block)
                        yield block
            for resampled in resampler.resample(None):
                yield from _fill_gap(resampled.to_ndarray()[0], position, position, path)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(str(path), f"its sound cannot be decoded ({error})", "convert it first") from None


def sound_track(container: InputContainer, path: Path) -> AudioStream | None:
    """Return the first sound track that belongs to the pictures and can be decoded; None without one."""
    tracks = side_tracks(container, find_picture_stream(container, path))
    return next((s for s in tracks if isinstance(s, AudioStream) and s.codec_context is not None), None)


def decode_sound(container: InputContainer, track: AudioStream, path: Path, clock: ClockFilter) -> Iterator[AudioFrame]:
    """Yield the frames of a sound track from its start, with restarted clocks repaired by ``clock``.

    Raises av.error.FFmpegError, OSError.
    """
    pictures = find_picture_stream(container, path)
    for packet in packets_of(container, [track, pictures] if pictures else [track]):
        if clock(packet).stream_index == track.index:
            yield from track.codec_context.decode(packet)
    yield from track.codec_context.decode(None)


def sound_zero_s(container: InputContainer, path: Path) -> Fraction:
    """Return the time in the file, in s, that players show as 0, from its pictures or else its sound."""
    pictures = find_picture_stream(container, path)
    if pictures is None or pictures.start_time is None or not pictures.time_base:
        return zero_s(container)
    return zero_s(container, pictures, pictures.start_time * pictures.time_base)


def _fill_gap(samples: np.ndarray, first: int, position: int, path: Path) -> Iterator[np.ndarray]:
    """Yield silence from sample ``position`` to sample ``first``, then ``samples``, which begin at sample ``first``.

    Samples before ``position`` are cut off.

    Raises MediaError if the silence is too long.
    """
    gap = first - position if first - position > _MIN_GAP else 0
    if gap > _MAX_GAP_S * RATE_HZ:
        why = f"its sound has a gap of {gap // RATE_HZ:,} s"
        raise MediaError(str(path), why, "cut the part that is wanted, and give that")
    for start in range(0, gap, RATE_HZ):
        yield np.zeros(min(RATE_HZ, gap - start), np.float32)
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    overlap = position - first if position == 0 or position - first > _MIN_GAP else 0
    yield np.clip(finite[max(0, overlap) :], -_MAX_SAMPLE, _MAX_SAMPLE)
