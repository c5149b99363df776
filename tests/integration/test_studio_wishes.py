"""Every wish of the studio, fulfilled by its jobs: the same bytes as from its lines in a terminal."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames, write_clip
from processes import HANG_S
from studio_server import studio

from vidtrans.studio.wishes import WISHES
from vidtrans.video.images.picture import write_picture

FILES = {"clip": "clip.mp4", "film": "film.mp4", "made": "film.mp4", "source": "clip.mp4", "look": "pencil"}
GRADE = {"before": "before.png", "after": "after.png"}
FEW = {"steps": 2}  # in place of minutes, which give another number of steps each time
NOT_RESULTS = (".studio", ".vidtrans")


def fill(folder: Path) -> Path:
    folder.mkdir()
    for name, first in (("clip", 0), ("film", 20)):
        write_clip(folder / f"{name}.mp4", moving_frames(40, (160, 120))[first : first + 20])
    frame = moving_frames(1, (160, 120))[0]
    write_picture(folder / "before.png", frame)
    write_picture(folder / "after.png", frame // 2)
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """Return the clips, pictures and models of a folder; reports hold times."""
    paths = [path for path in sorted(folder.rglob("*")) if not set(path.relative_to(folder).parts) & set(NOT_RESULTS)]
    kept = (".mp4", ".mkv", ".png", ".safetensors")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.suffix in kept and ".train" not in str(path.relative_to(folder))
    }


@pytest.mark.thorough
@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_gives_the_bytes_of_its_lines(wish: str, tmp_path: Path) -> None:
    questions = WISHES[wish].questions
    answers = {q.name: (FILES | GRADE).get(q.name) or q.default for q in questions}
    answers |= {"frames": "12"} if "frames" in answers else {}
    in_studio, in_terminal = fill(tmp_path / "studio"), fill(tmp_path / "terminal")
    with studio(in_studio) as running:
        status, told = running.ask("/api/lines", {"wish": wish, "answers": answers})
        assert (status, told["problem"]) == (200, "")
        steps: list[Any] = told["steps"]
        for step in steps:
            if "minutes" in step["values"]:
                step["values"] = {k: v for k, v in step["values"].items() if k != "minutes"} | FEW
        status, made = running.ask("/api/wish", {"wish": wish, "answers": answers, "steps": steps})
        assert status == 200, made
        jobs = running.until_ended(*made["jobs"])
        assert [job["state"] for job in jobs] == ["done"] * len(steps), [job["outcome"] for job in jobs]
        lines = [str(job["line"]) for job in jobs]
    for line in lines:
        words = [sys.executable, "-m", *shlex.split(line)]
        subprocess.run(words, cwd=in_terminal, check=True, capture_output=True, timeout=HANG_S)
    found = results(in_studio)
    assert len(found) > len(results(fill(tmp_path / "untouched")))
    assert found == results(in_terminal)
