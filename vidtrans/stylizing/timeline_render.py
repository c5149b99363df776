"""Render the clips of a timeline, and write a new timeline that shows the results in their places.

Each range of a media file that the timeline shows is rendered once. A shard of a timeline is a subset of these renders.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.farm import ClipTasks
from vidtrans.batch.inputs import result_names
from vidtrans.batch.jobs import Outcome
from vidtrans.config.recipe import overlaid, refuse_programs, render_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import ModelError, UsageError, VidtransError
from vidtrans.core.files import digest_of, link_target, write_atomically
from vidtrans.core.options import Use, settings_with_use
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time, parse_value
from vidtrans.core.system import path_key
from vidtrans.models.look_pictures import is_file, models_named, replace_picture_paths
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.result import check_foreign, check_place, record, refuse_link
from vidtrans.pipeline.render import RenderingSettings, look_named
from vidtrans.rendering.requested_output import default_ending, is_one_picture
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart
from vidtrans.strokes.settings import map_strokes_files
from vidtrans.stylizing.clips import (
    assign_mattes,
    batch_items,
    check_template,
    encoding_of,
    place_results,
    stylize_batch,
)
from vidtrans.stylizing.parts import farm_table, plain_path
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.timelines.media_search import MediaSearch
from vidtrans.timelines.opening import check_encodable, open_timeline
from vidtrans.timelines.spans import (
    ClipSpan,
    MediaFacts,
    align_media_start,
    clip_span,
    has_gaps,
    merge_spans,
    read_facts,
    renumber_pictures,
    rounded,
    start_and_day,
)
from vidtrans.timelines.timeline import Relink, StyledMedia, Timeline, TimelineClip, is_timeline
from vidtrans.video.io.container import probe
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.picture_paths import picture_files

KEEP_SOURCE = "keep"  # Model name in a clip's marker that excludes the clip from rendering
# Names of the rendering settings that a marker may set; it may also set the style (``look``)
MARKER_SETTINGS = tuple(name for name in settings_with_use(RenderingSettings, Use.VARY) if name != "look")
# Settings of the recipe table [strokes] that a marker may set: names by their keys in markers
STROKE_KEYS = {"strokes": "medium", "palette": "palette"}
# Keys that a marker may contain without the name of a table
MARKER_KEYS = ("model", "look", *STROKE_KEYS, *MARKER_SETTINGS)
# Recipe tables whose settings a marker may contain, as TABLE.KEY
MARKER_TABLES = ("rendering", "strokes", "temporal", "pairing")
TYPO_SIMILARITY = 0.8  # Least similarity by difflib, 0 to 1, at which an unknown key counts as a typing error
MAX_MARKER_LENGTH = 1000  # Largest number of characters of a marker that are parsed
# Matches a key and its value in a marker, such as "model: ink" or "temporal.strength = 0.5"
_MARKER_PAIR = re.compile(r"\s*([A-Za-z][A-Za-z _-]*(?:\.[A-Za-z][A-Za-z0-9_ -]*)?)\s*[:=]\s*(\S.*?)\s*")
READ_ONLY_ENDING = ".aaf"  # File name ending of timelines that are read but not written


@dataclass(frozen=True)
class TimelineJob:
    """The command-line options for rendering a timeline.

    Attributes:
        path: The file of the timeline.
        output: The value of -o: a folder for the results, or the new timeline; '' for the current folder.
        handles: Number of frames to render on both sides of each range that the timeline shows.
        folders: Folders in which media are searched by name.
        rate: The frame rate of an EDL in frames per second; None for the rate of its media.
        preset: The name of the preset on the command line; None without a preset.
        flags: Settings on the command line, by table and key.
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
        return output.parent if is_timeline(output) else output

    @property
    def new_timeline(self) -> Path:
        """Return the path of the new timeline; its default name is that of the old one with ".styled"."""
        output = Path(self.output)
        if is_timeline(output):
            return output
        ending = ".otio" if self.path.suffix.lower() == READ_ONLY_ENDING else self.path.suffix
        return refuse_link(self.folder / f"{self.path.stem}.styled{ending}")


def stylize_timeline(
    job: TimelineJob,
    template: StylizeRequest,
    options: BatchOptions,
    context: Context,
    part: ClipPart | None = None,
    *,
    join: bool = False,
) -> tuple[list[Outcome], Path, Table]:
    """Render the media of a timeline; return the outcomes, the path of the summary, and facts of the new timeline.

    The new timeline is written when all results exist. ``part`` I of N: render only every N-th range, as a shard; with
    ``join``, also write the new timeline if no render is missing. ``join`` without ``part``: render nothing; missing
    renders are an error. Raises UsageError, MediaError, ModelError, VidtransError, Interrupted.
    """
    plan = plan_timeline(job, template, context)
    requests, is_divided = [one.request for one in plan.ranges], bool(part or join)
    batches = [] if is_divided else [options]
    if part:
        shards = [f"{number}/{part.count}" for number in range(part.first, part.last + 1)]
        batches = [BatchOptions(executor="inline", shard=shard) for shard in shards]
    outcomes, summary = list[Outcome](), plan.folder / "none"
    for own in batches:
        some, summary = stylize_batch(requests, plan.folder, own, context)
        outcomes += some
    if (batches and context.dry_run) or (part and not join):
        return outcomes, summary, plan.facts
    ended = {path_key(o.item.output): o.table for o in outcomes if o.state == "done" and o.item.output is not None}
    done = _existing_reports(plan, context) if is_divided else ended
    num_missing = sum(plan.key(one) not in done for one in plan.ranges)
    missing = f"renders are missing ({num_missing} of {len(plan.ranges)})"
    if num_missing and not batches:
        raise VidtransError(str(plan.output), missing, "render these parts with --chunk, then --join again")
    if num_missing and part:
        context.note(f"{plan.output}: not written yet, as {missing}")
    elif num_missing and options.is_partial and len(ended) == len(outcomes):
        text = "it is written by the same command without --shard and --retry-failed, when all parts are done"
        context.note(f"{plan.output}: {text}")
    elif num_missing:
        context.note(
            f"{plan.output}: not written, as {num_missing} of {len(plan.ranges)} renders are missing",
            "warning",
        )
    if not batches:
        items = batch_items(requests, plan.folder)
        outcomes = [Outcome(item, "done", done[path_key(item.output)]) for item in items if item.output is not None]
    return (
        outcomes,
        summary,
        plan.facts if num_missing or context.dry_run else write_timeline(plan, done, context),
    )


def _existing_reports(plan: TimelinePlan, context: Context) -> dict[str, Table]:
    """Return the reports of existing results by ``TimelinePlan.key``. Raises UsageError for outputs of others."""
    found = {}
    for request in place_results([one.request for one in plan.ranges], plan.folder):
        result = RequestedRender(replace(request, in_batch=True), context, time.monotonic()).result
        table = result.existing()
        if table is not None:
            found[path_key(result.output)] = result.report(table, cached=True)
    return found


def print_timeline(
    job: TimelineJob,
    template: StylizeRequest,
    name: str,
    command: Sequence[str],
    max_tasks: int | None,
    context: Context,
) -> Table:
    """Create a farm job with a task for each render of a timeline, and a task that writes the new timeline.

    Returns the job's table, with its text in format ``name`` as ``job``. ``command``: the common start of all commands,
    up to the timeline. ``max_tasks``: the maximum number of tasks that render. Raises the errors of
    ``stylize_timeline``.
    """
    plan = plan_timeline(job, template, context)
    parts = min(len(plan.ranges), max_tasks or len(plan.ranges))
    source = plain_path(job.path)
    own = (*command, *("--score",) * template.score, source, "-o", job.output or ".")
    return farm_table([ClipTasks(source, str(plan.output), parts, own)], name, context)


@dataclass(frozen=True)
class TimelinePlan:
    """A timeline, the ranges of media to render for it, and the path of the new timeline.

    ``lost``: warnings about content that the format of the new timeline cannot hold.
    """

    timeline: Timeline
    ranges: Sequence[TimelineRange]
    folder: Path
    output: Path
    lost: Sequence[str]

    @property
    def facts(self) -> Table:
        """Return the report's entries about the timeline, before the new timeline is written."""
        return {"timeline": None, "clips": sum(len(one.clips) for one in self.ranges)}

    def key(self, one: TimelineRange) -> str:
        """Return the key of the render of a range (``one``): its output path in a comparable form."""
        return path_key(self.folder / (one.request.output or ""))


def plan_timeline(job: TimelineJob, template: StylizeRequest, context: Context) -> TimelinePlan:
    """Read a timeline and plan its renders. Raises UsageError, MediaError, ModelError."""
    if template.recipe.settings("encoding", EncodingSettings).rate is not None:
        why = "clips of a timeline keep their frame rates"
        raise UsageError("--fps", why, "leave it out")
    search = MediaSearch(job.path, job.folders)
    timeline = open_timeline(job.path, job.rate, search)
    output = job.new_timeline
    check_encodable(output)
    lost = timeline.check_output(output)
    is_whole = not timeline.has_fractions(output)
    planner = RangePlanner(job, template, context, is_whole=is_whole)
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


def write_timeline(plan: TimelinePlan, results: Mapping[str, Table], context: Context) -> Table:
    """Write the new timeline, which shows the rendered ranges; return its entries of the report. Raises MediaError.

    ``results``: the result table of each range, by ``TimelinePlan.key``.
    """
    timeline, output = plan.timeline, plan.output
    links, lost = dict[int, Relink](), list(plan.lost)
    for one in plan.ranges:
        result = results[plan.key(one)]
        styled = _read_styled_media(Path(result["output"]), result["frames"], one)
        for clip, span in one.clips:
            own = styled
            if one.facts.numbers and clip.first_number is not None:
                if styled.names:
                    own = renumber_pictures(clip, one.facts, span, one.first, styled)
                elif has_gaps(clip, one.facts, one.first, styled.num_frames):
                    lost.append(f"clip '{clip.name[:80]}' keeps its pictures, as a video has no gaps between them")
                    continue
            links[clip.number] = span.relink(own, one.first)
            if not timeline.has_fractions(output):
                links[clip.number], moved = rounded(links[clip.number], clip, span)
                if moved:
                    shown = f"clip '{clip.name[:80]}' shows the neighbour of {count(moved, 'frame')}"
                    lost.append(f"{shown}, as the format counts whole frames; .otio does not")
    content, more = timeline.relinked(links, output)
    with write_atomically(link_target(output)) as temporary:
        temporary.write_bytes(content)
        record(context.cache, output, temporary, digest_of(["timeline", content.hex()]), {"frames": 0})
    for text in [*lost, *more]:
        context.note(f"{output.name}: {text}", "warning")
    context.note(f"{output} shows the results")
    return plan.facts | {"timeline": str(output)}


def _read_styled_media(path: Path, num_frames: int, one: TimelineRange) -> StyledMedia:
    """Read the properties of a rendered file that a timeline needs. Raises MediaError if the file cannot be read."""
    if one.facts.rate is None:
        return StyledMedia(path, 0, 1, None)
    if path.is_dir():
        names = tuple(file.name for file in picture_files(path))
        return StyledMedia(path, 0, len(names), one.facts.rate, names)
    start, _ = start_and_day(probe(path).timecode, path, one.facts.rate)
    return StyledMedia(path, start or 0, num_frames, one.facts.rate)


class RangePlanner:
    """A planner of the frame ranges of media files that have to be rendered for a timeline.

    Args:
        job: The command-line options; the markers of a clip override their settings.
        template: The request of clips without markers; it has no models if the command line names none.
        context: The command's context.
        is_whole: The new timeline counts whole frames.
    """

    def __init__(self, job: TimelineJob, template: StylizeRequest, context: Context, *, is_whole: bool) -> None:
        self._job, self._template, self._context, self._is_whole = job, template, context, is_whole
        self._templates: dict[str, StylizeRequest] = {}
        self._facts: dict[tuple[str, object], MediaFacts] = {}

    def plan(self, timeline: Timeline, search: MediaSearch) -> list[TimelineRange]:
        """Return the media ranges to render, with the names of the results.

        Raises UsageError, MediaError, ModelError.
        """
        media: dict[tuple[str, str], _Media] = {}
        for clip in timeline.clips:
            where = clip.where(timeline.path)
            mark = read_marks(clip.marks, where, timeline.path.parent)
            if mark.keeps:
                continue
            path = search.find(clip)
            key = path_key(path), clip.pictures_rate
            facts = self._facts[key] = self._facts.get(key) or read_facts(path, clip)
            span = clip_span(clip, facts, where)
            for text in _time_warnings(clip, facts, span):
                self._context.warn_once(f"{timeline.path.name}: {text}", facts.path)
            look, template = self._template_for(mark, where)
            own = media.setdefault((path_key(path), look), _Media(facts, template))
            own.clips.append((clip, span))
        return _name_results([one for own in media.values() for one in self._ranges(own)])

    def _template_for(self, mark: ClipMark, where: str) -> tuple[str, StylizeRequest]:
        """Return a key and the request for clips with the markers ``mark``; ``where``: the clip, for messages.

        Raises UsageError, ModelError.
        """
        key = digest_of([mark.model, mark.tables])
        if key not in self._templates:
            try:
                self._templates[key] = check_template(self._apply_mark(mark, where), self._context)[0]
            except (UsageError, ModelError) as error:
                if mark == ClipMark() or error.what.startswith(where):
                    raise
                raise type(error)(f"{where}: {error.what}", error.why, error.remedy) from None
        return key, self._templates[key]

    def _apply_mark(self, mark: ClipMark, where: str) -> StylizeRequest:
        """Return the template with the model and settings of a clip's markers. Raises UsageError."""
        template = self._template
        if (mark.model or mark.has_look) and template.regions:
            raise UsageError(where, "--region names the looks", "leave the model out of its markers")
        models = () if mark.has_look else (mark.model,) if mark.model else template.models
        flags = overlaid(self._job.flags, {"rendering": {"look": ""}}) if mark.model else self._job.flags
        tables = overlaid(flags, mark.tables)
        if not template.regions:
            models = models_named(models, tables)
        if not models and not template.regions and not look_named(tables):
            remedy = "give --model, or a marker 'model: NAME' on the clip; 'model: keep' leaves it as it is"
            raise UsageError(where, "no model", remedy)
        recipe = render_recipe(self._job.preset, tables)
        programs = [one for one in template.recipe.programs if one not in recipe.programs]
        return replace(template, models=models, recipe=replace(recipe, programs=(*recipe.programs, *programs)))

    def _ranges(self, media: _Media) -> list[TimelineRange]:
        """Return the ranges of a media file that its clips show, with handles; overlapping ranges are merged."""
        facts = media.facts
        if facts.rate is None:
            request = replace(media.template, video=facts.path)
            return [TimelineRange(request, facts, 0, tuple(media.clips))]
        spans = {(span.first, span.stop) for _, span in media.clips}
        found = []
        for begin, stop in merge_spans(spans, self._job.handles, facts.num_frames):
            shown = tuple(one for one in media.clips if begin <= one[1].first < stop)
            first = align_media_start(begin, shown) if self._is_whole and not facts.numbers else begin
            whole = first == 0 and (facts.num_frames is None or stop >= facts.num_frames)
            request = replace(
                media.template,
                video=facts.path,
                start=None if whole else Time(frame=first),
                end=None if whole else Time(frame=stop),
            )
            if facts.numbers:
                rate: dict[str, Table] = {"rendering": {"picture_fps": float(facts.rate)}}
                request = replace(request, recipe=request.recipe.under(rate))
            found.append(TimelineRange(request, facts, first, shown))
        return found


@dataclass(frozen=True)
class TimelineRange:
    """A frame range of a media file to render, and the clips of the timeline that show frames of it.

    ``first``: the first frame of the range. ``facts``: the properties of the media file.
    """

    request: StylizeRequest
    facts: MediaFacts
    first: int
    clips: tuple[tuple[TimelineClip, ClipSpan], ...]


@dataclass
class _Media:
    """A media file to render in one style, and the clips of the timeline that show it in this style."""

    facts: MediaFacts
    template: StylizeRequest
    clips: list[tuple[TimelineClip, ClipSpan]] = field(default_factory=list)


def _time_warnings(clip: TimelineClip, facts: MediaFacts, span: ClipSpan) -> Iterator[str]:
    """Yield warnings about assumptions that were made about a clip's times in its media file."""
    if facts.rate is not None and not facts.numbers and span.scale != 1 and clip.begin is not None:
        counted, own = (f"{float(rate):.6g} frames a second" for rate in (clip.rate, facts.rate))
        yield f"{clip.name[:80]} is counted at {counted} and has {own}: times are taken by the clock"
    if span.is_outside:
        first = f"the timecode {facts.timecode}" if facts.timecode else "another count in the timeline"
        text = f"{clip.name[:80]} lies outside of {facts.path.name}, which begins at {first}"
        yield f"{text}: its times are counted from the first frame of the file; check that they are meant so"


def _name_results(ranges: Sequence[TimelineRange]) -> list[TimelineRange]:
    """Set the names of the ranges' results: SOURCE.FIRST-LAST.MODEL.mp4, without frame numbers for stills."""
    requests = assign_mattes([one.request for one in ranges])
    videos = list({path_key(request.video): request.video for request in requests}.values())
    stems = dict(zip(map(path_key, videos), result_names(videos, [""] * len(videos)), strict=True))
    seen: dict[str, int] = {}
    found = []
    for one, request in zip(ranges, requests, strict=True):
        stop = one.request.end.frame if one.request.end is not None else one.facts.num_frames
        part = "" if is_one_picture(request.video) or stop is None else f".{one.first}-{(stop or 1) - 1}"
        ending = default_ending(request.video, request.names, encoding_of(request))
        stem = f"{stems[path_key(request.video)]}{part}"
        number = seen[f"{stem}{ending}".casefold()] = seen.get(f"{stem}{ending}".casefold(), 0) + 1
        name = f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        found.append(replace(one, request=replace(request, output=Path(name))))
    return found


@dataclass(frozen=True)
class ClipMark:
    """The model in a clip's markers ('' for the command line's model), and the settings in them by table and key."""

    model: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def keeps(self) -> bool:
        """Return whether the markers exclude the clip from rendering, so that it keeps its source."""
        return self.model.lower() == KEEP_SOURCE

    @property
    def has_look(self) -> bool:
        """Return whether the markers name a style instead of a model."""
        return bool(self.tables.get("rendering", {}).get("look"))


def read_marks(texts: Sequence[str], where: str, folder: Path) -> ClipMark:
    """Parse the texts of a clip's markers; texts without settings are the editor's notes and are skipped.

    ``where``: the clip, for messages. ``folder``: the timeline's folder, to which paths of models and style pictures
    are relative. Raises UsageError for an unknown key next to a known one, and for a key similar to a known one.
    """
    model, tables = "", dict[str, Table]()
    for text in texts:
        for key, value in _parse_marker(text, where):
            table, _, name = key.rpartition(".")
            if key == "model":
                model = _find_model_file(value, folder)
            elif key == "look":
                tables.setdefault("rendering", {})["look"] = replace_picture_paths(
                    _lower_if_capitals(value), folder, str
                )
            elif key in STROKE_KEYS:
                tables.setdefault("strokes", {})[STROKE_KEYS[key]] = _lower_if_capitals(value)
            else:
                tables.setdefault(table or "rendering", {})[name] = parse_value(
                    f"0{value}" if value.startswith(".") else value
                )
    if model and tables.get("rendering", {}).get("look"):
        raise UsageError(where, "its markers name a model and a look", "leave one of them out")
    if "strokes" in tables:
        tables["strokes"] = map_strokes_files(tables["strokes"], lambda path: str(folder / path))
    refuse_programs(tables, where)
    return ClipMark(model, tables)


def _parse_marker(text: str, where: str) -> list[tuple[str, str]]:
    """Return the (key, value) pairs in a marker's text; [] for an editor's note."""
    matches = [_MARKER_PAIR.fullmatch(part) for part in text[:MAX_MARKER_LENGTH].split(";") if part.strip()]
    found = [(re.sub(r"[ -]", "_", match[1].strip().lower()), match[2]) for match in matches if match]
    known = [key for key, _ in found if key in MARKER_KEYS or key.partition(".")[0] in MARKER_TABLES]
    for key, _ in found:
        if key not in known and (known or get_close_matches(key, MARKER_KEYS, 1, TYPO_SIMILARITY)):
            raise unknown_name(
                f"marker '{text[:80]}' of {where}: key", key, [*MARKER_KEYS, *(f"{t}.KEY" for t in MARKER_TABLES)]
            )
    if known and len(found) < len(matches):
        raise UsageError(
            f"marker '{text[:80]}' of {where}", "a part of it is not KEY: VALUE", "as in model: ink; mix: .2"
        )
    return found if known else []


def _lower_if_capitals(value: str) -> str:
    """Return a name in lower case if it is all capitals, as some editing programs write markers."""
    return value.lower() if value.isupper() and not os.path.exists(value) else value


def _find_model_file(value: str, folder: Path) -> str:
    """Return the path of a model in the timeline's folder; its name if the folder has no such file."""
    for name in (value, f"{value}{SUFFIX}"):
        if is_file(name, folder):
            return str(folder / name)
    return _lower_if_capitals(value)
