"""``vidtrans compare``: labelled clips side by side, as a video or a sheet."""

from __future__ import annotations

from pathlib import Path

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.evaluation.comparison import clip_panel, draw_sheet, input_panel, write_video
from vidtrans.files import base_name
from vidtrans.models.loaded_model import load_model
from vidtrans.output.target import produce, refuse_link
from vidtrans.requests import CompareRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_source

VERSION = 1


def compare(request: CompareRequest, context: Context) -> Table:
    """Write a labelled comparison of clips and return what is reported of it.

    Frames go together by number where there are as many, else by time. Raises UsageError, MediaError, ModelError.
    """
    clips, start, end = request.clips, request.start, request.end
    suffix = ".png" if is_picture_source(clips[0]) else ".mp4"
    output = request.output or refuse_link(Path(f"{base_name(clips[0])}.compare{suffix}"))
    as_sheet = output.suffix.lower() == ".png"
    encoding = EncodingSettings(codec="h264")
    if not as_sheet:
        encoding.check_container(output, single=False)
    look = load_model(request.input_of, context) if request.input_of else None
    labels = [*request.labels, *(c.name for c in clips[len(request.labels) :])]
    key: Table = {
        "command": "compare",
        "version": VERSION,
        "clips": [content_digest(context, c) for c in clips],
        "labels": labels,
        "columns": None if as_sheet else request.columns,
        "input": look.for_key() if look else None,
        "count": request.frames if as_sheet else None,
        "sheet": as_sheet,
        **({"device": context.device_kind} if look and look.extractor else {}),
        **({"span": [str(start), str(end)]} if start or end else {}),
    }

    def make(path: Path) -> Table:
        opened = [open_clip(context, c) for c in clips]
        first, span = opened[0], range(*opened[0].trim(start, end))
        panels = [clip_panel(clip, first, span, label, context) for clip, label in zip(opened, labels, strict=True)]
        if look is not None:
            panels.insert(1, input_panel(first, look, context))
        if as_sheet:
            return draw_sheet(panels, span, path, request.frames)
        columns = request.columns or min(3, len(panels))
        return write_video(first, panels, span, path, columns, encoding, context)

    return produce(context, output, key, clips, make)
