"""Measure whether a dream follows its camera, foretells new parts of the scene, and keeps places that it has left.

    python -m benchmarks.dream.steering DATA --cache DIR [--clips flower,juggle,dog] [--steps 8000] [--seeds 2]

A model of preset `roam` learns each clip through a window of half its height. Then a script of random commands of 10 to
30 frames, which keeps the window in the clip, steers films of 300 frames. Printed are: `frames` and `commands`, the
share whose direction (within 30 degrees) and speed (within 25 %) an independent flow estimate sees (feature points that
are tracked, a similarity by RANSAC; of a command its median), less what it sees of the clip's own motion: in the clip's
frames to which the film points, through the same windows and not moved; `+h10`, the PSNR ten frames on in held-out
blocks over that of the last frame, moved as the camera was; `sharpness` at frames 90 to 110, relative to that of the
frames to which it points, seen through the same windows; after 30 frames of leaving a place and 30 of coming back, the
PSNR registered with the frame before, `back`, and with the clip's frame to which it points, `place`; and the frames a
second of the rollout. Models, results and sheets of frames are kept in DIR. Clips that are not there
are skipped, in a line.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.dream.rollouts import CLIPS
from benchmarks.store import Store
from benchmarks.tables import head, row
from benchmarks.trainings import Contender, learner, shared_options, timed_training
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.data.dataset import open_dataset
from vidtrans.data.moving_windows import render
from vidtrans.dreaming.predictors import load_models
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls, RolloutModel
from vidtrans.dreaming.seeds import to_signed
from vidtrans.dreaming.sequencer import ModelSequencer
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import MOVES
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.metrics.picture_quality import psnr, sharpness
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.training.finish import RolloutScorer
from vidtrans.video.images.picture import picture_size, read_picture, write_picture
from vidtrans.video.plots import ContactSheet

FRAMES = 300
SIZES = dict.fromkeys(CLIPS, "160") | {"carphone": "144"}
SHORTEST, LONGEST = 10, 30  # frames of a command
STEERED = ("left", "right", "up", "down", "zoom", "zoom-out", "turn-left", "turn-right", "stay")
SPEED, DIRECTION = 0.25, 30.0  # what a command may miss: share, degrees
STILL = 0.3  # pixels a frame at the edge of a picture, below which it stands
AT = slice(90, 110)  # frames in which sharpness is measured
LEAVE = 30  # frames of leaving, and of coming back
HORIZON = 10
COLUMNS = ("steps", "s", "frames", "commands", "+h10", "sharpness", "back", "place", "fps", "MB")


class Segment(NamedTuple):
    """A command from frame ``first`` on."""

    first: int
    name: str


def move_of(name: str, speed: float = 1.0) -> CameraMove:
    """Return a command's move of a frame."""
    values = {k: v**speed if k == "zoom" else v * speed for k, v in MOVES[name].items()}
    return CameraMove(**values)


def is_inside(view: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether a window's corners lie in the frame."""
    corners = np.array([[x * size[0] / 2, y * size[1] / 2, 1.0] for x in (-1, 1) for y in (-1, 1)])
    there = np.abs(corners @ view[:2].T)
    return bool((there <= np.array(frame) / 2 + 1).all())


def draw_script(rng: np.random.Generator, size: tuple[int, int], frame: tuple[int, int]) -> list[Segment]:
    """Return random commands that keep the window, which begins in the middle, in the frame."""
    segments, view, first = [], np.eye(3), 0
    while first < FRAMES:
        length = int(rng.integers(SHORTEST, LONGEST + 1))
        for name in rng.permutation(STEERED):
            then = view @ np.linalg.matrix_power(move_of(name).view(*size), length)
            if is_inside(then, size, frame):
                break
        segments.append(Segment(first, str(name)))
        view, first = then, first + length
    return segments


def seen_move(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """Return the motion of a picture's content, as a similarity (2, 3) about its middle; None if it cannot be seen."""
    grey = [cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), None, fx=2, fy=2) for p in (before, after)]
    points = cv2.goodFeaturesToTrack(grey[0], 200, 0.01, 6)
    if points is None or len(points) < 6:
        return None
    found, known, _ = cv2.calcOpticalFlowPyrLK(*grey, points, None, winSize=(21, 21), maxLevel=2)
    known = known.ravel() == 1
    if known.sum() < 6:
        return None
    middle = np.array([grey[0].shape[1], grey[0].shape[0]]) / 2
    here, there = (p.reshape(-1, 2)[known] - middle for p in (points, found))
    cv2.setRNGSeed(0)
    rows, _ = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if rows is None:
        return None
    rows[:, 2] /= 2
    return rows


def motion_vector(rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a similarity in pixels: shift across and down, and zoom and turn at a quarter of the width."""
    return np.array([rows[0, 2], rows[1, 2], (rows[0, 0] - 1) * size[0] / 4, rows[1, 0] * size[0] / 4])


def is_obeyed(seen: np.ndarray, wanted: np.ndarray) -> bool:
    """Return whether a motion has the direction and the speed that are wanted."""
    if not np.isfinite(seen).all():
        return False
    speed = float(np.linalg.norm(wanted))
    if speed == 0:
        return bool(np.linalg.norm(seen) <= STILL)
    length = float(np.linalg.norm(seen))
    angle = np.degrees(np.arccos(np.clip(seen @ wanted / max(1e-9, length * speed), -1, 1)))
    return bool(angle <= DIRECTION and abs(length / speed - 1) <= SPEED)


class Film(NamedTuple):
    """The frames of a rollout, (H, W, 3) uint8, and the kept frame that each follows from."""

    frames: list[np.ndarray]
    places: list[int]


def film_of(model: RolloutModel, seed: list[np.ndarray], moves: list[CameraMove]) -> Film:
    """Return a rollout that the moves steer."""
    controls = RolloutControls(lambda frame: moves[frame], lambda frame: 1.0)
    rollout = Rollout([to_signed(picture) for picture in seed], lambda frame: model, controls)
    film = Film([], [])
    for _ in moves:
        film.frames.append(to_pictures(rollout.step()[None], deep=False)[0])
        film.places.append(rollout.place or 0)
    return film


class Steered:
    """A model of a clip, and the frames that it learned."""

    def __init__(self, clip: str, model: Path, folder: Path, cache: Path) -> None:
        context = Context(cache_dir=cache / "vidtrans", device="cpu")
        [look] = load_models([str(model)], context)
        settings = DreamingSettings(rotate=1.0, drift_correction=0.0)
        self.model = ModelSequencer([look], settings, RenderingSettings(), context, FRAMES)(0)
        dataset = open_dataset(folder)
        self.files = sorted((folder / Path(CLIPS[clip]).stem).glob("*.png"))
        self.frame = picture_size(self.files[0])
        short = look.record.size if look.record else 0
        self.size = round(self.frame[0] * short / self.frame[1]), short
        pairs = dataset.role("train")
        self.blocks = RolloutScorer(dataset, pairs, dataset.pairing, self.model.pointer.memory, self.size).blocks
        self.start = pairs[0].inputs

    def seed(self, paths: tuple[Path, ...]) -> list[np.ndarray]:
        return [render(read_picture(path), np.eye(3), self.size) for path in paths]

    def steered(self, seed: int, strip: Path) -> Table:
        """Return how far a random script is obeyed, and the sharpness."""
        script = draw_script(np.random.default_rng(seed), self.size, self.frame)
        at = [max(s for s in script if s.first <= n) for n in range(FRAMES)]
        moves = [move_of(segment.name) for segment in at]
        began = time.perf_counter()
        film = film_of(self.model, self.seed(self.start), moves)
        fps = FRAMES / (time.perf_counter() - began)
        step = self.model.pointer.memory.step
        vectors, wanted, view = [], [], moves[0].view(*self.size)
        for number in range(1, FRAMES):
            seen = self.motion(*film.frames[number - 1 : number + 1])
            shown = [self.kept(film.places[n] + step, view) for n in (number - 1, number)]
            own = self.motion(*shown) if film.places[number] == film.places[number - 1] + step else np.zeros(4)
            vectors.append(seen - own)
            view = view @ moves[number].view(*self.size)
            wanted.append(motion_vector(np.linalg.inv(moves[number].view(*self.size))[:2], self.size))
        obeyed = [is_obeyed(a, b) for a, b in zip(vectors, wanted, strict=True)]
        commands = []
        for segment, following in pairwise([*script, Segment(FRAMES, "")]):
            rows = slice(segment.first, max(following.first - 1, segment.first + 1))
            commands.append(is_obeyed(np.nanmedian(vectors[rows], axis=0), wanted[segment.first]))
        write_picture(strip, self.sheet(film.frames, at))
        views = list(accumulate((move.view(*self.size) for move in moves), np.matmul))
        truth = [self.kept(film.places[n] + step, views[n]) for n in range(FRAMES)[AT]]
        sharp = statistics.mean(map(sharpness, film.frames[AT])) / statistics.mean(map(sharpness, truth))
        return {"frames": np.mean(obeyed), "commands": np.mean(commands), "sharpness": sharp, "fps": fps}

    def kept(self, place: int, view: np.ndarray) -> np.ndarray:
        """Return what a window shows of a kept frame."""
        pictures = self.model.pointer.memory.pictures
        scale = np.diag([pictures.shape[2] / self.frame[0], pictures.shape[1] / self.frame[1], 1.0])
        return render(np.ascontiguousarray(pictures[place]), scale @ view, self.size)

    def motion(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return how the content moves, see ``motion_vector``; NaN where it cannot be seen."""
        rows = seen_move(before, after)
        return np.full(4, np.nan) if rows is None else motion_vector(rows, self.size)

    def sheet(self, film: list[np.ndarray], at: list[Segment]) -> np.ndarray:
        numbers = (0, 29, 59, 99, 149, 199, 249, 299)
        notes = [[f"frame {n + 1}: {at[n].name}" for n in half] for half in (numbers[:4], numbers[4:])]
        rows = [[film[n] for n in half] for half in (numbers[:4], numbers[4:])]
        sheet: np.ndarray = ContactSheet("", rows, (2 * self.size[0], 2 * self.size[1]), notes=notes).draw()
        return sheet

    def foresight(self) -> Table:
        """Return the gain over a moved copy, in held-out blocks, for each of four directions."""
        gains = []
        for block in self.blocks:
            if len(block.truth) < HORIZON:
                continue
            for name in ("left", "right", "up", "zoom"):
                moves, seed = [move_of(name)] * HORIZON, self.seed(block.pair.inputs)
                film = film_of(self.model, seed, moves)
                view = np.linalg.matrix_power(moves[0].view(*self.size), HORIZON)
                truth = render(read_picture(block.truth[HORIZON - 1]), view, self.size)
                gains.append(psnr(film.frames[-1], truth) - psnr(render(seed[-1], view, self.size), truth))
        return {"+h10": statistics.mean(gains)}

    def back(self) -> Table:
        """Return the PSNR of a place that was left and come back to, registered: means of two directions."""
        found: Table = {"back": [], "place": []}
        for there, home in (("left", "right"), ("down", "up")):
            moves = [move_of("stay")] * 60 + [move_of(there)] * LEAVE + [move_of(home)] * LEAVE + [CameraMove()] * 5
            film = film_of(self.model, self.seed(self.start), moves)
            place = film.places[-1] + self.model.pointer.memory.step
            for name, before in (("back", film.frames[59]), ("place", self.kept(place, np.eye(3)))):
                found[name].append(self.registered(before, film.frames[-1]))
        return {name: statistics.mean(values) for name, values in found.items()}

    def registered(self, before: np.ndarray, after: np.ndarray) -> float:
        """Return the PSNR of a picture and another that is moved onto it, but for their borders."""
        rows = seen_move(before, after)
        width, height = self.size
        if rows is not None:
            middle = np.array([width / 2, height / 2])
            rows[:, 2] += middle - rows[:, :2] @ middle
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            after = cv2.warpAffine(after, rows, self.size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        inner = slice(height // 8, -height // 8), slice(width // 8, -width // 8)
        return psnr(before[inner], after[inner])


def result(clip: str, seed: int, options: argparse.Namespace) -> Table:
    """Return the scores of a model of a clip. Raises Missing, VidtransError."""
    cache, store = options.cache, Store(options.cache)
    source, size = harness.need(options.data / "video" / CLIPS[clip]), SIZES[clip]
    training = {"crop_size": int(size) // 2}
    contender = Contender("roam", "roam", {"training": training})
    settings = contender.settings(size)
    name = f"{clip}-roam-{contender.digest(size)}"
    folder, model = cache / f"{name}.dataset", cache / f"{name}-{options.steps}-{seed}.safetensors"

    def measure() -> Table:
        vidtrans.make_dataset(source, folder, preset="roam", settings=settings, **shared_options(cache))
        made = timed_training(learner(folder, "roam", settings, cache), model, options.steps, seed)
        steered = Steered(clip, model, folder, cache)
        found: Table = {"steps": options.steps, "s": made["seconds"], "MB": model.stat().st_size / 1e6}
        found |= steered.steered(seed, cache / f"{model.stem}.png") | steered.foresight() | steered.back()
        return {key: float(value) for key, value in found.items()}

    return store.table("steering", model.stem, measure)


def show(clip: str, options: argparse.Namespace) -> None:
    """Print the row of a clip."""
    tables = [result(clip, seed, options) for seed in range(options.seeds)]
    row(clip, *(harness.mean_spread([t[c] for t in tables], 2) for c in COLUMNS))


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--clips", type=harness.comma_list, default=list(CLIPS))
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    use_huge_pages()
    head("clip", *COLUMNS)
    harness.each(options.clips, lambda clip: show(clip, options))


if __name__ == "__main__":
    harness.run(main)
