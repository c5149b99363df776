"""Render the clips of a timeline, and write the timeline that shows the results in their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.summary import Outcome
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of, link_target, write_atomically
from vidtrans.core.settings import Table
from vidtrans.core.system import path_key
from vidtrans.output.result import check_foreign, check_place, record, refuse_link
from vidtrans.session import Context
from vidtrans.stylizing.clips import stylize_batch
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.stylizing.timeline_ranges import RangePlanner, TimelineRange
from vidtrans.timelines.media_search import MediaSearch
from vidtrans.timelines.opening import TIMELINES, check_encodable, open_timeline
from vidtrans.timelines.spans import has_gaps, start_and_day, styled_pictures
from vidtrans.timelines.timeline import Relink, StyledMedia, Timeline, TimelineClip
from vidtrans.timelines.whole_counts import rounded
from vidtrans.video.io.container import probe
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.picture_paths import picture_files

UNWRITTEN = ".aaf"  # the ending of timelines that are only read


@dataclass(frozen=True)
class TimelineJob:
    """The options of the command line for a timeline.

    Attributes:
        path: The file of the timeline.
        output: What -o names: a folder for the results, or the new timeline; '' for the current folder.
        handles: Frames to render on both sides of what the timeline shows.
        folders: Folders in which media are searched by name.
        rate: The frame rate of an EDL; None for that of its media.
        preset: The name of the preset, if one was given.
        flags: Settings of the command line by table and key.
    """

    path: Path
    output: str
    handles: int
    folders: tuple[Path, ...]
    rate: Fraction | None
    preset: str | None
    flags: Mapping[str, Mapping[str, Any]]

    @property
    def folder(self) -> Path:
        """Return the folder of the results."""
        output = Path(self.output)
        return output.parent if output.suffix.lower() in TIMELINES else output

    @property
    def new_timeline(self) -> Path:
        """Return the path of the new timeline."""
        output = Path(self.output)
        if output.suffix.lower() in TIMELINES:
            return output
        ending = ".otio" if self.path.suffix.lower() == UNWRITTEN else self.path.suffix
        return refuse_link(self.folder / f"{self.path.stem}.styled{ending}")


@dataclass(frozen=True)
class TimelinePlan:
    """A timeline that was read, the ranges of its media to render, and the path of the new timeline.

    ``lost``: what the format of the new timeline cannot hold.
    """

    timeline: Timeline
    ranges: Sequence[TimelineRange]
    folder: Path
    output: Path
    lost: Sequence[str]

    @property
    def facts(self) -> Table:
        """The entries of a report before the new timeline is written."""
        return {"timeline": None, "clips": sum(len(one.clips) for one in self.ranges)}

    def key(self, one: TimelineRange) -> str:
        """Return a key of the result of a range."""
        return path_key(self.folder / (one.request.output or ""))


def plan_timeline(job: TimelineJob, template: StylizeRequest, context: Context) -> TimelinePlan:
    """Return what is rendered of a timeline. Raises UsageError, MediaError, ModelError."""
    if template.recipe.settings("encoding", EncodingSettings).rate is not None:
        why = "clips of a timeline keep their frame rates"
        raise UsageError("--fps", why, "leave it out")
    search = MediaSearch(job.path, job.folders)
    timeline = open_timeline(job.path, job.rate, search)
    output = job.new_timeline
    check_encodable(output)
    lost = timeline.check_output(output)
    is_whole = not timeline.has_fractions(output)
    planner = RangePlanner(template, job.preset, job.flags, job.handles, context, is_whole=is_whole)
    ranges = planner.plan(timeline, search)
    for reason in timeline.skipped:
        context.note(f"{job.path.name}: {reason}: not rendered", "warning")
    if not ranges:
        why = "no clip of it is rendered" + (f" ({timeline.skipped[0]})" if timeline.skipped else "")
        raise UsageError(str(job.path), why, "put a clip with media on a video track")
    media = [one.request.video for one in ranges]
    check_place(output, [job.path, *media])
    check_foreign(context.cache, output, context.overwrite)
    return TimelinePlan(timeline, ranges, job.folder, output, lost)


def stylize_timeline(
    job: TimelineJob, template: StylizeRequest, options: BatchOptions, context: Context
) -> tuple[list[Outcome], Path, Table]:
    """Render the media of a timeline; return the outcomes, the path of the summary, and facts of the new timeline.

    The new timeline is written when all results exist. Raises UsageError, MediaError, ModelError, Interrupted.
    """
    plan = plan_timeline(job, template, context)
    outcomes, summary = stylize_batch([one.request for one in plan.ranges], plan.folder, options, context)
    if context.dry_run:
        return outcomes, summary, plan.facts
    done = {path_key(o.item.output): o.table for o in outcomes if o.state == "done" and o.item.output is not None}
    left = sum(plan.key(one) not in done for one in plan.ranges)
    if left and options.is_partial and len(done) == len(outcomes):
        text = "it is written by the same command without --shard and --retry-failed, when all parts are done"
        context.note(f"{plan.output}: {text}")
    elif left:
        context.note(f"{plan.output}: not written, as {left} of {len(plan.ranges)} renders are missing", "warning")
    facts = plan.facts if left else write_timeline(plan, done, context)
    return outcomes, summary, facts


def write_timeline(plan: TimelinePlan, results: Mapping[str, Table], context: Context) -> Table:
    """Write the new timeline, with the ``results`` of all ranges by their keys; return its facts. Raises MediaError."""
    tables = [results[plan.key(one)] for one in plan.ranges]
    for text in [*plan.lost, *_write(plan.timeline, plan.ranges, tables, plan.output, context)]:
        context.note(f"{plan.output.name}: {text}", "warning")
    context.note(f"{plan.output} shows the results")
    return plan.facts | {"timeline": str(plan.output)}


def _write(
    timeline: Timeline, ranges: Sequence[TimelineRange], results: Sequence[Table], output: Path, context: Context
) -> list[str]:
    """Write the new timeline, with the ``results`` of the ranges; return what it does not hold. Raises MediaError."""
    links, lost = dict[int, Relink](), list[str]()
    for one, result in zip(ranges, results, strict=True):
        styled = _styled(Path(result["output"]), result["frames"], one)
        for clip, span in one.clips:
            own = styled
            if one.facts.numbers and clip.first_number is not None:
                if styled.names:
                    own = styled_pictures(clip, one.facts, span, one.first, styled)
                elif has_gaps(clip, one.facts, one.first, styled.num_frames):
                    lost.append(f"clip '{clip.name[:80]}' keeps its pictures, as a video has no gaps between them")
                    continue
            links[clip.number] = span.relink(own, one.first)
            if not timeline.has_fractions(output):
                links[clip.number], moved = rounded(links[clip.number], clip, span)
                lost += [_moved_text(clip, moved)] if moved else []
    content, more = timeline.relinked(links, output)
    with write_atomically(link_target(output)) as temporary:
        temporary.write_bytes(content)
        request = digest_of(["timeline", content.hex()])
        record(context.cache, output, temporary, request, {"frames": 0})
    return lost + more


def _moved_text(clip: TimelineClip, moved: int) -> str:
    frames = count(moved, "frame")
    return f"clip '{clip.name[:80]}' shows the neighbour of {frames}, as the format counts whole frames; .otio does not"


def _styled(path: Path, num_frames: int, one: TimelineRange) -> StyledMedia:
    """Return the facts of a result that a timeline needs. Raises MediaError if it cannot be read."""
    if one.facts.rate is None:
        return StyledMedia(path, 0, 1, None)
    if path.is_dir():
        names = tuple(file.name for file in picture_files(path))
        return StyledMedia(path, 0, len(names), one.facts.rate, names)
    start, _ = start_and_day(probe(path).timecode, path, one.facts.rate)
    return StyledMedia(path, start or 0, num_frames, one.facts.rate)
