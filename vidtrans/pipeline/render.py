"""The stages of a render in their order, their options joined in the table [rendering], and the finished picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.core.options import moving
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import SMALLEST_SIDE, Table, to_table
from vidtrans.curves.curve import files_in, with_curve_files_at, with_other_files
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


# The stages that change the finished picture of a frame, in their order.
STAGES = Registry(
    "picture stage",
    {
        "blend": Entry("vidtrans.pipeline.blend:Blend", "strength, the source's colours and light, mask, mix"),
    },
)
PICTURE_STAGES: tuple[type[PictureStage], ...] = tuple(entry.load() for entry in STAGES.values())
RENDER: tuple[type[Stage], ...] = (Read, Infer, Enlarge, *PICTURE_STAGES)
# The values with which every picture stays as it is, by name.
NEUTRAL: Values = {n: float(getattr(s.Settings, n)) for s in PICTURE_STAGES for n in moving(s.Settings)}
PICTURE_VALUES = tuple(NEUTRAL)

if TYPE_CHECKING:
    # What other modules read by name. The options of further stages are read by their stage alone.
    class _Joined(BlendSettings, EnlargeSettings, InferSettings, ReadSettings):
        pass
else:  # a class has the fields of its last base first
    _Joined = type("_Joined", tuple(stage.Settings for stage in reversed(RENDER)), {})


@dataclass(frozen=True)
class RenderingSettings(_Joined):
    """Settings of a render: working size, chunks, precision, and the strength and place of the style over time."""

    def curve_files(self) -> list[Path]:
        """Return the files that curves read: a sound, and files of values. Raises UsageError."""
        own = [Path(self.sound)] if self.sound else []
        shares = [Path(file) for file in files_in(self.look)]  # of looks, which may move
        return list(dict.fromkeys([*own, *super().curve_files(), *shares]))

    def for_extractor(self, size: int) -> RenderingSettings:
        """Return the settings of the network that makes the input of a model which is rendered with these settings.

        ``size``: the short side in pixels of its frames; 0: its own.
        """
        side = str(max(size, SMALLEST_SIDE)) if size else "auto"
        return RenderingSettings(
            size=side, chunk_frames=self.chunk_frames, engine=self.engine, precision=self.precision
        )

    def for_key(self) -> Table:
        """Return the settings that affect the output, for cache keys; equal curves have equal texts.

        Not what curves hear or read: the keys of renders have the values that come of it.
        """
        curves = {name: str(curve) for name, curve in self.curves().items()}
        return to_table(self) | curves | {"sound": ""} | self.engine_plugin


def restore(pairing: Pairing, source: np.ndarray, picture: np.ndarray, model_input: np.ndarray | None) -> np.ndarray:
    """Return a model's picture with the content of the source that the pairing keeps.

    Args:
        pairing: the model's.
        source: the frame, (H, W, 3) uint8 or uint16.
        picture: the model's output, of the source's size and dtype.
        model_input: the network's input, (h, w, C); needed only if the pairing keeps something (``finishes``).
    """
    if not pairing.finishes:
        return picture
    from vidtrans.video.images.picture import resize

    assert model_input is not None
    return pairing.finish(source, picture, resize(model_input, source.shape[1], source.shape[0]))


def compose(
    picture: np.ndarray, source: np.ndarray, values: Values | None = None, matte: np.ndarray | None = None
) -> np.ndarray:
    """Return the finished picture of a frame, which all picture stages have changed; see ``PictureStage.run``.

    ``values``: None for those that change nothing.
    """
    values = NEUTRAL if values is None else values
    for stage in PICTURE_STAGES:
        picture = stage.run(picture, source, matte, values)
    return picture


def compose_on_device(picture: Any, source: Any, values: Values, matte: Any) -> Any:  # noqa: ANN401  (tensors)
    """Do what ``compose`` does on tensors of a GPU, where ``have_device_form`` says that it can."""
    for stage in PICTURE_STAGES:
        picture = stage.run_on_device(picture, source, matte, values)
    return picture


def are_idle(settings: StageSettings) -> bool:
    """Return whether these settings of [rendering] leave every picture as it is, unless there is a matte."""
    return all(stage.is_idle(settings) for stage in PICTURE_STAGES)


def have_device_form(settings: StageSettings) -> bool:
    """Return whether a GPU can run all picture stages with these settings."""
    return all(stage.has_device_form(settings) for stage in PICTURE_STAGES)


def picture_versions() -> Table:
    """Return the versions of the picture stages by name, for cache keys."""
    return {name: stage.version for name, stage in zip(STAGES, PICTURE_STAGES, strict=True)}


def look_named(tables: Mapping[str, Table]) -> str:
    """Return the ``rendering.look`` of a recipe's tables, unchecked; '' without one."""
    return str(tables.get("rendering", {}).get("look", ""))


def with_files_at(table: Table, change: Callable[[Path], str]) -> Table:
    """Return a table [rendering] with ``change(path)`` in place of each file that curves hear or read."""
    found = with_curve_files_at(RenderingSettings, dict(table), change)
    if files_in(str(table.get("look", ""))):
        found["look"] = with_other_files(table["look"], change)
    return found | ({"sound": change(Path(table["sound"]))} if table.get("sound") else {})
