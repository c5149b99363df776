"""The network of a matte: frozen features of ImageNet's pictures, and a small decoder that learns one thing.

The features are EfficientNet-Lite0's. At each of their levels the decoder also gets a *guide*, the matte that the
motion carried to this frame, and, at the two coarse ones, how much each place looks like the thing and like what was
around it in the painted frames (after Voigtlaender et al., "FEELVOS", CVPR 2019). It sees a window around the thing.

It learns from painted frames in which the thing and what is behind it are moved, turned and bent (after Khoreva et al.,
"Lucid Data Dreaming for Video Object Segmentation", IJCV 2019): half of the examples show the thing, cut out, over the
filled background, each moved in its own way. The guide, which the decoder is to correct, is the true matte damaged as
the motion would: moved, bent, grown, with holes and false parts, or absent.
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

TAPS, CHANNELS = (0, 2, 4, 10), (16, 24, 40, 112)  # blocks, at 1/2, 1/4, 1/8 and 1/16 of the size, and their features
WIDTHS = (24, 32, 48, 64)  # of the decoder at these levels
COARSE = (2, 3)  # levels at which places are compared with the painted frames
COMPARED = 3  # channels that tell the comparison
SLOPE = 0.1  # of the activation where it is negative
LEAST = 4  # places of the thing, or around it, of the painted frames, without which nothing is compared
CONTRAST = 2.0  # by which cosine similarities are multiplied, so that their range is that of the other inputs
TINY = 1e-4
# Of windows.
MULTIPLE, NARROWEST = 32, 96  # pixels, of a window's sides
MARGIN, MARGIN_PX = 0.4, 16  # around a thing: share of its side, and pixels besides
SMALLEST_SCALE, LARGEST_SCALE = 0.5, 2.0
# Of examples.
# Deviations of the moves of a thing: degrees, logarithm of the scale, shear; of the background; bend, of its side.
MOVES, MOVES_BEHIND, BEND = (10.0, 0.12, 0.08), (4.0, 0.08, 0.03), 0.02
SHIFT_BEHIND = 0.15  # of the side of the thing
CUT_OUT, MIRRORED, UNGUIDED, BLURRED = 0.5, 0.3, 0.15, 0.3  # shares of the examples
GAMMA, LIGHT, TINT, NOISE = 0.15, 0.1, 0.05, 0.01  # deviations of the changes of colour
ZOOM, AROUND, AROUND_PX = 0.15, 0.7, 24  # of a window: deviation of its scale, and how far it is off the thing
EDGE = 9  # pixels round a thing that count as its own when the background is filled
# A guide's damage, of the side of the thing: shift, bend and growth; its turn, scale and shear; spots on it or by it.
GUIDE_SHIFT, GUIDE_BEND, GUIDE_GROWTH, GUIDE_MOVES = 0.04, 0.03, 0.05, (4.0, 0.05, 0.03)
SPOTS, SPOT, FALSE_SPOTS = 4, (0.25, 0.12), 0.4
LONGEST_BLUR = 9  # pixels
# Of the training.
VERSION = 1
BATCH, LEARNING_RATE, WARM_UP, LEAST_RATE = 2, 2e-3, 20, 0.02
WEIGHT_DECAY, LARGEST_GRADIENT = 1e-4, 1.0
OVERLAP = 0.5  # weight of the loss of overlap beside the cross-entropy
AVERAGING = 0.98  # of the weights
SEEDING = Lock()
HIDDEN = 0.15  # share of the examples in which the comparison with the painted frames is hidden


class Known(NamedTuple):
    """The features of the painted frames at a level, (N, C), of length 1, and which of them are the thing's, (N,)."""

    features: Tensor
    inside: Tensor


class _Block(nn.Module):
    """Two convolutions, the second on top of the first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, outputs, 3, padding=1) for n in (inputs, outputs))
        nn.init.kaiming_normal_(self.first.weight, SLOPE)
        for bias in (self.first.bias, self.second.bias):
            assert bias is not None
            nn.init.zeros_(bias)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), SLOPE)
        return x + F.leaky_relu(self.second(x), SLOPE)


class MatteDecoder(nn.Module):
    """Features, guide and comparison → matte."""

    def __init__(self) -> None:
        super().__init__()
        below = (*WIDTHS[1:], 0)
        told = [2 + (COMPARED if level in COARSE else 0) for level in range(len(WIDTHS))]
        parts = zip(below, CHANNELS, told, WIDTHS, strict=True)
        self.blocks = nn.ModuleList(_Block(under + own + more, width) for under, own, more, width in parts)
        self.head = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.3)

    def forward(
        self, features: Sequence[Tensor], guide: Tensor, guided: Tensor, compared: Sequence[Sequence[Tensor]]
    ) -> Tensor:
        """Return logits, (N, 1, H, W) float32.

        Args:
            features: Of each level, (N, C, h, w).
            guide: The carried matte, (N, 1, H, W), from 0 to 1.
            guided: (N, 1, 1, 1), 1 where there is a guide, else 0.
            compared: At each level of ``COARSE``, the channels of the comparison, (N, 1, h, w) each.
        """
        x: Tensor | None = None
        for level in reversed(range(len(WIDTHS))):
            own = features[level]
            size = own.shape[-2:]
            given = [own, F.interpolate(guide, size=size, mode="area") * guided, guided.expand(-1, -1, *size)]
            if level in COARSE:
                given += compared[COARSE.index(level)]
            if x is not None:
                given.append(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
            x = self.blocks[level](torch.cat(given, 1))
        assert x is not None
        height, width = guide.shape[-2:]
        return F.pixel_shuffle(self.head(x).float(), 2)[..., :height, :width]


class Seen(NamedTuple):
    """What the network sees in a window: the matte, and how much more it looks like the thing than what was around it.

    Both (H, W) float32: ``matte`` from 0 to 1, ``likeness`` from -1 to 1.
    """

    matte: np.ndarray
    likeness: np.ndarray


class MatteNetwork(nn.Module):
    """Frozen features, what is known of them in the painted frames, and the decoder.

    ``painted``: windows of painted frames, (H, W, 3) uint8, with their mattes, (H, W) float32. ``bf16``: compute in
    bfloat16 where the processor is faster with it.
    """

    def __init__(self, painted: Sequence[tuple[np.ndarray, np.ndarray]], *, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        trunk = EfficientNetTrunk(find_weights(0), TAPS[-1])
        # The layout with which a CPU is faster.
        self.trunk, self.decoder = trunk.eval().requires_grad_(requires_grad=False), MatteDecoder()
        for part in (self.trunk, self.decoder):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found = [self.raw_features(to_tensor([picture])) for picture, _ in painted]
        self.means, self.deviations = [], []
        for level in range(len(TAPS)):
            values = torch.cat([features[level].float().flatten(2) for features in found], 2)
            self.means.append(values.mean((0, 2))[None, :, None, None])
            self.deviations.append(values.std((0, 2))[None, :, None, None] + TINY)
        self.known = [self._known(found, [matte for _, matte in painted], level) for level in COARSE]

    def _known(self, found: Sequence[Sequence[Tensor]], mattes: Sequence[np.ndarray], level: int) -> Known:
        parts, inside = [], []
        for features, matte in zip(found, mattes, strict=True):
            unit = self._unit(features[level], level)
            small = F.interpolate(torch.from_numpy(matte)[None, None], size=unit.shape[-2:], mode="area")
            parts.append(unit[0].flatten(1).T.contiguous())
            inside.append(small.flatten() >= 0.5)
        return Known(torch.cat(parts), torch.cat(inside))

    def raw_features(self, pictures: Tensor) -> list[Tensor]:
        """Return the features at each level of pictures (N, 3, H, W), from -1 to 1."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            found: list[Tensor] = self.trunk(pictures.contiguous(memory_format=torch.channels_last), TAPS)
            return found

    def _unit(self, features: Tensor, level: int) -> Tensor:
        return F.normalize((features.float() - self.means[level]) / self.deviations[level], dim=1)

    def compare(self, features: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return, at each level of ``COARSE``, how much more places look like the thing than like what was around it.

        The channels are the difference, and the likeness to the thing and to its surroundings, (N, 1, h, w) each.
        """
        compared = []
        for level, known in zip(COARSE, self.known, strict=True):
            unit = self._unit(features[level], level)
            count, channels, height, width = unit.shape
            likeness = unit.permute(0, 2, 3, 1).reshape(-1, channels) @ known.features.T
            best = []
            for chosen in (known.inside, ~known.inside):
                if int(chosen.sum()) < LEAST:
                    best.append(torch.zeros(count, 1, height, width))
                else:
                    best.append(likeness[:, chosen].amax(1).reshape(count, 1, height, width))
            thing, around = best
            compared.append([CONTRAST * (thing - around), CONTRAST * thing, CONTRAST * around])
        return compared

    def forward(
        self, pictures: Tensor, guide: Tensor, guided: Tensor, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (N, 1, H, W), and the difference in likeness at the coarsest level, (N, 1, h, w).

        ``kept``: (N, 1, 1, 1), 0 where the comparison is hidden, in training.
        """
        features = self.raw_features(pictures)
        with torch.no_grad():
            compared = self.compare(features)
            likeness = compared[-1][0] / CONTRAST
            if kept is not None:
                compared = [[kept * channel for channel in channels] for channels in compared]
        normal = zip(features, self.means, self.deviations, strict=True)
        given = [(values.float() - mean) / deviation for values, mean, deviation in normal]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.decoder(given, guide, guided, compared), likeness

    def see(self, picture: np.ndarray, guide: np.ndarray | None) -> Seen:
        """Return what is seen in a window, (H, W, 3) uint8, with its guide, (H, W) float32, if there is one."""
        there = guide is not None
        given = torch.zeros(1, 1, *picture.shape[:2]) if guide is None else torch.from_numpy(guide)[None, None]
        with torch.no_grad():
            logits, likeness = self(to_tensor([picture]), given, torch.full((1, 1, 1, 1), float(there)))
            shown = F.interpolate(likeness, size=picture.shape[:2], mode="bilinear", align_corners=False)
        return Seen(logits.sigmoid()[0, 0].numpy(), shown[0, 0].numpy())


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return pictures (H, W, 3), uint8 or float32 from 0 to 1, as (N, 3, H, W) from -1 to 1."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return stacked / (127.5 if pictures[0].dtype == np.uint8 else 0.5) - 1


class Box(NamedTuple):
    """A rectangle in pixels; ``right`` and ``bottom`` are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[float, float]:
        """Return (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def sides(self) -> tuple[int, int]:
        """Return (width, height)."""
        return self.right - self.left, self.bottom - self.top


def box_of(matte: np.ndarray) -> Box | None:
    """Return the box of what is inside a matte (H, W) float32, at least half; None if nothing is."""
    inside = matte >= 0.5
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def scale_around(box: Box, side: int) -> float:
    """Return the scale at which a box with its margin has the area of a square with ``side``, within limits."""
    width, height = box.sides
    margin = 2 * (MARGIN * math.sqrt(max(width, 8) * max(height, 8)) + MARGIN_PX)
    area = (max(width, 8) + margin) * (max(height, 8) + margin)
    return min(max(side / math.sqrt(area), SMALLEST_SCALE), LARGEST_SCALE)


@dataclass(frozen=True)
class CropWindow:
    """A window of (width, height) ``size``; ``scale``: its pixels for one of the frame; ``corner``: its place there."""

    size: tuple[int, int]
    scale: float
    corner: tuple[float, float]

    @classmethod
    def around(cls, box: Box, frame: tuple[int, int], side: int) -> CropWindow:
        """Return the window around a box in a frame of (width, height), inside the frame where it fits."""
        scale = scale_around(box, side)
        margin = 2 * (MARGIN * math.sqrt(max(box.sides[0], 8) * max(box.sides[1], 8)) + MARGIN_PX)
        size, corner = [], []
        for middle, length, whole in zip(box.centre, box.sides, frame, strict=True):
            wanted = min((max(length, 8) + margin) * scale, whole * scale)
            pixels = max(NARROWEST, math.ceil(wanted / MULTIPLE) * MULTIPLE)
            half = pixels / scale / 2
            at = min(max(middle, half), whole - half) if 2 * half <= whole else whole / 2
            size.append(pixels)
            corner.append(at - half)
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    @classmethod
    def whole(cls, frame: tuple[int, int], scale: float) -> CropWindow:
        """Return the window of all of a frame at a scale."""
        size = [max(NARROWEST, math.ceil(side * scale / MULTIPLE) * MULTIPLE) for side in frame]
        corner = [(side - pixels / scale) / 2 for side, pixels in zip(frame, size, strict=True)]
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    def take(self, picture: np.ndarray, *, border: int = cv2.BORDER_REFLECT) -> np.ndarray:
        """Return what is in the window, of a picture (H, W[, C]) uint8 or a matte float32."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, self._to_frame(), self.size, flags=flags, borderMode=border)

    def place(self, matte: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Return a window's matte (h, w) float32 where it lies in a frame of (width, height); 0 around it."""
        return cv2.warpAffine(matte, self._to_frame(), frame, flags=cv2.INTER_LINEAR)

    def _to_frame(self) -> np.ndarray:
        shift = [corner + (1 / self.scale - 1) / 2 for corner in self.corner]  # from centres of pixels to centres
        return np.array([[1 / self.scale, 0, shift[0]], [0, 1 / self.scale, shift[1]]])


class MatteExample(NamedTuple):
    """A window (H, W, 3) float32 from 0 to 1, its matte and its guide, (H, W) float32; ``guide`` None: none."""

    picture: np.ndarray
    matte: np.ndarray
    guide: np.ndarray | None


@dataclass(frozen=True)
class PaintedThing:
    """A painted frame: its picture (H, W, 3) uint8, and the matte of a thing, (H, W) float32 from 0 to 1."""

    picture: np.ndarray
    matte: np.ndarray


class ExampleMaker:
    """Draws examples of one painted frame, square windows of ``side`` pixels. Something must be inside its matte."""

    def __init__(self, painted: PaintedThing, side: int) -> None:
        self.painted, self.side = painted, side
        hole = cv2.dilate((painted.matte > 0.02).astype(np.uint8), np.ones((EDGE, EDGE), np.uint8)) > 0
        self._behind = filled(painted.picture, hole)
        box = box_of(painted.matte)
        assert box is not None
        self._box, self._length = box, float(np.sqrt(box.sides[0] * box.sides[1]))
        self._grid = np.mgrid[0:side, 0:side].astype(np.float32)[::-1] - np.float32((side - 1) / 2)

    def draw(self, rng: np.random.Generator) -> MatteExample:
        """Return a new example."""
        scale = scale_around(self._box, self.side) * float(np.exp(ZOOM * rng.standard_normal()))
        x, y = self._places(rng, scale)
        inverse, bend = np.linalg.inv(_move(rng, *MOVES)), _bend(rng, self.side, BEND * self._length)
        centre = self._box.centre
        at = [inverse[k, 0] * x + inverse[k, 1] * y + bend[..., k] + np.float32(centre[k]) for k in (0, 1)]
        matte = _sample(self.painted.matte, at, cv2.BORDER_CONSTANT)
        picture = _sample(self.painted.picture, at).astype(np.float32) / 255
        if rng.random() < CUT_OUT:
            inverse, shift = np.linalg.inv(_move(rng, *MOVES_BEHIND)), SHIFT_BEHIND * self._length
            off = [shift * rng.standard_normal() + c for c in centre]
            at = [inverse[k, 0] * x + inverse[k, 1] * y + np.float32(off[k]) for k in (0, 1)]
            behind = _sample(self._behind, at).astype(np.float32) / 255
            share = cv2.GaussianBlur(matte, (0, 0), rng.uniform(0.4, 1.2))[..., None]
            light = np.float32(np.exp(LIGHT * rng.standard_normal())) if rng.random() < 0.5 else 1
            picture = picture * light * share + behind * (1 - share)
        guide = _damaged(rng, matte, self._length * scale)
        return MatteExample(_coloured(rng, picture), matte, None if rng.random() < UNGUIDED else guide)

    def _places(self, rng: np.random.Generator, scale: float) -> np.ndarray:
        """Return x and y of each pixel of a window, relative to the middle of the thing, (2, side, side) float32."""
        sides = np.array(self._box.sides, np.float64)
        reach = sides if max(sides) * scale > self.side else AROUND * sides + AROUND_PX
        off = rng.uniform(-0.5, 0.5, 2) * reach
        places = self._grid / np.float32(scale) + off.astype(np.float32)[:, None, None]
        if rng.random() < MIRRORED:
            places[0] *= -1
        return np.asarray(places, np.float32)


def filled(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 whose hole, (H, W) bool, is filled smoothly from around, by pull and push."""
    weight = (~hole).astype(np.float32)
    levels = [(picture.astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    known, weight = levels[-1]
    made = known / np.maximum(weight, 1e-6)[..., None]
    for place, (known, weight) in reversed(list(enumerate(levels[:-1]))):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = (np.clip(4 * weight, 0, 1) if place else weight)[..., None]
        made = share * known / np.maximum(weight, 1e-3)[..., None] + (1 - share) * made
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _move(rng: np.random.Generator, degrees: float, scale: float, shear: float) -> np.ndarray:
    """Draw a turn, a scale, a stretch and a shear, (2, 2)."""
    angle, sheared, zoom = np.deg2rad(degrees) * rng.standard_normal(), shear * rng.standard_normal(), scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag(np.exp(zoom * rng.standard_normal() + zoom / 2 * rng.standard_normal(2)))
    moved: np.ndarray = turn @ np.array([[1.0, sheared], [0.0, 1.0]]) @ stretch
    return moved


def _bend(rng: np.random.Generator, side: int, pixels: float) -> np.ndarray:
    """Draw a smooth field of shifts, (side, side, 2) float32, with a deviation of about ``pixels``."""
    coarse = rng.standard_normal((5, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * np.float32(pixels)


def _sample(picture: np.ndarray, at: list[np.ndarray], border: int = cv2.BORDER_REFLECT) -> np.ndarray:
    x, y = (places.astype(np.float32) for places in at)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border)


def _coloured(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Change the light of a picture, often blur it as motion does, and add noise."""
    power = np.exp(GAMMA * rng.standard_normal())
    gain = np.exp(TINT * rng.standard_normal(3) + LIGHT * rng.standard_normal())
    changed = (np.clip(picture, 0, 1) ** np.float32(power)) * gain.astype(np.float32)
    if rng.random() < BLURRED:
        length, angle, middle = rng.integers(2, LONGEST_BLUR), rng.uniform(0, np.pi), LONGEST_BLUR // 2
        along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        kernel = np.zeros((LONGEST_BLUR, LONGEST_BLUR), np.float32)
        ends = [(round(middle + sign * along[0]), round(middle + sign * along[1])) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], (1.0,))
        changed = cv2.filter2D(changed, -1, kernel / kernel.sum())
    noise = rng.standard_normal(changed.shape, dtype=np.float32)
    return np.clip(changed + np.float32(NOISE) * noise, 0, 1).astype(np.float32)


def _damaged(rng: np.random.Generator, matte: np.ndarray, length: float) -> np.ndarray:
    """Return a guide: a matte, (side, side), of a thing of ``length`` pixels, damaged as the motion would."""
    side = len(matte)
    bend = _bend(rng, side, GUIDE_BEND * length * rng.random())
    move, shift = _move(rng, *GUIDE_MOVES), GUIDE_SHIFT * length * rng.standard_normal(2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - np.float32(side / 2)
    at = [move[k, 0] * x + move[k, 1] * y + bend[..., k] + np.float32(side / 2 + shift[k]) for k in (0, 1)]
    guide = _sample((matte > 0.5).astype(np.float32), at, cv2.BORDER_CONSTANT)
    if rng.random() < 0.5:
        width = 1 + 2 * int(rng.integers(1, max(2, int(GUIDE_GROWTH * length))))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        guide = cv2.erode(guide, kernel) if rng.random() < 0.5 else cv2.dilate(guide, kernel)
    near = np.argwhere(cv2.dilate(guide, np.ones((15, 15), np.uint8)) > 0.5)
    for _ in range(rng.integers(0, SPOTS) if len(near) else 0):
        row, column = near[rng.integers(len(near))]
        axes = [int(1 + rng.random() * part * length) for part in SPOT]
        turn, value = rng.uniform(0, 180), float(rng.random() < FALSE_SPOTS)
        cv2.ellipse(guide, (int(column), int(row)), axes, turn, 0, 360, value, -1)
    return cv2.GaussianBlur(guide, (0, 0), 1 + 2 * rng.random())


def learn(
    painted: Sequence[PaintedThing], steps: int, side: int, seed: int, *, bf16: bool, after_step: Callable[[int], None]
) -> MatteNetwork:
    """Return the network of a thing, trained on its painted frames; ``after_step`` gets the number of steps so far.

    The same frames, seed, number of threads and precision give the same network. ``side``: of the windows, in pixels.
    """
    rng, windows = np.random.default_rng(seed), [window_of(one, side) for one in painted]
    with SEEDING, torch.random.fork_rng(devices=[]):  # torch has one generator for all threads
        torch.default_generator.manual_seed(seed)
        network = MatteNetwork(windows, bf16=bf16)
    makers = [ExampleMaker(one, side) for one in painted]
    decoder = network.decoder
    optimiser = torch.optim.AdamW(decoder.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    averages = [parameter.detach().clone() for parameter in decoder.parameters()]
    for step in range(steps):
        rate = LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * rate
        loss = _loss(network, [makers[rng.integers(len(makers))].draw(rng) for _ in range(BATCH)], rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        share = 1 - min(AVERAGING, (step + 1) / (step + 11))
        with torch.no_grad():
            for average, parameter in zip(averages, decoder.parameters(), strict=True):
                average.lerp_(parameter, share)
        after_step(step + 1)
    with torch.no_grad():
        for average, parameter in zip(averages, decoder.parameters(), strict=True):
            parameter.copy_(average)
    return network


def window_of(painted: PaintedThing, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window around the thing of a painted frame, (H, W, 3) uint8, and its matte there, (H, W) float32."""
    box = box_of(painted.matte)
    assert box is not None
    height, width = painted.matte.shape
    window = CropWindow.around(box, (width, height), side)
    return window.take(painted.picture), window.take(painted.matte, border=0)


def _loss(network: MatteNetwork, examples: Sequence[MatteExample], rng: np.random.Generator) -> torch.Tensor:
    """Return the cross-entropy of examples, and what their overlap (intersection over union) lacks of 1."""
    guides = [np.zeros_like(one.matte) if one.guide is None else one.guide for one in examples]
    guided = [float(one.guide is not None) for one in examples]
    kept = (rng.random(len(examples)) >= HIDDEN).astype(np.float32)
    logits, _ = network(
        to_tensor([one.picture for one in examples]),
        torch.from_numpy(np.stack(guides))[:, None],
        torch.tensor(guided).view(-1, 1, 1, 1),
        torch.from_numpy(kept).view(-1, 1, 1, 1),
    )
    truth = torch.from_numpy(np.stack([one.matte for one in examples]))[:, None]
    found = logits.sigmoid()
    both = (found * truth).sum((1, 2, 3))
    either = (found + truth - found * truth).sum((1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, truth) + OVERLAP * (1 - (both + 1) / (either + 1)).mean()
