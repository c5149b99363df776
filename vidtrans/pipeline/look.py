"""``vidtrans look``: pictures in, a model that paints in their manner out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.sampling import read_middle_frame
from vidtrans.config.recipe import Recipe
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.errors import UsageError
from vidtrans.files import PACKAGE, base_name
from vidtrans.output.target import refuse_link
from vidtrans.pipeline.make_dataset import clips_for, make_dataset
from vidtrans.pipeline.optimised_look import optimised_look
from vidtrans.pipeline.run_checks import forecast
from vidtrans.pipeline.train import train
from vidtrans.requests import MODEL_SUFFIX, LookRequest, MakeDatasetRequest, StylizeRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.frame_format import DEFAULT_FORMAT

FRAMES = PACKAGE / "assets" / "frames"  # what is learned on where no clip is given
FOLDER = "looks"  # of the dataset, with the style pictures
SMALLEST_SIDE, PLAIN = 32, 3.0  # pixels, and levels of 255, below which a style picture has hardly any style


def look(request: LookRequest, context: Context) -> Table:
    """Teach a painter the manner of pictures on the frames of clips, and return what is reported of it.

    Stopped, it goes on where it was. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    began = time.monotonic()
    if request.optimise:
        names = _names(request.pictures)
        return optimised_look(request, names, _output(request, names), context)
    if context.dry_run:
        table = forecast_look(request, [], context)
        output = table.pop("model")
        both = {"looks": _names(request.pictures), "seconds": round(time.monotonic() - began, 3)}
        return table | both | {"output": output}
    lesson = _Lesson.of(request, context)
    recipe = lesson.recipe(lesson.dataset / FOLDER)
    made = make_dataset(MakeDatasetRequest(lesson.clips, lesson.dataset, recipe), context)
    if not request.on:
        context.note("no clip was given with --on: it learns on the pictures that ship, for clips of any kind")
    lesson.store(lesson.dataset / FOLDER, context)
    _tell_measure(request.recipe, context)
    trained = train(TrainRequest(lesson.dataset, lesson.output, recipe, request.minutes, fresh=request.fresh), context)
    both = {"dataset": str(lesson.dataset), "looks": lesson.names, "seconds": round(time.monotonic() - began, 3)}
    return trained | both | {"cached": trained["cached"] and made["cached"]}


def forecast_look(request: LookRequest, renders: Sequence[StylizeRequest], context: Context) -> Table:
    """Return what a look and ``renders`` with it would take: each step is tried for a moment."""
    lesson = _Lesson.of(request, context)
    with TemporaryDirectory() as folder:
        lesson.store(Path(folder), context)
        spec = DatasetSpec(lesson.clips, lesson.recipe(Path(folder)))
        return forecast(spec, lesson.dataset, lesson.output, request.minutes, renders, context)


@dataclass(frozen=True)
class _Lesson:
    """A request whose pictures were found to be readable, before hours are spent."""

    request: LookRequest
    names: list[str]
    styles: list[Clip]
    clips: Sequence[Path]
    output: Path

    @classmethod
    def of(cls, request: LookRequest, context: Context) -> _Lesson:
        """Raises UsageError, MediaError."""
        if (pairing := request.recipe.choice("pairing")[0]) != "look":
            why = "a look is learned from its pictures alone"
            raise UsageError(f"pairing '{pairing}'", why, "leave it out, or --look")
        if request.recipe.settings("training", TrainingSettings).background_plate:
            raise UsageError("training.background_plate", "a look has no background plate", "leave it out")
        names = _names(request.pictures)
        clips = clips_for(request.on, request.recipe) if request.on else [FRAMES]
        return cls(
            request,
            names,
            [open_clip(context, picture) for picture in request.pictures],
            clips,
            _output(request, names),
        )

    @property
    def dataset(self) -> Path:
        return refuse_link(self.output.with_suffix(DATASET_SUFFIX))

    def recipe(self, folder: Path) -> Recipe:
        """Return the recipe with the style pictures of a folder."""
        paths = [str(path) for path in self._paths(folder)]
        return self.request.recipe.under(
            {
                "pairing": {"name": "look", "looks": self.names},
                "generator": {"looks": len(self.names)},
                "training": {"look_pictures": paths},
            }
        )

    def store(self, folder: Path, context: Context) -> None:
        """Write the style pictures, of videos their middle frames, unless they are there."""
        from vidtrans.video.images.picture import read_picture, write_picture

        for style, path in zip(self.styles, self._paths(folder), strict=True):
            frame = read_middle_frame(style, DEFAULT_FORMAT, context)
            _warn_plain(style.path, frame.rgb, context)
            stored = read_picture(path) if path.is_file() else None
            if stored is None or not np.array_equal(stored, frame.rgb):
                write_picture(path, frame.rgb)

    def _paths(self, folder: Path) -> list[Path]:
        return [folder / f"{name}.png" for name in self.names]


def _tell_measure(recipe: Recipe, context: Context) -> None:
    """Say where a look is learned without features because nothing that has some is installed."""
    from vidtrans.perception import AUTO, resolve_measure

    wanted = recipe.settings("training", TrainingSettings).method_settings["look_measure"]
    if wanted == AUTO and resolve_measure(wanted) == "patches":
        text = "pictures are compared by patches of pixels, which know nothing of things"
        context.note(f"{text}: a look gets more of its strokes with pip install 'vidtrans[looks]'", "warning")


def _warn_plain(picture: Path, rgb: np.ndarray, context: Context) -> None:
    """Warn of a style picture with hardly anything to learn from."""
    height, width = rgb.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        context.warn_once(f"{picture.name}: {width}x{height} pixels have hardly any strokes to learn from", picture)
    elif float(rgb.std((0, 1)).max()) < PLAIN:
        context.warn_once(f"{picture.name}: it is of one colour: there is nothing else to learn from it", picture)


def _output(request: LookRequest, names: Sequence[str]) -> Path:
    return request.output or refuse_link(Path(f"{names[0]}{MODEL_SUFFIX}"))


def _names(pictures: tuple[Path, ...]) -> list[str]:
    """Return the names of looks, those of their pictures.

    Raises UsageError where two are alike, or ``--look`` could not tell one from a list.
    """
    names = [base_name(picture) for picture in pictures]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"look '{twice}'", "two pictures have this name", "give each once, or rename one of them")
    if unclear := next((name for name in names if set(name) & set(",:")), ""):
        why = "a look has the name of its picture, and --look lists names with commas and colons"
        raise UsageError(f"look '{unclear}'", why, "rename the picture")
    return names
