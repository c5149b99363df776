"""The studio before its goals, with a real browser on the same machine.

    python -m benchmarks.studio.bench [CLIP] [--parts paint,scrub,shelf,kills] [--kills 12] [--json FILE]

- ``paint``: seconds from a saved painted frame to the film in which it is carried along the motion.
- ``scrub``: a clip, best a long one: seconds until its proxy is there, then milliseconds of 200 random seeks (median,
  95 %), and the memory of the page.
- ``shelf``: 500 results: seconds until all are listed, and until a search shows what it found.
- ``kills``: the server, a job, or the browser that shows them is killed at random moments of a render. Is the result
  the same to the byte, and what did it cost?
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import harness
from benchmarks.clips import SHIPPED
from benchmarks.live.browser import NAMES, browser, renderers, server

VIEWER = "document.querySelector('studio-viewer')"
SEEK = f"""async () => {{
  const viewer = {VIEWER}, video = viewer.a.element, times = [];
  for (let n = 0; n < 200; n += 1) {{
    const frame = (n * 7919) % viewer.a.facts.frames, began = performance.now();
    const there = new Promise((done) => video.addEventListener('seeked', done, {{ once: true }}));
    viewer.go(frame === viewer.frame ? frame + 1 : frame);
    await there;
    times.push(performance.now() - began);
  }}
  return times;
}}"""
FLAGS = ("--autoplay-policy=no-user-gesture-required",)
RESULTS, HANG_S = 500, 1800.0


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="benchmark-studio-") as name:
        yield Path(name).resolve()


@contextmanager
def studio(folder: Path) -> Iterator[Any]:
    """Serve a folder, and give its page in a browser."""
    with server(str(folder), name="studio") as (link, _), browser(*FLAGS) as chromium:
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(1000 * HANG_S)
        page.goto(link)
        page.wait_for_selector(".wish")
        yield page


def paint(clip: Path) -> dict[str, Any]:
    """Return the seconds from a painted frame to the film in which it moves."""
    with _folder() as place:
        shutil.copy(clip, place / "clip.mp4")
        with studio(place) as page:
            page.get_by_role("button", name="Open clip.mp4").click()
            page.wait_for_function(f"() => {VIEWER}.a.facts")
            page.get_by_role("button", name="Paint this frame").click()
            page.wait_for_function("() => document.querySelector('studio-easel .sheet canvas').width > 300")
            page.wait_for_timeout(1000)
            page.select_option("studio-easel [aria-label='What it is for']", "quick")
            page.wait_for_timeout(3000)
            began = time.perf_counter()
            page.click("studio-easel button.first")
            page.wait_for_selector("studio-queue li[data-state=done]")
            return {"film_s": round(time.perf_counter() - began, 1)}


def scrub(clip: Path) -> dict[str, Any]:
    """Return the times of seeks in a clip, and the memory of the page."""
    with _folder() as place:
        shutil.copy(clip, place / "clip.mp4")
        with studio(place) as page:
            began = time.perf_counter()
            page.get_by_role("button", name="Open clip.mp4").click()
            page.wait_for_function(f"() => {VIEWER}.a.element?.readyState >= 2")
            seen = time.perf_counter() - began
            page.wait_for_function(f"() => {VIEWER}.a.isProxy")
            ready = time.perf_counter() - began
            times = page.evaluate(SEEK)
            memory = max(map(harness.resident_mb, renderers()), default=0.0)
    return {
        "first_frame_s": round(seen, 1),
        "proxy_s": round(ready, 1),
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "page_mb": round(memory),
    }


def shelf(clip: Path) -> dict[str, Any]:
    """Return the seconds until 500 files are listed, and found."""
    with _folder() as place:
        for n in range(RESULTS):
            shutil.copy(clip, place / f"result {n:03d}.mp4")
        with server(str(place), name="studio") as (link, _), browser(*FLAGS) as chromium:
            page = chromium.new_page()
            began = time.perf_counter()
            page.goto(link)
            page.wait_for_selector("studio-shelf li[data-name]")
            listed = time.perf_counter() - began
            began = time.perf_counter()
            page.fill("studio-shelf input[type=search]", "result 499")
            page.wait_for_function("() => document.querySelectorAll('studio-shelf li[data-name]').length === 1")
            return {"listed_s": round(listed, 2), "searched_s": round(time.perf_counter() - began, 2)}


def kills(clip: Path, count: int) -> dict[str, Any]:
    """Kill server, job or browser of a render at random moments; return how often bytes differed, and what was lost."""
    rng, different, rows = random.Random(0), 0, []
    with _folder() as place:
        whole = _render(place / "whole", clip, [], rng)
        for n in range(count):
            moments = sorted(rng.uniform(0.1, 0.9) * whole[1] for _ in range(2))
            result, seconds = _render(place / str(n), clip, moments, rng)
            different += result != whole[0]
            rows.append(seconds / whole[1])
    return {"kills": 2 * count, "different": different, "time": f"{np.median(rows):.2f} of the undisturbed one"}


def _render(root: Path, clip: Path, moments: list[float], rng: random.Random) -> tuple[str, float]:
    """Render in a studio of which a part is killed at moments; return the digest of the result, and seconds."""
    root.mkdir()
    shutil.copy(clip, root / "clip.mp4")
    (root / ".studio" / "jobs" / "000001").mkdir(parents=True)
    job: dict[str, Any] = {"command": "stylize", "values": {"video": ["clip.mp4"], "look": "ink"}, "title": "x"}
    job |= {"words": ["stylize", "clip.mp4", "--look", "ink"], "after": []}
    job |= {"wanted": "run", "created": 0.0, "starts": 0}
    (root / ".studio" / "jobs" / "000001" / "job.json").write_text(json.dumps(job))
    began, left, output = time.perf_counter(), list(moments), root / "clip.ink.mp4"
    while not output.exists():
        assert time.perf_counter() - began < HANG_S, "it does not end"
        with server(str(root), name="studio") as (link, process), _watching(link) as browsers:
            while process.poll() is None and not output.exists():
                if left and time.perf_counter() - began > left[0]:
                    left.pop(0)
                    _kill(rng.choice((process.pid, _job_of(root), browsers[-1].pid)))
                    if browsers[-1].poll() is not None:
                        browsers.append(_open(link))
                time.sleep(0.05)
    return harness.digest_tree(output), time.perf_counter() - began


@contextmanager
def _watching(link: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Give the browsers that show the page, the newest last; end them."""
    browsers = [_open(link)]
    try:
        yield browsers
    finally:
        for one in browsers:
            _kill(one.pid)


def _open(link: str) -> subprocess.Popen[bytes]:
    program = next(path for name in NAMES if (path := shutil.which(name)))
    place = tempfile.mkdtemp(prefix="benchmark-browser-")
    words = [program, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place}", link]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(pid: int | None) -> None:
    """Kill a process and those that it started; a studio's jobs are their own, and live on."""
    with suppress(psutil.Error):
        if pid is not None:
            process = psutil.Process(pid)
            started = process.children(recursive=True) if "user-data-dir" in " ".join(process.cmdline()) else []
            for one in (process, *started):
                with suppress(psutil.Error):
                    one.send_signal(signal.SIGKILL)
            process.wait(10)


def _job_of(root: Path) -> int | None:
    """Return the process of the render; None while there is none."""
    for process in psutil.process_iter(["cmdline"]):
        if str(root / ".studio" / "jobs") in " ".join(process.info["cmdline"] or []):
            return int(process.pid)
    return None


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("clip", type=Path, nargs="?", default=SHIPPED, help="[default: the clip that ships]")
    parser.add_argument("--parts", type=harness.comma_list, default=["paint", "scrub", "shelf", "kills"])
    parser.add_argument("--kills", type=int, default=12, help="renders that are killed twice each")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    clip, found = harness.need(asked.clip).resolve(), {}
    for part in asked.parts:
        made = kills(clip, asked.kills) if part == "kills" else globals()[part](clip)
        found[part] = made
        print(part, json.dumps(made), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    harness.run(main)
