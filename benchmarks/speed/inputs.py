"""Inputs of the speed benchmarks: square clips with sound, and the paper's U-Net with trained weights."""

from __future__ import annotations

from pathlib import Path

import vidtrans
from benchmarks.clips import square_frames, write_clip
from vidtrans.models.model_file import find_model

RATE = 30
TRAINED = 40  # steps: enough for weights and statistics that are no random ones


def source_of(data: Path | None) -> Path | None:
    """Return the clip of the data set; None where there is no data: a moving texture takes its place."""
    clip = data / "video" / "flower.mp4" if data else None
    return clip if clip and clip.exists() else None


def square_clip(source: Path | None, side: int, seconds: float, folder: Path) -> Path:
    """Return a square clip with a tone, made of a clip's middle, to and fro. Kept once it is there."""
    path = folder / f"{'flower' if source else 'texture'}-{side}-{seconds:g}.mp4"
    if not path.exists():
        frames = square_frames(source, side)
        there_and_back = frames + frames[-2:0:-1]
        part = path.with_suffix(".part.mp4")
        shown = (there_and_back[n % len(there_and_back)] for n in range(round(seconds * RATE)))
        write_clip(part, shown, RATE, tone=True, crf="16", preset="fast")
        part.replace(path)
    return path.resolve()


def model_path(name: str, source: Path | None, folder: Path) -> Path:
    """Return the file of ``unet-256``, or of a model by its name or path.

    ``unet-256`` is Isola et al.'s U-Net on edges, trained for a few steps. Kept once it is there.
    """
    if name != "unet-256":
        found = find_model(name)
        assert found is not None
        return found.resolve()
    path = folder / "unet-256.safetensors"
    if not path.exists():
        options = {"cache_dir": folder / "vidtrans", "overwrite": True}
        vidtrans.make_dataset(
            square_clip(source, 256, 10, folder), folder / "clip.dataset", preset="pix2pix", **options
        )
        vidtrans.train(folder / "clip.dataset", path, preset="pix2pix", steps=TRAINED, **options)
    return path
