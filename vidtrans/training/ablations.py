"""Ablations: train a recipe several times, each time with one component changed.

These are the tables of Isola et al. (CVPR 2017): losses (table 1), skips of the U-Net (2), size of D's patches (3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table
from vidtrans.data.augment import crop_size
from vidtrans.data.dataset import Dataset
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.session import Context
from vidtrans.training import weight_key
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import picture_size

PATCHES = {0: 1, 1: 16, 3: 70, 5: 286}  # number of layers of a PatchGAN: side of its patches in pixels
SKIPS = "skip_connections"  # the setting of generators that have them


@dataclass(frozen=True)
class Variant:
    """One training of an ablation or a sweep. ``name``: the stem of its model's file; ``label``: its heading in sheets.

    ``settings``: its values of the swept settings, by key. ``seed``: this variant's seed, or None for the command's.
    """

    name: str
    label: str
    recipe: Recipe
    settings: Table = field(default_factory=dict)
    seed: int | None = None


Variants = Callable[[Recipe, Dataset, Context], list[Variant]]
ABLATIONS = Registry(
    "ablation",
    {
        "loss": Entry("vidtrans.training.ablations:losses", "L1, GAN and conditional GAN, alone and together"),
        "discriminator": Entry("vidtrans.training.ablations:patches", "patches of 1, 16, 70 and 286 pixels"),
        "skips": Entry("vidtrans.training.ablations:skips", "with and without skips, by L1 and by L1 + cGAN"),
    },
)


def losses(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return five variants: L1, GAN and cGAN alone, L1 + GAN, and L1 + cGAN."""
    del dataset
    _note_left_out(recipe, context)
    return [
        Variant("l1", "L1", recipe.under(_terms(recipe, l1=True, gan=False))),
        Variant("gan", "GAN", recipe.under(_terms(recipe, l1=False, gan=True, conditional=False))),
        Variant("cgan", "cGAN", recipe.under(_terms(recipe, l1=False, gan=True))),
        Variant("l1-gan", "L1 + GAN", recipe.under(_terms(recipe, l1=True, gan=True, conditional=False))),
        Variant("l1-cgan", "L1 + cGAN", recipe.under(_terms(recipe, l1=True, gan=True))),
    ]


def patches(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return PatchGAN variants of several depths; leave out those too deep for the training crop. Raises UsageError."""
    name, table = recipe.choice("discriminator")
    if name != "patchgan":
        why = f"it varies the patches of 'patchgan', and this recipe has '{name}'"
        raise UsageError("--ablate discriminator", why, "use --set discriminator.name=patchgan")
    if not recipe.settings("training", TrainingSettings).weights["gan"]:
        why = "training.lambda_gan is 0: there is no discriminator"
        raise UsageError("--ablate discriminator", why, "add --set training.lambda_gan=1")
    side = _shortest_side(recipe, dataset)
    network = DISCRIMINATORS.load(name)
    found = []
    for layers, patch in PATCHES.items():
        smallest = network(6, network.Settings(channels=4, num_layers=layers)).smallest
        if smallest <= side:
            label = f"{patch}x{patch} patches"
            tables = {"discriminator": {**table, "num_layers": layers}}
            found.append(Variant(f"patch-{patch}", label, recipe.under(tables)))
        else:
            context.note(
                f"{patch}x{patch} patches are left out: they need {smallest} pixels a side, the pictures have {side}"
            )
    return found


def skips(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return variants with and without skip connections, each with L1 and with L1 + cGAN. Raises UsageError."""
    del dataset
    name, _ = recipe.choice("generator")
    with_skips = [n for n, cls in GENERATORS.loaded() if SKIPS in {f.name for f in fields(cls.Settings)}]
    if name not in with_skips:
        remedy = f"use --set generator.name={with_skips[0]} (of {', '.join(with_skips)})"
        raise UsageError("--ablate skips", f"generator '{name}' has no skips to leave out", remedy)
    _note_left_out(recipe, context)
    return [
        Variant(
            f"{'' if joined else 'no-'}skips-{'l1-cgan' if gan else 'l1'}",
            f"{'skips' if joined else 'no skips'}, {'L1 + cGAN' if gan else 'L1'}",
            recipe.under(_terms(recipe, l1=True, gan=gan) | {"generator": {SKIPS: joined}}),
        )
        for joined in (False, True)
        for gan in (False, True)
    ]


def _terms(recipe: Recipe, *, l1: bool, gan: bool, conditional: bool = True) -> dict[str, Table]:
    """Return a [training] table with only the chosen losses, at the recipe's weights, or the paper's if those are 0."""
    own, paper = recipe.settings("training", TrainingSettings), TrainingSettings.of()
    weights = {
        weight_key(n): (own.weights[n] or paper.weights[n]) if on else 0.0 for n, on in (("l1", l1), ("gan", gan))
    }
    return {"training": {**_others(own), **weights, "conditional": conditional}}


def _others(own: TrainingSettings) -> Table:
    """Return settings that turn off the other losses in use, and reset settings that change the losses to defaults."""
    return {weight_key(name): 0.0 for name in own.loss_weights if name not in ("l1", "gan")} | own.loss_changes


def _note_left_out(recipe: Recipe, context: Context) -> None:
    if on := _others(recipe.settings("training", TrainingSettings)):
        context.note(f"an ablation uses only L1 and GAN; left out:  {', '.join(on)}")


def _shortest_side(recipe: Recipe, dataset: Dataset) -> int:
    """Return the shorter side of a training crop, in pixels."""
    import torch

    from vidtrans.networks.init import build_generator

    with torch.device("meta"):
        multiple: int = build_generator(*recipe.choice("generator"), dataset.pairing.in_channels).multiple
    sizes = sorted({picture_size(pair.target) for pair in dataset.role("train")})
    return min(crop_size(sizes, recipe.settings("training", TrainingSettings).crop_size, multiple))
