"""Colours as classes: the bins of CIELAB's ab plane that contain RGB colours, and a generator of bin probabilities.

With an L1 loss, a jacket that may be red or blue becomes grey. With classes a network predicts probabilities of red and
blue, and the annealed mean decides (Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.unet_small import UNetSmall, UNetSmallSettings

BIN_WIDTH = 10.0  # Side of a square bin, in units of a and b.
# 260 of the bins contain RGB colours; the paper's 313 bins cover the convex hull of these colours.
NUM_BINS = 23  # Number of bins along a and along b, centred at −110, −100, … 110.
CLASS_STRIDE = 4  # Number of picture pixels per position of the predicted classes along each side, as in the paper.
# Number of the U-Net's output features, and factor on these features, which are in [−1, 1]: with it, the logits of two
# bins can differ by several units, and so their probabilities by orders of magnitude.
FEATURES, FEATURE_SCALE = 64, 4.0

# Matrix from linear sRGB to CIE XYZ (D65)
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)  # CIE XYZ coordinates of the white point D65


@dataclass(frozen=True)
class ColourClassesSettings(UNetSmallSettings):
    """Settings of ``unet-small`` and of the annealed mean. ``residual`` has no effect: the lightness is the input's."""

    temperature: float = option(
        0.38,
        "temperature of the annealed mean of colours: 1 gives the mean, which is pale; near 0 gives the "
        "likeliest colours, with spots",
        bounds=(0.01, None),
    )


class ColourClasses(nn.Module):
    """A small U-Net that predicts colour probabilities, and combines their annealed mean with the input's lightness.

    The lightness is the first channel of the input, or the luma of its first three channels as RGB.
    """

    Settings = ColourClassesSettings
    bins: Tensor

    def __init__(self, in_channels: int, out_channels: int, settings: ColourClassesSettings) -> None:
        super().__init__()
        del out_channels  # The output is a picture and always has 3 channels
        self.painter = UNetSmall(in_channels, FEATURES, replace(settings, residual=False))
        self.multiple, self.smallest = self.painter.multiple, self.painter.smallest
        self.temperature = settings.temperature
        centres = BIN_WIDTH * (np.argwhere(gamut()) - NUM_BINS // 2)
        self.register_buffer("bins", torch.tensor(centres.tolist(), dtype=torch.float32))
        self.classify = nn.Conv2d(FEATURES, len(centres), 1)

    def logits(self, x: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of the bins for (N, C, H, W): (N, number of bins, H/4, W/4)."""
        logits: Tensor = self.classify(F.avg_pool2d(FEATURE_SCALE * self.painter(x), CLASS_STRIDE))
        return logits

    def coloured(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return pictures (N, 3, H, W) in [−1, 1] with the lightness of ``x`` and the colours that ``logits`` predict.

        The colour is the annealed mean: the mean of the bins, weighted by their sharpened probabilities.
        """
        shares = torch.softmax(logits.float() / self.temperature, 1)
        ab = torch.einsum("nkhw,kc->nchw", shares, self.bins.float())
        ab = F.interpolate(ab, scale_factor=float(CLASS_STRIDE), mode="bilinear", align_corners=False)
        grey = x[:, :1] if x.shape[1] < 3 else x.new_tensor([0.299, 0.587, 0.114]).matmul(x[:, :3].flatten(2))
        return to_rgb(grey.reshape(len(x), 1, *x.shape[2:]).float(), ab).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 3, H, W), both in [−1, 1]."""
        return self.coloured(self.logits(x), x)


def to_ab(pictures: Tensor) -> Tensor:
    """Return a and b of CIELAB (D65), (N, 2, H, W), for sRGB pictures (N, 3, H, W) in [−1, 1]."""
    matrix = torch.tensor(_TO_XYZ, device=pictures.device) / torch.tensor(_WHITE, device=pictures.device)[:, None]
    xyz = torch.einsum("ij,njhw->nihw", matrix, _linear((pictures.float() + 1) / 2))
    x, y, z = _cube_root(xyz).unbind(1)
    return torch.stack([500 * (x - y), 200 * (y - z)], 1)


def to_rgb(grey: Tensor, ab: Tensor) -> Tensor:
    """Return sRGB pictures (N, 3, H, W) with the lightness of ``grey`` (N, 1, H, W) and colours ``ab`` (N, 2, H, W).

    Greys and pictures are in [−1, 1]; colours outside of the RGB gamut are clipped.
    """
    y = _cube_root(_linear((grey + 1) / 2))
    a, b = ab.split(1, 1)
    roots = torch.cat([y + a / 500, y, y - b / 200], 1)
    xyz = torch.where(roots > 6 / 29, roots.clamp(min=6 / 29) ** 3, (roots - 16 / 116) / 7.787)
    inverse = np.linalg.inv(np.array(_TO_XYZ) / np.array(_WHITE)[:, None])
    linear = torch.einsum("ij,njhw->nihw", torch.tensor(inverse, dtype=xyz.dtype, device=xyz.device), xyz).clamp(0, 1)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return 2 * rgb - 1


def bin_indices(ab: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bin indices along a and b, (N, H, W) int64 from 0 to ``NUM_BINS`` − 1, for ab (N, 2, H, W)."""
    a, b = ((ab / BIN_WIDTH).round() + NUM_BINS // 2).clamp(0, NUM_BINS - 1).long().unbind(1)
    return a, b


@cache
def gamut() -> np.ndarray:
    """Return a mask of the ab bins that contain RGB colours, (NUM_BINS, NUM_BINS) bool."""
    # Compute the mask on the CPU, even if the network is built on another device
    levels = torch.linspace(0, 255, 52, device="cpu").round() / 127.5 - 1
    inside = np.zeros((NUM_BINS, NUM_BINS), bool)
    a, b = bin_indices(to_ab(torch.cartesian_prod(levels, levels, levels).T[None, :, None]))
    inside[a.numpy(), b.numpy()] = True
    return inside


def _linear(values: Tensor) -> Tensor:
    """Return linear RGB for sRGB values, both in [0, 1]."""
    return torch.where(values > 0.04045, ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, values / 12.92)


def _cube_root(xyz: Tensor) -> Tensor:
    """Return CIELAB's function f of XYZ values divided by the white point: a cube root, linear near 0."""
    return torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
