"""Cases from pix2pix models that are trained here, a few minutes each, and run on frames that they have not seen.

After so few steps the sub-pixel head of the preset still prints a grid that stands on the screen; a filter that follows
the motion wipes it out, and sharpness takes that for lost detail. What a model does that was trained to the end is seen
with the one that ships.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import vidtrans
from benchmarks.clips import Span, render_frames
from benchmarks.consistency.cases import CLIPS, SIDE, Case, Plan, read_frames
from benchmarks.harness import Missing, need
from benchmarks.store import Store, digest, tell
from benchmarks.trainings import shared_options
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Size
from vidtrans.models.model_file import find_model
from vidtrans.video.images.picture import resize

STEPS = 300  # of training: about three minutes on two cores
SHIPPED = "flower"
# What a model learns from: a clip up to a frame. Then it gets lines, and makes the picture of them.
MODELS = {"juggle": ("video/juggle.mp4", 180), "dog": ("video/dog.mp4", 200)}
LATER = {"juggle": Span("video/juggle.mp4", 200), "dog": Span("video/dog.mp4", 240)}
RENDERS = (
    *(("juggle", clip) for clip in ("later", "dog", "bbb", "bikes_cyclist")),
    *(("dog", clip) for clip in ("later", "juggle", "bedroom", "wolf")),
    *((SHIPPED, clip) for clip in ("juggle", "bedroom", "bikes_cyclist")),
)


def plan(store: Store, data: Path, count: int) -> Plan:
    """Return every case by name, to be made when it is called; that trains what is missing."""
    return {
        f"trained-{model}-{clip}": partial(trained_case, f"trained-{model}-{clip}", model, clip, data, count, store)
        for model, clip in RENDERS
    }


def trained_case(name: str, model: str, clip: str, data: Path, count: int, store: Store) -> Case:
    """Return a model's pictures of ``count`` frames, at the size that it works at. Raises Missing."""
    place = LATER[model] if clip == "later" else CLIPS[clip]
    frames = read_frames(data / place.path, place.first, count)
    size = Size(short=SIDE).of(frames[0].shape[1], frames[0].shape[0])
    guides = [resize(frame, *size) for frame in frames]
    path = find_model(SHIPPED) if model == SHIPPED else train(model, data, store)
    assert path is not None
    key = digest(path.read_bytes(), *guides)
    folder = store.folder / f"{name}-{key}"
    made = store.pictures(name, key, lambda: render_frames(guides, path, folder, store.folder / "vidtrans", size=""))
    return Case(name, "trained", guides, made)


def train(model: str, data: Path, store: Store) -> Path:
    """Return the file of a model; train it where that is not done yet. Raises Missing."""
    video, end = MODELS[model]
    options, dataset = shared_options(store.folder), store.folder / f"{model}.dataset"
    path = store.folder / f"{model}-{STEPS}.safetensors"
    try:
        vidtrans.make_dataset(need(data / video), dataset, pairing="edges", end=str(end), **options)
        if not path.exists():
            tell(f"training {model}: {STEPS} steps, some minutes")
        vidtrans.train(dataset, path, steps=STEPS, **options)
    except VidtransError as error:
        raise Missing(f"{model}: {error}") from None
    return path
