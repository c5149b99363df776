"""A real browser before a live server, with a film for its camera."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from benchmarks.clips import read_frames
from benchmarks.harness import Missing, vidtrans_command

SIDE = 480  # pixels of the film
NAMES = ("chromium", "chromium-browser", "google-chrome")
# All latencies from capture to canvas, and what of them the server's model took, of the frames of this page.
LISTEN = """() => { window.seen = []; const add = vidtrans.rates.add.bind(vidtrans.rates);
  vidtrans.connection.addEventListener('picture', ({ detail }) => { window.last = detail; });
  vidtrans.rates.add = (latency) => { add(latency);
    const { serverMs, modelMs } = window.last;
    if (latency !== null) window.seen.push([performance.now(), latency, serverMs, modelMs]); }; }"""


def film(clip: Path, folder: Path, side: int = SIDE, frames: int = 120) -> Path:
    """Write frames of a clip as the film, a square, that a browser takes for its camera."""
    path = folder / f"{clip.stem}-{side}.mjpeg"
    with path.open("wb") as file:
        for frame in read_frames(clip, 0, frames):
            picture = cv2.resize(frame[..., ::-1], (side, side), interpolation=cv2.INTER_AREA)
            file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return path


@contextmanager
def server(*arguments: str, name: str = "live") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start ``vidtrans live``, or another command that serves, and give its link and its process."""
    command = vidtrans_command(name, "--port", "0", *arguments)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    head = ""
    for line in process.stderr:
        head += line
        if "Ctrl-C" in line:
            break
    found = re.search(r"open (\S+)", head)
    assert found, head
    try:
        yield found[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def browser(*flags: str) -> Iterator[Any]:
    """Start Chromium. Raises Missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("Playwright is not installed: pip install playwright") from None
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        raise Missing(f"none of {', '.join(NAMES)} is on PATH")
    own = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=[*own, *flags])
        yield opened
        opened.close()


@contextmanager
def page(link: str, camera: Path, width: int = 1280) -> Iterator[Any]:
    """Open the page in Chromium, which listens to all that it shows."""
    flags = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}")
    with browser(*flags) as chromium:
        context = chromium.new_context(viewport={"width": width, "height": 900})
        context.grant_permissions(["camera"])
        opened = context.new_page()
        opened.set_default_timeout(120_000)
        opened.goto(link)
        opened.wait_for_function("() => document.getElementById('connection').textContent === 'connected'")
        opened.evaluate(LISTEN)
        yield opened


def renderers() -> list[int]:
    """Return the processes in which pages run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"--type=renderer" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
