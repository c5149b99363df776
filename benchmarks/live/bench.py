"""The live page before its goals, with a real browser on the same machine.

    python -m benchmarks.live.bench [--parts speed,slow,memory,sound,forged] [--minutes 10] [--model M] [--json FILE]

- ``speed``: a film for the camera, a small model at 256 pixels. Frames a second, capture to canvas (median, 99 %), what
  server and transport add to the model's own time, all of them minute by minute, and the memory of page and server.
- ``slow``: the same model at 960 pixels, where it takes a third of a second. Does the latency grow?
- ``memory``: 100,000 frames of a program through the server. Does its memory grow?
- ``sound``: bursts of sound beside frames at 30 a second. How long from a burst until the first picture whose control
  moved, beside the time of painting it (median, 95 %)? What does a block of 10 ms cost?
- ``forged``: requests with other hosts, origins, tokens, paths and types. How many are accepted?
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from websockets.sync.client import connect

from benchmarks import harness
from benchmarks.clips import SHIPPED
from benchmarks.live.browser import film, page, renderers, server
from benchmarks.live.sound import sound
from vidtrans.live.protocol import NEW_PICTURE, FrameMessage, pack_frame, parse_picture

WARM_S = 5
SLOW_SIDE = 960  # pixels, of a frame that takes ten times as long
LARGE_RUN = 100_000


def speed(model: str, camera: Path, minutes: float, *options: str) -> dict[str, Any]:
    """Return the figures of a page with a camera, over some minutes."""
    with server("--model", model, *options) as (link, process), page(link, camera) as opened:
        opened.click("[data-source=camera]")
        opened.wait_for_timeout(1000 * WARM_S)
        opened.evaluate("() => { window.seen.length = 0; }")
        rows: list[list[float]] = []
        memory: list[tuple[float, float, float]] = []
        for _ in range(max(1, round(2 * minutes))):
            opened.wait_for_timeout(1000 * 60 * minutes / max(1, round(2 * minutes)))
            rows += opened.evaluate("() => window.seen.splice(0)")
            opened.evaluate("() => window.gc?.()")
            heap = opened.evaluate("() => performance.memory.usedJSHeapSize / 2 ** 20")
            memory.append(
                (heap, max(map(harness.resident_mb, renderers()), default=0.0), harness.resident_mb(process.pid))
            )
    times, latency, whole, own = np.array(rows).T
    spans = np.array_split(np.arange(len(times)), max(1, round(minutes)))
    return {
        "frames": len(times),
        "fps": (len(times) - 1) / (times[-1] - times[0]) * 1000,
        "median_ms": float(np.median(latency)),
        "p99_ms": float(np.percentile(latency, 99)),
        "model_ms": float(np.median(own)),
        "added_ms": float(np.median(whole - own)),
        "median_ms_each_minute": [round(float(np.median(latency[span])), 1) for span in spans],
        "p99_ms_each_minute": [round(float(np.percentile(latency[span], 99)), 1) for span in spans],
        "page_heap_mb": [round(m[0], 1) for m in memory],
        "page_process_mb": [round(m[1]) for m in memory],
        "server_mb": [round(m[2]) for m in memory],
    }


def memory(frames: int) -> dict[str, Any]:
    """Return the server's memory while a program sends frames, one after another."""
    picture = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes()
    sizes, began = [], time.monotonic()
    with ExitStack() as stack:
        link, process = stack.enter_context(server("--model", "identity"))
        address = link.replace("http", "ws", 1).replace("/?", "/ws?") + "&role=program"
        socket = stack.enter_context(connect(address, max_size=None))
        for number in range(1, frames + 1):
            socket.send(pack_frame(FrameMessage("picture", number, 0.0, picture)))
            while not _is_answer(socket.recv(), number):
                pass
            if number % max(1, frames // 10) == 0:
                sizes.append(round(harness.resident_mb(process.pid), 1))
    return {"frames": frames, "seconds": round(time.monotonic() - began), "server_mb": sizes}


def _is_answer(message: str | bytes, sequence: int) -> bool:
    if isinstance(message, str):
        return False
    picture = parse_picture(message)
    return picture.kind == NEW_PICTURE and picture.sequence == sequence


def forged() -> dict[str, Any]:
    """Return how many forged requests were accepted."""
    sys.path.insert(0, str(harness.ROOT / "tests" / "support"))
    from forged import forged_requests, is_accepted, send

    with server("--model", "identity") as (link, _):
        address = urlsplit(link)
        (token,) = parse_qs(address.query)["token"]
        assert address.port
        requests = list(forged_requests(address.port, token))
        accepted = [one.name for one in requests if is_accepted(send(one, address.port))]
    return {"requests": len(requests), "accepted": accepted}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--parts", type=harness.comma_list, default=["speed", "slow", "memory", "sound", "forged"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--frames", type=int, default=LARGE_RUN, help="that a program sends, for the part memory")
    parser.add_argument("--bursts", type=int, default=60, help="of sound, for the part sound")
    parser.add_argument("--model", default="flower")
    parser.add_argument("--clip", type=Path, default=SHIPPED)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    with harness.work_folder() as folder:
        slow = ("--size", str(SLOW_SIDE))
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "speed": lambda: speed(asked.model, film(asked.clip, folder), asked.minutes),
            "slow": lambda: speed(asked.model, film(asked.clip, folder, SLOW_SIDE), min(2.0, asked.minutes), *slow),
            "memory": lambda: memory(asked.frames),
            "sound": lambda: sound(asked.model, asked.bursts),
            "forged": forged,
        }

        def show(part: str) -> None:
            results[part] = parts[part]()
            print(part, json.dumps(results[part], indent=1), flush=True)

        harness.each(asked.parts, show)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    harness.run(main)
