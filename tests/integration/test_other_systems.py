"""The chain under the rules of Windows and of macOS: no traceback, and the same bytes as on Linux."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import chain
import pytest
from chain import snapshot, tiny_flags
from clips import moving_frames, write_clip
from emulated import commands, on_linux_alone, python, start, vidtrans

pytestmark = on_linux_alone

FLAGS = [flag for flag in tiny_flags("generator", "discriminator", "training") if "training.steps" not in flag]
TRAIN = ("train", "clip.dataset", *FLAGS, "--set=training.preview_seconds=0")
CHAIN: list[tuple[object, ...]] = [
    ("make-dataset", "clip.mp4", "--preset", "edges", *tiny_flags("dataset")),
    (*TRAIN, "--steps", 1),
    ("stylize", "clip.mp4", "--model", "clip", *tiny_flags("rendering")),
    ("stylize", "clip.mp4", "--model", "clip", "--codec", "png", "-o", "pictures", *tiny_flags("rendering")),
    ("deflicker", "clip.clip.mp4", "--source", "clip.mp4", "-o", "steady.mp4"),
    ("compare", "clip.mp4", "steady.mp4", "-o", "side.mp4"),
    ("evaluate", "steady.mp4", "--source", "clip.mp4"),
    ("cache", "list"),
]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", moving_frames(8), sound=True)


@pytest.mark.thorough
def test_the_chain_makes_the_same_bytes_under_the_rules_of_every_system(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over 5 s: ten commands, three times."""
    made = {}
    for system in ("linux", "windows", "macos"):
        folder = tmp_path / system
        folder.mkdir()
        shutil.copyfile(clip, folder / "clip.mp4")
        monkeypatch.chdir(folder)
        if system == "linux":  # in this process, which saves the time of another
            for command in CHAIN:
                chain.vidtrans(*command)
        else:
            commands(system, CHAIN, folder)
        made[system] = snapshot(folder)
    assert len(made["linux"]) > 20
    assert not [name for name in made["linux"] if ".partial" in name or ".replaced" in name]
    assert made["windows"] == made["macos"] == made["linux"]


RENDER = ("stylize", "clip.mp4", "--model", "identity", "--set=rendering.chunk_frames=2", "-o", "out.mp4")


def test_a_killed_render_goes_on_under_the_rules_of_windows(clip: Path, tmp_path: Path) -> None:
    killed = start("windows", "-m", "vidtrans", *RENDER, folder=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".vidtrans/*/*/*.json")) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert "up to date" not in vidtrans("windows", *RENDER, folder=tmp_path)
    assert not [p for p in tmp_path.rglob("*") if ".partial" in p.name]
    resumed = (tmp_path / "out.mp4").read_bytes()
    chain.vidtrans(*RENDER[:-1], "whole.mp4", "--cache-dir", "other")
    assert resumed == (tmp_path / "whole.mp4").read_bytes()


UNNAMEABLE = {"a:b.mp4": "takes no ':'", "nul.mp4": "device", "x/" * 120 + "a.mp4": "259 characters"}
NAMED = f"""
from vidtrans.cli.main import run
for output in {[*UNNAMEABLE]!r}:
    assert run(["stylize", "clip.mp4", "--model", "identity", "-o", output]) == 2
"""


def test_what_windows_cannot_name_is_refused_in_one_line(clip: Path, tmp_path: Path) -> None:
    lines = python("windows", "-c", NAMED, folder=tmp_path).splitlines()
    assert [words in line for words, line in zip(UNNAMEABLE.values(), lines, strict=True)] == [True] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
