"""Films of a newcomer who makes a wish in the studio: real mouse and keyboard in a browser, from an empty folder.

    python -m benchmarks.studio.films [CLIP] [--walks picture,film,…] [--minutes 4] [--output FOLDER] [--json FILE]

Each walk starts the studio of an empty folder, drops files on the page, and goes to a result by as few clicks as
possible. It counts the clicks (a drop counts as none, a native dialog such as that of a colour as two), and notes the
seconds to the first picture and to the result, with the load of the machine. The film (H.264, MP4, 960 wide) shows the
page, a dot for the mouse, a caption above, and waits that are played faster. Beside it a JPEG has four of its frames.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import SHIPPED, read_frames
from benchmarks.live.browser import browser, server
from benchmarks.studio.recorder import POINTER, Recorder
from vidtrans.training.look_lesson import FRAMES

HANG_S, LOOK_S = 1800.0, 0.5  # what nothing takes; how long somebody reads before a click
WIDTH, HEIGHT = 1280, 800
PICTURE = FRAMES / "landscape.jpg"  # whose look flickers
MAKE = "studio-wishes button[type=submit]:not([disabled])"
FLAGS = ("--autoplay-policy=no-user-gesture-required",)


class Newcomer:
    """Somebody before the page: a mouse, a keyboard, and what was noted."""

    def __init__(self, page: Any, film: Recorder) -> None:
        self.page, self.film, self.clicks, self.first_s = page, film, 0, 0.0
        self.began, self.place = time.perf_counter(), (640.0, 400.0)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.began, 1)

    def drop(self, files: Sequence[Path], text: str) -> None:
        """Drag files from the file manager onto the page."""
        self.film.say(text)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind, share in [("dragEnter", 0.0), *(("dragOver", n / 8) for n in range(9)), ("drop", 1.0)]:
            x, y = 20 + 400 * share, 780 - 380 * share
            self.film.session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
            self.page.wait_for_timeout(60)
        for file in files:
            self.page.wait_for_selector(f"studio-shelf li[data-name='{file.name}']")

    def move(self, x: float, y: float) -> None:
        """Move the mouse, as a hand does."""
        (from_x, from_y), steps = self.place, 10
        for n in range(1, steps + 1):
            share = 0.5 - 0.5 * np.cos(np.pi * n / steps)
            self.page.mouse.move(from_x + share * (x - from_x), from_y + share * (y - from_y))
            self.page.wait_for_timeout(25)
        self.place = (x, y)

    def click(self, selector: str, text: str = "") -> None:
        """Go to something and click on it."""
        if text:
            self.film.say(text)
            self.page.wait_for_timeout(1000 * LOOK_S)
        target = self.page.locator(selector).first
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        self.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.page.wait_for_timeout(60)
        self.page.mouse.up()
        self.clicks += 1

    def choose(self, selector: str, value: str, text: str) -> None:
        """Choose from a list: a click that opens it, and one on the choice."""
        self.click(selector, text)
        self.page.keyboard.press("Escape")
        self.page.select_option(selector, value)
        self.clicks += 1

    def note_first(self) -> None:
        """Note that there is a first picture of the result."""
        self.first_s = self.seconds

    def result(self, waiting: str, film_s: float = 5.0) -> None:
        """Wait until the result is open, beside its source if it has one, and look at it: the wipe, in motion."""
        with self.film.wait(waiting, film_s):
            self.page.wait_for_selector("studio-viewer:not([hidden])", timeout=1000 * HANG_S)
            self.page.wait_for_function("() => document.querySelector('studio-viewer').a.facts")
        self.kept_s = self.seconds
        self.film.say(f"The result: {self.clicks} clicks, {duration(self.kept_s)}")
        box = self.page.locator(".stage").bounding_box()
        middle = box["y"] + box["height"] / 2
        self.page.keyboard.press(" ")
        self.move(box["x"] + 0.5 * box["width"], middle)
        self.page.mouse.down()
        for share in (0.2, 0.8, 0.35):
            self.move(box["x"] + share * box["width"], middle)
        self.page.mouse.up()
        self.page.wait_for_timeout(2500)


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


# The walks


def picture(person: Newcomer, files: list[Path], minutes: int) -> None:
    person.drop(files, "Like this picture: drop a clip on the page")
    person.click("[data-wish=picture]", "Choose the wish")
    person.click("[aria-label='The medium ink']", "Choose a look by its picture")
    with person.film.wait("One frame of the clip, as it will be", 3):
        person.page.wait_for_selector("studio-wishes form > img:not([hidden])")
    person.note_first()
    person.page.wait_for_timeout(1500)
    person.click(MAKE, "Make it")
    person.result("The clip is rendered ...")


def film(person: Newcomer, files: list[Path], minutes: int) -> None:
    person.drop(files, "From my film: drop a clip, and a film that it shall look like")
    person.click("[data-wish=film]", "Choose the wish")
    person.page.wait_for_timeout(1500)
    person.click(MAKE, f"It learns for {minutes} minutes. Make it")
    watch(person)
    person.result("It learns how the film looks, and then renders ...", 8)


def watch(person: Newcomer) -> None:
    """Watch a training, until it has shown pictures, and go back to where results open."""
    with person.film.wait("Watch it learn", 5):
        person.page.wait_for_selector("studio-queue button:has-text('Watch it learn')")
        person.click("studio-queue button:has-text('Watch it learn')")
        person.page.wait_for_function("() => document.querySelector('studio-training').pictureList?.length > 1")
    person.note_first()
    person.page.wait_for_timeout(1500)
    person.click("#to-wishes")


def paint(person: Newcomer, files: list[Path], minutes: int) -> None:
    page = person.page
    person.drop(files, "I paint frames: drop a clip on the page")
    person.click("[data-wish=paint]", "Choose the wish")
    person.click(MAKE, "Frames to paint are chosen")
    with person.film.wait("The frames that tell most of the clip are looked for ...", 3):
        page.wait_for_selector("studio-easel:not([hidden])")
        page.wait_for_function("() => document.querySelector('studio-easel .sheet canvas').width > 300")
    page.wait_for_timeout(1000)
    person.film.say("Choose a colour, and paint")
    page.fill("studio-easel input[type=color]", "#2f7bff")
    person.clicks += 2
    strokes(person)
    began = person.seconds
    person.click("easel-motion button", "Show it in motion")
    with person.film.wait("The paint is carried along the motion ...", 4):
        page.wait_for_function("() => document.querySelector('easel-motion video')?.readyState >= 2")
    person.first_s = round(person.seconds - began, 1)
    person.film.say(f"The paint moves with the flower, after {person.first_s:.0f} s")
    page.wait_for_timeout(4000)
    person.choose("studio-easel [aria-label='What it is for']", "quick", "For the whole clip, along the motion")
    page.wait_for_timeout(1500)
    person.click("studio-easel button.first", "Save, and go")
    person.result("All frames follow ...")


def strokes(person: Newcomer) -> None:
    """Paint strokes about the middle of the sheet."""
    box = person.page.locator("studio-easel .sheet canvas").first.bounding_box()
    for y, (left, right) in ((0.42, (0.38, 0.56)), (0.5, (0.42, 0.6)), (0.58, (0.4, 0.54))):
        person.move(box["x"] + left * box["width"], box["y"] + y * box["height"])
        person.page.mouse.down()
        person.move(box["x"] + right * box["width"], box["y"] + (y + 0.05) * box["height"])
        person.page.mouse.up()
        person.clicks += 1


def flicker(person: Newcomer, files: list[Path], minutes: int) -> None:
    person.drop(files, "Take the flicker out: drop what flickers, and its source")
    person.click("[data-wish=flicker]", "Choose the wish")
    person.page.wait_for_timeout(2500)
    person.click(MAKE, "Make it")
    person.result("The flicker is taken out ...")


def grade(person: Newcomer, files: list[Path], minutes: int) -> None:
    person.drop(files, "This grade: drop a clip, a still, and the still as you graded it")
    person.click("[data-wish=grade]", "Choose the wish")
    person.page.wait_for_timeout(2500)
    person.click(MAKE, "Make it")
    person.result("The grade is learned, and laid over the clip ...")


def dream(person: Newcomer, files: list[Path], minutes: int) -> None:
    person.drop(files, "Let it dream: drop a clip on the page")
    person.click("[data-wish=dream]", "Choose the wish")
    person.page.wait_for_timeout(1500)
    person.click(MAKE, f"It learns for {minutes} minutes. Make it")
    watch(person)
    person.result("It learns how the clip moves, and then dreams ...", 8)


WALKS: dict[str, Callable[[Newcomer, list[Path], int], None]] = {
    "picture": picture,
    "film": film,
    "paint": paint,
    "flicker": flicker,
    "grade": grade,
    "dream": dream,
}


def bring(name: str, clip: Path) -> list[Path]:
    """Make what somebody has for a wish: the clip, another film of it, or a still before and after a grade."""
    folder = clip.parent
    if name in ("flicker", "film"):
        look, filter_, text = (PICTURE, "off", "by another tool") if name == "flicker" else ("oil", "off", "in oil")
        made = folder / f"{clip.stem} {text}.mp4"
        harness.vidtrans("stylize", clip, "--look", look, "--temporal", filter_, "-o", made, folder=folder)
        return [clip, made]
    if name == "grade":
        before, after = folder / "still.png", folder / "still graded.png"
        frame = read_frames(clip, 60, 1)[0]
        graded = np.array([1.12, 1.0, 0.82]) * (frame / 255.0) ** 0.85 + np.array([0.02, 0.0, 0.05])
        for path, rgb in ((before, frame), (after, (255 * graded.clip(0, 1)).astype(np.uint8))):
            cv2.imwrite(str(path), rgb[..., ::-1])
        return [clip, before, after]
    return [clip]


def record(name: str, clip: Path, minutes: int, output: Path) -> dict[str, Any]:
    """Record a walk, and return what was noted."""
    with tempfile.TemporaryDirectory(prefix="benchmark-films-") as place, browser(*FLAGS) as chromium:
        desk, folder = Path(place) / "desk", Path(place) / "my films"
        for one in (desk, folder):
            one.mkdir()
        files = bring(name, Path(shutil.copy(clip, desk / clip.name)))
        with server(str(folder), name="studio") as (link, _):
            context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
            context.add_init_script(POINTER)
            page = context.new_page()
            page.set_default_timeout(1000 * HANG_S)
            page.goto(link)
            page.wait_for_selector(".wish")
            recorder = Recorder(page)
            person, load = Newcomer(page, recorder), os.getloadavg()[0]
            try:
                WALKS[name](person, files, minutes)
            finally:
                recorder.stop()
            noted = {"clicks": person.clicks, "first_s": person.first_s, "result_s": person.kept_s}
            noted["load"] = f"{load:.1f} to {os.getloadavg()[0]:.1f}"
            context.close()
    noted["film_s"] = round(recorder.write(output / f"{name}.mp4"), 1)
    noted["film_kb"] = (output / f"{name}.mp4").stat().st_size // 1000
    recorder.strip(output / f"{name}.jpg", (0.12, 0.35, 0.6, 0.97))
    return noted


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("clip", type=Path, nargs="?", default=SHIPPED, help="[default: the clip that ships]")
    parser.add_argument("--walks", type=harness.comma_list, default=list(WALKS))
    parser.add_argument("--minutes", type=int, default=4, help="of learning, as the page offers them")
    parser.add_argument("--output", type=Path, default=harness.ROOT / "docs" / "images" / "studio")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    clip, found = harness.need(asked.clip).resolve(), {}
    for name in asked.walks:
        found[name] = record(name, clip, asked.minutes, asked.output)
        print(name, json.dumps(found[name]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    harness.run(main)
