"""``train --ablate`` and ``--sweep``, and pix2pixHD's order: a coarse generator, its enhancer, all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain import TINY, refuse, said, said_json, tiny_flags

from vidtrans.batch import jobs
from vidtrans.batch.executors import InlineExecutor
from vidtrans.config.recipe import make_recipe
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record
from vidtrans.session import Context
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.variants import ABLATIONS

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("dataset", "one_thread", "quick_trial")

FLAGS = [f for f in tiny_flags("generator", "discriminator", "training") if "training.steps" not in f]
INLINE = ("--executor", "inline")


def command(*more: object, steps: int = 2) -> tuple[object, ...]:
    swept = [key for key in ("num_layers", "discriminator.channels") if key in str(more)]
    flags = [flag for flag in FLAGS if not any(key in flag for key in swept)]
    return ("train", "clip.dataset", "--steps", steps, *flags, *more)


def ablation(kind: str, *more: object, steps: int = 1) -> tuple[object, ...]:
    return command("--ablate", kind, *INLINE, *more, steps=steps)


LOSSES = ("lambda_l1", "lambda_gan", "conditional")


def losses(l1: bool = True, gan: bool = True, conditional: bool = True, **more: Any) -> dict[str, Any]:
    return {"lambda_l1": 100.0 * l1, "lambda_gan": float(gan), "conditional": conditional, **more}


WANTED: dict[str, dict[str, dict[str, Any]]] = {
    "loss": {
        "L1": losses(gan=False),
        "GAN": losses(l1=False, conditional=False),
        "cGAN": losses(l1=False),
        "L1 + GAN": losses(conditional=False),
        "L1 + cGAN": losses(),
    },
    # The fourth needs pictures of 96 pixels a side; these have 32.
    "discriminator": {f"{side}x{side} patches": losses(num_layers=n) for side, n in ((1, 0), (16, 1), (70, 3))},
    "skips": {
        f"{name}, {loss}": losses(gan=gan, skips=name == "skips")
        for name in ("no skips", "skips")
        for loss, gan in (("L1", False), ("L1 + cGAN", True))
    },
}


@pytest.mark.parametrize("kind", ABLATIONS)
def test_every_row_of_an_ablation_has_the_settings_of_its_label(kind: str) -> None:
    recipe = make_recipe(None, None, {k: TINY[k] for k in ("generator", "discriminator")})
    variants = ABLATIONS.load(kind)(recipe, open_dataset(Path("clip.dataset")), Context())
    assert [variant.label for variant in variants] == list(WANTED[kind])
    for variant, wanted in zip(variants, WANTED[kind].values(), strict=True):
        values = variant.recipe.settings("training", TrainingSettings).values()
        found = {key: values[key] for key in LOSSES}
        found["num_layers"] = variant.recipe.choice("discriminator")[1].get("num_layers")
        found["skips"] = variant.recipe.choice("generator")[1].get("skip_connections", True)
        assert {key: found[key] for key in wanted} == wanted


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
    monkeypatch.delattr(jobs, "make_executor")


@pytest.mark.thorough
def test_every_combination_is_a_model_in_its_row(capsys: Capsys) -> None:
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
    for row in table["rows"]:
        training = read_record(Path(row["model"])).training
        assert {"training.lr": training["settings"]["lr"], "seed": training["seed"]} == row["settings"]
        assert row["held_out"]["psnr"] > 0
    assert len(set(models("clip.sweep-lr_seed").values())) == 4
    alone = ("--set=training.lr=0.002", "--seed", 5, "-o", "alone.safetensors", "--cache-dir", "other")
    said(capsys, 0, *command(*alone))
    assert Path("alone.safetensors").read_bytes() == Path(table["rows"][-1]["model"]).read_bytes()


@pytest.mark.usefixtures("_no_executor")
def test_what_is_there_is_neither_trained_nor_replaced(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
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
    one = said_json(capsys, *command("--dry-run", steps=1000))["estimate"]
    sweep = command("--sweep", "lr=0.001,0.002,0.003", "--dry-run", steps=1000)
    assert said_json(capsys, *sweep)["estimate"]["disk_bytes"] == 3 * one["disk_bytes"]
    assert "would train 3 models of 1000 steps into clip.sweep-lr" in said(capsys, 0, *sweep)


def test_where_all_fail_there_is_no_table(capsys: Capsys) -> None:
    sweep = ("--sweep", "num_layers=4,5", *INLINE)  # they need larger pictures
    told = said(capsys, 5, *command(*sweep))
    assert "2 of 2 trainings failed: num-layers-4, num-layers-5; the first: training on 32x32 pixels" in told
    assert not Path("clip.sweep-num-layers/table.png").exists()


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
