"""``train --ablate``: the lectures' tables, on the user's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, refuse, said, said_json, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.batch import scheduler
from vidtrans.cli.main import run
from vidtrans.errors import Interrupted
from vidtrans.events import BatchStatus, Stop
from vidtrans.models.model_file import read_record
from vidtrans.training.ablations import ABLATIONS
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.layout import GAP

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread", "quick_trial")

INLINE = ("--executor", "inline")  # to start a worker process takes seconds
FLAGS = [f for f in tiny_flags("generator", "discriminator", "training") if "training.steps" not in f]
SETTINGS = {k: TINY[k] for k in ("generator", "discriminator", "training")}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    api.make_dataset(write_clip(tmp_path / "clip.mp4", moving_frames(12)), settings=TINY)
    return tmp_path / "clip.dataset"


def settings_of(row: dict[str, Any]) -> dict[str, Any]:
    record = read_record(Path(row["model"]))
    return record.training["settings"] | {
        "num_layers": record.training["discriminator"]["settings"]["num_layers"],
        "skip_connections": record.generator["settings"].get("skip_connections", True),
        "steps": record.training["steps"],
    }


WANTED: dict[str, dict[str, dict[str, Any]]] = {
    "loss": {
        "L1": {"lambda_l1": 100.0, "lambda_gan": 0.0},
        "GAN": {"lambda_l1": 0.0, "lambda_gan": 1.0, "conditional": False},
        "cGAN": {"lambda_l1": 0.0, "lambda_gan": 1.0, "conditional": True},
        "L1 + GAN": {"lambda_l1": 100.0, "lambda_gan": 1.0, "conditional": False},
        "L1 + cGAN": {"lambda_l1": 100.0, "lambda_gan": 1.0, "conditional": True},
    },
    # The fourth needs pictures of 96 pixels a side; these have 32.
    "discriminator": {
        "1x1 patches": {"num_layers": 0},
        "16x16 patches": {"num_layers": 1},
        "70x70 patches": {"num_layers": 3},
    },
    "skips": {
        "no skips, L1": {"skip_connections": False, "lambda_gan": 0.0},
        "no skips, L1 + cGAN": {"skip_connections": False, "lambda_gan": 1.0},
        "skips, L1": {"skip_connections": True, "lambda_gan": 0.0},
        "skips, L1 + cGAN": {"skip_connections": True, "lambda_gan": 1.0},
    },
}


@pytest.mark.parametrize("kind", ABLATIONS)
def test_every_variant_is_a_model_and_all_are_in_one_picture(kind: str, dataset: Path, capsys: Capsys) -> None:
    command = ("train", dataset, "--ablate", kind, "--steps", 4, *FLAGS, *INLINE)
    told = said(capsys, 0, *command)
    assert "\n" in told
    table = said_json(capsys, *command)
    assert table["cached"] is True
    assert table["output"] == f"clip.ablate-{kind}"
    assert [row["label"] for row in table["rows"]] == list(WANTED[kind])
    for row, wanted in zip(table["rows"], WANTED[kind].values(), strict=True):
        found = {"conditional": True} | settings_of(row)
        assert {k: found[k] for k in wanted} == wanted
        assert found["steps"] == [4]
        assert row["held_out"]["psnr"] > 0
        assert f"{row['held_out']['l1']:.4f}" in told
        assert (Path(row["model"]).with_suffix(".train") / "preview.png").is_file()
    left_out = "286x286 patches are left out: they need 96 pixels a side, here are 32"
    assert (left_out in told) == (kind == "discriminator")
    columns = len(table["rows"]) + 2
    picture = read_picture(Path(table["picture"]))
    assert picture.shape[1] == columns * 200 + (columns + 1) * GAP
    digests = {Path(row["model"]).read_bytes() for row in table["rows"]}
    assert len(digests) == len(table["rows"])
    made = said_json(capsys, "stylize", "clip.mp4", "--model", table["rows"][0]["model"], "--temporal", "off")
    assert made["frames"] == 12


def test_variants_of_a_model_that_predicts_frames_dream(tmp_path: Path, capsys: Capsys) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(12))
    api.make_dataset(clip, tmp_path / "next.dataset", pairing="next-frame", settings=TINY)
    command = ("train", "next.dataset", "--ablate", "skips", "--steps", 2, *FLAGS, *INLINE)
    assert "next: vidtrans dream" in said(capsys, 0, *command)
    assert all(row["dreamt"] for row in said_json(capsys, *command)["rows"])


def test_a_variant_is_the_ordinary_training_that_its_settings_say(dataset: Path) -> None:
    table = api.ablate(dataset, "loss", steps=3, settings=SETTINGS, executor="inline")
    alone = SETTINGS | {"training": SETTINGS["training"] | {"lambda_gan": 0.0}}
    api.train(dataset, "alone.safetensors", steps=3, settings=alone, fresh=True)
    assert Path("alone.safetensors").read_bytes() == Path(table["rows"][0]["model"]).read_bytes()


def test_a_stopped_ablation_goes_on_where_it_was(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"steps": 4, "settings": SETTINGS, "executor": "inline"}
    api.ablate(dataset, "discriminator", "whole", cache_dir="other", **options)
    monkeypatch.setattr(scheduler, "REPORT_S", 0.0)  # every step is reported
    stop = Stop()

    def report(event: object) -> None:
        steps = [p.done for _, p in event.workers if p and p.counted] if isinstance(event, BatchStatus) else []
        if steps == [2] and event.done == 1:  # amid the second one
            stop.request(130)

    with pytest.raises(Interrupted):
        api.ablate(dataset, "discriminator", "parts", report=report, stop=stop, **options)
    assert [p.name for p in Path("parts").glob("*.safetensors")] == ["patch-1.safetensors"]
    assert not Path("parts/table.png").exists()
    table = api.ablate(dataset, "discriminator", "parts", **options)
    assert [row["cached"] for row in table["rows"]] == [True, False, False]
    for path in Path("whole").glob("*.safetensors"):
        assert path.read_bytes() == (Path("parts") / path.name).read_bytes()
    assert np.array_equal(read_picture(Path("whole/table.png"))[40:], read_picture(Path("parts/table.png"))[40:])


def test_minutes_are_measured_once_and_all_take_as_many_steps(dataset: Path, capsys: Capsys) -> None:
    command = ("train", dataset, "--ablate", "discriminator", "--minutes", 0.003, *FLAGS, *INLINE)
    first = said_json(capsys, *command)
    assert {tuple(settings_of(row)["steps"]) for row in first["rows"]} == {(first["steps"],)}
    assert said_json(capsys, *command)["cached"] is True


def test_a_dry_run_says_what_all_of_them_cost_and_writes_nothing(dataset: Path, capsys: Capsys) -> None:
    before = sorted(Path().rglob("*"))
    one = said_json(capsys, "train", dataset, "--steps", 1000, "--dry-run", *FLAGS)["estimate"]
    table = said_json(capsys, "train", dataset, "--ablate", "loss", "--steps", 1000, "--dry-run", *FLAGS)
    assert table["dry_run"] is True
    assert table["steps"] == 1000
    assert table["estimate"]["disk_bytes"] == 5 * one["disk_bytes"]
    assert sorted(Path().rglob("*")) == before
    assert "would train 5 models of 1000 steps into clip.ablate-loss" in said(
        capsys, 0, "train", dataset, "--ablate", "loss", "--steps", 1000, "--dry-run", *FLAGS
    )


def test_what_cannot_be_is_one_line(dataset: Path, capsys: Capsys) -> None:
    def line(*arguments: object) -> str:
        return refuse(capsys, 2, "train", "clip.dataset", "--ablate", *arguments)

    assert "'residual' has no skips to leave out" in line("skips", "--set", "generator.name=residual")
    assert "generator.name=unet-64" in line("skips", "--set", "generator.name=hd")
    assert "discriminator.name=patchgan" in line("discriminator", "--set", "discriminator.name=multi-scale")
    assert "training.lambda_gan=1" in line("discriminator", "--set", "training.lambda_gan=0")
    assert "every variant starts from nothing" in line("loss", "--from", "flower")
    assert "leave --fresh out" in line("loss", "--fresh")
    assert "use -o x" in line("loss", "-o", "x.safetensors")
    assert "holds one of the inputs" in line("loss", "-o", "clip.dataset")
    assert "did you mean 'loss'" in line("los")
    Path("taken").write_text("")
    assert "it is a file" in line("loss", "-o", "taken")
    # Nothing that exists is replaced unasked, and it is said before the first training.
    Path("there").mkdir()
    Path("there/l1-cgan.safetensors").write_bytes(b"mine")
    assert "it exists" in line("loss", "-o", "there", "--steps", 1, *FLAGS)


def test_other_options_are_told_and_overwrite_replaces(dataset: Path, capsys: Capsys) -> None:
    command = ["train", str(dataset), "--ablate", "discriminator", *FLAGS, *INLINE]
    said(capsys, 0, *command, "--steps", 1)
    assert run([*command, "--steps", "2"]) == 2
    assert "made with other inputs or options" in capsys.readouterr().err
    assert said_json(capsys, *command, "--steps", 2, "--overwrite")["cached"] is False
    # A picture that was deleted is drawn again from the models that are there.
    Path("clip.ablate-discriminator/table.png").unlink()
    table = said_json(capsys, *command, "--steps", 2)
    assert all(row["cached"] for row in table["rows"])
    assert Path(table["picture"]).is_file()


def test_a_pairing_that_can_read_its_map_back_scores_that_too(tmp_path: Path, capsys: Capsys) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(12))
    api.make_dataset(clip, pairing="regions", settings=TINY)
    told = said(capsys, 0, "train", "clip.dataset", "--ablate", "discriminator", "--steps", 2, *FLAGS, *INLINE)
    assert "Re-segmentation" in told
    held_out = read_record(Path("clip.ablate-discriminator/patch-1.safetensors")).training["held_out"]
    assert 0 <= held_out["segmentation"] <= 1


def test_losses_that_are_no_part_of_the_table_are_left_out_and_that_is_said(dataset: Path, capsys: Capsys) -> None:
    more = ("--set", "training.lambda_feature_matching=10", "--set", "training.lambda_l2=1")
    told = said(capsys, 0, "train", dataset, "--ablate", "loss", "--steps", 1, *FLAGS, *more, *INLINE)
    assert "besides L1 and GAN is left out: lambda_l2, lambda_feature_matching" in told


def test_several_processes_are_refused(dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "without torchrun" in refuse(capsys, 2, "train", dataset, "--ablate", "loss")
