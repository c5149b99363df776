"""What is known of a source besides its frames: the mask that goes with it, and whether it is a drawing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.matte import MatteReader, match_frames, same_shape
from vidtrans.errors import UsageError
from vidtrans.files import digest_of
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import is_drawing
from vidtrans.session import Context
from vidtrans.settings import Size, Table
from vidtrans.video.frame_format import PAPER, FrameFormat


@dataclass(frozen=True)
class Mask:
    """A mask that is in step with a clip: ``steps`` says which of its frames goes with each that is rendered."""

    clip: Clip
    steps: list[int]
    first: int

    @classmethod
    def open(cls, path: Path, clip: Clip, first: int, stop: int, context: Context) -> Mask:
        """Reconcile a mask with a clip, and say how. Raises MediaError."""
        own = open_clip(context, path)
        steps, told = match_frames(clip.index, own.index, first, stop)
        if told:
            context.note(f"mask {path.name}: {told}", "warning")
        if not same_shape(clip.index, own.index):
            context.note(
                f"mask {path.name}: it is {own.index.width}x{own.index.height}, "
                f"the clip {clip.index.width}x{clip.index.height}: stretched to fit",
                "warning",
            )
        return cls(own, steps, first)

    def for_key(self) -> Table:
        return {"digest": self.clip.digest, "steps": digest_of(self.steps)}

    def mattes(self, size: tuple[int, int], threads: int, feather: float = 0.0) -> MatteReader:
        """The mask at a size, (width, height)."""
        frame_format = FrameFormat(Size(exact=size), alpha="matte")
        return MatteReader(self.steps, self.first, partial(self.clip.frames, frame_format, threads), feather)


def treat_as_drawing(clip: Clip, pairing: Pairing, wanted: str, context: Context) -> bool:
    """Whether the source is taken as a drawing. Raises UsageError where the pairing knows no drawings."""
    if wanted == "yes" and not pairing.drawing_kind:
        raise UsageError("--drawn yes", f"pairing '{pairing.name}' knows no drawings", "leave it out")
    if wanted != "auto" or not pairing.drawing_kind:
        return wanted == "yes"
    if not clip.is_pictures:
        return False
    last = clip.index.num_frames - 1
    drawing = True
    with clip.reader(FrameFormat(background=PAPER), 0) as reader:
        for number in sorted({0, last // 2, last}):  # one photograph among them, and all are taken for photographs
            with closing(reader.frames(number, number + 1)) as frames:
                drawing = drawing and all(is_drawing(frame.rgb, pairing.drawing_kind) for frame in frames)
    if drawing:
        told = "looks like a drawing, and is taken as the input itself (--drawn no finds lines in it)"
        context.note(f"{clip.name} {told}")
    return drawing
