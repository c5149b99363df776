"""Use vidtrans on frames: every function and class of the library that takes or gives them, with its types.

    python examples/frames_in_and_out.py clip.mp4

Takes the flicker out of a clip whose frames were darkened one by one, and writes it; paints a frame and the clip with a
look that ships.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

import vidtrans


def darkened(clip: vidtrans.OpenedClip) -> Iterator[np.ndarray]:
    """The frames of a clip, every second one a little darker."""
    for frame in clip:
        yield frame.rgb - frame.rgb // 16 * (frame.index % 2)


def deflickered(clip: vidtrans.OpenedClip, output: Path) -> int:
    """Write the darkened frames without their flicker, with the times and the sound of the clip."""
    pictures = vidtrans.Deflicker(darkened(clip), flow_from=clip, settings={"strength": 1.0})
    return vidtrans.write_clip(pictures, output, like=clip, crf=18, overwrite=True)


def painted(clip: vidtrans.OpenedClip, model: vidtrans.FrameModel) -> Iterator[np.ndarray]:
    """The first second of a clip, painted."""
    second: Fraction = clip.times[0] + 1
    count = sum(time < second for time in clip.times)
    return model.render(clip[:count], temporal="window", settings={"rendering": {"strength": 0.8}})


def carried(clip: vidtrans.OpenedClip, frame: vidtrans.ClipFrame, paint: np.ndarray) -> vidtrans.Propagator:
    """A clip painted like one of its frames, by motion alone."""
    return vidtrans.Propagator(clip, {frame.index: paint}, minutes=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    source: Path = parser.parse_args().clip
    with vidtrans.open_clip(source) as clip:
        print(f"{clip}: {len(clip.shots)} shots, {float(clip.duration):.2f} s")
        print(deflickered(clip, source.with_suffix(".steady.mp4")), "frames steadied")
        model = vidtrans.load_model("flower")
        first = clip[0]
        paint = model(first.rgb)
        print(
            vidtrans.write_clip(painted(clip, model), source.with_suffix(".painted.mp4"), fps=clip.fps, overwrite=True)
        )
        print(
            vidtrans.write_clip(
                carried(clip, first, paint), source.with_suffix(".carried.mp4"), like=clip, overwrite=True
            )
        )


if __name__ == "__main__":
    main()
