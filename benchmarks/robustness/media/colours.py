"""Colour tags, primaries, data passes and the ranges of LUTs, through the commands: is the colour of the result right?

    python -m benchmarks.robustness.media.colours [--only TEXT]

Each row makes a small clip of one colour, or pictures, renders them without a model or through a LUT, and reads the
result by PyAV: the right colour to 2 levels, tagged BT.709, and a warning that names what cannot be right.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from contextlib import chdir
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks import harness
from benchmarks.robustness.media.running import Ran, run_vidtrans

TOLERANCE = 2
IDENTITY = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
Colour = tuple[int, int, int]


def clip(colour: Colour, primaries: int = 1, transfer: int = 1) -> str:
    """A lossless clip in RGB, whose tags are those of its container."""
    with av.open("in.mov", "w") as container:
        stream: Any = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = primaries, transfer, 1
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), colour, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return "in.mov"


def exr(folder: str, channels: Callable[[int], dict[str, float]], more: bytes = b"") -> str:
    """A folder of three uncompressed OpenEXR pictures, each channel of one value, in 32-bit floats."""
    Path(folder).mkdir()
    for number in range(3):
        values = dict(sorted(channels(number).items()))
        listed = b"".join(name.encode() + b"\0" + struct.pack("<iiii", 2, 0, 1, 1) for name in values) + b"\0"
        window = struct.pack("<4i", 0, 0, 63, 63)
        head = b"\x76\x2f\x31\x01" + struct.pack("<i", 2) + attribute("channels", "chlist", listed)
        head += attribute("compression", "compression", b"\0") + attribute("dataWindow", "box2i", window)
        head += attribute("displayWindow", "box2i", window) + attribute("lineOrder", "lineOrder", b"\0")
        head += attribute("pixelAspectRatio", "float", struct.pack("<f", 1)) + more
        head += attribute("screenWindowCenter", "v2f", bytes(8)) + attribute("screenWindowWidth", "float", bytes(4))
        pixels = b"".join(np.full(64, value, "<f4").tobytes() for value in values.values())
        lines = [struct.pack("<ii", y, len(pixels)) + pixels for y in range(64)]
        begin = len(head) + 1 + 8 * 64
        table = b"".join(struct.pack("<Q", begin + y * len(lines[0])) for y in range(64))
        Path(folder, f"{number:04}.exr").write_bytes(head + b"\0" + table + b"".join(lines))
    return folder


def attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def rendered(source: str, model: str = "identity", said: str = "") -> tuple[object, ...]:
    """The colour of the last frame of a render, and whether it is tagged and ``said`` is among the warnings."""
    ran = ask("stylize", source, "--model", model, "--codec", "h264", "--set", "encoding.crf=1", "-o", "out.mp4")
    if ran.status:
        return (ran.error,)
    with av.open("out.mp4") as container:
        *_, frame = container.decode(video=0)
        tags = {int(tag) for tag in (frame.color_primaries, frame.color_trc, frame.colorspace)}
        colour = frame.to_ndarray(format="rgb24")[16:48, 16:48].reshape(-1, 3).mean(axis=0).round()
    return (
        tuple(map(int, colour)),
        tags == {1},
        any(said in warning for warning in ran.warnings) if said else not ran.warnings,
    )


def ask(*arguments: str) -> Ran:
    return run_vidtrans([*arguments, "--json"], Path.cwd())


def cube(head: str) -> str:
    Path("lut.cube").write_text(f"{head}\n{IDENTITY}\n", encoding="utf-8")
    return "lut.cube"


ACESCG = attribute(
    "chromaticities", "chromaticities", struct.pack("<8f", 0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
)
RED, GREY = (234, 51, 36), (128, 128, 128)
# What is made, and the colour that is right.
ROWS: dict[str, tuple[Callable[[], tuple[object, ...]], Colour]] = {
    "P3 D65": (lambda: rendered(clip(RED, 12, 13), said="P3 D65"), (254, 0, 2)),
    "P3 DCI": (lambda: rendered(clip(RED, 11, 1), said="P3 DCI"), (249, 2, 6)),
    "BT.470 BG": (lambda: rendered(clip((200, 60, 40), 5, 1)), (204, 60, 40)),
    "BT.470 M": (lambda: rendered(clip((200, 60, 40), 4, 1), said="BT.470 M"), (236, 49, 16)),
    "SMPTE 170M": (lambda: rendered(clip((200, 60, 40), 6, 6)), (195, 66, 39)),
    "linear": (lambda: rendered(clip(GREY, 1, 8), said="linear"), (188, 188, 188)),
    "gamma 2.2": (lambda: rendered(clip(GREY, 1, 4), said="gamma 2.2"), (129, 129, 129)),
    "gamma 2.8": (lambda: rendered(clip(GREY, 1, 5), said="gamma 2.8"), (106, 106, 106)),
    "sRGB": (lambda: rendered(clip(GREY, 1, 13)), GREY),
    "ACEScg": (
        lambda: rendered(
            exr(
                "aces",
                lambda _: {"R": 0.25, "G": 0.1, "B": 0.05},
                ACESCG,
            ),
            said="ACEScg",
        ),
        (162, 80, 55),
    ),
    "depth over a clip": (lambda: rendered(exr("z", lambda n: {"Z": 10.0 * n}), said="20 white"), (255, 255, 255)),
    "depth, fixed": (
        lambda: rendered(exr("z", lambda n: {"Z": 10.0 * n}) + "#=0..40", said="40 white"),
        GREY,
    ),
    "a layer": (
        lambda: rendered(
            exr("b", lambda _: {"V.Depth.Z": 2.0, **{f"V.Combined.{c}": 0.2 for c in "RGB"}}) + "#Depth=0..4",
            said="V.Depth",
        ),
        GREY,
    ),
    "LUT 0 to 2": (
        lambda: rendered(clip(GREY), cube("LUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0 2")),
        (64, 64, 64),
    ),
    "LUT with a mark": (lambda: rendered(clip(GREY), cube("\ufeffLUT_3D_SIZE 2  # nodes")), GREY),
}


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    options = parser.parse_args()
    wrong = 0
    for name, (make, right) in ROWS.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            found = make()
        is_right = len(found) == 3 and all(found[1:]) and np.abs(np.subtract(found[0], right)).max() <= TOLERANCE
        wrong += not is_right
        print(f"{name:20} {'right' if is_right else f'WRONG: {right} wanted'}: {found}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    harness.run(main)
