"""What a dataset will be: its sources opened and reconciled, its frames laid out. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans.clips.cut_list import AUTO, OFF, cuts_for_key, with_cuts
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.config.recipe import Recipe
from vidtrans.data.building import DatasetPlan, Source, plan_dataset
from vidtrans.data.dataset import Dataset, DatasetSettings
from vidtrans.data.sources import ClipSource, FolderSource, check_shapes, find_pairs
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import base_name, digest_of
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, make_pairing, pairing_record
from vidtrans.pairing.stack import Stack, StackSettings
from vidtrans.session import Context
from vidtrans.settings import Size, Table, Time, parse_size
from vidtrans.store.stages import DatasetStage, media_libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.pictures import find_guides, open_reader

SUFFIX = ".dataset"
GREY_SIDE = 64  # pixels, of the short side
GREY_SPREAD = 2  # levels between channels that a codec may add to a grey picture


def default_output(videos: Sequence[Path]) -> Path:
    """Return the folder of a dataset whose output was not named."""
    return Path(base_name(videos[0]) + SUFFIX)


@dataclass(frozen=True)
class PlannedDataset:
    """A dataset before its pictures are written."""

    dataset: Dataset
    plan: DatasetPlan
    sources: list[Source]
    settings: DatasetSettings
    stage: DatasetStage

    def first_pictures(self) -> Iterator[Sequence[np.ndarray]]:
        """Yield the pictures of the first chunk, frame by frame: picture, guides, target."""
        first = self.plan.chunks[0]
        source = self.sources[first[0].source]
        return iter(source.pictures([r.index for r in first], parse_size(self.settings.size)))


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset is asked to be. Raises UsageError where it cannot be."""

    videos: Sequence[Path]
    recipe: Recipe
    target: Path | None = None
    start: Time | None = None
    end: Time | None = None

    def __post_init__(self) -> None:
        parse_size(self.settings.size)
        _check_inputs(self.videos, self.target, self._pairing())
        self._check_cuts()

    @property
    def settings(self) -> DatasetSettings:
        """Return the settings of [dataset]."""
        return self.recipe.settings("dataset", DatasetSettings)

    def _pairing(self) -> Pairing:
        name, table = self.recipe.choice("pairing")
        return make_pairing(PAIRINGS, name, table)

    @cached_property
    def pairing(self) -> Pairing:
        """With its guides found: those of a stack are read for that, once."""
        return _with_guides(self._pairing(), self.videos[0], self.target)

    @property
    def taught(self) -> dict[str, Table]:
        """The preset's tables for the training to come."""
        wanted = ("generator", "discriminator", "training")
        return {n: t for n, t in self.recipe.from_preset.items() if n in wanted}

    def digest(self, context: Context) -> str:
        """Equal for requests that make the same pictures. Raises UsageError where a file of cuts is missing."""
        cuts = self.settings.cuts
        return digest_of(
            {
                "command": "make-dataset",
                "sources": [self.source_digest(context, v) for v in self.videos],
                "target": content_digest(context, self.target) if self.target else None,
                "pairing": pairing_record(self.pairing),
                "settings": self.settings.for_key(),
                **({} if cuts == AUTO else {"cuts": cuts_for_key(cuts)}),
                "span": [str(self.start), str(self.end)],
                "stage": [DatasetStage.id(), SURVEY_VERSION],
            }
        )

    def _check_cuts(self) -> None:
        """Raise UsageError where a list of cuts does not belong to exactly one clip."""
        if self.settings.cuts in (AUTO, OFF):
            return
        what = f"--cuts {self.settings.cuts}"
        if len(self.videos) > 1:
            raise UsageError(what, "one list fits one video", "make a dataset of each clip, or leave it out")
        if self.is_pair_folder(self.videos[0]):
            raise UsageError(
                what, f"the pairs of {self.videos[0]} are in no order, so there are no cuts", "leave it out"
            )

    def is_pair_folder(self, video: Path) -> bool:
        """Return whether a source is a folder of pairs."""
        return video.is_dir() and self._pairing().needs_target and self.target is None

    def pair_folder(self, folder: Path) -> FolderSource:
        """Return the pairs of a folder."""
        return find_pairs(folder, getattr(self._pairing().settings, "direction", "AtoB"))

    def source_digest(self, context: Context, video: Path) -> str:
        """Of all that is read of a source. Raises MediaError."""
        if not self.is_pair_folder(video):
            return content_digest(context, video, self.pairing.guides)
        files = [p for pair in self.pair_folder(video).pairs for p in pair if p]
        return digest_of([[p.relative_to(video).as_posix(), context.cache.digest(p)] for p in files])

    def plan(self, output: Path, context: Context) -> PlannedDataset:
        """Open the sources and lay out the frames. Raises UsageError, MediaError."""
        pairing, settings = self.pairing, self.settings
        sources, described = _open_sources(self, pairing, context)
        plan = plan_dataset(sources, pairing, settings)
        dataset = Dataset(
            folder=output,
            key=self.digest(context),
            preset=self.recipe.preset,
            recipe=self.taught,
            size=settings.size,
            pairing_table=pairing_record(pairing),
            sources=tuple(described),
            records=plan.records,
        ).with_all_pictures()
        _check_pairs(dataset, pairing)
        keyed = settings.for_key()
        stage = DatasetStage(described, pairing_record(pairing), keyed, SURVEY_VERSION, media_libraries())
        return PlannedDataset(dataset, plan, sources, settings, stage)


def _check_inputs(videos: Sequence[Path], target: Path | None, pairing: Pairing) -> None:
    """Raise UsageError where the inputs do not suit the pairing."""
    others = [v for v in videos if not v.is_dir()]
    if pairing.needs_target and target is None and (others or isinstance(pairing, Stack)):
        raise UsageError(
            f"pairing '{pairing.name}'",
            "it needs a second clip",
            "add --target VIDEO, or give a folder of pairs" if others else "add --target VIDEO or a folder of pictures",
        )
    if target is not None and not pairing.needs_target:
        raise UsageError("--target", f"pairing '{pairing.name}' makes its own targets", "use --pairing aligned")
    if target is not None and len(videos) > 1:
        raise UsageError("--target", "one target clip fits one video", "make a dataset for each pair of clips")


def _with_guides(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return the pairing; a stack without named guides takes all in its folder, grey ones as one channel each.

    The target may lie among them, and is none.
    """
    if not isinstance(pairing, Stack) or pairing.guides:
        return pairing
    taught = target.resolve() if target else None
    found = find_guides(folder) if folder.is_dir() else {}
    found = {name: path for name, path in found.items() if path.resolve() != taught and name != "target"}
    if not found:
        remedy = "give a folder with a folder of pictures for each guide: depth/, normals/ …"
        raise UsageError(str(folder), "no guides in it", remedy)
    return Stack(StackSettings(tuple(f"{name}:1" if _is_grey(path) else name for name, path in found.items())))


def _is_grey(guide: Path) -> bool:
    """Whether no frame of a guide has colour: it is one channel then. The first may be black, so all are looked at."""
    with (
        open_reader(guide, FrameFormat(Size(short=GREY_SIDE)), tolerant=True) as reader,
        closing(reader.frames()) as frames,
    ):
        return all(int(np.ptp(frame.rgb.astype(np.int16), axis=2).max()) <= GREY_SPREAD for frame in frames)


def _open_sources(request: DatasetSpec, pairing: Pairing, context: Context) -> tuple[list[Source], list[Table]]:
    sources: list[Source] = []
    described: list[Table] = []
    for video in request.videos:
        if request.is_pair_folder(video):
            folder = request.pair_folder(video)
            sources.append(folder)
            digest = request.source_digest(context, video)
            described.append({"name": folder.name, "digest": digest, "pairs": len(folder.pairs)})
            continue
        clip = _with_named_cuts(open_clip(context, video, pairing.guides), request.settings.cuts)
        first, stop = clip.trim(request.start, request.end)
        other = open_clip(context, request.target) if request.target else None
        if other is not None and clip.index.same_size and other.index.same_size:
            check_shapes(video, _shape(clip.index), _shape(other.index))
        if other is not None and other.index.num_frames != clip.index.num_frames:
            stop = _common_stop(clip, other, first, stop, context)
        sources.append(
            ClipSource(
                video,
                clip.index,
                clip.survey,
                first,
                stop,
                request.settings.frame_step,
                request.target,
                other.index if other else None,
                pairing.guides,
            )
        )
        described.append(
            {
                "name": video.name,
                "digest": clip.digest,
                "first": first,
                "stop": stop,
                "target": other.digest if other else None,
                "rate": str(clip.index.rate / request.settings.frame_step),
                **({} if request.settings.cuts == AUTO else {"cuts": [s for s in clip.shots if s > 0]}),
            }
        )
    return sources, described


def _shape(index: ClipIndex) -> tuple[int, int]:
    """(width, height) with square pixels."""
    return round(index.width * index.sample_aspect_ratio), index.height


def _with_named_cuts(clip: Clip, cuts: str) -> Clip:
    """Return the clip with the user's shots. Raises UsageError where pictures change their size within a shot."""
    if cuts != AUTO and not clip.index.same_size:
        why = f"the pictures of {clip.name} are of several sizes, and a shot has one"
        raise UsageError(f"--cuts {cuts}", why, "leave it out, or bring them to one size")
    return with_cuts(clip, cuts)


def _common_stop(clip: Clip, other: Clip, first: int, stop: int, context: Context) -> int:
    common = min(stop, other.index.num_frames)
    if common <= first:
        raise MediaError(str(other.path), f"it has only {other.index.num_frames} frames", "give a clip in step")
    context.note(
        f"{clip.path.name} has {clip.index.num_frames} frames, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired",
        "warning",
    )
    return common


def _check_pairs(planned: Dataset, pairing: Pairing) -> None:
    """Raise MediaError where no shot is long enough for a pair."""
    if planned.pairs:
        return
    names = ", ".join(s["name"] for s in planned.sources)
    thinned = sum(r.role == "dropped" for r in planned.records)
    raise MediaError(
        names,
        f"pairing '{pairing.name}' needs {pairing.min_frames} frames in a row, and no shot has as many"
        + (f" ({thinned} frames are blurred, or look just like others)" if thinned else ""),
        "give a longer clip"
        + (", or keep all with --set dataset.drop_duplicates=false --set dataset.min_sharpness=0" if thinned else ""),
    )
