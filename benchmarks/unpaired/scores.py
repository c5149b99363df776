"""Scores of a contender's pictures of a scene's tests: PSNR, SSIM, sharpness, texture, warping error, flicker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from benchmarks.consistency.methods import run_filter
from benchmarks.unpaired.scenes import Scene, Stretch
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.grading.learning import place_pairs
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import psnr, sharpness, ssim

CUBE = 33  # points a side, of the smooth colours of a look
POOL = 8  # pixels a side
WAVELENGTHS = (3.0, 6.0, 12.0)  # pixels
ORIENTATIONS = 4
FAINT = 0.01  # of full scale: energies below it are noise, and their logarithm would be large


def by_stretch(scene: Scene, pictures: Sequence[np.ndarray]) -> Iterator[tuple[Stretch, list[np.ndarray]]]:
    """Yield each test with its pictures."""
    at = 0
    for stretch in scene.tests:
        yield stretch, list(pictures[at : at + len(stretch.inputs)])
        at += len(stretch.inputs)


def score(scene: Scene, pictures: Sequence[np.ndarray]) -> Table:
    """Return the scores of pictures (H, W, 3) uint8, one for each input of the tests, in order.

    ``sharp`` is relative to the truth's; ``gfd`` is the distance of texture and colour (``gabor_distance``) to the
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


def gabor_distance(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> float:
    """Fréchet distance between the two sets of ``texture`` vectors, each taken for a normal distribution.

    (The formula of FID: Heusel et al., NIPS 2017.) It knows texture and colour and no meaning, and needs no network.
    """
    a, b = (np.concatenate([texture(p) for p in pictures]) for pictures in (outputs, targets))
    apart = float(np.square(a.mean(0) - b.mean(0)).sum())
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = _root(cov_a)
    return apart + float(np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(_root(root @ cov_b @ root)))


def texture(picture: np.ndarray) -> np.ndarray:
    """(pools, 15) float64: of each 8 by 8 pixels the mean colour and the log of the energy in each Gabor band."""
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    maps = list(np.moveaxis(picture.astype(np.float32) / 255, 2, 0))
    for wavelength in WAVELENGTHS:
        for turn in range(ORIENTATIONS):
            even, odd = (cv2.filter2D(light, cv2.CV_32F, _gabor(wavelength, turn, phase)) for phase in (0.0, np.pi / 2))
            maps.append(cv2.magnitude(even, odd))
    height, width = (side // POOL for side in picture.shape[:2])
    pooled = [
        cv2.resize(m[: height * POOL, : width * POOL], (width, height), interpolation=cv2.INTER_AREA) for m in maps
    ]
    values = np.stack(pooled, -1).reshape(-1, len(maps)).astype(np.float64)
    values[:, 3:] = np.log(values[:, 3:] + FAINT)
    return values


def _gabor(wavelength: float, turn: int, phase: float) -> np.ndarray:
    sigma = 0.5 * wavelength
    side = 2 * round(2.5 * sigma) + 1
    kernel = cv2.getGaborKernel((side, side), sigma, np.pi * turn / ORIENTATIONS, wavelength, 1.0, phase)
    kernel -= kernel.mean()
    return kernel / np.abs(kernel).sum()


def _root(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
