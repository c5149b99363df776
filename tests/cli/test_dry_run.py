"""Dry runs: what a command would take, and that nothing is touched while that is found out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest
from chain import TINY, said, said_json, tiny_flags
from clips import moving_frames, scene, write_folder
from directed_clip import lossless

import vidtrans as api
from vidtrans.core.costs import add_estimates, duration, format_cost, size

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
    "train": ("train", "clip.dataset", *tiny_flags("generator", "discriminator", "training")),
    "stylize directed": ("stylize", "clip.mp4", "--model", "MODEL", "--mask", "mask.png", "--strength", "0: 0, 9: 1"),
    "run over two": ("run", "clip.mp4", "--apply", "clip.mp4", "--apply", "pictures", "-o", "out", *CHAIN),
}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.thorough if "run" in n else ()) for n in DRY])
def test_a_dry_run_estimates_and_touches_nothing(name: str, scratch: Path, tiny_model: Path, capsys: Capsys) -> None:
    arguments = [str(tiny_model) if a == "MODEL" else a for a in DRY[name]]
    before = tree(Path())
    table = said_json(capsys, *arguments, "--dry-run")
    assert tree(Path()) == before
    assert not Path(".vidtrans").exists()
    assert not list(scratch.iterdir())
    assert (table["dry_run"], table["cached"], table["frames"] > 0) == (True, False, True)
    found = table["estimate"]
    assert set(found) == set(PARTS)
    assert found["seconds"] >= 0
    assert found["disk_bytes"] > 100
    assert found["memory_bytes"] > 10_000_000
    assert (found["cache_bytes"] > 0) == (not name.startswith("make-dataset"))
    told = said(capsys, 0, *arguments, "--dry-run").splitlines()[-1]  # as a person reads it
    assert re.fullmatch(r"would .*; about .* on disk.* of memory", told)
    assert ("pictures a second" in told) == (name == "train")


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


def test_steps_add_up_and_what_is_nothing_or_not_known_is_not_spoken_of() -> None:
    steps: list[tuple[float | None, ...]] = [(1, 10**6, 100, 5000), (2, 10**6, 4900, None), (0, 0, 0, 10**9)]
    parts = [{"estimate": dict(zip(PARTS, step, strict=True))} for step in steps]
    assert format_cost(add_estimates(parts)) == "about 3 s, 2.0 MB on disk, 5 kB of cache, 1.0 GB of memory"
    assert format_cost(add_estimates(parts[:1])) == "about 1 s, 1.0 MB on disk, 1 kB of cache, 5 kB of memory"
    assert "memory" not in format_cost(parts[1])


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


@pytest.mark.usefixtures("quick_trial")
def test_run_learns_by_heart_or_for_other_footage_and_says_which(tmp_path: Path, capsys: Capsys) -> None:
    film, same, other = (tmp_path / f"{name}.mkv" for name in ("film", "same", "other"))
    lossless(film, moving_frames(8, (64, 48)))
    shutil.copy(film, same)
    lossless(other, moving_frames(9, (64, 48)))
    run = ("run", film, "--dry-run", *tiny_flags(), "-o")
    for output, flags, says in (
        ("out.mkv", ("--apply", same), "learned by heart, as it is rendered onto itself (preset edges)"),
        ("out.mkv", ("--apply", other), "learned for other footage, other.mkv (preset others)"),
        ("out", ("--apply", same, "--apply", other), "other footage, 2 clips (preset others)"),
    ):
        assert says in said(capsys, 0, *run, tmp_path / output, *flags)
