"""Dry runs: what a command would take, and that nothing is touched while that is found out."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, said, said_json, tiny_flags
from clips import moving_frames, scene, write_folder
from directed_clip import lossless

import vidtrans as api
from vidtrans.core.costs import add_up, duration, format_cost, size
from vidtrans.core.system import peak_memory

Capsys = pytest.CaptureFixture[str]
PARTS = ("seconds", "disk_bytes", "cache_bytes", "memory_bytes")


def tree(*folders: Path) -> dict[str, tuple[int, int]]:
    """Everything below, hidden files and caches included, with size and time."""
    return {
        str(p): (p.stat().st_size if p.is_file() else 0, p.stat().st_mtime_ns) for f in folders for p in f.rglob("*")
    }


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this test alone."""
    place = tmp_path.parent / f"{tmp_path.name}-scratch"
    shutil.rmtree(place, ignore_errors=True)  # older versions of pytest give a folder's name again
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def ready(clip: Path, tiny_model: Path, quick_trial: None) -> None:
    """What the dry runs need: a clip, a dataset made under another cache, pictures, a mask."""
    api.make_dataset(clip, preset="edges", settings=TINY, cache_dir=clip.parent.with_name(clip.parent.name + "-cache"))
    write_folder(Path("pictures"), moving_frames(5))
    write_folder(Path(), [scene(64, 48, 1)], ["mask.png"])


CHAIN = tiny_flags()
DRY = {
    "make-dataset": ("make-dataset", "clip.mp4", "-o", "new.dataset", *tiny_flags("dataset")),
    "make-dataset of pictures": ("make-dataset", "pictures"),
    "train": ("train", "clip.dataset", *tiny_flags("generator", "discriminator", "training")),
    "stylize": ("stylize", "clip.mp4", "--model", "MODEL"),
    "stylize directed": ("stylize", "clip.mp4", "--model", "MODEL", "--mask", "mask.png", "--strength", "0: 0, 9: 1"),
    "stylize identity": ("stylize", "clip.mp4", "--model", "identity", "--codec", "ffv1"),
    "stylize pictures": ("stylize", "pictures", "--model", "MODEL"),
    "run": ("run", "clip.mp4", "--apply", "clip.mp4", "-o", "out.mp4", *CHAIN),
    "run over two": ("run", "clip.mp4", "--apply", "clip.mp4", "--apply", "pictures", "-o", "out", *CHAIN),
}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", DRY)
def test_a_dry_run_estimates_and_touches_nothing(name: str, scratch: Path, tiny_model: Path, capsys: Capsys) -> None:
    arguments = [str(tiny_model) if a == "MODEL" else a for a in DRY[name]]
    before = tree(Path())
    table = said_json(capsys, *arguments, "--dry-run")
    assert tree(Path()) == before
    assert not Path(".vidtrans").exists()
    assert not list(scratch.iterdir())
    assert table["dry_run"] is True
    assert table["cached"] is False
    assert table["frames"] > 0
    found = table["estimate"]
    assert set(found) == set(PARTS)
    assert found["seconds"] >= 0
    assert found["disk_bytes"] > 100
    assert found["memory_bytes"] > 10_000_000
    assert (found["cache_bytes"] > 0) == (not name.startswith("make-dataset"))
    told = said(capsys, 0, *arguments, "--dry-run").splitlines()[-1]  # as a person reads it
    assert told.startswith("would ")
    assert "; about " in told
    assert "on disk" in told
    assert told.endswith("of memory")
    assert ("pictures a second" in told) == (name == "train")


@pytest.mark.usefixtures("ready")
def test_the_rate_of_a_training_is_what_its_length_comes_from(capsys: Capsys) -> None:
    found = said_json(capsys, *DRY["train"], "--set=training.steps=90000", "--dry-run")
    batch = TINY["training"]["batch_size"]
    assert found["pictures_per_second"] * found["estimate"]["seconds"] == pytest.approx(90000 * batch, rel=0.02)


def test_the_estimate_is_near_what_it_comes_to(clip: Path, capsys: Capsys) -> None:
    flags = (clip, *tiny_flags("dataset"))
    expected = said_json(capsys, "make-dataset", *flags, "--dry-run")["estimate"]
    said_json(capsys, "make-dataset", *flags)
    found = sum(p.stat().st_size for p in Path("clip.dataset").rglob("*.png"))
    assert found / 1.5 < expected["disk_bytes"] < found * 1.5
    render = ("stylize", clip, "--model", "identity", "--codec", "ffv1")
    expected = said_json(capsys, *render, "--dry-run")["estimate"]
    said_json(capsys, *render)
    found = os.path.getsize("clip.identity.mkv")
    assert found / 1.5 < expected["disk_bytes"] < found * 1.5
    table = said_json(capsys, *render, "--dry-run")  # what is there already costs nothing
    assert (table["cached"], table["frames_encoded"]) == (True, 0)
    assert "up to date" in said(capsys, 0, *render, "--dry-run")


def test_times_and_sizes_are_spoken_in_the_unit_that_suits_them() -> None:
    times = {0.2: "1 s", 45.4: "45 s", 99.9: "100 s", 100: "2 min", 740: "12 min", 11_100: "3 h 5 min"}
    assert {seconds: duration(seconds) for seconds in times} == times
    sizes = {0: "1 kB", 640_000: "640 kB", 1_200_000: "1.2 MB", 45_000_000: "45 MB", 1.24e9: "1.2 GB", 2e10: "20 GB"}
    assert {num_bytes: size(num_bytes) for num_bytes in sizes} == sizes


def part(seconds: float, disk: int, cache: int, memory: int | None) -> dict[str, Any]:
    return {"estimate": dict(zip(PARTS, (seconds, disk, cache, memory), strict=True))}


def test_steps_add_up_and_memory_is_that_of_the_largest() -> None:
    assert add_up([part(1, 10, 100, 5000), part(2, 20, 200, None), part(3, 30, 300, 7000)]) == part(6, 60, 600, 7000)
    assert add_up([part(1, 10, 0, None)]) == part(1, 10, 0, None)


def test_what_is_not_known_or_nothing_is_not_spoken_of() -> None:
    assert format_cost(part(3, 2_000_000, 0, None)) == "about 3 s, 2.0 MB on disk"
    assert format_cost(part(3, 2_000_000, 5000, 10**9)) == "about 3 s, 2.0 MB on disk, 5 kB of cache, 1.0 GB of memory"
    assert peak_memory() > 10_000_000


@pytest.mark.usefixtures("ready")
def test_a_start_from_a_model_comes_with_advice_that_the_command_takes(tiny_model: Path, capsys: Capsys) -> None:
    start = (*DRY["train"], "--from", tiny_model, "--dry-run")
    found = said_json(capsys, *start)["transfer"]
    assert 1 <= found["distinct"] <= 200
    assert found["likeness"] <= 1
    line = said(capsys, 0, *start).splitlines()[-1]
    assert line.startswith(f"advice: --steps {found['steps']}")
    options = shlex.split(line.removeprefix("advice: "))
    assert said_json(capsys, *start, *options)["dry_run"] is True
    frozen = ("--set=training.steps=9", '--set=training.freeze=["stem","down"]', "--set=training.lr=0.0001")
    assert said_json(capsys, *start, *frozen)["steps"] == 9  # of the other cases, the options are options too


def test_run_learns_by_heart_or_for_other_footage_and_says_which(tmp_path: Path, capsys: Capsys) -> None:
    film, same, other = (tmp_path / f"{name}.mkv" for name in ("film", "same", "other"))
    lossless(film, moving_frames(12, (64, 48)))
    shutil.copy(film, same)
    lossless(other, moving_frames(13, (64, 48)))
    run = ("run", film, "--dry-run", *tiny_flags(), "-o")
    one = (*run, tmp_path / "out.mkv")
    by_heart, others = (
        "learned by heart, as it is rendered onto itself (preset edges)",
        "learned for other footage, other.mkv (preset others)",
    )
    assert by_heart in said(capsys, 0, *one, "--apply", same)
    assert others in said(capsys, 0, *one, "--apply", other)
    assert "other footage, 2 clips (preset others)" in said(
        capsys, 0, *run, tmp_path / "out", "--apply", same, "--apply", other
    )
    chosen = said(capsys, 0, *one, "--apply", other, "--preset", "edges")
    assert "other footage" not in chosen
    assert by_heart not in chosen
