"""The matting network: frozen ImageNet features and a small decoder, trained on the painted frames of one object.

The features are EfficientNet-Lite0's. At each feature level the decoder also gets a *guide*, the previous matte warped
to this frame. At the two coarse levels it gets the similarity of each position to the object and to its surroundings in
the painted frames (after Voigtlaender et al., "FEELVOS", CVPR 2019). Its input is a window around the object.

The training examples are painted frames with random affine and elastic transforms of object and background (after
Khoreva et al., "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019). Half of the examples composite the
object over the inpainted background, each with its own transform. The guide of an example is the true matte with the
errors of motion compensation: shifted, bent, grown, with holes and false spots, or absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.perception.efficientnet_lite import EfficientNetTrunk, find_weights

# Network
TAPS = (0, 2, 4, 10)  # Indices of the EfficientNet blocks that give features, at 1/2, 1/4, 1/8 and 1/16 of the size
TAP_CHANNELS = (16, 24, 40, 112)  # Channels of the features of the blocks ``TAPS``
DECODER_WIDTHS = (24, 32, 48, 64)  # Channels of the decoder at the levels of ``TAPS``
MATCH_LEVELS = (2, 3)  # Indices in ``TAPS`` of the features that are matched with those of the painted frames
NUM_MATCH_CHANNELS = 3  # Channels of a matching result, which are inputs of the decoder
LEAKY_SLOPE = 0.1  # Slope of the leaky ReLU for negative values
MIN_REFERENCES = 4  # Minimum number of object features, and of background features, for matching
SIMILARITY_GAIN = 2.0  # Factor on cosine similarities that gives them the range of the decoder's other inputs
STD_EPSILON = 1e-4  # Added to standard deviations to prevent a division by 0
# Windows
WINDOW_MULTIPLE_PX, MIN_WINDOW_PX = 32, 96  # Sides of a window: their divisor and their minimum, in pixels
MARGIN, MARGIN_PX = 0.4, 16  # Margin around the object: a share of its side, plus pixels
MIN_SCALE, MAX_SCALE = 0.5, 2.0  # Range of a window's scale, in window pixels per frame pixel
# Augmentation: constants that end in _STD are standard deviations.
AFFINE_STD = (10.0, 0.12, 0.08)  # Transform of the object: rotation in degrees, log scale, shear
BACKGROUND_AFFINE_STD = (4.0, 0.08, 0.03)  # Transform of the background: rotation in degrees, log scale, shear
BEND_STD = 0.02  # Elastic deformation of the object, as a share of the object's side
BACKGROUND_SHIFT_STD = 0.15  # Translation of the background, as a share of the object's side
CUT_OUT, MIRRORED, UNGUIDED, BLURRED = 0.5, 0.3, 0.15, 0.3  # Shares of the examples with each augmentation
GAMMA_STD, GAIN_STD, TINT_STD, NOISE_STD = 0.15, 0.1, 0.05, 0.01  # Colour: log gamma, log gain, log gain per channel
ZOOM_STD = 0.15  # Log scale of a training window
OFFSET, OFFSET_PX = 0.7, 24  # Range of a window's offset from the object: a share of the object's side, plus pixels
HOLE_DILATION_PX = 9  # Side of the kernel that grows the object's hole before the background is inpainted, in pixels
# Simulated errors of a guide: shift, bend and growth as shares of the object's side; rotation, log scale and shear.
GUIDE_SHIFT_STD, GUIDE_BEND_STD, GUIDE_GROWTH, GUIDE_AFFINE_STD = 0.04, 0.03, 0.05, (4.0, 0.05, 0.03)
# Simulated wrong spots in a guide: their number is below SPOT_LIMIT; SPOT_AXES are the largest half axes, as shares of
# the object's side; FALSE_SPOTS is the share of spots that are added to the matte, the others are holes in it.
SPOT_LIMIT, SPOT_AXES, FALSE_SPOTS = 4, (0.25, 0.12), 0.4
MAX_BLUR_PX = 9  # Largest length of the simulated motion blur, in pixels
# Training
VERSION = 1  # Version of the matting network's training, for cache keys
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS, MIN_LR_RATIO = 2, 2e-3, 20, 0.02
WEIGHT_DECAY, MAX_GRAD_NORM = 1e-4, 1.0
IOU_WEIGHT = 0.5  # Weight of the overlap (IoU) loss relative to the cross-entropy
EMA_DECAY = 0.98  # Decay per step of the exponential moving average of the network's weights
SEED_LOCK = Lock()  # Lock while torch's default random generator is seeded, because all threads share it
MATCHING_DROPOUT = 0.15  # Share of examples with zeroed matching channels, so that the decoder works without matching


class ReferenceFeatures(NamedTuple):
    """Features of the painted frames at one level, (N, C) of unit length, and whether each is on the object, (N,)."""

    features: Tensor
    inside: Tensor


class _Block(nn.Module):
    """A convolution followed by a residual convolution, each with a leaky ReLU.

    ``inputs`` and ``outputs``: numbers of channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, outputs, 3, padding=1) for n in (inputs, outputs))
        nn.init.kaiming_normal_(self.first.weight, LEAKY_SLOPE)
        for bias in (self.first.bias, self.second.bias):
            assert bias is not None
            nn.init.zeros_(bias)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, outputs, H, W)."""
        x = F.leaky_relu(self.first(x), LEAKY_SLOPE)
        return x + F.leaky_relu(self.second(x), LEAKY_SLOPE)


class MatteDecoder(nn.Module):
    """The decoder: computes a matte from features, the guide (the warped last matte) and matching channels."""

    def __init__(self) -> None:
        super().__init__()
        below = (*DECODER_WIDTHS[1:], 0)
        extra = [2 + (NUM_MATCH_CHANNELS if level in MATCH_LEVELS else 0) for level in range(len(DECODER_WIDTHS))]
        channels = zip(below, TAP_CHANNELS, extra, DECODER_WIDTHS, strict=True)
        self.blocks = nn.ModuleList(_Block(under + own + more, width) for under, own, more, width in channels)
        self.head = nn.Conv2d(DECODER_WIDTHS[0], 4, 3, padding=1)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.3)

    def forward(
        self, features: Sequence[Tensor], guide: Tensor, has_guide: Tensor, matches: Sequence[Sequence[Tensor]]
    ) -> Tensor:
        """Return the logits of mattes, (N, 1, H, W) float32.

        Args:
            features: The features of each level, (N, C, h, w).
            guide: The matte warped from the previous frame, (N, 1, H, W), from 0 to 1.
            has_guide: 1.0 for an example with a guide, else 0.0, (N, 1, 1, 1).
            matches: The matching channels of each level in ``MATCH_LEVELS``, (N, 1, h, w) each.
        """
        x: Tensor | None = None
        for level in reversed(range(len(DECODER_WIDTHS))):
            own = features[level]
            size = own.shape[-2:]
            inputs = [own, F.interpolate(guide, size=size, mode="area") * has_guide, has_guide.expand(-1, -1, *size)]
            if level in MATCH_LEVELS:
                inputs += matches[MATCH_LEVELS.index(level)]
            if x is not None:
                inputs.append(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
            x = self.blocks[level](torch.cat(inputs, 1))
        assert x is not None
        height, width = guide.shape[-2:]
        return F.pixel_shuffle(self.head(x).float(), 2)[..., :height, :width]


class MattePrediction(NamedTuple):
    """The prediction for a window: the matte, and the similarity to the object minus that to its surroundings.

    Both are (H, W) float32: ``matte`` from 0 to 1, ``likeness`` from -1 to 1.
    """

    matte: np.ndarray
    likeness: np.ndarray


class MatteNetwork(nn.Module):
    """The matting network: a frozen feature extractor, reference features of the painted frames, and the decoder.

    ``painted``: windows of painted frames, (H, W, 3) uint8, with their mattes, (H, W) float32. ``bf16``: compute in
    bfloat16, on processors where it is faster.
    """

    def __init__(self, painted: Sequence[tuple[np.ndarray, np.ndarray]], *, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        trunk = EfficientNetTrunk(find_weights(0), TAPS[-1])
        self.trunk, self.decoder = trunk.eval().requires_grad_(requires_grad=False), MatteDecoder()
        for module in (self.trunk, self.decoder):  # CPUs are faster with channels last
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found = [self.raw_features(to_tensor([picture])) for picture, _ in painted]
        self.means, self.deviations = [], []
        for level in range(len(TAPS)):
            values = torch.cat([features[level].float().flatten(2) for features in found], 2)
            self.means.append(values.mean((0, 2))[None, :, None, None])
            self.deviations.append(values.std((0, 2))[None, :, None, None] + STD_EPSILON)
        self.references = [self._reference_features(found, [m for _, m in painted], level) for level in MATCH_LEVELS]

    def _reference_features(
        self, frame_features: Sequence[Sequence[Tensor]], mattes: Sequence[np.ndarray], level: int
    ) -> ReferenceFeatures:
        """Return the reference features of the painted frames at one level of ``TAPS``."""
        vectors, inside = [], []
        for features, matte in zip(frame_features, mattes, strict=True):
            unit = self._unit(features[level], level)
            small = F.interpolate(torch.from_numpy(matte)[None, None], size=unit.shape[-2:], mode="area")
            vectors.append(unit[0].flatten(1).T.contiguous())
            inside.append(small.flatten() >= 0.5)
        return ReferenceFeatures(torch.cat(vectors), torch.cat(inside))

    def raw_features(self, pictures: Tensor) -> list[Tensor]:
        """Return the features at each level of ``TAPS`` for pictures (N, 3, H, W) in [-1, 1]."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            found: list[Tensor] = self.trunk(pictures.contiguous(memory_format=torch.channels_last), TAPS)
            return found

    def _unit(self, features: Tensor, level: int) -> Tensor:
        """Standardise features by the statistics of their level, and scale them to unit length."""
        return F.normalize((features.float() - self.means[level]) / self.deviations[level], dim=1)

    def match(self, features: Sequence[Tensor]) -> list[list[Tensor]]:
        """Match features with those of the painted frames; return three channels for each of ``MATCH_LEVELS``.

        The channels, (N, 1, h, w) each, are the similarity to the object minus that to its surroundings, the similarity
        to the object, and the similarity to the surroundings.
        """
        matches = []
        for level, reference in zip(MATCH_LEVELS, self.references, strict=True):
            unit = self._unit(features[level], level)
            count, channels, height, width = unit.shape
            likeness = unit.permute(0, 2, 3, 1).reshape(-1, channels) @ reference.features.T
            best = []
            for chosen in (reference.inside, ~reference.inside):
                if int(chosen.sum()) < MIN_REFERENCES:
                    best.append(torch.zeros(count, 1, height, width))
                else:
                    best.append(likeness[:, chosen].amax(1).reshape(count, 1, height, width))
            thing, around = best
            matches.append([SIMILARITY_GAIN * (thing - around), SIMILARITY_GAIN * thing, SIMILARITY_GAIN * around])
        return matches

    def forward(
        self, pictures: Tensor, guide: Tensor, has_guide: Tensor, match_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (N, 1, H, W), and the differences of similarities at the coarsest level, (N, 1, h, w).

        ``guide`` and ``has_guide``: see ``MatteDecoder.forward``. ``match_mask``: (N, 1, 1, 1), 0 for training examples
        whose matching channels are zeroed.
        """
        features = self.raw_features(pictures)
        with torch.no_grad():
            matches = self.match(features)
            likeness = matches[-1][0] / SIMILARITY_GAIN
            if match_mask is not None:
                matches = [[match_mask * channel for channel in channels] for channels in matches]
        levels = zip(features, self.means, self.deviations, strict=True)
        normalised = [(values.float() - mean) / deviation for values, mean, deviation in levels]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.decoder(normalised, guide, has_guide, matches), likeness

    def predict(self, picture: np.ndarray, guide: np.ndarray | None) -> MattePrediction:
        """Return the prediction for a window, (H, W, 3) uint8, and a guide, (H, W) float32, or None."""
        has_guide = guide is not None
        warped = torch.zeros(1, 1, *picture.shape[:2]) if guide is None else torch.from_numpy(guide)[None, None]
        with torch.no_grad():
            logits, likeness = self(to_tensor([picture]), warped, torch.full((1, 1, 1, 1), float(has_guide)))
            full_size = F.interpolate(likeness, size=picture.shape[:2], mode="bilinear", align_corners=False)
        return MattePrediction(logits.sigmoid()[0, 0].numpy(), full_size[0, 0].numpy())


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Convert pictures (H, W, 3), uint8 or float32 in [0, 1], to a tensor (N, 3, H, W) in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return stacked / (127.5 if pictures[0].dtype == np.uint8 else 0.5) - 1


class Box(NamedTuple):
    """A rectangle in pixels; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[float, float]:
        """Return the centre (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def sides(self) -> tuple[int, int]:
        """Return the (width, height)."""
        return self.right - self.left, self.bottom - self.top


def box_of(matte: np.ndarray) -> Box | None:
    """Return the bounding box of the matte pixels that are at least 0.5; None if there are none.

    ``matte``: (H, W) float32.
    """
    inside = matte >= 0.5
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def scale_around(box: Box, side: int) -> float:
    """Return the scale, from MIN_SCALE to MAX_SCALE, at which a box with its margin has ``side``² pixels."""
    width, height = box.sides
    margin = 2 * (MARGIN * math.sqrt(max(width, 8) * max(height, 8)) + MARGIN_PX)
    area = (max(width, 8) + margin) * (max(height, 8) + margin)
    return min(max(side / math.sqrt(area), MIN_SCALE), MAX_SCALE)


@dataclass(frozen=True)
class CropWindow:
    """A scaled crop of a frame: the area that the network sees.

    Attributes:
        size: The (width, height) of the crop, in its own pixels.
        scale: Crop pixels per frame pixel.
        corner: The (x, y) of its top left corner in the frame, in frame pixels.
    """

    size: tuple[int, int]
    scale: float
    corner: tuple[float, float]

    @classmethod
    def around(cls, box: Box, frame: tuple[int, int], side: int) -> CropWindow:
        """Return the crop around a box in a frame of a (width, height), inside the frame if it fits there.

        Its scale is that of ``scale_around``, so that it has about ``side``² pixels.
        """
        scale = scale_around(box, side)
        margin = 2 * (MARGIN * math.sqrt(max(box.sides[0], 8) * max(box.sides[1], 8)) + MARGIN_PX)
        size, corner = [], []
        for middle, length, whole in zip(box.centre, box.sides, frame, strict=True):
            wanted = min((max(length, 8) + margin) * scale, whole * scale)
            pixels = max(MIN_WINDOW_PX, math.ceil(wanted / WINDOW_MULTIPLE_PX) * WINDOW_MULTIPLE_PX)
            half = pixels / scale / 2
            at = min(max(middle, half), whole - half) if 2 * half <= whole else whole / 2
            size.append(pixels)
            corner.append(at - half)
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    @classmethod
    def whole(cls, frame: tuple[int, int], scale: float) -> CropWindow:
        """Return the crop that contains a whole frame of a (width, height) at a scale."""
        size = [max(MIN_WINDOW_PX, math.ceil(side * scale / WINDOW_MULTIPLE_PX) * WINDOW_MULTIPLE_PX) for side in frame]
        corner = [(side - pixels / scale) / 2 for side, pixels in zip(frame, size, strict=True)]
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    def crop(self, picture: np.ndarray, *, border: int = cv2.BORDER_REFLECT) -> np.ndarray:
        """Return the crop of a picture (H, W[, C]) uint8 or of a matte (H, W) float32.

        ``border``: OpenCV's border mode, for pixels outside of the frame.
        """
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, self._to_frame(), self.size, flags=flags, borderMode=border)

    def paste(self, matte: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Return a matte (h, w) float32 of the crop at its position in a frame of a (width, height), 0 outside."""
        return cv2.warpAffine(matte, self._to_frame(), frame, flags=cv2.INTER_LINEAR)

    def _to_frame(self) -> np.ndarray:
        """Return the affine matrix, (2, 3), from pixels of the crop to pixels of the frame."""
        shift = [corner + (1 / self.scale - 1) / 2 for corner in self.corner]  # Maps pixel centres to centres
        return np.array([[1 / self.scale, 0, shift[0]], [0, 1 / self.scale, shift[1]]])


class MatteExample(NamedTuple):
    """A training window (H, W, 3) float32 in [0, 1], with its matte (H, W) and its guide (H, W) or None."""

    picture: np.ndarray
    matte: np.ndarray
    guide: np.ndarray | None


@dataclass(frozen=True)
class PaintedObject:
    """A painted frame (H, W, 3) uint8, and the matte of the object in it, (H, W) float32 in [0, 1]."""

    picture: np.ndarray
    matte: np.ndarray


class ExampleMaker:
    """Makes augmented training examples, square windows of ``side`` pixels, from one frame with a non-empty matte."""

    def __init__(self, painted: PaintedObject, side: int) -> None:
        self.painted, self.side = painted, side
        hole = (
            cv2.dilate((painted.matte > 0.02).astype(np.uint8), np.ones((HOLE_DILATION_PX, HOLE_DILATION_PX), np.uint8))
            > 0
        )
        self._background = inpaint(painted.picture, hole)
        box = box_of(painted.matte)
        assert box is not None
        self._box, self._length = box, float(np.sqrt(box.sides[0] * box.sides[1]))
        self._grid = np.mgrid[0:side, 0:side].astype(np.float32)[::-1] - np.float32((side - 1) / 2)

    def draw(self, rng: np.random.Generator) -> MatteExample:
        """Return a random training example."""
        scale = scale_around(self._box, self.side) * float(np.exp(ZOOM_STD * rng.standard_normal()))
        x, y = self._window_grid(rng, scale)
        inverse, bend = (
            np.linalg.inv(_random_affine(rng, *AFFINE_STD)),
            _random_bend(rng, self.side, BEND_STD * self._length),
        )
        centre = self._box.centre
        at = [inverse[k, 0] * x + inverse[k, 1] * y + bend[..., k] + np.float32(centre[k]) for k in (0, 1)]
        matte = _sample(self.painted.matte, at, cv2.BORDER_CONSTANT)
        picture = _sample(self.painted.picture, at).astype(np.float32) / 255
        if rng.random() < CUT_OUT:
            inverse, shift = (
                np.linalg.inv(_random_affine(rng, *BACKGROUND_AFFINE_STD)),
                BACKGROUND_SHIFT_STD * self._length,
            )
            off = [shift * rng.standard_normal() + c for c in centre]
            at = [inverse[k, 0] * x + inverse[k, 1] * y + np.float32(off[k]) for k in (0, 1)]
            behind = _sample(self._background, at).astype(np.float32) / 255
            share = cv2.GaussianBlur(matte, (0, 0), rng.uniform(0.4, 1.2))[..., None]
            light = np.float32(np.exp(GAIN_STD * rng.standard_normal())) if rng.random() < 0.5 else 1
            picture = picture * light * share + behind * (1 - share)
        guide = _damage_guide(rng, matte, self._length * scale)
        return MatteExample(_augment_colour(rng, picture), matte, None if rng.random() < UNGUIDED else guide)

    def _window_grid(self, rng: np.random.Generator, scale: float) -> np.ndarray:
        """Return x and y of each window pixel relative to the object's centre, in frame pixels, (2, side, side).

        The window's offset is random. ``scale``: window pixels per frame pixel.
        """
        sides = np.array(self._box.sides, np.float64)
        reach = sides if max(sides) * scale > self.side else OFFSET * sides + OFFSET_PX
        off = rng.uniform(-0.5, 0.5, 2) * reach
        places = self._grid / np.float32(scale) + off.astype(np.float32)[:, None, None]
        if rng.random() < MIRRORED:
            places[0] *= -1
        return np.asarray(places, np.float32)


def inpaint(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole, (H, W) bool, of a picture (H, W, 3) uint8 smoothly from its surroundings, by pull-push."""
    weight = (~hole).astype(np.float32)
    levels = [(picture.astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    known, weight = levels[-1]
    made = known / np.maximum(weight, 1e-6)[..., None]
    for level, (known, weight) in reversed(list(enumerate(levels[:-1]))):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = (np.clip(4 * weight, 0, 1) if level else weight)[..., None]
        made = share * known / np.maximum(weight, 1e-3)[..., None] + (1 - share) * made
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _random_affine(rng: np.random.Generator, degrees: float, scale: float, shear: float) -> np.ndarray:
    """Return a random 2×2 matrix of rotation, shear, scale and stretch.

    ``degrees``, ``scale`` and ``shear``: standard deviations of the rotation, of the log scale, and of the shear.
    """
    angle, sheared, zoom = np.deg2rad(degrees) * rng.standard_normal(), shear * rng.standard_normal(), scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag(np.exp(zoom * rng.standard_normal() + zoom / 2 * rng.standard_normal(2)))
    moved: np.ndarray = turn @ np.array([[1.0, sheared], [0.0, 1.0]]) @ stretch
    return moved


def _random_bend(rng: np.random.Generator, side: int, pixels: float) -> np.ndarray:
    """Return a smooth random displacement field, (side, side, 2) float32, with a σ of about ``pixels``."""
    coarse = rng.standard_normal((5, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * np.float32(pixels)


def _sample(picture: np.ndarray, at: list[np.ndarray], border: int = cv2.BORDER_REFLECT) -> np.ndarray:
    """Sample a picture bilinearly at the positions ``at``, x and y in pixels; ``border``: OpenCV's border mode."""
    x, y = (places.astype(np.float32) for places in at)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border)


def _augment_colour(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Change the brightness and colour of a picture at random, add noise, and blur some pictures by motion."""
    power = np.exp(GAMMA_STD * rng.standard_normal())
    gain = np.exp(TINT_STD * rng.standard_normal(3) + GAIN_STD * rng.standard_normal())
    changed = (np.clip(picture, 0, 1) ** np.float32(power)) * gain.astype(np.float32)
    if rng.random() < BLURRED:
        length, angle, middle = rng.integers(2, MAX_BLUR_PX), rng.uniform(0, np.pi), MAX_BLUR_PX // 2
        along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        kernel = np.zeros((MAX_BLUR_PX, MAX_BLUR_PX), np.float32)
        ends = [(round(middle + sign * along[0]), round(middle + sign * along[1])) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], (1.0,))
        changed = cv2.filter2D(changed, -1, kernel / kernel.sum())
    noise = rng.standard_normal(changed.shape, dtype=np.float32)
    return np.clip(changed + np.float32(NOISE_STD) * noise, 0, 1).astype(np.float32)


def _damage_guide(rng: np.random.Generator, matte: np.ndarray, length: float) -> np.ndarray:
    """Return a guide: a matte (side, side) with errors as from warping by flow; ``length``: object's size in pixels."""
    side = len(matte)
    bend = _random_bend(rng, side, GUIDE_BEND_STD * length * rng.random())
    move, shift = _random_affine(rng, *GUIDE_AFFINE_STD), GUIDE_SHIFT_STD * length * rng.standard_normal(2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - np.float32(side / 2)
    at = [move[k, 0] * x + move[k, 1] * y + bend[..., k] + np.float32(side / 2 + shift[k]) for k in (0, 1)]
    guide = _sample((matte > 0.5).astype(np.float32), at, cv2.BORDER_CONSTANT)
    if rng.random() < 0.5:
        width = 1 + 2 * int(rng.integers(1, max(2, int(GUIDE_GROWTH * length))))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        guide = cv2.erode(guide, kernel) if rng.random() < 0.5 else cv2.dilate(guide, kernel)
    near = np.argwhere(cv2.dilate(guide, np.ones((15, 15), np.uint8)) > 0.5)
    for _ in range(rng.integers(0, SPOT_LIMIT) if len(near) else 0):
        row, column = near[rng.integers(len(near))]
        axes = [int(1 + rng.random() * part * length) for part in SPOT_AXES]
        turn, value = rng.uniform(0, 180), float(rng.random() < FALSE_SPOTS)
        cv2.ellipse(guide, (int(column), int(row)), axes, turn, 0, 360, value, -1)
    return cv2.GaussianBlur(guide, (0, 0), 1 + 2 * rng.random())


def train_network(
    painted: Sequence[PaintedObject], steps: int, side: int, seed: int, *, bf16: bool, after_step: Callable[[int], None]
) -> MatteNetwork:
    """Train the matting network of one object on its painted frames; ``after_step`` gets the number of done steps.

    The same frames, seed, number of threads and precision give the same network. ``side``: of the windows, in pixels.
    """
    rng, windows = np.random.default_rng(seed), [crop_painted(one, side) for one in painted]
    with SEED_LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = MatteNetwork(windows, bf16=bf16)
    makers = [ExampleMaker(one, side) for one in painted]
    decoder = network.decoder
    optimiser = torch.optim.AdamW(decoder.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    averages = [parameter.detach().clone() for parameter in decoder.parameters()]
    for step in range(steps):
        rate = MIN_LR_RATIO + (1 - MIN_LR_RATIO) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * rate
        loss = _loss(network, [makers[rng.integers(len(makers))].draw(rng) for _ in range(BATCH_SIZE)], rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), MAX_GRAD_NORM)
        optimiser.step()
        share = 1 - min(EMA_DECAY, (step + 1) / (step + 11))
        with torch.no_grad():
            for average, parameter in zip(averages, decoder.parameters(), strict=True):
                average.lerp_(parameter, share)
        after_step(step + 1)
    with torch.no_grad():
        for average, parameter in zip(averages, decoder.parameters(), strict=True):
            parameter.copy_(average)
    return network


def crop_painted(painted: PaintedObject, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the crop around the object of a painted frame, (H, W, 3) uint8, and that of its matte, (H, W) float32.

    ``side``: see ``CropWindow.around``.
    """
    box = box_of(painted.matte)
    assert box is not None
    height, width = painted.matte.shape
    window = CropWindow.around(box, (width, height), side)
    return window.crop(painted.picture), window.crop(painted.matte, border=0)


def _loss(network: MatteNetwork, examples: Sequence[MatteExample], rng: np.random.Generator) -> torch.Tensor:
    """Return the training loss of examples: the cross-entropy plus the weighted overlap loss, 1 − IoU."""
    guides = [np.zeros_like(one.matte) if one.guide is None else one.guide for one in examples]
    has_guide = [float(one.guide is not None) for one in examples]
    match_mask = (rng.random(len(examples)) >= MATCHING_DROPOUT).astype(np.float32)
    logits, _ = network(
        to_tensor([one.picture for one in examples]),
        torch.from_numpy(np.stack(guides))[:, None],
        torch.tensor(has_guide).view(-1, 1, 1, 1),
        torch.from_numpy(match_mask).view(-1, 1, 1, 1),
    )
    truth = torch.from_numpy(np.stack([one.matte for one in examples]))[:, None]
    found = logits.sigmoid()
    both = (found * truth).sum((1, 2, 3))
    either = (found + truth - found * truth).sum((1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, truth) + IOU_WEIGHT * (1 - (both + 1) / (either + 1)).mean()
