"""Pixels by another way than vidtrans's: the ffmpeg program decodes, and the arithmetic here is that of the standards.

``python pixels.py NUMBERS FILE COLOURS FILE COLOURS`` compares two files in a process of its own: numpy is loaded
only there, so that the process which measures others stays small.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.robustness.media.look import LIMIT_S, LoadedModel, NoLook, in_own_process

CHROMA_STEPS = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}  # across, down
RGB_PLACES = {"rgb24": (3, 0, 1, 2), "bgr24": (3, 2, 1, 0), "bgr0": (4, 2, 1, 0)}
MATRICES = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020", "fcc": "fcc"}
RED_BLUE = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593), "fcc": (0.30, 0.11)}


def pixel_difference(source: Path, before: LoadedModel, output: Path, after: LoadedModel) -> float | None:
    """The largest mean difference, of 255, over three frames decoded by the ffmpeg program; None: not comparable."""
    plain = all(matrix_of(look) for look in (before, after)) and not before.rotation and not before.interlaced
    if not plain or (before.width, before.height) != (after.width, after.height) or not shutil.which("ffmpeg"):
        return None
    last = len(after.times_s) - 1
    numbers = sorted({0, last // 2, last})
    files = [[str(path), json.dumps(_colours(look))] for path, look in ((source, before), (output, after))]
    return float(in_own_process(Path(__file__), json.dumps(numbers), *files[0], *files[1])["mean"])


def matrix_of(look: LoadedModel) -> str | None:
    """The matrix to decode 8-bit pictures with: of the tag, else by the number of lines; None: other pictures."""
    if look.pix_fmt in RGB_PLACES:
        return "rgb"
    if look.pix_fmt.replace("yuvj", "yuv") not in CHROMA_STEPS or look.colour[2] in ("smpte2084", "arib-std-b67"):
        return None
    untagged = "bt709" if look.height >= 720 else "bt601"
    return untagged if look.colour[0] in ("unknown", "unspecified", "reserved") else MATRICES.get(look.colour[0])


def _colours(look: LoadedModel) -> dict[str, Any]:
    full = look.colour[1] == "pc" or look.pix_fmt.startswith("yuvj")
    size = {"stream": look.stream, "width": look.width, "height": look.height}
    return {"matrix": matrix_of(look), "full": full, "pix_fmt": look.pix_fmt, **size}


def decode_rgb(path: Path, look: LoadedModel, numbers: Sequence[int]) -> Any:
    """Frames of these numbers: (n, H, W, 3) float in 0 … 255. The ffmpeg program decodes, nothing of it converts.

    The matrix and the range are those of the file's tags, the arithmetic is that of the standards, chroma lies where
    H.264 puts it (left). Raises NoLook.
    """
    return _decode_rgb(str(path), _colours(look), numbers)


def _decode_rgb(path: str, colours: dict[str, Any], numbers: Sequence[int]) -> Any:
    import numpy as np

    chosen = "+".join(f"eq(n\\,{n})" for n in numbers)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-noautorotate", "-i", f"file:{path}"]
    command += ["-map", f"0:{colours['stream']}", "-vf", f"select={chosen}", "-vsync", "0"]
    command += ["-f", "rawvideo", "-pix_fmt", colours["pix_fmt"], "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoLook(f"ffmpeg: {error}") from None
    flat, count = np.frombuffer(done.stdout, np.uint8), len(numbers)
    if not len(flat) or len(flat) % count:
        raise NoLook(f"ffmpeg gave {len(flat)} bytes for {count} frames: {done.stderr.decode(errors='replace')[-200:]}")
    return np.stack([_to_rgb(raw, colours) for raw in flat.reshape(count, -1)])


def _to_rgb(raw: Any, colours: dict[str, Any]) -> Any:
    """The bytes of one picture to (H, W, 3) float."""
    import numpy as np

    width, height, pix_fmt = colours["width"], colours["height"], colours["pix_fmt"].replace("yuvj", "yuv")
    if pix_fmt in RGB_PLACES:
        channels, *places = RGB_PLACES[pix_fmt]
        return raw.reshape(height, width, channels)[..., places].astype(np.float32)
    across, down = CHROMA_STEPS[pix_fmt]
    small = (-(-height // down), -(-width // across))
    planes = np.split(raw.astype(np.float32), [height * width, height * width + small[0] * small[1]])
    y = planes[0].reshape(height, width)
    u, v = (_upsampled(plane.reshape(small) - 128, width, height, across, down) for plane in planes[1:])
    if not colours["full"]:
        y, u, v = (y - 16) * (255 / 219), u * (255 / 224), v * (255 / 224)
    red, blue = RED_BLUE[colours["matrix"]]
    green = 1 - red - blue
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.clip(np.stack([r, (y - red * r - blue * b) / green, b], axis=-1), 0, 255)


def _upsampled(plane: Any, width: int, height: int, across: int, down: int) -> Any:
    """A chroma plane at the size of luma, linearly between samples; across they lie on even columns."""
    import numpy as np

    for axis, size, step, shift in ((1, width, across, 0.0), (0, height, down, (down - 1) / 2)):
        at = np.clip((np.arange(size) - shift) / step, 0, plane.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        share = (at - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None]
        plane = np.take(plane, low, axis) * (1 - share) + np.take(plane, high, axis) * share
    return plane


def _compare_pixels(numbers: str, source: str, before: str, output: str, after: str) -> dict[str, Any]:
    import numpy as np

    wanted = json.loads(numbers)
    one = _decode_rgb(source, json.loads(before), wanted)
    other = _decode_rgb(output, json.loads(after), wanted)
    return {"mean": float(np.abs(one - other).mean(axis=(1, 2, 3)).max())}


if __name__ == "__main__":
    print(json.dumps(_compare_pixels(*sys.argv[1:6])))
