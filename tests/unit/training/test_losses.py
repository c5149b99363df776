"""Every loss against a value worked out by hand, colours as classes, and what is said of networks that fail."""

from __future__ import annotations

from math import exp, log
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import scene
from skimage.color import rgb2lab
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.core.settings import from_table, setting_fields
from vidtrans.data.loading import to_signed
from vidtrans.inference.device import resolve_device
from vidtrans.networks.colour_classes import ColourClasses, ColourClassesSettings, gamut, to_ab, to_rgb
from vidtrans.networks.init import build_generator, initialise
from vidtrans.perception.vgg import WEIGHTS, DistilledVGG
from vidtrans.training import ADVERSARIAL, METHODS
from vidtrans.training.health import (
    MIN_TARGET_VARIATION,
    NUM_PICTURES,
    find_problems,
    ignores_colours,
    relative_variation,
)
from vidtrans.training.losses.adversarial import discriminator_loss, generator_loss
from vidtrans.training.losses.base import LossContext
from vidtrans.training.losses.perceptual import TAP_WEIGHTS, Perceptual, vgg_distance
from vidtrans.training.losses.pixels import L1, Gradients
from vidtrans.training.losses.rarity import rarity, weigh
from vidtrans.training.losses.structure import structure
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.class_method import ColourClassMethod
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import read_picture, resize


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def softplus(x: float) -> float:
    return log(1 + exp(x))


# On fake: 0.5 and −1; on real: 2 and 0.
BY_HAND = {
    "bce": (
        0.5 * (softplus(0.5) + softplus(-1)) / 2 + 0.5 * (softplus(-2) + softplus(0)) / 2,
        (softplus(-0.5) + softplus(1)) / 2,
    ),
    "least-squares": (0.5 * (0.25 + 1) / 2 + 0.5 * (1 + 1) / 2, (0.25 + 4) / 2),
    "hinge": ((1.5 + 0) / 2 + (0 + 1) / 2, 0.25),
}


@pytest.mark.parametrize("name", list(ADVERSARIAL))
def test_adversarial_losses_by_hand(name: str) -> None:
    objective = ADVERSARIAL.load(name)
    fake, real = [[logits(0.5, -1.0)]], [[logits(2.0, 0.0)]]
    of_d, of_g = BY_HAND[name]
    assert discriminator_loss(objective, fake, real).item() == pytest.approx(of_d)
    assert generator_loss(objective, fake).item() == pytest.approx(of_g)
    # Over several scales it is the mean, whatever their sizes.
    twice = [*fake, [logits(0.5, -1.0, 0.5, -1.0)]]
    assert discriminator_loss(objective, twice, [*real, [logits(2.0, 0.0)]]).item() == pytest.approx(of_d)
    assert generator_loss(objective, twice).item() == pytest.approx(of_g)


def test_weighted_l1_and_gradients_by_hand() -> None:
    fake, target = torch.zeros(1, 3, 1, 2), torch.tensor([1.0, 0.5]).expand(1, 3, 1, 2)
    step = LossContext(fake, target, fake, fake, pixel_weights=torch.tensor([2.0, 1.0]).view(1, 1, 1, 2))
    assert L1(TrainingSettings.of())(step).item() == pytest.approx((2 * 1 + 0.5) / 2)
    target = torch.zeros(1, 3, 2, 3)
    painted = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 3.0]]).expand(1, 3, 2, 3)
    # Down the columns: 0, 0, 2; along the rows: 1, 0 and 1, 2.
    step = LossContext(target, target, painted, painted)
    assert Gradients(TrainingSettings.of())(step).item() == pytest.approx((2 / 3 + 1) / 2)
    weighed = LossContext(target, target, painted, painted, pixel_weights=torch.ones(1, 1, 2, 3) / 2)
    assert Gradients(TrainingSettings.of())(weighed).item() == pytest.approx((2 / 3 + 1) / 4)


def test_rare_colours_weigh_more_and_all_weights_together_as_much_as_none() -> None:
    picture = np.full((20, 20, 3), 128, np.uint8)
    picture[0, :4] = (255, 0, 0)
    picture[1, :] = (0, 128, 0)
    weights = rarity([picture])
    weighed = weigh(torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1, weights)
    assert weighed.shape == (1, 1, 20, 20)
    assert weighed.mean().item() == pytest.approx(1, abs=1e-5)
    red, green, grey = (weighed[0, 0, y, 0].item() for y in (0, 1, 5))
    assert red > green > grey > 0
    assert torch.isfinite(weights).all()
    # A colour that no training picture has weighs the most.
    blue = torch.tensor([-1.0, -1.0, 1.0]).view(1, 3, 1, 1)
    assert weigh(blue, weights).item() > red


def test_the_distance_through_vgg_is_that_of_its_taps_which_know_what_is_alike() -> None:
    term = Perceptual(TrainingSettings.of(lambda_perceptual=1.0, perceptual_network="distilled-vgg"))
    generator = torch.Generator().manual_seed(0)
    painted, target = (torch.rand(1, 3, 32, 48, generator=generator) * 2 - 1 for _ in range(2))
    assert term.vgg is not None
    found, wanted = term.vgg(painted), term.vgg(target)
    assert [tuple(tap.shape[1:]) for tap in found] == [(16, 32, 48), (32, 16, 24), (64, 8, 12), (128, 4, 6)]
    distances = [((a - b).abs().mean() / b.mean()).item() for a, b in zip(found, wanted, strict=True)]
    value = term(LossContext(input=target, target=target, raw_output=painted.requires_grad_(), output=painted))
    assert value.item() == pytest.approx(sum(w * d for w, d in zip(TAP_WEIGHTS, distances, strict=True)), rel=1e-4)
    value.backward()
    assert painted.grad is not None
    assert not any(p.requires_grad for p in term.parameters())
    # A picture moved by a pixel is nearer than one without detail, which is nearer than another picture.
    network = DistilledVGG()
    frames = [PACKAGE / "assets" / "frames" / f"{name}.jpg" for name in ("astronaut", "chelsea")]
    astronaut, cat = (torch.from_numpy(to_signed(resize(read_picture(path), 96, 96)))[None] for path in frames)
    moved, blurred = astronaut.roll(1, 3), F.avg_pool2d(astronaut, 9, 1, 4)
    wanted = network(astronaut)
    near, soft, other = (vgg_distance(network(one), wanted).item() for one in (moved, blurred, cat))
    assert near < soft < other


def test_a_generator_that_has_collapsed_is_told_of() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(NUM_PICTURES, 3, 8, 8))
    same = np.repeat(targets[:1], NUM_PICTURES, 0) + 0.01 * rng.normal(size=targets.shape)
    assert find_problems([], 0.69, relative_variation(targets, targets)) == []
    [line] = find_problems([], 0.69, relative_variation(same, targets))
    assert "collapsed" in line
    # Nothing can be said where the targets are all alike.
    assert relative_variation(same, same * 0 + MIN_TARGET_VARIATION / 100 * targets) is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"lambda_l1": 0, "lambda_gan": 0}, "nothing to learn from"),
        ({"lambda_gan": 0, "lambda_feature_matching": 10}, "training.lambda_feature_matching"),
        ({"lambda_gan": 0, "lambda_perceptual": 1}, "training.lambda_perceptual"),
        ({"lambda_l1": 0, "colour_rebalancing": True}, "training.colour_rebalancing"),
        ({"grad_accum_steps": 4}, "training.grad_accum_steps = 4 is more than training.batch_size = 1"),
        ({"gan_mode": "wgan"}, "bce, least-squares, hinge"),
    ],
)
def test_settings_that_cannot_be_are_one_line(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        from_table(TrainingSettings, table, "training")
    assert "\n" not in str(caught.value)


def test_keys_hold_all_settings_that_change_the_result() -> None:
    found = TrainingSettings.of(freeze=("down",)).for_key()
    unrecorded, off = (
        {"checkpoint_seconds", "preview_seconds", "tensorboard", "cuda_graph"},
        {"compile", "grow_from", "grow_share"},
    )
    of_other_methods = {key for method in METHODS.values() for key in setting_fields(method.settings)}
    assert set(setting_fields(TrainingSettings)) - found.keys() == unrecorded | off | of_other_methods
    assert TrainingSettings.of(compile=True).for_key() == TrainingSettings.of().for_key() | {"compile": True}
    assert {"grow_from", "grow_share"} <= TrainingSettings.of(grow_from=64).for_key().keys()
    assert found["freeze"] == ["down"]
    through_vgg = TrainingSettings.of(lambda_perceptual=1.0, perceptual_network="distilled-vgg")
    assert Perceptual.identity(through_vgg) == f"distilled-vgg {digest_file(WEIGHTS)}"


def squares(at: int, side: int = 40, count: int = 2) -> torch.Tensor:
    """A dark square on light ground, beginning at ``at``, (count, 3, side, side) in [-1, 1]."""
    pictures = torch.full((count, 3, side, side), 0.8)
    pictures[:, :, at : at + 14, at : at + 14] = -0.6
    return pictures


def outlines(at: int) -> torch.Tensor:
    """Its outline, a dark line of a pixel."""
    pictures = squares(at)
    pictures[:, :, at + 1 : at + 13, at + 1 : at + 13] = 0.8
    return pictures


def test_an_outline_belongs_to_its_square_and_to_no_other() -> None:
    own, moved = (float(structure(outlines(at), squares(10))) for at in (10, 16))
    assert own < 0.1
    assert moved > own + 0.5


def test_generators_of_pairs_see_by_default_which_colour_a_crop_has() -> None:
    """Else white walls and dark ones are one input with several targets: bright areas come out in wrong colours."""
    for name in ("translator", "unet-small", "unet-64", "residual", "few-shot"):
        network = build_generator(name, {"channels": 8}, 3)
        initialise(network, 0)
        assert not ignores_colours(network, 3), name


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
    losses = [
        training.optimize(TrainingStep(tensor(luma), tensor(picture), lr=5e-3, seed=i))["cross_entropy"]
        for i in range(40)
    ]
    assert losses[-1] < 0.5 * losses[0]
    made = to_ab(training.last_outputs)[0, 0]  # a: red is above 0
    assert made[:, 8:24].mean() > made[:, 40:56].mean() + 15
    # Colours that are rare in the training pictures weigh more.
    picture[2:] = 128
    weighed = method(small(), rarity([picture]))
    nothing = torch.zeros(1, int(gamut().sum()), 1, 1)
    rare, common = (weighed._cross_entropy(nothing, to_ab(tensor(picture[y : y + 1, :1]))) for y in (0, 9))
    assert rare > 3 * common


def test_rarity_is_one_over_the_smoothed_share_mixed_with_the_same_for_all() -> None:
    """Zhang et al., "Colorful Image Colorization" (ECCV 2016), equation 4 with λ = ½, over the colours that RGB has."""
    picture = np.full((10, 10, 3), 128, np.uint8)
    picture[0, :5] = (255, 0, 0)
    places = np.round(rgb2lab(picture)[..., 1:] / 10).astype(int) + 11
    share = np.zeros((23, 23))
    np.add.at(share, (places[..., 0], places[..., 1]), 1 / 100)
    levels = np.linspace(0, 255, 52).round() / 255
    colours = rgb2lab(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3))[..., 1:]
    inside = np.zeros((23, 23), bool)
    inside[tuple((np.round(colours / 10).astype(int) + 11).reshape(-1, 2).T)] = True
    x = np.arange(-3, 4)
    kernel = np.exp(-(x**2) / (2 * 0.5**2))
    smooth = np.zeros((23, 23))
    for a, b in zip(*np.nonzero(share), strict=True):
        smooth[a - 3 : a + 4, b - 3 : b + 4] += share[a, b] * np.outer(kernel, kernel) / kernel.sum() ** 2
    smooth = np.where(inside, smooth, 0)
    mixed = 0.5 * smooth / smooth.sum() + 0.5 * inside / inside.sum()
    wanted = np.where(inside, 1 / np.where(inside, mixed, 1), 1 / mixed[inside].min())
    found = rarity([picture]).numpy()
    assert found == pytest.approx(wanted / (wanted * share).sum(), rel=2e-3)
    assert float((found * share).sum()) == pytest.approx(1)
