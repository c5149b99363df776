"""Style codes of pictures: the table of codes in a model's record, diversity scores, and losses of codes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.codes import encode_style
from vidtrans.inference.engine import Engine
from vidtrans.networks.code_planes import CODE_RANGE, append_planes, plane_values
from vidtrans.networks.picture_encoder import CodeDistribution, PictureEncoder, code_planes
from vidtrans.networks.wrappers import CodedGenerator
from vidtrans.pairing.base import Pairing
from vidtrans.training.validation import pair_input, pick_evenly
from vidtrans.video.images.picture import read_picture

MAX_PICTURES = 256  # Maximum number of pictures whose style codes are computed for the table.
DIGITS = 6  # Number of decimals in the table of codes.
NUM_LOOKS, NUM_INPUTS = 10, 4  # Number of random styles and number of inputs in the diversity score.
DIFFERENCE_EPSILON = 1e-5  # Added to the ratio of output difference to code difference, against a division by 0.


def code_table(generator: nn.Module, pairs: Sequence[Pair]) -> Table:
    """Return the table ``ModelRecord.codes``: size, mean and spread of the targets' codes; {} without style codes."""
    if not isinstance(generator, CodedGenerator):
        return {}
    codes = _encode(generator.encoder, pairs, MAX_PICTURES)
    mean, spread = codes.mean(0).round(DIGITS), codes.std(0).round(DIGITS)
    return {"size": generator.code_size, "mean": mean.tolist(), "spread": spread.tolist()}


def diversity(engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> float | None:
    """Return how much ten outputs of one input in random styles differ, relative to the difference among targets.

    Codes are drawn from the distribution of the targets' codes; differences are means over pixels and inputs. Targets
    also differ in content, so the score is usually below 1. None if the engine has one style, or the targets are equal.
    """
    encoder = getattr(engine, "encoder", None)
    targets = [read_picture(pair.target) for pair in pick_evenly(pairs, NUM_LOOKS)]
    between = mean_distance([target for target in targets if target.shape == targets[0].shape])
    if encoder is None or not between:
        return None
    codes = _encode(encoder, pairs, MAX_PICTURES)
    draws = np.random.default_rng(0).standard_normal((NUM_LOOKS, codes.shape[1]))
    samples = np.clip(codes.mean(0) + draws * codes.std(0), -CODE_RANGE, CODE_RANGE)
    distances = []
    for pair in pick_evenly(pairs, NUM_INPUTS):
        network_input = pair_input(pairing, pair)
        inputs = (append_planes(network_input, plane_values(code)) for code in samples)
        distances.append(mean_distance([engine(picture[None])[0] for picture in inputs]))
    return round(float(np.mean(distances)) / between, 4)


def mean_distance(pictures: Sequence[np.ndarray]) -> float:
    """Return the mean absolute difference over all pairs of pictures (H, W, 3) uint8, 0 to 1; 0 for one picture."""
    pairs = itertools.combinations([picture.astype(np.float32) / 255 for picture in pictures], 2)
    distances = [float(np.abs(a - b).mean()) for a, b in pairs]
    return float(np.mean(distances)) if distances else 0.0


def latent_error(encoder: PictureEncoder, outputs: Tensor, codes: Tensor) -> Tensor:
    """Return the mean error of the style codes that the encoder finds in outputs, compared with the codes used.

    ``outputs``: (N, 3, H, W); ``codes``: (N, size). The encoder gets no gradient: otherwise generator and encoder could
    hide the code in the picture.
    """
    with frozen(encoder):
        return (encoder(outputs) - codes).abs().mean()


def mode_seeking_loss(one: Tensor, other: Tensor, one_code: Tensor, other_code: Tensor) -> Tensor:
    """Return the mode-seeking loss: the difference of two codes divided by that of their outputs, a scalar.

    From Mao et al., CVPR 2019. ``one``, ``other``: the outputs, (N, 3, H, W), of the two codes. Both codes, (N, size),
    must be random: with a target's code, an encoder would learn codes far from all random codes, and outputs of random
    codes would stay similar.
    """
    difference = (one - other).abs().mean((1, 2, 3)) / (one_code - other_code).abs().mean(1)
    return 1 / (difference.mean() + DIFFERENCE_EPSILON)


class TargetCodes(NamedTuple):
    """Style codes of target frames: their ``distribution``, and ``code``, drawn from it for the outputs, (N, size)."""

    distribution: CodeDistribution
    code: Tensor

    @classmethod
    def draw(cls, distribution: CodeDistribution, random: torch.Generator) -> TargetCodes:
        """Draw a style code for each frame from ``distribution``."""
        noise = torch.randn(distribution.mean.shape, generator=random).to(distribution.mean.device)
        return cls(distribution, distribution.draw(noise))


def append_code_planes(frames: Tensor, look: TargetCodes | None) -> Tensor:
    """Append each frame's style code ``look`` as planes, (N, 3, H, W) → (N, 3 + size, H, W); None appends nothing."""
    return frames if look is None else torch.cat([frames, code_planes(look.code, *frames.shape[2:])], 1)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Return a context in which a network's weights are frozen; gradients still flow through the network."""
    weights = [p for p in network.parameters() if p.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _encode(encoder: nn.Module, pairs: Sequence[Pair], most: int) -> np.ndarray:
    """Return the style codes of at most ``most`` evenly spaced targets, (N, size)."""
    return np.array([encode_style(encoder, read_picture(pair.target)) for pair in pick_evenly(pairs, most)])
