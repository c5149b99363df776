"""``train --sweep``: a training for each combination of settings' values, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain import TINY, check_described, refuse, said, said_json, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.batch import jobs
from vidtrans.cli.main import run
from vidtrans.errors import BatchError
from vidtrans.models.model_file import read_record
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.layout import GAP

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread", "quick_trial")

SWEPT = ("training.steps", "discriminator.num_layers", "discriminator.channels")
FLAGS = [f for f in tiny_flags("generator", "discriminator", "training") if not any(key in f for key in SWEPT)]
SHALLOW = [*FLAGS, "--set=discriminator.num_layers=1"]
SETTINGS = {k: TINY[k] for k in ("generator", "discriminator", "training")}
INLINE = ("--executor", "inline")
DIVERGES = ("--sweep", "training.lambda_l1=1e39,10", "--set=training.precision=fp32")


@pytest.fixture(autouse=True)
def dataset(tmp_path: Path) -> Path:
    api.make_dataset(write_clip(tmp_path / "clip.mp4", moving_frames(20)), settings=TINY)
    return tmp_path / "clip.dataset"


def command(*more: object, steps: int = 3) -> tuple[object, ...]:
    flags = FLAGS if "num_layers" in str(more) else SHALLOW
    return ("train", "clip.dataset", "--steps", steps, *flags, *more)


def models(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.safetensors")}


@pytest.fixture
def _no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained."""
    monkeypatch.delattr(jobs, "make_executor")


def test_every_combination_is_a_model_in_its_row(capsys: Capsys) -> None:
    sweep = ("--sweep", "training.lambda_l1=50,100", "--sweep", "training.lr=1e-3,0.002", *INLINE)
    told = said(capsys, 0, *command(*sweep))
    table = said_json(capsys, *command(*sweep))
    assert table["cached"] is True
    assert table["output"] == "clip.sweep-l1_lr"
    assert table["sweep"] == ["training.lambda_l1", "training.lr"]
    assert table["ablation"] is None
    assert table["failed"] == {}
    labels = [f"lambda_l1={weight}, lr={lr}" for weight in (50, 100) for lr in (0.001, 0.002)]
    assert [row["label"] for row in table["rows"]] == labels
    assert all(label in told for label in labels)
    names = [f"l1-{weight}_lr-{lr}" for weight in (50, 100) for lr in (0.001, 0.002)]
    assert [row["name"] for row in table["rows"]] == names
    for row in table["rows"]:
        settings = read_record(Path(row["model"])).training["settings"]
        assert {f"training.{key}": settings[key] for key in ("lambda_l1", "lr")} == row["settings"]
        assert row["held_out"]["psnr"] > 0
    assert len(set(models("clip.sweep-l1_lr").values())) == 4
    assert read_picture(Path(table["picture"])).shape[1] >= 6 * 200 + 7 * GAP


def test_a_variant_is_the_ordinary_training_with_its_settings(capsys: Capsys) -> None:
    table = said_json(capsys, *command("--sweep", "lr=0.001,0.002", "--sweep", "seed=0,5", *INLINE))
    alone = ("--set=training.lr=0.002", "--seed", 5, "-o", "alone.safetensors", "--cache-dir", "other")
    said(capsys, 0, *command(*alone))
    assert table["rows"][-1]["settings"] == {"training.lr": 0.002, "seed": 5}
    assert Path("alone.safetensors").read_bytes() == Path(table["rows"][-1]["model"]).read_bytes()
    assert read_record(Path(table["rows"][2]["model"])).training["seed"] == 0


def test_worker_processes_make_the_same_bytes(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the workers; this process has one already
    sweep = command("--sweep", "discriminator.channels=4,8")
    said(capsys, 0, *sweep, *INLINE, "-o", "here", "--cache-dir", "cache-here")
    told = said(capsys, 0, *sweep, "--jobs", 2, "-o", "there")
    assert "2/2]" in told
    assert models("here") == models("there")
    assert len(models("here")) == 2


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
        patch.setattr(jobs, "make_executor", _make_inline, raising=False)
        said(capsys, 0, *command("--sweep", "lr=0.001,0.002", "-o", "out"))
    assert "up to date" in said(capsys, 0, *command("--sweep", "lr=1e-3,2e-3", "-o", "out"))
    told = refuse(capsys, 2, *command("--sweep", "lr=0.001,0.002", "-o", "out", steps=4))
    assert "made with other inputs or options" in told
    told = refuse(capsys, 2, *command("--sweep", "beta1=0.4,0.5", "-o", "out"))
    assert "table.png: it is the table of another ablation or sweep" in told
    Path("out/lr-0.003.safetensors").write_bytes(b"mine")
    assert "lr-0.003.safetensors: it exists" in refuse(capsys, 2, *command("--sweep", "lr=0.001,0.003", "-o", "out"))
    Path("out/lr-0.004.train").write_bytes(b"mine")
    assert "previews would go" in refuse(capsys, 2, *command("--sweep", "lr=0.001,0.004", "-o", "out"))


def _make_inline(text: str, context: Any, number: int | None, **more: Any) -> Any:
    from vidtrans.batch.executors.inline import InlineExecutor

    return InlineExecutor(context, number, "")


def test_one_that_diverges_is_named_and_the_table_has_the_others(capsys: Capsys) -> None:
    told = said(capsys, 5, *command(*DIVERGES, *INLINE))
    assert "lambda_l1=1e39: training: a loss or a weight became infinite or NaN" in told
    assert "error: 1 of 2 trainings failed: l1-1e39: training: a loss" in told
    assert told.rstrip().count("lambda_l1=10 ") == 1  # its row
    assert [*models("clip.sweep-l1")] == ["l1-10.safetensors"]
    one = read_picture(Path("clip.sweep-l1/table.png")).shape[1]
    assert run([*map(str, command(*DIVERGES, *INLINE)), "--json"]) == 5
    table = check_described(("train",), _last_json(capsys))
    assert [row["name"] for row in table["rows"]] == ["l1-10"]
    assert table["rows"][0]["cached"] is True  # only the other one was tried again
    assert list(table["failed"]) == ["l1-1e39"]
    assert table["exit_status"] == 5
    settings = {**SETTINGS, "training": {**SETTINGS["training"], "precision": "fp32"}}
    with pytest.raises(BatchError, match="1 of 2 trainings failed: l1-1e39"):
        api.sweep("clip.dataset", {"lambda_l1": [1e39, 10]}, "api", steps=3, settings=settings, executor="inline")
    said(capsys, 0, *command("--sweep", "lambda_l1=5,10", "--set=training.precision=fp32", *INLINE))
    assert read_picture(Path("clip.sweep-l1/table.png")).shape[1] > one


def _last_json(capsys: Capsys) -> dict[str, Any]:
    import json

    table: dict[str, Any] = json.loads(capsys.readouterr().out)
    return table


def test_where_all_fail_there_is_no_table(capsys: Capsys) -> None:
    sweep = ("--sweep", "num_layers=4,5", *INLINE)  # they need larger pictures
    told = said(capsys, 5, *command(*sweep))
    assert "2 of 2 trainings failed: num-layers-4, num-layers-5; the first: training on 32x32 pixels" in told
    assert not Path("clip.sweep-num-layers/table.png").exists()


def test_minutes_and_swept_steps(capsys: Capsys) -> None:
    sweep = ("train", "clip.dataset", "--sweep", "lr=0.001,0.002", "--minutes", 0.003, *SHALLOW, *INLINE)
    first = said_json(capsys, *sweep)
    assert {row["steps"] for row in first["rows"]} == {first["steps"]}
    assert said_json(capsys, *sweep)["cached"] is True
    table = said_json(capsys, "train", "clip.dataset", "--sweep", "steps=2,3", *SHALLOW, *INLINE)
    assert [row["steps"] for row in table["rows"]] == [2, 3]
    assert table["steps"] is None
    assert "--sweep training.steps and --minutes" in refuse(
        capsys, 2, "train", "clip.dataset", "--sweep", "steps=2,3", "--minutes", 1
    )


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
    def line(*arguments: object) -> str:
        return refuse(capsys, 2, "train", "clip.dataset", *arguments)

    lr = ("--sweep", "training.lr=0.1,0.2")
    assert "did you mean 'lr'?" in line("--sweep", "training.l=1,2")
    assert "generator.channels=0" not in line("--sweep", "generator.chanels=8,16")
    assert "chanels=8: unknown key 'generator.chanels'" in line("--sweep", "generator.chanels=8,16")
    assert "did you mean 'unet-64'?" in line("--sweep", "generator.name=unet-256,unet-65")
    assert "one value (0.1) is no sweep" in line("--sweep", "training.lr=0.1")
    assert "it is there twice" in line(*lr, *lr)
    assert "it is also given one value" in line(*lr, "--set=training.lr=0.3")
    assert "leave --seed out" in line("--sweep", "seed=0,1", "--seed", 3)
    assert "are the same training" in line("--sweep", "training.preview_seconds=1,2")
    assert "64 are the most" in line("--sweep", f"seed={','.join(map(str, range(100)))}")
    assert "--sweep and --ablate" in line(*lr, "--ablate", "loss")
    assert "every variant starts from nothing — leave --from out" in line(*lr, "--from", "flower")
    assert "leave --fresh out" in line(*lr, "--fresh")
    assert "leave --embed out" in line(*lr, "--embed")
    assert "holds one of the inputs" in line(*lr, "-o", "clip.dataset")
    assert "use -o x" in line(*lr, "-o", "x.safetensors")
    assert "one job at a time" in line(*lr, "--executor", "inline", "--jobs", 2)
    assert "train several with --sweep or --ablate" in line("--jobs", 2)
    Path("taken").write_text("")
    assert "it is a file" in line(*lr, "-o", "taken")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "without torchrun" in line(*lr)
