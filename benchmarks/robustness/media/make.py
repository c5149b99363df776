"""Media that the benchmarks make themselves, with PyAV: clips whose frames and sound are known, and bad input.

    python make.py FOLDER PORT     the bad input of hostile.py; PORT is that of a server on this machine

It runs as a process of its own, so that the one which measures others stays small.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

SAMPLES_HZ = 44100
HUGE = 16000
PLAIN = "plain.mp4"  # the good clip that most of the bad ones are made of


def smooth(width: int, height: int, number: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: colours of every hue that turn slowly with ``number``, without hard edges."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across, down = x / width, y / height
    turns = (across + 0.02 * number, 0.8 * down - 0.03 * number, (across + down) / 2 + 0.01 * number)
    waves = [0.5 + 0.46 * np.sin(2 * np.pi * (t + k / 3)) for k, t in enumerate(turns)]
    return np.rint(255 * np.stack(waves, axis=-1)).astype(np.uint8)


def textured(width: int, height: int, number: int = 0) -> np.ndarray:
    """``smooth`` with a little of seeded grain, so that an encoder has something to write."""
    grain = np.random.default_rng(number).integers(-24, 25, (height, width, 1))
    return np.clip(smooth(width, height, number).astype(np.int16) + grain, 0, 255).astype(np.uint8)


def write_clip(
    path: Path,
    num_frames: int,
    *,
    size: tuple[int, int] = (64, 48),
    rate: int = 10,
    time_base: Fraction = Fraction(1, 10240),
    sound_from_s: float | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    kind: str | None = None,
    pictures: int = 50,
    paint: Callable[..., np.ndarray] | None = None,
) -> Path:
    """A clip of ``num_frames`` at a constant rate; its pictures repeat after ``pictures``.

    ``sound_from_s``: with AAC sound that begins so many seconds after the first frame and lasts as long as they do.
    """
    step = int(1 / (rate * time_base))
    shown = [(paint or textured)(*size, number=n) for n in range(min(num_frames, pictures))]
    wanted = muxing if muxing is not None else {"video_track_timescale": str(time_base.denominator)}
    with closing(av.open(f"file:{path}", "w", format=kind, options=wanted)) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {"preset": "ultrafast", "g": "10"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = time_base if codec == "libx264" else Fraction(1, rate)
        unit = step if codec == "libx264" else 1
        audio: Any = container.add_stream("aac", rate=SAMPLES_HZ, layout="mono") if sound_from_s is not None else None
        sound = _sound(sound_from_s or 0.0, num_frames / rate) if audio is not None else iter(())
        heard = next(sound, None)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(shown[number % len(shown)], format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number * unit, stream.codec_context.time_base
            container.mux(stream.encode(frame))
            while heard is not None and (heard.pts or 0) / SAMPLES_HZ <= (number + 1) / rate:
                container.mux(audio.encode(heard))
                heard = next(sound, None)
        container.mux(stream.encode(None))
        if audio is not None:
            while heard is not None:
                container.mux(audio.encode(heard))
                heard = next(sound, None)
            container.mux(audio.encode(None))
    return path


def _sound(begins_s: float, lasts_s: float) -> Iterator[av.AudioFrame]:
    """A tone that rises all the time, with seeded noise: no two packets have the same bytes."""
    rng = np.random.default_rng(0)
    block = 1024
    for at in range(0, int(lasts_s * SAMPLES_HZ), block):
        t = (at + np.arange(block)) / SAMPLES_HZ
        samples = 0.3 * np.sin(2 * np.pi * (200 + 3 * t) * t) + 0.05 * rng.standard_normal(block)
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = SAMPLES_HZ, Fraction(1, SAMPLES_HZ)
        frame.pts = at + round(begins_s * SAMPLES_HZ)
        yield frame


def write_sound(path: Path, *, cover: bool = False) -> Path:
    """A second of sound alone; ``cover``: as MP3 with a picture."""
    with closing(av.open(f"file:{path}", "w")) as container:
        audio: Any = container.add_stream("libmp3lame" if cover else "aac", rate=SAMPLES_HZ, layout="mono")
        picture: Any = None
        if cover:
            audio.codec_context.format = "fltp"
            picture = container.add_stream("png", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "rgb24"
            frame = av.VideoFrame.from_ndarray(smooth(64, 48), format="rgb24")
            frame.pts = 0
            container.mux([*picture.encode(frame), *picture.encode(None)])
        for heard in _sound(0, 1):
            container.mux(audio.encode(heard))
        container.mux(audio.encode(None))
    return path


def without_first_keyframe(source: Path, output: Path) -> Path:
    """A copy of the packets but the first, so that the pictures begin with nothing to build on."""
    with closing(av.open(f"file:{source}")) as old, closing(av.open(f"file:{output}", "w")) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for number, packet in enumerate(old.demux(stream)):
            if number and packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    return output


def rotten(data: bytes, seed: int = 0, flips: int = 24) -> bytes:
    """A file with seeded bytes changed, in the middle of its media data."""
    rng = random.Random(seed)
    begin = data.index(b"mdat") + 4
    whole = bytearray(data)
    for _ in range(flips):
        at = rng.randrange(begin + (len(data) - begin) * 3 // 10, begin + (len(data) - begin) * 6 // 10)
        whole[at] ^= rng.randrange(1, 256)
    return bytes(whole)


def false_length(avi: bytes, num_frames: int) -> bytes:
    """An AVI whose headers promise another number of frames."""
    whole = bytearray(avi)
    struct.pack_into("<I", whole, whole.index(b"avih") + 8 + 16, num_frames)
    struct.pack_into("<I", whole, whole.index(b"strh") + 8 + 32, num_frames)
    return bytes(whole)


def huge_png() -> bytes:
    """16000 × 16000 pixels of one colour: a few megabytes on disk, 768 MB in memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer, row = zlib.compressobj(1), b"\0" + bytes(3 * HUGE)
    body = b"".join([*(packer.compress(row) for _ in range(HUGE)), packer.flush()])
    header = struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def huge_gif() -> bytes:
    """An animation of a hundred bytes that claims two frames of 16000 × 16000."""
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, HUGE, HUGE, 0) + b"\x02\x02\x44\x01\x00"
    delay = b"\x21\xf9\x04\x04\x0a\x00\x00\x00"
    colours = b"\x00\x00\x00\xff\xff\xff"
    return b"GIF89a" + struct.pack("<HHBBB", HUGE, HUGE, 0x80, 0, 0) + colours + 2 * (delay + picture) + b"\x3b"


def huge_h264() -> bytes:
    """A raw H.264 stream of a kilobyte, with three pictures of 16000 × 16000: one row of macroblocks, then repeats.

    ITU-T H.264, 7.3: what is missing of the first picture a decoder conceals, a P slice may skip all of it.
    """
    side = HUGE // 16
    sps = _nal(0x67, "010000101100000000111110" + _ue(0, 0, 2, 1) + "0" + _ue(side - 1, side - 1) + "1100")
    pps = _nal(0x68, _ue(0, 0) + "00" + _ue(0, 0, 0) + "000" + _ue(0, 0, 0) + "100")
    grey = "00100111" * side  # intra 16×16, predicted from the mean, nothing coded
    pictures = [_nal(0x65, _ue(0, 7, 0) + "0000" + _ue(0) + "00" + _ue(0, 1) + grey)]
    rest = "000" + _ue(0, 1, side * side)
    pictures += [_nal(0x41, _ue(0, 5, 0) + f"{number:04b}" + rest) for number in (1, 2)]
    return b"".join([sps, pps, *pictures])


def _ue(*numbers: int) -> str:
    """Exponential-Golomb codes, as bits."""
    return "".join("0" * ((n + 1).bit_length() - 1) + f"{n + 1:b}" for n in numbers)


def _nal(header: int, bits: str) -> bytes:
    """A NAL unit with its start code, trailing bits, and escapes."""
    whole = bits + "1"
    whole += "0" * (-len(whole) % 8)
    body = bytes(int(whole[i : i + 8], 2) for i in range(0, len(whole), 8))
    escaped, zeros = bytearray(), 0
    for byte in body:
        if zeros == 2 and byte < 4:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([header]) + bytes(escaped)


def playlists(port: int, sibling: str) -> dict[str, str]:
    """Playlists of every kind by name: a part is on a server, another in a file beside it."""
    server = f"http://127.0.0.1:{port}"
    hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S" minBufferTime="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        f"<BaseURL>{server}/</BaseURL>"
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000" width="64" height="48">'
        "<BaseURL>dash.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>\n"
    )
    return {
        "hls-server.mp4": hls.format(f"{server}/hls.ts"),
        "hls-server.m3u8": hls.format(f"{server}/hls.ts"),
        "hls-sibling.mp4": hls.format(sibling),
        "concat-sibling.mp4": f"ffconcat version 1.0\nfile {sibling}\n",
        "concat-server.mp4": f"ffconcat version 1.0\nfile {server}/concat.mp4\n",
        "dash-server.mp4": dash,
        "dash-server.mpd": dash,
    }


def make_hostile(folder: Path, port: int, names: Sequence[str]) -> None:
    """All the bad input, and the good clip under every one of the odd ``names``."""
    heard = partial(write_clip, num_frames=30, sound_from_s=0.0)
    plain = heard(folder / PLAIN, muxing={"movflags": "faststart"}).read_bytes()
    late = heard(folder / "late.mp4", muxing={}).read_bytes()  # its index comes last
    mpeg4 = write_clip(folder / "mpeg4.avi", 30, codec="mpeg4", options={"g": "10"}, muxing={}).read_bytes()
    heard(folder / "matroska.txt", muxing={}, kind="matroska")
    write_clip(folder / "single.mp4", 1)
    write_sound(folder / "sound.m4a")
    write_sound(folder / "cover.mp3", cover=True)
    for name in ("headless.mp4", "headless.ts"):
        without_first_keyframe(folder / PLAIN, folder / name)
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"this is not a video\n" * 50,
        "random.mp4": random.Random(0).randbytes(100_000),
        "zeros.mp4": bytes(100_000),
        "nomoov.mp4": late[: late.rindex(b"moov") - 4],
        "cut.mp4": plain[: len(plain) * 6 // 10],
        "rotten.mp4": rotten(plain),
        "promises.avi": false_length(mpeg4, 300),
        "wrong.avi": plain,
        "huge.png": huge_png(),
        "huge.gif": huge_gif(),
        "huge.h264": huge_h264(),
        **{name: text.encode() for name, text in playlists(port, PLAIN).items()},
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(plain)


if __name__ == "__main__":
    make_hostile(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
