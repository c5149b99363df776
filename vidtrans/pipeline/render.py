"""The stages of a render in their order, and the composition of a finished picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidtrans.core.options import moving
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table
from vidtrans.pipeline.enlarge import Enlarge
from vidtrans.pipeline.infer import Infer
from vidtrans.pipeline.read import Read
from vidtrans.pipeline.stage import PictureStage, Stage, StageSettings, Values

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.pairing.base import Pairing

# The stages that change the finished picture of a frame, in their order.
STAGES = Registry(
    "picture stage",
    {
        "blend": Entry("vidtrans.pipeline.blend:Blend", "strength, the source's colours and light, mask, mix"),
    },
)
PICTURE_STAGES: tuple[type[PictureStage], ...] = tuple(entry.load() for entry in STAGES.values())
RENDER: tuple[type[Stage], ...] = (Read, Infer, Enlarge, *PICTURE_STAGES)


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


# The values with which every picture stays as it is, by name.
NEUTRAL: Values = {n: float(getattr(s.Settings, n)) for s in PICTURE_STAGES for n in moving(s.Settings)}
PICTURE_VALUES = tuple(NEUTRAL)


def are_idle(settings: StageSettings) -> bool:
    """Return whether these settings of [rendering] leave every picture as it is, unless there is a matte."""
    return all(stage.is_idle(settings) for stage in PICTURE_STAGES)


def have_device_form(settings: StageSettings) -> bool:
    """Return whether a GPU can run all picture stages with these settings."""
    return all(stage.has_device_form(settings) for stage in PICTURE_STAGES)


def picture_versions() -> Table:
    """Return the versions of the picture stages by name, for cache keys."""
    return {name: stage.version for name, stage in zip(STAGES, PICTURE_STAGES, strict=True)}
