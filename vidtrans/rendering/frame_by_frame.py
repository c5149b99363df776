"""Render single frames one by one, for example of a stream or a live source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import output_classes
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

# Function (output, source) → picture: enlarges the output, (h, w, 3), to the size of the source, (H, W, 3)
Enlarge = Callable[[np.ndarray, np.ndarray], np.ndarray]


def resize_to_result(source: np.ndarray, pairing: Pairing) -> np.ndarray:
    """Resize a source picture, (H, W, 3), to the size of the result, by the upscale factor of the pairing."""
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
    """Enlarge, paint and blend the output of a frame; return its finished picture.

    Args:
        pairing: the model's pairing.
        sample: the frame, with the filtered output.
        source: the source frame at the size of the result, (H, W, 3) of the output's dtype.
        model_input: the network's input; needed only if the pairing restores parts of the source.
        values: the values of the picture stages in this frame.
        strokes: paints the picture in strokes if it has a medium.
        enlarge: enlarges an output that is not painted to the size of its source.
        moved: stroke values that override the stroke settings, by name.
    """
    output = sample.output
    if strokes.medium is None:
        return compose(restore(pairing, source, enlarge(output, source), model_input), source, values)
    guide = sample.guide if output.dtype == np.uint8 else to_uint16(sample.guide)
    kept = restore(pairing, guide, output, model_input)
    painted = strokes(sample.index, sample.guide, kept, size_of(source), moved, starts_shot=sample.starts_shot)
    return compose(painted, source, values)


class FrameByFrame:
    """A renderer of single frames in order: ``prepare``, then ``renderer.stream``, then ``finish``.

    Between two frames ``renderer.inputs`` and ``strokes`` may be replaced.

    Args:
        model: the model that ``engine`` runs.
        rendering: the settings; those of the extractor, ``upscale`` and ``sharpness`` are used.
        strokes: paints the pictures in strokes if it has a medium.
        inputs: makes the network's inputs; by default, by the model's pairing.
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
        """Return the pairing that makes the network's input."""
        return self.renderer.inputs.pairing

    def prepare(self, frame: Frame, size: tuple[int, int], shot: tuple[int, int]) -> PreparedFrame:
        """Make the network's input of a source frame at the working ``size``, (width, height).

        ``shot``: the frames [first, stop) of the frame's shot.
        """
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
        """Return the finished picture of a frame; see ``finish_frame``.

        ``model_input``: the network's input, computed here if it is None and needed. ``enlarge``: the default follows
        the ``upscale`` setting.
        """
        if model_input is None and self.pairing.finishes:
            model_input = self.renderer.inputs([Frame(sample.index, sample.pts, sample.guide)])
        enlarge = enlarge or self._enlarged
        return finish_frame(self.pairing, sample, source, model_input, values, self.strokes, enlarge, moved)

    def _enlarged(self, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Enlarge an output to the size of its source by the ``upscale`` setting; no faults are corrected."""
        is_small = output.shape[0] < source.shape[0] and output.shape[1] < source.shape[1]
        mode = self._rendering.upscale_for(fills_holes=self.pairing.fills_holes)
        mode = mode if is_small and not self._model.is_identity else "bicubic"
        classes, share = output_classes(self._model), self._rendering.sharpness
        (large,) = enlarge_frames([output], [source], mode, share, has_faults=False, classes=classes)
        return large
