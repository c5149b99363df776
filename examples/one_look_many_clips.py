"""Teach a look from one clip and render it onto several, with a look at what each step reports.

    python examples/one_look_many_clips.py clip.mp4 other.mp4 third.mp4

Stop it and start it again: every step is found where it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

import vidtrans
from vidtrans import Event, Note, Progress


def report(event: Event) -> None:
    """The library calls back; what is shown is up to you."""
    if isinstance(event, Note):
        print(event.text)
    elif isinstance(event, Progress) and event.total and event.done % 100 == 0:
        print(f"{event.task}: {event.done} of {event.total} {event.unit} {event.detail}")


def main(teacher: str, clips: list[str]) -> None:
    dataset = vidtrans.make_dataset(teacher, report=report)
    print(f"{dataset['pairs']} pairs in {dataset['output']}")
    model = vidtrans.train(dataset["output"], steps=1000, report=report)
    print(f"held-out scores: {model['held_out']}")
    for clip in clips:
        output = Path(f"{Path(clip).stem}.stylized.mp4")
        made = vidtrans.stylize(clip, model["output"], output, report=report)
        print(f"{made['output']}: {made['frames']} frames{', up to date' if made['cached'] else ''}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
