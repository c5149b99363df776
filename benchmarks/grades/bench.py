"""Learned grades beside the real ones, on frames that were not learned from.

    python -m benchmarks.grades.bench ../shared/data [--clips juggle.mp4,...] [--pairs 8] [--quality 85]

From each clip 8 frames before and after are learned from, JPEGs afterwards, as stills are. Distances are CIEDE2000 of
the pixels of other frames, median and 95th percentile. E: warping error of the clip under the learned grade over that
under the real one, along the source's flow. cube: PSNR of ffmpeg's lut3d with the table that was written, beside the
render with the model, where an ffmpeg program is installed.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size
from vidtrans.grading.learning import LearnedGrade, place_pairs
from vidtrans.interop.cube import write_cube
from vidtrans.metrics.consistency import Scorer
from vidtrans.video.external.program import find_program
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

# Constants were chosen on flower, dog and stream-of-water; these are others.
CLIPS = ("juggle.mp4", "wolf_512.mp4", "cockatoo_yuv420.mp4", "bigbuckbunny_720p.mp4", "asl_walk.mkv")
SHORT_SIDE, STEADY_FRAMES, SCORED_FRAMES = 360, 30, 5
LUMA = np.array([0.2126, 0.7152, 0.0722])
Frames = list[np.ndarray]
Grade = Callable[[np.ndarray], np.ndarray]  # of colours (..., 3) in [0, 1]


def luma(c: np.ndarray) -> np.ndarray:
    brightness: np.ndarray = (c @ LUMA)[..., None]
    return brightness


def between(low: float, high: float, x: np.ndarray) -> np.ndarray:
    share = np.clip((x - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def teal_and_orange(c: np.ndarray) -> np.ndarray:
    dark, bright = 1 - between(0.1, 0.6, luma(c)), between(0.4, 0.9, luma(c))
    return c + dark * np.array([-0.05, 0.02, 0.06]) + bright * np.array([0.06, 0.01, -0.06])


def bleach_bypass(c: np.ndarray) -> np.ndarray:
    mixed = 0.5 * c + 0.5 * luma(c)
    return np.where(mixed < 0.5, 2 * mixed * mixed, 1 - 2 * (1 - mixed) ** 2)


def cross_process(c: np.ndarray) -> np.ndarray:
    return np.stack([0.5 - 0.5 * np.cos(np.pi * c[..., 0]), c[..., 1] ** 0.9, 0.15 + 0.7 * c[..., 2]], -1)


def logarithm(c: np.ndarray) -> np.ndarray:
    return np.log1p(30 * c) / np.log(31) * 0.85 + 0.05


def faded(c: np.ndarray) -> np.ndarray:
    return 0.09 + 0.82 * c**0.9 + np.array([0.03, 0.0, -0.02])


def turned_hues(c: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(c.astype(np.float32).reshape(1, -1, 3), cv2.COLOR_RGB2LAB)
    hue, chroma = np.arctan2(lab[..., 2], lab[..., 1]), np.hypot(lab[..., 1], lab[..., 2])
    turned, scaled = hue + 0.35 * np.sin(2 * hue + 0.5), chroma * (1 + 0.3 * np.cos(hue - 1))
    lab[..., 1], lab[..., 2] = scaled * np.cos(turned), scaled * np.sin(turned)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).reshape(c.shape)


def day_for_night(c: np.ndarray) -> np.ndarray:
    return (0.35 * c**1.6 + 0.3 * luma(c) ** 1.6) * np.array([0.75, 0.9, 1.25])


def clipping(c: np.ndarray) -> np.ndarray:
    return 1.6 * c


GRADES: dict[str, Grade] = {
    function.__name__.replace("_", " "): function
    for function in (
        teal_and_orange,
        bleach_bypass,
        cross_process,
        logarithm,
        faded,
        turned_hues,
        day_for_night,
        clipping,
    )
}


def eight_bits(colours: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def read(path: Path) -> Frames:
    with ClipReader(path, FrameFormat(Size(short=SHORT_SIDE))) as reader:
        return [frame.rgb for frame in reader.frames()]


def warping_error(source: Frames, made: Frames) -> float:
    scorer = Scorer()
    for number, (frame, picture) in enumerate(zip(source, made, strict=True)):
        scorer.add(frame, picture, starts_shot=number == 0)
    error = scorer.scores().summary["warping_error"]
    assert error is not None
    return error


def cube_psnr(learned: LearnedGrade, picture: np.ndarray, program: str) -> float:
    """The distance in dB between the lattice and what ffmpeg makes of the table, on one picture."""
    nodes, (height, width) = learned.grade.lattice, picture.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        write_cube(Path(folder) / "grade.cube", nodes.nodes, "")
        form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command = [program, "-v", "error", *form, "-i", "-", "-vf", "lut3d=grade.cube", *form, "-"]
        done = subprocess.run(command, input=picture.tobytes(), stdout=subprocess.PIPE, check=True, cwd=folder)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(picture.shape)
    error = np.mean((eight_bits(nodes(picture / 255)).astype(float) - theirs) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with the clips in video/")
    parser.add_argument("--clips", default=",".join(CLIPS))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--quality", type=int, default=85, help="of the JPEGs after the grade")
    arguments = parser.parse_args()
    try:
        program = find_program()
    except UsageError:
        program = ""
    print("| clip | grade | median | 95 % | E | cube, dB | seconds | words |\n|---|---|---|---|---|---|---|---|")
    rows = []
    for name in arguments.clips.split(","):
        if not (path := arguments.data / "video" / name).exists():
            print(f"| {name} | not there: left out |")
            continue
        frames = read(path)
        numbers = np.linspace(0, len(frames) - 1, 3 * arguments.pairs).astype(int)
        learned_from = [frames[n] for n in numbers[::3]]
        scored = [frames[n] for n in numbers[1::3]][:SCORED_FRAMES]
        steady = frames[:STEADY_FRAMES]
        for title, grade in GRADES.items():
            after = [jpeg(eight_bits(grade(frame / 255)), arguments.quality) for frame in learned_from]
            began = time.perf_counter()
            learned = place_pairs(zip(learned_from, after, strict=True)).learn(33)
            seconds, lattice = time.perf_counter() - began, learned.grade.lattice
            apart = [
                deltaE_ciede2000(rgb2lab(lattice(f / 255)), rgb2lab(eight_bits(grade(f / 255)) / 255)) for f in scored
            ]
            median, high = np.quantile(apart, (0.5, 0.95))
            errors = [warping_error(steady, [eight_bits(g(f / 255)) for f in steady]) for g in (lattice, grade)]
            cube = cube_psnr(learned, scored[0], program) if program else float("nan")
            rows.append((median, high, errors[0] / errors[1], cube, seconds))
            told = " | ".join(f"{value:.{digits}f}" for value, digits in zip(rows[-1], (2, 2, 3, 1, 1), strict=True))
            print(f"| {name} | {title} | {told} | {', '.join(learned.words)} |", flush=True)
    for title, summary in (("mean", np.mean(rows, axis=0)), ("worst", np.max(rows, axis=0))):
        print(f"| {title} | | " + " | ".join(f"{v:.2f}" for v in summary) + " | |")


if __name__ == "__main__":
    main()
