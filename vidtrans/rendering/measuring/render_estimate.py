"""Estimate the cost of a render from a short trial on its first frames, whose files are deleted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from vidtrans.core.costs import TRIAL_FRAMES, estimate
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.rendering.chain import FindColours, RenderChain
from vidtrans.rendering.enlarger import Enlarger, ShotFaults
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import RawOutputs
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize
from vidtrans.video.io.encoder import LosslessWriter, picture_encoder


class _TrialOutputs(RawOutputs):
    """Raw outputs that are written to a file, and never read."""

    def __init__(self, plan: RenderPlan, path: Path) -> None:
        super().__init__(None, plan.chunks, plan.size, deep=plan.is_deep)
        self._file = LosslessWriter(path, *plan.size, deep=plan.is_deep)

    def needs(self, frame: int) -> bool:
        """Return True."""
        return True

    def write(self, frame: int, output: np.ndarray) -> None:
        """Write the output of a frame."""
        self._file.write(output)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class _AnyPictures:
    """The frames in place of an extractor's pictures: they cost as much as the right ones."""

    def __init__(self, plan: RenderPlan) -> None:
        self.count, self._frames = RenderCount(), plan.clip.cursor(plan.form(plan.input_size), plan.threads)

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Do nothing."""

    def pictures(self) -> _AnyPictures:
        """Return a reader of the pictures."""
        return self

    def read(self, frame: int) -> np.ndarray:
        """Return the picture of a frame."""
        return to_uint8(self._frames(frame).rgb)

    def close(self) -> None:
        """Close the clip."""
        self._frames.close()


def estimate_render(
    plan: RenderPlan, engine: Engine, context: Context, find_colours: FindColours = lambda: None
) -> Table:
    """Return the dry-run table of a render, by running its first frames through all stages in a temporary folder.

    ``find_colours``: see ``RenderChain``.
    """
    encoding, form, (width, height) = plan.settings.encoding, plan.picture, plan.input_size
    encode = picture_encoder(encoding.codec, encoding.palette) if encoding.makes_pictures else None
    optimises = plan.model.optimises
    count = 1 if optimises else min(plan.num_frames, TRIAL_FRAMES)
    stop = plan.first + count
    if not optimises:  # warm up: the first call's extra cost occurs once
        engine(np.zeros((engine.batch, height, width, plan.pairing.in_channels), np.uint8))
    if plan.strokes is not None:
        plan.strokes.warm_up(deep=plan.is_deep)
    began, unpacked = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        segment = stack.enter_context(closing(plan.segment(folder / "segment.nut")))
        raw = _TrialOutputs(plan, folder / "raw.nut")
        pictures = stack.enter_context(closing(_AnyPictures(plan))) if plan.extraction is not None else None
        chain = RenderChain(plan, engine, raw, context, extraction=pictures, find_colours=find_colours, capacity=0)
        wanted, enlarge = range(plan.first, stop), Enlarger(plan, ShotFaults(), engine)
        for sample in chain.frames(stack, wanted, plan.first, stop, enlarge):
            segment.write(sample.output, sample.pts)
            if encode:
                unpacked += len(encode(resize(sample.output, form.width, form.height)))
        stack.close()
        seconds = time.perf_counter() - began
        encoded, raw_bytes = ((folder / n).stat().st_size for n in ("segment.nut", "raw.nut"))
    share = plan.num_frames / count
    return estimate(
        seconds * (_frames_like_the_first(plan) if optimises else share),
        (unpacked or encoded) * share,
        (encoded + raw_bytes) * share,
    )


def _frames_like_the_first(plan: RenderPlan) -> float:
    """Return the cost of an optimisation render in units of a shot's first frame: later ones take fewer steps."""
    assert plan.model.record is not None
    settings = plan.model.record.generator["settings"]
    shots = len({chunk.shot_first for chunk in plan.chunks})
    return float(shots + (plan.num_frames - shots) * settings["next_steps"] / settings["first_steps"])
