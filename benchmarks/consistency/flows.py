"""The flow methods beside each other: how exact they are, and how long they take.

    python -m benchmarks.consistency.flows DATA [--chairs DIR] [--methods dis,dis-torch]

Exactness is the mean error in pixels, everywhere and where the forward-backward test keeps the flow, and the share
that it keeps: on pairs of FlyingChairs (flow_gt in the data, and NUMBER-img0.ppm, NUMBER-img1.ppm, NUMBER-gt.flo in
DIR), and on frames of real clips that are moved in known ways, with noise. Methods that are not installed are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from benchmarks import harness
from benchmarks.consistency.cases import CLIPS, read_frames
from benchmarks.tables import Table
from vidtrans.core.errors import UsageError
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import forward_backward, warp

SIDE, FRAME = 256, 5
SCORED = ("bbb", "bikes", "lynx", "phone")  # constants of dis-torch were chosen on others
NOISE = 1.5  # σ in grey levels, in each picture of its own
KINDS = ("zoom", "turn", "local", "pan", "layers")


class Pair(NamedTuple):
    """Two pictures (H, W, 3) uint8 and the flow between them, (H, W, 2) float32 pixels."""

    kind: str
    first: np.ndarray
    second: np.ndarray
    truth: np.ndarray


def chairs(folder: Path) -> Iterator[Pair]:
    for truth in sorted(folder.glob("*-gt.flo")):
        name = str(truth).removesuffix("-gt.flo")
        first, second = (np.ascontiguousarray(cv2.imread(f"{name}-img{i}.ppm")[..., ::-1]) for i in (0, 1))
        yield Pair("FlyingChairs", first, second, cv2.readOpticalFlow(str(truth)))


def motion(kind: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth flow, (H, W, 2) float32 pixels."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    offsets = np.dstack([xs - width / 2, ys - height / 2])
    shift = rng.normal(size=2).astype(np.float32)
    if kind == "zoom":
        return offsets * np.float32(0.03) + 3 * shift
    if kind == "turn":
        return offsets[..., ::-1] * np.float32((-0.04, 0.04)) + 2 * shift
    if kind == "local":
        coarse = rng.normal(size=(4, 6, 2)).astype(np.float32)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(2.5)
    return np.broadcast_to(8 * shift, (height, width, 2)).copy()


def known(kind: str, picture: np.ndarray, other: np.ndarray, seed: int) -> Pair:
    """A pair whose second picture is ``picture``; of layers, discs of ``other`` move over it, each by whole pixels."""
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    if kind != "layers":
        truth = motion(kind, height, width, rng)
        return Pair(kind, _noisy(warp(picture, truth, bicubic=True), rng), _noisy(picture, rng), truth)
    truth = motion("zoom", height, width, rng) * np.float32(0.5)
    first, second = warp(picture, truth, bicubic=True), picture.copy()
    ys, xs = np.mgrid[0:height, 0:width]
    for _ in range(4):
        x, y = rng.uniform(0.2, 0.8, 2) * (width, height)
        radius = rng.uniform(0.1, 0.2) * min(height, width)
        shift = rng.integers(-9, 10, 2)
        disc = np.hypot(xs - x, ys - y) < radius
        first[disc], truth[disc] = other[disc], shift
        there = np.hypot(xs - x - shift[0], ys - y - shift[1]) < radius
        second[there] = np.roll(other, (shift[1], shift[0]), (0, 1))[there]
    return Pair(kind, *(_noisy(cv2.GaussianBlur(p, (0, 0), 0.6), rng) for p in (first, second)), truth)


def _noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(picture + rng.normal(size=picture.shape) * NOISE), 0, 255).astype(np.uint8)


def pairs(data: Path, more: Path | None) -> list[Pair]:
    made = [*chairs(data / "flow_gt"), *(chairs(more) if more else ())]
    frames = [read_frames(data / CLIPS[c].path, CLIPS[c].first, 16, SIDE)[FRAME] for c in SCORED]
    for number, frame in enumerate(frames):
        made += [known(k, frame, frames[number - 1], 10 * number + i) for i, k in enumerate(KINDS)]
    return made


def installed() -> list[str]:
    """The methods that can be made here."""
    found = []
    for name in FLOWS:
        try:
            FLOWS.load(name)()
        except UsageError:
            continue
        found.append(name)
    return found


def exactness(names: list[str], every: list[Pair]) -> Table:
    """A row for each method: mean errors by kind, and its time beside dis's, pair by pair in turns, on one thread."""
    kinds = list(dict.fromkeys(pair.kind for pair in every))
    errors: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    times: dict[str, float] = dict.fromkeys(names, 0.0)
    estimators = {name: FlowEstimator(name) for name in names}
    for pair in every:
        for name, estimator in estimators.items():
            first, second = (estimator.prepare(p) for p in (pair.first, pair.second))
            began = time.perf_counter()
            flow, back = estimator.estimate_both(first, second)
            times[name] += time.perf_counter() - began
            off, kept = np.linalg.norm(flow - pair.truth, axis=2), forward_backward(flow, back)
            found = float(off.mean()), float(off[kept].mean()), float(kept.mean())
            errors.setdefault((name, pair.kind), []).append(found)
    table = Table("Error in pixels / where the test keeps it / share kept", ["method", *kinds, "time over dis"])
    for name in names:
        cells = ["{:.2f} / {:.2f} / {:.2f}".format(*np.mean(errors[name, kind], axis=0)) for kind in kinds]
        table.rows.append([name, *cells, f"{times[name] / times['dis']:.2f}"])
    return table


def main() -> None:
    parser = harness.parser(__doc__, data=True)
    parser.add_argument("--chairs", type=Path, metavar="DIR", help="more pairs of FlyingChairs")
    parser.add_argument("--methods", type=harness.comma_list, help="all that are installed unless given")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    names = options.methods or installed()
    print(exactness(list(dict.fromkeys(("dis", *names))), pairs(options.data, options.chairs)).text(), flush=True)


if __name__ == "__main__":
    harness.run(main)
