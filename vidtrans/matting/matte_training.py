"""Learn one thing from its painted frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import torch
from torch.nn import functional as F

from vidtrans.matting.examples import ExampleMaker, MatteExample, PaintedThing
from vidtrans.matting.network import MatteNetwork, to_tensor
from vidtrans.matting.windows import CropWindow, box_of

VERSION = 1
BATCH, LEARNING_RATE, WARM_UP, LEAST_RATE = 2, 2e-3, 20, 0.02
WEIGHT_DECAY, LARGEST_GRADIENT = 1e-4, 1.0
OVERLAP = 0.5  # weight of the loss of overlap beside the cross-entropy
AVERAGING = 0.98  # of the weights
SEEDING = Lock()
HIDDEN = 0.15  # share of the examples in which the comparison with the painted frames is hidden


def learn(
    painted: Sequence[PaintedThing], steps: int, side: int, seed: int, *, bf16: bool, after_step: Callable[[int], None]
) -> MatteNetwork:
    """Return the network of a thing, trained on its painted frames; ``after_step`` gets the number of steps so far.

    The same frames, seed, number of threads and precision give the same network. ``side``: of the windows, in pixels.
    """
    rng, windows = np.random.default_rng(seed), [window_of(one, side) for one in painted]
    with SEEDING, torch.random.fork_rng(devices=[]):  # torch has one generator for all threads
        torch.default_generator.manual_seed(seed)
        network = MatteNetwork(windows, bf16=bf16)
    makers = [ExampleMaker(one, side) for one in painted]
    decoder = network.decoder
    optimiser = torch.optim.AdamW(decoder.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    averages = [parameter.detach().clone() for parameter in decoder.parameters()]
    for step in range(steps):
        rate = LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * rate
        loss = _loss(network, [makers[rng.integers(len(makers))].draw(rng) for _ in range(BATCH)], rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        share = 1 - min(AVERAGING, (step + 1) / (step + 11))
        with torch.no_grad():
            for average, parameter in zip(averages, decoder.parameters(), strict=True):
                average.lerp_(parameter, share)
        after_step(step + 1)
    with torch.no_grad():
        for average, parameter in zip(averages, decoder.parameters(), strict=True):
            parameter.copy_(average)
    return network


def window_of(painted: PaintedThing, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window around the thing of a painted frame, (H, W, 3) uint8, and its matte there, (H, W) float32."""
    box = box_of(painted.matte)
    assert box is not None
    height, width = painted.matte.shape
    window = CropWindow.around(box, (width, height), side)
    return window.take(painted.picture), window.take(painted.matte, border=0)


def _loss(network: MatteNetwork, examples: Sequence[MatteExample], rng: np.random.Generator) -> torch.Tensor:
    """Return the cross-entropy of examples, and what their overlap (intersection over union) lacks of 1."""
    guides = [np.zeros_like(one.matte) if one.guide is None else one.guide for one in examples]
    guided = [float(one.guide is not None) for one in examples]
    kept = (rng.random(len(examples)) >= HIDDEN).astype(np.float32)
    logits, _ = network(
        to_tensor([one.picture for one in examples]),
        torch.from_numpy(np.stack(guides))[:, None],
        torch.tensor(guided).view(-1, 1, 1, 1),
        torch.from_numpy(kept).view(-1, 1, 1, 1),
    )
    truth = torch.from_numpy(np.stack([one.matte for one in examples]))[:, None]
    found = logits.sigmoid()
    both = (found * truth).sum((1, 2, 3))
    either = (found + truth - found * truth).sum((1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, truth) + OVERLAP * (1 - (both + 1) / (either + 1)).mean()
