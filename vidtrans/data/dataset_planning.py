"""The plan of a dataset: open and check the sources, and assign roles and file names to frames, without writing.

Some held-out pairs are also stored at the source's size, to score delivered pictures, which a render enlarges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path

import numpy as np

from vidtrans.clips.cut_list import AUTO, OFF, cuts_for_key, with_cuts
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.label_maps import NUM_SAMPLE_FRAMES, report_labels, with_palette
from vidtrans.clips.sampling import segment_centres, spread_numbers
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import base_name, digest_of
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Size, Table, Time, parse_size
from vidtrans.data.dataset import Dataset, FrameRecord, Role, check_pairs
from vidtrans.data.domains import (
    Domain,
    DomainClip,
    check_clips,
    check_domains,
    check_domains_are_disjoint,
    check_frames,
    sample_clip,
)
from vidtrans.data.match_search import MatchedSource, MatchSearch, separate_held_out
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import (
    ClipSource,
    FolderSource,
    PictureExtractor,
    Source,
    check_shapes,
    find_pairs,
    find_targets,
    shape_of,
)
from vidtrans.data.target_classes import TargetMaps, report_classes, with_clip_names, with_found_classes
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.flow.survey import Survey, find_blurred, find_near_duplicates
from vidtrans.masking.found_masks import mask_digest, open_mask
from vidtrans.pairing.aligned import Matched, Unpaired
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.labels import Labels
from vidtrans.pairing.pairing_records import MATTE, MatteChannel, make_pairing, pairing_record
from vidtrans.pairing.pose import Pose
from vidtrans.pairing.segment import Segment
from vidtrans.pairing.stack import Stack, StackSettings
from vidtrans.session import Context
from vidtrans.store.stages import DatasetStage, media_libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.picture_paths import exr_layer_names, find_guides, is_picture_source, picture_files
from vidtrans.video.io.pictures import guide_with_span, open_reader, performer_body

SUFFIX = ".dataset"  # Suffix of the names of dataset folders.
# Number of frames in a chunk, whose pictures are written together; an interrupted run writes it again.
CHUNK_FRAMES = 50
# Suffixes of the folders of extracted pictures, of mattes, of mattes of preserved content, and of full-size pictures.
EXTRACTED, MATTES, KEEP, FULL = "extracted", "matte", "keep", "full"
MAX_LISTED_LAYERS = 6  # Maximum number of names of OpenEXR layers in a message.
GREY_CHECK_SIDE_PX = 64  # Short side in pixels to which guides are reduced in the search for colour.
# Maximum difference between the channels of a grey picture, in levels of 255; codecs cause up to this difference.
MAX_GREY_SPREAD = 2


@dataclass(frozen=True)
class DatasetPlan:
    """The frame records of a dataset, and the chunks in which its pictures are written; a chunk belongs to one source.

    ``pairing``: the pairing, which converts frames to the stored pictures.
    """

    records: tuple[FrameRecord, ...]
    chunks: tuple[tuple[FrameRecord, ...], ...]
    pairing: Pairing

    @property
    def num_stored(self) -> int:
        """Return the number of frames whose pictures are stored."""
        return sum(map(len, self.chunks))

    @property
    def full_size(self) -> list[FrameRecord]:
        """Return the records of the frames with full-size pictures."""
        return [record for record in self.records if record.full]


@dataclass(frozen=True)
class PlannedDataset:
    """A dataset before its pictures are written: index, plan, opened sources, settings and cache stage."""

    dataset: Dataset
    plan: DatasetPlan
    sources: list[Source]
    settings: DatasetSettings
    stage: DatasetStage

    def first_pictures(self) -> Iterator[Sequence[np.ndarray]]:
        """Yield the pictures of each frame in the first chunk, see ``ClipSource.pictures``."""
        first = self.plan.chunks[0]
        rows = self.sources[first[0].source].pictures([r.index for r in first], parse_size(self.settings.size))
        return ((self.plan.pairing.stored(frame), *others) for frame, *others in rows)


def plan_dataset(sources: Sequence[Source], pairing: Pairing, settings: DatasetSettings) -> DatasetPlan:
    """Return the plan of a dataset: file names and roles of the frames, and the chunks.

    Only the headers of the held-out pictures of a folder of pairs are read. Raises MediaError if a picture is damaged.
    """
    records: list[FrameRecord] = []
    chunks: list[tuple[FrameRecord, ...]] = []
    for number, (source, folder) in enumerate(zip(sources, _folder_names(sources), strict=True)):
        unpaired = isinstance(pairing, Unpaired)
        for record in _frame_records(source, settings, may_drop=not pairing.needs_target, unpaired=unpaired):
            name = f"{record.index:06d}.png"
            target = f"{folder}.target/{name}" if pairing.needs_target else None
            guides = () if isinstance(pairing, Pose) else source.guides  # A drawn pose is the only input picture.
            first, *others = [f"{folder}.{g}/{name}" for g in guides] or [f"{folder}/{name}"]
            others += [f"{folder}.{EXTRACTED}/{name}"] if pairing.extraction else []
            others += [f"{folder}.{MATTES}/{name}"] if isinstance(pairing, MatteChannel) else []
            keep = f"{folder}.{KEEP}/{name}" if isinstance(source, ClipSource) and source.mask else None
            records.append(replace(record, source=number, file=first, target=target, guides=tuple(others), keep=keep))
    if pairing.needs_target and not pairing.at_source_size and pairing.class_colours is None:
        records = with_full_size(records, sources, settings)
    for _, source_records in groupby(records, key=lambda record: record.source):
        stored = [r for r in source_records if r.names]
        chunks += [tuple(stored[at : at + CHUNK_FRAMES]) for at in range(0, len(stored), CHUNK_FRAMES)]
    return DatasetPlan(tuple(records), tuple(chunks), pairing)


def _frame_records(
    source: Source, settings: DatasetSettings, *, may_drop: bool, unpaired: bool
) -> Iterator[FrameRecord]:
    """Yield a source's frame records, without file names; ``may_drop``: drop near-duplicate and blurred frames.

    ``unpaired``: of an unpaired dataset, where single pictures of a folder of unrelated pictures are held out.
    """
    if isinstance(source, ClipSource) and unpaired and source.shows_single_pictures:
        yield from _single_picture_records(source, settings)
        return
    if isinstance(source, FolderSource):
        # The folder's pairs have no order in time, so single pairs are held out, and no gap is needed.
        roles = split_roles(len(source.pairs), settings.val_fraction, 1, 0)
        has_val = "val" in source.roles
        for i, (folder_role, split_role) in enumerate(zip(source.roles, roles, strict=True)):
            yield FrameRecord("", 0, i, i, i, folder_role if has_val and folder_role else split_role)
        return
    for shot, inside in enumerate(source.shots()):
        # Frames are not dropped if there is a separate target, which may move while the source rests.
        dropped = _frames_to_drop(source.survey, inside, settings) if may_drop else source.left_out
        stored = [n for n in inside if n not in dropped]
        roles = split_roles(len(stored), settings.val_fraction, settings.val_block_size, settings.val_gap)
        by_number = dict(zip(stored, roles, strict=True))
        if isinstance(source, MatchedSource):
            by_number = separate_held_out(by_number, source.matches, settings.val_gap)
        for n in inside:
            yield FrameRecord("", 0, n, source.index.pts[n], shot, by_number.get(n, "dropped"))


def _single_picture_records(source: ClipSource, settings: DatasetSettings) -> Iterator[FrameRecord]:
    """Yield the records of a folder of unrelated pictures, of which single pictures are held out."""
    numbers = [(n, shot) for shot, inside in enumerate(source.shots()) for n in inside]
    dropped = _frames_to_drop(source.survey, [n for n, _ in numbers], replace(settings, min_sharpness=0.0))
    roles = iter(split_roles(len(numbers) - len(dropped), settings.val_fraction, 1, 0))
    for n, shot in numbers:
        yield FrameRecord("", 0, n, source.index.pts[n], shot, "dropped" if n in dropped else next(roles))


def split_roles(num_frames: int, fraction: float, block: int, gap: int) -> list[Role]:
    """Return the role of each frame of a shot: about ``fraction`` held out, in blocks of ``block`` frames, with gaps.

    The blocks are evenly spaced. Neighbouring frames are nearly identical, so ``gap`` frames on either side of a block
    are unused. All frames of a shot that is too short for a block and its gaps are for training.
    """
    roles: list[Role] = ["train"] * num_frames
    span = block + 2 * gap
    # The number of blocks leaves at least half of the frames around every block for training.
    count = min(round(num_frames * fraction / block) or 1, num_frames // (2 * span)) if fraction > 0 else 0
    for middle in segment_centres(num_frames, count):
        first = middle - span // 2
        for i in range(first, first + span):
            roles[i] = "val" if gap <= i - first < gap + block else "gap"
    return roles


def _frames_to_drop(survey: Survey, numbers: list[int], settings: DatasetSettings) -> set[int]:
    """Return the numbers of near-duplicate and blurred frames among ``numbers``, the frames of one shot."""
    dropped = find_near_duplicates(survey.looks, numbers) if settings.drop_duplicates else set()
    if settings.min_sharpness:
        dropped |= find_blurred(survey.sharpness, [n for n in numbers if n not in dropped], settings.min_sharpness)
    return dropped


def _folder_names(sources: Sequence[Source]) -> list[str]:
    """Return the name of the picture folder of each source; a number is appended to repeated names."""
    names: list[str] = []
    for source in sources:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in source.name).strip("_") or "clip"
        name, k = plain, 2
        while name in names:
            name, k = f"{plain}-{k}", k + 1
        names.append(name)
    return names


def with_full_size(
    records: Sequence[FrameRecord], sources: Sequence[Source], settings: DatasetSettings
) -> list[FrameRecord]:
    """Return the records, with names of full-size pictures added for evenly spaced held-out frames.

    Only frames whose source is larger than the stored size are chosen, at most ``settings.full_size_pairs``. Raises
    MediaError if a picture of a folder of pairs cannot be read.
    """
    planned = list(records)
    if not settings.full_size_pairs:
        return planned
    size = parse_size(settings.size)
    larger = [i for i, r in enumerate(records) if r.role == "val" and _is_larger(sources[r.source], r.index, size)]
    for number in spread_numbers(len(larger), settings.full_size_pairs):
        record = records[larger[number]]
        folder, _, name = record.file.partition("/")
        planned[larger[number]] = replace(record, full=(f"{folder}.{FULL}/{name}", f"{folder}.{FULL}.target/{name}"))
    return planned


def _is_larger(source: Source, number: int, size: Size) -> bool:
    """Return whether frame ``number`` of a source has a full size with both sides longer than those at ``size``."""
    full = source.full_size(number)
    return full is not None and all(whole > stored for whole, stored in zip(full, size.of(*full), strict=True))


def with_guides(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return the pairing; a stack of guides without names gets the names of all guides in ``folder`` but the target.

    Grey guides become one channel. OpenEXR guides of data (depth …) get a fixed range of values, so that renders of
    other clips use the same range. Poses get the size of the target's frames, and the person that is visible longest.
    """
    if isinstance(pairing, Pose):
        return _with_body(pairing, folder, target)
    if not isinstance(pairing, Stack) or (pairing.guides and not folder.is_dir()):
        return pairing
    if pairing.guides:
        both = zip(pairing.guides, pairing.settings.guides, strict=True)
        fixed = tuple(guide_with_span(folder, name) + whole[len(name) :] for name, whole in both)
        return pairing if fixed == pairing.settings.guides else Stack(StackSettings(fixed))
    target = target.resolve() if target else None
    guides = find_guides(folder) if folder.is_dir() else {}
    guides = {name: path for name, path in guides.items() if path.resolve() != target and name != "target"}
    if not guides:
        remedy = "give a folder with a folder of pictures for each guide: depth/, normals/ …"
        if layers := exr_layer_names(folder):
            listed = ", ".join(f'"#{name}"' for name in layers[:MAX_LISTED_LAYERS])
            remedy = f"its pictures have layers: --set 'pairing.guides=[{listed}]' names them"
        raise UsageError(str(folder), "no guides in it", remedy)
    guide_names = (guide_with_span(folder, name) + (":1" if _is_grey(path) else "") for name, path in guides.items())
    return Stack(StackSettings(tuple(guide_names)))


def _with_body(pairing: Pose, keypoints: Path, target: Path | None) -> Pose:
    """Return the pose pairing; if not set, its size becomes the target's, its person the one visible longest.

    Raises MediaError.
    """
    settings = pairing.settings
    if not settings.size and target is not None:
        with open_reader(target) as reader, closing(reader.frames()) as frames:
            height, width = next(frames).rgb.shape[:2]
        settings = replace(settings, size=f"{width}x{height}")
    if not settings.body:
        settings = replace(settings, body=performer_body(keypoints, str(settings.view)))
    return Pose(settings)


def _is_grey(guide: Path) -> bool:
    """Return whether all frames of a guide are grey; every frame is read, as the first may be black."""
    with (
        open_reader(guide, FrameFormat(Size(short=GREY_CHECK_SIDE_PX)), tolerant=True) as reader,
        closing(reader.frames()) as frames,
    ):
        return all(int(np.ptp(frame.rgb.astype(np.int16), axis=2).max()) <= MAX_GREY_SPREAD for frame in frames)


def check_inputs(pairing: Pairing, videos: Sequence[Path], target: Path | None, *, has_mattes: bool) -> None:
    """Raise UsageError if the kinds of inputs do not suit the pairing, for example if it needs a separate target.

    ``videos``: the sources. ``target``: the target clip, or None. ``has_mattes``: whether each of ``videos`` has a
    matte.
    """
    has_clips = any(not v.is_dir() for v in videos)
    if pairing.needs_target and target is None and (has_clips or isinstance(pairing, Stack | Matched | Pose)):
        remedy = "add --target VIDEO, or give a folder of pairs"
        if not has_clips or isinstance(pairing, Matched):
            remedy = "add --target VIDEO or a folder of pictures"
        raise UsageError(f"pairing '{pairing.name}'", "it needs a second clip", remedy)
    if target is not None and not pairing.needs_target:
        raise UsageError("--target", f"pairing '{pairing.name}' makes its own targets", "use --pairing aligned")
    if target is not None and len(videos) > 1:
        raise UsageError("--target", "one target clip fits one video", "make a dataset for each pair of clips")
    if has_mattes and pairing.needs_target and target is None:
        why = "the pairs of a folder are in no order, in which a matte could follow them"
        raise UsageError("--matte", why, "give the clip, and its target as --target")


def default_output(videos: Sequence[Path], domains: Sequence[Domain] = ()) -> Path:
    """Return the default path of a dataset, named after its domains or after the first video."""
    return Path(("-".join(domain.name for domain in domains) or base_name(videos[0])) + SUFFIX)


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as requested by the user. Raises UsageError if the request is invalid.

    ``extractor``: the network that extracts a picture from each frame, if the pairing needs one. ``domains``: the
    domains of an unpaired dataset; ``videos`` lists all their clips too, in the same order. ``start``, ``end``: the
    used span of each clip. ``keep``: a mask for each of ``videos``, white where a style model preserves the content;
    none by default. ``mattes``: a matte for each of ``videos``, which becomes an input channel.
    """

    videos: Sequence[Path]
    recipe: Recipe
    target: Path | None = None
    start: Time | None = None
    end: Time | None = None
    extractor: PictureExtractor | None = None
    domains: Sequence[Domain] = ()
    keep: Sequence[MaskFile] = ()
    mattes: Sequence[MaskFile] = ()

    def __post_init__(self) -> None:
        parse_size(self.settings.size)
        check_domains(self._requested_pairing, self.domains, self.target)
        check_inputs(self._requested_pairing, self.videos, self.target, has_mattes=bool(self.mattes))
        self._check_cuts()

    @property
    def settings(self) -> DatasetSettings:
        """Return the recipe's dataset settings."""
        return self.recipe.settings("dataset", DatasetSettings)

    @cached_property
    def _requested_pairing(self) -> Pairing:
        """Return the pairing as requested, before it is completed from the sources."""
        name, table = self.recipe.choice("pairing")
        if self.domains and name == Unpaired.name:
            table = {"domains": [domain.name for domain in self.domains]} | table
        table = table | ({MATTE: True} if self.mattes else {})
        return make_pairing(name, table | (self.extractor.for_record() if self.extractor else {}))

    @cached_property
    def pairing(self) -> Pairing:
        """Return the pairing, completed from the sources: guides of a stack without names, palette of label maps."""
        named = with_clip_names(self._requested_pairing, self.videos[0], self.target)
        if self._target_maps is not None:
            return with_found_classes(named, self._target_maps)
        return with_palette(with_guides(named, self.videos[0], self.target), self._label_maps)

    @cached_property
    def _target_maps(self) -> TargetMaps | None:
        """Return the label maps of the targets; None if the pairing has other targets."""
        if not isinstance(self._requested_pairing, Segment):
            return None
        return TargetMaps.of(self.target, [] if self.target else [self._pair_folder(video) for video in self.videos])

    @property
    def _label_maps(self) -> list[Path]:
        """Return the picture files of inputs that are label maps; [] for other pairings. Raises MediaError."""
        if not isinstance(self._requested_pairing, Labels):
            return []
        files: list[Path] = []
        for video in self.videos:
            is_pairs, is_video = self._is_pair_folder(video), not is_picture_source(video)
            files += self._pair_folder(video).inputs if is_pairs else [] if is_video else picture_files(video)
        return files

    @property
    def training_tables(self) -> dict[str, Table]:
        """Return the preset's tables that are for training: generator, discriminator and training."""
        return {n: t for n, t in self.recipe.from_preset.items() if n in ("generator", "discriminator", "training")}

    def digest(self, context: Context) -> str:
        """Return the digest of all inputs that affect the pictures.

        Raises UsageError if the file of cuts is missing.
        """
        cuts = self.settings.cuts
        return digest_of(
            {
                "command": "make-dataset",
                "sources": [self._source_digest(context, v) for v in self.videos],
                "target": content_digest(context, self.target) if self.target else None,
                "pairing": pairing_record(self.pairing),
                "settings": self.settings.for_key(has_targets=self.pairing.needs_target),
                **({} if cuts == AUTO else {"cuts": cuts_for_key(cuts)}),
                "span": [str(self.start), str(self.end)],
                "stage": [DatasetStage.id(), SURVEY_VERSION],
                **({"device": context.device_kind} if self.extractor else {}),
                **({"keep": [mask_digest(context, mask) for mask in self.keep]} if self.keep else {}),
                **({"mattes": [mask_digest(context, matte) for matte in self.mattes]} if self.mattes else {}),
                **({"domains": self._domain_numbers, "crop_bars": self.settings.crop_bars} if self.domains else {}),
            }
        )

    def _check_cuts(self) -> None:
        """Raise UsageError if the setting ``cuts`` is a file and the dataset is not made from exactly one clip."""
        if self.settings.cuts in (AUTO, OFF):
            return
        what = f"--cuts {self.settings.cuts}"
        if len(self.videos) > 1:
            raise UsageError(what, "one list fits one video", "make a dataset of each clip, or leave it out")
        if self._is_pair_folder(self.videos[0]):
            why = f"the pairs of {self.videos[0]} are in no order, so there are no cuts"
            raise UsageError(what, why, "leave it out")

    def _is_pair_folder(self, video: Path) -> bool:
        """Return whether a video is a folder of pairs: input and target pictures."""
        return video.is_dir() and self._requested_pairing.needs_target and self.target is None

    def _pair_folder(self, folder: Path) -> FolderSource:
        """Return the source of a folder of pairs. Raises MediaError."""
        return find_pairs(folder, getattr(self._requested_pairing.settings, "direction", "AtoB"))

    def _source_digest(self, context: Context, video: Path) -> str:
        """Return the digest of the content of a video or a folder of pairs. Raises MediaError."""
        if not self._is_pair_folder(video):
            return content_digest(context, video, self.pairing.guides)
        files = [p for pair in self._pair_folder(video).pairs for p in pair if p]
        return digest_of([[p.relative_to(video).as_posix(), context.cache.digest(p)] for p in files])

    def plan(self, output: Path, context: Context) -> PlannedDataset:
        """Open the sources, and assign roles and file names to their frames. Raises UsageError, MediaError."""
        pairing, settings = self.pairing, self.settings
        check_domains_are_disjoint(self.domains, partial(content_digest, context))
        opened = [self._open(number, context) for number in range(len(self.videos))]
        sources, described = [source for source, _ in opened], [table for _, table in opened]
        maps = (picture for source in sources for picture in source.samples(NUM_SAMPLE_FRAMES))
        report_labels(pairing, self._requested_pairing, self.videos[0].name, maps, self._label_maps, context)
        if self._target_maps is not None:
            report_classes(pairing, self._requested_pairing, self._target_maps, context)
            sources = [replace(source, classes=pairing.class_colours) for source in sources]
        if self.domains:
            self._add_domains(sources, described, context)
        plan = plan_dataset(sources, pairing, settings)
        dataset = Dataset(
            folder=output,
            key=self.digest(context),
            preset=self.recipe.preset,
            recipe=self.training_tables,
            size=settings.size,
            pairing_table=pairing_record(pairing),
            sources=tuple(described),
            records=plan.records,
        ).with_all_pictures()
        check_pairs(dataset, pairing)
        if self.domains:
            check_frames(dataset, context)
        libraries = media_libraries()
        engine = self.extractor.for_key() if self.extractor else {}
        table = settings.for_key(has_targets=pairing.needs_target)
        stage = DatasetStage(described, pairing_record(pairing), table, SURVEY_VERSION, libraries, engine)
        return PlannedDataset(dataset, plan, sources, settings, stage)

    @property
    def _domain_numbers(self) -> list[int]:
        """Return the number of the domain of each video."""
        return [number for number, domain in enumerate(self.domains) for _ in domain.videos]

    def _add_domains(self, sources: list[Source], described: list[Table], context: Context) -> None:
        """Add domain and black bars to each source's index table in ``described``, and set the bars to crop.

        Raises MediaError.
        """
        clips: list[DomainClip] = []
        for i, number in enumerate(self._domain_numbers):
            source = sources[i]
            assert isinstance(source, ClipSource)
            clip = sample_clip(source, number, self.settings.crop_bars, context)
            described[i] |= {"domain": number}
            if any(clip.cut):
                sources[i] = replace(source, bars=clip.cut)
                described[i] |= {"bars": list(clip.cut)}
            clips.append(clip)
        check_clips(clips, [d.name for d in self.domains], parse_size(self.settings.size), context)

    def _open(self, number: int, context: Context) -> tuple[Source, Table]:
        """Return the source of video number ``number``, and the source's table in the dataset's index."""
        video = self.videos[number]
        if self._is_pair_folder(video):
            folder = self._pair_folder(video)
            digest = self._source_digest(context, video)
            if folder.unpaired:
                context.note(folder.describe_unpaired(), "warning")
            return folder, {"name": folder.name, "digest": digest, "pairs": len(folder.pairs)}
        if isinstance(self.pairing, Matched):
            return self._open_matched(self.pairing, video, context)
        clip = self._with_cuts(open_clip(context, video, self.pairing.guides))
        first, stop = clip.trim(self.start, self.end)
        other = open_clip(context, self.target) if self.target else None
        steps = None
        if other is not None:
            stop, steps = find_targets(clip, other, first, stop, context)
        source = ClipSource(
            video,
            clip.index,
            clip.survey,
            first,
            stop,
            self.settings.frame_step,
            self.target,
            other.index if other else None,
            self.pairing.guides,
            self.extractor,
            target_steps=steps,
            mask=open_mask(self.keep[number], clip, first, stop, context) if self.keep else None,
            matte=open_mask(self.mattes[number], clip, first, stop, context) if self.mattes else None,
        )
        return source, self._source_table(clip, other, source, clip)

    def _open_matched(self, pairing: Matched, video: Path, context: Context) -> tuple[Source, Table]:
        """Return the source of target frames matched with the frames of ``video``, and its table in the index."""
        assert self.target is not None  # check_inputs raises an error otherwise.
        clip, other = open_clip(context, video), self._with_cuts(open_clip(context, self.target))
        for side in (clip, other):
            if not side.index.same_size:
                why = "its pictures are of several sizes, and matches are sought in one"
                raise MediaError(str(side.path), why, "scale all to one size, or learn without pairs: --unpaired")
        check_shapes(clip.path, shape_of(clip.index), shape_of(other.index))
        input_source = ClipSource(video, clip.index, clip.survey, *clip.trim(self.start, self.end))
        span = (*other.trim(self.start, self.end), self.settings.frame_step)
        target = ClipSource(self.target, other.index, other.survey, *span)
        search = MatchSearch(input_source, target, (clip.digest, other.digest), context)
        matches = search.find(pairing.settings.min_found)
        source = MatchedSource(
            self.target, other.index, other.survey, *span, input_source=input_source, matches=matches
        )
        return source, self._source_table(clip, other, source, other) | {"matches": digest_of(sorted(matches.items()))}

    def _with_cuts(self, clip: Clip) -> Clip:
        """Return the clip with the shots that the setting ``cuts`` defines. Raises UsageError."""
        cuts = self.settings.cuts
        if cuts != AUTO and not clip.index.same_size:
            why = f"the pictures of {clip.name} are of several sizes, and a shot has one"
            raise UsageError(f"--cuts {cuts}", why, "leave out --cuts, or scale all clips to one size")
        return with_cuts(clip, cuts)

    def _source_table(self, clip: Clip, other: Clip | None, source: ClipSource, timed: Clip) -> Table:
        """Return the table in the dataset's index that describes the ``source`` made from ``clip``.

        ``other``: the clip of the targets, or None. ``timed``: the clip that the source's frame numbers refer to.
        """
        return {
            "name": clip.path.name,
            "digest": clip.digest,
            "first": source.first,
            "stop": source.stop,
            "target": other.digest if other else None,
            **({"target_steps": digest_of(sorted(source.target_steps.items()))} if source.target_steps else {}),
            "rate": str(timed.index.rate / self.settings.frame_step),
            **({} if self.settings.cuts == AUTO else {"cuts": [s for s in timed.shots if s > 0]}),
            **({"keep": source.mask.for_key()} if source.mask else {}),
            **({"matte": source.matte.for_key()} if source.matte else {}),
        }
