"""Six tasks in the studio as a new user does them: clicks, seconds, and films for the guide.

    python -m benchmarks.studio.tasks [--tasks look,paint,person,time,flicker,batch] [--films FOLDER] [--json FILE]

Each task begins with a clip of 24 frames in the studio's folder, and ends when its result is shown; that of ten clips
ends when all are rendered. A choice in a list is two clicks, a stroke of the brush is one. In films the pointer is
drawn, and waits are cut to two seconds.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import SHIPPED
from benchmarks.live.browser import browser, server

SIZE = (1280, 800)  # Of the page in pixels, (width, height)
FILM_SIZE = (960, 600)  # Of the films
LONGEST_WAIT_S, REST_S = 2.0, 0.5  # In films: the longest still, and the time after a click
CLIPS_OF_A_BATCH, BATCH_FRAMES = 10, 8
HANG_MS = 600_000
POINTER = """() => addEventListener("DOMContentLoaded", () => {
  const dot = document.createElement("div");
  dot.style = "position:fixed;z-index:99;width:18px;height:18px;margin:-9px;border-radius:9px;"
    + "background:#ffb454cc;border:2px solid #fff;pointer-events:none;transition:scale .15s";
  document.body.append(dot);
  addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
    dot.style.left = `${x}px`;
    dot.style.top = `${y}px`;
  }, true);
  addEventListener("pointerdown", () => { dot.style.scale = .6; }, true);
  addEventListener("pointerup", () => { dot.style.scale = 1; }, true);
})"""


class Film:
    """The pictures of a page as it is used, with their times."""

    def __init__(self, page: Any) -> None:
        self.pictures: list[tuple[float, bytes]] = []
        self._session = page.context.new_cdp_session(page)
        self._session.on("Page.screencastFrame", self._take)
        self._session.send("Page.startScreencast", {"format": "jpeg", "quality": 90, "everyNthFrame": 1})

    def _take(self, frame: Any) -> None:
        self.pictures.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        with suppress(Exception):  # The page may be closed
            self._session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def write(self, path: Path) -> None:
        """Write the film, and a JPEG file of its last picture beside it."""
        base, stamp, before, last = Fraction(1, 1000), 0.0, self.pictures[0][0], -1
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
            stream = out.add_stream("libx264", rate=25, options={"crf": "30", "preset": "slow"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *FILM_SIZE, "yuv420p"
            stream.codec_context.time_base = base
            for when, data in [*self.pictures, (self.pictures[-1][0] + LONGEST_WAIT_S, self.pictures[-1][1])]:
                stamp, before = stamp + min(when - before, LONGEST_WAIT_S), when
                picture = cv2.resize(
                    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
                    FILM_SIZE,
                    interpolation=cv2.INTER_AREA,
                )
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                last = max(last + 1, round(1000 * stamp))
                frame.pts, frame.time_base = last, base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        cv2.imwrite(str(path.with_suffix(".jpg")), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


class Person:
    """A user of the page, whose clicks are counted."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks, self.began = page, 0, time.perf_counter()

    def click(self, selector: str) -> None:
        box = self.page.locator(selector).first.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=12)
        self.page.locator(selector).first.click()
        self.clicks += 1
        self.page.wait_for_timeout(1000 * REST_S)

    def choose(self, selector: str, label: str) -> None:
        self.page.select_option(selector, label=label)
        self.clicks += 2  # Open the list, choose
        self.page.wait_for_timeout(1000 * REST_S)

    def stroke(self, selector: str, *points: tuple[float, float]) -> None:
        box = self.page.locator(selector).first.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0], steps=6)
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=12)
        self.page.mouse.up()
        self.clicks += 1

    def make(self) -> None:
        """Press the button of the task."""
        self.page.wait_for_selector(".go button[type=submit]:not([disabled])")
        self.click(".go button[type=submit]")

    def until_result(self) -> None:
        self.page.wait_for_selector("studio-viewer:not([hidden])")
        self.page.wait_for_function("() => document.querySelector('studio-viewer').a.facts?.frames")


def look(person: Person) -> None:
    person.click("[data-wish=picture]")
    person.page.wait_for_selector(".pair img:nth-child(2):not([hidden])")
    person.click("[data-look=great-wave]")
    person.page.wait_for_function("() => document.querySelector('.pair .wait').textContent === ''")
    person.make()
    person.until_result()


def paint(person: Person) -> None:
    person.click("[data-wish=paint]")
    person.make()
    person.page.wait_for_selector("studio-easel[data-clip]")
    person.page.wait_for_timeout(800)
    person.stroke("studio-easel .sheet canvas", (0.42, 0.35), (0.5, 0.5), (0.6, 0.42))
    person.choose("studio-easel [aria-label='What it is for']", "key frames: moved along (quick)")
    person.click("studio-easel button.first")
    person.until_result()


def only_person(person: Person) -> None:
    person.click("[data-wish=person]")
    person.page.wait_for_selector(".pair img:nth-child(2):not([hidden])")
    person.make()
    person.until_result()


def _plain(task: str) -> Callable[[Person], None]:
    def use(person: Person) -> None:
        person.click(f"[data-wish={task}]")
        person.make()
        person.until_result()

    return use


def batch(person: Person) -> None:
    person.click("[data-wish=picture]")
    person.choose("#question-clip", f"all {CLIPS_OF_A_BATCH} clips")
    person.make()
    person.page.wait_for_selector("studio-queue li[data-state=done]")


TASKS: dict[str, tuple[Callable[[Person], None], str]] = {  # By name: what is done, and the clip
    "look": (look, "friday.mp4"),
    "paint": (paint, "flower.mp4"),
    "person": (only_person, "friday.mp4"),
    "time": (_plain("time"), "flower.mp4"),
    "flicker": (_plain("flicker"), "flower.mp4"),
    "batch": (batch, "flower.mp4"),
}


def _shorten(source: Path, target: Path, frames: int) -> None:
    """Write the first frames of a clip."""
    harness.vidtrans(
        "stylize",
        source,
        "--model",
        "identity",
        "--temporal",
        "off",
        "--end",
        frames,
        "-o",
        target,
        folder=target.parent,
    )


def do(name: str, films: Path | None) -> dict[str, Any]:
    """Do a task; return its clicks and seconds, and write its film to a folder, if there is one."""
    use, clip = TASKS[name]
    with tempfile.TemporaryDirectory(prefix="benchmark-studio-") as place:
        root = Path(place).resolve() / "clips"
        root.mkdir()
        if name == "batch":
            _shorten(SHIPPED.with_name(clip), root / "clip 00.mp4", BATCH_FRAMES)
            for n in range(1, CLIPS_OF_A_BATCH):
                shutil.copy(root / "clip 00.mp4", root / f"clip {n:02d}.mp4")
        else:
            _shorten(SHIPPED.with_name(clip), root / clip, 24)
        with (
            server(str(root), name="studio") as (link, _),
            browser("--autoplay-policy=no-user-gesture-required") as program,
        ):
            context = program.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
            context.add_init_script(f"({POINTER})()")
            page = context.new_page()
            page.set_default_timeout(HANG_MS)
            page.goto(link)
            page.wait_for_selector(".wish canvas")
            page.wait_for_timeout(1500)
            film = Film(page) if films else None
            user = Person(page)
            use(user)
            seconds = round(time.perf_counter() - user.began, 1)
            if film and films:
                page.wait_for_timeout(1500)
                film.write(films / f"{name}.mp4")
            context.close()
    return {"clicks": user.clicks, "seconds": seconds}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--tasks", type=harness.comma_list, default=[*TASKS])
    parser.add_argument("--films", type=Path, help="write a film of each task into this folder")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    if asked.films:
        asked.films.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in asked.tasks:
        found[name] = do(name, asked.films)
        print(name, json.dumps(found[name]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    harness.run(main)
