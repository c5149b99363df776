"""Apply a filter graph of the user's own ffmpeg to a source, before a model reads it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import write_atomically
from vidtrans.output.assembling import try_pass
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import FilterStage, media_libraries
from vidtrans.video.colour.conversion import with_alpha
from vidtrans.video.ffmpeg import FFmpegJob, find_program, program_version, run_ffmpeg_job
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

FILTERED = "filtered.nut"


def filtered_clip(clip: Clip, graph: str, context: Context) -> Clip:
    """Return the clip filtered by ``graph``, upright and in RGB, made once and stored in the cache.

    The graph's input is what a model would get: upright RGB frames, without damage. Raises UsageError, MediaError.
    """
    if clip.is_pictures or clip.guides:
        raise UsageError("--filter-source", f"{clip.path.name} is not a video", "filter the pictures first")
    stage = FilterStage(clip.digest, graph, program_version(find_program()), media_libraries())
    entry = context.cache.entry(stage.name, stage.key)
    picture, known, hold = _picture(clip.index), entry.read() is not None, None
    if not known:
        try_pass(FFmpegJob(graph, deep=picture.depth > 8, alpha=picture.alpha), picture, context)
        if context.dry_run:
            context.note("the filter is not run in a dry run: the estimate is for the unfiltered source")
            return clip
    if not context.dry_run:
        with entry.locked(wait_for=f"another run that filters {clip.path.name}"):
            if entry.read() is None:  # else another run has made it meanwhile
                _make(clip, graph, picture, entry, context)
                entry.finish({"graph": graph}, files=(FILTERED,))
            hold = entry.pin()
    made = open_clip(context, entry.folder / FILTERED)
    offset_s = -clip.index.zero * clip.index.time_base
    index = replace(made.index, zero=0)  # its times count from 0 already
    # No GPU decodes what is lossless.
    return replace(made, index=index, pin=hold, origin=clip, offset_s=offset_s, hardware=None)


def _picture(index: ClipIndex) -> PictureFormat:
    """Return the format of the graph's input: the source's size, depth and alpha, without loss."""
    depth = 16 if index.findings.depth > 8 else 8
    aspect = index.sample_aspect_ratio
    return PictureFormat(index.width, index.height, aspect, index.time_base, index.rate, depth, index.findings.alpha)


def _make(clip: Clip, graph: str, picture: PictureFormat, entry: CacheEntry, context: Context) -> None:
    index, whole = clip.index, entry.folder / "whole.nut"
    job = FFmpegJob(graph, deep=picture.depth > 8, alpha=picture.alpha)
    try:
        _write(clip, picture, whole, context)
        with write_atomically(entry.folder / FILTERED) as temporary:
            run_ffmpeg_job(whole, temporary, job, context.stop, context.report, index.num_frames)
    finally:
        whole.unlink(missing_ok=True)


def _write(clip: Clip, picture: PictureFormat, path: Path, context: Context) -> None:
    """Write the clip in lossless RGB, each frame at its own time."""
    index, segment = clip.index, path.with_suffix(".segment.nut")
    form = FrameFormat(deep=picture.depth > 8, alpha="kept" if picture.alpha else "laid")
    try:
        with (
            clip.reader(form, context.decode_threads) as reader,
            closing(reader.frames(index=index)) as frames,
            closing(SegmentWriter(segment, picture, EncodingSettings(codec="ffv1"))) as writer,
        ):
            for frame in frames:
                writer.write(with_alpha(frame.rgb, frame.alpha) if picture.alpha else frame.rgb, frame.pts)
                context.stop.check()
                context.report(Progress("unpacking for the filter", frame.index + 1, index.num_frames))
        pts = [p - index.zero for p in index.pts]
        join([segment], Timing(pts, index.durations(), index.time_base), path, stop=context.stop, kind="nut")
    finally:
        segment.unlink(missing_ok=True)
