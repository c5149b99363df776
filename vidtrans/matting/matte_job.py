"""Make the mattes of a request: read the painted frames, track each object, and render one result per object."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, content_digest, open_clip, with_picture_fps
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.costs import add_estimates, count
from vidtrans.core.errors import MediaError, UsageError, VidtransError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of, write_atomically, write_bytes, write_json
from vidtrans.core.mask_files import FACE, KEY, PERSON, MaskTerm
from vidtrans.core.registry import missing_file_remedy
from vidtrans.core.settings import Size, Table, Time
from vidtrans.flow.warping import grow
from vidtrans.masking.found_masks import VERSION as FOUND_MASKS
from vidtrans.masking.keying import VERSION as KEYING
from vidtrans.masking.keying import Screen, remove_spill
from vidtrans.masking.matte_edges import VERSION as EDGES
from vidtrans.masking.matte_edges import cut_out, finish_edge, refine_edge, shrink_frame
from vidtrans.matting.found_mattes import VERSION as FOUND
from vidtrans.matting.found_mattes import PeopleSearch, PersonMattes, TermMattes
from vidtrans.matting.matte_request import MATTE, Brushes, MatteRequest, Strokes, frame_of
from vidtrans.matting.object_mattes import (
    LOST,
    MatteSource,
    ModelMattes,
    ObjectMattes,
    SweptMattes,
    check_segmenter,
    segmenter_key,
)
from vidtrans.matting.segmenters import SegmenterMattes, VideoSegmenter, open_segmenter
from vidtrans.matting.settings import MattingSettings
from vidtrans.matting.stroke_masks import VERSION as GROWING
from vidtrans.matting.stroke_masks import grow_mask
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.result import Result, Work, check_named, check_parents, check_place, produce_all, refuse_link
from vidtrans.painting.key_frames import key_frame_files, named_frames, warn_unreadable
from vidtrans.perception.efficientnet_lite import EfficientNetLite
from vidtrans.perception.people import identity
from vidtrans.rendering.plan import RenderPlan, plan_render
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import OutputTarget, default_output, is_one_picture, request_digest
from vidtrans.session import Context
from vidtrans.store.stages import MatteNetworkStage, MatteStage
from vidtrans.upscaling import VERSION as UPSCALING
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.exr import encode_mattes
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.encoder import picture_names
from vidtrans.video.io.encoding import split_pattern
from vidtrans.video.io.picture_paths import is_picture_source
from vidtrans.video.plots import ContactSheet, cell_size

REACH, MAX_REACH = 12.0, 96  # Frames on either side that a painted frame improves: decay length, and maximum
MIN_AREA_PX = 64  # Area at the working size below which tracking is unreliable, in pixels
MIN_CHOSEN_SHARE = 1e-4  # Least share of a frame that a segmenter's choice covers
SHEET_FRAMES, CELL_WIDTH_PX, SHEET_COLUMNS = 12, 480, 3  # Layout of the contact sheet
SHADE = 0.3  # Factor on the brightness of the background in the contact sheet


def make_mattes(request: MatteRequest, context: Context) -> Table:
    """Make the mattes of a request, and return the result table. An interrupted run resumes on the next call.

    Raises UsageError, MediaError, Interrupted; VidtransError where the confidence is below ``least_confidence``.
    """
    with closing(MatteJob(request, context, time.monotonic())) as job:
        return job.make()


@dataclass(frozen=True)
class MatteJob:
    """A request for mattes with its inputs, which are resolved on first use; close it after use.

    ``began``: the monotonic time, in seconds, at which the work began.
    """

    request: MatteRequest
    context: Context
    began: float

    def make(self) -> Table:
        """Make the missing results; return the table of the only object, or a table with those of all objects."""
        tables = produce_all([*self.results.values()], self._prepare)
        if "dry_run" in tables[0]:
            return tables[0]
        sheet = self._sheet_path("sheet") if tables[0]["cached"] else self._write_frames_sheet()
        things = {name: table | {"sheet": str(sheet)} for name, table in zip(self.results, tables, strict=True)}
        whole = next(iter(things.values())) | ({} if list(things) == [MATTE] else {"things": things})
        if self.request.poses is not None:
            self._write_poses(self.request.poses)
        if self.request.layers is not None:
            self._write_layers(self.request.layers)
        check_confidence(whole, self.request.least_confidence)
        return whole

    def _write_poses(self, path: Path) -> None:
        """Write the joints of the person as MediaPipe's landmarks, in pixels of the clip."""
        mattes, index = self.mattes[MATTE], self.clip.index
        assert isinstance(mattes, PersonMattes)
        mattes.find("the person")  # From the cache, unless the matte was up to date and the poses are new
        joints = {frame: [[round(float(v), 3) for v in row] for row in own] for frame, own in mattes.joints().items()}
        frames = [{"frame": frame, "poseLandmarks": rows} for frame, rows in joints.items()]
        check_parents(path)
        write_json(path, {"width": index.width, "height": index.height, "frames": frames})

    def _write_layers(self, output: Path) -> None:
        """Write the mattes of all objects as the layers of one sequence of OpenEXR pictures."""
        folder, pattern = split_pattern(output)
        first, stop = self.span
        names = picture_names((), range(first, stop), "exr", pattern)
        for name, mattes in self.mattes.items():
            mattes.find("the thing" if name == MATTE else f"'{name}'")  # From the cache, as for poses
        paints = {name: self._paint(name) for name in self.mattes}
        check_parents(folder)
        folder.mkdir(exist_ok=True)
        with closing(self.clip.frames(FrameFormat(), self.context.decode_threads, first, stop)) as frames:
            for frame, name in zip(frames, names, strict=True):
                layers = {thing: paint.matte(frame.index, frame.rgb) for thing, paint in paints.items()}
                write_bytes(folder / name, encode_mattes(layers))
                self.context.report(Progress(f"writing {folder.name}", frame.index - first + 1, stop - first))
                self.context.stop.check()

    def _paint(self, name: str) -> MattePaint:
        """Return the painter of an object's matte."""
        exact = {
            thing: {f: p.mattes[thing] for f, p in self.painted.items() if thing in p.mattes and thing not in p.grown}
            for thing in self.request.brushes.things
        }
        screen = getattr(self.mattes[name], "screen", None)
        return MattePaint(self.mattes, exact, name, self.matting, self.request.with_colours, screen)

    def _prepare(self) -> Work:
        """Check the request, compute the mattes, and return the remaining work: renders and forecast."""
        plans = {name: self._plan(name) for name in self.results}
        for what in ("painted", "sheet"):
            self._sheet_path(what)
        for mattes in self.mattes.values():
            if isinstance(mattes, ModelMattes | SegmenterMattes):  # painted mattes were checked when they were read
                mattes.check()
        if not self.context.dry_run:
            if self.painted:
                self._write_painted_sheet()
            for name, mattes in self.mattes.items():
                mattes.find("the thing" if name == MATTE else f"'{name}'")

        def make(result: Result) -> Table:
            """Render one object's result, and return its table."""
            name = next(name for name, own in self.results.items() if own is result)
            return RenderJob(plans[name], self.context, self._confidence_entries(name)).render(result)

        return Work(make, lambda: self._forecast(plans))

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        """Return the render settings of the results. Raises UsageError."""
        return self.request.settings(load_model(IDENTITY, self.context), self.context)

    @cached_property
    def model(self) -> LoadedModel | None:
        """Return the user's own segmentation model; None without one. Raises ModelError, UsageError."""
        if not self.request.model:
            return None
        model = load_model(self.request.model, self.context)
        check_segmenter(model)
        return model

    @cached_property
    def segmenter(self) -> tuple[VideoSegmenter, Table] | None:
        """Return the segmenter, and its properties for cache keys; None without one. Raises UsageError, ModelError."""
        return open_segmenter(self.request.segmenter) if self.request.segmenter else None

    @cached_property
    def matting(self) -> MattingSettings:
        """Return the settings of mattes in the request's recipe."""
        return self.request.recipe.settings("matting", MattingSettings)

    @cached_property
    def clip(self) -> Clip:
        """Return the source clip with its detected cuts. Raises MediaError, UsageError."""
        video = self.request.video
        if is_one_picture(video):
            raise UsageError(str(video), "it is one picture", "give a video or a folder of pictures")
        clip = with_picture_fps(open_clip(self.context, video), self.settings.rendering.picture_fps)
        if not clip.index.same_size:
            raise MediaError(str(video), "its pictures are not of one size", "give pictures of one size")
        return with_cuts(clip, self.settings.rendering.cuts)

    @cached_property
    def span(self) -> tuple[int, int]:
        """Return the requested range [first, stop) of frame numbers. Raises UsageError."""
        return self.clip.trim(self.request.start, self.request.end)

    @cached_property
    def painted_paths(self) -> dict[int, Path]:
        """Return the file of each painted frame, by frame number; {} with a model. Raises UsageError, MediaError."""
        request = self.request
        if self.model is not None or not (request.frames or request.keyframes):
            return {}
        files = [] if request.keyframes is None else key_frame_files(request.keyframes)
        if request.keyframes is not None:
            warn_unreadable(request.keyframes, self.context)
        first, stop = self.span
        found = painted_paths_of(request.frames, files, self.clip, request.first_number)
        inside = {frame: path for frame, path in found.items() if first <= frame < stop}
        if not inside:
            what = f"--start {request.start or 0} --end {request.end or 'end'}"
            raise UsageError(what, "no painted frame lies in this part of the clip", "choose a part with one")
        return inside

    @cached_property
    def painted(self) -> dict[int, PaintedFrame]:
        """Read the painted frames, by frame number. Raises MediaError."""
        paths = self.painted_paths
        return read_paintings(paths, self.request.brushes, self.clip, self.context) if paths else {}

    @cached_property
    def results(self) -> dict[str, Result]:
        """Return each object's result, by name, with the digest of its inputs. Raises UsageError, MediaError."""
        request, brushes, found = self.request, self.request.brushes, dict[str, Result]()
        files = [[frame, self.context.cache.digest(path)] for frame, path in self.painted_paths.items()]
        digest = {
            "command": request.COMMAND,
            "source": content_digest(self.context, request.video),
            "painted": digest_of([files, brushes.inside, brushes.outside, sorted(brushes.things.items())]),
            "matting": asdict(self.matting),
            "colours": request.with_colours,
            "span": [str(request.start), str(request.end)],
            "versions": [EDGES, GROWING, MatteNetworkStage.id(), MatteStage.id(), EfficientNetLite.identity()],
            "seed": self.context.seed,
            "suggest": request.suggest,
            **(
                {"found": [request.found, str(request.at), request.screen, FOUND, KEYING, FOUND_MASKS, identity()]}
                if request.found
                else {}
            ),
            **({"segmenter": [self.segmenter[1], str(request.at)]} if self.segmenter else {}),
            **({"model": segmenter_key(self.model, self.context)} if self.model else {}),
        }
        model_files = [self.model.path] if self.model and self.model.path else []
        sources = [request.video, *self.painted_paths.values(), *model_files]
        for name in self.request.brushes.things:
            target = self._target(name)
            stills = is_picture_source(request.video)
            key = request_digest(digest | {"name": name}, self.settings, target, stills=stills)
            # The lineage omits the painted frames: a matte from changed painted frames replaces the previous result.
            lineage = digest_of([request.COMMAND, digest["source"], name])
            found[name] = Result(target.output, key, sources, self.context, target.folder, lineage, began=self.began)
        return found

    def _target(self, name: str) -> OutputTarget:
        """Return the output path of an object; with several objects the file name contains the object's name."""
        request, encoding = self.request, self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, [MATTE], encoding))
        if name != MATTE:
            folder, pattern = split_pattern(wanted)
            check_named(folder)
            is_file = self.request.makes_file and not pattern
            named = f"{folder.stem}.{name}{folder.suffix}" if is_file else f"{folder.name}.{name}"
            wanted = refuse_link(folder.with_name(named))
            wanted = wanted / pattern if pattern else wanted
        return OutputTarget.find(wanted, encoding)

    @cached_property
    def mattes(self) -> Mapping[str, ObjectMattes]:
        """Return the mattes of each object by name; they are computed later. Raises MediaError."""
        if self.model is not None:
            fps = self.settings.rendering.picture_fps
            return {MATTE: ModelMattes(opaque(self.clip), self.model, self.span, fps, self.context)}
        if self.request.found in (FACE, KEY):
            return {
                MATTE: TermMattes(MaskTerm(self.request.found, self.request.screen), self.clip, self.span, self.context)
            }
        index, found = self.clip.index, dict[str, SweptMattes]()
        size = Size(short=self.matting.size).of(index.width, index.height)
        chosen = self._find_person(size) if self.request.found == PERSON else self._chosen(size)
        for name in self.request.brushes.things:
            small: dict[int, np.ndarray] = {}
            for frame, painted in self.painted.items():
                if name in painted.mattes:
                    matte = painted.mattes[name]
                    is_small = matte.shape[::-1] == size
                    small[frame] = matte if is_small else cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
                    self._check_size(self.painted_paths[frame], name, small[frame])
            if not small and not chosen:
                colour = "#" + bytes(self.request.brushes.things[name]).hex()
                why = f"'{name}' is painted on no frame (in {colour})"
                raise MediaError(str(next(iter(self.painted_paths.values()))), why, "paint it, or leave out its name")
            source = MatteSource(self.clip, self.span, size, dict(sorted((chosen | small).items())))
            if self.segmenter:
                found[name] = SegmenterMattes(source, self.matting, self.context, self.segmenter)
            elif self.request.found == PERSON:
                wants = self.request.poses is not None
                found[name] = PersonMattes(source, self.matting, self.context, painted=small, wants_joints=wants)
            else:
                found[name] = SweptMattes(source, self.matting, self.context)
        return found

    def _chosen(self, size: tuple[int, int]) -> dict[int, np.ndarray]:
        """Return the matte (h, w) uint8 of what the segmenter finds at the chosen place, by frame; {} without a choice.

        Raises UsageError if nothing is there.
        """
        choice, index = self.request.at, self.clip.index
        if choice is None or self.segmenter is None:
            return {}
        choice.check_inside((index.width, index.height), self.clip.name)
        number = choice.frame_in(self.clip, self.span)
        [frame] = read_clip_frames(self.clip, [number], FrameFormat(Size(exact=size)), self.context)
        matte = self.segmenter[0].matte_at(frame.rgb, choice.scaled(size[0] / index.width))
        if not MIN_CHOSEN_SHARE <= (matte >= 0.5).mean() < 1:
            why = f"the segmenter finds {'all of frame' if matte.mean() > 0.5 else 'nothing there in frame'} {number}"
            raise UsageError(f"--at {choice}", why, "choose another point, or a box: --at LEFT,TOP,RIGHT,BOTTOM")
        return {number: np.rint(255 * matte).astype(np.uint8)}

    def _find_person(self, size: tuple[int, int]) -> dict[int, np.ndarray]:
        """Return the person's mattes (h, w) uint8 in one frame of each shot that has no painted frame.

        The person is the painted one; without painted frames the chosen one. Raises UsageError.
        """
        search = PeopleSearch(self.clip, self.span, size, self.request.at, self._sheet_path("people"), self.context)
        if not self.painted:
            return search.mattes()
        known = {
            frame: (shrink_frame(one.picture, size), cv2.resize(matte, size, interpolation=cv2.INTER_AREA))
            for frame, one in self.painted.items()
            for matte in one.mattes.values()
        }
        return search.mattes_of(known)

    def _check_size(self, path: Path, name: str, small: np.ndarray) -> None:
        """Raise MediaError if the object ``name`` vanishes at the working size; warn if it is small there.

        ``path``: the painted picture. ``small``: the object's matte at the working size, (h, w) uint8.
        """
        area = int((small >= 128).sum())
        whose = "the thing" if name == MATTE else f"'{name}'"
        if not area:
            height, width = small.shape
            why = f"{whose} is smaller than a pixel at {width}x{height}, where it is followed"
            raise MediaError(str(path), why, "raise --set matting.size, or cut the clip to what is around it")
        if area < MIN_AREA_PX:
            text = f"{path.name}: {whose} has {count(area, 'pixel')} at the size at which it is followed"
            self.context.note(f"{text}: look at the result", "warning")

    def _sheet_path(self, what: str) -> Path:
        """Return a contact sheet's path next to the first result; ``what``: the word in its name.

        Raises UsageError if a source or a link has this path.
        """
        result = next(iter(self.results.values()))
        path = refuse_link(result.output.parent / f"{result.output.name}.{what}.png")
        check_place(path, result.sources, folder=False)
        return path

    def _write_painted_sheet(self) -> None:
        """Write the contact sheet of the painted frames, before the slow training begins."""
        pictures = [_shade(one.picture, np.maximum.reduce([*one.mattes.values()])) for one in self.painted.values()]
        notes = [f"frame {frame}" + (", from strokes" if one.grown else "") for frame, one in self.painted.items()]
        path = self._sheet_path("painted")
        _write_sheet(path, pictures, notes, f"{self.clip.name}: painted frames")
        self.context.note(f"what is cut out of the painted frames: {path}")

    def _write_frames_sheet(self) -> Path:
        """Write the contact sheet of frames from the whole span, with their confidences; return its path."""
        first, stop = self.span
        numbers = [first + n for n in segment_centres(stop - first, min(SHEET_FRAMES, stop - first))]
        form = FrameFormat(Size(exact=next(iter(self.mattes.values())).source.size))
        pictures, notes = [], []
        for frame in read_clip_frames(self.clip, numbers, form, self.context):
            found = [one.at(frame.index) for one in self.mattes.values()]
            whole = np.maximum.reduce([one.matte for one in found])
            pictures.append(_shade(frame.rgb, np.rint(255 * whole).astype(np.uint8)))
            notes.append(f"frame {frame.index}, confidence {min(one.confidence for one in found):.2f}")
        path = self._sheet_path("sheet")
        _write_sheet(path, pictures, notes, self.clip.name)
        return path

    def _plan(self, name: str) -> RenderPlan:
        """Return the render plan of an object, after all checks. Raises UsageError, MediaError."""
        request = self.request
        self._warn_unpainted_shots(name)
        paint = self._paint(name)
        target, identity = self._target(name), load_model(IDENTITY, self.context)
        span = request.start, request.end
        clip = self.clip if request.with_colours else opaque(self.clip)
        plan = plan_render(clip, identity, self.settings, self.context, span, pattern=target.pattern)
        plan = replace(plan, paint=paint)
        target.check_holds(plan.num_frames)
        plan.delivery.check_sound(target.output)
        return plan

    def _warn_unpainted_shots(self, name: str) -> None:
        """Warn about shots in which an object has no painted frame, unless a model segments it."""
        source = self.mattes[name].source
        if self.model is not None or self.request.found in (FACE, KEY):
            return
        whose = "" if name == MATTE else f" of '{name}'"
        for shot in source.shots:
            if not any(key in shot for key in source.painted):
                where = f"frames {shot.start} to {shot.stop - 1}" if len(shot) > 1 else f"frame {shot.start}"
                text = f"the shot of {where} has no painted frame{whose}: its matte is empty"
                self.context.warn_once(text, self.request.video)

    def _confidence_entries(self, name: str) -> Table:
        """Return an object's entries in the result table: confidences, lost ranges and suggested frames."""
        source = self.mattes[name].source
        shots = [shot for shot in source.shots if not source.painted or any(key in shot for key in source.painted)]
        inside = {frame: self.mattes[name].at(frame).confidence for shot in shots for frame in shot}
        least, painted = min(inside, key=lambda frame: inside[frame]), sorted(source.painted)
        return {
            "confidence": round(float(np.mean(list(inside.values()))), 3),
            "least_sure": least,
            "least_confidence": round(inside[least], 3),
            "lost": lost_ranges(inside),
            "confidences": [round(inside[frame], 3) if frame in inside else None for frame in range(*self.span)],
            "keyframes": painted,
            "suggested": suggest_frames(inside, painted, self.request.suggest),
        }

    def _forecast(self, plans: Mapping[str, RenderPlan]) -> Table:
        """Return the table of a dry run: estimates of time, disk and memory."""
        costs = [mattes.cost() for mattes in self.mattes.values()]
        # The mattes do not exist yet, so the trial render uses the clip without them.
        costs += [RenderJob(replace(plan, paint=None), self.context).estimate() for plan in plans.values()]
        name, result = next(iter(self.results.items()))
        job = RenderJob(plans[name], self.context)
        facts = {"keyframes": sorted(self.painted), "suggested": [], "sheet": None}
        return result.report(
            job.summary(result.output) | facts | {"dry_run": True} | add_estimates(costs), cached=False
        )

    def close(self) -> None:
        """Release the cached mattes."""
        for mattes in self.__dict__.get("mattes", {}).values():
            mattes.close()


@dataclass(frozen=True)
class PaintedFrame:
    """A painted frame, (H, W, 3) uint8, and the mattes of its objects by name, (H, W) uint8.

    ``grown``: the names of the objects whose matte was grown from strokes.
    """

    picture: np.ndarray
    mattes: Mapping[str, np.ndarray]
    grown: frozenset[str]


def painted_paths_of(
    frames: Sequence[tuple[Time, Path]], files: Sequence[Path], clip: Clip, first_number: int | None
) -> dict[int, Path]:
    """Return the file painted on each frame, by frame number in order. Raises UsageError, MediaError.

    ``frames``: pictures with the times that the user gave. ``files``: pictures with frame numbers in their names;
    ``first_number``: the number of the clip's first frame in these names.
    """
    found: dict[int, Path] = {}
    for when, path in frames:
        frame = frame_of(when, clip)
        if not 0 <= frame < clip.index.num_frames:
            last = clip.index.num_frames - 1
            why = f"the last frame of {clip.name} is {last}" if frame > 0 else f"{clip.name} has no such picture"
            raise UsageError(f"--frame {when}={path}", why, "give another one")
        if not path.exists():
            raise MediaError(str(path), "no such file", missing_file_remedy(path))
        if frame in found:
            why = f"{found[frame].name} and {path.name} are both painted on frame {frame}"
            raise UsageError(f"--frame {when}={path}", why, "give one of them")
        found[frame] = path
    for path, frame in named_frames(files, clip, first_number).items():
        found.setdefault(frame, path)
    return dict(sorted(found.items()))


def read_paintings(
    painted_paths: Mapping[int, Path], brushes: Brushes, clip: Clip, context: Context
) -> dict[int, PaintedFrame]:
    """Read the painted frames; grow whole masks from strokes. Raises MediaError."""
    found = {}
    for frame in read_clip_frames(clip, list(painted_paths), FrameFormat(), context):
        path = painted_paths[frame.index]
        mattes, grown_names = {}, []
        for name, what in brushes.read(path, frame.rgb).items():
            matte = what
            if isinstance(what, Strokes):
                matte = grow_mask(frame.rgb, what.labels)
                grown_names.append(name)
                if not (matte >= 0.5).any():
                    raise MediaError(str(path), "nothing grew from its strokes", "paint more of the thing")
            mattes[name] = np.rint(255 * np.asarray(matte)).astype(np.uint8)
        if not mattes:
            things = ", ".join(brushes.things)
            remedy = "paint it in the colours of --inside and --outside, or of --names"
            raise MediaError(str(path), f"nothing is painted in it ({things})", remedy)
        found[frame.index] = PaintedFrame(frame.rgb, mattes, frozenset(grown_names))
    return found


def opaque(clip: Clip) -> Clip:
    """Return a clip without its alpha, which would else be delivered in place of the grey matte."""
    findings = replace(clip.index.findings, alpha=False)
    return replace(clip, index=replace(clip.index, findings=findings))


@dataclass(frozen=True)
class MattePaint:
    """Renders the matte of the object ``name`` for frames of the clip's own size.

    Attributes:
        mattes: The mattes of all objects, by name.
        exact: Painted mattes (H, W) uint8 at the clip's own size, by object and frame.
        layer: Whether the result has the colours of the clip, with the matte as alpha.
        screen: The screen whose light is taken out of the colours; None without one.
    """

    mattes: Mapping[str, ObjectMattes]
    exact: Mapping[str, Mapping[int, np.ndarray]]
    name: str
    settings: MattingSettings
    layer: bool = False
    screen: Screen | None = None

    def painter(self, size: tuple[int, int]) -> MattePaint:
        """Return this object, because its mattes get the size of the frames with which it is called."""
        del size
        return self

    def for_key(self) -> Table:
        """Return the properties that affect the result, for cache keys."""
        edge = {name: getattr(self.settings, name) for name in ("edge", "feather", "grow")}
        keys = {
            name: [mattes.for_key(), mattes.source.painted_key(sorted(mattes.source.painted))]
            for name, mattes in self.mattes.items()
        }
        exact = {
            name: [[frame, hashlib.sha256(matte.tobytes()).hexdigest()] for frame, matte in pictures.items()]
            for name, pictures in self.exact.items()
        }
        version = [EDGES, UPSCALING]
        return {"version": version, "mattes": keys, "exact": exact, "name": self.name, "edge": edge}

    def __call__(self, frame: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the matte of a frame as a grey picture of the output's shape and dtype."""
        full = np.iinfo(output.dtype).max
        grey = np.rint(full * self.matte(frame, source)).astype(output.dtype)
        return cv2.merge([grey, grey, grey])

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return the foreground of the frame ``source`` with its matte as alpha: (H, W, 4) of the frame's dtype.

        ``picture``, ``matte`` and ``working_size`` are not used.
        """
        del picture, matte, working_size
        clean = source if self.screen is None else remove_spill(source, self.screen)
        return cut_out(clean, self.matte(frame, source))

    def matte(self, frame: int, source: np.ndarray) -> np.ndarray:
        """Return the matte, (H, W) float32 in [0, 1], of a frame, (H, W, 3) uint8 or uint16.

        Where the mattes of several objects sum to more than 1, they are divided by the sum.
        """
        settings, whole = self.settings, (source.shape[1], source.shape[0])
        exact = {name: pictures.get(frame) for name, pictures in self.exact.items()}
        own = exact.pop(self.name, None)
        if own is not None:
            matte = own.astype(np.float32) / 255
        else:
            found = {name: mattes.at(frame).matte for name, mattes in self.mattes.items()}
            small = found[self.name] / np.maximum(sum(found.values()), 1)
            if settings.edge == "refined" and not isinstance(self.mattes[self.name], TermMattes):
                matte = refine_edge(small, shrink_frame(source, small.shape[::-1]), source)
            else:
                matte = grow(small, whole) if small.shape[::-1] != whole else small
        matte = finish_edge(matte, settings.grow, settings.feather)
        for other in exact.values() if own is None else ():
            if other is not None:
                matte = np.minimum(matte, 1 - other.astype(np.float32) / 255)
        return np.clip(matte, 0, 1)


def _shade(picture: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Darken a picture (H, W, 3) uint8 outside of the object of a matte (H, W) uint8."""
    inside = matte[..., None].astype(np.float32) / 255
    return np.asarray(np.rint(picture * (SHADE + (1 - SHADE) * inside)), np.uint8)


def _write_sheet(path: Path, pictures: Sequence[np.ndarray], notes: Sequence[str], title: str) -> None:
    """Write a contact sheet of pictures in rows of ``SHEET_COLUMNS``, with a note below each."""
    rows = [pictures[n : n + SHEET_COLUMNS] for n in range(0, len(pictures), SHEET_COLUMNS)]
    lines = [notes[n : n + SHEET_COLUMNS] for n in range(0, len(notes), SHEET_COLUMNS)]
    check_parents(path)
    with write_atomically(path) as temporary:
        write_picture(temporary, ContactSheet(title, rows, cell_size(pictures[0], CELL_WIDTH_PX), (), lines).draw())


def lost_ranges(confidences: Mapping[int, float]) -> list[list[int]]:
    """Return the frame ranges, [first, last], whose confidence is so low that the object counts as lost."""
    found: list[list[int]] = []
    for frame in (frame for frame in sorted(confidences) if confidences[frame] < LOST):
        if found and found[-1][1] == frame - 1:
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    return found


def suggest_frames(confidences: Mapping[int, float], painted: Sequence[int], count: int) -> list[int]:
    """Return the frames, in order, that would help most if painted: frames around which the confidence is lowest."""
    first, last = min(confidences), max(confidences)
    doubt = np.zeros(last - first + 1)
    for frame, sure in confidences.items():
        doubt[frame - first] = 1 - sure
    free = {frame - first for frame in confidences if frame not in painted}
    offsets = np.arange(-MAX_REACH, MAX_REACH + 1)
    near, found = np.exp(-np.abs(offsets) / REACH), list[int]()
    for _ in range(min(count, len(free))):
        gains = np.convolve(doubt, near)[MAX_REACH:-MAX_REACH]
        best = max(free, key=lambda place: (gains[place], -place))
        free.remove(best)
        found.append(best + first)
        around = np.abs(np.arange(len(doubt)) - best)
        doubt = doubt * (1 - np.exp(-around / REACH))
    return sorted(found)


def check_confidence(whole: Table, least: float) -> None:
    """Raise VidtransError if a frame in the result table of the command has a confidence below ``least``."""
    for name, table in (whole.get("things") or {"": whole}).items():
        sure, frame = table["least_confidence"], table["least_sure"]
        if sure < least:
            why = f"the confidence{f' in {name!r}' if name else ''} is {sure:.2f} in frame {frame}"
            raise VidtransError(table["output"], why, f"paint frame {frame}, or lower --min-confidence {least:g}")
