"""``vidtrans run``: make a dataset, train a model and render clips with it, in one resumable command."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, NO_ARGUMENTS, Command, UserArguments, parameters_of
from vidtrans.commands.look import Look, check_pictures
from vidtrans.commands.options import (
    BATCH_OPTIONS,
    KEEP_OPTION,
    MINUTES_OPTION,
    MODEL_SUFFIX,
    STOP_CONDITIONS,
    TARGET_OPTION,
    check_minutes,
    expand_clips,
    output_option,
)
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import cost_text, render_text, timing
from vidtrans.config.recipe import (
    BY_HEART_PRESET,
    CHAIN,
    DEFAULT_PRESET,
    Recipe,
    dataset_recipe,
    make_recipe,
    render_recipe,
)
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import parse_mask
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.data.dataset_planning import DatasetSpec
    from vidtrans.stylizing.requests import StylizeRequest

MIN_SHARP_STEPS = 300  # Number of training steps below which the small U-Net's 256-pixel pictures are blurred
# Recipe tables that only a training reads
TRAINING_TABLES = ("pairing", "dataset", "generator", "discriminator", "training", "card")


@dataclass(frozen=True)
class Run(Command):
    """Learn a look from VIDEO, or from pictures, and render clips in it. A second run reuses finished steps.

    vidtrans run film.mp4 --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --at-once --apply clip.mp4 -o out.mp4
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "decoder", "seed")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = dict.fromkeys(CHAIN, ()) | {
        "pairing": None,
        "training": ("steps",),
        "rendering": settings_with_use(RenderingSettings, Use.RUN),
        "strokes": None,
        "temporal": None,
        "encoding": ("codec",),
    }
    BATCH: ClassVar = BATCH_OPTIONS
    EXCLUSIVE: ClassVar = STOP_CONDITIONS

    video: Path | None = argument(default=None)
    _: KW_ONLY
    apply: tuple[Path, ...] = option(MISSING, "A clip to render. Can be repeated.", Group.INPUT, metavar="VIDEO")
    output: Path = output_option("The result. For several clips: a folder.", default=MISSING)
    looks: tuple[Path, ...] = option(
        (),
        "Learn the style of this picture, as 'vidtrans look' does. The training uses the frames of VIDEO or, "
        "without VIDEO, of the clips of --apply. Can be repeated.",
        Group.INPUT,
        ("--look",),
        metavar="PICTURE",
    )
    at_once: bool = option(
        False,
        "Do not train: predict the look of the picture in a second. The look is then less similar to the "
        "picture. --look can then also be a mixture, keyframes, a medium or a bundled painting, as in 'vidtrans "
        "stylize'.",
        Group.INPUT,
    )
    target: Path | None = TARGET_OPTION(None)
    keep: str | None = KEEP_OPTION(None)
    minutes: float | None = MINUTES_OPTION(None)
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL
    user_arguments: UserArguments = NO_ARGUMENTS

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.at_once:
            self._check_at_once()
        if not self.at_once:
            check_pictures(self.looks)
        if self.video is None and not self.looks:
            raise UsageError("run", "there is nothing to learn from", "give a VIDEO, or --look PICTURE")
        if self.looks and self.target:
            raise UsageError("--target", "a look is learned from its pictures alone", "leave out --target or --look")
        if self.keep and not self.looks:
            raise UsageError("--keep", "it is for looks that are learned from pictures", "add --look PICTURE")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe for training on a video, or with ``--look`` on style pictures. Raises UsageError."""
        if arguments.get("at_once"):
            return render_recipe(preset, tables)
        if arguments.get("looks"):
            return make_recipe(preset, "look", tables)
        return dataset_recipe(preset, tables)

    @classmethod
    def epilog(cls) -> str:
        """Return the help on the defaults with --look and --at-once."""
        return "With --look the defaults are those of 'vidtrans look', with --at-once those of 'vidtrans stylize'."

    @property
    def _training_clips(self) -> tuple[Path, ...]:
        """Return the clips to learn on: VIDEO, or without it the clips to render."""
        return (self.video,) if self.video else self.apply

    def make(self, context: Context) -> Table:
        """Train on a video or on style pictures, and render the model onto files, folders and globs.

        Finished steps are reused. The dataset and the model are written next to the output, and named after the video.
        With style pictures they are named after the output; for several clips they are in the output folder, and named
        after the first picture. With ``at_once`` nothing is trained, and only results are written. Raises UsageError,
        MediaError, ModelError, DeviceError, Diverged, Interrupted.
        """
        from vidtrans.clips.cut_list import cuts_for_key

        cuts_for_key(self.recipe.settings("rendering", RenderingSettings).cuts)  # Raises before the training.
        if self.at_once:
            return self._render_at_once(context)
        clips = tuple(expand_clips(self.apply, self.recipe))
        recipe, note = self._recipe_for(clips, context)
        return replace(self, apply=clips, recipe=recipe)._make(
            context, note, is_batch=len(clips) > 1 or clips != self.apply
        )

    def _recipe_for(self, clips: tuple[Path, ...], context: Context) -> tuple[Recipe, str]:
        """Return the recipe, and a note for the user on the default preset; '' if the user chose a preset.

        The default is the preset for other footage; if all clips are the video itself, the preset that learns it by
        heart.
        """
        is_chosen = self.user_arguments.preset or "name" in self.user_arguments.tables.get("pairing", {})
        if self.video is None or self.looks or self.target or is_chosen or self.recipe.preset != DEFAULT_PRESET:
            return self.recipe, ""
        if all(_have_equal_content(self.video, clip, context) for clip in clips):
            note = f"{self.video.name} is learned by heart, as it is rendered onto itself (preset {BY_HEART_PRESET})"
            return make_recipe(None, BY_HEART_PRESET, self.user_arguments.tables), note
        names = clips[0].name if len(clips) == 1 else count(len(clips), "clip")
        return self.recipe, f"{self.video.name} is learned for other footage, {names} (preset {DEFAULT_PRESET})"

    def _make(self, context: Context, note: str, *, is_batch: bool) -> Table:
        """Train the model and render the clips, or for --dry-run estimate their cost; return the result table.

        ``note``: a message for the user, '' for none. ``is_batch``: the results go into the folder ``output``.
        """
        from vidtrans.batch.jobs import batch_table
        from vidtrans.core.files import base_name
        from vidtrans.data.dataset_planning import default_output
        from vidtrans.output.result import refuse_link
        from vidtrans.stylizing.clips import stylize_batch
        from vidtrans.stylizing.forecast import check_renders
        from vidtrans.stylizing.requested_render import stylize

        began = time.monotonic()
        output = self.output
        folder = output if is_batch else output.parent
        named_after = self.looks[0] if self.looks else self._training_clips[0]
        if self.looks and not is_batch:
            named_after = output
        dataset = refuse_link(folder / default_output([named_after]))
        model = refuse_link(folder / f"{base_name(named_after)}{MODEL_SUFFIX}")
        renders = self._renders(model, None if is_batch else output)
        sources = [
            *self._training_clips,
            *self.looks,
            *self.apply,
            *([self.target] if self.target else []),
            *(parse_mask(self.keep).files if self.keep else []),
        ]
        check_renders(renders, output, sources, self.recipe, context)
        if note:
            context.note(note)
        if context.dry_run:
            table = self._forecast(dataset, model, renders, context)
            return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3)}
        try:
            trained = self._train(dataset, model, context)
        except UsageError as error:
            # The dataset and the model are in the output's folder, so another name for the output does not help.
            error.remedy = re.sub(r"another( name| place)? with -o", "an -o in another folder", error.remedy)
            raise
        table = {"output": str(output), "dataset": str(dataset), "model": str(model)}
        table |= {"held_out": trained.get("held_out")}
        if is_batch:
            table = batch_table(*stylize_batch(renders, output, self.batch, context), table)
        else:
            table = stylize(renders[0], context) | table
        return table | {
            "seconds": round(time.monotonic() - began, 3),
            "cached": table["cached"] and trained["cached"],
        }

    def _check_at_once(self) -> None:
        """Raise UsageError unless --look is given once, or if an option has no effect without a training."""
        if len(self.looks) != 1:
            why = "it has no picture" if not self.looks else f"{len(self.looks)} looks were given, and one is rendered"
            remedy = 'give one --look: a picture, a mixture "a.jpg: 0.6, b.jpg: 0.4", or moments "0: a.jpg, 5s: b.jpg"'
            raise UsageError("--at-once", why, remedy)
        tables = self.user_arguments.tables
        flags = {("training", "steps"): "--steps", ("pairing", "name"): "--pairing"}
        settings = [(table, key) for table in TRAINING_TABLES for key in tables.get(table, {})]
        unread = [str(self.video)] if self.video else []
        unread += [f"--{name}" for name in ("target", "keep", "minutes") if getattr(self, name) is not None]
        unread += [flags.get(setting, f"--set {'.'.join(setting)}") for setting in settings]
        variable = getattr(parameters_of(type(self))["seed"].option, "variable", "")
        # A seed from the environment may be meant for other commands.
        if "seed" in self.user_arguments.values and variable not in os.environ:
            unread.append("--seed")
        if unread:
            raise UsageError(unread[0], "nothing is trained with --at-once", "leave it out, or --at-once")
        if "look" in tables.get("rendering", {}):
            raise UsageError("--set rendering.look", "--look names the pictures", "leave it out")

    def _render_at_once(self, context: Context) -> Table:
        """Render the clips in the style of --look without a training; return the result table."""
        from vidtrans.batch.jobs import batch_table
        from vidtrans.stylizing.clips import requests_for, stylize_batch, stylize_one
        from vidtrans.stylizing.requests import StylizeRequest

        recipe = self.recipe.under({"rendering": {"look": str(self.looks[0])}})
        template = StylizeRequest(self.apply[0], (), None, recipe)
        requests = requests_for(self.apply, template, context, self.output)
        table = {"output": str(self.output), "dataset": None, "model": template.names[0], "held_out": None}
        if len(requests) > 1 or requests[0].video != self.apply[0]:
            return batch_table(*stylize_batch(requests, self.output, self.batch, context), table)
        return table | stylize_one(replace(requests[0], output=self.output), self.batch, context)

    def _renders(self, model: Path, output: Path | None) -> list[StylizeRequest]:
        """Return a request for each clip to render with ``model``. ``output``: the result's path, None for a batch."""
        from vidtrans.pairing.pairing_records import make_pairing
        from vidtrans.stylizing.requests import StylizeRequest

        recipe = self.recipe
        if (extraction := make_pairing(*recipe.choice("pairing")).extraction) is not None:
            recipe = replace(recipe, pairing_changes={"model": extraction.model})  # A model file contains no paths.
        return [StylizeRequest(clip, (str(model),), output, recipe) for clip in self.apply]

    def _train(self, dataset: Path, model: Path, context: Context) -> Table:
        """Make the dataset and train the model; the returned entry ``cached`` tells whether nothing had to be made."""
        from vidtrans.data.making import make_dataset
        from vidtrans.stylizing.forecast import check_scene
        from vidtrans.training.requested_training import TrainingRequest, import_for_training, train
        from vidtrans.training.settings import TrainingSettings

        if self.looks:
            return self._look(model).make(context)
        import_for_training(dataset)
        made = make_dataset(self._spec(context), dataset, context)
        if self.recipe.settings("training", TrainingSettings).background_plate and len(self.apply) == 1:
            check_scene(dataset, self.apply[0], model, context)
        trained = train(TrainingRequest(dataset, model, self.recipe, self.minutes), context)
        if trained["steps"] < MIN_SHARP_STEPS and not trained["cached"]:
            more = "more --minutes" if self.minutes else "more --steps"
            context.note(
                f"{count(trained['steps'], 'step')} give a blurred sketch: continue with the same command and {more}"
            )
        return trained | {"cached": made["cached"] and trained["cached"]}

    def _forecast(self, dataset: Path, model: Path, renders: list[StylizeRequest], context: Context) -> Table:
        """Return the estimated time of the dataset, the training and the renders."""
        from vidtrans.stylizing.forecast import forecast_chain

        if self.looks:
            table = self._look(model).forecast(renders, context)
            table.pop("looks")
            return table
        return forecast_chain(self._spec(context), dataset, model, self.minutes, renders, context)

    def _spec(self, context: Context) -> DatasetSpec:
        """Return the description of the dataset to make."""
        from vidtrans.data.dataset_planning import DatasetSpec
        from vidtrans.pairing.pairing_records import make_pairing
        from vidtrans.rendering.extraction import FrameExtractor

        extractor = FrameExtractor.of_pairing(make_pairing(*self.recipe.choice("pairing")), context)
        return DatasetSpec(self._training_clips, self.recipe, self.target, extractor=extractor)

    def _look(self, model: Path) -> Look:
        """Return the command 'look' that trains ``model`` on the pictures of --look."""
        on, keep = self._training_clips, self.keep
        return Look(self.looks, model, on=on, keep=keep, minutes=self.minutes, recipe=self.recipe)

    def describe(self, table: Table) -> str:
        """Return the report on the rendered clips as text. ``table``: the result of ``make``."""
        if self.at_once:
            return render_text(table)
        if table.get("dry_run"):
            line = f"would make {count(table['pairs'], 'pair')}, train {count(table['steps'], 'step')}"
            return f"{line}, and render {self.output}{cost_text(table)}"
        return f"{table['output']}: {count(table['frames'], 'frame')}, model {table['model']}{timing(table)}"


def _have_equal_content(film: Path, clip: Path, context: Context) -> bool:
    """Return whether two clips are the same path, or files with equal content."""
    if film.resolve() == clip.resolve():
        return True
    return film.is_file() and clip.is_file() and context.cache.digest(film) == context.cache.digest(clip)
