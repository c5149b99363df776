"""Every row of an ablation learns by what its label says, whatever else the recipe has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chain import TINY
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.config.recipe import make_recipe
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.loading import signed_planes
from vidtrans.session import Context
from vidtrans.training import LOSSES, weight_key
from vidtrans.training.loop import TrainingState, take_step
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.variants import ABLATIONS, Variant

pytestmark = pytest.mark.usefixtures("one_thread")

# What each label says: the losses of the generator, by their names.
TERMS = {"L1": {"l1"}, "GAN": {"gan"}, "cGAN": {"gan"}, "L1 + GAN": {"l1", "gan"}, "L1 + cGAN": {"l1", "gan"}}
# A recipe as it is, and one with all that makes pixels or pictures weigh otherwise, or brings other losses in.
MORE: Table = {"recurrent": True, "motion_weight": 4.0, "grad_accum_steps": 2}
CASES: dict[str, Table] = {"plain": {}, "all": MORE | {weight_key(name): 1.5 for name in LOSSES}}


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
    run = job.make_state(Path(), 10)
    batch = run.loader.make(0)
    losses = take_step(run, batch)
    plain = (run.model.last_outputs.cpu() - torch.from_numpy(signed_planes(batch.targets))).abs().mean().item()
    return run, losses, plain


def check_row(variant: Variant, dataset: Dataset, recipe: Any, context: Context) -> None:
    run, losses, plain = first_step(dataset, variant.recipe, context)
    assert isinstance(run.model, Pix2Pix)
    minimised = {name for name, weight in run.model.loss.weights.items() if weight}
    assert minimised == TERMS[variant.label.rpartition(", ")[2]], variant.label
    assert losses["l1"] == pytest.approx(plain, rel=1e-2)  # of every pixel alike, and once; bf16 is as near as that
    assert bool(losses["gan"]) == ("gan" in minimised)  # from the first step on
    assert set(losses) == {"gan", "l1", "discriminator"}


@pytest.mark.parametrize(("case", "kind"), [*((case, "loss") for case in CASES), ("plain", "skips")])
def test_a_row_learns_by_the_losses_of_its_label(case: str, kind: str, place: Path, dataset: Dataset) -> None:
    context = Context(cache_dir=place / ".vidtrans")
    tables = {k: TINY[k] for k in ("generator", "discriminator")}
    recipe = make_recipe(None, None, tables | {"training": {"batch_size": 2, **CASES[case]}})
    for variant in ABLATIONS.load(kind)(recipe, dataset, context):
        check_row(variant, dataset, recipe, context)


def test_what_is_left_out_of_a_row_is_said(place: Path, dataset: Dataset) -> None:
    heard: list[str] = []
    context = Context(cache_dir=place / ".vidtrans", report=lambda event: heard.append(getattr(event, "text", "")))
    recipe = make_recipe(None, None, {"training": {"motion_weight": 4.0, "recurrent": True, "lambda_texture": 1.0}})
    ABLATIONS.load("loss")(recipe, dataset, context)
    assert heard == [
        "an ablation uses only L1 and GAN; left out:  lambda_texture, lambda_temporal, motion_weight, recurrent"
    ]
