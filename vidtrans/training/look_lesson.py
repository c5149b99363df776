"""Models of style pictures: training of a generator, or a model that optimises each frame while it renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.sampling import read_style_picture
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.events import ignore_event
from vidtrans.core.files import PHOTOGRAPHS, canonical_json
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table, parse_size
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import existing_dataset, make_dataset
from vidtrans.data.settings import DatasetSettings
from vidtrans.models.at_once import GENERATOR_NAME, predict_model_from_pictures
from vidtrans.models.look_pictures import Mixture, NamedPictures, look_names
from vidtrans.output.result import produce, refuse_link
from vidtrans.session import Context
from vidtrans.training import LookMethodSettings
from vidtrans.training.requested_training import TrainingRequest, import_for_training, train
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.frame_format import Area

if TYPE_CHECKING:
    import numpy as np

FOLDER = "looks"  # Name of the dataset's folder that stores the style pictures.
VERSION = 2  # Version of the results of ``look --optimise``, a part of their cache key.
MAX_SHORT_SIDE_PX = 512  # Maximum short side of a stored style picture, in pixels; no strokes need more detail.


@dataclass(frozen=True)
class LookRequest:
    """A request to train a model on style pictures, which are opened first, so that errors appear before the training.

    Attributes:
        names: The names of the styles.
        styles: The style pictures; of a video the middle frame is used.
        clips: The training content.
        output: The model file.
        recipe: The requested recipe, to which names and paths of the style pictures are added.
        area: The area of the style picture that is used; None for the whole picture.
        keep: The masks of the clips, white where their content is preserved; none by default.
        fresh, as_is: See ``TrainingRequest``.
    """

    names: list[str]
    styles: list[Clip]
    clips: Sequence[Path]
    output: Path
    recipe: Recipe
    area: Area | None = None
    keep: Sequence[MaskFile] = ()
    fresh: bool = False
    as_is: bool = False

    @classmethod
    def of(
        cls,
        pictures: Sequence[Path],
        clips: Sequence[Path],
        output: Path,
        recipe: Recipe,
        context: Context,
        area: Area | None = None,
        keep: Sequence[MaskFile] = (),
    ) -> LookRequest:
        """Return the request; without ``clips``, train on the package's frames. Raises UsageError, MediaError.

        ``keep``: see the class; each mask is opened to check it.
        """
        if (pairing := recipe.choice("pairing")[0]) != "look":
            why = "a look is learned from its pictures alone"
            raise UsageError(f"pairing '{pairing}'", why, "leave out either this or --look")
        if recipe.settings("training", TrainingSettings).background_plate:
            raise UsageError("training.background_plate", "a look has no background plate", "set it to false")
        names = look_names(pictures)
        styles = [open_clip(context, picture) for picture in pictures]
        if area is not None:
            area.within(styles[0].name, styles[0].index.width, styles[0].index.height)
        for file in (file for mask in keep for file in mask.files):
            open_clip(context, file)
        _check_measures(recipe)
        return cls(names, styles, clips or [PHOTOGRAPHS], output, recipe, area, keep)

    @property
    def dataset(self) -> Path:
        """Return the path of the dataset, which is beside the output. Raises UsageError if it is a link."""
        return refuse_link(self.output.with_suffix(DATASET_SUFFIX))

    def spec(self, folder: Path) -> DatasetSpec:
        """Return the specification of the dataset to make, with the style pictures in ``folder``."""
        return DatasetSpec(self.clips, self._recipe_with(folder), keep=self.keep)

    def learn(self, minutes: float | None, context: Context) -> Table:
        """Make the dataset, train the model, and return its report. ``minutes``: see ``TrainingRequest``."""
        folder = self.dataset / FOLDER
        self._check_dataset_exists()
        import_for_training(self.dataset)
        dataset_table = make_dataset(self.spec(folder), self.dataset, context)
        if self.clips == [PHOTOGRAPHS]:
            context.note("no clip was given with --on: training uses the included pictures, which suit any clip")
        self.store(folder, context)
        trained = self._train(folder, minutes, context)
        own = {
            "dataset": str(self.dataset),
            "looks": self.names,
            "cached": trained["cached"] and dataset_table["cached"],
        }
        return trained | own

    def forecast(self, minutes: float | None, context: Context) -> Table | None:
        """Return the dry run's report on ``minutes`` of training; None if dataset or style pictures do not exist."""
        folder = self.dataset / FOLDER
        self._check_dataset_exists()
        if not self.dataset.exists():
            return None
        dataset = existing_dataset(self.dataset, self.spec(folder).digest(context), context)
        if dataset is None or not self._is_stored(folder, context):
            return None
        table = self._train(folder, minutes, context)
        return table | {"dataset": str(self.dataset), "looks": self.names, "frames": len(dataset.pairs)}

    def _check_dataset_exists(self) -> None:
        """Raise UsageError if ``as_is`` asks for an interrupted run's model but no dataset, so no such run, exists."""
        if self.as_is and not self.dataset.exists():
            why = f"no interrupted run has taken a step towards {self.output}"
            raise UsageError("--as-is", why, "leave it out to train")

    def _train(self, folder: Path, minutes: float | None, context: Context) -> Table:
        """Train, or in a dry run plan the training, with the style pictures in ``folder``; return the report.

        A ``predicted-style`` generator starts from the styles that its network predicts for these pictures.
        """
        recipe, start = self._recipe_with(folder), None
        if recipe.choice("generator")[0] == GENERATOR_NAME:
            looks: dict[str, Mixture] = {
                name: ((path, 1.0),) for name, path in zip(self.names, self._paths(folder), strict=True)
            }
            context.begin("predicting the look")
            quiet = replace(context, report=ignore_event)  # Notes on the pictures have been reported before.
            start = predict_model_from_pictures(NamedPictures(looks, self.names[0]), quiet)
        start_from = str(start.path) if start else None
        request = TrainingRequest(
            self.dataset,
            self.output,
            recipe,
            minutes,
            start_from=start_from,
            fresh=self.fresh,
            as_is=self.as_is,
        )
        return train(request, context)

    def _recipe_with(self, folder: Path) -> Recipe:
        """Return the recipe with names and paths of the style pictures in ``folder``."""
        paths = [str(path) for path in self._paths(folder)]
        return self.recipe.under(
            {
                "pairing": {"name": "look", "looks": self.names},
                "generator": {"looks": len(self.names)},
                "training": {"look_pictures": paths},
            }
        )

    def store(self, folder: Path, context: Context) -> None:
        """Write the style pictures (the middle frame of a video) into ``folder``, unless equal files exist there."""
        from vidtrans.video.images.picture import write_picture

        for style, path in zip(self.styles, self._paths(folder), strict=True):
            rgb = read_style_picture(style, context, self.area)
            if not _is_equal(path, rgb):
                write_picture(path, rgb)

    def _is_stored(self, folder: Path, context: Context) -> bool:
        """Return whether ``folder`` already contains the request's style pictures."""
        pairs = zip(self.styles, self._paths(folder), strict=True)
        return all(_is_equal(path, read_style_picture(style, context, self.area)) for style, path in pairs)

    def _paths(self, folder: Path) -> list[Path]:
        """Return the paths of the style pictures in ``folder``, NAME.png for each style."""
        return [folder / f"{name}.png" for name in self.names]


def _check_measures(recipe: Recipe) -> None:
    """Raise UsageError or ModelError if the weights that compare styles, or score looks, cannot be read."""
    from vidtrans.perception import MEASURES, critic_name

    measure = recipe.settings("training", TrainingSettings).own(LookMethodSettings).look_measure
    for name in (measure, critic_name(measure)):
        MEASURES.load(name).identity()


def _is_equal(path: Path, rgb: np.ndarray) -> bool:
    """Return whether the file ``path`` contains the picture ``rgb``, (H, W, 3) uint8."""
    from vidtrans.video.images.picture import read_picture

    return path.is_file() and np.array_equal(read_picture(path), rgb)


def make_optimised_look(
    pictures: Sequence[Path], names: list[str], recipe: Recipe, output: Path, context: Context
) -> Table:
    """Write a model of the style ``pictures``, called ``names``, that optimises each frame; return its report.

    Raises UsageError, MediaError.
    """
    own = {key: value for key, value in recipe.tables.get("generator", {}).items() if key != "name"}
    for name in ("sizes", "measure"):
        if name in own:
            why = "it follows from the pictures, and from training.look_measure"
            raise UsageError(f"generator.{name}", why, "leave it out")
    size_setting = recipe.settings("dataset", DatasetSettings).size
    size = parse_size(size_setting).short
    if size is None:
        raise UsageError(
            f"dataset.size = '{size_setting}'",
            "with --optimise it has to be one number, the length of the short side",
            "set one number; give width and height when rendering: 'vidtrans stylize' has --size",
        )
    from vidtrans.perception import MEASURES

    measure = recipe.settings("training", TrainingSettings).own(LookMethodSettings).look_measure
    clips = [open_clip(context, picture) for picture in pictures]
    key = {
        "command": "look --optimise",
        "version": VERSION,
        "pictures": [content_digest(context, picture) for picture in pictures],
        "names": names,
        "generator": canonical_json(own),
        "measure": [measure, MEASURES.load(measure).identity()],
        "size": size,
    }

    def make(path: Path) -> Table:
        """Read and resize the style pictures, write the model to ``path``, and return the report."""
        from vidtrans.perception.measure import SMALLEST_SIDE, crop_to_middle, with_short_side

        styles = []
        for clip in clips:
            middle = crop_to_middle(read_style_picture(clip, context))
            side = min(max(min(middle.shape[:2]), SMALLEST_SIDE), MAX_SHORT_SIDE_PX)
            styles.append(with_short_side(middle, side))
        sizes = [f"{style.shape[1]}x{style.shape[0]}" for style in styles]
        _save_model(path, styles, own | {"sizes": sizes, "measure": measure}, names, size)
        return {"frames": 0, "looks": names, "measure": measure}

    return produce(context, output, key, [p for p in pictures if p.is_file()], lambda: make)


def _save_model(path: Path, pictures: Sequence[np.ndarray], settings: Table, names: list[str], size: int) -> None:
    """Write a model file with the generator ``optimised``, its ``settings`` and the style ``pictures``.

    ``names``: the names of the styles. ``size``: short side of frames, in pixels.
    """
    from vidtrans.flow.history import METHOD
    from vidtrans.models.model_file import save_model
    from vidtrans.models.model_record import NORMALISATION, ModelRecord
    from vidtrans.networks import UNTRAINED
    from vidtrans.networks.init import build_generator, complete_settings
    from vidtrans.pairing.pairing_records import make_pairing, pairing_record

    pairing = make_pairing("look", {"looks": names})
    generator = build_generator("optimised", settings, pairing.in_channels, memory=True)
    generator.set_pictures(pictures)
    record = ModelRecord(
        generator={"name": "optimised", "settings": complete_settings(UNTRAINED, "optimised", settings, "generator")},
        pairing=pairing_record(pairing),
        in_channels=pairing.in_channels,
        out_channels=3,
        size=size,
        normalisation=NORMALISATION,
        training={},
        card={},
        memory={"flow": METHOD},
    )
    save_model(path, generator, record)
