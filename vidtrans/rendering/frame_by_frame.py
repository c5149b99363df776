"""A model for frames that come one by one: those of a stream, of a live source, or a single one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import classes_of
from vidtrans.pairing.base import Pairing
from vidtrans.pipeline.render import RenderingSettings, compose, restore
from vidtrans.pipeline.stage import Values
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs, PreparedFrame, recurrence
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.session import Context
from vidtrans.temporal.stream import Sample
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.video.colour.conversion import to_uint16
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

Enlarge = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of an output to the size of its source


def with_factor(source: np.ndarray, pairing: Pairing) -> np.ndarray:
    """Return a source, (H, W, 3), at the size of the result: multiplied by the factor of a pairing that enlarges."""
    factor = pairing.upscale_factor
    return source if factor == 1 else resize(source, source.shape[1] * factor, source.shape[0] * factor)


def finish_frame(
    pairing: Pairing,
    sample: Sample,
    source: np.ndarray,
    model_input: np.ndarray | None,
    values: Values,
    strokes: StreamStrokes,
    enlarge: Enlarge,
    moved: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Return the finished picture of a frame.

    Args:
        pairing: the model's.
        sample: the frame, with the filtered output.
        source: it at the size of the result, (H, W, 3) of the output's dtype.
        model_input: the network's input; needed only if the pairing keeps something of the source.
        values: of the picture stages, in this frame.
        strokes: paint in strokes if they have a medium.
        enlarge: brings an output that is not painted to the size of its source.
        moved: values of strokes that take the place of those of their settings.
    """
    output = sample.output
    if strokes.medium is None:
        return compose(restore(pairing, source, enlarge(output, source), model_input), source, values)
    guide = sample.guide if output.dtype == np.uint8 else to_uint16(sample.guide)
    kept = restore(pairing, guide, output, model_input)
    painted = strokes(sample.index, sample.guide, kept, size_of(source), moved, starts_shot=sample.starts_shot)
    return compose(painted, source, values)


class FrameByFrame:
    """A model with its settings, which prepares frames in order, infers (``renderer.stream``), and finishes pictures.

    Between two frames ``renderer.inputs`` and ``strokes`` may be replaced.

    Args:
        model: whose ``engine`` runs.
        rendering: of which the extractor, ``upscale`` and ``sharpness`` are read.
        strokes: in which pictures are painted, if they have a medium.
        inputs: of the network; by default those that the model's pairing makes.
        deep: pictures are uint16, not uint8.
    """

    def __init__(
        self,
        model: LoadedModel,
        rendering: RenderingSettings,
        strokes: StreamStrokes,
        engine: Engine,
        context: Context,
        *,
        inputs: ModelInputs | None = None,
        deep: bool = False,
    ) -> None:
        self.strokes, self._model, self._rendering = strokes, model, rendering
        self._extractor = FrameExtractor.of(model, rendering, context)
        inputs = inputs or ModelInputs(model.pairing)
        self.renderer = FrameRenderer(inputs, engine, deep=deep, recurrence=recurrence(model.record, engine))

    @property
    def pairing(self) -> Pairing:
        """The pairing that makes the network's inputs."""
        return self.renderer.inputs.pairing

    def prepare(self, frame: Frame, size: tuple[int, int], shot: tuple[int, int]) -> PreparedFrame:
        """Make the input of a frame, which has its source's size, at a working ``size``; ``shot``: [first, stop)."""
        seen, inputs = frame.resized(*size), self.renderer.inputs
        if self._extractor is not None and not inputs.drawn:
            seen = replace(seen, guides=self._extractor.resized(frame, *(inputs.size or size)).guides)
        return self.renderer.prepare(seen, shot)

    def finish(
        self,
        sample: Sample,
        source: np.ndarray,
        values: Values,
        *,
        model_input: np.ndarray | None = None,
        enlarge: Enlarge | None = None,
        moved: Mapping[str, float] | None = None,
    ) -> np.ndarray:
        """Return the finished picture of a frame, see ``finish_frame``.

        ``model_input``: the network's, if it is at hand. ``enlarge``: None: as the settings say.
        """
        if model_input is None and self.pairing.finishes:
            model_input = self.renderer.inputs([Frame(sample.index, sample.pts, sample.guide)])
        enlarge = enlarge or self._enlarged
        return finish_frame(self.pairing, sample, source, model_input, values, self.strokes, enlarge, moved)

    def _enlarged(self, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        is_small = output.shape[0] < source.shape[0] and output.shape[1] < source.shape[1]
        mode = self._rendering.upscale_for(fills_holes=self.pairing.fills_holes)
        mode = mode if is_small and not self._model.is_identity else "bicubic"
        classes, share = classes_of(self._model), self._rendering.sharpness
        (large,) = enlarge_frames([output], [source], mode, share, has_faults=False, classes=classes)
        return large
