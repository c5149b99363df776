"""From a microphone to the picture: bursts of sound to a live server, beside frames at 30 a second."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import cv2
import numpy as np
from websockets.sync.client import ClientConnection, connect

from benchmarks.live.browser import server
from vidtrans.curves.live_hearing import LiveSoundAnalysis
from vidtrans.live.protocol import NEW_PICTURE, FrameMessage, SoundMessage, pack_frame, pack_sound, parse_picture

RATE_HZ, BLOCK_S, FPS = 48_000, 0.01, 30.0
EVERY_S, BURST_S = 0.5, 0.12  # of bursts, which begin anywhere between two frames and between two blocks
MOVED = 0.1  # of a control's way
WITHIN_S = 0.4


def sound(model: str, bursts: int) -> dict[str, Any]:
    """Return the latency from the beginning of a burst to the first picture whose control moved, in ms.

    Of each latency the time that the picture itself took to paint is taken off.
    """
    began: list[float] = []  # when each burst began at the microphone
    pictures: list[tuple[float, float, float]] = []  # when each came, its painting in ms, the control
    with server("--model", model) as (link, _):
        address = link.replace("http", "ws", 1).replace("/?", "/ws?")
        with connect(address, max_size=None) as socket:
            socket.send(json.dumps({"type": "source", "kind": "camera"}))
            socket.send(json.dumps({"type": "controls", "values": {"strength": "low", "past": "off"}}))
            socket.send(json.dumps({"type": "sound", "on": True}))
            time.sleep(2)
            stop = threading.Event()
            threads = [
                threading.Thread(target=work, args=(socket, stop, *more))
                for work, more in ((_play, (began, bursts)), (_film, ()), (_watch, (pictures,)))
            ]
            for thread in threads:
                thread.start()
            threads[0].join()
            stop.set()
            for thread in threads[1:]:
                thread.join()
    latencies = []
    for at in began[2:]:
        found = next(((t, ms) for t, ms, value in pictures if at < t < at + WITHIN_S and value > MOVED), None)
        latencies.append(1e3 * (found[0] - at) - found[1] if found else float("inf"))
    painting = np.array([ms for _, ms, _ in pictures])
    return {
        "bursts": len(latencies),
        "median_ms": float(np.median(latencies)),
        "p95_ms": float(np.percentile(latencies, 95)),
        "missed": int(np.isinf(latencies).sum()),
        "painting_ms": float(np.median(painting)),
        "fps": len(pictures) / (pictures[-1][0] - pictures[0][0]),
        "block_cpu_ms": _block_ms(),
    }


def _play(socket: ClientConnection, stop: threading.Event, began: list[float], bursts: int) -> None:
    """Send blocks as a microphone does: each when its last sample has sounded."""
    rng, count = np.random.default_rng(0), round(BLOCK_S * RATE_HZ)
    starts = EVERY_S * np.arange(1, bursts + 1) + rng.uniform(0, 0.1, bursts)
    times = np.arange(round((starts[-1] + EVERY_S) * RATE_HZ)) / RATE_HZ
    samples = 3e-4 * rng.standard_normal(len(times))
    for start in starts:
        samples += 0.5 * np.sin(2 * np.pi * 80 * (times - start)) * ((times >= start) & (times < start + BURST_S))
    zero = time.perf_counter()
    began += [zero + start for start in starts]
    for first in range(0, len(samples) - count, count):
        time.sleep(max(0.0, zero + (first + count) / RATE_HZ - time.perf_counter()))
        socket.send(pack_sound(SoundMessage(RATE_HZ, samples[first : first + count])))


def _film(socket: ClientConnection, stop: threading.Event) -> None:
    """Send the frames of a still scene."""
    picture = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    file = cv2.imencode(".jpg", cv2.GaussianBlur(picture, (0, 0), 3))[1].tobytes()
    number, zero = 0, time.perf_counter()
    while not stop.is_set():
        number += 1
        socket.send(pack_frame(FrameMessage("picture", number, 0.0, file)))
        time.sleep(max(0.0, zero + number / FPS - time.perf_counter()))


def _watch(socket: ClientConnection, stop: threading.Event, pictures: list[tuple[float, float, float]]) -> None:
    value = 0.0
    while not stop.is_set():
        message = socket.recv(timeout=10)
        if isinstance(message, str):
            table = json.loads(message)
            value = table["values"]["strength"] if table["type"] == "moving" else value
            continue
        picture = parse_picture(message)
        if picture.kind <= NEW_PICTURE + 1:
            pictures.append((time.perf_counter(), picture.model_ms, value))


def _block_ms() -> float:
    """Return the processor time of the ear for a block of 10 ms, with its searches for the beat."""
    ear, count = LiveSoundAnalysis(RATE_HZ), round(BLOCK_S * RATE_HZ)
    samples = np.random.default_rng(0).standard_normal(20 * RATE_HZ).astype(np.float32) * 0.1
    samples *= np.exp(-8 * ((np.arange(len(samples)) / RATE_HZ) % 0.5)).astype(np.float32)
    ear.add_samples(samples[: 8 * RATE_HZ])
    rest = samples[8 * RATE_HZ :]
    began = time.process_time()
    for first in range(0, len(rest), count):
        ear.add_samples(rest[first : first + count])
    return 1e3 * (time.process_time() - began) / (len(rest) / count)
