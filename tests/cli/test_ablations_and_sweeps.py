"""``train --ablate`` and ``--sweep``: the lectures' tables, and a training for each combination of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, check_described, refuse, said, said_json, tiny_flags

import vidtrans as api
from vidtrans.batch import jobs, scheduler
from vidtrans.batch.executors.inline import InlineExecutor
from vidtrans.cli.main import run
from vidtrans.config.recipe import Recipe, make_recipe
from vidtrans.core.errors import BatchError, Interrupted
from vidtrans.core.events import BatchStatus, Stop
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record
from vidtrans.session import Context
from vidtrans.training.ablations import ABLATIONS
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.layout import GAP

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("dataset", "one_thread", "quick_trial")

FLAGS = [f for f in tiny_flags("generator", "discriminator", "training") if "training.steps" not in f]
SETTINGS = {k: TINY[k] for k in ("generator", "discriminator", "training")}
INLINE = ("--executor", "inline")
DIVERGES = ("--sweep", "training.lambda_l1=1e39,10", "--set=training.precision=fp32")


def command(*more: object, steps: int = 2) -> tuple[object, ...]:
    swept = [key for key in ("num_layers", "discriminator.channels") if key in str(more)]
    flags = [flag for flag in FLAGS if not any(key in flag for key in swept)]
    return ("train", "clip.dataset", "--steps", steps, *flags, *more)


def ablation(kind: str, *more: object, steps: int = 1) -> tuple[object, ...]:
    return command("--ablate", kind, *INLINE, *more, steps=steps)


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What ablations vary of a recipe."""
    values = recipe.settings("training", TrainingSettings).values()
    found = {key: values[key] for key in LOSSES}
    found["num_layers"] = recipe.choice("discriminator")[1].get("num_layers")
    return found | {"skips": recipe.choice("generator")[1].get("skip_connections", True)}


def losses(l1: bool = True, gan: bool = True, conditional: bool = True, **more: Any) -> dict[str, Any]:
    return {"lambda_l1": 100.0 * l1, "lambda_gan": float(gan), "conditional": conditional, **more}


LOSSES = ("lambda_l1", "lambda_gan", "conditional")
WANTED: dict[str, dict[str, dict[str, Any]]] = {
    "loss": {
        "L1": losses(gan=False),
        "GAN": losses(l1=False, conditional=False),
        "cGAN": losses(l1=False),
        "L1 + GAN": losses(conditional=False),
        "L1 + cGAN": losses(),
    },
    # The fourth needs pictures of 96 pixels a side; these have 32.
    "discriminator": {
        "1x1 patches": losses(num_layers=0),
        "16x16 patches": losses(num_layers=1),
        "70x70 patches": losses(num_layers=3),
    },
    "skips": {
        "no skips, L1": losses(gan=False, skips=False),
        "no skips, L1 + cGAN": losses(skips=False),
        "skips, L1": losses(gan=False, skips=True),
        "skips, L1 + cGAN": losses(skips=True),
    },
}


@pytest.mark.parametrize("kind", ABLATIONS)
def test_every_row_of_an_ablation_has_the_settings_of_its_label(kind: str) -> None:
    recipe = make_recipe(None, None, {k: TINY[k] for k in ("generator", "discriminator")})
    variants = ABLATIONS.load(kind)(recipe, open_dataset(Path("clip.dataset")), Context())
    assert [variant.label for variant in variants] == list(WANTED[kind])
    for variant, wanted in zip(variants, WANTED[kind].values(), strict=True):
        found = settings_of(variant.recipe)
        assert {key: found[key] for key in wanted} == wanted


@pytest.mark.thorough
def test_every_row_of_an_ablation_is_a_model_and_all_are_in_one_picture(capsys: Capsys) -> None:
    told = said(capsys, 0, *ablation("discriminator"))
    assert "286x286 patches are left out: they need 96 pixels a side, the pictures have 32" in told
    table = said_json(capsys, *ablation("discriminator"))
    assert table["cached"] is True
    assert table["output"] == "clip.ablate-discriminator"
    assert [row["label"] for row in table["rows"]] == list(WANTED["discriminator"])
    for row in table["rows"]:
        assert read_record(Path(row["model"])).training["steps"] == [1]
        assert row["held_out"]["psnr"] > 0
        assert f"{row['held_out']['l1']:.4f}" in told
        assert (Path(row["model"]).with_suffix(".train") / "preview.png").is_file()
    assert read_picture(Path(table["picture"])).shape[1] == 5 * 200 + 6 * GAP
    assert len(set(models(table["output"]).values())) == 3
    model = table["rows"][0]["model"]
    assert said_json(capsys, "stylize", "clip.mp4", "--model", model, "--temporal", "off")["frames"] == 16
    assert "made with other inputs or options" in said(capsys, 2, *ablation("discriminator", steps=2))
    # A picture that was deleted is drawn again from the models that are there.
    Path(table["picture"]).unlink()
    table = said_json(capsys, *ablation("discriminator"))
    assert all(row["cached"] for row in table["rows"])
    assert Path(table["picture"]).is_file()
    assert said_json(capsys, *ablation("discriminator", "--overwrite", steps=2))["cached"] is False


@pytest.mark.thorough
def test_variants_of_a_model_that_predicts_frames_dream(capsys: Capsys) -> None:
    api.make_dataset("clip.mp4", "clip.dataset", pairing="next-frame", settings=TINY, overwrite=True)
    assert "next: vidtrans dream" in said(capsys, 0, *ablation("skips"))
    assert all(row["dreamt"] for row in said_json(capsys, *ablation("skips"))["rows"])


@pytest.mark.thorough
def test_a_pairing_that_can_read_its_map_back_scores_that_too(capsys: Capsys) -> None:
    api.make_dataset("clip.mp4", "clip.dataset", pairing="regions", settings=TINY, overwrite=True)
    assert "Re-segmentation" in said(capsys, 0, *ablation("discriminator"))
    held_out = read_record(Path("clip.ablate-discriminator/patch-1.safetensors")).training["held_out"]
    assert 0 <= held_out["segmentation"] <= 1


@pytest.mark.thorough
def test_stopped_trainings_go_on_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"sweep": "lr=0.001,0.002", "steps": 3, "settings": SETTINGS, "executor": "inline"}
    api.train("clip.dataset", "whole", cache_dir="other", **options)
    monkeypatch.setattr(scheduler, "REPORT_S", 0.0)  # every step is reported
    stop = Stop()

    def report(event: object) -> None:
        steps = [p.done for _, p in event.workers if p and p.counted] if isinstance(event, BatchStatus) else []
        if steps == [2] and event.done == 1:  # amid the second one
            stop.request(130)

    with pytest.raises(Interrupted):
        api.train("clip.dataset", "parts", report=report, stop=stop, **options)
    assert [*models("parts")] == ["lr-0.001.safetensors"]
    assert not Path("parts/table.png").exists()
    table = api.train("clip.dataset", "parts", **options)
    assert [row["cached"] for row in table["rows"]] == [True, False]
    assert models("whole") == models("parts")
    assert np.array_equal(read_picture(Path("whole/table.png"))[40:], read_picture(Path("parts/table.png"))[40:])


def test_what_cannot_be_ablated_is_one_line(capsys: Capsys) -> None:
    Path("there").mkdir()
    Path("there/l1-cgan.safetensors").write_bytes(b"mine")  # nothing that exists is replaced unasked
    for arguments, why in (
        (("skips", "--set", "generator.name=residual"), "'residual' has no skips to leave out"),
        (("discriminator", "--set", "discriminator.name=multi-scale"), "discriminator.name=patchgan"),
        (("discriminator", "--set", "training.lambda_gan=0"), "training.lambda_gan=1"),
        (("los",), "did you mean 'loss'"),
        (("loss", "-o", "there", "--steps", 1, "--set=training.lambda_perceptual=0", *FLAGS), "it exists"),
    ):
        assert why in refuse(capsys, 2, "train", "clip.dataset", "--ablate", *arguments)


def models(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.safetensors")}


@pytest.fixture
def _no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained."""
    monkeypatch.delattr(jobs, "make_executor")


@pytest.mark.thorough
def test_every_combination_is_a_model_in_its_row(capsys: Capsys) -> None:
    """Each is the ordinary training with its settings."""
    sweep = command("--sweep", "training.lr=1e-3,0.002", "--sweep", "seed=0,5", *INLINE)
    told = said(capsys, 0, *sweep)
    table = said_json(capsys, *sweep)
    assert table["cached"] is True
    assert table["output"] == "clip.sweep-lr_seed"
    assert table["sweep"] == ["training.lr", "seed"]
    assert (table["ablation"], table["failed"]) == (None, {})
    labels = [f"lr={lr}, seed={seed}" for lr in (0.001, 0.002) for seed in (0, 5)]
    assert [row["label"] for row in table["rows"]] == labels
    assert all(label in told for label in labels)
    assert [row["name"] for row in table["rows"]] == [
        f"lr-{lr}_seed-{seed}" for lr in (0.001, 0.002) for seed in (0, 5)
    ]
    for row in table["rows"]:
        training = read_record(Path(row["model"])).training
        assert {"training.lr": training["settings"]["lr"], "seed": training["seed"]} == row["settings"]
        assert row["held_out"]["psnr"] > 0
    assert len(set(models("clip.sweep-lr_seed").values())) == 4
    assert read_picture(Path(table["picture"])).shape[1] >= 6 * 200 + 7 * GAP
    alone = ("--set=training.lr=0.002", "--seed", 5, "-o", "alone.safetensors", "--cache-dir", "other")
    said(capsys, 0, *command(*alone))
    assert Path("alone.safetensors").read_bytes() == Path(table["rows"][-1]["model"]).read_bytes()


@pytest.mark.thorough
def test_worker_processes_make_the_same_bytes(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the workers; this process has one already
    sweep = command("--sweep", "discriminator.channels=4,8")  # to start the workers takes seconds
    said(capsys, 0, *sweep, *INLINE, "-o", "here", "--cache-dir", "cache-here")
    told = said(capsys, 0, *sweep, "--jobs", 2, "-o", "there")
    assert "2/2]" in told
    assert models("here") == models("there")
    assert len(models("here")) == 2


@pytest.mark.thorough
def test_more_values_train_only_the_new_ones(capsys: Capsys) -> None:
    said(capsys, 0, *command("--sweep", "lr=0.001,0.002", *INLINE))
    before = models("clip.sweep-lr")
    table = said_json(capsys, *command("--sweep", "lr=0.001,0.002,0.003", *INLINE))
    assert [row["cached"] for row in table["rows"]] == [True, True, False]
    assert models("clip.sweep-lr").items() > before.items()
    assert table["cached"] is False


@pytest.mark.usefixtures("_no_executor")
def test_what_is_there_is_not_trained_and_what_else_is_there_not_replaced(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        make = lambda text, context, number, **_: InlineExecutor(context, number, "")  # noqa: E731
        patch.setattr(jobs, "make_executor", make, raising=False)
        said(capsys, 0, *command("--sweep", "lr=0.001,0.002", "-o", "out"))
    assert "up to date" in said(capsys, 0, *command("--sweep", "lr=1e-3,2e-3", "-o", "out"))
    other = command("--sweep", "lr=0.001,0.002", "-o", "out", steps=4)
    assert "made with other inputs or options" in refuse(capsys, 2, *other)
    other = command("--sweep", "beta1=0.4,0.5", "-o", "out")
    assert "table.png: it is the table of another ablation or sweep" in refuse(capsys, 2, *other)
    Path("out/lr-0.003.safetensors").write_bytes(b"mine")
    assert "lr-0.003.safetensors: it exists" in refuse(capsys, 2, *command("--sweep", "lr=0.001,0.003", "-o", "out"))
    Path("out/lr-0.004.train").write_bytes(b"mine")
    assert "previews would go" in refuse(capsys, 2, *command("--sweep", "lr=0.001,0.004", "-o", "out"))


@pytest.mark.thorough
def test_one_that_diverges_is_named_and_the_table_has_the_others(capsys: Capsys) -> None:
    told = said(capsys, 5, *command(*DIVERGES, *INLINE))
    assert "lambda_l1=1e39: training: a loss or a weight became infinite or NaN" in told
    assert "error: 1 of 2 trainings failed: l1-1e39: training: a loss" in told
    assert told.rstrip().count("lambda_l1=10 ") == 1  # its row
    assert [*models("clip.sweep-l1")] == ["l1-10.safetensors"]
    one = read_picture(Path("clip.sweep-l1/table.png")).shape[1]
    assert run([*map(str, command(*DIVERGES, *INLINE)), "--json"]) == 5
    table = check_described(("train",), json.loads(capsys.readouterr().out))
    assert [row["name"] for row in table["rows"]] == ["l1-10"]
    assert table["rows"][0]["cached"] is True  # only the other one was tried again
    assert list(table["failed"]) == ["l1-1e39"]
    assert table["exit_status"] == 5
    settings = {**SETTINGS, "training": {**SETTINGS["training"], "precision": "fp32"}}
    with pytest.raises(BatchError, match="1 of 2 failed: l1-1e39"):
        api.train("clip.dataset", "api", sweep="lambda_l1=1e39,10", steps=1, settings=settings, executor="inline")
    said(capsys, 0, *command("--sweep", "lambda_l1=5,10", "--set=training.precision=fp32", *INLINE))
    assert read_picture(Path("clip.sweep-l1/table.png")).shape[1] > one


def test_where_all_fail_there_is_no_table(capsys: Capsys) -> None:
    sweep = ("--sweep", "num_layers=4,5", *INLINE)  # they need larger pictures
    told = said(capsys, 5, *command(*sweep))
    assert "2 of 2 trainings failed: num-layers-4, num-layers-5; the first: training on 32x32 pixels" in told
    assert not Path("clip.sweep-num-layers/table.png").exists()


@pytest.mark.thorough
def test_minutes_and_swept_steps(capsys: Capsys) -> None:
    sweep = ("train", "clip.dataset", "--sweep", "lr=0.001,0.002", "--minutes", 0.003, *FLAGS, *INLINE)
    first = said_json(capsys, *sweep)
    assert {row["steps"] for row in first["rows"]} == {first["steps"]}
    assert said_json(capsys, *sweep)["cached"] is True
    table = said_json(capsys, "train", "clip.dataset", "--sweep", "steps=2,3", *FLAGS, *INLINE)
    assert [row["steps"] for row in table["rows"]] == [2, 3]
    assert table["steps"] is None


@pytest.mark.usefixtures("_no_executor")
def test_a_dry_run_says_what_all_of_them_cost_and_writes_nothing(capsys: Capsys) -> None:
    before = sorted(Path().rglob("*"))
    sweep = command("--sweep", "lr=0.001,0.002,0.003", "--dry-run", steps=1000)
    one = said_json(capsys, *command("--dry-run", steps=1000))["estimate"]
    table = said_json(capsys, *sweep)
    assert table["estimate"]["disk_bytes"] == 3 * one["disk_bytes"]
    assert "would train 3 models of 1000 steps into clip.sweep-lr" in said(capsys, 0, *sweep)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.usefixtures("_no_executor")
def test_what_cannot_be_is_one_line(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    lr = ("--sweep", "training.lr=0.1,0.2")
    Path("taken").write_text("")
    for arguments, why in (
        (("--sweep", "training.l=1,2"), "did you mean 'lr'?"),
        (("--sweep", "generator.chanels=8,16"), "chanels=8: unknown key 'generator.chanels'"),
        (("--sweep", "generator.name=unet-256,unet-65"), "did you mean 'unet-64'?"),
        (("--sweep", "training.lr=0.1"), "one value (0.1) is no sweep"),
        ((*lr, *lr), "it is given twice"),
        ((*lr, "--set=training.lr=0.3"), "another option gives it one value"),
        (("--sweep", "seed=0,1", "--seed", 3), "leave --seed out"),
        (("--sweep", "training.preview_seconds=1,2"), "are the same training"),
        (("--sweep", f"seed={','.join(map(str, range(100)))}"), "64 are the most"),
        (("--sweep", "steps=2,3", "--minutes", 1), "--sweep training.steps and --minutes"),
        ((*lr, "--ablate", "loss"), "--sweep and --ablate"),
        ((*lr, "--from", "flower"), "every variant starts from nothing — leave --from out"),
        ((*lr, "--fresh"), "leave --fresh out"),
        ((*lr, "--embed"), "leave --embed out"),
        ((*lr, "-o", "clip.dataset"), "holds one of the inputs"),
        ((*lr, "-o", "x.safetensors"), "use -o x"),
        ((*lr, "-o", "taken"), "it is a file"),
        ((*lr, "--executor", "inline", "--jobs", 2), "one job at a time"),
        (("--jobs", 2), "train several with --sweep or --ablate"),
    ):
        assert why in refuse(capsys, 2, "train", "clip.dataset", *arguments)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "without torchrun" in refuse(capsys, 2, "train", "clip.dataset", *lr)
