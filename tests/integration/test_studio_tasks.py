"""Every wish of the studio, fulfilled by its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames, write_clip
from studio_server import studio

from vidtrans.studio.guided_tasks import TASKS
from vidtrans.video.images.picture import write_picture

FILES = {"clip": "clip.mp4", "film": "film.mp4", "made": "film.mp4", "source": "clip.mp4", "look": "pencil"}
GRADE = {"before": "before.png", "after": "after.png"}
FEW = {"steps": 2}  # in place of minutes


def fill(folder: Path) -> Path:
    folder.mkdir()
    for name, first in (("clip", 0), ("film", 20)):
        write_clip(folder / f"{name}.mp4", moving_frames(40, (160, 120))[first : first + 20])
    frame = moving_frames(1, (160, 120))[0]
    write_picture(folder / "before.png", frame)
    write_picture(folder / "after.png", frame // 2)
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("wish", TASKS)
def test_a_wish_is_fulfilled_by_its_jobs(wish: str, tmp_path: Path) -> None:
    questions = TASKS[wish].questions
    answers = {q.name: (FILES | GRADE).get(q.name) or q.default for q in questions}
    answers |= {"frames": "12"} if "frames" in answers else {}
    before = set(fill(tmp_path / "studio").iterdir())
    with studio(tmp_path / "studio") as running:
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
    kept = [path for path in (tmp_path / "studio").rglob("*") if not {".studio", ".vidtrans"} & {*path.parts}]
    made_by_it = set(kept) - before
    assert any(path.suffix in (".mp4", ".mkv", ".png", ".safetensors") for path in made_by_it)
