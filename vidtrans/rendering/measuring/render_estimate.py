"""Estimate the cost of a render from a short trial on its first frames, whose files are deleted."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidtrans.core.costs import TRIAL_FRAMES, estimate
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.enlarger import Enlarger, ShotFaults
from vidtrans.rendering.frame_path import FramePath
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.temporal_steps import FindColours, TemporalSteps
from vidtrans.video.images.picture import resize
from vidtrans.video.io.encoder import LosslessWriter, picture_encoder


def estimate_render(plan: RenderPlan, engine: Engine, find_colours: FindColours = lambda: None) -> Table:
    """Return the dry-run table of a render, by running its first frames through all steps in a temporary folder.

    ``find_colours``: see ``TemporalSteps``.
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
        reader = stack.enter_context(plan.clip.reader(plan.form(plan.size), plan.threads))
        frames = stack.enter_context(closing(reader.frames(plan.first, stop, plan.clip.index)))
        renderer = stack.enter_context(closing(FramePath(plan, engine).renderer()))
        compose = Composer.opened(plan, range(plan.first, stop), Enlarger(plan, ShotFaults(), engine), stack)
        with (
            closing(plan.segment(folder / "segment.nut")) as segment,
            closing(LosslessWriter(folder / "raw.nut", *plan.size, deep=plan.is_deep)) as raw,
        ):
            if plan.extraction is not None:  # any picture costs as much as the right one
                frames = (replace(frame, guides=(frame.rgb,)) for frame in frames)
            samples = renderer.stream(renderer.prepare(frame, (plan.first, stop)) for frame in frames)
            for sample, picture in TemporalSteps(plan, find_colours)(samples, range(plan.first, stop)):
                raw.write(sample.output)
                made = picture() if callable(picture) else picture
                result = made if compose is None else compose(sample, made)
                segment.write(result, sample.pts)
                if encode:
                    unpacked += len(encode(resize(result, form.width, form.height)))
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
