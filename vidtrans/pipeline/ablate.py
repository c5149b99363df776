"""Ablations: one training several times, each with another part of it changed, in a table with pictures.

The tables are those of Isola et al. (CVPR 2017), on the user's own pictures: what each loss does (their table 1), what
the size of D's patches (table 3), and what the skips of the U-Net (table 2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from vidtrans.config.recipe import Recipe
from vidtrans.data.augment import crop_size
from vidtrans.data.dataset import INDEX, Dataset, open_dataset
from vidtrans.data.planning import SUFFIX as DATASET_SUFFIX
from vidtrans.errors import UsageError
from vidtrans.events import silent
from vidtrans.files import digest_of
from vidtrans.launcher import is_distributed
from vidtrans.models.model_file import SUFFIX
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.output.target import check_foreign, check_place, produce, refuse_link
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.pipeline.train import check_minutes, train
from vidtrans.registry import Entry, Registry
from vidtrans.rendering.cost import add_up
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import picture_size

PICTURE = "table.png"
PATCHES = {0: 1, 1: 16, 3: 70, 5: 286}  # side in pixels of the patches that a PatchGAN of so many layers judges
SKIPS = "skips"  # the setting of generators that have them


@dataclass(frozen=True)
class Variant:
    """One of the trainings: ``tables`` lie over the recipe. ``name`` is its model's, ``label`` is for people."""

    name: str
    label: str
    tables: dict[str, Table]


Variants = Callable[[Recipe, Dataset, Context], list[Variant]]
ABLATIONS = Registry(
    "ablation",
    {
        "loss": Entry("vidtrans.pipeline.ablate:losses", "L1, GAN and conditional GAN, alone and together"),
        "discriminator": Entry("vidtrans.pipeline.ablate:patches", "patches of 1, 16, 70 and 286 pixels"),
        "skips": Entry("vidtrans.pipeline.ablate:skips", "with and without skips, by L1 and by L1 + cGAN"),
    },
)


def default_output(folder: Path, kind: str) -> Path:
    return Path(f"{folder.resolve().name.removesuffix(DATASET_SUFFIX)}.ablate-{kind}")


def ablate(
    folder: Path,
    kind: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    minutes: float | None = None,
) -> Table:
    """Train every variant of ``kind`` on the dataset in ``folder``, and return what is reported of all of them.

    Each is an ordinary training from nothing, with the same pictures, seed and number of steps: the recipe's, or, with
    ``minutes`` for each, what fits for the slowest. The models go to the folder ``output``, and a picture of what they
    paint of held-out frames, with their scores. Raises what ``train`` does.
    """
    began = time.monotonic()
    check_minutes(minutes)
    if is_distributed():
        why = "it trains its variants one after the other, in one process"
        raise UsageError(f"--ablate {kind}", why, "start it without torchrun")
    dataset = open_dataset(folder)
    find: Variants = ABLATIONS.load(kind)
    output = output or refuse_link(default_output(folder, kind))
    _check_output(output, folder)
    variants = find(recipe, dataset, context)
    recipes = [recipe.under(v.tables) for v in variants]
    models = [output / f"{v.name}{SUFFIX}" for v in variants]
    for path in (*models, output / PICTURE):
        check_foreign(context.cache, refuse_link(path), context.overwrite)
    if minutes:
        steps = _steps(dataset, recipes, minutes, context)
        recipes = [r.under({"training": {"steps": steps}}) for r in recipes]
    trained = []
    for at, (variant, own, path) in enumerate(zip(variants, recipes, models, strict=True), start=1):
        if not context.dry_run:
            context.note(f"{at} of {len(variants)}: {variant.label}")
        trained.append(train(folder, path, own, context, fresh=True))
    rows = [
        {"name": v.name, "label": v.label, "model": str(p)} | {k: t.get(k) for k in ("held_out", "cached", "seconds")}
        for v, p, t in zip(variants, models, trained, strict=True)
    ]
    table: Table = {"ablation": kind, "frames": trained[0]["frames"], "steps": trained[0]["steps"], "rows": rows}
    estimates = [t for t in trained if "estimate" in t]
    drawn = {"dry_run": True} if estimates else _draw(output, rows, table, dataset, context)
    if "dry_run" in drawn:
        return {"output": str(output), **table, "cached": False, "dry_run": True} | add_up(estimates)
    return {
        "output": str(output),
        **table,
        "picture": drawn["output"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": drawn["cached"] and all(t["cached"] for t in trained),
    }


def _draw(output: Path, rows: Sequence[Table], table: Table, dataset: Dataset, context: Context) -> Table:
    """The picture, unless it is there."""
    models = [Path(row["model"]) for row in rows]
    made_here = all(m.is_file() for m in models)  # not so where this is a dry run
    request = {
        "command": "ablate",
        "dataset": dataset_digest(context, dataset),
        "models": [context.cache.digest(m) for m in models] if made_here else [],
        "rows": [[row["label"], row["held_out"]] for row in rows],
    }

    def make(path: Path) -> Table:
        from vidtrans.training.report.ablation_sheet import draw_sheet  # torch, only when there is something to draw

        title = f"{output.name}: {table['steps']} steps each"
        draw_sheet(path, title, rows, dataset, context)
        return {}

    return produce(context, output / PICTURE, request, models, make)


def _check_output(output: Path, folder: Path) -> None:
    """Raises UsageError where no folder of models can be there."""
    if output.suffix == SUFFIX:
        remedy = f"use -o {output.with_suffix('')}"
        raise UsageError(str(output), "--ablate makes several models, in a folder", remedy)
    if output.exists() and not output.is_dir():
        raise UsageError(str(output), "it is a file, and the models go to a folder", "choose another with -o")
    check_place(output, [folder / INDEX], folder=True)


def _steps(dataset: Dataset, recipes: Sequence[Recipe], minutes: float, context: Context) -> int:
    """How many steps fit into ``minutes`` for the slowest, measured once and remembered."""
    from vidtrans.training.job import TrainJob

    quiet, found = replace(context, report=silent), []
    for recipe in recipes:
        settings = recipe.settings("training", TrainingSettings)
        networks = recipe.only("generator", "discriminator")
        asked = ["ablate", dataset_digest(context, dataset), networks, settings.for_key(), minutes]
        job = TrainJob(dataset, recipe, settings, None, quiet)
        found.append(job.steps_for(minutes, digest_of([*asked, context.seed, context.device_kind])))
    context.note(f"{minutes:g} minutes are about {min(found)} steps here for the slowest; each takes as many")
    return min(found)


# What is changed


def losses(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """L1 and the adversarial loss, the latter with and without the input before D's eyes."""
    del dataset
    _say_left_out(recipe, context)
    return [
        Variant("l1", "L1", _terms(recipe, l1=True, gan=False)),
        Variant("gan", "GAN", _terms(recipe, l1=False, gan=True, conditional=False)),
        Variant("cgan", "cGAN", _terms(recipe, l1=False, gan=True)),
        Variant("l1-gan", "L1 + GAN", _terms(recipe, l1=True, gan=True, conditional=False)),
        Variant("l1-cgan", "L1 + cGAN", _terms(recipe, l1=True, gan=True)),
    ]


def patches(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """PatchGANs of several depths; those that the pictures are too small for are left out. Raises UsageError."""
    name, table = recipe.choice("discriminator")
    if name != "patchgan":
        why = f"it varies the patches of 'patchgan', and this recipe has '{name}'"
        raise UsageError("--ablate discriminator", why, "use --set discriminator.name=patchgan")
    if not recipe.settings("training", TrainingSettings).weights["gan"]:
        why = "training.gan is 0: there is no discriminator"
        raise UsageError("--ablate discriminator", why, "use --set training.gan=1")
    side = _shortest_side(recipe, dataset)
    network = DISCRIMINATORS.load(name)
    found = []
    for layers, patch in PATCHES.items():
        smallest = network(6, network.Settings(channels=4, layers=layers)).smallest
        if smallest <= side:
            label = f"{patch}x{patch} patches"
            found.append(Variant(f"patch-{patch}", label, {"discriminator": {**table, "layers": layers}}))
        else:
            context.note(f"{patch}x{patch} patches are left out: they need {smallest} pixels a side, here are {side}")
    return found


def skips(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """The U-Net and the encoder-decoder that it is without its skips, each with two losses. Raises UsageError."""
    del dataset
    name, _ = recipe.choice("generator")
    having = [n for n in GENERATORS if SKIPS in {f.name for f in fields(GENERATORS.load(n).Settings)}]
    if name not in having:
        remedy = f"use --set generator.name={having[0]} (of {', '.join(having)})"
        raise UsageError("--ablate skips", f"'{name}' has no skips to leave out", remedy)
    _say_left_out(recipe, context)
    return [
        Variant(
            f"{'' if joined else 'no-'}skips-{'l1-cgan' if gan else 'l1'}",
            f"{'skips' if joined else 'no skips'}, {'L1 + cGAN' if gan else 'L1'}",
            _terms(recipe, l1=True, gan=gan) | {"generator": {SKIPS: joined}},
        )
        for joined in (False, True)
        for gan in (False, True)
    ]


def _terms(recipe: Recipe, *, l1: bool, gan: bool, conditional: bool = True) -> dict[str, Table]:
    """[training] with these losses and no other, weighed as the recipe does; what it leaves out, as the paper does."""
    own, paper = recipe.settings("training", TrainingSettings), TrainingSettings()
    weights = {n: (own.weights[n] or paper.weights[n]) if on else 0.0 for n, on in (("l1", l1), ("gan", gan))}
    return {"training": {**_others(own), **weights, "conditional": conditional}}


def _others(own: TrainingSettings) -> Table:
    """What turns off all that the settings do to the loss besides L1 and GAN."""
    return {name: 0.0 for name in own.loss_weights if name not in ("l1", "gan")} | own.loss_changes


def _say_left_out(recipe: Recipe, context: Context) -> None:
    if on := _others(recipe.settings("training", TrainingSettings)):
        context.note(f"what the recipe has besides L1 and GAN is left out: {', '.join(on)}")


def _shortest_side(recipe: Recipe, dataset: Dataset) -> int:
    """Of what a training step sees, in pixels."""
    import torch

    from vidtrans.networks.init import build_generator

    with torch.device("meta"):
        multiple: int = build_generator(*recipe.choice("generator"), dataset.pairing.in_channels).multiple
    sizes = sorted({picture_size(pair.target) for pair in dataset.role("train")})
    return min(crop_size(sizes, recipe.settings("training", TrainingSettings).crop, multiple))
