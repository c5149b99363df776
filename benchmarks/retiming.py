"""Measure frames between frames: every second frame of a clip is taken away and made again.

    python -m benchmarks.retiming DATA [--pairs 10] [--sheet FILE]

PSNR and SSIM to the true frame, at 384 lines, of ``vidtrans retime``, of a blend of the two frames, and of ffmpeg's
``minterpolate`` (mci, aobmc, vsbmc), whose delay is chosen in its favour. ``worst``: the mean PSNR of the worst tenth.
The constants were chosen on the first six clips. ``--sheet`` writes the worst frame of each clip.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import Span, read_frames
from benchmarks.tables import head, row
from vidtrans.metrics.picture_quality import psnr, ssim
from vidtrans.retiming.frames import MomentPictures
from vidtrans.retiming.schedule import Moment, Timeline
from vidtrans.video.images.picture import write_picture

LINES = 384
SKIPPED = 2  # Frames at either end that do not count, since minterpolate begins late and ends early
CHOSEN_ON = ("dog", "juggle", "cockatoo", "carphone", "bikes", "asl")
CLIPS = {
    "dog": Span("video/dog.mp4", 0),
    "juggle": Span("video/juggle.mp4", 0),
    "cockatoo": Span("video/cockatoo_yuv420.mp4", 0),
    "carphone": Span("video/carphone_176x144.mp4", 0),
    "bikes": Span("video/bikes_5cuts.mp4", 30),
    "asl": Span("video/asl_walk.mkv", 0),
    "flower": Span("video/flower.mp4", 0),
    "water": Span("video/stream-of-water.mp4", 0),
    "friday": Span("video/friday.mp4", 40),
    "bunny": Span("video/bigbuckbunny_720p.mp4", 60),
    "bug": Span("video/bug_bw.mp4", 20),
    "room": Span("video/one-by-one-person-detection_139s.mp4", 300),
}
Frames = list[np.ndarray]
Make = Callable[[Frames], Frames]


def retimed(frames: Frames) -> tuple[Frames, list[bool]]:
    """Return the pictures midway between frames, as ``retime`` makes them, and which were held."""
    times = tuple(Fraction(n, 12) for n in range(len(frames)))
    make = MomentPictures(Timeline(tuple(range(len(frames))), times, frozenset()), lambda number: frames[number])
    found, held = list[np.ndarray](), list[bool]()
    for first, second in pairwise(range(len(frames))):
        found.append(make(Moment(first, second, Fraction(1, 2))))
        held.append(make.is_held)
    make.close()
    return found, held


def blend(frames: Frames) -> Frames:
    """Return the means of frames and the next ones."""
    return [cv2.addWeighted(a, 0.5, b, 0.5, 0) for a, b in pairwise(frames)]


def minterpolate(program: str, frames: Frames, truth: Sequence[np.ndarray]) -> Frames:
    """Return ffmpeg's pictures between frames, at the delay that suits the truth best."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, frame in enumerate(frames):
            write_picture(folder / f"{number:03}.png", frame)
        graph = "minterpolate=fps=20:mi_mode=mci:mc_mode=aobmc:vsbmc=1"
        words = ["-v", "error", "-r", "10", "-i", str(folder / "%03d.png"), "-vf", graph, str(folder / "o_%03d.png")]
        subprocess.run([program, *words], check=True)
        found = [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.glob("o_*.png"))]
    delays = [found[delay : delay + 2 * len(truth) : 2] for delay in (0, 1, 2)]
    whole = [each + [each[-1]] * (len(truth) - len(each)) for each in delays]
    return max(
        whole, key=lambda each: sum(psnr(a, b) for a, b in list(zip(each, truth, strict=True))[SKIPPED:-SKIPPED])
    )


def ffmpeg() -> str | None:
    """Return the path of an ffmpeg program, if there is one."""
    try:
        import imageio_ffmpeg
    except ImportError:
        harness.skip("minterpolate", "imageio-ffmpeg is not installed")
        return None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> None:
    parser = harness.parser(__doc__, data=True)
    parser.add_argument("--pairs", type=int, default=14, help="frames that are made [default: %(default)s]")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    program, shown = ffmpeg(), []
    head("clip", "way", "PSNR", "worst", "SSIM")
    totals: dict[tuple[str, bool], list[tuple[float, float, float]]] = {}
    for name, span in CLIPS.items():
        path = harness.need(options.data / span.path)
        frames = read_frames(path, span.first, 2 * options.pairs + 1, short=LINES)
        kept, truth = list(frames[::2]), list(frames[1::2])
        made = {"retime": retimed(kept)[0], "blend": blend(kept)}
        if program:
            made["minterpolate"] = minterpolate(program, kept, truth)
        for way, pictures in made.items():
            pairs = list(zip(pictures, truth, strict=True))[SKIPPED:-SKIPPED]
            each = sorted(psnr(a, b) for a, b in pairs)
            alike = float(np.mean([ssim(a, b) for a, b in pairs]))
            found = float(np.mean(each)), float(np.mean(each[: max(1, len(each) // 10)])), alike
            row(name, way, *found)
            totals.setdefault((way, name in CHOSEN_ON), []).append(found)
        worst = min(range(len(truth)), key=lambda n: psnr(made["retime"][n], truth[n]))
        shown.append(np.hstack([cv2.resize(each[worst], (400, 260)) for each in (truth, *made.values())]))
    for (way, chosen), rows in totals.items():
        row(
            f"mean of {'the six it was chosen on' if chosen else 'six others'}", way, *map(float, np.mean(rows, axis=0))
        )
    if options.sheet:
        write_picture(options.sheet, np.vstack(shown))


if __name__ == "__main__":
    main()
