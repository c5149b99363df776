"""Style transfer by optimising the pixels of each frame: slow, but as close to the style as the measure permits.

Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016); for clips after Ruder et al.
("Artistic Style Transfer for Videos", GCPR 2016): each frame starts from the last output, warped along the motion, and
a loss keeps it close to this start where the flow is reliable. The method needs no training: the weights are the
style pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.core.settings import parse_size
from vidtrans.flow.history import CHANNELS
from vidtrans.networks.painter import condition_channels, read_conditions
from vidtrans.perception import DEFAULT, MEASURES, load_measure
from vidtrans.perception.measure import Style, draw_shift, shift_pictures, stroke_side

FIRST_RATE, LAST_RATE = 0.06, 0.01  # Adam's learning rate in the first and in the last step, for colours in [−1, 1]
MAX_SIDE_PX = 2048  # Largest side of a style picture, in pixels
MAX_STYLES = 16  # Largest number of style representations in memory, about 1 MB each
MIN_COARSE_SIDE_PX = 128  # Smallest short side in pixels of a frame that is first optimised at half size


@dataclass(frozen=True)
class OptimisedSettings:
    """Settings of ``Optimised``: sizes of the style pictures, perceptual measure, steps and loss weights."""

    sizes: tuple[str, ...] = option(("64x64",), "sizes of the style pictures, WxH, one for each look")
    measure: str = option(DEFAULT, "perceptual measure that compares styles")
    first_steps: int = option(200, "number of steps for the first frame of a shot", bounds=(1, 10_000))
    next_steps: int = option(60, "number of steps for every other frame", bounds=(1, 10_000))
    style: float = option(2.0, "weight of the style", bounds=(0.0, 1000.0))
    colour: float = option(20.0, "weight of the colours of the style", bounds=(0.0, 1000.0))
    smooth: float = option(4.0, "weight of differences between neighbouring pixels", bounds=(0.0, 1000.0))
    steady: float = option(
        20.0, "weight of the difference from the previous output, moved along the motion", bounds=(0.0, 1000.0)
    )

    def __post_init__(self) -> None:
        if any(side > MAX_SIDE_PX for size in self.shapes for side in size):
            raise ValueError(f"generator.sizes: a style picture is at most {MAX_SIDE_PX} pixels a side")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Return the (width, height) of each style picture. Raises ValueError."""
        sizes = [parse_size(text).exact for text in self.sizes]
        if not sizes or None in sizes:
            raise ValueError(f"generator.sizes: each size must be WxH (got {', '.join(self.sizes) or 'none'})")
        return [size for size in sizes if size]


class Optimised(nn.Module):
    """A generator that optimises pixels instead of running a network; its weights are the style pictures."""

    Settings = OptimisedSettings
    multiple = 8
    smallest = 16
    needs_fp32: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def __init__(self, in_channels: int, out_channels: int, settings: OptimisedSettings) -> None:
        super().__init__()
        self.in_channels, self.settings = in_channels, settings
        self.looks = len(settings.sizes)
        self.conditions = condition_channels(self.looks)
        for number, (width, height) in enumerate(settings.shapes):
            self.register_buffer(f"picture_{number}", torch.zeros(out_channels, height, width, dtype=torch.uint8))
        self._measure: Any = None
        self._styles: dict[tuple[int, int], Style] = {}

    def set_pictures(self, pictures: Sequence[np.ndarray]) -> None:
        """Set the style pictures, (H, W, 3) uint8 each, with the sizes in the settings."""
        for number, picture in enumerate(pictures):
            self.get_buffer(f"picture_{number}").copy_(torch.from_numpy(picture.transpose(2, 0, 1).copy()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3 + conditions + 4, H, W), a frame, condition planes and a history → (N, 3, H, W), all in [−1, 1].

        The history is the warped previous output with its confidence, see ``flow.history``.
        """
        with torch.inference_mode(False), torch.enable_grad():
            return torch.cat([self._optimise_frame(one.clone()) for one in x.split(1)])

    def _optimise_frame(self, x: Tensor) -> Tensor:
        """Optimise one frame; the first frame of a shot is first optimised at half size, unless the frame is small."""
        frame, past = x[:, :3].clone(), x[:, -CHANNELS:].clone()
        conditions = x[:, 3 : 3 + self.conditions]
        shares, stroke = read_conditions(conditions, self.looks)
        task = _FrameOptimisation(self, frame, past, shares[0].tolist(), stroke_side(float(stroke[0] + 1) / 2))
        random = torch.Generator().manual_seed(0)
        if task.has_past:
            return task.optimise(task.start(), self.settings.next_steps, random)
        if min(frame.shape[2:]) < MIN_COARSE_SIDE_PX:
            return task.optimise(task.start(), self.settings.first_steps, random)
        coarse = task.at_half()
        rough = coarse.optimise(coarse.start(), self.settings.first_steps // 2, random)
        start = F.interpolate(rough, size=frame.shape[2:], mode="bilinear", align_corners=False)
        return task.optimise(start, self.settings.first_steps - self.settings.first_steps // 2, random)

    @property
    def identity(self) -> dict[str, str]:
        """Return the identity of the perceptual measure for cache keys. Raises like ``measure_on``."""
        return {"measure": MEASURES.load(self.settings.measure).identity()}

    def measure_on(self, device: torch.device) -> Any:  # noqa: ANN401  (a ``LookMeasure``)
        """Return the perceptual measure on ``device``. Raises UsageError if it is not installed."""
        if self._measure is None:
            self._measure = load_measure(self.settings.measure).to(device)
        return self._measure

    def style(self, look: int, side: int, device: torch.device) -> Style:
        """Return the representation of style number ``look``, from its style picture at a short ``side`` in pixels."""
        if (look, side) not in self._styles:
            if len(self._styles) >= MAX_STYLES:  # The stroke size may change in every frame
                self._styles.clear()
            picture = self.get_buffer(f"picture_{look}").permute(1, 2, 0).cpu().numpy()
            self._styles[look, side] = Style.of(picture, side, self.measure_on(device))
        return self._styles[look, side]


class _FrameOptimisation:
    """The optimisation of one frame: the frame, the warped output of the previous frame, and the weighted styles.

    ``frame``: (1, 3, H, W) in [−1, 1]. ``past``: the history, (1, 4, H, W), see ``flow.history``. ``shares``: the
    weight of each style. ``side``: the short side of the style pictures, in pixels.
    """

    def __init__(self, network: Optimised, frame: Tensor, past: Tensor, shares: Sequence[float], side: int) -> None:
        """Create the task; ``past``: the history; ``shares``: style weights; ``side``: short side of styles in px."""
        self.network, self.frame, self.shares, self.side = network, frame, shares, side
        self.past = past
        self.warped, self.trust = past[:, :3], (past[:, 3:] + 1) / 2
        self.has_past = bool((self.trust > 0).any())
        self.measure = network.measure_on(frame.device)
        looks = [number for number, share in enumerate(shares) if share > 0]
        self.styles = [(shares[look], network.style(look, side, frame.device)) for look in looks]

    def at_half(self) -> _FrameOptimisation:
        """Return the optimisation of the same frame at half size, with strokes of half the size."""
        frame, past = (F.avg_pool2d(x, 2) for x in (self.frame, self.past))
        return _FrameOptimisation(self.network, frame, past, self.shares, max(self.side // 2, 32))

    def start(self) -> Tensor:
        """Return the initial picture: the warped previous output where it can be trusted, the frame elsewhere."""
        return self.warped + (1 - self.trust) * self.frame

    def optimise(self, start: Tensor, steps: int, random: torch.Generator) -> Tensor:
        """Return the picture after a number of optimisation steps from ``start`` (1, 3, H, W) in [−1, 1]."""
        picture = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([picture], FIRST_RATE)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (step / steps)
            optimizer.zero_grad()
            self._loss(picture, random).backward()
            optimizer.step()
            with torch.no_grad():
                picture.clamp_(-1, 1)
        return picture.detach()

    def _loss(self, picture: Tensor, random: torch.Generator) -> Tensor:
        """Return the loss of a picture: content, styles, colours, roughness, difference to the warped last output."""
        settings = self.network.settings
        shift = draw_shift(picture.shape[2:], random)
        shifted = shift_pictures(picture, shift)
        features = self.measure.see(shifted)
        with torch.no_grad():
            frame_features = self.measure.see(shift_pictures(self.frame, shift))
        loss: Tensor = self.measure.content(features, frame_features)
        for share, style in self.styles:
            loss = loss + settings.style * share * self.measure.style(features, style.statistics)
            loss = loss + settings.colour * share * style.colour_distance(shifted, random)
        loss = loss + settings.smooth * _roughness(picture)
        if self.has_past:
            loss = loss + settings.steady * (self.trust * picture - self.warped).square().mean()
        return loss


def _roughness(picture: Tensor) -> Tensor:
    """Return the mean square of second differences of a picture; large for noise, small for a stroke's edge."""
    down, across = picture.diff(n=2, dim=2), picture.diff(n=2, dim=3)
    total: Tensor = down.square().mean() + across.square().mean()
    return total
