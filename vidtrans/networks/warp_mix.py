"""A generator for next-frame prediction: it warps the latest frame, and mixes in a newly painted picture.

Output: (1 − α)·warp(latest, flow) + α·direct. Warping keeps detail (as in Finn et al., "Unsupervised Learning for
Physical Interaction through Video Prediction", NIPS 2016); painting restores what warping cannot, and because α is
never 0, errors decay instead of accumulating. An optional clock modulates the features (FiLM, Perez et al., AAAI
2018).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import setting
from vidtrans.flow.tensors import warp
from vidtrans.networks.unet_small import HalfSizeSettings, SmallResidual

# Channels (the first three are a picture), and (height, width), of each learned frame, for any frame size.
TRACKS, SPOOL = 4, (48, 80)
EAGER = 1 / 20  # gain per learned frame: with more of them each gets fewer training steps, and must learn faster
HIDDEN = 128  # channels of the hidden layers between the clock and the modulation


@dataclass(frozen=True)
class WarpMixSettings(HalfSizeSettings):
    """Settings of ``WarpMix``: width, depth, mixing of the two pictures, clock and learned frames."""

    max_flow_px: float = setting(8.0, "largest motion of a pixel of the latest frame, in pixels", low=0.0, high=256.0)
    min_synthesis: float = setting(
        0.05, "smallest share of the painted picture at each pixel, which corrects drift", low=0.0, high=1.0
    )
    time_channels: int = setting(0, "clock channels at the end of the input; taken from the dataset", low=0, high=64)
    learned_frames: int = setting(
        0,
        "with a clock: number of small pictures along the clip to memorise, at most one per frame; 0: none",
        low=0,
        high=1024,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learned_frames == 1:
            raise ValueError(
                "generator.learned_frames must be 0 (none) or at least 2 (got 1): a single picture cannot move"
            )


class SingleNorm(nn.InstanceNorm2d):
    """Instance norm that also takes a single pixel, for which it gives the bias; torch's instance norm refuses it.

    On a CPU it runs one picture at a time as a batch norm, with equal results that keep the channels-last layout.
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
    """Convolution, norm, modulation by the clock if there is one, and ReLU if ``activate``."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = SingleNorm(outputs)
        self.activate = activate

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        x = self.norm(self.conv(x))
        if film is not None:
            scale, shift = film.chunk(2, dim=1)
            x = x * (1 + scale) + shift
        return F.relu(x) if self.activate else x


class _WarpMixUp(nn.Module):
    """Nearest-neighbour doubling, convolution, the skip concatenated and fused by a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _ModulatedConv(inputs, outputs)
        self.fuse = _ModulatedConv(2 * outputs, outputs, kernel=1)

    def forward(self, x: Tensor, skip: Tensor, first: Tensor | None, second: Tensor | None) -> Tensor:
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), first)
        fused: Tensor = self.fuse(torch.cat([x, skip], 1), second)
        return fused


class _Film(nn.Module):
    """FiLM modulation: clock channels (N, hands) → scale and shift, (N, 2·width, 1, 1), for each of ``widths``."""

    def __init__(self, hands: int, widths: list[int]) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Linear(hands, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.told = nn.ModuleList(nn.Linear(HIDDEN, 2 * width) for width in widths)

    def forward(self, hands: Tensor) -> list[Tensor]:
        known = self.read(hands)
        return [layer(known)[..., None, None] for layer in self.told]


class _Reel(nn.Module):
    """Learned small pictures along the clip, interpolated at the clock's position: (N, hands) → (N, TRACKS, *SPOOL).

    NeRV (Chen et al., NeurIPS 2021) makes a frame from its number alone, HNeRV (Chen et al., CVPR 2023) from a small
    embedding of an encoder; here the embeddings are weights. The clock runs through the clip forwards and backwards,
    and both directions use the same pictures.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.pictures = nn.Embedding(length, TRACKS * SPOOL[0] * SPOOL[1])

    def forward(self, hands: Tensor) -> Tensor:
        place = _turned(hands).abs() * 2 * (self.pictures.num_embeddings - 1)  # from the clip's start to its end
        before = place.long().clamp(max=self.pictures.num_embeddings - 2)
        # In one lookup: each has a gradient of its own that is as large as all pictures.
        first, second = self.pictures(torch.stack([before, before + 1]))
        mixed = torch.lerp(first, second, (place - before)[:, None].to(first.dtype))
        return EAGER * self.pictures.num_embeddings * mixed.unflatten(1, (TRACKS, *SPOOL))


def _fitted(known: Tensor, to: Tensor) -> Tensor:
    """Return ``known`` resized to the height, width and dtype of ``to``."""
    return F.interpolate(known, size=to.shape[2:], mode="bilinear", align_corners=False).to(to.dtype)


def _turned(hands: Tensor) -> Tensor:
    """Return the clock's position, (N,) float32 in turns from −½ to ½; ``hands`` (N, C) are the clock channels.

    Hands are sines and cosines of 1, 2, 4, … times the position, possibly quantised to 8 bits; faster ones refine it.
    """
    angles = torch.atan2(hands[:, 0::2].float(), hands[:, 1::2].float()) / (2 * math.pi)
    turned = angles[:, 0]
    for number in range(1, angles.shape[1]):
        off = angles[:, number] - 2**number * turned
        turned = turned + (off - off.round()) / 2**number
    return (turned - turned.round()).float()


class WarpMix(nn.Module):
    """A U-Net that works at half size inside. Its input holds the frames, oldest first, then the clock's channels.

    If the input has too few channels for a frame, the whole output is painted.
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
        frame_channels = in_channels - settings.time_channels
        if frame_channels < 1:
            why = f"the input has {count(in_channels, 'channel')}, so none is left for frames"
            raise UsageError(
                f"generator.time_channels={settings.time_channels}", why, "leave it out: the dataset sets it"
            )
        if settings.learned_frames and not settings.time_channels:
            remedy = "make the dataset with --set pairing.time_encoding=true, or leave it out"
            raise UsageError(
                f"generator.learned_frames={settings.learned_frames}", "learned frames need a clock", remedy
            )
        self.reach, self.leak, self.clock = settings.max_flow_px, settings.min_synthesis, settings.time_channels
        self.warps = frame_channels >= out_channels
        width = settings.channels
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.multiple = 2 ** len(widths)
        self.smallest = 2 * self.multiple
        self.stem = _ModulatedConv(4 * frame_channels, width)
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
            _Film(settings.time_channels, [widths[-1], *(w for w in widths[-2::-1] for _ in range(2))])
            if settings.time_channels
            else None
        )
        self.reel = _Reel(settings.learned_frames) if settings.learned_frames else None
        self.recall = _ModulatedConv(TRACKS, width, activate=False) if self.reel else None
        painted = out_channels + (3 if self.warps else 0)  # plus α and the flow (x, y)
        self.head = nn.Sequential(nn.Conv2d(width, 4 * painted, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, 3, H, W)."""
        frames = x[:, : x.shape[1] - self.clock]
        film: list[Tensor | None] = [None] * (1 + 2 * len(self.up))
        if self.film is not None:
            film = self.film(x[:, -self.clock :, 0, 0])  # clock planes are constant, so one pixel suffices
        y = self.stem(F.pixel_unshuffle(frames, 2))
        skips = []
        for stage in self.down:
            skips.append(y)
            y = stage(y)
        y = self.bottom(y, film[0])
        for up, first, second in zip(self.up, film[1::2], film[2::2], strict=True):
            y = up(y, skips.pop(), first, second)
        if self.reel is None or self.recall is None:
            painted: Tensor = self.head(y)
        else:
            known = self.reel(x[:, -self.clock :, 0, 0])
            painted = self.head(y + self.recall(_fitted(known, y)))
            painted = torch.cat([painted[:, :3] + _fitted(known[:, :3], painted), painted[:, 3:]], 1)
        return self._mix(frames[:, -3:], painted) if self.warps else torch.tanh(painted)

    def _mix(self, latest: Tensor, painted: Tensor) -> Tensor:
        """Mix warped and painted picture in float32, because positions in half precision are off by pixels."""
        with torch.autocast(painted.device.type, enabled=False):
            # Contiguous, because tanh of a channel slice takes seven times as long.
            direct, share, flow = painted.float().contiguous().split([3, 1, 2], dim=1)
            moved = warp(latest.float(), self.reach * torch.tanh(flow))
            alpha = self.leak + (1 - self.leak) * torch.sigmoid(share)
            mixed: Tensor = moved + alpha * (torch.tanh(direct) - moved)
        return mixed
