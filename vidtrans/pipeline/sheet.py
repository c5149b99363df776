"""``vidtrans sheet``: contact sheets of frames or pairs."""

from __future__ import annotations

from pathlib import Path

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.data.dataset import INDEX, open_dataset
from vidtrans.data.folder import dataset_digest
from vidtrans.errors import UsageError
from vidtrans.evaluation.contact_sheet import ShownPairing, clip_sheet, dataset_sheet, pairing_sheet
from vidtrans.files import base_name
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.output.target import produce, refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.requests import SheetRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.images.picture import write_picture

VERSION = 1


def make_sheet(request: SheetRequest, context: Context) -> Table:
    """Write a contact sheet of a video, a folder of pictures, or a dataset, and return what is reported of it.

    Raises UsageError, MediaError.
    """
    source, start, end = request.source, request.start, request.end
    output = request.output or refuse_link(Path(f"{base_name(source).removesuffix('.dataset')}.sheet.png"))
    is_dataset = (source / INDEX).is_file()
    shown = [ShownPairing.of(name, context) for name in request.pairings]
    pairings = [one.pairing for one in shown]
    for pairing in pairings:
        if pairing.needs_target:
            why = "its input is not made of the frame"
            raise UsageError(f"--pairing {pairing.name}", why, "choose one that makes its own pairs")
    unread = "--pairing" if pairings else "--start and --end" if start or end else ""
    if is_dataset and unread:
        raise UsageError(unread, f"{source} is a dataset, not a clip", "give a video, or leave it out")
    key = {
        "command": "sheet",
        "version": [VERSION, SURVEY_VERSION],
        "source": dataset_digest(context, open_dataset(source)) if is_dataset else content_digest(context, source),
        "count": request.count,
        "pairings": [pairing_record(p) for p in pairings],
        **({"device": context.device_kind} if any(one.extractor for one in shown) else {}),
        **({"span": [str(start), str(end)]} if start or end else {}),
    }

    def make(path: Path) -> Table:
        if is_dataset:
            sheet = dataset_sheet(open_dataset(source), request.count)
        else:
            clip = open_clip(context, source)
            span = range(*clip.trim(start, end))
            if pairings:
                sheet = pairing_sheet(clip, shown, span, request.count, context)
            else:
                sheet = clip_sheet(clip, span, request.count, context)
        write_picture(path, sheet.draw())
        return {"frames": sum(picture is not None for row in sheet.rows for picture in row)}

    return produce(context, output, key, [source] if source.is_file() else [], make)
