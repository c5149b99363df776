"""A dream that follows a sound, as long as that is: the bass falls in, each beat turns, the treble changes the colours.

    python examples/dream_follows_sound.py seed.mp4 model song.wav

Stop it and start it again: it goes on where it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

import vidtrans
from vidtrans import Event, Note, Progress
from vidtrans.video.io.sound import RATE_HZ, read_blocks

FPS = 25
CAMERA = {
    "zoom": "1.002 + 0.03*low^2",
    "rotate": "0.6*sin(t/4) * (1 - loudness) + 2*on_beat(0.15)",
    "hue": "5*high",
}


def report(event: Event) -> None:
    if isinstance(event, Note):
        print(event.text)
    elif isinstance(event, Progress) and event.total and event.done % 100 == 0:
        print(f"{event.task}: {event.done} of {event.total}")


def main(seed: str, model: str, sound: str) -> None:
    frames = sum(map(len, read_blocks(Path(sound)))) * FPS // RATE_HZ
    output = f"{Path(sound).stem}.dream.mp4"
    settings = {"dreaming": CAMERA, "encoding": {"fps": str(FPS)}}
    made = vidtrans.dream(seed, model, output, frames=frames, sound=sound, settings=settings, report=report)
    print(f"{made['output']}: {made['duration_s']} s")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
