"""``vidtrans propagate``: propagate painted key frames of a clip through the whole clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import (
    BATCH_OPTIONS,
    BESIDE_OPTION,
    END_OPTION,
    FIRST_NUMBER_OPTION,
    START_OPTION,
    STOP_CONDITIONS,
    check_beside,
    check_minutes,
    mask_option,
    output_option,
)
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import cost_text, timing
from vidtrans.config.recipe import CHAIN, Recipe, make_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import optional_mask
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table, Time
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.propagation.requests import FOLLOW, PropagateRequest
from vidtrans.session import Context


@dataclass(frozen=True)
class Propagate(Command):
    """Carry the paint from one or a few painted frames of VIDEO to all its frames.

    First run vidtrans keyframes clip.mp4, and paint over the pictures in clip.keyframes. Then run:

    vidtrans propagate clip.mp4 --keyframes clip.keyframes
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "decoder", "seed")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = dict.fromkeys(CHAIN, ()) | {
        "training": ("steps",),
        "rendering": settings_with_use(RenderingSettings, Use.RUN),
        "strokes": None,
        "temporal": None,
        "encoding": ("codec",),
    }
    BATCH: ClassVar = BATCH_OPTIONS
    EXCLUSIVE: ClassVar = STOP_CONDITIONS

    video: tuple[Path, ...] = argument("VIDEO...")
    keyframes: Path = option(
        MISSING,
        "The painted frames: pictures with the frame's number in their names, or pictures similar to their "
        "frames. Transparent areas are not painted. For several clips: a folder for each clip, with its name.",
        Group.INPUT,
        metavar="DIR",
    )
    output: Path | None = output_option("The result. For several clips: a folder.", "VIDEO.painted.mp4")
    _: KW_ONLY
    beside: bool = BESIDE_OPTION(False)
    follow: str = option(
        FOLLOW[0],
        "How paint gets to other frames. motion: along the motion. look: by a network that learns the look. "
        "auto: the better one at each place.",
        Group.LOOK,
        choices=FOLLOW,
        form="main",
    )
    minutes: float | None = option(
        None,
        "Training time in minutes, instead of --steps. 0: no training, the paint only follows the motion.",
        Group.TRAINING,
        bounds=(0, 1e6),
        form="more",
    )
    preview: bool = option(False, "Write a preview film after one minute, and update it during training.", Group.OUTPUT)
    first_number: int | None = FIRST_NUMBER_OPTION(None)
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    mask: str | None = mask_option("Show the paint")
    layer: bool = option(
        False,
        "Write only the paint, transparent where nothing is painted, for use over footage. It needs a codec "
        "with alpha.",
        Group.OUTPUT,
    )
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        check_beside(self.beside, self.output)
        if self.minutes != 0:
            check_minutes(self.minutes)
        self._request()  # Raises UsageError if options conflict.

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe for training on painted frames; the default preset is 'painted'. Raises UsageError."""
        return make_recipe(preset, "painted", tables)

    def make(self, context: Context) -> Table:
        """Propagate painted key frames through one or several clips.

        An interrupted run resumes. Raises UsageError, MediaError, DeviceError, Interrupted.
        """
        from vidtrans.batch.jobs import process_clips
        from vidtrans.propagation.propagating import NAME, propagate

        def work(video: Path, output: Path | None, is_only: bool) -> partial[Table]:
            """Return the task that propagates the key frames of one clip. ``is_only``: it is the only clip."""
            keys = keyframe_folder(video, self.keyframes, is_only=is_only)
            return partial(propagate, replace(self._request(), video=video, keyframes=keys, output=output))

        options = "propagate", NAME, self.recipe, self.output, self.batch, context
        return process_clips(self.video, work, *options, beside=self.beside)

    def _request(self) -> PropagateRequest:
        """Return the request to propagate the key frames of the first clip, from all options."""
        return PropagateRequest(
            self.video[0],
            self.keyframes,
            self.recipe,
            self.output,
            minutes=self.minutes,
            follow=self.follow,
            preview=self.preview,
            start=self.start,
            end=self.end,
            mask=optional_mask(self.mask),
            layer=self.layer,
            first_number=self.first_number,
        )

    def describe(self, table: Table) -> str:
        """Return the report on the painted clip as text. ``table``: the result of ``make``."""
        frames, keys = count(table["frames"], "frame"), count(len(table["keyframes"]), "key frame")
        if table.get("dry_run"):
            learned = f", learn them in {count(table['steps'], 'step')}" if table["steps"] else ""
            return f"would paint {frames} like {keys}{learned}, into {table['output']}{cost_text(table)}"
        text = f"{table['output']}: {frames} painted like {keys}{timing(table)}"
        return text + (f"\nthe network: {table['model']}" if table["model"] else "")


def keyframe_folder(video: Path, folder: Path, *, is_only: bool) -> Path:
    """Return the folder of a clip's painted key frames: in ``folder``, a folder with the clip's name.

    ``is_only``: there is only one clip, whose key frames may be in ``folder`` itself. Raises UsageError.
    """
    from vidtrans.core.files import base_name
    from vidtrans.painting.choosing import SUFFIX
    from vidtrans.video.io.picture_paths import pictures_in

    names = base_name(video), f"{base_name(video)}{SUFFIX}"
    if is_only and (not folder.is_dir() or pictures_in(folder)):
        return folder
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None and is_only and not any(path.is_dir() for path in folder.iterdir()):
        return folder
    if found is None:
        why = f"it has no folder '{names[0]}' or '{names[1]}' for {video.name}"
        raise UsageError(f"--keyframes {folder}", why, "put the key frames of each clip into a folder of its name")
    return found
