"""Colours as classes: bins and their decoder, the soft encoding, and a training that learns vivid colours."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from clips import scene

from vidtrans.inference.device import resolve_device
from vidtrans.networks.colour_classes import ColourClasses, ColourClassesSettings, gamut, to_ab, to_rgb
from vidtrans.networks.init import initialise
from vidtrans.training.losses.rarity import rarity
from vidtrans.training.methods.colour_class_method import ColourClassMethod
from vidtrans.training.settings import TrainingSettings

CPU = resolve_device("cpu")


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def small(temperature: float = 0.38) -> ColourClasses:
    made = ColourClasses(1, 3, ColourClassesSettings(channels=8, blocks=(0, 0, 0), temperature=temperature))
    initialise(made, 0)
    return made


def method(generator: ColourClasses, weights: torch.Tensor | None = None) -> ColourClassMethod:
    settings = TrainingSettings.of(method="colour-classes", lr_schedule="cosine")
    weights = torch.ones(1, 1) if weights is None else weights
    return ColourClassMethod(generator, settings, CPU, "fp32", weights)


def test_ab_is_opencvs_and_a_picture_comes_back_from_its_lightness_and_ab() -> None:
    picture = scene(40, 24, seed=3)
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    ab = to_ab(tensor(picture))
    assert np.abs(ab[0].permute(1, 2, 0).numpy() - lab[..., 1:]).max() < 0.5
    # A grey of the same lightness: what an L* of the picture is in sRGB.
    flat = np.dstack([lab[..., 0], np.zeros_like(lab[..., :2])])
    grey = torch.from_numpy(cv2.cvtColor(flat, cv2.COLOR_LAB2RGB)[None, None, ..., 0]) * 2 - 1
    assert (to_rgb(grey, ab) - tensor(picture)).abs().max() < 0.02


def test_it_learns_a_colour_by_its_lightness_and_rare_ones_weigh_more() -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 60, 50), (40, 60, 160)
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    generator = small()
    training = method(generator)
    losses = [training.step(tensor(luma), tensor(picture), lr=5e-3, seed=i)["cross_entropy"] for i in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    made = to_ab(training.painted)[0, 0]  # a: red is above 0
    assert made[:, 8:24].mean() > made[:, 40:56].mean() + 15
    # Colours that are rare in the training pictures weigh more.
    picture[2:] = 128
    weighed = method(small(), rarity([picture]))
    nothing = torch.zeros(1, int(gamut().sum()), 1, 1)
    rare, common = (weighed._cross_entropy(nothing, to_ab(tensor(picture[y : y + 1, :1]))) for y in (0, 9))
    assert rare > 3 * common
