"""``vidtrans run``: dataset, model and renders in one resumable command."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHING, Command
from vidtrans.commands.look import Look
from vidtrans.commands.options import MINUTES, MODEL_SUFFIX, SEVERAL, TARGET, WHEN_TO_STOP, check_minutes, clips_of
from vidtrans.commands.options import output as output_option
from vidtrans.commands.words import cost_text, count, timing
from vidtrans.config.recipe import CHAIN, Recipe, dataset_recipe, look_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.parameters import Argument, Group, Option
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.data.dataset_planning import DatasetSpec
    from vidtrans.stylizing.requested_render import StylizeRequest


@dataclass(frozen=True)
class Run(Command):
    """Teach a look from VIDEO, or from pictures, and render it onto clips; finished steps are reused.

    vidtrans run film.mp4 --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --apply clip.mp4 -o out.mp4
    """

    CONTEXT: ClassVar = (*CACHING, "device", "decoder", "seed")
    TABLES: ClassVar = dict.fromkeys(CHAIN, ()) | {
        "pairing": None,
        "training": ("steps",),
        "rendering": ("upscale", "sharpness", "strength", "mix", "keep_colour"),
        "temporal": None,
        "encoding": ("codec",),
    }
    BATCH: ClassVar = SEVERAL
    EXCLUSIVE: ClassVar = WHEN_TO_STOP

    video: Annotated[Path | None, Argument()] = None
    _: KW_ONLY
    apply: Annotated[tuple[Path, ...], Option("A clip to render onto; may be repeated.", Group.INPUT, metavar="VIDEO")]
    output: Annotated[Path, output_option("The result; a folder for several clips.")]
    looks: Annotated[
        tuple[Path, ...],
        Option(
            "Learn the manner of a picture instead, as 'vidtrans look' does; on VIDEO, or without one on the clips of "
            "--apply. May be repeated.",
            Group.INPUT,
            ("--look",),
            metavar="PICTURE",
        ),
    ] = ()
    target: Annotated[Path | None, TARGET] = None
    minutes: Annotated[float | None, MINUTES] = None
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.video is None and not self.looks:
            raise UsageError("run", "there is nothing to learn from", "give a VIDEO, or --look PICTURE")
        if self.looks and self.target:
            raise UsageError("--target", "a look is learned from its pictures alone", "leave out --target or --look")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe for learning from a video, or of a look with ``--look``. Raises UsageError."""
        return (look_recipe if arguments.get("looks") else dataset_recipe)(preset, tables)

    @classmethod
    def epilog(cls) -> str:
        """Return the note on defaults with ``--look``."""
        return "With --look the defaults are those of 'vidtrans look'."

    @property
    def _learned_on(self) -> tuple[Path, ...]:
        return (self.video,) if self.video else self.apply

    def make(self, context: Context) -> Table:
        """Train on a video or on style pictures, and render the model onto several files, folders and globs.

        Finished steps are reused. The dataset and the model are written next to the output, named after the video; with
        style pictures, named after the output, or for several clips inside the output folder, named after the first
        picture. Raises UsageError, MediaError, ModelError, DeviceError, Diverged, Interrupted.
        """
        return replace(self, apply=tuple(clips_of(self.apply, self.recipe)))._make(context)

    def _make(self, context: Context) -> Table:
        from vidtrans.commands.batches import batch_table
        from vidtrans.core.files import base_name
        from vidtrans.data.dataset_planning import default_output
        from vidtrans.output.places import refuse_link
        from vidtrans.stylizing.clips import stylize_batch
        from vidtrans.stylizing.forecast import check_renders
        from vidtrans.stylizing.requested_render import stylize

        began = time.monotonic()
        output, many = self.output, len(self.apply) > 1
        folder = output if many else output.parent
        named_after = self.looks[0] if self.looks else self._learned_on[0]
        if self.looks and not many:
            named_after = output
        dataset = refuse_link(folder / default_output([named_after]))
        model = refuse_link(folder / f"{base_name(named_after)}{MODEL_SUFFIX}")
        renders = self._renders(model)
        sources = [*self._learned_on, *self.looks, *self.apply, *([self.target] if self.target else [])]
        check_renders(renders, output, sources, self.recipe, context)
        if context.dry_run:
            table = self._forecast(dataset, model, renders, context)
            return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3)}
        try:
            trained = self._teach(dataset, model, context)
        except UsageError as error:
            # Dataset and model lie beside the output: another name for it would not help.
            error.remedy = re.sub(r"another( name| place)? with -o", "an -o in another folder", error.remedy)
            raise
        table = {"output": str(output), "dataset": str(dataset), "model": str(model)}
        table |= {"held_out": trained.get("held_out")}
        if many:
            table = batch_table(*stylize_batch(renders, output, self.batch, context), table)
        else:
            table |= {key: value for key, value in stylize(renders[0], context).items() if key in ("frames", "cached")}
        return table | {
            "seconds": round(time.monotonic() - began, 3),
            "cached": table["cached"] and trained["cached"],
        }

    def _renders(self, model: Path) -> list[StylizeRequest]:
        """Return a request for each clip to render; a single clip gets the output path."""
        from vidtrans.pairing.base import make_pairing
        from vidtrans.stylizing.requested_render import StylizeRequest

        output, recipe = None if len(self.apply) > 1 else self.output, self.recipe
        if (extraction := make_pairing(*recipe.choice("pairing")).extraction) is not None:
            recipe = replace(recipe, pairing_changes={"model": extraction.model})  # the model file stores no path
        return [StylizeRequest(clip, (str(model),), output, recipe) for clip in self.apply]

    def _teach(self, dataset: Path, model: Path, context: Context) -> Table:
        """Make the dataset and train the model; ``cached`` is true if both existed."""
        from vidtrans.data.making import make_dataset
        from vidtrans.stylizing.forecast import check_scene
        from vidtrans.training.requested_training import TrainingRequest, train
        from vidtrans.training.settings import TrainingSettings

        if self.looks:
            return self._look(model).make(context)
        made = make_dataset(self._spec(context), dataset, context)
        if self.recipe.settings("training", TrainingSettings).background_plate and len(self.apply) == 1:
            check_scene(dataset, self.apply[0], model, context)
        trained = train(TrainingRequest(dataset, model, self.recipe, self.minutes), context)
        return trained | {"cached": made["cached"] and trained["cached"]}

    def _forecast(self, dataset: Path, model: Path, renders: list[StylizeRequest], context: Context) -> Table:
        from vidtrans.stylizing.forecast import forecast_chain

        if self.looks:
            table = self._look(model).forecast(renders, context)
            table.pop("looks")
            return table
        return forecast_chain(self._spec(context), dataset, model, self.minutes, renders, context)

    def _spec(self, context: Context) -> DatasetSpec:
        from vidtrans.data.dataset_planning import DatasetSpec
        from vidtrans.pairing.base import make_pairing
        from vidtrans.rendering.extraction import FrameExtractor

        extractor = FrameExtractor.of_pairing(make_pairing(*self.recipe.choice("pairing")), context)
        return DatasetSpec(self._learned_on, self.recipe, self.target, extractor=extractor)

    def _look(self, model: Path) -> Look:
        return Look(self.looks, model, on=self._learned_on, minutes=self.minutes, recipe=self.recipe)

    def describe(self, table: Table) -> str:
        """Return the report on one clip."""
        if table.get("dry_run"):
            line = f"would make {count(table['pairs'], 'pair')}, train {count(table['steps'], 'step')}"
            return f"{line}, and render {self.output}{cost_text(table)}"
        return f"{table['output']}: {count(table['frames'], 'frame')}, model {table['model']}{timing(table)}"
