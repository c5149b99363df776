"""A model of classes that reads pictures which another model painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.models.loaded_model import LoadedModel, load_engine, load_model
from vidtrans.models.render_settings import classes_of
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pipeline.settings import RenderingSettings
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.session import Context
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame


@dataclass(frozen=True)
class Labeller:
    """A model that finds the classes of pictures."""

    model: LoadedModel
    context: Context

    @classmethod
    def found(cls, name: str, context: Context) -> Self:
        """Find the model. Raises UsageError if it finds no classes, ModelError if there is none."""
        return cls(load_model(name, context), context)

    def __post_init__(self) -> None:
        what = f"--labeller {self.model.name}"
        if classes_of(self.model) is None:
            remedy = "train one: make-dataset --pairing segment"
            raise UsageError(what, "it paints pictures, and a labeller finds classes", remedy)
        if len(self.model.parts) > 1 or self.model.pairing.pictures_per_frame > 1 or self.model.pairing.offsets != (0,):
            raise UsageError(what, "it needs more than one picture", "give a model of pairing 'segment'")

    @property
    def classes(self) -> ClassColours:
        """The classes that it finds."""
        found = classes_of(self.model)
        assert found is not None
        return found

    def reader(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function that maps a picture to its label map in colours, both (H, W, 3) uint8."""
        model, rendering, inputs = self.model, RenderingSettings(), ModelInputs(self.model.pairing)
        renderer = FrameRenderer(inputs, load_engine(model, rendering, self.context))

        def read(picture: np.ndarray) -> np.ndarray:
            size = model.working_size(rendering.size, picture.shape[1::-1])
            found = renderer.picture(inputs([Frame(0, 0, resize(picture, *size))]))
            return self.classes.resized(found, picture.shape[1], picture.shape[0])

        return read
