"""Scores of what a contender paints in a scene's tests: PSNR, SSIM, sharpness, warping error, flicker that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from benchmarks.consistency.methods import run_filter
from benchmarks.training.measures import gabor_distance
from benchmarks.unpaired.scenes import Scene, Stretch
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.grading.learning import place_pairs
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import psnr, sharpness, ssim

CUBE = 33  # points a side, of the smooth colours of a look


def by_stretch(scene: Scene, pictures: Sequence[np.ndarray]) -> Iterator[tuple[Stretch, list[np.ndarray]]]:
    """Yield each test with its pictures."""
    at = 0
    for stretch in scene.tests:
        yield stretch, list(pictures[at : at + len(stretch.inputs)])
        at += len(stretch.inputs)


def score(scene: Scene, pictures: Sequence[np.ndarray]) -> Table:
    """Return the scores of pictures (H, W, 3) uint8, one for each input of the tests, in order.

    ``sharp`` is relative to the truth's; ``gfd`` is the distance of texture and colour (``training.measures``) to the
    truths, or where they are not known to the target domain; ``light``, in looks, whether lightness is the input's.
    """
    truths = [truth for stretch in scene.tests for truth in stretch.truths]
    table: Table = {"gfd": gabor_distance(pictures, truths or scene.target)}
    if truths:
        pairs = list(zip(pictures, truths, strict=True))
        table["psnr"] = float(np.mean([psnr(*pair) for pair in pairs]))
        table["ssim"] = float(np.mean([ssim(*pair) for pair in pairs]))
        table["sharp"] = float(np.mean([sharpness(made) / sharpness(truth) for made, truth in pairs]))
    if scene.kind in ("look", "far"):
        inputs = [frame for stretch in scene.tests for frame in stretch.inputs]
        table["light"] = float(np.mean([light(*pair) for pair in zip(inputs, pictures, strict=True)]))
    return table | (flicker(scene, pictures) if scene.is_video else {})


def light(frame: np.ndarray, picture: np.ndarray) -> float:
    """Return the correlation of two pictures' lightness, −1 to 1: negative where light and dark have changed places."""
    flat = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).ravel().astype(np.float64) for p in (frame, picture)]
    if min(values.std() for values in flat) == 0:
        return 0.0
    return float(np.corrcoef(flat)[0, 1])


def flicker(scene: Scene, pictures: Sequence[np.ndarray]) -> Table:
    """Return the warping error (×1000) per frame, filtered, of what cannot flicker, and the share that is gone.

    ``floor`` is the truth's error, where the truth is footage; where it is a look, which flickers itself, that of the
    smooth colours that come nearest to the pictures; where there is none, the input's. ``removed`` is left out where
    nothing lies above it. The filter sees what a user has: the inputs.
    """
    made = list(by_stretch(scene, pictures))
    filtered = [run_filter("window", stretch.inputs, shown) for stretch, shown in made]
    error = warping_error(made)
    calm = warping_error([(stretch, smooth) for stretch, smooth in zip(scene.tests, filtered, strict=True)])
    floor = warping_error([(stretch, steady(scene.kind, stretch, shown)) for stretch, shown in made])
    sharp = np.mean([sharpness(a) / sharpness(b) for s, (_, shown) in zip(filtered, made, strict=True)
                     for a, b in zip(s, shown, strict=True)])  # fmt: skip
    table = {"warp": error, "window": calm, "floor": floor, "window_sharp": float(sharp)}
    return table | ({"removed": min(1.0, (error - calm) / (error - floor))} if error > floor else {})


def steady(kind: str, stretch: Stretch, pictures: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Return frames without flicker: the truths, the inputs in smooth colours fitted to the pictures, or the inputs."""
    if kind == "edges":
        return stretch.truths
    if kind != "look":  # no map of colours leads from the input to such pictures
        return stretch.inputs
    try:
        lattice = place_pairs(zip(stretch.inputs, pictures, strict=True)).learn(CUBE).grade.lattice
    except VidtransError:  # nor to those that show something else, as a mean picture may
        return stretch.inputs
    return [np.rint(255 * np.clip(lattice(frame / 255), 0, 1)).astype(np.uint8) for frame in stretch.inputs]


def warping_error(made: Sequence[tuple[Stretch, Sequence[np.ndarray]]]) -> float:
    """Return the mean warping error along the motion of the guides, times 1000."""
    scorer = Scorer(SCORING_FLOW)
    for stretch, pictures in made:
        for number, (guide, picture) in enumerate(zip(stretch.guides, pictures, strict=True)):
            scorer.add(guide, picture, starts_shot=number == 0)
    return 1000 * float(scorer.scores().summary["warping_error"] or 0)
