"""``vidtrans try``: draw a grid of a few frames rendered with different settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import check_counts, check_suffix, missing_model_error, models_option, output_option
from vidtrans.commands.results import MadePicture
from vidtrans.commands.text_reports import sheet_text
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table, Time
from vidtrans.pipeline.render import RenderingSettings, look_named
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings, medium_of_tables

if TYPE_CHECKING:
    from vidtrans.models.loaded_model import LoadedModel
    from vidtrans.rendering.settings_grid import Variation

VERSION = 6  # Version of the grid's layout, part of its cache key
MEDIUM_KEYS = ("strokes", "strokes.medium")  # Keys of --vary that set the painting medium


@dataclass(frozen=True)
class Try(Command):
    """Compare settings in a grid of a few frames, in seconds, before you render a whole clip."""

    CONTEXT: ClassVar = (*WRITE_OPTIONS, "device")
    RESULT: ClassVar = MadePicture
    TABLES: ClassVar = {
        "pairing": (),
        "strokes": settings_with_use(StrokesSettings, Use.VARY),
        "rendering": settings_with_use(RenderingSettings, Use.VARY),
    }

    video: Path = argument()
    models: tuple[str, ...] = models_option(
        "A model file or a model name. Can be repeated: models are shown side by side. Not required if --look "
        "or --vary look names media or pictures, or if --strokes or --vary strokes names media."
    )
    output: Path | None = output_option("The grid, a picture.", "VIDEO.try.png")
    _: KW_ONLY
    vary: tuple[str, ...] = option(
        (),
        "A setting for the columns, and its values. Can be repeated. Settings: "
        f"{', '.join(settings_with_use(RenderingSettings, Use.VARY)).replace('_', '-')}, strokes, palette, "
        "strokes.NAME or pairing.NAME. Without a model, looks are media (look=oil,pencil) or pictures "
        "(look=a.jpg,b.jpg).",
        Group.LOOK,
        metavar="KEY=V,V",
        default_text="suggested values",
        access="path",
    )
    frames: int = option(3, "Number of frames, spread over the clip.", Group.TIME, bounds=(1, 12))
    at: tuple[Time, ...] = option(
        (),
        "Show the frame at this time, instead of frames spread over the clip. Can be repeated.",
        Group.TIME,
        metavar="TIME",
    )
    recipe: Recipe

    def __post_init__(self) -> None:
        check_suffix(self.output, "a grid", ".png")
        check_counts(frames=self.frames)
        varied = {text.partition("=")[0].strip().removeprefix("rendering.") for text in self.vary}
        tables = self.recipe.tables
        if not (self.models or look_named(tables) or medium_of_tables(tables) or varied & {"look", *MEDIUM_KEYS}):
            raise missing_model_error("try")

    def make(self, context: Context) -> Table:
        """Write a labelled grid, with a row for each frame and a column for each setting.

        Raises UsageError, MediaError, ModelError, DeviceError.
        """
        from vidtrans.clips.indexing import content_digest, open_clip
        from vidtrans.clips.label_maps import label_setting_changes
        from vidtrans.core.files import base_name
        from vidtrans.models.loaded_model import load_model
        from vidtrans.models.look_pictures import models_named
        from vidtrans.output.result import produce, refuse_link
        from vidtrans.pairing.pairing_records import refuse_matte
        from vidtrans.rendering.conditions import look_files
        from vidtrans.rendering.planned_strokes import strokes_digest
        from vidtrans.rendering.settings_grid import GridRows, check_variations, draw_grid
        from vidtrans.upscaling import VERSION as UPSCALING_VERSION

        video = self.video
        recipe, variations, label = self._columns_and_label()
        output = self.output or refuse_link(Path(f"{base_name(video)}.try.png"))
        rendering = recipe.settings("rendering", RenderingSettings)
        strokes = recipe.settings("strokes", StrokesSettings)
        models = models_named(self.models, {} if "look" in {v.key for v in variations} else recipe.tables)
        chosen_models = [load_model(name, context, recipe.pairing_changes) for name in models]
        pictures: list[Path] = []
        if not chosen_models:
            at_once_model, rendering, strokes, variations, pictures, label = self._model_at_once(
                rendering, variations, context
            )
            chosen_models = [at_once_model]
        colours = _colour_map_models(chosen_models, context)
        for model in chosen_models:
            model.check_renders()
            refuse_matte(model.name, model.parts[0].pairing)
            check_variations(model, rendering, strokes, variations)
        named = [rendering.look, *(str(v.value) for v in variations if v.key == "look")]
        if any(x.has_codes for x in chosen_models):
            pictures = [file for text in named for file in look_files(text)]
        key = {
            "command": "try",
            "version": [VERSION, UPSCALING_VERSION],
            "source": content_digest(context, video, chosen_models[0].pairing.guides),
            "models": [model.for_key() for model in chosen_models],
            "colours": [found.for_key() for found in colours],
            "settings": [rendering.for_key()] * len(chosen_models),
            "vary": list(self.vary),
            "frames": self.frames,
            "at": [str(t) for t in self.at],
            "device": context.device_kind,
        }
        if pictures:  # The settings contain only the paths of pictures, not their content.
            key["looks"] = [context.cache.digest(file) for file in pictures]
        variants = [strokes, *(variation.strokes(strokes) for variation in variations)]
        key["strokes"] = [strokes_digest(each, context) for each in variants]

        def prepare() -> Callable[[Path], Table]:
            """Open the clip; return a function that draws the grid into a file."""
            clip = open_clip(context, video, chosen_models[0].pairing.guides)
            models = [
                (model.with_changes(label_setting_changes(model.parts[0].pairing, clip, context)), rendering)
                for model in chosen_models
            ]
            shown = GridRows.of(video, models, self.frames, self.at, context)
            return lambda path: draw_grid(path, video, models, shown, variations, context, colours, label, strokes)

        files = [*pictures, *(file for each in variants for file in each.files)]
        sources = [path for path in (video, *(x.path for x in chosen_models + colours), *files) if path]
        return produce(context, output, key, sources, prepare)

    def _columns_and_label(self) -> tuple[Recipe, list[Variation], str]:
        """Return the recipe, the columns of --vary, and the first column's label ('': it is the model's name).

        Without a model and a medium, the first column gets the first medium of ``--vary strokes``.
        """
        from vidtrans.rendering.settings_grid import parse_variations

        tables, columns = self.recipe.tables, [one for text in self.vary for one in parse_variations(text)]
        if self.models or look_named(tables) or "look" in {column.key for column in columns}:
            return self.recipe, columns, ""
        if medium := medium_of_tables(tables):
            return self.recipe, columns, f"--strokes {medium}"
        first = next(column for column in columns if column.key == "medium")
        columns.remove(first)
        return self.recipe.under({"strokes": {"medium": first.value}}), columns, first.flag

    def _model_at_once(
        self, rendering: RenderingSettings, variations: Sequence[Variation], context: Context
    ) -> tuple[LoadedModel, RenderingSettings, StrokesSettings, list[Variation], list[Path], str]:
        """Return a model that needs no training, for the looks of --look and --vary, and what the grid needs to use it.

        The other values: its render settings, its stroke settings, the columns, the files of the looks, and the label
        of the first column. The first column is the look of ``--look``, or else the first one of ``--vary look``.
        Raises UsageError.
        """
        from vidtrans.models.at_once import predict_model_from_pictures
        from vidtrans.models.look_pictures import name_looks, parse_pictures

        first, columns = rendering.look, list(variations)
        if not first:
            chosen = next(v for v in variations if v.key == "look")
            columns.remove(chosen)
            first = str(chosen.value)
        named = {text: parse_pictures(text) for text in (first, *(str(v.value) for v in columns if v.key == "look"))}
        if painting := next((text for text, each in named.items() if each.painting and len(named) > 1), ""):
            why = f"the look {painting} is a model of its own"
            raise UsageError("--vary look", why, f"compare models: --model {painting} --model OTHER")
        if painting := named[first].painting:
            model = predict_model_from_pictures(named[first], context, self.video, self.recipe.pairing_changes)
            strokes = self.recipe.settings("strokes", StrokesSettings)
            return model, replace(rendering, look=""), strokes, columns, [], f"--look {painting}"
        if media := [text for text, each in named.items() if each.medium]:
            if other := next((text for text in named if text not in media), ""):
                why = f"{media[0]} is a medium, and {other} is none"
                remedy = f"compare media alone, or paint the look: --look {other} --vary strokes.medium={media[0]}"
                raise UsageError("--vary look", why, remedy)
            columns = [
                replace(v, table="strokes", key="medium", value=named[str(v.value)].medium) if v.key == "look" else v
                for v in columns
            ]
            recipe = named[first].with_model(self.recipe)
            model = predict_model_from_pictures(named[first], context, self.video, recipe.pairing_changes)
            files = [file for each in named.values() for file in each.files]
            strokes = recipe.settings("strokes", StrokesSettings)
            return model, replace(rendering, look=""), strokes, columns, files, f"--look {first}"
        for pictures in named.values():
            if pictures.value not in pictures.looks:
                why = "single frames are shown, with one look each"
                raise UsageError("keyframes for look", why, "compare looks with --vary look=ONE,OTHER")
        mixtures = {text: pictures.looks[pictures.value] for text, pictures in named.items()}
        whole = name_looks(list(mixtures.values()))
        names = {text: next(n for n, each in whole.looks.items() if each == mixtures[text]) for text in mixtures}
        model = replace(
            predict_model_from_pictures(whole, context, self.video, self.recipe.pairing_changes), name=names[first]
        )
        columns = [replace(v, value=names[str(v.value)]) if v.key == "look" else v for v in columns]
        strokes = self.recipe.settings("strokes", StrokesSettings)
        return model, replace(rendering, look=names[first]), strokes, columns, whole.files, f"--look {first}"

    def describe(self, table: Table) -> str:
        """Return the report on the written grid as text. ``table``: the result of ``make``."""
        return sheet_text(table)


def _colour_map_models(chosen_models: Sequence[LoadedModel], context: Context) -> list[LoadedModel]:
    """Return the colour-map models in the folders of unpaired models; the grid shows them for comparison."""
    from vidtrans.models.loaded_model import load_model
    from vidtrans.models.model_file import COLOURS, companion_path

    models = [model.path for model in chosen_models if model.path]
    paths = dict.fromkeys(companion_path(path, COLOURS) for path in models)
    return [load_model(str(path), context) for path in paths if path.is_file() and path not in models]
