"""The sound of a retimed clip: stretched along the map of times, with its pitch kept or following the speed.

Pitch is kept by waveform-similarity overlap-add (WSOLA: Verhelst and Roelands, ICASSP 1993). Sound is read and written
in pieces, so memory does not depend on its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from vidtrans.core.errors import MediaError
from vidtrans.retiming.schedule import TimeMap
from vidtrans.video.io.container import open_media
from vidtrans.video.io.sound import decode_sound, sound_track
from vidtrans.video.io.timestamps import ClockFilter

RATE_HZ = 48_000  # Samples per second of the result
WINDOW = 2048  # Length of the pieces that are overlapped, in samples
HOP = WINDOW // 2  # Distance of the pieces in the result, in samples
SEARCH = 512  # Farthest that a piece is taken from its place, in samples
COARSE = 4  # Distance of the samples that the search compares, in samples
BLOCK = 65_536  # Number of samples of the result that are made at once when pitch follows the speed
BIT_RATE = 256_000  # Of the encoded sound, in bits per second
MAX_CHANNELS = 2  # Surround sound is mixed to stereo
MAX_GAP_S = 4 * 3600  # Longest gap in seconds; a longer one means a damaged clock


class Samples:
    """The sound of a file, read in order: samples (n, channels) float32 at ``RATE_HZ``, from time ``begin`` on.

    ``begin``: the time in the file, in seconds, that becomes sample 0. Samples before the first and after the last are
    silent. Reading a place forgets those more than ``kept`` samples before it.
    """

    def __init__(self, blocks: Iterator[np.ndarray], channels: int, kept: int = 4 * WINDOW) -> None:
        self._blocks, self._kept = blocks, kept
        self._first, self._buffer = 0, np.zeros((0, channels), np.float32)
        self._ended = False

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Return the samples [start, stop); ``start`` may only go back by ``kept`` samples."""
        while not self._ended and self._first + len(self._buffer) < stop:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            drop = max(0, min(len(self._buffer), start - self._kept - self._first))
            self._buffer = np.concatenate([self._buffer[drop:], block])
            self._first += drop
        found = np.zeros((stop - start, self._buffer.shape[1]), np.float32)
        low, high = max(start, self._first), min(stop, self._first + len(self._buffer))
        if low < high:
            found[low - start : high - start] = self._buffer[low - self._first : high - self._first]
        return found


def stretched(samples: Samples, channels: int, time_map: TimeMap) -> Iterator[np.ndarray]:
    """Yield the sound along a map of times, (n, channels) float32, with its pitch kept.

    Pieces are up to 11 ms away from their places while the speed is not 1. At speed 1 this distance is halved with
    each piece, so that the sound is exactly in step after a fifth of a second.
    """
    total = round(time_map.duration * RATE_HZ)
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)[:, None]  # Halves that overlap add up to 1
    tail, follows, before, reach = np.zeros((HOP, channels), np.float32), 0, 0, SEARCH
    for at in range(-HOP, total, HOP):
        wanted = round(time_map.clip_time(Fraction(at + HOP, RATE_HZ)) * RATE_HZ) - HOP
        reach = reach // 2 if wanted - before == HOP else SEARCH
        place = wanted if at == -HOP else _most_similar(samples, wanted, follows, reach)
        piece = samples(place, place + WINDOW) * window
        if at >= 0:
            yield (tail + piece[:HOP])[: total - at]
        tail, follows, before = piece[HOP:], place + HOP, wanted


def _most_similar(samples: Samples, wanted: int, follows: int, reach: int) -> int:
    """Return the place near ``wanted`` whose sound is most like that at ``follows``, which would go on smoothly.

    ``reach``: how far it may be from ``wanted``, in samples.
    """
    if wanted == follows or reach < COARSE:
        return wanted
    goal = samples(follows, follows + HOP).mean(1)[::COARSE]
    reach -= reach % COARSE
    around = samples(wanted - reach, wanted + reach + HOP).mean(1)[::COARSE]
    count = 2 * reach // COARSE + 1
    pieces = np.lib.stride_tricks.sliding_window_view(around, len(goal))[:count]
    energy = np.sqrt(np.einsum("ij,ij->i", pieces, pieces)) + np.float32(1e-3)
    likeness = (pieces @ goal) / energy
    distance = np.abs(np.arange(len(likeness)) * COARSE - reach)
    best = np.lexsort((distance, -np.round(likeness, 4)))[0]
    return wanted - reach + int(best) * COARSE


def with_speed(samples: Samples, channels: int, time_map: TimeMap) -> Iterator[np.ndarray]:
    """Yield the sound along a map of times, (n, channels) float32, with a pitch that follows the speed."""
    total = round(time_map.duration * RATE_HZ)
    result = np.array([float(time) * RATE_HZ for time in time_map.result])
    clip = np.array([float(time) * RATE_HZ for time in time_map.clip])
    slopes = np.diff(clip) / np.diff(result)
    block = max(WINDOW, int(BLOCK / max(1.0, float(slopes.max()))))
    for first in range(0, total, block):
        places = np.interp(np.arange(first, min(first + block, total)), result, clip)
        whole = np.floor(places).astype(np.int64)
        share = (places - whole).astype(np.float32)[:, None]
        start = int(whole[0]) - 1
        found = samples(start, int(whole[-1]) + 3)
        a, b, c, d = (found[whole - start + step] for step in (-1, 0, 1, 2))
        yield b + share / 2 * (c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a)))


def write_stretched(path: Path, begin: Fraction, time_map: TimeMap, output: Path, *, keeps_pitch: bool) -> Path | None:
    """Write the sound of a file along a map of times; return the file, or None if there is no sound.

    ``begin``: the time in the file, in seconds, of the clip's first picture. ``output``: the path of the
    file, whose suffix determines the format. Raises MediaError for sound that cannot be decoded.
    """
    with open_media(path) as container:
        track = sound_track(container, path)
        if track is None:
            return None
        channels = min(MAX_CHANNELS, track.codec_context.channels or MAX_CHANNELS)
        samples = Samples(_blocks(container, track, path, begin, channels), channels)
        make = stretched if keeps_pitch else with_speed
        try:
            _encode(make(samples, channels, time_map), channels, output)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(str(path), f"its sound cannot be decoded ({error})", "convert it first") from None
    return output


def _blocks(
    container: InputContainer, track: AudioStream, path: Path, begin: Fraction, channels: int
) -> Iterator[np.ndarray]:
    """Yield the samples of a track from ``begin`` on, with silence in gaps, (n, channels) float32."""
    resampler = av.AudioResampler("fltp", "mono" if channels == 1 else "stereo", RATE_HZ)
    position = 0
    for frame in decode_sound(container, track, path, ClockFilter(path)):
        for part in resampler.resample(frame):
            samples = part.to_ndarray().T
            first = position
            if part.pts is not None and part.time_base is not None:
                first = round((part.pts * part.time_base - begin) * RATE_HZ)
            if abs(first - position) > RATE_HZ // 50 or position == 0:
                samples = samples[max(0, position - first) :]
                if first - position > MAX_GAP_S * RATE_HZ:
                    why = f"its sound has a gap of {(first - position) // RATE_HZ:,} s"
                    raise MediaError(str(path), why, "cut the part that is wanted, and give that")
                for at in range(position, first, RATE_HZ):
                    yield np.zeros((min(RATE_HZ, first - at), channels), np.float32)
                position = max(position, first)
            position += len(samples)
            yield np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    for part in resampler.resample(None):
        yield part.to_ndarray().T


def _encode(blocks: Iterator[np.ndarray], channels: int, output: Path) -> None:
    """Encode sound to ``output``: FLAC in .mka, Opus in .webm, else AAC."""
    codec = {".mka": "flac", ".webm": "libopus"}.get(output.suffix, "aac")
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(output), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE_HZ)
        stream.layout = layout
        if codec != "flac":
            stream.bit_rate = BIT_RATE
        resampler = av.AudioResampler(stream.codec_context.format, layout, RATE_HZ, frame_size=1024)
        position = 0
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.clip(block, -1, 1).T), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, position, Fraction(1, RATE_HZ)
            position += len(block)
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        for part in resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
