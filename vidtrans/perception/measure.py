"""The interface of perceptual measures, the base class of measures by network features, and a picture's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.files import digest_of
from vidtrans.video.images.picture import resize

Features = list[Tensor]  # Features of pictures at each tap (a selected network layer), (N, C, h, w) each
NUM_PARTS = 2  # Number of parts along each side of a picture that are compared with the style separately
MIN_PART_SIDE = 12  # Smallest side of a part, in feature positions
SHIFT_RANGE_PX = 16  # Range of the random shifts of a picture relative to a measure's grid, in pixels
MAX_ASPECT = 3  # Largest ratio of the sides of a style picture that is not cropped
NUM_DIRECTIONS = 12  # Number of random directions in RGB for the colour distance
COLOUR_SCALES = (2, 8)  # Factors of the average pooling before colours are compared
TONE_SCALES = (8, 16)  # Factors of the average pooling before tones (light and dark) are compared
# Added to the standard deviation of lightness in [−1, 1], so that the noise of an even picture has no tones
MIN_TONE_DEVIATION = 0.1
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709 weights of R'G'B'
# Short side of the style picture, in pixels, for the finest, middle and broadest strokes
STROKE_SIDES = (128, 256, 512)
SMALLEST_SIDE = 32  # Smallest side of a scaled style picture, in pixels


class LookMeasure(Protocol):
    """Distances of pictures from a style and from the content of other pictures. Pictures are (N, 3, H, W) in [−1, 1].

    ``where``: weights of the pixels, (N, 1, H, W), at least 0; None for weights of 1.
    """

    def see(self, pictures: Tensor) -> Any:  # noqa: ANN401  (its own)
        """Return the measure's representation of pictures, which the distances compare; gradients flow through it."""

    def statistics(self, picture: Tensor) -> Any:  # noqa: ANN401
        """Return the measure's style representation of a style picture, (1, 3, H, W)."""

    def one(self, embedding: Any, number: int) -> Any:  # noqa: ANN401
        """Return the representation of a single picture, by ``number``, from the representation of a batch."""

    def style(self, embedding: Any, statistics: Any, where: Tensor | None = None) -> Tensor:  # noqa: ANN401
        """Return the distance of one picture's representation from a style, about 0 to 10; ``where``: pixel weights.

        ``embedding``: from ``see``; ``statistics``: those of the style, from ``statistics``. The distance is a weighted
        mean over pixels, so it does not depend on the area with weights above 0; it is finite if all weights are 0.
        """

    def content(self, embedding: Any, input_embedding: Any, where: Tensor | None = None) -> Tensor:  # noqa: ANN401
        """Return the mean content distance of pictures from their input frames; ``where``: factors on the errors.

        ``embedding``, ``input_embedding``: representations of pictures and input frames, from ``see``.
        """

    @classmethod
    def identity(cls) -> str:
        """Return the identifier of the measure for cache keys. Raises UsageError if the measure is not installed."""


class FeatureMeasure:
    """A perceptual measure that compares features of a network: their statistics for style, their values for content.

    Gatys et al., "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. Each squared error is divided
    by the mean square of the target, so that taps of any network have equal weight. Each part of a picture is compared
    with the style: compared as a whole, strokes would concentrate in busy areas and leave calm ones bare.
    """

    parts: ClassVar[int] = NUM_PARTS
    style_weights: tuple[float, ...]  # Weight of each tap in the style distance
    content_weights: tuple[float, ...]  # Weight of each tap in the content distance

    @classmethod
    def weighing(cls) -> str:
        """Return a digest of the number of parts and of the taps' weights, for the measure's identifier."""
        return digest_of([cls.parts, cls.style_weights, cls.content_weights])[:8]

    def features(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        raise NotImplementedError

    def see(self, pictures: Tensor) -> Features:
        """Return the features of pictures at the taps."""
        return self.features(pictures)

    def one(self, embedding: Features, number: int) -> Features:
        """Return the features of a single picture, by ``number``, from the features of a batch."""
        return [features[number : number + 1] for features in embedding]

    def statistics(self, picture: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the Gram matrix (1, C, C), means (1, C) and deviations (1, C) of the features at each tap."""
        with torch.no_grad():
            return [_statistics(f) for f in self.features(picture)]

    def style(
        self, embedding: Features, statistics: list[tuple[Tensor, Tensor, Tensor]], where: Tensor | None = None
    ) -> Tensor:
        """Return the style distance by errors of Gram matrices, means and deviations; ``where``: pixel weights.

        The errors are squared, relative to the style's mean squares, and weighted by tap. ``embedding``: features of a
        single picture; ``statistics``: those of the style.
        """
        total = embedding[0].new_zeros((), dtype=torch.float32)
        for weight, features, targets in zip(self.style_weights, embedding, statistics, strict=True):
            parts, weights, shares = _in_parts(features, self.parts), None, None
            if where is not None:
                weights = _in_parts(resize_weights(where, features), self.parts)
                shares = weights.mean((1, 2, 3)) / weights.mean().clamp_min(1e-6)
            for statistic, target in zip(_statistics(parts, weights), targets, strict=True):
                errors = (statistic - target).square().flatten(1).mean(1) / target.square().mean()
                total = total + weight * (errors if shares is None else shares * errors).mean()
        return total

    def content(self, embedding: Features, input_embedding: Features, where: Tensor | None = None) -> Tensor:
        """Return the content distance: mean squared differences of the features, weighted by tap and by ``where``.

        Features are normalised per picture and channel, so that colours have little effect.
        """
        total = embedding[0].new_zeros((), dtype=torch.float32)
        for weight, features, targets in zip(self.content_weights, embedding, input_embedding, strict=True):
            if weight:
                total = total + weight * weighted_error(_normalise(features), _normalise(targets), where)
        return total


def enlarge_to(pictures: Tensor, smallest: int) -> Tensor:
    """Return pictures (N, 3, H, W), enlarged if a side is shorter than ``smallest`` pixels."""
    if (side := min(pictures.shape[2:])) >= smallest:
        return pictures
    return F.interpolate(pictures, scale_factor=smallest / side, mode="bilinear", align_corners=False)


def sort_values(values: Tensor) -> Tensor:
    """Return values (..., M) as float32, sorted along the last axis; gradients flow through the sorting.

    On a CPU numpy sorts: its vectorised sort takes a quarter of torch's time, and a twentieth without gradients.
    """
    values = values.float()
    if not values.is_cpu:
        return values.sort(-1).values
    if not values.requires_grad:
        return torch.from_numpy(np.sort(values.numpy(), -1))
    return values.gather(-1, torch.from_numpy(np.argsort(values.detach().numpy(), -1)))


def sorted_distance(values: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared distance between sorted values (..., M) and sorted targets (..., K), resampled to M."""
    positions = torch.linspace(0, targets.shape[-1] - 1, values.shape[-1], device=values.device).long()
    return (values - targets[..., positions]).square().mean()


def tone_distance(output: Tensor, frames: Tensor) -> Tensor:
    """Return the mean squared difference of normalised tones between pictures and their input frames: 0 to about 4.

    Tones are the luma, averaged over squares of ``TONE_SCALES``, with mean 0 and deviation 1 per picture. Features that
    are normalised per channel hardly see whether a large even area is lighter or darker than its surroundings: without
    this distance, the style fills dark areas with the painting's ground. Pictures are (N, 3, H, W) in [−1, 1].
    """
    luma = output.new_tensor(LUMA).view(1, 3, 1, 1)
    errors = []
    for factor in TONE_SCALES:
        if min(output.shape[2:]) < 2 * factor:
            continue
        tones, targets = (
            _normalise(F.avg_pool2d((luma * x.float()).sum(1, keepdim=True), factor), MIN_TONE_DEVIATION)
            for x in (output, frames)
        )
        errors.append(F.mse_loss(tones, targets))
    return torch.stack(errors).mean() if errors else output.new_zeros(())


def draw_shift(size: Sequence[int], random: torch.Generator) -> tuple[int, int]:
    """Draw a shift (rows, columns) in pixels for pictures of ``size`` (H, W), to apply before a measurement.

    Without random shifts, the strides of a measure's network would leave a pattern of dots in the optimised picture.
    """
    y, x = torch.randint(max(1, min(SHIFT_RANGE_PX, *(n // 8 for n in size))), (2,), generator=random).tolist()
    return y, x


def shift_pictures(pictures: Tensor, shift: tuple[int, int]) -> Tensor:
    """Return pictures (N, 3, H, W), shifted down and right; the top and left are filled by mirroring."""
    y, x = shift
    return F.pad(pictures, (x, 0, y, 0), mode="reflect")


def _in_parts(features: Tensor, parts: int) -> Tensor:
    """Split features (1, C, h, w) into ``parts``² parts of equal size, (P, C, h', w').

    The features stay whole if parts would be smaller than ``MIN_PART_SIDE``, because their statistics are unreliable.
    """
    if min(features.shape[2:]) // parts < MIN_PART_SIDE:
        return features
    height, width = (length // parts for length in features.shape[2:])
    rows = features[0, :, : parts * height, : parts * width].unflatten(1, (parts, height))
    return rows.unflatten(3, (parts, width)).permute(1, 3, 0, 2, 4).flatten(0, 1)


def weighted_error(values: Tensor, targets: Tensor, where: Tensor | None) -> Tensor:
    """Return the mean squared error of (N, C, h, w), multiplied by the pixel weights ``where``, (N, 1, H, W)."""
    if where is None:
        return F.mse_loss(values, targets)
    return (resize_weights(where, values) * (values - targets).square()).mean()


def resize_weights(where: Tensor, features: Tensor) -> Tensor:
    """Return pixel weights ``where`` (N, 1, H, W), averaged to the size of features (N, C, h, w): (N, 1, h, w)."""
    return F.interpolate(where, features.shape[2:], mode="area")


def _statistics(features: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return Gram matrices (N, C, C), means (N, C) and deviations (N, C) of features (N, C, h, w).

    With weights, (N, 1, h, w), the Gram matrices are guided (Gatys et al., CVPR 2017).
    """
    flat = features.float().flatten(2)
    if weights is None:
        gram = flat @ flat.transpose(1, 2) / flat.shape[2]
        return gram, flat.mean(2), flat.std(2, correction=0)
    shares = weights.flatten(2)
    shares = shares / shares.sum(2, keepdim=True).clamp_min(1e-6)
    mean = (shares * flat).sum(2)
    variance = (shares * (flat - mean[..., None]).square()).sum(2)
    deviation = (variance + 1e-12).sqrt()  # The epsilon keeps the gradient finite for a variance of 0
    return (shares * flat) @ flat.transpose(1, 2), mean, deviation


def _normalise(features: Tensor, smallest: float = 1e-3) -> Tensor:
    """Return features (N, C, h, w) with mean 0 and deviation 1 per picture and channel; ``smallest`` is added to it."""
    exact = features.float()
    mean, deviation = exact.mean((2, 3), keepdim=True), exact.std((2, 3), correction=0, keepdim=True)
    return (exact - mean) / (deviation + smallest)


def stroke_side(size: float) -> int:
    """Return the short side in pixels to which a style picture is scaled, for a stroke size from 0 (finest) to 1."""
    finest, broadest = STROKE_SIDES[0], STROKE_SIDES[-1]
    return round(finest * (broadest / finest) ** size)


def crop_to_middle(picture: np.ndarray) -> np.ndarray:
    """Return a style picture (H, W, 3), cropped to its middle if its aspect ratio exceeds ``MAX_ASPECT``."""
    longest = MAX_ASPECT * min(picture.shape[:2])
    starts = [max(0, (n - longest) // 2) for n in picture.shape[:2]]
    rows, columns = (slice(s, n - s) for s, n in zip(starts, picture.shape[:2], strict=True))
    return np.ascontiguousarray(picture[rows, columns])


def with_short_side(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8, resized to a short side in pixels; no side is below ``SMALLEST_SIDE``."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    return resize(picture, max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale)))


def to_signed(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return a picture (H, W, 3) uint8 as (1, 3, H, W) float32 in [−1, 1]."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return planes.to(device).float() / 127.5 - 1


def to_matte(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return a grey picture (H, W, 3) uint8 as pixel weights from 0 to 1, (1, 1, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(picture[..., 0]))[None, None].to(device).float() / 255


@dataclass(frozen=True)
class Style:
    """The style of a picture: its ``statistics`` by a measure, and its ``colours``, (3, M) for each scale.

    The scales are ``COLOUR_SCALES``.
    """

    statistics: Any
    colours: list[Tensor]

    @classmethod
    def of(cls, picture: np.ndarray, side: int, measure: Any) -> Style:  # noqa: ANN401  (a ``LookMeasure`` that is a module)
        """Return the style of a picture (H, W, 3) uint8 at a short ``side`` in pixels, on the measure's device."""
        device = next(iter(measure.buffers()), torch.empty(0)).device
        x = to_signed(with_short_side(picture, side), device)
        return cls(measure.statistics(x), [F.avg_pool2d(x, by).flatten(2)[0] for by in COLOUR_SCALES])

    def colour_distance(self, output: Tensor, random: torch.Generator, where: Tensor | None = None) -> Tensor:
        """Return the sliced Wasserstein distance (Bonneel et al., 2015) between an output's and the style's colours.

        The result is the mean squared distance along random directions, summed over ``COLOUR_SCALES``. ``output`` is
        (1, 3, H, W) in [−1, 1]. ``where``, (1, 1, H, W): pixel weights; only pixels with weights above 0.5 count.
        """
        directions = F.normalize(torch.randn(NUM_DIRECTIONS, 3, generator=random), dim=1).to(output.device)
        total = output.new_zeros(())
        for factor, targets in zip(COLOUR_SCALES, self.colours, strict=True):
            colours = F.avg_pool2d(output, factor).flatten(2)[0]
            if where is not None:
                colours = colours[:, F.avg_pool2d(where, factor).flatten() > 0.5]
            if colours.shape[1]:
                projected = sort_values(directions @ colours)
                total = total + sorted_distance(projected, sort_values(directions @ targets))
        return total
