"""Predict a style from a picture: a hundred numbers, and from these the norms of ``networks.predicted_style``.

Ghiasi et al. (BMVC 2017); the predictor is a MobileNetV2 (Sandler et al., CVPR 2018). The weights ship
as 8-bit integers; the transfer network was tuned here (``assets/LICENCES.md``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.models.formats import STYLE_PREDICTION, from_8_bits
from vidtrans.networks.predicted_style import CHANNELS, NORMED, NORMS, PredictedStyle, PredictedStyleSettings
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.perception.measure import middle_of

SHORT_SIDE = 256  # of the picture that the predictor sees
STRIDED = (1, 3, 6, 13)  # blocks of the predictor that halve the size
BLOCKS = 16  # of three convolutions: to more channels, in depth, to fewer channels
TONED = 128  # side in pixels of the small picture of which the tone is computed
# Deviation of colours from a line over that along it. Drawings in ink, charcoal and pencil have 0.01 to 0.04, a
# blueprint 0.11 to 0.14, paintings 0.3 and more.
ONE_INK, MANY_COLOURS = 0.06, 0.11
PLAIN = 0.02  # the deviation, in values from -1 to 1, of a picture without tones: its line is that of grey


@dataclass
class StylePrediction:
    """The predictor and the style transfer network; ``path``: the file of their weights."""

    path: Path = STYLE_PREDICTION

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Return the weights and biases by name, float32."""
        from safetensors.torch import load_file

        return {name: values.float() for name, values in from_8_bits(load_file(str(self.path))).items()}

    def vector(self, picture: np.ndarray) -> np.ndarray:
        """Return the style of a picture (H, W, 3) uint8, of a long one that of its middle: (100,) float32."""
        picture = middle_of(picture)
        height, width = picture.shape[:2]
        factor = SHORT_SIDE / min(height, width)
        size = (max(SHORT_SIDE, round(width * factor)), max(SHORT_SIDE, round(height * factor)))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        small = cv2.resize(picture, size, interpolation=way)
        x = torch.from_numpy(small.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.no_grad():
            *_, last = self.features(x, [BLOCKS])
            last = self._convolved(last, 3 * BLOCKS + 3).mean((2, 3), keepdim=True)
            return self._convolved(last, 3 * BLOCKS + 4, is_limited=False)[0, :, 0, 0].numpy()

    def features(self, x: Tensor, blocks: Collection[int]) -> list[Tensor]:
        """Return what the predictor sees in pictures (N, 3, H, W) in [0, 1]: its first layer's output, and blocks'."""
        x = self._convolved(x, 0, stride=2)
        seen = [x]
        x = self._convolved(self._convolved(x, 1), 2, is_limited=False)
        for block in range(1, max(blocks) + 1):
            first = 3 * block
            y = self._convolved(self._convolved(x, first), first + 1, stride=2 if block in STRIDED else 1)
            y = self._convolved(y, first + 2, is_limited=False)
            x = x + y if x.shape == y.shape else y
            if block in blocks:
                seen.append(x)
        return seen

    def _convolved(self, x: Tensor, number: int, *, stride: int = 1, is_limited: bool = True) -> Tensor:
        """Return a convolution as TensorFlow pads it, limited to 0 … 6 unless it is a block's last."""
        weights, bias = (self.weights[f"predict.{number}.{part}"] for part in ("weight", "bias"))
        if weights.shape[-1] > 1:
            x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        y = F.conv2d(x, weights, bias, stride, groups=x.shape[1] if weights.shape[1] == 1 else 1)
        return y.clamp(0, 6) if is_limited else y

    def style(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Return the mean style of pictures (H, W, 3) uint8: norms, and behind them the tone, (N,) float32."""
        norms = self.norms(np.mean([self.vector(picture) for picture in pictures], axis=0))
        return torch.cat([norms, tone_of(pictures)])

    def norms(self, vector: np.ndarray) -> Tensor:
        """Return the norms of a style (100,): one after the other, (N,) float32."""
        style, found = torch.from_numpy(np.asarray(vector, np.float32)), []
        for name in NORMED:
            for part in NORMS:
                weights, bias = (self.weights[f"style.{name}.{part}.{kind}"] for kind in ("weight", "bias"))
                found.append(weights[:, :, 0, 0] @ style + bias)
        return torch.cat(found)

    def network(self, styles: Sequence[Tensor]) -> PredictedStyle:
        """Return the style transfer network with a look for each of several styles (N,): norms, and a tone behind."""
        looks = len(styles)
        network = PredictedStyle(3 + condition_planes(looks), 3, PredictedStyleSettings(looks, True, CHANNELS))
        own = network.state_dict()
        for number in range(len(network.down)):
            for part in ("weight", "bias"):
                own[f"down.{number}.1.{part}"] = self.weights[f"transfer.down.{number}.{part}"]
        for name in NORMED:
            own[f"{name}.conv.weight"] = self.weights[f"transfer.{name}.weight"]
        places = network.styles()
        parts = torch.stack(list(styles)).split([place.shape[1] for place in places.values()], dim=1)
        network.load_state_dict(own | dict(zip(places, parts, strict=True)))
        return network.eval()


def tone_of(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return the tone of pictures (H, W, 3) uint8, (12,) float32, as ``with_tone`` maps colours.

    The colours of a grey picture, or of one in a single ink, lie on a line in RGB, and its tone projects onto this
    line. The tone of other pictures changes nothing.
    """
    small = [cv2.resize(middle_of(picture), (TONED, TONED), interpolation=cv2.INTER_AREA) for picture in pictures]
    colours = np.concatenate(small).reshape(-1, 3) / 127.5 - 1
    mean = colours.mean(0)
    spreads, axes = np.linalg.eigh(np.cov((colours - mean).T))
    axis = axes[:, 2] if spreads[2] > PLAIN**2 else np.full(3, 3**-0.5)
    ratio = float(np.sqrt(max(spreads[0] + spreads[1], 0) / max(spreads[2], PLAIN**2)))
    share = np.clip((MANY_COLOURS - ratio) / (MANY_COLOURS - ONE_INK), 0, 1)
    off_line = np.eye(3) - np.outer(axis, axis)
    matrix = np.eye(3) - share * off_line
    return torch.from_numpy(np.append(matrix.ravel(), share * off_line @ mean).astype(np.float32))
