"""Trainings in the studio's page: they are watched, ended when they are good enough, and continued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain import TINY
from clips import moving_frames, scene, write_clip
from live_page import page_at
from processes import until
from studio_server import RunningStudio, studio

import vidtrans as api
from vidtrans.core.files import TRAINING_FILE, write_json
from vidtrans.models.model_file import read_record
from vidtrans.training.training_words import TrainingSummary
from vidtrans.video.images.picture import write_picture

PANEL = "document.querySelector('studio-training')"
FILM = (1, 5, 20, 60, 200)
VALUES = {"dataset": "clip.dataset", "steps": 4000, "output": "m.safetensors"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningStudio]:
    folder = tmp_path / "project"
    folder.mkdir()
    with studio(folder) as server:
        yield server


def pretended(root: Path) -> None:
    """Write the folder of a training that is over."""
    folder = root / "a.train"
    for step in FILM:
        write_picture(folder / "film" / f"{step:08d}.png", scene(64, 48, step))
    for file in ("input.png", "target.png", "preview.png", "training.png"):
        write_picture(folder / file, scene(64, 48, 3))
    scores = [(40 * n, {"psnr": value, "sharpness": 0.5}) for n, value in enumerate((20, 24, 23, 23, 23.5), 1)]
    words = TrainingSummary(scores, 200, 200, True, 40, [(100, "the discriminator has won: wait")])
    write_json(folder / TRAINING_FILE, words.table())


@pytest.mark.thorough
def test_a_training_is_watched_ended_and_continued(browser: Any, running: RunningStudio) -> None:
    write_clip(running.root / "clip.mp4", moving_frames(16))
    api.make_dataset(running.root / "clip.mp4", running.root / "clip.dataset", settings=TINY, cache_dir="other")
    with page_at(browser, running.link(), camera=False) as page:
        assert running.ask("/api/run", {"command": "train", "title": "learn", "values": VALUES})[0] == 200
        page.click("#to-queue")
        page.get_by_role("button", name="Watch it learn: learn").click()
        page.wait_for_function(f"() => {PANEL}.pictureList?.length > 1")
        until(lambda: running.job(1)["can_take"])
        page.locator("studio-training").get_by_role("button", name="Good enough").click()
        page.wait_for_selector("li[data-number='1'][data-state=done]")
        assert "--as-is" in running.job(1)["line"]
        record, outcome = read_record(running.root / "m.safetensors").training, running.job(1)["outcome"]
        assert 0 < record["step"] == outcome["steps"] < outcome["of_steps"] == 4000
        assert "of 4,000" in page.inner_text("li[data-number='1']")
        page.wait_for_selector("studio-training .next >> text=Render a clip")
        page.locator("studio-training").get_by_role("button", name="Go on training").click()
        page.wait_for_selector("li[data-number='2'][data-state=running]")
        until(lambda: running.job(2)["progress"].get("done", 0) > record["step"])
        assert running.job(2)["line"] == running.job(1)["line"].replace(" --as-is", "")
        page.locator("li[data-number='2']").get_by_role("button", name="Cancel").click()
        page.wait_for_selector("li[data-number='2'][data-state=cancelled]")


def test_a_training_is_seen_in_words_and_its_film_scrubbed(browser: Any, running: RunningStudio) -> None:
    pretended(running.root)
    with page_at(browser, running.link(), camera=False) as page:
        page.get_by_role("button", name="Open a.train").click()
        page.wait_for_function(f"() => {PANEL}.pictureList?.length === 5")
        text = page.inner_text("studio-training")
        assert [w for w in ("Step 200 of 200", "23.5 dB", "no improvement since step 80") if w not in text] == []
        slider = page.get_by_label("Step of the training")
        assert slider.input_value() == "4"  # the newest is seen first
        slider.focus()
        for key, step in (("Home", 1), ("ArrowRight", 5)):
            page.keyboard.press(key)
            assert slider.get_attribute("aria-valuetext") == f"step {step}"
            page.wait_for_function(
                f"() => {PANEL}.output.src.includes('{step:08d}.png') && {PANEL}.output.naturalWidth === 64"
            )
        plot = page.locator("studio-training svg").first
        box = plot.bounding_box()
        plot.click(position={"x": box["width"] * 0.14, "y": box["height"] / 2})
        page.wait_for_function(f"() => {PANEL}.at === 0")
        assert "24.0" in plot.locator("circle.best title").text_content()


def test_a_training_is_one_item_of_the_shelf_and_what_is_asked_of_it_is_checked(running: RunningStudio) -> None:
    pretended(running.root)
    assert [(one["name"], one["kind"]) for one in running.ask("/api/shelf")[1]["items"]] == [("a.train", "training")]
    assert running.ask("/thumb", name="a.train")[0] == 200
    status, found = running.ask("/api/training", name="a.train")
    assert (status, [step for step, *_ in found["film"]]) == (200, list(FILM))
    assert found["files"]["preview"] == "a.train/preview.png"
    assert "report" not in found["files"]
    (running.root / "a.train" / "preview.png").unlink()  # a run that has not painted yet
    assert running.ask("/thumb", name="a.train")[0] == 200
    (running.root / "a.train" / TRAINING_FILE).write_text("[broken")
    assert running.ask("/api/training", name="a.train")[1]["status"] == {}
    assert running.ask("/api/training", name="later.train")[1]["film"] == []
    (running.root / "out.train").symlink_to(running.root.parent)
    for name in ("../a.train", "/etc", ".studio", "a", "out.train", ""):
        assert running.ask("/api/training", name=name)[0] == 400, name
    for message in ({}, {"job": 1, "action": "on"}, {"job": "1", "action": "on"}, {"job": True, "action": "longer"}):
        assert running.ask("/api/train", message)[0] == 400, message
