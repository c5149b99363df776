"""Measure how close enlarged pictures are to the truth, for looks whose result at full size is known, and the cost.

    python -m benchmarks.sharp.bench DATA [--parts perfect,imperfect,cost] [--factors 2,3,4] [--frames 3]

The small picture is the area mean of the look of a frame at full size; the guide is the frame. Imperfect small pictures
have a blur of .6 pixels, noise of .015, JPEG's blocks (quality 75), or the ringing that sharpening leaves. PSNR of
colours from 0 to 1; sharpness is the mean |Laplacian|, over the truth's.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import Span, read_frames
from benchmarks.sharp.looks import LOOKS
from benchmarks.tables import head, row
from vidtrans.flow.warping import shrink
from vidtrans.metrics.picture_quality import psnr_of, sharpness
from vidtrans.upscaling import MODES, array_pictures
from vidtrans.upscaling.array_pictures import blur, size_of
from vidtrans.upscaling.enlarging import enlarge_by_luma, find_faults, upscale, upscale_stream

PARTS = ("perfect", "imperfect", "cost")
# Clips on which no constant was chosen, but ``enlarging.EPSILON``, which was then confirmed on others.
CLIPS = (
    Span("video/flower.mp4", 20),
    Span("video/wolf_512.mp4", 5),
    Span("video/cockatoo_yuv420.mp4", 100),
    Span("video/friday.mp4", 60),
    Span("video/bug_bw.mp4", 60),
)
FULL_HD = (1920, 1080)
SHOWN_MODES = (*MODES, "luma")  # luma: of streams


def ringing(small: np.ndarray) -> np.ndarray:
    return np.clip(small + 0.6 * (small - blur(small, 0.8)), 0, 1)


def noisy(small: np.ndarray) -> np.ndarray:
    return np.clip(small + np.random.default_rng(0).normal(0, 0.015, small.shape).astype(np.float32), 0, 1)


def compressed(small: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", np.rint(small * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.float32) / 255


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "blur": lambda small: blur(small, 0.6),
    "noise": noisy,
    "JPEG": compressed,
    "ringing": ringing,
}


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    return psnr_of(255**2 * float(np.mean((made - truth) ** 2, dtype=np.float64)))


def sources(options: argparse.Namespace, factor: int) -> Iterator[np.ndarray]:
    """Yield frames whose sides are multiples of twice the factor."""
    for clip in CLIPS:
        try:
            frames = read_frames(options.data / clip.path, clip.first, 10 * options.frames)
        except harness.Missing as why:
            harness.skip(clip.path, why)
            continue
        for frame in frames[::10]:
            height, width = (side // (2 * factor) * 2 * factor for side in frame.shape[:2])
            yield np.ascontiguousarray(frame[:height, :width]).astype(np.float32) / 255


def compare(options: argparse.Namespace, fault: Callable[[np.ndarray], np.ndarray] | None, factor: int) -> None:
    """Print a table of the looks: each mode's PSNR, its least gain over back-projection, and its sharpness."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for source in sources(options, factor):
        for name, look in LOOKS.items():
            truth = look(source)
            small = shrink(truth, (source.shape[1] // factor, source.shape[0] // factor))
            small = fault(small) if fault else small
            faults = find_faults([(small, shrink(source, size_of(small)))])
            made = {mode: upscale(small, source, mode, faults) for mode in MODES}
            made["luma"] = enlarge_by_luma(array_pictures, small, array_pictures.luma(source))
            for mode, picture in made.items():
                found[name][mode].append(psnr(picture, truth))
            found[name]["over"].append(found[name]["guided"][-1] - found[name]["faithful"][-1])
            found[name]["sharpness"].append(sharpness(made["guided"]) / sharpness(truth))
            found[name]["soft"].append(sharpness(made["bicubic"]) / sharpness(truth))
    head("look", *SHOWN_MODES, "guided over faithful, at least", "sharpness, guided / bicubic")
    for name, scores in found.items():
        means = [statistics.fmean(scores[mode]) for mode in SHOWN_MODES]
        sharp = f"{statistics.fmean(scores['sharpness']):.2f} / {statistics.fmean(scores['soft']):.2f}"
        row(name, *(f"{mean:.1f}" for mean in means), f"{min(scores['over']):+.2f}", sharp)
    means = [statistics.fmean(statistics.fmean(s[mode]) for s in found.values()) for mode in SHOWN_MODES]
    row(
        "mean",
        *(f"{mean:.1f}" for mean in means),
        "",
        f"{means[0] - means[MODES.index('bicubic')]:+.1f} dB over bicubic",
    )


def cost(options: argparse.Namespace) -> None:
    """Print the milliseconds a megapixel of the result, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    source = cv2.resize(next(sources(options, 2)), FULL_HD, interpolation=cv2.INTER_CUBIC)
    small = shrink(LOOKS["grade"](source), (512, 288))
    works = {mode: lambda mode=mode: upscale(small, source, mode) for mode in MODES}
    frame, painted = (np.rint(255 * picture).astype(np.uint8) for picture in (source, small))
    works["luma"] = lambda: upscale_stream(painted, frame, "luma")
    taken = harness.in_turns(works, 5)
    cv2.setNumThreads(threads)
    head("512x288 to 1080p", "ms a megapixel")
    for mode, seconds in taken.items():
        row(mode, harness.enlarge_linear([1e3 * s / (FULL_HD[0] * FULL_HD[1] / 1e6) for s in seconds], 0))


def main() -> None:
    parser = harness.parser(__doc__, data=True)
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--factors", type=harness.comma_list, default=["2", "3", "4"])
    parser.add_argument("--frames", type=int, default=3, help="of each clip [default: %(default)s]")
    options = parser.parse_args()
    harness.need(options.data / "video")
    if "perfect" in options.parts:
        for factor in map(int, options.factors):
            print(f"\nperfect, {factor} ×\n")
            compare(options, None, factor)
    if "imperfect" in options.parts:
        for name, fault in FAULTS.items():
            print(f"\nwith {name}, 3 ×\n")
            compare(options, fault, 3)
    if "cost" in options.parts:
        print()
        cost(options)


if __name__ == "__main__":
    harness.run(main)
