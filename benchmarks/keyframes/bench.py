"""Painted key frames on clips whose painting is known in every frame.

    python -m benchmarks.keyframes.bench DATA --cache DIR [--parts choosing,painted] [--only NAMES] [--tuning]

No constant was chosen on these clips; ``--tuning`` takes those on which they were.

choosing: PSNR of the paintings' frames made of the two that ``vidtrans keyframes`` chooses, beside the best, the mean
and the outermost pair of the same candidates, all at half size and carried along the motion. painted: the clip from two
painted frames, by ``vidtrans propagate``, with and without a network, beside the nearest key frame carried along the
motion. PSNR and sharpness (over the truth's) of unseen frames, and warping error over the truth's. Of the lynx no
painting is known: sharpness is over its key frames', and the warping error, times 1,000, of frames in a row in its
middle.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.clips import LOSSLESS, read_frames, write_folder
from benchmarks.consistency.measure import FLOW
from benchmarks.harness import Missing
from benchmarks.keyframes.cases import Case, plan
from benchmarks.store import Store, digest, source_digest
from benchmarks.tables import head, row
from vidtrans.core.settings import Size
from vidtrans.flow.warping import halve, warp
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import psnr, sharpness
from vidtrans.painting.choosing import SHORT_SIDE, ShotChooser, sample_numbers
from vidtrans.painting.composing import Painting, blend
from vidtrans.painting.maps import Guide, KeyFlow, Step, track_both_ways
from vidtrans.video.images.picture import resize, write_picture

PACKAGE = Path(vidtrans.__file__).parent
SOURCES = [
    *PACKAGE.glob("painting/*.py"),
    PACKAGE / "flow" / "warping.py",
    *PACKAGE.glob("propagation/pa*.py"),
    PACKAGE / "networks" / "few_shot.py",
    PACKAGE.parent / "presets" / "painted.toml",
]
EVERY = 6  # frames between those that a pair of key frames is scored on
STEADY = 16  # frames in a row that are scored where no painting is known
Maps = dict[int, dict[int, KeyFlow]]  # of each key, by frame


def maps_of(frames: Sequence[np.ndarray], keys: Sequence[int]) -> Maps:
    guides = [Guide.of(frame) for frame in frames]
    steps = [Step.between(*both) for both in itertools.pairwise(guides)]
    still = KeyFlow.zero(*frames[0].shape[:2])
    return {key: {key: still, **dict(track_both_ways(key, guides, steps))} for key in keys}


def painting(frame: int, rgb: np.ndarray) -> Painting:
    return Painting(frame, rgb.astype(np.float32) / 255, np.ones(rgb.shape[:2], np.float32))


def to_levels(picture: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


# Which frames


def choosing(case: Case, _: Store) -> Iterator[list[object]]:
    if any(painting is None for painting in case.paintings):
        raise Missing(f"{case.name}: its paintings are not known")
    numbers = sample_numbers(0, len(case.frames), 2)
    height, width = case.frames[0].shape[:2]
    size = Size(short=SHORT_SIDE).of(width, height)
    chooser = ShotChooser(numbers, [resize(case.frames[n], *size) for n in numbers])
    frames = [halve(frame) for frame in case.frames]
    paintings = [halve(p) for p in case.paintings if p is not None]
    maps, scored = maps_of(frames, chooser.candidates), range(EVERY // 3, len(frames), EVERY)
    found = {}
    for pair in itertools.combinations(chooser.candidates, 2):
        scores = []
        for at in (n for n in scored if n not in pair):
            made = blend(at, [(painting(key, paintings[key]), maps[key][at]) for key in pair])
            scores.append(psnr(to_levels(made.rgb), paintings[at]))
        found[pair] = float(np.mean(scores))
    first, last = chooser.candidates[0], chooser.candidates[-1]
    keys = chooser.best(2).keys
    every = list(found.values())
    yield [case.name, found[keys[0], keys[1]], max(every), float(np.mean(every)), found[first, last]]


# The clip


@dataclass(frozen=True)
class Film:
    """What a way has made: frames by number, and the seconds that it took; None where that says nothing."""

    frames: dict[int, np.ndarray]
    seconds: float | None = None


def nearest(case: Case, maps: Maps) -> Film:
    made = {}
    for at in range(len(case.frames)):
        key = min(case.keys, key=lambda key: abs(key - at))
        rgb = case.paintings[key]
        assert rgb is not None
        made[at] = to_levels(warp(painting(key, rgb).rgb, maps[key][at].flow, bicubic=True))
    return Film(made)


def propagated(case: Case, store: Store, **options: Any) -> Film:
    """All frames as ``vidtrans propagate`` paints them."""
    key = digest(str(sorted(options.items())), source_digest(SOURCES), *case.frames, *case.painted)
    took: dict[str, Any] = {}

    def made() -> list[np.ndarray]:
        place = store.folder / f"{case.name}-propagated"
        shutil.rmtree(place, ignore_errors=True)
        write_folder(place / "clip", case.frames)
        for number, rgb in zip(case.keys, case.painted, strict=True):
            write_picture(place / "keys" / f"{number:05d}.png", rgb)
        settings = {"encoding": LOSSLESS, "rendering": {"cuts": "off"}}
        began = time.monotonic()
        common: dict[str, Any] = {"cache_dir": place / "cache", "settings": settings, **options}
        vidtrans.propagate(place / "clip", place / "keys", place / "o.mkv", **common)
        took["seconds"] = time.monotonic() - began
        return read_frames(place / "o.mkv")

    frames = store.pictures(f"{case.name}-propagated", key, made)
    took = store.table(f"{case.name}-seconds", key, lambda: took)
    return Film(dict(enumerate(frames)), took.get("seconds"))


def painted(case: Case, store: Store) -> Iterator[list[object]]:
    truth_error, middle = 1e-3, len(case.frames) // 2
    shown = range(len(case.frames)) if case.unseen else range(middle - STEADY // 2, middle + STEADY // 2)
    if case.unseen:
        truth_error = warping_error(case.frames, [p for p in case.paintings if p is not None])
    ways: dict[str, Callable[[], Film]] = {
        "nearest key frame": lambda: nearest(case, maps_of(case.frames, case.keys)),
        "motion alone": lambda: propagated(case, store, minutes=0),
        "propagate": lambda: propagated(case, store),
    }
    for name, way in ways.items():
        film = way()
        numbers = [n for n in film.frames if n not in case.keys]
        error = warping_error([case.frames[n] for n in shown], [film.frames[n] for n in shown]) / truth_error
        truths = {n: truth for n in numbers if (truth := case.paintings[n]) is not None}
        if truths:
            db = float(np.mean([psnr(film.frames[n], truth) for n, truth in truths.items()]))
            sharp = [sharpness(film.frames[n]) / sharpness(truth) for n, truth in truths.items()]
        else:
            db, keys = None, np.mean([sharpness(p) for p in case.painted])
            sharp = [sharpness(film.frames[n]) / keys for n in numbers]
        yield [case.name, name, db, float(np.mean(sharp)), error, film.seconds]


def warping_error(frames: Sequence[np.ndarray], pictures: Sequence[np.ndarray]) -> float:
    scorer = Scorer(FLOW)
    for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        scorer.add(frame, picture, None, None, starts_shot=number == 0)
    return float(scorer.scores().summary["warping_error"] or 0)


PARTS: dict[str, tuple[tuple[str, ...], Callable[[Case, Store], Iterator[list[object]]]]] = {
    "choosing": (("case", "chosen", "best", "mean", "first and last"), choosing),
    "painted": (("case", "way", "PSNR", "sharpness", "warping error", "seconds"), painted),
}


def main() -> None:
    cv2.setNumThreads(1)
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS))
    parser.add_argument("--only", type=harness.comma_list, help="cases; all without")
    parser.add_argument("--tuning", action="store_true", help="the clips that constants were chosen on")
    options = parser.parse_args()
    store = Store(options.cache)
    cases = plan(options.data, store, tuning=options.tuning)
    for part in options.parts:
        columns, measure = PARTS[part]
        print(f"\n## {part}\n")
        head(*columns)

        def score(name: str, measure: Callable[..., Iterator[list[object]]] = measure) -> None:
            for cells in measure(cases[name](), store):
                row(*cells)

        harness.each(options.only or cases, score)


if __name__ == "__main__":
    harness.run(main)
