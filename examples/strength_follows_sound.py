"""The look swells with the loudness of the clip's own sound: keyframes for --strength, made from the sound track.

python examples/strength_follows_sound.py clip.mp4 flower
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np

import vidtrans

STEP_S = 0.25  # a keyframe every quarter of a second


def loudness(clip: str) -> np.ndarray:
    """Root mean square of the sound in each quarter of a second, from 0 (the quietest) to 1 (the loudest)."""
    with av.open(clip) as container:
        if not container.streams.audio:
            raise SystemExit(f"{clip} has no sound")
        sound = container.streams.audio[0]
        to_mono = av.AudioResampler("flt", "mono", 16_000)
        parts = [part.to_ndarray()[0] for frame in container.decode(sound) for part in to_mono.resample(frame)]
    samples = np.concatenate(parts)
    count = max(1, len(samples) // int(16_000 * STEP_S))
    level = np.array([np.sqrt(np.mean(np.square(block))) for block in np.array_split(samples, count)])
    spread = level.max() - level.min()
    return (level - level.min()) / spread if spread > 0 else np.zeros_like(level)


def main(clip: str, model: str) -> None:
    levels = loudness(clip)
    keyframes = ", ".join(f"{i * STEP_S:.2f}s: {0.2 + 0.8 * level:.3f}" for i, level in enumerate(levels))
    output = f"{Path(clip).stem}.loud.mp4"
    made = vidtrans.stylize(clip, model, output, settings={"rendering": {"strength": keyframes}})
    print(f"{made['output']}: {made['frames']} frames, {len(levels)} keyframes")


if __name__ == "__main__":
    main(*sys.argv[1:3])
