"""Painted key frames on clips whose painting is known in every frame.

    python -m benchmarks.keyframes.bench DATA --cache DIR [--parts choosing,carried,learned] [--only NAMES] [--tuning]

No constant was chosen on these clips; ``--tuning`` takes those on which they were.

choosing: PSNR of the paintings' frames made of the two that ``vidtrans keyframes`` chooses, beside the best, the mean
and the outermost pair of the same candidates, all at half size and carried along the motion. carried: PSNR and
sharpness (over the truth's) of the unseen frames from the nearest key frame, and from all blended. learned: the same of
a network alone that learned the two key frames with the preset ``painted``, and of what is carried where that is sure,
with the network elsewhere.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import vidtrans
from benchmarks.consistency.cases import Missing, frames_of
from benchmarks.consistency.store import Store, digest, source_digest
from benchmarks.keyframes.cases import Case, plan
from vidtrans.flow.warping import halve, warp
from vidtrans.metrics.picture_quality import psnr, sharpness
from vidtrans.painting.blending import Painting, blend
from vidtrans.painting.carrying import Carried, Guide, Step, carry_along
from vidtrans.painting.choosing import SHORT_SIDE, ShotChooser, sample_numbers
from vidtrans.settings import Size
from vidtrans.video.images.picture import resize, write_picture

PRESET = [Path(__file__).resolve().parents[2] / "presets" / "painted.toml"]
STEPS = 1500
EVERY = 6  # frames between those that a pair is scored on
Maps = dict[int, dict[int, Carried]]  # of each key, by frame


def maps_of(frames: Sequence[np.ndarray], keys: Sequence[int]) -> Maps:
    guides = [Guide.of(frame) for frame in frames]
    steps = [Step.between(*both) for both in itertools.pairwise(guides)]
    still = Carried.nowhere(*frames[0].shape[:2])
    return {key: {key: still, **dict(carry_along(key, guides, steps))} for key in keys}


def painting(frame: int, rgb: np.ndarray) -> Painting:
    return Painting(frame, rgb.astype(np.float32) / 255, np.ones(rgb.shape[:2], np.float32))


def to_levels(picture: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def choosing(case: Case) -> list[float]:
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
            made, _ = blend(at, [(painting(key, paintings[key]), maps[key][at]) for key in pair])
            scores.append(psnr(to_levels(made), paintings[at]))
        found[pair] = float(np.mean(scores))
    first, last = chooser.candidates[0], chooser.candidates[-1]
    keys = chooser.best(2).keys
    return [found[keys[0], keys[1]], max(found.values()), float(np.mean(list(found.values()))), found[first, last]]


def carrying(case: Case) -> tuple[Maps, list[Painting]]:
    """Where its frames are in its key frames, and the paintings of these. Raises Missing where none is known."""
    if not case.unseen:
        raise Missing(f"{case.name}: its paintings are not known")
    keys = [painting(key, rgb) for key, rgb in zip(case.keys, case.painted, strict=True)]
    return maps_of(case.frames, case.keys), keys


def carried(case: Case) -> list[float]:
    maps, keys = carrying(case)
    rows = []
    for at in case.unseen:
        truth = case.paintings[at]
        assert truth is not None
        nearest = min(keys, key=lambda key: abs(key.frame - at))
        one = to_levels(warp(nearest.rgb, maps[nearest.frame][at].flow, bicubic=True))
        both = to_levels(blend(at, [(key, maps[key.frame][at]) for key in keys])[0])
        sharp = sharpness(truth)
        rows.append([psnr(one, truth), sharpness(one) / sharp, psnr(both, truth), sharpness(both) / sharp])
    return [float(value) for value in np.mean(rows, axis=0)]


def learned(case: Case, store: Store, steps: int) -> list[float]:
    maps, keys = carrying(case)
    outputs = network_outputs(case, store, steps)
    rows = []
    for at in case.unseen:
        truth = case.paintings[at]
        assert truth is not None
        brought, trust = blend(at, [(key, maps[key.frame][at]) for key in keys])
        share = cv2.GaussianBlur(cv2.erode(np.clip(1.5 * trust, 0, 1), np.ones((3, 3))), (0, 0), 1)[..., None]
        both = to_levels(share * brought + (1 - share) * (outputs[at].astype(np.float32) / 255))
        sharp = sharpness(truth)
        rows.append(
            [psnr(outputs[at], truth), sharpness(outputs[at]) / sharp, psnr(both, truth), sharpness(both) / sharp]
        )
    return [float(value) for value in np.mean(rows, axis=0)]


def network_outputs(case: Case, store: Store, steps: int) -> list[np.ndarray]:
    """All frames as a network paints them that learned the key frames."""

    def made() -> list[np.ndarray]:
        place = store.folder / f"{case.name}-{steps}"
        shutil.rmtree(place, ignore_errors=True)
        for key, rgb in zip(case.keys, case.painted, strict=True):
            write_picture(place / "source" / f"{key:05d}.png", case.frames[key])
            write_picture(place / "target" / f"{key:05d}.png", rgb)
        for number, frame in enumerate(case.frames):
            write_picture(place / "clip" / f"{number:05d}.png", frame)
        common: dict[str, Any] = {"cache_dir": place / "cache", "overwrite": True}
        dataset = place / "d.dataset"
        vidtrans.make_dataset(place / "source", dataset, preset="painted", target=place / "target", **common)
        vidtrans.train(dataset, place / "m.safetensors", steps=steps, **common)
        plain = {"encoding": {"codec": "ffv1"}, "temporal": {"name": "off"}, "rendering": {"size": "source"}}
        vidtrans.stylize(place / "clip", place / "m.safetensors", place / "o.mkv", settings=plain, **common)
        return frames_of(place / "o.mkv")

    sources = source_digest([*Path(vidtrans.__file__).parent.glob("networks/few_shot.py"), *PRESET])
    return store.pictures(f"{case.name}-network", digest(str(steps), sources, *case.frames, *case.painted), made)


COLUMNS = {
    "choosing": "chosen | best | mean | first and last",
    "carried": "nearest: PSNR | sharpness | blended: PSNR | sharpness",
    "learned": "network: PSNR | sharpness | with what is carried: PSNR | sharpness",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for what is made")
    parser.add_argument("--parts", default=",".join(COLUMNS))
    parser.add_argument("--only", default="", help="cases; all without")
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the network")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    store = Store(arguments.cache)
    cases = plan(arguments.data, store)["choosing" if arguments.tuning else "scored"]
    parts: dict[str, Callable[[Case], list[float]]] = {
        "choosing": choosing,
        "carried": carried,
        "learned": partial(learned, store=store, steps=arguments.steps),
    }
    for part in arguments.parts.split(","):
        measure, columns = parts[part], COLUMNS[part]
        print(f"\n## {part}\n\n| case | {columns} |\n|---|" + "---|" * (columns.count("|") + 1))
        rows = []
        for name in arguments.only.split(",") if arguments.only else cases:
            try:
                rows.append(measure(cases[name]()))
            except Missing as why:
                print(f"skipped: {why}", file=sys.stderr)
                continue
            print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in rows[-1]) + " |", flush=True)
        if rows:
            print("| mean | " + " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
