"""A GPU's video engine beside the CPU: frames a second, decoded and encoded, and PSNR at equal size.

    python -m benchmarks.speed.hardware_video [--frames 96] [--rounds 3] [--heights 720,1080]

The clip is that of ``vidtrans bench``. Decoding is timed alone, and with the conversion to RGB; every frame has to be
the CPU's. Encoding is timed with the conversion from RGB, as a chunk of a render is written. PSNR is of luma, and "at
equal size" at that of x264 medium at its usual quality, interpolated over the logarithm of the size between five
qualities. Rounds are interleaved: only ratios mean anything. What is not here is named, and left out.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks import harness
from vidtrans.rendering.benchmark import pictures, widescreen, write_clip
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat, decoder_problem, encoder_problem
from vidtrans.video.io.reader import ClipReader, Decoder, HardwareDecoder

ENCODERS = (
    ("h264", "veryfast"),
    ("h264", "medium"),
    ("h265", "medium"),
    ("h264-nvenc", "veryfast"),
    ("h264-nvenc", "medium"),
    ("h265-nvenc", "medium"),
    ("av1-nvenc", "medium"),
)
AROUND = (-6, -3, 0, 3, 6)  # qualities, beside each codec's own
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def decode(clip: Path, hardware: HardwareDecoder | None, *, rgb: bool) -> tuple[float, list[bytes]]:
    """Return the seconds, and the frames' times and (``rgb``) a digest of their colours."""
    seen = []
    began = time.perf_counter()
    if rgb:
        with ClipReader(clip, hardware=hardware) as reader:
            seen = [b"%d %d" % (frame.pts, hash(frame.rgb.tobytes())) for frame in reader.frames()]
    else:
        with Decoder(clip, hardware=hardware) as decoder:
            seen = [b"%d" % (frame.pts or 0) for frame in decoder.pictures(interlaced=False)]
    return time.perf_counter() - began, seen


def compare_decoders(clip: Path, rounds: int) -> None:
    """Print frames a second of each decoder, alone and with the conversion."""
    why = decoder_problem("nvdec")
    failures = [why] if why else []
    hardware = HardwareDecoder("nvdec", "", failures.append)
    for rgb in (False, True):
        what = "decoded to RGB" if rgb else "decoded"
        on_cpu, on_gpu = [], []
        for _ in range(rounds):
            on_cpu.append(decode(clip, None, rgb=rgb))
            if not failures:
                on_gpu.append(decode(clip, hardware, rgb=rgb))
                assert on_gpu[-1][1] == on_cpu[-1][1], "a frame differs"
        for name, runs in (("cpu", on_cpu), ("nvdec", [] if failures else on_gpu)):
            rate = len(runs[0][1]) / statistics.median(seconds for seconds, _ in runs) if runs else 0
            print(f"  {what:15} {name:20} " + (f"{rate:6.1f} frames/s" if runs else f"none: {failures[0]}"))


def encode(frames: list[np.ndarray], codec: str, preset: str, crf: int | None, path: Path) -> tuple[float, int, float]:
    """Return the seconds, the bytes, and the PSNR of luma in dB."""
    height, width = frames[0].shape[:2]
    form = PictureFormat(width, height, Fraction(1), Fraction(1, 25), Fraction(25))
    began = time.perf_counter()
    with closing(SegmentWriter(path, form, EncodingSettings(codec=codec, preset=preset, crf=crf))) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, number)
    seconds = time.perf_counter() - began
    with ClipReader(path) as reader:
        pairs = zip(frames, reader.frames(), strict=True)
        errors = [np.mean(((a - b.rgb.astype(np.float32)) @ LUMA) ** 2) for a, b in pairs]
    return seconds, path.stat().st_size, float(10 * np.log10(255**2 / np.mean(errors)))


def at_equal_size(frames: list[np.ndarray], codec: str, preset: str, size: int, path: Path) -> str:
    """Return the PSNR that an encoder has at a size."""
    usual = CODECS[codec].crf or 0
    around = sorted(encode(frames, codec, preset, usual + d, path)[1:] for d in AROUND)
    sizes, psnrs = np.log([s for s, _ in around]), [psnr for _, psnr in around]
    inside = sizes[0] <= np.log(size) <= sizes[-1]
    return f"{np.interp(np.log(size), sizes, psnrs):.2f} dB" if inside else "out of reach"


def compare_encoders(frames: list[np.ndarray], rounds: int, path: Path) -> None:
    """Print frames a second of each encoder, its size, and its PSNR at the size of x264 medium."""
    problems = {codec: encoder_problem(codec) if CODECS[codec].software else "" for codec, _ in ENCODERS}
    able = [pair for pair in ENCODERS if not problems[pair[0]]]
    runs: dict[tuple[str, str], list[tuple[float, int, float]]] = {pair: [] for pair in able}
    for _ in range(rounds):
        for pair in able:
            runs[pair].append(encode(frames, *pair, None, path))
    for codec, preset in ENCODERS:
        name = f"  encoded         {codec + ' ' + preset:20} "
        if problems[codec]:
            print(f"{name}none: {problems[codec]}")
            continue
        rate = len(frames) / statistics.median(seconds for seconds, *_ in runs[codec, preset])
        _, size, psnr = runs[codec, preset][0]
        equal = at_equal_size(frames, codec, preset, runs["h264", "medium"][0][1], path)
        print(f"{name}{rate:6.1f} frames/s, {size / len(frames) / 1000:5.1f} kB, {psnr:.2f} dB; at equal size {equal}")


def main() -> None:
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--heights", type=harness.comma_list, default=["720", "1080"])
    options = parser.parse_args()
    with harness.work_folder() as folder:
        for height in map(int, options.heights):
            clip = write_clip(folder / f"{height}.mp4", widescreen(height), options.frames)
            frames = list(pictures(*widescreen(height), options.frames))
            print(f"{frames[0].shape[1]}x{frames[0].shape[0]}, {options.frames} frames")
            compare_decoders(clip, options.rounds)
            compare_encoders(frames, options.rounds, folder / "chunk.nut")


if __name__ == "__main__":
    harness.run(main)
