"""What a few of a model's pictures show: the faults of each shot, which are cached, and the colours of a clip.

The frames are counted from the beginning of the shot. So they are the same for any part of a clip, on any host.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np

from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.grading.learning import affine_colours
from vidtrans.grading.transfer import AffineColours
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.cache_entries import infer_stage
from vidtrans.rendering.enlarger import ShotFaults
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.rendering.frame_path import FramePath
from vidtrans.rendering.plan import RenderPlan
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk
from vidtrans.store.stages import FaultsStage
from vidtrans.upscaling import VERSION
from vidtrans.upscaling.array_pictures import shrink, unit
from vidtrans.upscaling.mending import Faults, find_faults
from vidtrans.video.images.picture import read_picture

# Frames after the first of a shot, which may be a fade; a clip of which a part is rendered is read this far.
SAMPLED = (4, 14, 24)
COLOUR_FRAMES = 5  # of a clip, whose colours become those of a palette
OF_A_PART = ("first", "stop", "shots", "chunk_frames", "held", "extraction", "lead")  # parameters of the infer stage


def sampled(first: int, stop: int) -> list[int]:
    """Return the numbers of the frames of the shot [first, stop) in which faults are looked for."""
    return [first + n for n in SAMPLED if first + n < stop] or [(first + stop - 1) // 2]


def find_shot_faults(plan: RenderPlan, engine: Engine, chunks: Iterable[Chunk], context: Context) -> ShotFaults:
    """Return the faults of a model's pictures of the shots of ``chunks``, from the cache or a few of their frames."""
    if not plan.is_measured:
        return ShotFaults()
    outputs: Table = {k: v for k, v in asdict(infer_stage(plan, engine)).items() if k not in OF_A_PART}
    outputs |= {"exposure": plan.exposure.for_key()} if plan.exposure else {}
    outputs["extracts"] = plan.extraction is not None
    starts = plan.clip.shots
    ends = (*starts[1:], plan.clip.index.num_frames)
    shots = dict.fromkeys(bisect_right(starts, chunk.first) - 1 for chunk in chunks)
    found = {}
    for count, shot in enumerate(shots, 1):
        found[starts[shot]] = _cached(plan, engine, (starts[shot], ends[shot]), outputs, context)
        context.stop.check()
        context.report(Progress(f"measuring {plan.clip.name}", count, len(shots), "shots"))
    return ShotFaults(found)


def _cached(plan: RenderPlan, engine: Engine, shot: tuple[int, int], outputs: Table, context: Context) -> Faults:
    """Return the faults in a shot [first, stop). ``outputs``: the key of the model's outputs."""
    numbers = sampled(*shot)
    stage = FaultsStage(outputs, numbers, VERSION)
    entry = context.cache.entry(stage.name, stage.key)
    cached = entry.read()
    if cached is None:
        cached = asdict(find_faults(_pairs(plan, engine, shot, numbers, context)))
        with entry.locked(wait_for=f"another run that renders {plan.clip.name}"):
            entry.finish(cached)
    return Faults(**cached)


def find_palette(plan: RenderPlan, engine: Engine, context: Context) -> AffineColours | None:
    """Return the map of a clip's colours, as the model paints them, to those of the palette; None without a palette.

    It is the same for any part of the clip, unless the model sees a mask or paint. Raises MediaError.
    """
    if plan.strokes is None or (palette := plan.strokes.settings.pictures.get("palette")) is None:
        return None
    begin, end = 0, plan.clip.index.num_frames
    if plan.input_mask or plan.paint:  # which are known for the frames of the plan
        begin, end = plan.first, plan.stop
    outputs = []
    for number in (begin + n for n in spread_numbers(end - begin, COLOUR_FRAMES)):
        first = max(shot for shot in plan.clip.shots if shot <= number)
        [(output, _)] = _pairs(plan, engine, (first, number + 1), [number], context)
        outputs.append(np.rint(output * 255).astype(np.uint8))
    return affine_colours(outputs, [read_picture(palette)])


def _pairs(
    plan: RenderPlan, engine: Engine, shot: tuple[int, int], numbers: Sequence[int], context: Context
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the model's outputs of frames of a shot, each beside its source at the same size, (h, w, 3) float32."""
    rendering = replace(plan.rendering, draft_step=1, duplicate_threshold=0)
    whole = replace(plan, settings=replace(plan.settings, rendering=rendering))
    extractor = None if plan.drawn else FrameExtractor.of(plan.model, rendering, context)
    needed = sorted({n for number in numbers for n in (*input_frames(plan.pairing, number, shot[0]), number)})
    sources, prepared = [], []
    with closing(FramePath(whole, engine).renderer()) as renderer:
        for frame in read_clip_frames(plan.clip, needed, plan.form(plan.source_size), context):
            frame = replace(frame, rgb=plan.exposure(frame)) if plan.exposure else frame
            small = resized(frame, plan.size, extractor)
            if frame.index not in numbers:
                renderer.remember(small)
                continue
            sources.append(shrink(unit(frame.rgb), plan.size))
            span = (frame.index, frame.index + 1) if plan.model.is_recurrent else shot
            prepared.append(renderer.prepare(small, span, restarts=True))
        outputs = [unit(sample.output) for sample in renderer.stream(prepared)]
    return list(zip(outputs, sources, strict=True))
