"""Predict the style of a picture: a vector of 100 numbers, and from it the norms of ``networks.predicted_style``.

Ghiasi et al. (BMVC 2017); the predictor is a MobileNetV2 (Sandler et al., CVPR 2018). The weights ship as 8-bit
integers; the transfer network was fine-tuned for vidtrans (``assets/LICENCES.md``).
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
from vidtrans.networks.predicted_style import NORMED_LAYERS, NORMS, PredictedStyle, PredictedStyleSettings
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.perception.measure import crop_to_middle

SHORT_SIDE_PX = 256  # Short side of the predictor's input picture, in pixels
STRIDED_BLOCKS = (1, 3, 6, 13)  # Indices of the predictor's blocks with stride 2
NUM_BLOCKS = 16  # Number of the predictor's blocks, each of three convolutions: expansion, depthwise, projection
TONE_SIDE_PX = 128  # Side of the shrunk picture from which the tone (a colour map) is computed, in pixels
# Drawings in ink, charcoal and pencil have ratios of 0.01 to 0.04, a blueprint 0.11 to 0.14, paintings 0.3 and more.
# The ratio is the standard deviation of a picture's colours across their main axis in RGB, divided by that along it.
# Up to ``ONE_INK`` the tone projects colours onto the axis; from ``MANY_COLOURS`` on it does not change colours.
ONE_INK, MANY_COLOURS = 0.06, 0.11
# Standard deviation, of values from −1 to 1, below which a picture is uniform; the axis of its colours is then grey
UNIFORM_DEVIATION = 0.02


@dataclass
class StylePrediction:
    """The style predictor and the style transfer network; ``path``: the file with their weights."""

    path: Path = STYLE_PREDICTION

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Return the weights and biases of both networks by name, float32."""
        from safetensors.torch import load_file

        return {name: values.float() for name, values in from_8_bits(load_file(str(self.path))).items()}

    @property
    def channels(self) -> int:
        """Return the number of channels of the style transfer network at full size."""
        return len(self.weights["transfer.down.0.weight"])

    def vector(self, picture: np.ndarray) -> np.ndarray:
        """Return the style vector, (100,) float32, of a picture (H, W, 3) uint8.

        A picture with a large aspect ratio is cropped to its middle.
        """
        picture = crop_to_middle(picture)
        height, width = picture.shape[:2]
        factor = SHORT_SIDE_PX / min(height, width)
        size = (max(SHORT_SIDE_PX, round(width * factor)), max(SHORT_SIDE_PX, round(height * factor)))
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        small = cv2.resize(picture, size, interpolation=interpolation)
        x = torch.from_numpy(small.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.no_grad():
            *_, last = self.features(x, [NUM_BLOCKS])
            last = self._convolve(last, 3 * NUM_BLOCKS + 3).mean((2, 3), keepdim=True)
            return self._convolve(last, 3 * NUM_BLOCKS + 4, has_relu6=False)[0, :, 0, 0].numpy()

    def features(self, x: Tensor, blocks: Collection[int]) -> list[Tensor]:
        """Return the output of the first layer and of the given blocks for pictures (N, 3, H, W) in [0, 1]."""
        x = self._convolve(x, 0, stride=2)
        outputs = [x]
        x = self._convolve(self._convolve(x, 1), 2, has_relu6=False)
        for block in range(1, max(blocks) + 1):
            first = 3 * block
            y = self._convolve(self._convolve(x, first), first + 1, stride=2 if block in STRIDED_BLOCKS else 1)
            y = self._convolve(y, first + 2, has_relu6=False)
            x = x + y if x.shape == y.shape else y
            if block in blocks:
                outputs.append(x)
        return outputs

    def _convolve(self, x: Tensor, number: int, *, stride: int = 1, has_relu6: bool = True) -> Tensor:
        """Return the output of the predictor's convolution ``number`` for ``x`` (N, C, H, W), with ReLU6 if it has it.

        The padding is TensorFlow's. The last convolution of a block has no ReLU6.
        """
        weights, bias = (self.weights[f"predict.{number}.{part}"] for part in ("weight", "bias"))
        if weights.shape[-1] > 1:
            x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        y = F.conv2d(x, weights, bias, stride, groups=x.shape[1] if weights.shape[1] == 1 else 1)
        return y.clamp(0, 6) if has_relu6 else y

    def style(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Return the mean style of pictures (H, W, 3) uint8, (N,) float32: the norms, followed by the tone."""
        norms = self.norms(np.mean([self.vector(picture) for picture in pictures], axis=0))
        return torch.cat([norms, tone_of(pictures)])

    def norms(self, vector: np.ndarray) -> Tensor:
        """Return the parameters of all norms for a style vector (100,), concatenated: (N,) float32."""
        style, norms = torch.from_numpy(np.asarray(vector, np.float32)), []
        for name in NORMED_LAYERS:
            for part in NORMS:
                weights, bias = (self.weights[f"style.{name}.{part}.{kind}"] for kind in ("weight", "bias"))
                norms.append(weights[:, :, 0, 0] @ style + bias)
        return torch.cat(norms)

    def network(self, styles: Sequence[Tensor]) -> PredictedStyle:
        """Return the style transfer network for ``styles``; each is (N,) float32, the norms followed by the tone."""
        looks = len(styles)
        network = PredictedStyle(3 + condition_planes(looks), 3, PredictedStyleSettings(looks, True, self.channels))
        state = network.state_dict()
        for number in range(len(network.down)):
            for part in ("weight", "bias"):
                state[f"down.{number}.1.{part}"] = self.weights[f"transfer.down.{number}.{part}"]
        for name in NORMED_LAYERS:
            state[f"{name}.conv.weight"] = self.weights[f"transfer.{name}.weight"]
        places = network.styles()
        parts = torch.stack(list(styles)).split([place.shape[1] for place in places.values()], dim=1)
        network.load_state_dict(state | dict(zip(places, parts, strict=True)))
        return network.eval()


def tone_of(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return the tone of pictures (H, W, 3) uint8, (12,) float32: the colour map that ``apply_tone`` applies.

    The colours of a grey picture, or of a picture in a single ink, lie on a line in RGB, and the tone projects colours
    onto this line. The tone of other pictures is the identity map.
    """
    size = (TONE_SIDE_PX, TONE_SIDE_PX)
    small = [cv2.resize(crop_to_middle(picture), size, interpolation=cv2.INTER_AREA) for picture in pictures]
    colours = np.concatenate(small).reshape(-1, 3) / 127.5 - 1
    mean = colours.mean(0)
    spreads, axes = np.linalg.eigh(np.cov((colours - mean).T))
    axis = axes[:, 2] if spreads[2] > UNIFORM_DEVIATION**2 else np.full(3, 3**-0.5)
    ratio = float(np.sqrt(max(spreads[0] + spreads[1], 0) / max(spreads[2], UNIFORM_DEVIATION**2)))
    share = np.clip((MANY_COLOURS - ratio) / (MANY_COLOURS - ONE_INK), 0, 1)
    off_line = np.eye(3) - np.outer(axis, axis)
    matrix = np.eye(3) - share * off_line
    return torch.from_numpy(np.append(matrix.ravel(), share * off_line @ mean).astype(np.float32))
