"""Finish frames that come one by one, or are alone, as ``RenderChain`` finishes those of a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vidtrans.pairing.base import Pairing
from vidtrans.pipeline.render import compose, restore
from vidtrans.pipeline.stage import Values
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.temporal.stream import Sample
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.video.colour.conversion import to_uint16
from vidtrans.video.images.picture import resize

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
