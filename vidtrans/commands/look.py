"""``vidtrans look``: train a model that paints in the style of pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.commands.base import CACHE_OPTIONS, NO_ARGUMENTS, Command, UserArguments
from vidtrans.commands.options import (
    AS_IS_OPTION,
    FRESH_OPTION,
    KEEP_OPTION,
    MINUTES_OPTION,
    MODEL_SUFFIX,
    STOP_CONDITIONS,
    check_minutes,
    check_suffix,
    expand_clips,
    output_option,
)
from vidtrans.commands.results import TrainedModel
from vidtrans.commands.text_reports import as_is_text, cost_text, next_command, timing, trained_text
from vidtrans.config.recipe import CHAIN, Recipe, make_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.video.frame_format import Area

if TYPE_CHECKING:
    from vidtrans.stylizing.requests import StylizeRequest
    from vidtrans.training.look_lesson import LookRequest


def check_pictures(pictures: Sequence[Path]) -> None:
    """Raise UsageError if a style picture is the name of a medium, or of a painting whose look ships."""
    from vidtrans.models.look_pictures import is_medium, stands_alone

    for name in map(str, pictures):
        if stands_alone(name):
            why = (
                "it is a medium, and nothing is learned"
                if is_medium(name)
                else "its look ships, and is learned already"
            )
            raise UsageError(name, why, f"vidtrans stylize VIDEO --look {name}")


@dataclass(frozen=True)
class Look(Command):
    """Train a model on the style of one or more PICTURES, such as a painting, to render films in this style.

    If a PICTURE is a video, its middle frame is used. Five minutes on two cores are enough. To resume a stopped
    training, run the same command again.
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "seed")
    RESULT: ClassVar = TrainedModel
    TABLES: ClassVar = dict.fromkeys(CHAIN, ()) | {"training": ("steps",)}
    EXCLUSIVE: ClassVar = STOP_CONDITIONS

    pictures: tuple[Path, ...] = argument("PICTURE...")
    output: Path | None = output_option("The model.", "PICTURE.safetensors")
    _: KW_ONLY
    on: tuple[Path, ...] = option(
        (),
        "A clip for training, ideally the clip that you want to render. Can be repeated.",
        Group.INPUT,
        metavar="VIDEO",
        default_text="pictures that ship",
    )
    crop: str | None = option(
        None,
        "Learn the style of this area of the picture only, in pixels from the top left.",
        Group.INPUT,
        metavar="X,Y,WIDTH,HEIGHT",
        default_text="the whole picture",
        form="main",
    )
    keep: str | None = KEEP_OPTION(None)
    minutes: float | None = MINUTES_OPTION(None)
    fresh: bool = FRESH_OPTION(False)
    as_is: bool = AS_IS_OPTION(False)
    optimise: bool = option(
        False,
        "Train nothing: make a model that optimises each frame during the render. It is the closest to the "
        "picture, but takes seconds to minutes per frame. Use it for stills and short shots.",
        Group.TRAINING,
    )
    recipe: Recipe
    user_arguments: UserArguments = NO_ARGUMENTS

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)
        check_pictures(self.pictures)
        check_minutes(self.minutes)
        if self.crop is not None:
            from vidtrans.video.frame_format import Area

            Area.parse(self.crop)
            if len(self.pictures) > 1:
                raise UsageError("--crop", "it is an area of one picture", "give one picture, or cut them yourself")
        if self.keep is not None and not self.on and not self.optimise:
            raise UsageError("--keep", "it is a mask of a clip to learn on, and there is none", "add --on VIDEO")
        unread = {
            "--on": self.on,
            "--crop": self.crop,
            "--keep": self.keep,
            "--minutes": self.minutes,
            "--fresh": self.fresh,
            "--as-is": self.as_is,
        }
        if self.optimise and (names := [name for name, value in unread.items() if value]):
            raise UsageError(names[0], "nothing is learned with --optimise", "leave it out, or --optimise")
        if self.optimise and "steps" in self.user_arguments.values:
            raise UsageError("--steps", "nothing is learned with --optimise", "use --set generator.first_steps=N")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe for training a style; the default preset is 'look'. Raises UsageError."""
        return make_recipe(preset, "look", tables)

    def make(self, context: Context) -> Table:
        """Train a model that paints in the style of pictures, on frames of clips or on bundled pictures.

        An interrupted run resumes. Raises UsageError, MediaError, DeviceError, Interrupted.
        """
        began = time.monotonic()
        self._check_videos()
        if self.optimise:
            from vidtrans.models.look_pictures import look_names
            from vidtrans.training.look_lesson import make_optimised_look

            names = look_names(self.pictures)
            return make_optimised_look(self.pictures, names, self.recipe, self._output(names), context)
        lesson = replace(self._lesson(context), fresh=self.fresh, as_is=self.as_is)
        if context.dry_run:
            known = lesson.forecast(self.minutes, context)
            table = self._forecast(lesson, [], context) if known is None else known
            output = table.pop("model", table.get("output"))
            return table | {"seconds": round(time.monotonic() - began, 3), "output": output}
        table = lesson.learn(self.minutes, context)
        return table | {"seconds": round(time.monotonic() - began, 3)}

    def forecast(self, renders: Sequence[StylizeRequest], context: Context) -> Table:
        """Estimate the time of training the style model, and of ``renders`` with it. Each step is tried briefly."""
        return self._forecast(self._lesson(context), renders, context)

    def _forecast(self, lesson: LookRequest, renders: Sequence[StylizeRequest], context: Context) -> Table:
        """Return the estimated time and size of the training ``lesson``, and of ``renders`` with the trained model."""
        from vidtrans.stylizing.forecast import forecast_chain

        with TemporaryDirectory() as folder:
            lesson.store(Path(folder), context)
            spec = lesson.spec(Path(folder))
            table = forecast_chain(spec, lesson.dataset, lesson.output, self.minutes, renders, context)
            return table | {"looks": lesson.names}

    def _check_videos(self) -> None:
        """Raise UsageError if videos are mixed with pictures and --on is missing.

        Such a video may be meant as a style (its middle frame) or as the clip to learn on.
        """
        from vidtrans.video.io.picture_paths import is_picture_source

        videos = [path for path in self.pictures if path.is_file() and not is_picture_source(path)]
        if videos and len(videos) < len(self.pictures) and not self.on:
            why = "a video beside a picture may be a style (its middle frame) or the clip to learn on"
            remedy = f"to learn on its frames, use --on {videos[0]}; for its style, give one frame as a picture"
            raise UsageError(str(videos[0]), why, remedy)

    def _lesson(self, context: Context) -> LookRequest:
        """Return the request for the training: style pictures, clips and masks to learn on, and output."""
        from vidtrans.batch.inputs import masks_for
        from vidtrans.models.look_pictures import look_names
        from vidtrans.training.look_lesson import LookRequest

        clips = expand_clips(self.on, self.recipe) if self.on else []
        area = Area.parse(self.crop) if self.crop is not None else None
        masks = masks_for(clips, self.keep, "--keep") if self.keep else []
        output = self._output(look_names(self.pictures))
        return LookRequest.of(self.pictures, clips, output, self.recipe, context, area, masks)

    def _output(self, names: Sequence[str]) -> Path:
        """Return the path of the model: --output, or else a file named after the first picture."""
        from vidtrans.output.result import refuse_link

        return self.output or refuse_link(Path(f"{names[0]}{MODEL_SUFFIX}"))

    def describe(self, table: Table) -> str:
        """Return the report on the trained model as text. ``table``: the result of ``make``."""
        if "steps" not in table and table.get("dry_run"):
            return f"would write {table['output']}, which optimises each frame"
        if "steps" not in table:
            written = f"{table['output']}: nothing to learn, each frame is optimised{timing(table)}"
            return f"{written}\nnext: {next_command(table['output'])}"
        if "of_steps" in table and table.get("dry_run"):
            return as_is_text(table)
        if table.get("dry_run"):
            learned = f"would learn {', '.join(table['looks'])} on {count(table['frames'], 'frame')}"
            return f"{learned} in {count(table['steps'], 'step')}, into {table['output']}{cost_text(table)}"
        return trained_text(table)
