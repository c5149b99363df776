"""Scores of mattes beside the true ones, on the 20 validation sequences of DAVIS 2016.

    python -m benchmarks.matte.bench DAVIS --cache DIR [--parts first,strokes,three,carried] [--sequences ...]

``DAVIS``: the folder with JPEGImages/480p and Annotations/480p. Parts: *first*, the mask of the first frame; *strokes*,
five short ones on it, drawn by rule from its mask; *three*, the first frame and the two that ``--suggest`` then names;
*corrected*, the first frame and the one that was worst, with what that gained on the others; *carried*, the mask of the
first frame carried by the motion alone. J is the intersection over union, F the F-measure of the edge at 3 pixels,
jitter the movement of the edge beyond the truth's, in pixels; first and last frames do not count. *r* is the
correlation of confidence and J over all frames. Settings were chosen on four sequences, marked by a star; the means are
of the sixteen others. Results are kept in DIR: the same command goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.store import Store
from benchmarks.tables import head, row
from vidtrans.core.settings import Table
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.metrics.label_scores import boundary, jitter, region
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots import ContactSheet

DESIGNED = ("blackswan", "camel", "dog", "horsejump-high")  # that settings were chosen on
EDGE_PX = 3
SIZE, FRAMES = "480p", 6  # of a row of the sheet
Masks = list[np.ndarray]


class Sequence:
    """A sequence with its true masks."""

    def __init__(self, davis: Path, name: str) -> None:
        self.name, self.folder = name, harness.need(davis / "JPEGImages" / SIZE / name)
        self.files = sorted(self.folder.glob("*.jpg"))
        self.masks = [davis / "Annotations" / SIZE / name / f"{path.stem}.png" for path in self.files]

    def truth(self) -> Masks:
        """Return the true masks, (H, W) bool."""
        return [read_picture(path)[..., 0] >= 128 for path in self.masks]


def score(made: Masks, truth: Masks, confidences: list[float]) -> Table:
    """Return the scores of all frames but the first and the last one."""
    inner = slice(1, -1)
    each = [region(a, b) for a, b in zip(made, truth, strict=True)]
    edges = [boundary(a, b, EDGE_PX) for a, b in zip(made[inner], truth[inner], strict=True)]
    return {
        "J": float(np.mean(each[inner])),
        "F": float(np.mean(edges)),
        "jitter": jitter(made, truth),
        "each": each,
        "confidences": confidences,
    }


class Runs:
    """Everything that is made of a sequence."""

    def __init__(self, sequence: Sequence, options: argparse.Namespace) -> None:
        self.sequence, self.options, self.store = sequence, options, Store(options.cache)
        self.folder = options.cache / sequence.name
        self.folder.mkdir(exist_ok=True)

    def result(self, part: str) -> Table:
        """Return the scores of a part."""
        make: Callable[[], Table] = getattr(self, part)
        return self.store.table(part, f"{self.sequence.name}-{self.options.steps}-{self.options.seed}", make)

    def _matte(self, name: str, frames: list[str], **more: int) -> Table:
        began, output = time.perf_counter(), self.folder / name
        settings = {"matting": {"steps": self.options.steps}}
        made = vidtrans.matte(
            self.sequence.folder,
            output,
            frame=frames,
            settings=settings,
            seed=self.options.seed,
            cache_dir=self.options.cache / "vidtrans",
            overwrite=True,
            **more,
        )
        masks = [read_picture(path)[..., 0] >= 128 for path in sorted(output.glob("*.png"))]
        scores = score(masks, self.sequence.truth(), made["confidences"])
        return scores | {"seconds": time.perf_counter() - began, "suggested": made["suggested"], "lost": made["lost"]}

    def first(self) -> Table:
        """From the mask of the first frame."""
        return self._matte("first", [f"0={self.sequence.masks[0]}"], suggest=2)

    def three(self) -> Table:
        """From the first frame, and the two that are suggested then."""
        keys = [0, *self.result("first")["suggested"]]
        return self._matte("three", [f"{key}={self.sequence.masks[key]}" for key in keys])

    def corrected(self) -> Table:
        """From the first frame, and the one whose matte was worst."""
        before = self.result("first")["each"]
        worst = 1 + int(np.argmin(before[1:-1]))
        table = self._matte("corrected", [f"{key}={self.sequence.masks[key]}" for key in (0, worst)])
        rest = [n for n in range(1, len(before) - 1) if n != worst]
        return table | {"gain": float(np.mean([table["each"][n] - before[n] for n in rest])), "worst": worst}

    def strokes(self) -> Table:
        """From strokes on the first frame."""
        painted = self.folder / "strokes.png"
        frame, truth = read_picture(self.sequence.files[0]), self.sequence.truth()[0]
        write_picture(painted, drawn(frame, truth))
        return self._matte("strokes", [f"0={painted}"])

    def carried(self) -> Table:
        """The mask of the first frame, carried from frame to frame."""
        began, truth, flow = time.perf_counter(), self.sequence.truth(), DISMedium()
        masks, before = [truth[0].astype(np.float32)], None
        for path in self.sequence.files:
            picture = read_picture(path)
            now = halve(grey(picture))
            if before is not None:
                moved = resize_flow(flow(now, before), picture.shape[1], picture.shape[0])
                masks.append(warp(masks[-1], moved))
            before = now
        made = [mask >= 0.5 for mask in masks]
        return score(made, truth, [0.0] * len(made)) | {"seconds": time.perf_counter() - began, "lost": []}


def drawn(frame: np.ndarray, matte: np.ndarray, inside: int = 3, outside: int = 2) -> np.ndarray:
    """Return a frame with short green strokes in the middle of the parts of a thing, and red ones around it."""
    painted, size = frame.copy(), float(np.sqrt(matte.sum()))
    ring = cv2.dilate(matte.astype(np.uint8), _disc(0.35 * size)) > 0
    around = ring & (cv2.dilate(matte.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0)
    core = cv2.erode(matte.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    for area, count, colour in ((core, inside, (0, 255, 0)), (around, outside, (255, 0, 0))):
        left = area.copy()
        for _ in range(count):
            if not left.any():
                break
            depth = cv2.distanceTransform(left.astype(np.uint8), cv2.DIST_L2, 5)
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            strokes = [
                _stroke(matte.shape, (int(x), int(y)), size, angle) & area for angle in np.arange(12) * np.pi / 12
            ]
            painted[max(strokes, key=lambda stroke: int(stroke.sum()))] = colour
            left &= cv2.circle(np.zeros(matte.shape, np.uint8), (int(x), int(y)), int(0.45 * size), 1, -1) == 0
    return painted


def _disc(radius: float) -> np.ndarray:
    side = 2 * int(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _stroke(shape: tuple[int, ...], at: tuple[int, int], size: float, angle: float) -> np.ndarray:
    along = np.array([np.cos(angle), np.sin(angle)]) * 0.175 * size
    ends = [(int(at[0] + sign * along[0]), int(at[1] + sign * along[1])) for sign in (-1, 1)]
    mask = cv2.line(np.zeros(shape[:2], np.uint8), ends[0], ends[1], 1, max(3, int(0.03 * size)))
    return mask > 0


def show(options: argparse.Namespace) -> None:
    """Print the table of each part, and draw the sheet of the first one."""
    davis = harness.need(options.davis / "JPEGImages" / SIZE).parents[1]
    names = options.sequences or sorted(path.name for path in (davis / "JPEGImages" / SIZE).iterdir())
    runs = [Runs(Sequence(davis, name), options) for name in names]
    for part in options.parts:
        head(part, "J", "F", "jitter px", "r", "lost frames", "s")
        tables = {run.sequence.name: run.result(part) for run in runs}
        for name, table in tables.items():
            star = " *" if name in DESIGNED else ""
            lost = sum(last - first + 1 for first, last in table["lost"])
            gain = f" ({table['gain']:+.3f} by frame {table['worst']})" if "gain" in table else ""
            row(name + star + gain, *_cells(table), lost, f"{table['seconds']:.0f}")
        scored = [table for name, table in tables.items() if name not in DESIGNED]
        if scored:
            means = {key: float(np.mean([table[key] for table in scored])) for key in ("J", "F", "jitter", "seconds")}
            every = {key: [v for table in scored for v in table[key][1:-1]] for key in ("each", "confidences")}
            row("mean of the others", *_cells(means | every), "", f"{means['seconds']:.0f}")
        print()
    draw(options.cache / "sheet.png", runs)


def _cells(table: Table) -> list[str]:
    each, sure = table["each"], table["confidences"]
    known = np.std(each) > 0 and np.std(sure) > 0
    r = f"{np.corrcoef(each, sure)[0, 1]:.2f}" if known else ""
    return [f"{table['J']:.3f}", f"{table['F']:.3f}", f"{table['jitter']:.2f}", r]


def draw(path: Path, runs: list[Runs]) -> None:
    """Draw frames of each sequence, what is wrongly inside in red, and what is missing in blue."""
    rows, notes = [], []
    for run in runs:
        made, truth = sorted((run.folder / "first").glob("*.png")), run.sequence.truth()
        at = np.linspace(1, len(truth) - 2, FRAMES).astype(int) if made else []
        rows.append([_coloured(read_picture(run.sequence.files[n]), made[n], truth[n]) for n in at])
        notes.append([f"{run.sequence.name}, frame {n}" for n in at])
    write_picture(path, ContactSheet("", rows, (320, 180), notes=notes).draw())


def _coloured(frame: np.ndarray, made: Path, truth: np.ndarray) -> np.ndarray:
    mask = read_picture(made)[..., 0] >= 128
    picture = np.where(mask[..., None], frame, frame * 0.35)
    for wrong, colour in ((mask & ~truth, (255, 0, 0)), (truth & ~mask, (0, 80, 255))):
        picture[wrong] = 0.4 * picture[wrong] + 0.6 * np.array(colour)
    return picture.astype(np.uint8)


def main() -> None:
    parser = harness.parser(__doc__, cache=True)
    parser.add_argument("davis", type=Path, help="the folder of DAVIS 2016, with JPEGImages and Annotations")
    parser.add_argument("--parts", type=harness.comma_list, default=["first", "strokes", "three", "carried"])
    parser.add_argument("--sequences", type=harness.comma_list, default=[], help="instead of all")
    parser.add_argument("--steps", type=int, default=600, help="of each network")
    parser.add_argument("--seed", type=int, default=0)
    show(parser.parse_args())


if __name__ == "__main__":
    harness.run(main)
