"""Rules that are easily broken: what is on record, what is restored, who wins, and what is said before the work."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, quick_training, said, snapshot, tiny_flags
from clips import moving_frames, write_clip
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.core.errors import UsageError
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record

Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]

QUICK = quick_training(1)


class Killed(BaseException):
    """kill -9, as far as Python can tell."""


@pytest.mark.parametrize(("step", "source"), [("train", "clip.dataset"), ("stylize", "clip.mp4")])
def test_a_run_killed_after_its_output_is_known_again(step: str, source: str, dataset: str, monkeypatch: Patch) -> None:
    arguments: dict[str, Any] = {"train": {"settings": QUICK}, "stylize": {"model": "identity"}}[step]
    job, replace = getattr(api, step), os.replace

    def killed_after(old: Any, new: Any) -> None:
        replace(old, new)
        if Path(new).name in ("clip.safetensors", "clip.identity.mp4"):
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("vidtrans.core.files.os.replace", killed_after)
        with pytest.raises(Killed):
            job(source, **arguments)
    assert job(source, **arguments)["cached"] is True


def test_pictures_are_restored_under_their_names_and_a_damaged_dataset_can_be_made_again(clip: Path) -> None:
    api.make_dataset(clip, "d", settings=TINY)
    whole = snapshot(Path("d"))
    shutil.copy(clip, "renamed.mp4")
    Path("d/clip/000003.png").unlink()
    api.make_dataset("renamed.mp4", "d", settings=TINY, restore=True)
    assert snapshot(Path("d")) == whole
    Path("d/dataset.json").write_text("{}")
    with pytest.raises(UsageError, match="damaged"):
        api.make_dataset(clip, "d", settings=TINY)
    api.make_dataset(clip, "d", settings=TINY, overwrite=True)
    assert open_dataset(Path("d")).pairs


def test_killed_between_two_renames_no_dataset_is_lost(clip: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    other = write_clip(tmp_path / "other.mp4", moving_frames(30))
    api.make_dataset(clip, "d", settings=TINY)
    old = snapshot(Path("d"))
    replace, seen = os.replace, []

    def killed_after_first(source: Any, target: Any) -> None:
        replace(source, target)
        if str(target).endswith(".replaced"):
            seen.append(target)
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("vidtrans.data.making.os.replace", killed_after_first)
        with pytest.raises(Killed):
            api.make_dataset(other, "d", settings=TINY, overwrite=True)
    assert seen
    with pytest.raises(UsageError, match="made from other inputs"):
        api.make_dataset(other, "d", settings=TINY)
    assert snapshot(Path("d")) == old
    api.make_dataset(other, "d", settings=TINY, overwrite=True)
    assert [p.name for p in Path().glob(".*replaced")] == []


def test_a_dataset_remembers_its_recipe_wherever_its_preset_goes(clip: Path) -> None:
    Path("mine.toml").write_text('[training]\nsteps = 1\nprecision = "fp32"\n[generator]\nname = "unet-small"\n')
    api.make_dataset(clip, preset="mine.toml", settings=TINY)
    Path("mine.toml").unlink()
    short = {"training": {"batch_size": 2, "crop_size": "none", "jitter": 1.0}}
    table = api.train("clip.dataset", settings={k: TINY[k] for k in ("generator", "discriminator")} | short)
    assert table["steps"] == 1
    assert read_record(Path("clip.safetensors")).training["preset"] == "mine"


def test_the_same_pictures_with_another_preset_follow_it(clip: Path) -> None:
    api.make_dataset(clip, preset="edges", settings=TINY)
    pictures = {k: v for k, v in snapshot(Path("clip.dataset")).items() if k.endswith(".png")}
    Path("mine.toml").write_text("[training]\nsteps = 5\n[pairing]\ngradient_channel = true\n")
    table = api.make_dataset(clip, preset="mine.toml", settings=TINY)
    assert table["cached"] is True
    assert open_dataset(Path("clip.dataset")).recipe == {"training": {"steps": 5}}
    assert {k: v for k, v in snapshot(Path("clip.dataset")).items() if k.endswith(".png")} == pictures


def test_run_says_first_what_is_wrong_with_the_end(clip: Path, capsys: Capsys) -> None:
    Path("taken.mp4").write_text("mine")
    for arguments, status, says in (
        (("--apply", "missing.mp4", "-o", "out.mp4"), 3, "missing.mp4"),
        (("--apply", "clip.mp4", "-o", "out.avi"), 2, "use .mp4"),
        (("--apply", "clip.mp4", "-o", "taken.mp4"), 2, "--overwrite"),
        (("--apply", "clip.mp4", "--apply", "missing.mp4", "-o", "out.mp4"), 2, "folder"),
        (("--apply", "clip.mp4", "-o", "out.mp4", "--set", "temporal.radius=-1"), 2, "temporal.radius"),
    ):
        assert says in said(capsys, status, "run", clip, *arguments)
    assert not list(Path().glob("*.dataset"))


@pytest.mark.usefixtures("quick_trial")
def test_a_flag_outranks_a_variable_even_of_another_name(dataset: str, monkeypatch: Patch, capsys: Capsys) -> None:
    monkeypatch.setenv("VIDTRANS_TRAIN_STEPS", "100000")
    flags = tiny_flags("generator", "discriminator")
    said(capsys, 0, "train", dataset, "--minutes", "0.003", "--set=training.batch_size=2", *flags)
    assert read_record(Path("clip.safetensors")).training["steps"] < [100000]
    for more in ((), ("--ablate", "loss"), ("--dry-run",)):
        assert "nan is not a number" in said(capsys, 2, "train", dataset, "--minutes", "nan", *more)
    monkeypatch.setenv("VIDTRANS_STYLIZE_SIZE", "512")
    assert "[default: 512]" in said(capsys, 0, "stylize", "--help")


def test_a_file_in_the_way_and_values_that_are_none_are_one_line(dataset: str, capsys: Capsys) -> None:
    clip = "clip.mp4"
    Path("file").write_text("x")
    Path("clip.train").write_text("x")
    for arguments in (
        ("stylize", clip, "--model", "identity", "--cache-dir", "file"),
        ("make-dataset", clip, "-o", "file/x"),
        ("train", dataset),
        ("stylize", clip, "another.mp4", "--model", "identity", "-o", "out.mp4"),
        ("make-dataset", clip, "--overwrite", "--cache-limit", "nan"),
        ("make-dataset", clip, "--overwrite", "-o", ".."),
    ):
        status = run([str(a) for a in arguments])
        err = capsys.readouterr().err
        assert status in (1, 2), err
        assert err.count("\n") == 1, err
    assert not Path("out.mp4").exists()


def test_no_result_is_written_over_a_source(clip: Path, tmp_path: Path, capsys: Capsys) -> None:
    other, second = (Path(shutil.copy(clip, name)) for name in ("other.mp4", "clip.identity.mp4"))
    before = snapshot(Path())
    for output, more in ((clip, ()), (second, ("--pairing", "aligned", "--target", second)), (other, ())):
        text = said(capsys, 2, "run", clip, "--apply", other, "-o", output, "--overwrite", *more)
        assert "one of the inputs" in text
    assert "one of the inputs" in said(
        capsys, 2, "stylize", clip, second, "--model", "identity", "-o", ".", "--overwrite"
    )
    assert snapshot(Path()) == before


def test_a_model_of_an_earlier_version_can_be_gone_on_from_and_not_replaced(
    dataset: str, tiny_model: Path, capsys: Capsys
) -> None:
    assert "no weights" in said(capsys, 2, "train", dataset, "--from", "identity")
    with safe_open(tiny_model, framework="numpy") as file:
        metadata = file.metadata()
    record = json.loads(metadata["vidtrans"])
    assert record["generator"]["settings"].pop("residual") is False
    save_file(load_file(tiny_model), "old.safetensors", metadata={"vidtrans": json.dumps(record)})
    assert api.train(dataset, settings=QUICK, start_from="old")["steps"] == 1
    assert "give one of them" in said(capsys, 2, "train", dataset, "--from", "old", "--fresh")
    with pytest.raises(UsageError, match="one of the inputs"):
        api.train(dataset, "old.safetensors", settings=QUICK, start_from="old.safetensors", overwrite=True)
    other = QUICK | {"generator": {**TINY["generator"], "head": "resize"}}
    with pytest.raises(UsageError, match="use the same --set generator"):
        api.train(dataset, "x.safetensors", settings=other, start_from="old")
