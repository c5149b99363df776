"""Held drawings and flicker of exposure, through the commands: equal frames stay equal, and a time-lapse gets even.

    python -m benchmarks.robustness.media.holds [--only TEXT]

Exits 1 if a row has another value than the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import av
import numpy as np

from benchmarks import harness
from benchmarks.robustness.media.numbers import SIZE, ask, frame
from benchmarks.robustness.media.rows import Row, run_rows

COUNT = 36


def write(path: str, pictures: Iterable[np.ndarray]) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))


def read(path: str) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(float)


def held(every: int) -> object:
    """The largest difference, in levels, of frames that show the same drawing, after a filter took flicker out."""
    rng = np.random.default_rng(0)
    drawings = [frame(n // every) for n in range(COUNT)]
    write("source.mkv", drawings)
    write("render.mkv", (np.clip(d + rng.normal(0, 12), 0, 255).astype(np.uint8) for d in drawings))
    ask("deflicker", "render.mkv", "--source", "source.mkv", "--codec", "ffv1", "-o", "made.mkv")
    made = read("made.mkv")
    return max(float(np.abs(made[n] - made[n - 1]).max()) for n in range(COUNT) if n % every)


def exposure(change: Callable[[np.ndarray, float], np.ndarray]) -> object:
    """Return whether flicker, the mean second difference of brightness, falls to a fifth, and whether dusk stays."""
    rng = np.random.default_rng(1)
    dusk = np.linspace(1.0, 0.6, COUNT)
    lapse = [np.clip(change(frame(n % 24) * dusk[n], rng.normal()), 0, 255).astype(np.uint8) for n in range(COUNT)]
    write("lapse.mkv", lapse)
    ask("deflicker", "lapse.mkv", "--exposure", "-o", "made.mkv")
    before, after = (np.array([p.mean() for p in np.asarray(c, float)]) for c in (lapse, read("made.mkv")))
    falls = np.abs(np.diff(after, 2)).mean() < np.abs(np.diff(before, 2)).mean() / 5
    return bool(falls), bool(after[-3:].mean() < 0.75 * after[:3].mean())


ROWS: tuple[Row, ...] = (
    ("holds", "animation on twos", lambda: held(2), 0.0),
    ("holds", "animation on threes", lambda: held(3), 0.0),
    ("exposure", "gain", lambda: exposure(lambda p, z: p * (1 + 0.06 * z)), (True, True)),
    ("exposure", "offset", lambda: exposure(lambda p, z: p + 6 * z), (True, True)),
    ("exposure", "gamma", lambda: exposure(lambda p, z: 255 * (p / 255) ** np.exp(0.08 * z)), (True, True)),
)


if __name__ == "__main__":
    harness.run(lambda: run_rows(ROWS, __doc__))
