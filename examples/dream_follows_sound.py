"""A dream that follows a sound, as long as that is: the bass falls in, the treble turns the colours, silence drifts.

    python examples/dream_follows_sound.py seed.mp4 model song.wav

Stop it and start it again: it goes on where it was.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import vidtrans
from vidtrans.core.events import Event, Note, Progress
from vidtrans.dreaming.controls import loudness
from vidtrans.video.io.sound import RATE_HZ, read_blocks

FPS = 25
CAMERA = {
    "zoom": "1.002 + 0.03*low^2",
    "rotate": "0.6*sin(t/4) * (1 - loud)",
    "hue": "5*high",
}


def report(event: Event) -> None:
    if isinstance(event, Note):
        print(event.text)
    elif isinstance(event, Progress) and event.total and event.done % 100 == 0:
        print(f"{event.task}: {event.done} of {event.total}")


def main(seed: str, model: str, sound: str) -> None:
    heard = loudness(read_blocks(Path(sound)), RATE_HZ)
    frames = int(heard.duration_s * Fraction(FPS))
    output = f"{Path(sound).stem}.dream.mp4"
    settings = {"dreaming": CAMERA, "encoding": {"fps": str(FPS)}}
    made = vidtrans.dream(seed, model, output, frames=frames, sound=sound, settings=settings, report=report)
    print(f"{made['output']}: {made['duration_s']} s")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
