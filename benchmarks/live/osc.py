"""OSC of a live session: the latency it adds, floods, and hours of messages.

    python -m benchmarks.live.osc [--parts latency,flood,hours] [--model M] [--changes 100] [--hours 8] [--json FILE]

- ``latency``: from a change to the first picture that shows it, by OSC and by a page's socket in turns, with a still
  source and with one of 30 frames a second (median, 95 %).
- ``flood``: pictures a second and their latency, of a source of 30 frames a second: without OSC, at 60 messages a
  second, at 100,000, and where these go to a port that nobody reads, which takes the processor as well.
- ``hours``: eight hours of four faders at 60 Hz, junk, timed bundles and what is sent back, on a clock of its own. Does
  memory grow?
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from pythonosc import osc_bundle_builder, osc_message
from websockets.sync.client import ClientConnection, connect

from benchmarks import harness
from benchmarks.live.browser import server
from vidtrans.live.osc import osc_bridge
from vidtrans.live.osc.osc_bridge import OscChanges
from vidtrans.live.osc.osc_messages import OscMessage, pack_message
from vidtrans.live.protocol import DROPPED_FRAME, NEW_PICTURE, FrameMessage, pack_frame, parse_picture

FPS, FLOOD_PER_S, FLOOD_S = 30.0, 100_000, 8.0
WITHIN_S = 1.0
FADERS = ("strength", "lerp", "keep_colour", "keep_shading")


class Page:
    """A page's socket that knows when which picture came, and whether its bright half is on the right."""

    def __init__(self, link: ClientConnection) -> None:
        self.socket = link
        self.pictures: list[tuple[float, int, float, bytes]] = []  # when it came, its kind, its frame's time, the file
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while not self.stop.is_set():
            try:
                message = self.socket.recv(timeout=0.2)
            except TimeoutError:
                continue
            if isinstance(message, bytes) and (picture := parse_picture(message)).kind != DROPPED_FRAME:
                self.pictures.append((time.perf_counter(), picture.kind, picture.timestamp, picture.file))

    def set(self, **values: object) -> None:
        """Set controls by the page's message."""
        self.socket.send(json.dumps({"type": "controls", "values": values}))

    def film(self) -> None:
        """Send the same frame 30 times a second."""
        number, zero = 0, time.perf_counter()
        while not self.stop.is_set():
            number += 1
            self.socket.send(pack_frame(FrameMessage("picture", number, 1e3 * time.perf_counter(), FRAME)))
            time.sleep(max(0.0, zero + number / FPS - time.perf_counter()))


def _frame() -> bytes:
    picture = np.random.default_rng(0).integers(0, 120, (240, 320, 3), np.uint8)
    picture[:, :160] += 120
    return cv2.imencode(".jpg", cv2.GaussianBlur(picture, (0, 0), 3))[1].tobytes()


FRAME = _frame()


def is_mirrored(file: bytes) -> bool:
    """Return whether the bright half of a picture is on the right."""
    grey = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE)
    half = grey.shape[1] // 2
    return float(grey[:, half:].mean()) > float(grey[:, :half].mean())


@contextmanager
def session(model: str, *, films: bool) -> Iterator[tuple[Page, Callable[[str, Any], None], int]]:
    """Start a server with OSC; give a page, a function that sends a message by OSC, and the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    with (
        server("--model", model, "--osc", str(port)) as (link, _),
        connect(link.replace("http", "ws", 1).replace("/?", "/ws?"), max_size=None) as opened,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        page = Page(opened)
        opened.send(json.dumps({"type": "source", "kind": "camera"}))
        page.set(past="off")
        opened.send(pack_frame(FrameMessage("picture", 1, 0.0, FRAME)))
        filming = threading.Thread(target=page.film)
        if films:
            filming.start()
        time.sleep(2)

        def osc(name: str, value: Any) -> None:
            udp.sendto(pack_message(OscMessage(f"/vidtrans/{name}", (value,))), ("127.0.0.1", port))

        try:
            yield page, osc, port
        finally:
            page.stop.set()
            page.thread.join()
            if films:
                filming.join()


def latency(model: str, changes: int) -> dict[str, Any]:
    """Return the times from a change to its picture in ms, by OSC and by the page's socket."""
    found: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for name, films in (("still", False), ("30 fps", True)):
        times: dict[str, list[float]] = {"osc": [], "page": []}
        with session(model, films=films) as (page, osc, _):
            is_on = False
            for n in range(2 * changes):
                time.sleep(0.12 + rng.uniform(0, 0.05))
                is_on, way = not is_on, "osc" if n % 2 else "page"
                began = time.perf_counter()
                osc("mirror", is_on) if way == "osc" else page.set(mirror=is_on)
                times[way].append(1e3 * _shown(page, began, is_on))
        found[name] = {
            way: {"median_ms": float(np.median(ms)), "p95_ms": float(np.percentile(ms, 95)), "n": len(ms)}
            for way, ms in times.items()
        }
    return found


def _shown(page: Page, began: float, is_on: bool) -> float:
    """Return the seconds until the first picture that is mirrored, or is not; inf after a second."""
    place = len(page.pictures)
    while time.perf_counter() < began + WITHIN_S:
        for came, _, _, file in page.pictures[place:]:
            place += 1
            if came > began and is_mirrored(file) == is_on:
                return came - began
        time.sleep(0.0005)
    return float("inf")


def flood(model: str) -> dict[str, Any]:
    """Return pictures a second and latency with frames at 30 a second, without and with a flood."""
    found: dict[str, Any] = {}
    for name, rate in (("none", 0), ("60 Hz", 60), ("flood", FLOOD_PER_S), ("flood, unread", FLOOD_PER_S)):
        with session(model, films=True) as (page, osc, port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            port = deaf.getsockname()[1] if name.endswith("unread") else port
            sent = multiprocessing.Value("q", 0)
            page.set(strength=0.5, keep_colour=0.5, keep_shading=0.5)  # which cost time wherever the faders are
            process = multiprocessing.Process(target=_pour, args=(port, rate, sent))
            process.start()
            time.sleep(1)
            first, began = len(page.pictures), time.perf_counter()
            time.sleep(FLOOD_S)
            pictures = page.pictures[first:]
            took = time.perf_counter() - began
            process.join()
            time.sleep(0.3)
            osc("mirror", True)
            reached = _shown(page, time.perf_counter(), True)
        painted = [(came, at) for came, kind, at, _ in pictures if kind == NEW_PICTURE]
        late = np.array([1e3 * came - at for came, at in painted])
        found[name] = {
            "frames_per_s": len(painted) / took,
            "pictures_per_s": len(pictures) / took,
            "latency_ms": float(np.median(late)),
            "latency_p95_ms": float(np.percentile(late, 95)),
            "sent_per_s": sent.value / (FLOOD_S + 1),
            "heard_after": reached < WITHIN_S,
        }
    return found


def _bundle(packets: list[bytes], at_s: float = osc_bundle_builder.IMMEDIATELY) -> bytes:
    """Return a bundle of messages, to be carried out at a time in seconds since 1970."""
    builder = osc_bundle_builder.OscBundleBuilder(at_s)  # type: ignore[arg-type]  (its annotation says int)
    for packet in packets:
        builder.add_content(osc_message.OscMessage(packet))
    return bytes(builder.build().dgram)


def _pour(port: int, rate: int, sent: Any) -> None:
    """Send messages at a rate: faders, junk, damage and bundles."""
    packets = [pack_message(OscMessage(f"/vidtrans/{name}", (n / 100,))) for n in range(100) for name in FADERS]
    packets += [b"junk", b"#bundle\0", pack_message(OscMessage("/vidtrans/none", (1,)))] * (rate > 60)
    packets += [_bundle(packets[:50])] * (rate > 60)
    began, count = time.perf_counter(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        while (now := time.perf_counter() - began) < FLOOD_S + 1:
            while count < now * rate:
                udp.sendto(packets[count % len(packets)], ("127.0.0.1", port))
                count += 1
            time.sleep(0.0002)
    sent.value = count


def hours(number: float) -> dict[str, Any]:
    """Return the memory of this process after each simulated hour."""
    sys.path.insert(0, str(harness.ROOT / "tests" / "support"))
    from osc_stage import OscStage

    clock = SimpleNamespace(now_s=1000.0)
    osc_bridge.time = SimpleNamespace(monotonic=lambda: clock.now_s)  # type: ignore[assignment]
    stage = OscStage()
    changes = OscChanges(stage.hub, stage.bridge, lambda: clock.now_s)
    rows: list[dict[str, float]] = []
    began, num_sent = time.perf_counter(), 0
    for frame in range(round(number * 3600 * 60) + 1):
        if frame % (3600 * 60) == 60 * 60:  # after a minute of each hour
            gc.collect()
            memory = {"rss_mb": round(harness.resident_mb(os.getpid()), 1), "objects": len(gc.get_objects())}
            rows.append({"hour": frame // (3600 * 60), **memory})
            print(rows[-1], flush=True)
            stage.notes.clear()
        stage.at_s += 1 / 60
        clock.now_s += 1 / 60
        for place, name in enumerate(FADERS):
            stage.send(name, ((frame + 7 * place) % 97) / 97)
        if frame % 20 == 0:
            stage.send(f"junk/{frame}", 1.0)
            stage.push(_bundle([pack_message(OscMessage("/vidtrans/hue", (float(frame % 20),)))], stage.at_s + 0.3))
            stage.bridge.send_status()
        stage.hub.worker.num_painted = frame // 2
        stage.frame()
        num_sent += len(changes.step())
    counts = stage.inbox.counts
    took = time.perf_counter() - began
    return {"received": counts.received, "used": counts.used, "sent": num_sent, "seconds": round(took), "hours": rows}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--parts", type=harness.comma_list, default=["latency", "flood", "hours"])
    parser.add_argument("--model", default="identity")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "latency": lambda: latency(asked.model, asked.changes),
        "flood": lambda: flood(asked.model),
        "hours": lambda: hours(asked.hours),
    }

    def show(part: str) -> None:
        results[part] = parts[part]()
        print(part, json.dumps(results[part], indent=1), flush=True)

    with harness.work_folder():
        harness.each(asked.parts, show)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    harness.run(main)
