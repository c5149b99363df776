"""``vidtrans demo``: make a dataset, a model, renders and a comparison from bundled clips."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.compare import Compare
from vidtrans.commands.options import check_minutes, output_option
from vidtrans.commands.text_reports import shell_path
from vidtrans.core.costs import count, duration, round_time
from vidtrans.core.events import without_advice
from vidtrans.core.files import CACHE_FOLDER, PACKAGE
from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table
from vidtrans.session import Context

# Bundled clips: the film that the model learns, and the clip that it is rendered onto
FILM, CLIP = PACKAGE / "assets" / "flower.mp4", PACKAGE / "assets" / "friday.mp4"
# Path of the bundled model, and not its name, because the user may have a model of that name
MODEL = str(PACKAGE / "assets" / "flower.safetensors")
MEDIUM = "oil"  # Painting medium of the painted render
# Factor of the painting medium's stroke width: narrow strokes, because the face in the clip is small
STROKE_SCALE = 0.5
# Default training times in minutes: of the bundled model, and of a new network
MINUTES, MINUTES_FROM_NOTHING = 1.0, 2.0
# Maximum numbers of training steps in the default time: of a new network, and of the bundled model.
# A faster machine than two CPU cores reaches these steps before the time is over, with the same result.
MAX_STEPS, MAX_MORE_STEPS = 1200, 400
# Settings, by recipe table and key, for training a new network
FROM_NOTHING_TABLES: dict[str, Table] = {"dataset": {"size": "144"}, "training": {"preview_seconds": 10.0}}
# Settings, by recipe table and key, for training the bundled model further.
# The bundled model was already trained for one hour: continue with its network size and a lower learning rate.
# Render at the source's size, because the film of the flower has fewer lines than the rendered scene.
MORE_TRAINING_TABLES: dict[str, Table] = {
    "generator": {"channels": 24},
    "training": {"preview_seconds": 10.0, "lr": 2e-4},
    "rendering": {"size": "source"},
}


@dataclass(frozen=True)
class Demo(Command):
    """Make a sample result: a film scene in the look of a flower. You need no files.

    The command trains a bundled model further, and renders the scene with it.
    """

    CONTEXT: ClassVar = ("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run")

    output: Path | None = output_option("The output folder.", "vidtrans-demo")
    minutes: float | None = option(
        None,
        "Training time in minutes. Default: 1, or 2 with --from-nothing; less on a GPU.",
        Group.TRAINING,
        bounds=(0, 1e6),
        low_open=True,
    )
    from_nothing: bool = option(
        False,
        "Train a new network instead of the bundled one. The result shows the flower from the training.",
        Group.TRAINING,
    )

    def __post_init__(self) -> None:
        check_minutes(self.minutes)

    def make(self, context: Context) -> Table:
        """Train the bundled model further on its own film and render it onto a film scene, in a folder.

        An interrupted run resumes. Raises UsageError, Interrupted.
        """
        from vidtrans.config.recipe import BY_HEART_PRESET, DEFAULT_PRESET, make_recipe
        from vidtrans.core.files import write_atomically
        from vidtrans.data.dataset_planning import DatasetSpec
        from vidtrans.data.making import make_dataset
        from vidtrans.output.result import refuse_link
        from vidtrans.stylizing.requested_render import stylize
        from vidtrans.stylizing.requests import StylizeRequest
        from vidtrans.training.requested_training import TrainingRequest, import_for_training, train

        began = time.monotonic()
        context = replace(context, report=without_advice(context.report))  # The user of the demo chose no settings.
        folder = self.output or refuse_link(Path("vidtrans-demo"))
        if context.cache_dir == Path(CACHE_FOLDER).absolute():
            context = replace(context, cache_dir=folder / CACHE_FOLDER)  # The demo's folder contains all its files.
        if self.from_nothing:
            recipe = make_recipe(BY_HEART_PRESET, None, FROM_NOTHING_TABLES)
            start_from, max_steps, rendered_clip = None, MAX_STEPS, FILM
        else:
            recipe = make_recipe(DEFAULT_PRESET, None, MORE_TRAINING_TABLES)
            start_from, max_steps, rendered_clip = MODEL, MAX_MORE_STEPS, CLIP
        stem = rendered_clip.stem
        film, clip = refuse_link(folder / FILM.name), refuse_link(folder / rendered_clip.name)
        names = (
            f"{FILM.stem}.dataset",
            f"my-{FILM.stem}.safetensors",
            f"{stem}.rendered.mp4",
            f"{stem}.{MEDIUM}.mp4",
            "comparison.mp4",
        )
        dataset, model, render, painting, comparison = (refuse_link(folder / name) for name in names)
        still = refuse_link(comparison.with_suffix(".png"))
        if context.dry_run:
            return {"output": str(folder), "frames": 0, "seconds": 0.0, "cached": False, "dry_run": True}
        if not film.is_file():
            context.note(
                f"this takes about {self._minutes_in_all} on two CPU cores; Ctrl-C stops it, the same command continues"
            )
        for source, copy in ((FILM, film), (rendered_clip, clip)):
            if not copy.is_file():
                with write_atomically(copy) as temporary:
                    shutil.copyfile(source, temporary)
        import_for_training(dataset)
        dataset_table = make_dataset(DatasetSpec([film], recipe), dataset, context)
        request = TrainingRequest(dataset, model, recipe, self._minutes, at_most=max_steps, start_from=start_from)
        trained = train(request, context)
        rendered = stylize(StylizeRequest(clip, (str(model),), render, recipe), context)
        strokes = recipe.under({"strokes": {"medium": MEDIUM, "size": STROKE_SCALE}})
        painted = stylize(StylizeRequest(clip, (str(model),), painting, strokes), context)
        labels = ("the clip", "the model's picture")
        pair = [clip, Path(rendered["output"])]
        video = Compare(tuple(pair), comparison, labels=labels, input_of=str(model)).make(context)
        sheet = Compare(tuple(pair), still, labels=labels, input_of=str(model)).make(context)
        return {
            "output": str(folder),
            "frames": rendered["frames"],
            "video": rendered["output"],
            "painting": painted["output"],
            "comparison": video["output"],
            "comparison_sheet": sheet["output"],
            "report": trained["report"],
            "model": str(model),
            "steps": trained["steps"],
            "held_out": trained["held_out"],
            "seconds": round(time.monotonic() - began, 3),
            "cached": all(t["cached"] for t in (dataset_table, trained, rendered, painted, video, sheet)),
        }

    @property
    def _minutes(self) -> float:
        """Return the training time in minutes: the user's, or the default."""
        if self.minutes is not None:
            return self.minutes
        return MINUTES_FROM_NOTHING if self.from_nothing else MINUTES

    @property
    def _minutes_in_all(self) -> str:
        """Return the total time of training, rendering and painting as text, ``2 min``."""
        return duration(round_time(60 * (self._minutes + 1)))

    def describe(self, table: Table) -> str:
        """Return the report on the written files, with the next commands to try, as text.

        ``table``: the result of ``make``.
        """
        if table.get("dry_run"):
            line = f"would make {table['output']}: a dataset, a model, a video and a comparison; about "
            return line + f"{self._minutes_in_all} on a CPU, 60 MB"
        return "\n".join(
            (
                f"done in {duration(table['seconds'])}, {count(table['steps'], 'training step')}. Look at:",
                *_in_columns(
                    (shell_path(table["comparison"]), "the clip, what the model saw of it, what it painted"),
                    (shell_path(table["comparison_sheet"]), "the same as a picture"),
                    (shell_path(table["video"]), "the model's video"),
                    (shell_path(table["painting"]), "the same, painted in oil"),
                ),
                "Now with a clip of yours:",
                *_in_columns(
                    ("vidtrans stylize YOURS.mp4 --look watercolour", "painted in another medium"),
                    ("vidtrans stylize YOURS.mp4 --look PAINTING.jpg", "in the look of a picture"),
                    ("vidtrans try YOURS.mp4 --vary look=oil,pencil,ink", "media on a few frames"),
                    ("vidtrans run YOURS.mp4 --apply OTHER.mp4 -o out.mp4", "the look of a clip of yours"),
                ),
                "Open this page first, in a browser: how it learned, with its scores and a film:",
                f"  {shell_path(table['report'])}",
            )
        )


def _in_columns(*rows: tuple[str, str]) -> list[str]:
    """Return lines of two aligned columns, indented by two spaces."""
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]
