"""A generator for next-frame prediction: it moves the latest frame, and mixes in a newly painted picture.

(1 − α)·warp(latest, flow) + α·direct. What is moved keeps its detail (as in Finn et al., "Unsupervised Learning for
Physical Interaction through Video Prediction", NIPS 2016); what is painted restores what moving cannot, and since α
never falls to 0, errors leak away instead of adding up. A clock, where there is one, modulates features (FiLM, Perez et
al., AAAI 2018).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import setting
from vidtrans.flow.tensors import warp
from vidtrans.networks.unet_small import HalfSizeSettings, SmallResidual

# A learned picture: channels, of which the first three are a picture, height and width, whatever the frames' size.
TRACKS, SPOOL = 4, (48, 80)
EAGER = 1 / 20  # for each picture: the more there are, the fewer steps see one, and in these it learns the more
HIDDEN = 128  # between the clock and what it modulates


@dataclass(frozen=True)
class WarpMixSettings(HalfSizeSettings):
    """Width, depth, and how the two pictures are mixed."""

    max_flow_px: float = setting(
        8.0, "how far a pixel of the latest frame may be moved, in pixels", low=0.0, high=256.0
    )
    min_synthesis: float = setting(
        0.05, "share of what is painted anew, everywhere at least: what drifts finds back", low=0.0, high=1.0
    )
    time_channels: int = setting(
        0, "channels of a clock, the last of the input; the dataset says how many", low=0, high=64
    )
    learned_frames: int = setting(
        0,
        "with a clock: small pictures along the clip that are learned by heart, at most one a frame; 0 for none",
        low=0,
        high=1024,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learned_frames == 1:
            raise ValueError(
                "generator.learned_frames = 1 is a picture that stands still: it takes 2 at least, or 0 for none"
            )


class SingleNorm(nn.InstanceNorm2d):
    """Instance norm that also takes a single pixel, which becomes the bias: torch's refuses it.

    On a CPU picture by picture, as batch norms of one: the same numbers, and channels that lie last stay there. What
    torch does with all at once takes 1.5 to 3 times as long, and the convolution behind it has to lay them out again.
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
    """Convolution, norm, modulation by the clock if any, ReLU if wanted."""

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
    """What the clock makes of each stage: (N, hands) → for each width (N, 2·width, 1, 1)."""

    def __init__(self, hands: int, widths: list[int]) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Linear(hands, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.told = nn.ModuleList(nn.Linear(HIDDEN, 2 * width) for width in widths)

    def forward(self, hands: Tensor) -> list[Tensor]:
        known = self.read(hands)
        return [tell(known)[..., None, None] for tell in self.told]


class _Reel(nn.Module):
    """Learned small pictures along the clip, (N, hands) → (N, TRACKS, *SPOOL). What lies between two is mixed.

    NeRV (Chen et al., NeurIPS 2021) makes a frame of its number alone, HNeRV (Chen et al., CVPR 2023) of a small
    picture, an encoder's; here these are weights. The clock goes to and fro through the clip: both ways see the same.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.pictures = nn.Embedding(length, TRACKS * SPOOL[0] * SPOOL[1])

    def forward(self, hands: Tensor) -> Tensor:
        place = _turned(hands).abs() * 2 * (self.pictures.num_embeddings - 1)  # from the clip's start to its end
        before = place.long().clamp(max=self.pictures.num_embeddings - 2)
        first, second = self.pictures(before), self.pictures(before + 1)
        mixed = torch.lerp(first, second, (place - before)[:, None].to(first.dtype))
        return EAGER * self.pictures.num_embeddings * mixed.unflatten(1, (TRACKS, *SPOOL))


def _fitted(known: Tensor, to: Tensor) -> Tensor:
    """Of the height, width and dtype of another."""
    return F.interpolate(known, size=to.shape[2:], mode="bilinear", align_corners=False).to(to.dtype)


def _turned(hands: Tensor) -> Tensor:
    """How far the clock has turned, (N,) float32 from −½ to ½; hands: sines and cosines of 1, 2, 4, … turns.

    A hand has 8 bits where pictures have. The slow one tells the turn, each quicker one where in it.
    """
    angles = torch.atan2(hands[:, 0::2].float(), hands[:, 1::2].float()) / (2 * math.pi)
    turned = angles[:, 0]
    for number in range(1, angles.shape[1]):
        off = angles[:, number] - 2**number * turned
        turned = turned + (off - off.round()) / 2**number
    return (turned - turned.round()).float()


class WarpMix(nn.Module):
    """A U-Net that works at half size inside. Its input's frames lie oldest first, the clock behind them.

    Where there is no frame among the input's channels, all is painted anew.
    """

    Settings = WarpMixSettings

    def __init__(self, in_channels: int, out_channels: int, settings: WarpMixSettings) -> None:
        super().__init__()
        if out_channels != 3:
            raise UsageError(
                "generator 'warp-mix'",
                "it makes pictures, and no masks",
                "train with --set training.background_plate=false",
            )
        frame_channels = in_channels - settings.time_channels
        if frame_channels < 1:
            why = f"of {in_channels} input channels nothing is left to see"
            raise UsageError(
                f"generator.time_channels={settings.time_channels}", why, "leave it out: the dataset has it"
            )
        if settings.learned_frames and not settings.time_channels:
            remedy = "make the dataset with --set pairing.time_encoding=true, or leave it out"
            raise UsageError(
                f"generator.learned_frames={settings.learned_frames}", "there is no clock that could turn it", remedy
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
        painted = out_channels + (3 if self.warps else 0)  # and how much of it there is, and the flow
        self.head = nn.Sequential(nn.Conv2d(width, 4 * painted, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, 3, H, W)."""
        frames = x[:, : x.shape[1] - self.clock]
        film: list[Tensor | None] = [None] * (1 + 2 * len(self.up))
        if self.film is not None:
            film = self.film(x[:, -self.clock :, 0, 0])  # the same everywhere: one pixel says it all
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
        """In float32 whatever the layers have: a place in half precision is off by pixels."""
        with torch.autocast(painted.device.type, enabled=False):
            # Each by itself: tanh of what lies between other channels takes seven times as long.
            direct, share, flow = painted.float().contiguous().split([3, 1, 2], dim=1)
            moved = warp(latest.float(), self.reach * torch.tanh(flow))
            alpha = self.leak + (1 - self.leak) * torch.sigmoid(share)
            mixed: Tensor = moved + alpha * (torch.tanh(direct) - moved)
        return mixed
