"""Every loss against a value worked out by hand, and what is said of networks that no longer learn."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.core.setting_groups import setting_fields
from vidtrans.core.settings import from_table
from vidtrans.data.loading import to_signed
from vidtrans.networks.init import build_generator, initialise
from vidtrans.perception.vgg import DISTILLED, DistilledVGG
from vidtrans.training import ADVERSARIAL, METHODS
from vidtrans.training.health import (
    LEAST_VARIATION,
    PICTURES,
    WINDOW,
    OutputVariation,
    concerns,
    ignores_colours,
    relative_variation,
)
from vidtrans.training.losses.adversarial import discriminator_loss, generator_loss
from vidtrans.training.losses.base import LossContext
from vidtrans.training.losses.feature_matching import feature_matching
from vidtrans.training.losses.gradients import Gradients
from vidtrans.training.losses.l1 import L1
from vidtrans.training.losses.perceptual import TAP_WEIGHTS, Perceptual, feature_distance, vgg_distance
from vidtrans.training.losses.rarity import _bins, rarity, weigh
from vidtrans.training.losses.structure import ENOUGH, edge_strength, structure
from vidtrans.training.losses.temporal import temporal
from vidtrans.training.losses.texture import texture_distance
from vidtrans.training.settings import MAX_RECURRENT_LENGTH, TrainingSettings
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


@pytest.mark.parametrize("name", list(ADVERSARIAL))
def test_balance_is_the_loss_of_a_discriminator_that_cannot_tell(name: str) -> None:
    objective = ADVERSARIAL.load(name)
    # Where both look alike, no constant answer is better than the one that gives ``balance``.
    answers = [[[logits(v)]] for v in np.linspace(-2, 2, 401)]
    best = min(discriminator_loss(objective, a, a).item() for a in answers)
    assert best == pytest.approx(objective.balance, abs=1e-3)


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


def test_feature_matching_by_hand() -> None:
    fake = [[torch.full((1, 2, 2, 2), 1.0), torch.full((1, 4, 1, 1), 3.0), logits(9.0)]]
    real = [[torch.full((1, 2, 2, 2), 0.5), torch.full((1, 4, 1, 1), 1.0), logits(0.0)]]
    assert feature_matching(fake, real).item() == pytest.approx(0.5 + 2.0)  # the logits are no features
    assert feature_matching(fake + fake, real + fake).item() == pytest.approx(1.25)


def test_feature_distance_looks_at_directions_alone() -> None:
    def judgement(*vector: float) -> list[list[torch.Tensor]]:
        return [[torch.tensor(vector).view(1, -1, 1, 1), logits(0.0)]]

    assert feature_distance(judgement(1, 0), judgement(7, 0)).item() == pytest.approx(0)
    assert feature_distance(judgement(1, 0), judgement(0, 3)).item() == pytest.approx(2)
    assert feature_distance(judgement(1, 0), judgement(-2, 0)).item() == pytest.approx(4)
    assert feature_distance(judgement(0, 0), judgement(0, 0)).item() == 0
    assert feature_distance(judgement(1e-3, 0), judgement(0, 1e-3)).item() == pytest.approx(2)
    # At each place by itself: the direction there counts, and no other place's strength.
    direction = torch.tensor([0.6, 0.8])[None, :, None, None]
    flat, steep = direction.expand(1, 2, 3, 4), direction * torch.arange(1.0, 13.0).reshape(1, 1, 3, 4)
    assert feature_distance([[flat, logits(0)]], [[steep, logits(0)]]).item() == pytest.approx(0, abs=1e-6)
    # Several scales and layers count alike.
    a, b, c = (judgement(x, y)[0][0] for x, y in ((1, 0), (0, 3), (-2, 0)))
    fake, real = [[a, a, logits(0)], [a, logits(0)]], [[b, a, logits(1)], [c, logits(2)]]
    assert feature_distance(fake, real).item() == pytest.approx((2 + 0 + 4) / 3, rel=1e-5)


@pytest.mark.parametrize("loss", [feature_matching, feature_distance])
def test_targets_features_are_not_learned_from(loss: Callable[..., torch.Tensor]) -> None:
    fake, real = (torch.randn(1, 2, 2, 2, requires_grad=True) for _ in range(2))
    loss([[fake, logits(0.0)]], [[real, logits(0.0)]]).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_rare_colours_weigh_more_and_all_weights_together_as_much_as_none() -> None:
    picture = np.full((20, 20, 3), 128, np.uint8)
    picture[0, :4] = (255, 0, 0)
    picture[1, :] = (0, 128, 0)
    weights = rarity([picture])
    assert torch.allclose(rarity([picture[:10], picture[10:]]), weights)  # that of all pictures together
    weighed = weigh(torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1, weights)
    assert weighed.shape == (1, 1, 20, 20)
    assert weighed.mean().item() == pytest.approx(1, abs=1e-5)
    red, green, grey = (weighed[0, 0, y, 0].item() for y in (0, 1, 5))
    assert red > green > grey > 0
    assert torch.isfinite(weights).all()
    # A colour that no training picture has weighs the most.
    blue = torch.tensor([-1.0, -1.0, 1.0]).view(1, 3, 1, 1)
    assert weigh(blue, weights).item() > red


def test_variation_is_that_of_the_last_pictures_and_waits_for_enough() -> None:
    tracker = OutputVariation()
    shades = torch.linspace(-1, 1, PICTURES).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    tracker.add(shades[1:] / 2, shades[1:])
    assert tracker.variation() is None
    tracker.add(shades[:1] / 2, shades[:1])
    assert tracker.variation() == pytest.approx(0.5)
    tracker.add(torch.zeros_like(shades), shades)
    assert tracker.variation() == 0


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


def test_colour_bins_are_those_of_cielab() -> None:
    for brightest in (256, 24):
        picture = np.random.default_rng(0).integers(0, brightest, (40, 40, 3), dtype=np.uint8)
        lab = rgb2lab(picture)
        for mine, its in zip(_bins(picture), (lab[..., 1], lab[..., 2]), strict=True):
            assert (mine == np.rint(its / 10) + 11).mean() > 0.998  # the rest lies between two bins


def test_the_distance_through_vgg_is_that_of_its_taps() -> None:
    term = Perceptual(TrainingSettings.of(lambda_perceptual=1.0, perceptual_network="distilled-vgg"))
    generator = torch.Generator().manual_seed(0)
    painted, target = (torch.rand(1, 3, 32, 48, generator=generator) * 2 - 1 for _ in range(2))
    painted.requires_grad_()
    assert term.vgg is not None
    found, wanted = term.vgg(painted), term.vgg(target)
    assert [tuple(tap.shape[1:]) for tap in found] == [(16, 32, 48), (32, 16, 24), (64, 8, 12), (128, 4, 6)]
    distances = [((a - b).abs().mean() / b.mean()).item() for a, b in zip(found, wanted, strict=True)]
    value = term(LossContext(input=target, target=target, painted=painted, output=painted))
    assert value.item() == pytest.approx(sum(w * d for w, d in zip(TAP_WEIGHTS, distances, strict=True)), rel=1e-4)
    value.backward()
    assert painted.grad is not None
    assert painted.grad.abs().sum() > 0
    assert term(LossContext(input=target, target=target, painted=target, output=target)).item() == 0
    assert not any(p.requires_grad for p in term.parameters())


def test_vgg_knows_what_is_alike() -> None:
    """A picture moved by a pixel is nearer than one without detail, which is nearer than another picture."""
    network = DistilledVGG()
    frames = [PACKAGE / "assets" / "frames" / f"{name}.jpg" for name in ("astronaut", "chelsea")]
    astronaut, cat = (torch.from_numpy(to_signed(resize(read_picture(path), 96, 96)))[None] for path in frames)
    moved, blurred = astronaut.roll(1, 3), F.avg_pool2d(astronaut, 9, 1, 4)
    wanted = network(astronaut)
    near, soft, other = (vgg_distance(network(one), wanted).item() for one in (moved, blurred, cat))
    assert near < soft < other


def test_vgg_is_part_of_the_key_where_it_is_used() -> None:
    through_vgg = TrainingSettings.of(lambda_perceptual=1.0, perceptual_network="distilled-vgg")
    assert Perceptual.identity(through_vgg) == f"distilled-vgg {digest_file(DISTILLED)}"
    assert Perceptual.identity(TrainingSettings.of(lambda_perceptual=1.0)) == ""


def test_a_discriminator_that_has_won_is_told_of_only_when_it_has_for_long() -> None:
    draw, won = [0.69] * WINDOW, [0.01] * WINDOW
    assert concerns([], 0.69, None) == []
    assert concerns(draw, 0.69, None) == []
    assert concerns(won[1:], 0.69, None) == []
    assert concerns(won + draw[: WINDOW // 2], 0.69, None) == []
    [line] = concerns(draw + won, 0.69, None)
    assert "discriminator has won" in line
    assert "least-squares" in line
    # One good step in fifty is no recovery; a loss that is small for one objective is not for another.
    assert concerns([0.5 if i % 50 == 0 else 0.01 for i in range(WINDOW)], 0.69, None)
    assert concerns([0.06] * WINDOW, 0.69, None)
    assert not concerns([0.06] * WINDOW, 0.25, None)


def test_a_generator_that_has_collapsed_is_told_of() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(PICTURES, 3, 8, 8))
    same = np.repeat(targets[:1], PICTURES, 0) + 0.01 * rng.normal(size=targets.shape)
    assert concerns([], 0.69, relative_variation(targets, targets)) == []
    [line] = concerns([], 0.69, relative_variation(same, targets))
    assert "collapsed" in line
    # Nothing can be said where the targets are all alike.
    assert relative_variation(same, same * 0 + LEAST_VARIATION / 100 * targets) is None


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
    unrecorded, off = {"checkpoint_seconds", "preview_seconds", "cuda_graph"}, {"compile", "grow_from", "grow_share"}
    of_other_methods = {key for method in METHODS.values() for key in setting_fields(method.settings)}
    assert set(setting_fields(TrainingSettings)) - found.keys() == unrecorded | off | of_other_methods
    assert TrainingSettings.of(compile=True).for_key() == TrainingSettings.of().for_key() | {"compile": True}
    assert {"grow_from", "grow_share"} <= TrainingSettings.of(grow_from=64).for_key().keys()
    assert found["freeze"] == ["down"]
    for on in ({"rollout_fraction": 0.5}, {"input_noise": 0.1}, {"recurrent": True}):
        assert TrainingSettings.of(**on).rollout_version
    assert not TrainingSettings.of().rollout_version


def test_what_follows_from_settings() -> None:
    wanted = [TrainingSettings.of(), TrainingSettings.of(final_weights="best"), TrainingSettings.of(patience=1)]
    assert [settings.exports_best for settings in wanted] == [False, True, True]
    on = TrainingSettings.of(lambda_perceptual=0.5, perceptual_network="distilled-vgg")
    others = TrainingSettings.of(lambda_perceptual=1.0), TrainingSettings.of(perceptual_network="distilled-vgg")
    assert [settings.uses_vgg for settings in (on, *others)] == [True, False, False]
    assert TrainingSettings.of(lambda_l1=0, lambda_gan=0, lambda_l2=1).weights["l2"] == 1  # enough to learn from
    dreams, recurrent = {"rollout_fraction": 0.3}, {"recurrent": True, "recurrent_fraction": 0.7}
    cases: list[tuple[dict[str, Any], float, int]] = [
        ({}, 0.0, 120),
        ({**dreams, "max_rollout_length": 1000}, 0.3, 1000),
        ({**recurrent, "max_rollout_length": 5}, 0.7, 5),
        ({**recurrent, "max_rollout_length": 1000}, 0.7, MAX_RECURRENT_LENGTH),
    ]
    for table, share, longest in cases:
        settings = TrainingSettings.of(**table)
        assert (settings.own_output_fraction, settings.max_own_outputs) == (share, longest)


def test_detail_by_hand() -> None:
    """One bright pixel: its Laplacian is 1 there and ¼ beside it, which the mean over 8×8 pixels makes 2/64."""
    target = torch.zeros(1, 1, 16, 16)
    bright = target.clone()
    bright[..., 6, 6] = 1  # in each of the four places that are looked at
    assert texture_distance(bright, target).item() == pytest.approx(2 / 64)
    assert texture_distance(bright, bright).item() == 0
    at_the_end = torch.zeros(1, 1, 16, 16)
    at_the_end[..., 2, 2] = 1  # in the first place only
    assert texture_distance(target, at_the_end).item() == pytest.approx(2 / 64 / 4)


def test_temporal_by_hand() -> None:
    """The mean of s·|fake − p|: the past holds s·p, and 2s − 1."""
    fake = torch.full((1, 3, 1, 2), 0.5)
    sure, before = torch.tensor([1.0, 0.25]).view(1, 1, 1, 2), torch.tensor([0.1, -0.7]).view(1, 1, 1, 2)
    past = torch.cat([(sure * before).expand(1, 3, 1, 2), 2 * sure - 1], 1)
    assert temporal(fake, past).item() == pytest.approx((1 * 0.4 + 0.25 * 1.2) / 2)


def test_detail_asks_for_as_much_texture_as_there_is_wherever_it_lies() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 40, 48, generator=generator) * 2 - 1
    other = torch.rand(1, 3, 40, 48, generator=generator) * 2 - 1
    assert float(texture_distance(target, target)) == 0
    blurred = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    found = {
        n: float(texture_distance(p, target)) for n, p in (("other", other), ("soft", blurred), ("noisy", 2 * target))
    }
    assert found["other"] < 0.2 * min(found["soft"], found["noisy"])  # as rough, and nowhere the same
    assert float(texture_distance(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4))) == 0  # flat, and small


# Edges of a translator without pairs: places and relative strength, not light and dark, colour or contrast


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


def test_a_picture_agrees_with_itself_reversed_tinted_or_pale() -> None:
    picture = squares(10)
    tint = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    for other in (picture, -picture, 0.7 * picture + tint):
        assert float(structure(other, picture)) == 0


def test_a_picture_with_texture_of_its_own_is_let_be_as_far_as_its_edges_are_clear() -> None:
    picture = squares(10)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    light, heavy = (float(structure(picture + size * noise, picture)) for size in (0.02, 0.5))
    assert light == 0
    assert heavy > 0.1


def test_an_outline_belongs_to_its_square_and_to_no_other() -> None:
    own, moved = (float(structure(outlines(at), squares(10))) for at in (10, 16))
    assert own < 0.1
    assert moved > own + 0.5


@given(st.integers(0, 2**31), st.integers(8, 40), st.floats(0.0, 1.0))
def test_it_is_bounded_and_has_finite_gradients(seed: int, side: int, contrast: float) -> None:
    random = torch.Generator().manual_seed(seed)
    output, wanted = (contrast * (2 * torch.rand((1, 3, side, side), generator=random) - 1) for _ in range(2))
    output.requires_grad_()
    loss = structure(output, wanted)
    loss.backward()
    assert 0 <= float(loss.detach()) <= 1 + ENOUGH
    assert output.grad is not None
    assert bool(output.grad.isfinite().all())


def test_pictures_count_alike_whatever_their_contrast() -> None:
    strong, weak = squares(10, count=1), 0.2 * squares(10, count=1)
    wanted = squares(16, count=1)
    each = [float(structure(picture, wanted)) for picture in (strong, weak)]
    together = float(structure(torch.cat([strong, weak]), wanted.repeat(2, 1, 1, 1)))
    assert together == pytest.approx(sum(each) / 2, abs=1e-5)


def test_edge_strength_is_cut_to_where_it_is_known() -> None:
    assert edge_strength(squares(10)).shape == (2, 1, 33, 33)
    assert edge_strength(squares(10).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", ["translator", "unet-small", "unet-64", "residual", "few-shot"])
def test_generators_of_pairs_see_by_default_which_colour_a_crop_has(name: str) -> None:
    """Else white walls and dark ones are one input with several targets: bright areas come out in wrong colours."""
    network = build_generator(name, {"channels": 8}, 3)
    initialise(network, 0)
    assert not ignores_colours(network, 3)


@pytest.mark.parametrize(("name", "norm"), [("translator", "instance"), ("residual", "picture")])
def test_generators_that_normalise_each_picture_ignore_its_colours(name: str, norm: str) -> None:
    network = build_generator(name, {"channels": 8, "norm": norm}, 3)
    initialise(network, 0)
    assert ignores_colours(network.train(), 3)
    assert network.training
