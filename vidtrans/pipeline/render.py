"""The stages of a render in their order, and their joined options, the table [rendering] of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.core.options import settings_over_time
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import SMALLEST_SIDE, Table, to_table
from vidtrans.curves.curve import files_in, replace_curve_files, replace_files
from vidtrans.pipeline.enlarge import Enlarge
from vidtrans.pipeline.infer import Infer
from vidtrans.pipeline.read import Read
from vidtrans.pipeline.stage import PictureStage, Stage, StageSettings, Values

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.pairing.base import Pairing
    from vidtrans.pipeline.blend import BlendSettings
    from vidtrans.pipeline.enlarge import EnlargeSettings
    from vidtrans.pipeline.infer import InferSettings
    from vidtrans.pipeline.read import ReadSettings


# Picture stages by name, in the order in which they change the finished picture of a frame
STAGES = Registry(
    "picture stage",
    {
        "blend": Entry("vidtrans.pipeline.blend:Blend", "strength, the source's colours and light, mask, mix"),
    },
)
# Classes of the picture stages, which change the finished picture of a frame, in the order in which they run
PICTURE_STAGES: tuple[type[PictureStage], ...] = tuple(entry.load() for entry in STAGES.values())
# Classes of all stages of a render, in the order in which they run
RENDER: tuple[type[Stage], ...] = (Read, Infer, Enlarge, *PICTURE_STAGES)
# Neutral values of the picture stages' options, by option name: with them, no picture stage changes a picture
NEUTRAL: Values = {n: float(getattr(s.Settings, n)) for s in PICTURE_STAGES for n in settings_over_time(s.Settings)}
PICTURE_VALUES = tuple(NEUTRAL)  # Names of the picture stages' options that may change over time

if TYPE_CHECKING:
    # Declares, for type checkers, the options that other modules read by name. Only a plug-in stage reads its options.
    class _Joined(BlendSettings, EnlargeSettings, InferSettings, ReadSettings):
        pass
else:  # Reversed, because a dataclass takes the fields of its last base first
    _Joined = type("_Joined", tuple(stage.Settings for stage in reversed(RENDER)), {})


@dataclass(frozen=True)
class RenderingSettings(_Joined):
    """Settings of a render: working size, chunks, precision, and the strength and region of the style over time."""

    def curve_files(self) -> list[Path]:
        """Return the files that curves read: the sound, and files of curve values. Raises UsageError."""
        sound = [Path(self.sound)] if self.sound else []
        shares = [Path(file) for file in files_in(self.look)]  # The shares of styles may be curves, too
        return list(dict.fromkeys([*sound, *super().curve_files(), *shares]))

    def for_extractor(self, size: int) -> RenderingSettings:
        """Return the settings for the extractor of a model that is rendered with these settings.

        ``size``: the short side in pixels of the extractor's frames; 0: the extractor's default. An extractor is a
        network that makes the model's input.
        """
        side = str(max(size, SMALLEST_SIDE)) if size else "auto"
        return RenderingSettings(
            size=side, chunk_frames=self.chunk_frames, engine=self.engine, precision=self.precision
        )

    def for_key(self) -> Table:
        """Return the settings that affect the output, for cache keys; equal curves have equal texts.

        The sound and other files of curves are left out, because the keys of renders contain the curves' values.
        """
        curves = {name: str(curve) for name, curve in self.curves().items()}
        return to_table(self) | curves | {"sound": ""} | self.engine_plugin


def restore(pairing: Pairing, source: np.ndarray, picture: np.ndarray, model_input: np.ndarray | None) -> np.ndarray:
    """Restore the source content that the pairing keeps in a model's picture.

    Args:
        pairing: the model's pairing.
        source: the frame, (H, W, 3) uint8 or uint16.
        picture: the model's output, of the source's size and dtype.
        model_input: the network's input, (h, w, C); needed only if the pairing restores content (``finishes``).
    """
    if not pairing.finishes:
        return picture
    from vidtrans.video.images.picture import resize

    assert model_input is not None
    return pairing.finish(source, picture, resize(model_input, source.shape[1], source.shape[0]))


def compose(
    picture: np.ndarray, source: np.ndarray, values: Values | None = None, matte: np.ndarray | None = None
) -> np.ndarray:
    """Run all picture stages on a frame's picture; see ``PictureStage.run``. ``values``: neutral by default."""
    values = NEUTRAL if values is None else values
    for stage in PICTURE_STAGES:
        picture = stage.run(picture, source, matte, values)
    return picture


def compose_on_device(picture: Any, source: Any, values: Values, matte: Any) -> Any:  # noqa: ANN401  (tensors)
    """Run all picture stages on GPU tensors; see ``PictureStage.run_on_device``. Requires ``have_device_form``."""
    for stage in PICTURE_STAGES:
        picture = stage.run_on_device(picture, source, matte, values)
    return picture


def are_idle(settings: StageSettings) -> bool:
    """Return whether no picture stage changes a picture with these settings, unless there is a matte."""
    return all(stage.is_idle(settings) for stage in PICTURE_STAGES)


def have_device_form(settings: StageSettings) -> bool:
    """Return whether all picture stages can run on a GPU with these settings."""
    return all(stage.has_device_form(settings) for stage in PICTURE_STAGES)


def picture_versions() -> Table:
    """Return the version of each picture stage, by name, for cache keys."""
    return {name: stage.version for name, stage in zip(STAGES, PICTURE_STAGES, strict=True)}


def look_named(tables: Mapping[str, Table]) -> str:
    """Return the value of ``rendering.look`` in a recipe's tables, unchecked; '' if it is not set."""
    return str(tables.get("rendering", {}).get("look", ""))


def with_files_at(table: Table, change: Callable[[Path], str]) -> Table:
    """Return a table [rendering] in which ``change(path)`` replaces each path of a sound or a curve's file."""
    found = replace_curve_files(RenderingSettings, dict(table), change)
    if files_in(str(table.get("look", ""))):
        found["look"] = replace_files(table["look"], change)
    return found | ({"sound": change(Path(table["sound"]))} if table.get("sound") else {})
