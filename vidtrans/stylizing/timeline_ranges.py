"""The ranges of media that a timeline shows, as requests to ``stylize``: each is rendered once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vidtrans.batch.inputs import result_names
from vidtrans.config.recipe import overlaid, refuse_programs, render_recipe
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.options import Use, used
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time, parse_value
from vidtrans.core.system import path_key
from vidtrans.models.look_pictures import models_named
from vidtrans.models.look_syntax import is_file, with_other_paths
from vidtrans.models.model_file import SUFFIX
from vidtrans.pipeline.settings import RenderingSettings, look_named
from vidtrans.rendering.requested_output import default_ending, is_one_picture
from vidtrans.session import Context
from vidtrans.strokes.settings import with_files_of_strokes
from vidtrans.stylizing.clips import checked, encoding_of, with_mattes
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.timelines.media_search import MediaSearch
from vidtrans.timelines.spans import ClipSpan, MediaFacts, clip_span, merge_spans, read_facts
from vidtrans.timelines.timeline import Timeline, TimelineClip
from vidtrans.timelines.whole_counts import whole_first

KEEP = "keep"  # the model of a clip that stays as it is
SETTINGS = tuple(name for name in used(RenderingSettings, Use.VARY) if name != "look")
STROKES = {"strokes": "medium", "palette": "palette"}  # settings of [strokes]
KEYS = ("model", "look", *STROKES, *SETTINGS)
TABLES = ("rendering", "strokes", "temporal", "pairing")
CLOSE = 0.8  # of difflib, from 0 to 1: a key that is this near to another is a slip of the pen
MAX_TEXT = 1000
_PAIR = re.compile(r"\s*([A-Za-z][A-Za-z _-]*(?:\.[A-Za-z][A-Za-z0-9_ -]*)?)\s*[:=]\s*(\S.*?)\s*")


@dataclass(frozen=True)
class ClipMark:
    """The look in the markers of a clip: its model ('' for that of the others), and settings by table and key."""

    model: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def keeps(self) -> bool:
        """Return whether the clip stays as it is."""
        return self.model.lower() == KEEP

    @property
    def has_look(self) -> bool:
        """Return whether it names a look instead of a model."""
        return bool(self.tables.get("rendering", {}).get("look"))


def read_marks(texts: Sequence[str], where: str, folder: Path) -> ClipMark:
    """Return what the texts of a clip's markers say; other texts are notes.

    ``where``: the clip, for messages. ``folder``: of the timeline, from which files of models and looks are found.
    Raises UsageError for an unknown key beside a known one, or one that is nearly a known one.
    """
    model, tables = "", dict[str, Table]()
    for text in texts:
        for key, value in _pairs(text, where):
            table, _, name = key.rpartition(".")
            if key == "model":
                model = _model(value, folder)
            elif key == "look":
                tables.setdefault("rendering", {})["look"] = with_other_paths(_small(value), folder, str)
            elif key in STROKES:
                tables.setdefault("strokes", {})[STROKES[key]] = _small(value)
            else:
                tables.setdefault(table or "rendering", {})[name] = parse_value(
                    f"0{value}" if value.startswith(".") else value
                )
    if model and tables.get("rendering", {}).get("look"):
        raise UsageError(where, "its markers name a model and a look", "leave one of them out")
    if "strokes" in tables:
        tables["strokes"] = with_files_of_strokes(tables["strokes"], lambda path: str(folder / path))
    refuse_programs(tables, where)
    return ClipMark(model, tables)


def _pairs(text: str, where: str) -> list[tuple[str, str]]:
    """Return the keys and values of a marker's text; [] for a note."""
    matches = [_PAIR.fullmatch(part) for part in text[:MAX_TEXT].split(";") if part.strip()]
    found = [(_key(match[1]), match[2]) for match in matches if match]
    known = [key for key, _ in found if key in KEYS or key.partition(".")[0] in TABLES]
    for key, _ in found:
        if key not in known and (known or get_close_matches(key, KEYS, 1, CLOSE)):
            raise unknown_name(f"marker '{text[:80]}' of {where}: key", key, [*KEYS, *(f"{t}.KEY" for t in TABLES)])
    if known and len(found) < len(matches):
        raise UsageError(
            f"marker '{text[:80]}' of {where}", "a part of it is not KEY: VALUE", "as in model: ink; mix: .2"
        )
    return found if known else []


def _key(text: str) -> str:
    return re.sub(r"[ -]", "_", text.strip().lower())


def _small(value: str) -> str:
    """Return a name in small letters, if a program has put it in capitals."""
    return value.lower() if value.isupper() and not os.path.exists(value) else value


def _model(value: str, folder: Path) -> str:
    """Return a model by name, or its file in the folder of the timeline."""
    for name in (value, f"{value}{SUFFIX}"):
        if is_file(name, folder):
            return str(folder / name)
    return _small(value)


Flags = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class TimelineRange:
    """A range of a media that is rendered, and the clips that show it.

    ``first``: the frame of the media that is the first of the result.
    """

    request: StylizeRequest
    facts: MediaFacts
    first: int
    clips: tuple[tuple[TimelineClip, ClipSpan], ...]


@dataclass
class _Media:
    """A media with one look, and the clips that show it."""

    facts: MediaFacts
    template: StylizeRequest
    clips: list[tuple[TimelineClip, ClipSpan]] = field(default_factory=list)


class RangePlanner:
    """Divides the media of a timeline into the ranges that are rendered.

    Args:
        template: The request of clips without markers of their own; without models if none were given.
        preset: The name of the preset, if one was given.
        flags: Settings of the command line by table and key, which the markers of a clip override.
        handles: Frames to render on both sides of what is shown.
        context: The command's context.
        is_whole: Whether the new timeline counts whole frames.
    """

    def __init__(
        self,
        template: StylizeRequest,
        preset: str | None,
        flags: Flags,
        handles: int,
        context: Context,
        *,
        is_whole: bool,
    ) -> None:
        self._template, self._preset, self._flags = template, preset, flags
        self._handles, self._context, self._is_whole = handles, context, is_whole
        self._templates: dict[str, StylizeRequest] = {}
        self._facts: dict[tuple[str, object], MediaFacts] = {}
        self.kept: list[str] = []  # clips whose markers say that they stay as they are

    def plan(self, timeline: Timeline, search: MediaSearch) -> list[TimelineRange]:
        """Return the ranges of a timeline, with names for their results. Raises UsageError, MediaError, ModelError."""
        media: dict[tuple[str, str], _Media] = {}
        for clip in timeline.clips:
            where = clip.where(timeline.path)
            mark = read_marks(clip.marks, where, timeline.path.parent)
            if mark.keeps:
                self.kept.append(clip.name)
                continue
            path = search.find(clip)
            facts = self._facts_of(path, clip)
            span = clip_span(clip, facts, where)
            if facts.rate is not None and not facts.numbers and span.scale != 1 and clip.begin is not None:
                self._tell_rates(timeline, clip, facts)
            if span.is_outside:
                self._warn_outside(timeline, clip, facts)
            look, template = self._template_for(mark, where)
            own = media.setdefault((path_key(path), look), _Media(facts, template))
            own.clips.append((clip, span))
        ranges = [one for own in media.values() for one in self._ranges(own)]
        return _named(ranges)

    def _facts_of(self, path: Path, clip: TimelineClip) -> MediaFacts:
        key = path_key(path), clip.pictures_rate
        if key not in self._facts:
            self._facts[key] = read_facts(path, clip)
        return self._facts[key]

    def _tell_rates(self, timeline: Timeline, clip: TimelineClip, facts: MediaFacts) -> None:
        counted, own = (f"{float(rate):.6g} frames a second" for rate in (clip.rate, facts.rate or 0))
        text = f"{clip.name[:80]} is counted at {counted} and has {own}: times are taken by the clock"
        self._context.warn_once(f"{timeline.path.name}: {text}", facts.path)

    def _warn_outside(self, timeline: Timeline, clip: TimelineClip, facts: MediaFacts) -> None:
        first = f"the timecode {facts.timecode}" if facts.timecode else "another count in the timeline"
        text = f"{clip.name[:80]} lies outside of {facts.path.name}, which begins at {first}"
        text += ": its times are counted from the first frame of the file; check that they are meant so"
        self._context.warn_once(f"{timeline.path.name}: {text}", facts.path)

    def _template_for(self, mark: ClipMark, where: str) -> tuple[str, StylizeRequest]:
        """Return the request of clips with these marks, and a key of it. Raises UsageError, ModelError."""
        key = digest_of([mark.model, mark.tables])
        if key not in self._templates:
            try:
                self._templates[key] = checked(self._marked(mark, where), self._context)[0]
            except (UsageError, ModelError) as error:
                if mark == ClipMark() or error.what.startswith(where):
                    raise
                raise type(error)(f"{where}: {error.what}", error.why, error.remedy) from None
        return key, self._templates[key]

    def _marked(self, mark: ClipMark, where: str) -> StylizeRequest:
        template = self._template
        if (mark.model or mark.has_look) and template.regions:
            raise UsageError(where, "--region names the looks", "leave the model out of its markers")
        models = () if mark.has_look else (mark.model,) if mark.model else template.models
        flags = overlaid(self._flags, {"rendering": {"look": ""}}) if mark.model else self._flags
        tables = overlaid(flags, mark.tables)
        if not template.regions:
            models = models_named(models, tables)
        if not models and not template.regions and not look_named(tables):
            remedy = "give --model, or a marker 'model: NAME' on the clip; 'model: keep' leaves it as it is"
            raise UsageError(where, "no model", remedy)
        recipe = render_recipe(self._preset, tables)
        programs = [one for one in template.recipe.programs if one not in recipe.programs]
        return replace(template, models=models, recipe=replace(recipe, programs=(*recipe.programs, *programs)))

    def _ranges(self, media: _Media) -> list[TimelineRange]:
        facts = media.facts
        if facts.rate is None:
            request = replace(media.template, video=facts.path)
            return [TimelineRange(request, facts, 0, tuple(media.clips))]
        spans = {(span.first, span.stop) for _, span in media.clips}
        found = []
        for begin, stop in merge_spans(spans, self._handles, facts.num_frames):
            shown = tuple(one for one in media.clips if begin <= one[1].first < stop)
            first = whole_first(begin, shown) if self._is_whole and not facts.numbers else begin
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


def _named(ranges: Sequence[TimelineRange]) -> list[TimelineRange]:
    """Return the ranges with the names of their results: SOURCE.FIRST-LAST.MODEL.mp4; a still without numbers."""
    requests = with_mattes([one.request for one in ranges])
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
