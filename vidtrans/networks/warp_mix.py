"""A generator for next-frame prediction: it warps the latest frame, and mixes it with a newly synthesised picture.

Output: (1 − α)·warp(latest, flow) + α·direct. Warping preserves detail (as in Finn et al., "Unsupervised Learning for
Physical Interaction through Video Prediction", NIPS 2016); synthesis restores what warping cannot, and because α is
never 0, errors decay instead of accumulating. Conditions modulate the features (FiLM, Perez et al., AAAI 2018), and
select stored frames of the training clip.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import option
from vidtrans.flow.tensors import warp
from vidtrans.networks.frame_memory import MAX_PIXELS, FrameMemory, decode_views, sample_view
from vidtrans.networks.unet_small import HalfSizeSettings, SmallResidual

HIDDEN = 128  # Number of channels of the hidden layers between the conditions and the modulation of features.
# Numbers of the condition channels that follow those of the position: 12 for the view (the visible part of the stored
# frame), and one each for recall (share of the stored frame) and noise (of the input); see ``pairing.next_frame``.
NUM_VIEW, NUM_LEVELS = 12, 2
MAX_COLOUR = 0.98  # Largest magnitude of a stored picture's values before atanh, which is infinite at ±1.


@dataclass(frozen=True)
class WarpMixSettings(HalfSizeSettings):
    """Settings of ``WarpMix``: width, depth, mixture of the two pictures, conditions, and stored frames."""

    max_flow_px: float = option(8.0, "largest motion of a pixel of the latest frame, in pixels", bounds=(0.0, 256.0))
    min_synthesis: float = option(
        0.05, "smallest share of the repainted picture at each pixel, which corrects drift", bounds=(0.0, 1.0)
    )
    told_channels: int = option(
        0,
        "number of extra input channels for position, view, recall and noise; set by the dataset",
        bounds=(0, 64),
    )
    memory_frames: int = option(
        0,
        "with a position: number of the clip's frames that the model keeps; the limit is all frames; 0: none",
        bounds=(0, 1024),
    )
    free_changes: bool = option(
        False,
        "With kept frames: what is painted without them is a change of the moved frame, so pictures of other "
        "scenes last. If false, it is a whole picture, which predicts better.",
    )
    memory_size: tuple[int, ...] = option(
        (48, 80), "height and width of the kept frames; set by the dataset", bounds=(8, 4096)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory_frames == 1:
            raise ValueError(
                "generator.memory_frames must be 0 (none) or at least 2 (got 1): a single picture cannot move"
            )
        if 0 < self.told_channels <= NUM_VIEW + NUM_LEVELS:
            raise ValueError(f"generator.told_channels must be 0, or more than {NUM_VIEW + NUM_LEVELS}")
        if len(self.memory_size) != 2:
            raise ValueError(f"generator.memory_size needs 2 numbers (got {len(self.memory_size)})")
        if self.memory_frames * self.memory_size[0] * self.memory_size[1] > MAX_PIXELS:
            raise ValueError(f"generator.memory_frames of memory_size have more than {MAX_PIXELS} pixels")


class SingleNorm(nn.InstanceNorm2d):
    """An instance norm that accepts a single pixel (the output is then the bias), which torch's instance norm refuses.

    On a CPU it is computed as a batch norm of one picture at a time, with equal results in the channels-last layout.
    Torch's instance norm of a batch takes 1.5 to 3 times as long, and the next convolution must convert the layout.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        if x.device.type != "cpu":
            return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
        parts = [torch.batch_norm(p, self.weight, self.bias, None, None, True, 0.0, self.eps, True) for p in x.split(1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class _ModulatedConv(nn.Module):
    """Convolution, norm, modulation by conditions if there are any, and ReLU if ``activate``."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = SingleNorm(outputs)
        self.activate = activate

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H', W'); ``film``: scales and shifts, (N, 2·outputs, 1, 1), or None."""
        x = self.norm(self.conv(x))
        if film is not None:
            scale, shift = film.chunk(2, dim=1)
            x = x * (1 + scale) + shift
        return F.relu(x) if self.activate else x


class _WarpMixUp(nn.Module):
    """Upsampling by 2 (nearest neighbour), convolution, and fusion with the skip by a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _ModulatedConv(inputs, outputs)
        self.fuse = _ModulatedConv(2 * outputs, outputs, kernel=1)

    def forward(self, x: Tensor, skip: Tensor, first: Tensor | None, second: Tensor | None) -> Tensor:
        """(N, inputs, h, w), skip (N, outputs, 2h, 2w) → (N, outputs, 2h, 2w); ``first``, ``second``: modulations.

        Modulations are the scales and shifts for the convolution and for the fusion, (N, 2·outputs, 1, 1) each, or
        None.
        """
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), first)
        fused: Tensor = self.fuse(torch.cat([x, skip], 1), second)
        return fused


class _Film(nn.Module):
    """FiLM modulation: conditions (N, values) → scale and shift, (N, 2·width, 1, 1), for each of ``widths``."""

    def __init__(self, values: int, widths: list[int]) -> None:
        """Create the layers; ``values``: number of conditions, ``widths``: channels of each modulated layer."""
        super().__init__()
        self.read = nn.Sequential(nn.Linear(values, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.layers = nn.ModuleList(nn.Linear(HIDDEN, 2 * width) for width in widths)

    def forward(self, values: Tensor) -> list[Tensor]:
        """Return the scales and shifts of each layer for conditions (N, values)."""
        hidden = self.read(values)
        return [layer(hidden)[..., None, None] for layer in self.layers]


def add_in_logit_space(picture: Tensor, change: Tensor) -> Tensor:
    """Add an unbounded change to the atanh of a picture in [−1, 1], so that the result stays in this range."""
    return torch.tanh(change + torch.atanh(picture.clamp(-MAX_COLOUR, MAX_COLOUR)))


class WarpMix(nn.Module):
    """A U-Net that works at half size. Its input consists of frames, oldest first, then planes of conditions.

    Stored frames of the training clip are part of its input, and a second path leads them to its output: with m the
    frame at the position, and r the recall condition, it synthesises (1 − r)·p + r·tanh(q + atanh(m)). With one output
    for both p and q it learns to ignore the memory, as it must where r is 0. p is tanh(o) of an output o; or, with w
    the warped frame, tanh(o + atanh(w)): then pictures of other scenes persist, which otherwise turn into patches of
    wild colours.

    If the input has too few channels for a frame, the whole output is synthesised.
    """

    Settings = WarpMixSettings

    def __init__(self, in_channels: int, out_channels: int, settings: WarpMixSettings) -> None:
        super().__init__()
        if out_channels != 3:
            raise UsageError(
                "generator 'warp-mix'",
                "it has no mask output, which a background plate needs",
                "train with --set training.background_plate=false",
            )
        self.num_conditions = settings.told_channels
        frame_channels = in_channels - self.num_conditions
        if frame_channels < 1:
            why = f"the input has {count(in_channels, 'channel')}, so none is left for frames"
            raise UsageError(f"generator.told_channels={self.num_conditions}", why, "leave it out: the dataset sets it")
        if settings.memory_frames and not self.num_conditions:
            remedy = "make the dataset with --set pairing.position=clock, or leave it out"
            why = "frames are kept for a model with a position in its clip"
            raise UsageError(f"generator.memory_frames={settings.memory_frames}", why, remedy)
        self.reach, self.leak = settings.max_flow_px, settings.min_synthesis
        self.warps = frame_channels >= out_channels
        width = settings.channels
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.inner_multiple = 2 ** len(widths)
        self.smallest = 2 * self.inner_multiple
        height, across = settings.memory_size
        self.frame_memory = FrameMemory(settings.memory_frames, (height, across)) if settings.memory_frames else None
        self.changes = settings.free_changes and self.frame_memory is not None
        # Stored frames are whole pictures and would not align with a padded input, so the generator pads by itself.
        self.multiple = 1 if self.frame_memory else self.inner_multiple
        self.stem = _ModulatedConv(4 * frame_channels + (6 if self.frame_memory else 0), width)
        self.down = nn.ModuleList(
            nn.Sequential(
                _ModulatedConv(a, b, stride=2),
                *(SmallResidual(_ModulatedConv(b, b), _ModulatedConv(b, b, activate=False)) for _ in range(n)),
            )
            for a, b, n in zip(widths, widths[1:], settings.blocks, strict=False)
        )
        self.up = nn.ModuleList(_WarpMixUp(b, a) for a, b in reversed(list(itertools.pairwise(widths))))
        self.bottom = _ModulatedConv(widths[-1], widths[-1], kernel=1)
        self.film = (
            _Film(self.num_conditions - NUM_VIEW, [widths[-1], *(w for w in widths[-2::-1] for _ in range(2))])
            if self.num_conditions
            else None
        )
        # Output channels: the picture, the share α and flow (x, y) of the mixture, and the change of a stored picture.
        self.parts = [3, *([1, 2] if self.warps else []), *([3] if self.frame_memory else [])]
        self.head = nn.Sequential(nn.Conv2d(width, 4 * sum(self.parts), 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W), past frames and condition planes → the next frame, (N, 3, H, W), both in [−1, 1]."""
        height, width = x.shape[2:]
        frames = self._pad(x[:, : x.shape[1] - self.num_conditions])
        # The planes of conditions are constant, so one pixel is enough.
        values = x[:, -self.num_conditions :, 0, 0] if self.num_conditions else None
        film = self._film(values)
        recalled, recall, network_input = None, None, F.pixel_unshuffle(frames, 2)
        if self.frame_memory is not None and values is not None:
            recall = ((values[:, -NUM_LEVELS] + 1) / 2)[:, None, None, None]
            neighbours, current = self.frame_memory(values[:, : -NUM_LEVELS - NUM_VIEW])
            view = decode_views(values[:, -NUM_LEVELS - NUM_VIEW : -NUM_LEVELS])
            half = sample_view(neighbours, view, -(-height // 2), -(-width // 2)) * recall
            network_input = torch.cat([network_input, self._pad(half, 2).to(network_input.dtype)], 1)
            recalled = self._pad(sample_view(current, view, height, width))
        y = self.stem(network_input)
        skips = []
        for stage in self.down:
            skips.append(y)
            y = stage(y)
        y = self.bottom(y, film[0])
        for up, first, second in zip(self.up, film[1::2], film[2::2], strict=True):
            y = up(y, skips.pop(), first, second)
        picture = self._mix(frames[:, -3:], self.head(y), recalled, recall)
        return picture if picture.shape[2:] == (height, width) else picture[..., :height, :width]

    def _pad(self, x: Tensor, scale: int = 1) -> Tensor:
        """Pad (N, C, h, w) at the right and bottom by repeating the border, to multiples of ``inner_multiple / scale``.

        ``scale``: 1 for pictures at full size, 2 at half size.
        """
        down, across = (-side % (self.inner_multiple // scale) for side in x.shape[2:])
        return F.pad(x, (0, across, 0, down), mode="replicate") if down or across else x

    def _film(self, values: Tensor | None) -> list[Tensor | None]:
        """Return the scales and shifts of all modulated layers for the conditions ``values`` (N, num_conditions).

        Without conditions, the result is None for each layer. The view is left out: it only moves the stored frame.
        """
        if self.film is None or values is None:
            return [None] * (1 + 2 * len(self.up))
        return [*self.film(torch.cat([values[:, : -NUM_LEVELS - NUM_VIEW], values[:, -NUM_LEVELS:]], 1))]

    def _mix(self, latest: Tensor, outputs: Tensor, recalled: Tensor | None, recall: Tensor | None) -> Tensor:
        """Mix the warped ``latest`` frame, the synthesised picture and, by ``recall``, the stored frame ``recalled``.

        ``outputs``: the network's output channels, see ``parts``; ``recall``: the stored frame's share, (N, 1, 1, 1).
        The computation is in float32, because positions in half precision are wrong by several pixels.
        """
        with torch.autocast(outputs.device.type, enabled=False):
            # Make the output contiguous, because tanh of a slice of channels takes seven times as long.
            direct, *others = outputs.float().contiguous().split(self.parts, dim=1)
            if not self.warps:
                return torch.tanh(direct)
            share, flow, *memory_change = others
            warped = warp(latest.float(), self.reach * torch.tanh(flow))
            painted = add_in_logit_space(warped, direct) if self.changes else torch.tanh(direct)
            if recalled is not None and recall is not None:
                painted = torch.lerp(painted, add_in_logit_space(recalled, memory_change[0]), recall.float())
            alpha = self.leak + (1 - self.leak) * torch.sigmoid(share)
            mixed: Tensor = warped + alpha * (painted - warped)
        return mixed
