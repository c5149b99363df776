"""The process that decodes media files for the pages of the studio; its argument is the cache folder.

It reads requests as lines of JSON from standard input, and answers each with a line of JSON and the number of bytes
that the line announces. Its memory is limited, because media may come from anybody; the server restarts it if it ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np

from vidtrans import OpenedClip
from vidtrans.core.child_process import limit_resources, take_output
from vidtrans.core.errors import MediaError, VidtransError
from vidtrans.core.files import write_atomically, write_json
from vidtrans.core.settings import Size, Table
from vidtrans.library.opened_clip import open_with
from vidtrans.session import Context
from vidtrans.video.colour.conversion import FromRGB
from vidtrans.video.colour.tags import tag_bt709
from vidtrans.video.images.picture import encode_jpeg, encode_png, read_picture, resize
from vidtrans.video.io.container import open_media, picture_stream
from vidtrans.video.io.picture_paths import is_picture, is_picture_source, pictures_in
from vidtrans.video.io.sound import decode_sound, sound_track
from vidtrans.video.io.timestamps import ClockFilter

MAX_MEMORY_BYTES = 6 << 30  # Limit of the address space of this process
PROXY_SIDE_PX, PROXY_GOP = 540, 4  # Short side of proxies, and frames per group of pictures (for fast seeking)
STRIP_FRAMES, STRIP_HEIGHT_PX = 8, 135  # Number of frames of a moving thumbnail, and their height
SOUND_RATE_HZ, SOUND_BITRATE = 48000, 96_000
PEAKS_PER_S = 50  # Number of sound peaks per second in the waveform of a clip
# Number of frames ahead from which seeking is faster than decoding all frames up to the requested one
SEEK_DISTANCE = 100
JPEG_QUALITY = 82  # Quality, 0 to 100, of the JPEG files of thumbnails


class MediaProcess:
    """The handlers of decoding requests. The clip of the last request for a frame stays open."""

    def __init__(self, cache: Path) -> None:
        self._context = Context(cache_dir=cache, allow_damaged=True)
        self._current: tuple[str, OpenedClip] | None = None
        self._last_frame = 0
        self._actions: dict[str, Callable[[Table], tuple[Table, bytes]]] = {
            "check": self._check,
            "strip": self._strip,
            "frame": self._frame,
            "proxy": self._proxy,
            "release": self._release,
        }

    def answer(self, request: Table) -> tuple[Table, bytes]:
        """Return the answer to a request (its kind is ``request["do"]``): facts for JSON, and a file's bytes or b"".

        Raises VidtransError, OSError.
        """
        return self._actions[str(request["do"])](request)

    def _check(self, request: Table) -> tuple[Table, bytes]:
        """Return the kind and size of a file, whose beginning is decoded.

        Raises MediaError if it is not a media file.
        """
        path = Path(request["path"])
        if is_picture(path):
            height, width = read_picture(path).shape[:2]
            return {"kind": "picture", "width": width, "height": height}, b""
        pictures = _samples(path, 1)
        return {"kind": "clip", "width": pictures[0].shape[1], "height": pictures[0].shape[0]}, b""

    def _strip(self, request: Table) -> tuple[Table, bytes]:
        """Return a moving thumbnail: frames in a row in a JPEG file, with their number and size."""
        path = Path(request["path"])
        if path.is_dir():
            files = pictures_in(path)
            indices = np.linspace(0, len(files) - 1, min(STRIP_FRAMES, len(files))).astype(int)
            pictures = [read_picture(files[n]) for n in indices]
        else:
            pictures = [read_picture(path)] if is_picture(path) else _samples(path, STRIP_FRAMES)
        if not pictures:
            raise MediaError(str(path), "there is no picture", "choose another")
        height, width = pictures[0].shape[:2]
        cell = max(1, min(4 * STRIP_HEIGHT_PX, round(STRIP_HEIGHT_PX * width / height))), STRIP_HEIGHT_PX
        small = [cv2.resize(picture, cell, interpolation=cv2.INTER_AREA) for picture in pictures]
        facts = {"frames": len(small), "width": cell[0], "height": cell[1], "of": [width, height]}
        return facts, encode_jpeg(np.concatenate(small, 1), JPEG_QUALITY, subsampled=True)

    def _frame(self, request: Table) -> tuple[Table, bytes]:
        """Return a frame of a clip as a PNG or JPEG file; ``short``: the largest short side in pixels, 0: no limit."""
        path, number, short = Path(request["path"]), int(request["frame"]), int(request["short"])
        picture = read_picture(path) if is_picture(path) else self._read_frame(path, number)
        height, width = picture.shape[:2]
        if 0 < short < min(height, width):
            scale = short / min(height, width)
            picture = resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
        file = encode_png(picture) if request["kind"] == "png" else encode_jpeg(picture, 92, subsampled=True)
        return {"width": width, "height": height}, file

    def _read_frame(self, path: Path, number: int) -> np.ndarray:
        """Return frame ``number`` of a clip, (H, W, 3) uint8, and keep the clip open. Raises MediaError."""
        mark = f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}"
        if self._current is None or self._current[0] != mark:
            if self._current is not None:
                self._current[1].close()
            self._current = mark, open_with(self._context, path)
        _, clip = self._current
        if number > self._last_frame + SEEK_DISTANCE:
            clip.close()  # Otherwise it would decode all frames in between
        self._last_frame = number
        if not 0 <= number < len(clip):
            raise MediaError(f"frame {number}", "the clip has no such frame", f"give 0 to {len(clip) - 1}")
        return clip[number].rgb

    def _release(self, request: Table) -> tuple[Table, bytes]:
        """Close the open clip, because Windows cannot move an open file."""
        if self._current is not None:
            self._current[1].close()
        self._current = None
        return {}, b""

    def _proxy(self, request: Table) -> tuple[Table, bytes]:
        """Write the proxy of a clip, a small video in which browsers seek fast, and ``facts.json`` with its facts."""
        path, folder = Path(request["path"]), Path(request["folder"])
        clip = open_with(self._context, path)
        width, height = clip.size
        facts: Table = {
            "width": width,
            "height": height,
            "frames": len(clip),
            "fps": float(clip.fps),
            "duration": float(clip.duration),
            "times": [round(float(time), 5) for time in clip.times],
            "shots": list(clip.shots),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "facts.json", facts | {"peaks": []})  # The page already shows the clip
        with write_atomically(folder / "proxy.mp4") as partial:
            peaks = _write_proxy(clip, partial)
            write_json(folder / "facts.json", facts | {"peaks": peaks})
        return facts, b""


def _samples(path: Path, max_frames: int) -> list[np.ndarray]:
    """Decode up to ``max_frames`` key frames at positions spread evenly over a clip, (H, W, 3) uint8 each."""
    try:
        with open_media(path) as container:
            stream = picture_stream(container, path)
            duration = container.duration or 0
            pictures: list[np.ndarray] = []
            for n in range(max_frames):
                if n and duration:
                    container.seek(int(duration * n / max_frames), backward=True)
                if (frame := next(container.decode(stream), None)) is not None:
                    pictures.append(_rotate_upright(frame))
                if not duration:
                    break
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(str(path), f"it cannot be read as a video: {error}", "choose another file") from None
    if not pictures:
        raise MediaError(str(path), "it has no frame that can be decoded", "choose another file")
    return pictures


def _rotate_upright(frame: av.VideoFrame) -> np.ndarray:
    """Return a decoded frame as a small RGB picture, (H, W, 3) uint8, rotated as its metadata says."""
    height = min(frame.height, 4 * STRIP_HEIGHT_PX)
    small = frame.reformat(max(2, round(frame.width * height / frame.height)), height, format="rgb24")
    return np.ascontiguousarray(np.rot90(small.to_ndarray(), frame.rotation // 90))


def _write_proxy(clip: OpenedClip, path: Path) -> list[float]:
    """Write the proxy video of a clip with its sound; return the peaks of the sound, 0 to 1."""
    width, height = Size(short=min(PROXY_SIDE_PX, *clip.size)).of(*clip.size)
    width, height = max(2, width // 2 * 2), max(2, height // 2 * 2)
    base = Fraction(1, 90_000)
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as out:
        options = {"preset": "veryfast", "tune": "fastdecode", "crf": "24", "g": str(PROXY_GOP), "bf": "0"}
        stream = out.add_stream("libx264", rate=max(1, round(clip.fps)), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.time_base = width, height, "yuv420p", base
        tag_bt709(stream.codec_context)
        sound = None if is_picture_source(clip.path) else _Sound(clip.path, out, float(clip.start_timestamp))
        convert = FromRGB(width, height, "yuv420p")
        for frame in clip.read(size=(width, height)):
            picture = convert(frame.rgb)
            picture.pts, picture.time_base = round(frame.time / base), base
            for packet in stream.encode(picture):
                out.mux(packet)
            if sound is not None:
                sound.write_until(float(frame.time) + 1)
        for packet in stream.encode(None):
            out.mux(packet)
        return sound.finish() if sound is not None else []


class _Sound:
    """The first sound track of a file, encoded for a proxy; ``start_s``: the time of its first picture, in s."""

    def __init__(self, path: Path, out: av.container.OutputContainer, start_s: float) -> None:
        self._path, self._out, self._start_s = path, out, start_s
        self._written_s, self._peaks = 0.0, list[float]()
        self._stream: av.AudioStream | None = None
        with suppress(av.error.FFmpegError, MediaError), open_media(path) as container:
            if sound_track(container, path) is not None:
                self._stream = out.add_stream("aac", rate=SOUND_RATE_HZ, layout="stereo", bit_rate=SOUND_BITRATE)
        self._frames = self._decode()

    def _decode(self) -> Iterator[av.AudioFrame]:
        """Yield the sound from the first picture on; its timestamps are those of the proxy."""
        resampler, samples = av.AudioResampler("fltp", "stereo", SOUND_RATE_HZ), -1
        with suppress(av.error.FFmpegError, MediaError), open_media(self._path) as container:
            track = sound_track(container, self._path)
            for decoded in decode_sound(container, track, self._path, ClockFilter(self._path)) if track else ():
                time = (decoded.time or 0.0) - self._start_s
                if time < -0.02:
                    continue
                if samples < 0:
                    samples = max(0, round(time * SOUND_RATE_HZ))
                for frame in resampler.resample(decoded):
                    frame.pts, frame.time_base = samples, Fraction(1, SOUND_RATE_HZ)
                    samples += frame.samples
                    yield frame

    def write_until(self, time_s: float) -> None:
        """Write the sound up to ``time_s``, in s from the start of the proxy."""
        if self._stream is None:
            return
        while self._written_s < time_s and (frame := next(self._frames, None)) is not None:
            assert frame.pts is not None
            self._written_s = frame.pts / SOUND_RATE_HZ
            self._add_peak(frame)
            for packet in self._stream.encode(frame):
                self._out.mux(packet)

    def _add_peak(self, frame: av.AudioFrame) -> None:
        """Update the peak of the sound at the current time with a frame of samples."""
        at = int(self._written_s * PEAKS_PER_S)
        self._peaks += [0.0] * (at + 1 - len(self._peaks))
        self._peaks[at] = max(self._peaks[at], round(min(1.0, float(np.abs(frame.to_ndarray()).max(initial=0))), 3))

    def finish(self) -> list[float]:
        """Write the rest of the sound; return its peaks, 0 to 1, ``PEAKS_PER_S`` a second."""
        if self._stream is not None:
            self.write_until(float("inf"))
            for packet in self._stream.encode(None):
                self._out.mux(packet)
        return self._peaks


def serve(requests: BinaryIO, answers: BinaryIO, cache: Path) -> None:
    """Answer requests, one per line, until the input ends; an error becomes the answer to its request."""
    process = MediaProcess(cache)
    for line in requests:
        try:
            facts, data = process.answer(json.loads(line))
        except (VidtransError, OSError, MemoryError, cv2.error, av.error.FFmpegError) as error:
            facts, data = {"error": str(error) or type(error).__name__}, b""
        answers.write(json.dumps({"facts": facts, "bytes": len(data)}).encode() + b"\n" + data)
        answers.flush()


def main() -> None:
    """Run the decoding process on standard input and output; the first argument is the cache folder."""
    limit_resources(MAX_MEMORY_BYTES)
    with suppress(OSError, AttributeError):  # Windows has no such priority
        os.nice(5)
    serve(sys.stdin.buffer, take_output(), Path(sys.argv[1]))
