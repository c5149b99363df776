"""``vidtrans probe``: read a clip to its end and report what it contains."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.results import ProbedClip
from vidtrans.core.costs import count
from vidtrans.core.options import argument
from vidtrans.core.settings import Table, to_table
from vidtrans.session import Context

MAX_CUTS_LISTED = 12  # Maximum number of cuts that the report lists


@dataclass(frozen=True)
class Probe(Command):
    """Show the frames, times, cuts, tracks and colours of a clip, and its unusual properties."""

    CONTEXT: ClassVar = ("cache_dir", "dry_run")
    RESULT: ClassVar = ProbedClip

    video: Path = argument()

    def make(self, context: Context) -> Table:
        """Return frames, times, shots, tracks and colours of a clip, and warnings about unusual properties.

        The whole clip is read, and its index is cached for later commands. Damage is reported without an error. Raises
        MediaError if nothing can be read.
        """
        from vidtrans.clips.indexing import survey_clip
        from vidtrans.video.io.container import probe as read_headers
        from vidtrans.video.io.picture_paths import is_picture_source
        from vidtrans.video.io.policy import describe_conversions, describe_properties

        path = self.video
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
            "findings": to_table(index.findings),
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
            "not_used": list(info.not_used),
            "crop": list(info.crop),
            "audio": [dict(track.__dict__) for track in info.audio],
            "stored_size": [info.width, info.height],
            "colour_space": index.findings.matrix,
            "colour_primaries": index.findings.primaries,
            "colour_transfer": index.findings.transfer,
            "warnings": warnings,
        }

    def describe(self, table: Table) -> str:
        """Return the clip's properties and warnings as text. ``table``: the result of ``make``."""
        kind, rate = table["format"].split(",")[0], float(Fraction(table["rate"]))
        timing = f"{count(table['frames'], 'frame')}, {table['seconds']:.3f} s at {rate:.3f} frames/s"
        notes = [f"  note     {warning}" for warning in table["warnings"]]
        return "\n".join([f"{table['path']}: {kind}, {timing}", *_clip_lines(table), *notes])


def _clip_lines(table: Table) -> list[str]:
    """Return the report's lines on the picture, each sound track, other streams, and the cuts."""
    picture = f"{table['width']}x{table['height']}, {table['findings']['depth']} bits a channel"
    if "codec" in table:
        space, primaries = table["colour_space"], table["colour_primaries"]
        colours = f"{space} colours" if primaries in (space, "untagged") else f"{space} colours ({primaries} primaries)"
        picture = f"{table['codec']} {picture}, {colours}, {table['colour_range']} range"
        picture += f", {table['colour_transfer']} transfer"
    lines = [f"  picture  {picture}"]
    for track in table.get("audio", ()):
        language = "no language" if track["language"] in (None, "und") else track["language"]
        sound = f"{track['codec']} {track['sample_rate_hz']} Hz, {count(track['channels'], 'channel')}"
        lines.append(f"  sound    {sound}, {language}")
    extras = [f"subtitles ({', '.join(table['subtitles'])})"] if table.get("subtitles") else []
    extras += [count(table["chapters"], "chapter")] if table.get("chapters") else []
    extras += [f"timecode {table['timecode']}"] if table.get("timecode") else []
    if extras:
        lines.append(f"  also     {', '.join(extras)}")
    cuts = list(zip(table["cuts"], table["cuts_s"], strict=True))
    if cuts:
        first = ", ".join(f"{s:.2f} s (frame {n})" for n, s in cuts[:MAX_CUTS_LISTED])
        more = f" … and {len(cuts) - MAX_CUTS_LISTED} more (--json lists them)" if len(cuts) > MAX_CUTS_LISTED else ""
        lines.append(f"  cuts     at {first}{more}")
    return lines
