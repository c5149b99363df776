"""Every row of an ablation learns by what its label says, whatever else the recipe has.

A new setting of training is in here by being there.
"""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import TINY
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.config.recipe import make_recipe
from vidtrans.core.setting_groups import setting_fields
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.loading import signed_planes
from vidtrans.session import Context
from vidtrans.training.ablations import ABLATIONS, Variant
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.training_state import TrainingState, one_step

pytestmark = pytest.mark.usefixtures("one_thread")

# What each label says: the losses of the generator, by their names.
TERMS = {"L1": {"l1"}, "GAN": {"gan"}, "cGAN": {"gan"}, "L1 + GAN": {"l1", "gan"}, "L1 + cGAN": {"l1", "gan"}}
# What a setting needs to do something, or to be allowed.
BESIDE: dict[str, Table] = {
    "lambda_temporal_gan": {"recurrent": True},
    "lambda_temporal": {"recurrent": True},
    "recurrent_fraction": {"recurrent": True},
    "synthetic_motion_fraction": {"recurrent": True},
    "grad_accum_steps": {"batch_size": 2},
    "lambda_gan": {"lambda_l1": 7.0},
}
# For a dataset of another pairing, a model to start from, another loss, minutes of compiling.
ELSEWHERE = {"rollout_fraction", "camera", "freeze", "perceptual_network", "method", "compile"}
ELSEWHERE |= {"grow_from", "grow_share"}  # of larger pictures


def other_value(field: Field[Any]) -> Any:
    """A value of a setting that is allowed, and is not its default."""
    checks = field.metadata
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, tuple):
        return ("a",)
    if "choices" in checks:
        return next(choice for choice in checks["choices"] if choice != field.default)
    if field.default is None or field.name == "crop_size":
        return 32
    if isinstance(field.default, int):
        return field.default + 1
    highest = checks.get("high", float("inf"))
    return next(v for v in (4.0, 1.5, 0.5, 0.75) if v != field.default and checks.get("low", 0.0) <= v <= highest)


CASES: dict[str, Table] = {"plain": {}} | {
    key: {key: other_value(field)} | BESIDE.get(key, {})
    for key, (field, _) in setting_fields(TrainingSettings).items()
    if key not in ELSEWHERE
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    clip = write_clip(folder / "clip.mp4", moving_frames(20))
    api.make_dataset(clip, folder / "clip.dataset", settings=TINY, cache_dir=folder / ".vidtrans")
    return folder


@pytest.fixture(scope="module")
def dataset(place: Path) -> Dataset:
    return open_dataset(place / "clip.dataset")


def first_step(dataset: Dataset, recipe: Any, context: Context) -> tuple[TrainingState, Table, float]:
    """The run after its first step, that step's losses, and the L1 of what was painted in it."""
    job = TrainingSetup(dataset, recipe, recipe.settings("training", TrainingSettings), None, context)
    run = job.make_run(Path(), 10)
    batch = run.loader.make(0)
    losses = one_step(run, batch)
    plain = (run.model.painted.cpu() - torch.from_numpy(signed_planes(batch.targets))).abs().mean().item()
    return run, losses, plain


def check_row(variant: Variant, dataset: Dataset, recipe: Any, context: Context) -> None:
    run, losses, plain = first_step(dataset, variant.recipe, context)
    assert isinstance(run.model, Pix2Pix)
    minimised = {name for name, weight in run.model.loss.weights.items() if weight}
    assert minimised == TERMS[variant.label.rpartition(", ")[2]], variant.label
    assert losses["l1"] == pytest.approx(plain, rel=1e-2)  # of every pixel alike, and once; bf16 is as near as that
    assert bool(losses["gan"]) == ("gan" in minimised)  # from the first step on
    assert set(losses) == {"gan", "l1", "discriminator"}


# Those by which pixels or pictures weigh otherwise, or other losses come in; the rest is of the second tier.
FIRST = {
    key for key in CASES if key.startswith(("lambda_", "motion", "background", "colour", "recurrent", "grad", "batch"))
}
# What the rows themselves set.
OF_ROWS = ("plain", "lambda_gan", "lambda_l1", "conditional", "gan_mode")


def tiered(case: str) -> Any:
    return pytest.param(case, "loss", marks=[] if case in {*FIRST, *OF_ROWS} else pytest.mark.thorough)


@pytest.mark.parametrize(("case", "kind"), [*map(tiered, CASES), ("plain", "skips")])
def test_a_row_learns_by_the_losses_of_its_label(case: str, kind: str, place: Path, dataset: Dataset) -> None:
    """Every row with what rows set; with every other setting one of the rows, in turns."""
    context = Context(cache_dir=place / ".vidtrans")
    tables = {k: TINY[k] for k in ("generator", "discriminator")}
    recipe = make_recipe(None, None, tables | {"training": {"batch_size": 2, **CASES[case]}})
    rows = ABLATIONS.load(kind)(recipe, dataset, context)
    number = list(CASES).index(case) % len(rows)
    for variant in rows if case in OF_ROWS else rows[number : number + 1]:
        check_row(variant, dataset, recipe, context)


def test_what_is_left_out_of_a_row_is_said(place: Path, dataset: Dataset) -> None:
    heard: list[str] = []
    context = Context(cache_dir=place / ".vidtrans", report=lambda event: heard.append(getattr(event, "text", "")))
    recipe = make_recipe(None, None, {"training": {"motion_weight": 4.0, "recurrent": True, "lambda_texture": 1.0}})
    ABLATIONS.load("loss")(recipe, dataset, context)
    assert heard == [
        "an ablation uses only L1 and GAN; left out:  lambda_texture, lambda_temporal, motion_weight, recurrent"
    ]
