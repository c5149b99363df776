"""Learn a colour grade from pictures, and describe in words its effect on greys and on the sampled colours.

Pictures before and after are aligned first, because they may be resized, cropped or compressed. The fitted grade
consists of a colourist's operators, which extrapolate to all colours, and a smooth residual lattice near the sampled
colours. As in "Exposure" (Hu et al., ACM TOG 2018), the operators are few, named, and in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.grading.lattice import SIZE, ColourLattice, ColourSamples, differences, interpolation, node_colours
from vidtrans.grading.transfer import linear_map, match_colours, opaque_colours, transport_colours
from vidtrans.video.colour.conversion import to_float, to_uint8
from vidtrans.video.images.picture_analysis import colour_differences

# Alignment and sampling
LOCATE_SIDE_PX = 384  # Short side at which the picture before is located in the picture after, in pixels
SAMPLING_SIDE_PX = 512  # Short side of the pictures whose colours are sampled, in pixels
ASPECT_TOLERANCE = 0.02  # Relative difference of aspect ratios up to which pictures have the same framing
MIN_CORRELATION = 0.5  # Structure correlation from which two pictures have the same content
GOOD_CORRELATION = 0.9  # Structure correlation of the whole pictures from which no crop is searched for
MIN_MATCHES = 12  # Minimum number of matched image features that determine a placement
BLUR_SIGMA = 1.5  # σ of the blur against grain, compression and misalignment by half a pixel, in pixels
FLAT = 0.03  # Local standard deviation of colours, of full scale, at which a sample's weight is ½
MARGIN_PX, STEP_PX = 4, 2  # Margin without samples, and distance of samples, in pixels
CLIP_MARGIN = 0.004  # Distance from black or white, of full scale, within which a value may be clipped
# Operators
LUMA = np.array([0.2126, 0.7152, 0.0722])  # Weights of red, green and blue in luma (ITU-R BT.709)
GAMMA = 2.2  # Display gamma by which colours are converted to linear light, to which gains apply
MAX_SAMPLES = 4000  # Largest number of samples to which the operators are fitted
OPERATOR_OUTLIER = 0.03  # Error, of full scale, from which the loss of the operators' fit grows linearly
# Typical size of each operator's value, in the order of ``Operators``, for the ridge on undetermined operators
EXPECTED = np.array([1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.5, 0.5])
RIDGE = 0.02  # Weight of the ridge in the fit of the operators
# Residual lattice
LEVELS = (9, 17)  # Numbers of nodes along each side of the coarse lattices that are fitted first
REWEIGHTINGS = 2  # Number of robust reweightings of the samples for each lattice size
OUTLIER = 0.015  # Error, of full scale, at which a sample's weight in the lattice fit is ½
BEND_COST, SLOPE_COST, SIZE_COST = 3e-2, 3e-4, 1e-5  # Costs of the residual's second and first differences, and values
SAMPLE_SIGMA = 0.03  # σ of the Gaussian of a sample's influence in the RGB cube, of a channel's range
MIN_CERTAINTY = 0.5  # Influence of samples (0 to 1) from which a colour's mapping counts as determined
TOLERANCE, MAX_ITERATIONS, TINY = 1e-4, 600, 1e-30  # Of the conjugate gradients; the last prevents divisions by 0
# Description
LOOK_NOT_GRADE = 4.0  # Median ΔE2000 after the best grade above which the style is more than a colour grade
FEW_COLOURS = 0.05  # Share of determined colours below which a warning says that others are extrapolated
TONES = {"shadows": 0.2, "mid-tones": 0.45, "highlights": 0.8}  # Described grey levels, in [0, 1], by name
VISIBLE_CAST = 2.0  # Smallest colour cast that is described, in CIE Lab's a and b
VISIBLE_STOPS, VISIBLE_SHARE = 0.1, 0.05  # Least visible changes of exposure, and of contrast or saturation
VISIBLE_LIGHTNESS = 4.0  # Smallest described change of black or white, in CIE Lab's lightness (0 to 100)


@dataclass(frozen=True)
class PairPlacement:
    """The position of the picture ``before`` in ``after``: affine 2×3 matrix, and structure correlation, 0 to 1.

    Positions are in units of the sides, (0, 0) to (1, 1).
    """

    matrix: np.ndarray
    correlation: float

    @property
    def is_match(self) -> bool:
        """Return whether the pictures have the same content."""
        return self.correlation >= MIN_CORRELATION


def locate(before: np.ndarray, after: np.ndarray) -> PairPlacement:
    """Locate the picture ``before`` in the picture ``after``; both (H, W, 3) uint8 or uint16, of any size."""
    sides = [(to_uint8(picture), _shrunk_size(picture, LOCATE_SIDE_PX)[::-1]) for picture in (before, after)]
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture, size in sides]
    structure = [_structure(picture) for picture in small]
    whole = PairPlacement(np.eye(2, 3), 0.0)
    shapes = [picture.shape[1] / picture.shape[0] for picture in small]
    candidates = []
    if abs(shapes[0] / shapes[1] - 1) <= ASPECT_TOLERANCE:
        candidates.append(_refine(whole.matrix, structure))
        if candidates[0].correlation >= GOOD_CORRELATION:
            return candidates[0]
    found = _match_features(structure)
    if found is not None:
        candidates.append(_refine(found, structure))
    return max(candidates, key=lambda c: c.correlation, default=whole)


def sample_pair(before: np.ndarray, after: np.ndarray, placement: PairPlacement) -> ColourSamples:
    """Return the colours of two pictures at corresponding positions; samples in flat areas have more weight."""
    height, width = _shrunk_size(before, SAMPLING_SIDE_PX)
    here = cv2.resize(to_float(before), (width, height), interpolation=cv2.INTER_AREA)
    # Shrink by averaging first, because a warp that shrinks would alias.
    there = to_float(after)
    full = np.array([there.shape[1], there.shape[0]])
    scale = max(1.0, float(min(np.linalg.norm(placement.matrix[:, :2], axis=0) * full / (width, height))))
    columns, rows = (max(1, round(side / scale)) for side in full.tolist())
    there = cv2.resize(there, (columns, rows), interpolation=cv2.INTER_AREA)
    matrix = _in_pixels(placement.matrix, (width, height), (columns, rows))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(there, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones((rows, columns), np.float32), matrix, (width, height), flags=flags)
    smooth = [cv2.GaussianBlur(picture, (0, 0), BLUR_SIGMA) for picture in (here, there)]
    spread = sum(_local_variance(picture, mean) for picture, mean in zip((here, there), smooth, strict=True))
    weights = (inside > 0.99) / (1 + spread / FLAT**2)
    clipped = np.maximum(*(np.abs(picture - 0.5).max(axis=2) for picture in smooth)) > 0.5 - CLIP_MARGIN
    weights = np.where(clipped, 0.3 * weights, weights)
    some = (slice(MARGIN_PX, -MARGIN_PX, STEP_PX),) * 2
    before_, after_ = (picture[some].reshape(-1, 3).astype(np.float64) for picture in smooth)
    chosen = weights[some].ravel()
    used = chosen > 0
    return ColourSamples(before_[used], after_[used], chosen[used].astype(np.float64))


def _shrunk_size(picture: np.ndarray, side: int) -> tuple[int, int]:
    """Return the (width, height) of a picture shrunk to the short side ``side``, at least 16 pixels each."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / min(height, width))
    return max(16, round(height * scale)), max(16, round(width * scale))


def _structure(picture: np.ndarray) -> np.ndarray:
    """Return a picture's structure, (H, W) float32: lightness without its local mean and contrast."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    around = cv2.GaussianBlur(grey, (0, 0), 8)
    detail = cv2.GaussianBlur(grey, (0, 0), 1) - around
    size = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 8))
    return detail / (size + 1.0)


def _in_pixels(matrix: np.ndarray, size: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """Convert a placement, an affine (2, 3) matrix, from units of the pictures' sizes to pixel coordinates.

    ``size`` and ``other``: the (width, height) of the picture before, and of the picture after.
    """
    to_unit = np.array([[1 / size[0], 0, 0.5 / size[0]], [0, 1 / size[1], 0.5 / size[1]], [0, 0, 1]])
    to_pixels = np.array([[other[0], 0, -0.5], [0, other[1], -0.5], [0, 0, 1]])
    return (to_pixels @ np.vstack([matrix, [0, 0, 1]]) @ to_unit)[:2]


def _in_units(matrix: np.ndarray, size: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """Convert a placement from pixel coordinates to units of the pictures' sizes, the inverse of ``_in_pixels``."""
    to_pixels = np.array([[size[0], 0, -0.5], [0, size[1], -0.5], [0, 0, 1]])
    to_unit = np.array([[1 / other[0], 0, 0.5 / other[0]], [0, 1 / other[1], 0.5 / other[1]], [0, 0, 1]])
    return (to_unit @ np.vstack([matrix, [0, 0, 1]]) @ to_pixels)[:2]


def _sizes(structure: list[np.ndarray]) -> list[tuple[int, int]]:
    """Return the (width, height) of each structure picture."""
    return [(picture.shape[1], picture.shape[0]) for picture in structure]


def _refine(matrix: np.ndarray, structure: list[np.ndarray]) -> PairPlacement:
    """Refine a placement to the highest correlation by ECC (Evangelidis and Psarakis, TPAMI 2008).

    ``structure``: that of the pictures before and after, see ``_structure``.
    """
    first, second = structure
    sizes = _sizes(structure)
    start = _in_pixels(matrix, *sizes).astype(np.float32)
    best = PairPlacement(matrix, _correlation(first, second, start))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    try:
        _, found = cv2.findTransformECC(first, second, start.copy(), cv2.MOTION_AFFINE, criteria, None, 5)
    except cv2.error:  # ECC did not converge
        return best
    moved = PairPlacement(_in_units(found.astype(np.float64), *sizes), _correlation(first, second, found))
    return max(best, moved, key=lambda p: p.correlation)


def _correlation(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> float:
    """Return the absolute correlation of two structures in their overlap, so that a negative matches its positive.

    ``matrix``: the affine map (2, 3) from pixels of ``first`` to pixels of ``second``.
    """
    size = (first.shape[1], first.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(second, matrix, size, flags=flags)
    inside = cv2.warpAffine(np.ones_like(second), matrix, size, flags=flags) > 0.5
    if inside.mean() < 0.05:
        return 0.0
    a, b = first[inside], there[inside]
    return float(abs(np.mean(a * b)) / np.sqrt(np.mean(a * a) * np.mean(b * b) + 1e-9))


def _match_features(structure: list[np.ndarray]) -> np.ndarray | None:
    """Return the placement given by matched features (SIFT: Lowe, IJCV 2004); None if too few match."""
    sift: Any = cv2.SIFT.create(nfeatures=2000)  # OpenCV's stubs lack its methods
    pictures = [np.clip(128 + 40 * picture, 0, 255).astype(np.uint8) for picture in structure]
    (points, descriptors), (other_points, other_descriptors) = (sift.detectAndCompute(p, None) for p in pictures)
    if descriptors is None or other_descriptors is None or min(len(descriptors), len(other_descriptors)) < 2:
        return None
    matches = cv2.BFMatcher().knnMatch(descriptors, other_descriptors, k=2)
    good = [m[0] for m in matches if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(good) < MIN_MATCHES:
        return None
    here = np.array([points[m.queryIdx].pt for m in good], np.float32)
    there = np.array([other_points[m.trainIdx].pt for m in good], np.float32)
    matrix, inliers = cv2.estimateAffine2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    if matrix is None or inliers.sum() < MIN_MATCHES:
        return None
    return _in_units(matrix, *_sizes(structure))


def _local_variance(picture: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the local variance of colours about their blurred picture ``mean``, summed over channels, (H, W).

    The window is a Gaussian with σ 2 · ``BLUR_SIGMA`` pixels. The unit is full scale, squared.
    """
    difference = picture - mean
    return cv2.GaussianBlur(np.sum(difference * difference, axis=2), (0, 0), 2 * BLUR_SIGMA)


@dataclass(frozen=True)
class Operators:
    """The parameters of a simple grade; 0 is neutral for each of them.

    Exposure, warmth and tint apply in linear light, the others to stored values.

    ``exposure``: stops. ``warmth``: stops of red over blue. ``tint``: stops of green. ``gamma_*``: binary logarithm of
    each channel's exponent. ``lift_*``: the new black level. ``contrast`` and ``saturation``: natural logarithms of
    factors.
    """

    exposure: float = 0.0
    warmth: float = 0.0
    tint: float = 0.0
    gamma_red: float = 0.0
    gamma_green: float = 0.0
    gamma_blue: float = 0.0
    lift_red: float = 0.0
    lift_green: float = 0.0
    lift_blue: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3) in [0, 1]; the result is not clipped."""
        stops = self.exposure + np.array([self.warmth / 2, self.tint, -self.warmth / 2])
        exponent = np.exp2([self.gamma_red, self.gamma_green, self.gamma_blue])
        lift = np.array([self.lift_red, self.lift_green, self.lift_blue])
        bright = np.clip(colours, 0.0, None) * np.exp2(stops / GAMMA)
        curved = lift + (1 - lift) * bright**exponent
        around = 0.5 + (curved - 0.5) * np.exp(self.contrast)
        luma = (around @ LUMA)[..., None]
        return luma + (around - luma) * np.exp(self.saturation)


def fit_operators(samples: ColourSamples) -> Operators:
    """Return the operators that best map the samples' colours before grading to those after, by robust fitting."""
    some = slice(None, None, -(-len(samples.before) // MAX_SAMPLES))
    before, after, weights = samples.before[some], samples.after[some], samples.weights[some]
    root = np.sqrt(weights / weights.sum())[:, None]

    def errors(values: np.ndarray) -> np.ndarray:
        """Return the weighted residuals of the samples and the ridge for these values of the operators."""
        misfit = (np.clip(Operators(*values)(before), 0.0, 1.0) - after) / OPERATOR_OUTLIER
        # Scale the residuals so that their squares are the soft L1 loss of the distance.
        size = np.linalg.norm(misfit, axis=1, keepdims=True)
        misfit *= np.sqrt(2 * (np.sqrt(1 + size**2) - 1)) / np.maximum(size, 1e-9)
        return np.concatenate([(root * misfit).ravel(), RIDGE * values / EXPECTED])

    found = least_squares(errors, np.array(astuple(Operators())), method="trf", max_nfev=60)
    return Operators(*(float(v) for v in found.x))


@dataclass(frozen=True)
class FittedGrade:
    """A fitted grade: ``lattice``, ``operators``, and the samples' influence on each node, (n, n, n) in [0, 1]."""

    lattice: ColourLattice
    operators: Operators
    certainty: np.ndarray

    def is_determined(self, colours: np.ndarray) -> np.ndarray:
        """Return whether samples determine the mapping of each of the colours (…, 3) in [0, 1], as (…,) bool."""
        flat = colours.reshape(-1, 3)
        share = interpolation(flat, len(self.certainty)) @ self.certainty.ravel()
        return (share >= MIN_CERTAINTY).reshape(colours.shape[:-1])


def fit_grade(samples: ColourSamples, size: int = SIZE) -> FittedGrade:
    """Fit a smooth grade with ``size`` nodes per side to samples; colours far from samples follow its operators."""
    samples = samples.averaged()
    operators = fit_operators(samples)
    counts = samples.weights / samples.weights.mean()
    trust, residual_nodes = np.ones(len(counts)), np.zeros((1, 3))
    coarser = 1
    for finer in sorted({min(size, n) for n in LEVELS} | {size}):
        # The fit of a fine lattice starts from the coarser one, which saves most iterations.
        if coarser == 1:
            residual_nodes = np.repeat(residual_nodes, finer**3, axis=0)
        else:
            residual_nodes = interpolation(node_colours(finer).reshape(-1, 3), coarser) @ residual_nodes
        base = np.clip(operators(node_colours(finer)), 0.0, 1.0)
        weights, stiff = interpolation(samples.before, finer), _stiffness(finer)
        wanted = samples.after - weights @ base.reshape(-1, 3)
        for _ in range(REWEIGHTINGS):
            system = (weights.T @ sparse.diags_array(counts * trust) @ weights + stiff).tocsr()
            residual_nodes = _solve(system, weights.T @ (wanted * (counts * trust)[:, None]), residual_nodes)
            misfit = np.linalg.norm(wanted - weights @ residual_nodes, axis=1)
            trust = 1 / (1 + (misfit / OUTLIER) ** 2)
        coarser = finer
    nodes = np.clip(base + residual_nodes.reshape(base.shape), 0.0, 1.0)
    return FittedGrade(ColourLattice(nodes), operators, _certainty(weights, size))


def _certainty(weights: sparse.csr_matrix, size: int) -> np.ndarray:
    """Return the influence of nearby samples on each lattice node, (n, n, n) in [0, 1].

    ``weights``: the trilinear weights of the samples, see ``interpolation``.
    """
    counts = np.asarray(weights.sum(axis=0)).reshape(size, size, size)
    near = gaussian_filter(counts, SAMPLE_SIGMA * (size - 1), mode="constant")
    # A single sample at the position of a node gives it a certainty of ½.
    single = (SAMPLE_SIGMA * (size - 1) * (2 * np.pi) ** 0.5) ** -3
    return near / (near + single)


def _stiffness(size: int) -> sparse.csr_matrix:
    """Return the matrix K of the cost rᵀKr that keeps a lattice's residual r smooth, scaled for its ``size``."""
    step = 1 / (size - 1)
    bend, slope = differences(size, 2), differences(size, 1)
    return (
        BEND_COST * (0.1 / step) * (bend.T @ bend)
        + SLOPE_COST * (slope.T @ slope)
        + SIZE_COST * sparse.eye_array(size**3)
    ).tocsr()


def _solve(system: sparse.csr_matrix, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Solve the system for all columns of ``right`` at once, by conjugate gradients with diagonal preconditioning.

    ``start``: the first guess. SciPy's solver takes one column, and its threaded dot products wait for each other,
    which takes twenty times as long on a busy machine.
    """
    easier = 1 / system.diagonal()[:, None]
    x = start.copy()
    residual = right - system @ x
    step = conditioned = easier * residual
    energy = np.einsum("nc,nc->c", residual, conditioned)
    enough = TOLERANCE**2 * np.einsum("nc,nc->c", right, easier * right)
    for _ in range(MAX_ITERATIONS):
        if (energy <= enough).all():
            break
        along = system @ step
        length = energy / np.maximum(np.einsum("nc,nc->c", step, along), TINY)
        x += length * step
        residual -= length * along
        conditioned = easier * residual
        before, energy = energy, np.einsum("nc,nc->c", residual, conditioned)
        step = conditioned + energy / np.maximum(before, TINY) * step
    return x


@dataclass(frozen=True)
class LearnedGrade:
    """A learned grade with its description and scores.

    ``words``: the description. ``scores``: ΔE2000, and the share of sampled colours. ``doubts``: warnings.
    """

    grade: FittedGrade
    words: list[str]
    scores: Table
    doubts: list[str]
    num_pictures: int


@dataclass(frozen=True)
class AlignedPairs:
    """The colour samples of ``placed`` aligned picture pairs, and the number of ``unmatched`` pairs."""

    samples: ColourSamples
    placed: int
    unmatched: int

    def learn(self, size: int) -> LearnedGrade:
        """Fit a grade with ``size`` lattice nodes per side to the samples."""
        learned = _describe_fit(fit_grade(self.samples, size), self.samples, self.placed)
        if not self.unmatched:
            return learned
        left_out = (
            f"{self.unmatched} of {plural(self.unmatched + self.placed, 'pair')} do not match: they were left out"
        )
        return replace(learned, doubts=[*learned.doubts, left_out])


def place_pairs(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> AlignedPairs:
    """Align pairs of pictures before and after grading, (H, W, 3) uint8 or uint16, and sample their colours.

    They may be of any size, and one may be a crop of the other. Raises UsageError if no pair matches.
    """
    parts, placed, unmatched = [], 0, 0
    for before, after in pairs:
        placement = locate(before, after)
        if not placement.is_match:
            unmatched += 1
            continue
        placed += 1
        parts.append(sample_pair(before, after, placement))
    if not parts or not sum(len(part.before) for part in parts):
        why = "the pictures before and after do not match"
        raise UsageError("vidtrans grade", why, "give pictures of one scene, or --unpaired for the colours alone")
    return AlignedPairs(ColourSamples.join(parts), placed, unmatched)


def learn_from_colours(
    before: Iterable[np.ndarray], after: Iterable[np.ndarray], size: int, method: str = UNPAIRED_METHODS[0]
) -> LearnedGrade:
    """Learn a map from the colours of the pictures ``before`` to those of ``after``, whatever the pictures show.

    Pictures are (H, W, 3) or, with alpha, (H, W, 4), uint8 or uint16. ``size``: nodes per side. ``method``: one of
    ``UNPAIRED_METHODS``. Raises UsageError if all pictures of a side are fully transparent.
    """
    sides = [list(map(opaque_colours, pictures)) for pictures in (before, after)]
    first, second = (np.concatenate(side) for side in sides)
    if not len(first) or not len(second):
        raise UsageError("vidtrans grade", "a picture is fully transparent", "give pictures with colours")
    if method == "linear":
        moved = linear_map(first, second)
        samples = ColourSamples(first, np.clip(moved(first), 0.0, 1.0), np.ones(len(first)))
        certainty = _certainty(interpolation(samples.averaged().before, size), size)
        grade = FittedGrade(moved.lattice(size), Operators(), certainty)
    else:
        samples = transport_colours(first, second) if method == "transport" else match_colours(first, second)
        grade = fit_grade(samples, size)
    learned = _describe_fit(grade, samples, len(sides[0]))
    scores = {k: v for k, v in learned.scores.items() if k != "delta_e"}  # Without pairs there is no ground truth
    return replace(learned, scores=scores, doubts=[])


def _describe_fit(grade: FittedGrade, samples: ColourSamples, count: int) -> LearnedGrade:
    """Return a fitted grade with its description, scores and warnings; ``count``: number of pictures."""
    lattice = grade.lattice
    some = np.random.default_rng(0).permutation(len(samples.before))[:20000]
    before, after = samples.before[some], samples.after[some]
    delta = colour_differences(lattice(before), np.clip(after, 0, 1))
    order = np.argsort(delta)
    share = np.cumsum(samples.weights[some][order])
    median = float(delta[order][np.searchsorted(share, share[-1] / 2)])
    seen = float((grade.certainty >= MIN_CERTAINTY).mean())
    doubts = []
    if median > LOOK_NOT_GRADE:
        doubts.append(
            f"no colour map turns one into the other (ΔE {median:.1f} remains): local edits differ, or it is more "
            "than a grade; use vidtrans make-dataset --target, then vidtrans train"
        )
    if seen < FEW_COLOURS:
        doubts.append(f"{100 * seen:.1f} % of all colours were seen: the mapping of the others is extrapolated")
    scores = {"delta_e": round(median, 3), "colours_seen": round(seen, 4)}
    return LearnedGrade(grade, describe(lattice, before, grade.is_determined), scores, doubts, count)


Map = Callable[[np.ndarray], np.ndarray]  # A colour map of (…, 3) in [0, 1]


def _all_determined(colours: np.ndarray) -> np.ndarray:
    """Return True for each colour (N, 3), for a map that was not learned from samples: (N,) bool."""
    return np.ones(len(colours), bool)


def describe(
    grade: Map, source_colours: np.ndarray, is_determined: Callable[[np.ndarray], np.ndarray] = _all_determined
) -> list[str]:
    """Return phrases that describe a grade, such as "exposure +0.4" and "warmer shadows"; none if it changes little.

    ``source_colours``: (N, 3) in [0, 1]. ``is_determined``: returns for colours (N, 3) whether samples determine their
    mapping, (N,) bool.
    """
    phrases = []
    greys = np.repeat(np.linspace(0, 1, 65)[:, None], 3, axis=1)
    tones = _lab(grade(greys))
    light = _lab(greys)[:, 0]
    middle = slice(20, 50)
    before, after = greys[middle, 0], np.clip(grade(greys[middle]).mean(axis=1), 1e-3, 1)
    stops = float(np.median(GAMMA * np.log2(after / before)))
    if abs(stops) >= VISIBLE_STOPS:
        phrases.append(f"exposure {stops:+.1f}")
    slope = float(np.polyfit(light[middle], tones[middle, 0], 1)[0])
    if abs(slope - 1) >= VISIBLE_SHARE:
        phrases.append(f"contrast {100 * (slope - 1):+.0f} %")
    ends = (("lifted blacks", 0, tones[0, 0]), ("lowered whites", -1, 100 - tones[-1, 0]))
    phrases += [text for text, end, delta in ends if delta >= VISIBLE_LIGHTNESS and is_determined(greys[[end]])[0]]
    casts: dict[str, list[str]] = {}
    tones_known = {name: at for name, at in TONES.items() if is_determined(np.full((1, 3), at))[0]}
    for name, at in tones_known.items():
        _, a, b = _lab(grade(np.full((1, 3), at)))[0]
        if abs(b) >= VISIBLE_CAST:
            casts.setdefault("warmer" if b > 0 else "cooler", []).append(name)
        if abs(a) >= VISIBLE_CAST:
            casts.setdefault("more magenta" if a > 0 else "greener", []).append(name)
    for text, names in casts.items():
        phrases.append(text if len(names) == len(tones_known) > 1 else f"{text} {' and '.join(names)}")
    colours, graded = _lab(source_colours), _lab(grade(source_colours))
    graded -= _casts_at(tones, graded)
    chroma, chroma_after = (np.hypot(lab[:, 1], lab[:, 2]) for lab in (colours, graded))
    coloured = chroma > 8
    if coloured.mean() > 0.02:
        share = float(np.median(chroma_after[coloured] / chroma[coloured]))
        if share < 0.1:
            phrases.append("black and white")
        elif abs(share - 1) >= VISIBLE_SHARE:
            phrases.append(f"saturation {100 * (share - 1):+.0f} %")
    return phrases


def _casts_at(tones: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the colour casts of the graded greys ``tones``, Lab, at the lightness of ``colours``, (N, 3) Lab.

    The casts are interpolated, and returned as Lab with L = 0, (N, 3).
    """
    order = np.argsort(tones[:, 0])
    casts = [np.interp(colours[:, 0], tones[order, 0], tones[order, c]) for c in (1, 2)]
    return np.stack([np.zeros(len(colours)), *casts], axis=1)


def _lab(colours: np.ndarray) -> np.ndarray:
    """Convert RGB colours (N, 3) in [0, 1] to CIE Lab."""
    picture = np.clip(colours, 0, 1).astype(np.float32)[None]
    lab: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[0]
    return lab
