"""Cases from pix2pix models that are trained here, a few minutes each, and run on frames that they have not seen.

After so few steps the sub-pixel head of the preset still prints a grid that stands on the screen; a filter that follows
the motion wipes it out, and sharpness takes that for lost detail. What a model does that was trained to the end is seen
with the one that ships.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import vidtrans
from benchmarks.consistency.cases import CLIPS, SIDE, Case, Clip, Missing, Plan, frames_of, read_frames
from benchmarks.consistency.store import Store, digest, tell
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Size
from vidtrans.models.model_file import find_model
from vidtrans.video.images.picture import resize, write_picture

STEPS = 300  # of training: about three minutes on two cores
SHIPPED = "flower"
# What a model learns from: a clip up to a frame. Then it is shown lines, and makes the picture of them.
MODELS = {"juggle": ("video/juggle.mp4", 180), "dog": ("video/dog.mp4", 200)}
LATER = {"juggle": Clip("video/juggle.mp4", 200), "dog": Clip("video/dog.mp4", 240)}
RENDERS = (
    *(("juggle", clip) for clip in ("later", "dog", "bbb", "bikes_cyclist")),
    *(("dog", clip) for clip in ("later", "juggle", "bedroom", "wolf")),
    *((SHIPPED, clip) for clip in ("juggle", "bedroom", "bikes_cyclist")),
)


def plan(store: Store, data: Path, count: int) -> Plan:
    """Every case by name, to be made when it is called; that trains what is missing."""
    return {
        f"trained-{model}-{clip}": partial(trained_case, f"trained-{model}-{clip}", model, clip, data, count, store)
        for model, clip in RENDERS
    }


def trained_case(name: str, model: str, clip: str, data: Path, count: int, store: Store) -> Case:
    """A model on ``count`` frames at the size that it works at. Raises Missing."""
    place = LATER[model] if clip == "later" else CLIPS[clip]
    frames = read_frames(data / place.path, place.first, count)
    size = Size(short=SIDE).of(frames[0].shape[1], frames[0].shape[0])
    guides = [resize(frame, *size) for frame in frames]
    path = find_model(SHIPPED) if model == SHIPPED else train(model, data, store)
    assert path is not None
    key = digest(path.read_bytes(), *guides)
    return Case(name, "trained", guides, store.pictures(name, key, lambda: render(guides, path, store.folder / name)))


def train(model: str, data: Path, store: Store) -> Path:
    """The file of a model; it is trained where that is not done yet. Raises Missing."""
    video, end = MODELS[model]
    if not (data / video).exists():
        raise Missing(f"no {data / video}")
    options: dict[str, Any] = {"cache_dir": store.folder / "vidtrans", "overwrite": True}
    path = store.folder / f"{model}-{STEPS}.safetensors"
    try:
        dataset = store.folder / f"{model}.dataset"
        vidtrans.make_dataset(data / video, dataset, pairing="edges", end=str(end), **options)
        if not path.exists():
            tell(f"training {model}: {STEPS} steps, some minutes")
        vidtrans.train(dataset, path, steps=STEPS, **options)
    except VidtransError as error:
        raise Missing(f"{model}: {error}") from None
    return path


def render(guides: list[np.ndarray], model: Path, folder: Path) -> list[np.ndarray]:
    """Each frame as the model makes it, without loss. ``folder`` is for what goes in and comes out."""
    shown = folder / "shown"
    shown.mkdir(parents=True, exist_ok=True)
    for old in shown.iterdir():
        old.unlink()
    for number, guide in enumerate(guides):
        write_picture(shown / f"{number:05d}.png", guide)
    made = folder / "made.mkv"
    settings = {"encoding": {"codec": "ffv1"}, "temporal": {"name": "off"}}
    vidtrans.stylize(shown, model, made, settings=settings, cache_dir=folder.parent / "vidtrans", overwrite=True)
    return frames_of(made)
