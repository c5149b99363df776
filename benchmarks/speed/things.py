"""What the speed benchmarks run on: square clips with sound, and the paper's U-Net with trained weights."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import torch

import vidtrans
from vidtrans.core.machine import processor
from vidtrans.models.model_file import find_model
from vidtrans.rendering.bench_clip import pictures

RATE = 30
MADE_UP = 120  # frames, where there is no clip
TRAINED = 40  # steps: enough for weights and statistics that are no random ones


def clip_of(source: Path | None, side: int, seconds: float, path: Path) -> Path:
    """A square clip with a tone, made of a clip's middle, to and fro; or of a moving texture. Kept once it is there."""
    if path.exists():
        return path
    frames = frames_of(source, side)
    there_and_back = frames + frames[-2:0:-1]
    part = path.with_suffix(".part.mp4")
    with closing(av.open(str(part), "w")) as out:
        video = out.add_stream("libx264", rate=RATE, options={"crf": "16", "preset": "fast"})
        video.width, video.height, video.pix_fmt = side, side, "yuv420p"
        audio = out.add_stream("aac", rate=44100)
        audio.layout = "stereo"
        for number in range(round(seconds * RATE)):
            frame = np.ascontiguousarray(there_and_back[number % len(there_and_back)])
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(video.encode(None))
        times = np.arange(round(44100 * seconds)) / 44100
        tone = (0.2 * np.sin(2 * np.pi * 220 * times)).astype(np.float32)
        for at in range(0, len(tone), 1024):
            heard = av.AudioFrame.from_ndarray(np.stack([tone[at : at + 1024]] * 2), format="fltp", layout="stereo")
            heard.sample_rate, heard.pts = 44100, at
            out.mux(audio.encode(heard))
        out.mux(audio.encode(None))
    part.replace(path)
    return path


def frames_of(source: Path | None, side: int) -> list[np.ndarray]:
    """The square middle of a clip's frames; of a clip that is made up where there is none."""
    if source is None:
        return list(pictures(side, side, MADE_UP))
    found = []
    with closing(av.open(str(source))) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            height, width = picture.shape[:2]
            short = min(height, width)
            top, left = (height - short) // 2, (width - short) // 2
            square = picture[top : top + short, left : left + short]
            found.append(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
    return found


def paper_model(clip: Path, folder: Path) -> Path:
    """Isola et al.'s U-Net 256 on edges, trained for a few steps on a clip. Kept once it is there."""
    path = folder / "unet-256.safetensors"
    if not path.exists():
        options = {"cache_dir": folder / "vidtrans", "overwrite": True}
        vidtrans.make_dataset(clip, folder / "clip.dataset", preset="pix2pix", **options)
        vidtrans.train(folder / "clip.dataset", path, preset="pix2pix", steps=TRAINED, **options)
    return path


def model_of(name: str, clip: Callable[[], Path], folder: Path) -> Path:
    """``unet-256``, or a model's name or file."""
    found = paper_model(clip(), folder) if name == "unet-256" else find_model(name)
    assert found is not None
    return found.resolve()


def arguments(about: str | None, rounds: int) -> argparse.ArgumentParser:
    """What all of these benchmarks take."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--cache", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--model", default="unet-256")
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def clip_in(data: Path | None) -> Path | None:
    return data / "video" / "flower.mp4" if data else None


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and in brackets the least and the most."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def machine() -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{processor()}, {torch.get_num_threads()} threads{gpu}; torch {torch.__version__}"
