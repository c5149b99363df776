"""``vidtrans probe``: read a clip to its end and report what it contains."""

from __future__ import annotations

from vidtrans.clips.indexing import survey_clip
from vidtrans.requests import ProbeRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.container import probe as read_headers
from vidtrans.video.io.pictures import is_picture_source
from vidtrans.video.io.policy import describe_conversions, describe_properties


def probe(request: ProbeRequest, context: Context) -> Table:
    """Return frames, times, shots, tracks and colours of a clip, and warnings: what is done about what is unusual.

    The clip is read once, and its index is cached for later commands. Damage is reported, and is no error. Raises
    MediaError where nothing can be read.
    """
    path = request.video
    clip = survey_clip(context, path)
    index = clip.index
    table: Table = {
        "output": None,
        "frames": index.num_frames,
        "seconds": round(index.duration_s, 3),
        "cached": False,
        "path": str(path),
        "width": index.width,
        "height": index.height,
        "rate": str(index.rate),
        "time_base": str(index.time_base),
        "sample_aspect_ratio": str(index.sample_aspect_ratio),
        "first_pts_s": float(index.pts[0] * index.time_base),
        "cuts": list(clip.shots[1:]),
        "cuts_s": [round(float((index.pts[s] - index.pts[0]) * index.time_base), 3) for s in clip.shots[1:]],
        "findings": dict(index.findings.__dict__),
    }
    if is_picture_source(path):
        return table | {"format": "pictures", "warnings": describe_conversions(index)}
    info = read_headers(path)
    warnings = [*describe_conversions(index), *describe_properties(info, index)]
    headers = {k: v for k, v in info.__dict__.items() if k not in table}
    return {
        **table,
        **headers,
        "average_rate": str(info.average_rate),
        "subtitles": list(info.subtitles),
        "audio": [dict(track.__dict__) for track in info.audio],
        "stored_size": [info.width, info.height],
        "colour_space": index.findings.matrix,
        "warnings": warnings,
    }
