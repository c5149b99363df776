"""Picture files as other programs write them, through the commands: is the picture of the result right?

    python -m benchmarks.robustness.media.stills [--only TEXT]

Each row makes a picture, a folder or a stack of one colour, renders it without a model, and reads the result: its
colour must be right to 2 levels of 255, its pictures as many as there were, and what cannot be right must be refused
by one line. The last rows learn a grade from a still with bars.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks import harness
from benchmarks.robustness.media.running import Ran, run_vidtrans

sys.path.insert(0, str(harness.ROOT / "tests" / "support"))
from pictures_of_all_kinds import P3, ink_profile, rgb_profile, table_profile, with_chunks, write_tiff

TOLERANCE = 2
COLOUR, IN_P3, IN_P3_GAMMA = (200, 60, 40), (217, 42, 23), (219, 37, 13)
GREY, HALF = (128, 128, 128), (188, 188, 188)
Row = Callable[[], tuple[object, object]]


def _vidtrans(*arguments: str) -> Ran:
    return run_vidtrans(arguments, Path.cwd())


def _rendered(source: str) -> tuple[object, ...]:
    """The number of pictures of the result, and the colour of its last; the error where there is none."""
    output = "o" if Path(source).is_dir() or source.startswith("many") else "o.png"
    ran = _vidtrans("stylize", source, "--model", "identity", "-o", output)
    if ran.status:
        return (ran.error,)
    files = sorted(Path(output).iterdir()) if output == "o" else [Path(output)]
    picture = cv2.imread(str(files[-1]), cv2.IMREAD_UNCHANGED)
    return (len(files), *(float(v) * 255 / np.iinfo(picture.dtype).max for v in picture[4, 4, 2::-1]))


def saved(name: str, profile: bytes | None = None, mode: str = "RGB", colour: tuple[int, ...] = COLOUR) -> str:
    Image.new(mode, (16, 16), colour).save(name, icc_profile=profile, quality=100)
    return name


def tagged(**chunks: bytes) -> str:
    return str(with_chunks(Path(saved("a.png")), {name.encode(): content for name, content in chunks.items()}))


def samples(dtype: type, white: float) -> str:
    """A folder of three TIFFs: white, black and half of the range."""
    Path("f").mkdir()
    for number, share in enumerate((1, 0, 128 / 255)):
        write_tiff(Path(f"f/{number}.tif"), [np.full((16, 16, 3), share * white).astype(dtype)])
    return "f"


def folder(ending: str) -> str:
    Path("f").mkdir()
    for number in range(3):
        saved(f"f/{number}.{ending}")
    return "f"


def animation(name: str) -> str:
    pictures = [Image.new("RGB", (16, 16), (20 * i, 90, 90)) for i in range(10)] + [Image.new("RGB", (16, 16), COLOUR)]
    pictures[0].save(name, save_all=True, append_images=pictures[1:], duration=40, lossless=True)
    return name


def light(name: str) -> str:
    cv2.imwrite(name, np.full((16, 16, 3), 0.5, np.float32))
    return name


def dpx() -> str:
    Path("f").mkdir()
    Path("f/0001.dpx").write_bytes(b"SDPX" + bytes(2044))
    return "f"


def turned() -> str:
    """A picture with alpha, whose upright top left is red."""
    picture = Image.new("RGBA", (16, 16), (0, 0, 255, 254))
    picture.paste((*COLOUR, 255), (0, 8, 8, 16))
    exif = Image.Exif()
    exif[274] = 6
    picture.save("a.png", exif=exif)
    return "a.png"


def bars(level: int) -> float:
    """The mean difference, in levels, of grades learned from a still with bars and without."""
    random = np.random.default_rng(0)
    still, clip = (cv2.resize(random.integers(0, 256, (6, 9, 3)).astype(np.uint8), (300, 200)) for _ in range(2))
    framed = np.full((280, 300, 3), level, np.uint8)
    framed[40:240] = still
    results = []
    for name, picture in (("clip", clip), ("still", still), ("framed", framed)):
        cv2.imwrite(f"{name}.png", picture)
    for name in ("still", "framed"):
        _vidtrans("grade", "clip.png", f"{name}.png", "--unpaired", "-o", f"{name}.safetensors")
        _vidtrans("stylize", "clip.png", "--model", f"{name}.safetensors", "-o", f"{name}.graded.png")
        results.append(cv2.imread(f"{name}.graded.png").astype(float))
    return float(np.abs(results[0] - results[1]).mean())


def _colour(make: Callable[[], str], right: tuple[int, ...], count: int = 1) -> Row:
    return lambda: (_rendered(make()), (count, *right))


P3_PROFILE, CICP = rgb_profile(P3, 2.2), bytes([12, 13, 0, 1])
ROWS: dict[str, Row] = {
    **{
        f"profile in {n}": _colour(partial(saved, f"a.{n}", P3_PROFILE), IN_P3_GAMMA)
        for n in ("png", "jpg", "tif", "webp")
    },
    "profile of tables": _colour(partial(saved, "a.png", table_profile()), (92, 92, 92)),
    "profile of inks": _colour(partial(saved, "a.tif", ink_profile(), "CMYK", (255, 128, 0, 0)), (151, 151, 151)),
    "cICP": _colour(partial(tagged, cICP=CICP), IN_P3),
    "gAMA": _colour(partial(tagged, gAMA=struct.pack(">I", 100_000)), (229, 133, 110)),
    "signed 16 bits": _colour(partial(samples, np.int16, 32767), GREY, 3),
    "32 bits": _colour(partial(samples, np.uint32, 2**32 - 1), GREY, 3),
    "floats": _colour(partial(samples, np.float32, 1), GREY, 3),
    "10 bits in 16": _colour(partial(samples, np.uint16, 1023), GREY, 3),
    "12 bits in 16": _colour(partial(samples, np.uint16, 4095), GREY, 3),
    "floats to 255": _colour(partial(samples, np.float32, 255), GREY, 3),
    **{f"folder of {n}": _colour(partial(folder, n), COLOUR, 3) for n in ("tga", "bmp", "ppm", "jp2")},
    "Radiance": _colour(partial(light, "a.hdr"), HALF),
    "PFM": _colour(partial(light, "a.pfm"), HALF),
    "DPX": lambda: ("ffmpeg -i" in str(_rendered(dpx())), True),
    "TIFF stack": _colour(partial(animation, "many.tif"), COLOUR, 11),
    "animated WebP": _colour(partial(animation, "many.webp"), COLOUR, 11),
    "orientation with alpha": _colour(turned, COLOUR),
    "grade from black bars": lambda: (bars(0), 0),
    "grade from white bars": lambda: (bars(255), 0),
}


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    options = parser.parse_args()
    wrong = 0
    for name, row in ROWS.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as place, chdir(place):
            found, right = row()
        same_shape = np.shape(found) == np.shape(right) and not isinstance(np.ravel(found)[0], str)
        is_right = same_shape and np.abs(np.subtract(found, right, dtype=float)).max() <= TOLERANCE
        wrong += not is_right
        print(f"{name:24} {'right' if is_right else f'WRONG: {right} wanted'}: {found}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    harness.run(main)
