"""Measure painted films: how calm they are, what they cost, and how they stand beside painters of single frames.

    python -m benchmarks.painters DATA --cache DIR [--calm] [--speed] [--peers] [--media oil,pencil] [--clips dog]

Without one of the three parts, all are measured. All media on all clips take hours. ``--calm`` keeps each result in DIR
until the code or the medium changes.

``--calm``: 24 frames of ten clips at 384 lines in each medium. *over source*: the warping error of the painted film
over that of its source. *over boil*: over that of the same medium laid afresh for each frame (``boil = 1``). *alive*:
the share of the strokes of the first frame that live in the last; at .5, the median life is as long as the span. The
constants of media were chosen on the first five clips; the other five were held out. Media of screens alone have no
strokes, and those of sheets and screens no life.

``--speed``: the command ``vidtrans stylize`` as a process of its own, everything included, in turns with the same
command without strokes. Seconds of wall and of CPU are those of a further frame of a long clip. A clip of one frame
gives the time to the first picture, with kept kernels and with a new folder for them.

``--peers``: OpenCV's ``stylization``, ``pencilSketch`` and ``xphoto.oilPainting`` (of opencv-contrib), and filters of
the program G'MIC, on each frame by itself, beside the medium of ours that is nearest. Films of both beside the source
are written to DIR; with ``--blind`` without names, in an order that ``sides.json`` has, for somebody who votes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import read_frames, write_clip
from benchmarks.store import Store, digest, source_digest, tell
from benchmarks.tables import figure, head, row
from vidtrans.metrics.consistency import Scorer
from vidtrans.strokes.media import load_medium, medium_names
from vidtrans.strokes.medium import Medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings

LINES = 384
CHOSEN = ("dog.mp4", "juggle.mp4", "cockatoo_yuv420.mp4", "friday.mp4", "flower.mp4")  # constants were chosen on these
HELD_OUT = ("asl_walk.mkv", "carphone_176x144.mp4", "bigbuckbunny_720p.mp4", "stream-of-water.mp4", "wolf_512.mp4")
SPEED_CLIP = "dog.mp4"
SIZES = {480: 48, 1080: 24, 2160: 6}  # lines, and frames of a long clip
FEW = 2  # frames of a short clip: the difference to the long one is without the start
GMIC = "gmic"
# A small process of its own: the peak memory of a child counts from that of the process which starts it.
WATCH = """
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
sys.exit(status)
"""
VALUES = dict.fromkeys(CURVES, 1.0)
CODE = source_digest((Path(__file__).parents[1] / "vidtrans" / "strokes").glob("*.py"))
Frames = Sequence[np.ndarray]


def read_at(path: Path, count: int, lines: int) -> list[np.ndarray]:
    """Return the first frames of a clip, scaled to a short side, also up, and to even sizes. Raises Missing."""
    frames = read_frames(path, 0, count, short=lines, least=2)
    scale = lines / min(frames[0].shape[:2])
    width, height = (round(side * scale / 2) * 2 for side in frames[0].shape[1::-1])
    return [cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) for frame in frames]


# Calm


def paint(name: str, frames: Frames, **settings: int) -> tuple[list[np.ndarray], float | None]:
    """Return frames painted in a medium, and the share of the first frame's strokes that live in the last one."""
    painter = StrokePainter(load_medium(name), StrokesSettings(**settings), (frames[0].shape[1], frames[0].shape[0]))
    painted, alive = [], []
    for number, frame in enumerate(frames):
        painted.append(painter.paint(number, frame, frame, VALUES, starts_shot=number == 0))
        alive.append(_living(painter.medium, painter.state()) if number in (0, len(frames) - 1) else set())
    return painted, len(alive[0] & alive[-1]) / len(alive[0]) if alive[0] else None


def _living(medium: Medium, state: Mapping[str, np.ndarray]) -> set[tuple[int, int]]:
    """Return the layers and numbers of the strokes and cells that live and do not fade out, of a painter's state."""
    layers = [n for n, layer in enumerate(medium.layers) if layer.kind != "sheets"]
    return {(layer, int(n)) for layer in layers for n in state[f"{layer}.ids"][state[f"{layer}.dying"] == 0]}


def warping_error(source: Frames, made: Frames) -> float:
    """Return the warping error of a film along its source's motion."""
    scorer = Scorer()
    for number, (frame, picture) in enumerate(zip(source, made, strict=True)):
        scorer.add(frame, picture, starts_shot=number == 0)
    return float(scorer.scores().summary["warping_error"])


def measure_calm(name: str, frames: Frames) -> dict[str, float | None]:
    """Return the ratios of a medium on a clip."""
    painted, alive = paint(name, frames)
    error, own = warping_error(frames, painted), warping_error(frames, frames)
    found: dict[str, float | None] = {"source": error / own, "boil": None, "alive": None}
    if load_medium(name).layers:
        found |= {"boil": error / warping_error(frames, paint(name, frames, boil=1)[0]), "alive": alive}
    return found


def calm(store: Store, clips: dict[str, Frames], media: Sequence[str]) -> None:
    """Print a row for each medium and clip, then the means over clips."""
    head("medium", "clip", "over source", "over boil", "alive")
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in media:
        medium = load_medium(name)
        for clip, frames in clips.items():
            tell(f"{name}, {clip}")
            key = digest(CODE, medium.digest, *frames)
            one = store.table(f"calm-{medium.name}-{clip}", key, lambda n=name, f=frames: measure_calm(n, f))
            found.setdefault(medium.name, {})[clip] = one
            row(medium.name, clip, one["source"], one["boil"], one["alive"])
    print()
    head("medium", "clips", "over source", "over boil", "alive")
    chosen = {Path(name).stem for name in CHOSEN}
    for name, ones in found.items():
        groups = {"chosen on": [c for c in ones if c in chosen], "held out": [c for c in ones if c not in chosen]}
        for group, members in {**groups, "all": list(ones)}.items():
            if members:
                row(
                    name,
                    f"{group} ({len(members)})",
                    *(_mean([ones[c][k] for c in members]) for k in ("source", "boil", "alive")),
                )


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


# Speed


@dataclass(frozen=True)
class Cost:
    """The cost of a process: wall time and CPU time in seconds, and peak memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def cost_of(folder: Path, clip: Path, medium: str, frames: int, **variables: str) -> Cost:
    """Render the first frames of a clip with a new cache, in a medium or, for '', without; return the cost."""
    look = ("--look", medium) if medium else ("--model", "identity", "--temporal", "off")
    cache, output = folder / "cache", folder / "speed.mkv"
    words = (
        "stylize",
        clip,
        *look,
        "--end",
        frames,
        "-o",
        output,
        "--cache-dir",
        cache,
        "--overwrite",
        "--device",
        "cpu",
    )
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *harness.vidtrans_command(*words)],
        env=harness.environment(**variables),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise harness.Missing(f"{medium}: {done.stderr}")
    shutil.rmtree(cache, ignore_errors=True)
    return Cost(*map(float, done.stdout.split()[-3:]))


def speed(data: Path, media: Sequence[str], lines: Sequence[int], rounds: int) -> None:
    """Print what a frame costs in each medium at each size, and the time to a first picture."""
    print(f"{harness.machine()}; load {os.getloadavg()[0]:.1f}\n")
    with harness.work_folder() as folder:
        clips = {}
        for size in lines:
            frames = read_at(data / "video" / SPEED_CLIP, SIZES[size], size)
            clips[size] = write_clip(folder / f"{size}.mp4", frames)
        cost_each_frame(folder, clips, media, rounds)
        print()
        first_pictures(folder, clips[lines[0]], media, rounds)


def cost_each_frame(folder: Path, clips: dict[int, Path], media: Sequence[str], rounds: int) -> None:
    """Print what a further frame costs. Ratios are to the same command without strokes, in the same round."""
    head("medium", "lines", "wall ms a frame", "CPU ms a frame", "CPU over no strokes", "peak MB")
    for size, clip in clips.items():
        works = {name: lambda n=name, c=clip, s=size: _long_and_short(folder, c, n, SIZES[s]) for name in ("", *media)}
        found = harness.in_turns(works, rounds, warm_up=0, measure=lambda work: work())
        for name in ("", *media):
            wall, cpu = ([cost[k] * 1000 for cost in found[name]] for k in (0, 1))
            over = harness.ratios([c[1] for c in found[name]], [c[1] for c in found[""]])
            peak = f"{max(cost[2] for cost in found[name]):.0f}"
            row(
                name or "(no strokes)",
                size,
                harness.spread(wall, 0),
                harness.spread(cpu, 0),
                harness.spread(over, 1),
                peak,
            )


def _long_and_short(folder: Path, clip: Path, medium: str, frames: int) -> tuple[float, float, float]:
    """Return the seconds of wall and CPU of a further frame, and the peak memory in MB."""
    short, long = (cost_of(folder, clip, medium, count) for count in (FEW, frames))
    more = frames - FEW
    return (long.wall_s - short.wall_s) / more, (long.cpu_s - short.cpu_s) / more, long.peak_mb


def first_pictures(folder: Path, clip: Path, media: Sequence[str], rounds: int) -> None:
    """Print how long a clip of one frame takes, with kept kernels and with a new folder for them."""
    head("medium", "first picture, s", "kernels compiled first, s", "no strokes, s")
    for name in media:
        cost_of(folder, clip, name, 1)  # kernels are kept now
        works: dict[str, Callable[[], object]] = {
            "kept": lambda n=name: cost_of(folder, clip, n, 1),
            "new": lambda n=name: _compiling(folder, clip, n),
            "none": lambda: cost_of(folder, clip, "", 1),
        }
        found = harness.in_turns(works, rounds, warm_up=0, measure=lambda work: work().wall_s)
        row(name, *(harness.spread(found[key], 1) for key in ("kept", "new", "none")))


def _compiling(folder: Path, clip: Path, name: str) -> Cost:
    kernels = folder / "kernels"
    shutil.rmtree(kernels, ignore_errors=True)
    return cost_of(folder, clip, name, 1, NUMBA_CACHE_DIR=str(kernels))


# Peers


@dataclass(frozen=True)
class Peer:
    """A painter of single frames; ``medium``: of ours, the one that is nearest."""

    medium: str
    work: Callable[[Frames], list[np.ndarray]]


def with_opencv(work: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frames], list[np.ndarray]]:
    """Return a peer's work on RGB frames from its work on one BGR frame."""
    return lambda frames: [np.ascontiguousarray(work(frame[..., ::-1].copy())[..., ::-1]) for frame in frames]


def oil_painting(frame: np.ndarray) -> np.ndarray:
    """Return a frame by ``oilPainting`` at a neighbourhood of 7 pixels. Raises Missing without opencv-contrib."""
    if not hasattr(cv2, "xphoto"):
        raise harness.Missing("no cv2.xphoto: put opencv-contrib-python-headless first on PYTHONPATH")
    return cv2.xphoto.oilPainting(frame, 7, 1)


def with_gmic(*words: str) -> Callable[[Frames], list[np.ndarray]]:
    """Return the work of a filter of G'MIC. Raises Missing without the program."""

    def work(frames: Frames) -> list[np.ndarray]:
        if shutil.which(GMIC) is None:
            raise harness.Missing("no program gmic")
        with harness.work_folder() as folder:
            names = [folder / f"{n:04d}.png" for n in range(len(frames))]
            for name, frame in zip(names, frames, strict=True):
                cv2.imwrite(str(name), frame[..., ::-1])
            for name in names:  # a filter could mix the pictures of one call
                command = [GMIC, "-v", "-1", str(name), *words, "-o", str(name)]
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    raise harness.Missing(f"this gmic has no {words[0]}")
            return [np.ascontiguousarray(cv2.imread(str(name), cv2.IMREAD_COLOR)[..., ::-1]) for name in names]

    return work


PEERS = {
    "OpenCV stylization": Peer("watercolour", with_opencv(lambda frame: cv2.stylization(frame, None, 60, 0.45))),
    "OpenCV pencilSketch": Peer(
        "coloured-pencil", with_opencv(lambda frame: cv2.pencilSketch(frame, None, None, 60, 0.07, 0.02)[1])
    ),
    "OpenCV oilPainting": Peer("oil", with_opencv(oil_painting)),
    "G'MIC fx_painting": Peer("oil", with_gmic("fx_painting", "5,2.5,1.5,50,1")),
    "G'MIC pencilbw": Peer("pencil", with_gmic("pencilbw", "0.3,60")),
    "G'MIC cubism": Peer("mosaic", with_gmic("cubism", "160")),
}


def peers(folder: Path, clips: dict[str, Frames], *, blind: bool) -> None:
    """Print the warping errors of peers and of our nearest media; write a film of each pair beside its source."""
    head("peer", "our medium", "clip", "peer's error over source", "ours over source", "peer's over ours", "film")
    sides: dict[str, str] = {}
    for clip, frames in clips.items():
        own = warping_error(frames, frames)
        ours = {medium: paint(medium, frames)[0] for medium in {peer.medium for peer in PEERS.values()}}
        for name, peer in PEERS.items():
            try:
                theirs = peer.work(frames)
            except harness.Missing as why:
                harness.skip(name, why)
                continue
            pair = {name: theirs, peer.medium: ours[peer.medium]}
            order = list(pair)
            film = f"{clip}-{name.replace(' ', '-').replace(chr(39), '').lower()}.mp4"
            if blind:
                film = f"{digest(clip, name)[:6]}.mp4"
                order = order[:: -1 if int(digest(name, clip), 16) % 2 else 1]
                sides[film] = f"A: {order[0]}, B: {order[1]}"
            titles = ("source", *(("A", "B") if blind else order))
            three = zip(frames, *(pair[side] for side in order), strict=True)
            write_clip(folder / film, [beside(titles, pictures) for pictures in three], crf="16")
            errors = [warping_error(frames, made) / own for made in pair.values()]
            row(name, peer.medium, clip, *errors, figure(errors[0] / errors[1]), film)
    if blind:
        (folder / "sides.json").write_text(json.dumps(sides, indent=1))


def beside(titles: Sequence[str], pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures side by side, each with its title."""
    made = []
    for title, picture in zip(titles, pictures, strict=True):
        one = picture.copy()
        for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(one, title, (10, one.shape[0] - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, width, cv2.LINE_AA)
        made.append(one)
    return np.hstack(made)


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True, rounds=3)
    for part in ("calm", "speed", "peers"):
        parser.add_argument(f"--{part}", action="store_true", help="measure this part")
    parser.add_argument("--blind", action="store_true", help="films of --peers for a vote: sides A and B")
    parser.add_argument(
        "--media",
        type=harness.comma_list,
        default=list(medium_names()),
        help="of --calm and --speed, or TOML files [default: all]",
    )
    names = [Path(name).stem for name in (*CHOSEN, *HELD_OUT)]
    parser.add_argument(
        "--clips", type=harness.comma_list, default=names, help="of --calm and --peers [default: all ten]"
    )
    parser.add_argument(
        "--frames", type=int, default=24, help="of each clip, for --calm and --peers [default: %(default)s]"
    )
    parser.add_argument(
        "--lines", type=harness.comma_list, default=["480", "1080", "2160"], help="of --speed [default: 480,1080,2160]"
    )
    given = parser.parse_args()
    whole = not (given.calm or given.speed or given.peers)
    clips: dict[str, Frames] = {}

    def read(name: str) -> None:
        clips[Path(name).stem] = read_at(given.data / "video" / name, given.frames, LINES)

    if whole or given.calm or given.peers:
        harness.each([name for name in (*CHOSEN, *HELD_OUT) if Path(name).stem in given.clips], read)
        if not clips:
            raise harness.Missing("none of the clips is there")
    if whole or given.calm:
        calm(Store(given.cache), clips, given.media)
    if whole or given.speed:
        speed(given.data, given.media, [int(size) for size in given.lines], given.rounds)
    if whole or given.peers:
        peers(given.cache, clips, blind=given.blind)


if __name__ == "__main__":
    harness.run(main)
