"""Predict the style of a picture: a vector of 100 numbers, and from it the norms of ``networks.predicted_style``.

Ghiasi et al. (BMVC 2017); the predictor is a MobileNetV2 (Sandler et al., CVPR 2018). The weights ship as 8-bit
integers; the transfer network was fine-tuned for vidtrans (``assets/LICENCES.md``).

The network's output is usually duller than the picture. A style therefore includes a tone, a colour map that corrects
it. The tone is computed once, from photographs that ship and are painted in this style; it does not depend on the clip.
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

from vidtrans.core.files import PHOTOGRAPHS
from vidtrans.grading.transfer import linear_map
from vidtrans.models.formats import STYLE_PREDICTION, from_8_bits
from vidtrans.networks.predicted_style import NORMED_LAYERS, NORMS, PredictedStyle, PredictedStyleSettings
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.perception.measure import LUMA, crop_to_middle
from vidtrans.video.images.picture import read_picture

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
# Share of the difference between painted colours and the picture's that the tone removes. Chosen on 14 pictures: of the
# distance to their colours .129 of 1 is left without, .093 at 0.5, .087 at 0.8, .089 at 1.
MATCHED_SHARE = 0.8
# Least standard deviation of the luma of painted photographs, and limits of its mean, all of 1, so that a nearly white,
# black or even picture does not hide what a clip shows. The output for each of 47 paintings is within these limits.
MIN_CONTRAST, MAX_GAIN, LUMA_LIMITS = 0.14, 2.0, (0.2, 0.8)
SAMPLE_PX = (128, 96)  # Width and height at which the photographs are painted
SAMPLE_STEP, SAMPLE_MARGIN = 2, 4  # Every second pixel's colour is compared, except near the border


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
        ink = ink_of(pictures)
        return torch.cat([norms, self._matched_tone(norms, ink, pictures)])

    def _matched_tone(self, norms: Tensor, ink: Tensor, pictures: Sequence[np.ndarray]) -> Tensor:
        """Return the tone of a style, (12,) float32: the colour map ``ink``, (12,), followed by a second colour map.

        The second map moves the mean and covariance of the colours of painted photographs towards those of the
        pictures (``linear_map``). Its contrast is at least ``MIN_CONTRAST``, its mean luma within ``LUMA_LIMITS``.
        """
        network = self.network([torch.cat([norms, ink])])
        with torch.no_grad():
            painted = network(F.pad(self._photographs, (0, 0, 0, 0, 0, 1)))  # The plane of the stroke size is 0
        inner = painted[..., SAMPLE_MARGIN:-SAMPLE_MARGIN:SAMPLE_STEP, SAMPLE_MARGIN:-SAMPLE_MARGIN:SAMPLE_STEP]
        before = inner.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
        match = linear_map((before + 1) / 2, (_sampled_colours(pictures) + 1) / 2).signed()
        matrix = MATCHED_SHARE * match.matrix + (1 - MATCHED_SHARE) * np.eye(3)
        shift = MATCHED_SHARE * match.shift
        mapped = before @ matrix.T + shift
        luma, mean = mapped @ LUMA, mapped.mean(0)
        gain = float(np.clip(2 * MIN_CONTRAST / max(luma.std(), UNIFORM_DEVIATION), 1, MAX_GAIN))
        lowest, highest = (2 * limit - 1 for limit in LUMA_LIMITS)
        lighter = np.clip(luma.mean(), lowest, highest) - luma.mean()
        matrix, shift = gain * matrix, gain * (shift - mean) + mean + lighter
        first = ink.double().numpy()
        offset = matrix @ first[9:] + shift
        return torch.from_numpy(np.append((matrix @ first[:9].reshape(3, 3)).ravel(), offset).astype(np.float32))

    @cached_property
    def _photographs(self) -> Tensor:
        """Return every second of the photographs that ship, (N, 3, H, W) in [−1, 1]."""
        paths = sorted(PHOTOGRAPHS.glob("*.jpg"))[::2]
        small = [cv2.resize(read_picture(path), SAMPLE_PX, interpolation=cv2.INTER_AREA) for path in paths]
        return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1

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


def ink_of(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return the ink of pictures (H, W, 3) uint8, (12,) float32: a colour map for ``apply_tone``.

    The colours of a grey picture, or of a picture in a single ink, lie on a line in RGB, and the tone projects colours
    onto this line. For other pictures it is the identity map.
    """
    colours = _sampled_colours(pictures)
    mean = colours.mean(0)
    spreads, axes = np.linalg.eigh(np.cov((colours - mean).T))
    axis = axes[:, 2] if spreads[2] > UNIFORM_DEVIATION**2 else np.full(3, 3**-0.5)
    ratio = float(np.sqrt(max(spreads[0] + spreads[1], 0) / max(spreads[2], UNIFORM_DEVIATION**2)))
    share = np.clip((MANY_COLOURS - ratio) / (MANY_COLOURS - ONE_INK), 0, 1)
    off_line = np.eye(3) - np.outer(axis, axis)
    matrix = np.eye(3) - share * off_line
    return torch.from_numpy(np.append(matrix.ravel(), share * off_line @ mean).astype(np.float32))


def _sampled_colours(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return colours (N, 3) in [−1, 1] of shrunk pictures (H, W, 3) uint8."""
    size = (TONE_SIDE_PX, TONE_SIDE_PX)
    small = [cv2.resize(crop_to_middle(picture), size, interpolation=cv2.INTER_AREA) for picture in pictures]
    colours: np.ndarray = np.concatenate(small).reshape(-1, 3) / 127.5 - 1
    return colours
