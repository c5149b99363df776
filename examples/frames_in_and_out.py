"""Use vidtrans on frames: every function and class of the library that takes or gives them, with its types.

    python examples/frames_in_and_out.py clip.mp4

Takes the flicker out of a clip whose frames were darkened one by one, and writes it; paints a frame and the clip with a
medium. Ctrl-C stops it, and no file is half-written.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

import vidtrans


def darkened(clip: vidtrans.OpenedClip) -> Iterator[np.ndarray]:
    """The frames of a clip, every second one a little darker."""
    for frame in clip:
        yield frame.rgb - frame.rgb // 16 * (frame.index % 2)


def deflickered(clip: vidtrans.OpenedClip, output: Path, stop: vidtrans.Stop) -> int:
    """Write the darkened frames without their flicker, with the times and the sound of the clip."""
    pictures = vidtrans.Deflicker(darkened(clip), flow_from=clip, settings={"strength": 1.0}, stop=stop)
    return vidtrans.write_clip(pictures, output, like=clip, crf=18, overwrite=True, stop=stop)


def painted(clip: vidtrans.OpenedClip, model: vidtrans.FrameModel, stop: vidtrans.Stop) -> Iterator[np.ndarray]:
    """The first second of a clip, painted."""
    second: Fraction = clip.times[0] + 1
    count = sum(time < second for time in clip.times)
    return model.render(clip[:count], temporal="window", settings={"rendering": {"strength": 0.8}}, stop=stop)


def carried(clip: vidtrans.OpenedClip, frame: vidtrans.ClipFrame, paint: np.ndarray) -> vidtrans.Propagator:
    """A clip painted like one of its frames, by motion alone."""
    return vidtrans.Propagator(clip, {frame.index: paint}, minutes=0)


def show(event: vidtrans.Event) -> None:
    """Print how far a job is, and its messages."""
    if isinstance(event, vidtrans.Progress) and event.done == event.total:
        print(f"{event.task}: {event.done} {event.unit}")
    elif isinstance(event, vidtrans.Note):
        print(f"{event.level}: {event.text}")


def use(source: Path, stop: vidtrans.Stop) -> None:
    """Write three clips beside a clip."""
    with vidtrans.open_clip(source, report=show, stop=stop) as clip:
        print(f"{clip}: {len(clip.shots)} shots, {float(clip.duration):.2f} s")
        print(deflickered(clip, source.with_suffix(".steady.mp4"), stop), "frames steadied")
        model = vidtrans.load_model("oil", report=show)
        first = clip[0]
        paint = model(first.rgb)
        pictures, output = painted(clip, model, stop), source.with_suffix(".painted.mp4")
        print(vidtrans.write_clip(pictures, output, fps=clip.fps, overwrite=True, stop=stop), "frames painted")
        film, output = carried(clip, first, paint), source.with_suffix(".carried.mp4")
        print(vidtrans.write_clip(film, output, like=clip, overwrite=True, stop=stop), "frames carried")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    source: Path = parser.parse_args().clip
    stop = vidtrans.Stop()
    signal.signal(signal.SIGINT, lambda number, frame: stop.request())
    try:
        use(source, stop)
    except vidtrans.VidtransError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
