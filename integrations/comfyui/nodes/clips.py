"""Clips, pictures and painted frames of a workflow as files, which vidtrans streams."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from .places import named_file, temporary_folder

MOST_FRAMES = 300  # of an IMAGE batch that is taken as a clip
MOST_BYTES = 1 << 30  # of its tensor
CONTAINERS = {"matroska": "mkv", "mpegts": "ts"}  # whose endings differ from their names


@dataclass(frozen=True)
class ClipFile:
    """A clip of a workflow as a file, or as a folder of pictures."""

    path: str
    start: float = 0.0  # the part that is meant, in seconds
    end: float | None = None  # None for the file's own end
    is_trusted: bool = False  # it may lie outside ComfyUI's folders, as another node has opened it

    @property
    def is_part(self) -> bool:
        return self.start > 0 or self.end is not None


def clip_file(value: Any, what: str, fps: float = 24.0) -> ClipFile:
    """Return a clip of a workflow as a file. Raises ValueError.

    Args:
        value: A VIDEO; a path; an IMAGE batch, float, (frames, height, width, channels), 0 to 1; or a MASK, (frames,
            height, width).
        what: The input's name, for messages.
        fps: The frame rate of an IMAGE batch.
    """
    if isinstance(value, str):
        return ClipFile(named_file(value))
    if hasattr(value, "get_stream_source"):
        return _video_file(value, what)
    if hasattr(value, "shape"):
        check_length(value, what)
        return ClipFile(_stored(value, f"{fps}", ".mov", lambda path: write_lossless(path, value, Fraction(fps))))
    raise ValueError(f"{what}: it is neither VIDEO, IMAGE nor a path — connect one of these")


def _video_file(video: Any, what: str) -> ClipFile:
    if "Components" in type(video).__name__:  # tensors: its own source would be a file in memory, with loss
        parts = video.get_components()
        check_length(parts.images, what)
        rate, sound = Fraction(parts.frame_rate), ""
        if parts.audio:
            waveform = parts.audio["waveform"].float().cpu().contiguous().numpy()
            sound = f"{parts.audio['sample_rate']}{hashlib.sha256(waveform.tobytes()).hexdigest()}"
        write = lambda path: write_lossless(path, parts.images, rate, parts.audio)  # noqa: E731
        return ClipFile(_stored(parts.images, f"{rate}{sound}", ".mov", write))
    source = video.get_stream_source()
    start, length = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    end = start + length if length else None
    if isinstance(source, BytesIO):
        data = source.getbuffer()
        name = str(video.get_container_format()).split(",")[0]
        ending = CONTAINERS.get(name, name)
        path = temporary_folder() / f"clip-{hashlib.sha256(data).hexdigest()[:16]}.{ending}"
        if not path.is_file():
            path.write_bytes(data)
        return ClipFile(str(path), start, end)
    if not Path(source).exists():
        raise ValueError(f"{source}: no such file — was it moved or deleted?")
    return ClipFile(str(source), start, end, is_trusted=True)


def check_length(images: Any, what: str) -> None:
    frames, size = images.shape[0], images.numel() * images.element_size()
    if frames == 0:
        raise ValueError(f"{what}: the IMAGE batch is empty — connect one with pictures")
    if frames > MOST_FRAMES or size > MOST_BYTES:
        batch = f"an IMAGE batch of {frames} frames ({size / (1 << 30):.1f} GiB)"
        most = f"a batch may have {MOST_FRAMES} frames and 1 GiB"
        raise ValueError(f"{what}: {batch} is too long, {most} — connect VIDEO or a path, which are streamed")


def _stored(images: Any, more: str, ending: str, write: Callable[[Path], None]) -> str:
    """Return the file of a batch, named by its content: a second run finds the same file."""
    digest = hashlib.sha256(repr((tuple(images.shape), more)).encode())
    for image in images:
        digest.update(pixels_of(image).tobytes())
    path = temporary_folder() / f"images-{digest.hexdigest()[:16]}{ending}"
    if not path.exists():
        part = path.with_name(f"part-{path.name}")
        write(part)
        part.replace(path)
    return str(path)


def pixels_of(image: Any) -> Any:
    """Return a picture of a batch, float 0 to 1, as uint8, rounded."""
    return (image * 255.0).round().clamp(0, 255).byte().cpu().numpy()


def write_lossless(path: Path, images: Any, rate: Fraction, audio: Any = None) -> None:
    """Write a batch as PNG pictures in QuickTime, one frame after the other. Its times are exact, unlike Matroska's.

    Args:
        path: The file.
        images: Float, (frames, height, width, 3 or 4), 0 to 1, kept to 8 bits; the fourth is alpha. Masks: (frames,
            height, width).
        rate: Frames per second.
        audio: ComfyUI's AUDIO: ``waveform``, float, (1, channels, samples), and ``sample_rate``; or None.
    """
    import av

    height, width, *channels = images.shape[1:]
    form = "gray" if not channels else "rgba" if channels == [4] else "rgb24"
    with av.open(str(path), "w", format="mov") as output:
        video = output.add_stream("png", rate=rate.limit_denominator(100_000), options={"compression_level": "1"})
        video.width, video.height, video.pix_fmt = width, height, form
        if audio:
            sound = output.add_stream("aac", rate=int(audio["sample_rate"]))
            sound.bit_rate = 256_000  # AAC, as ComfyUI writes: players of the result know it
            sound.layout = "mono" if audio["waveform"].shape[1] == 1 else "stereo"
            waveform = audio["waveform"][0, :2].float().cpu().numpy()
            packed = waveform.T.reshape(1, -1).copy()
            samples = av.AudioFrame.from_ndarray(packed, format="flt", layout=sound.layout.name)
            samples.sample_rate, samples.pts = int(audio["sample_rate"]), 0
            output.mux(sound.encode(samples))
            output.mux(sound.encode(None))
        for image in images:
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels_of(image), format=form)))
        output.mux(video.encode(None))


def picture_files(value: Any, what: str) -> list[str]:
    """Return pictures of a workflow as files: of an IMAGE batch, or of a path. Raises ValueError."""
    if isinstance(value, str):
        return [named_file(value)]
    check_length(value, what)

    def write(image: Any, path: Path) -> None:
        Image.fromarray(pixels_of(image).squeeze()).save(path, format="PNG", compress_level=1)

    return [_stored(image[None], "", ".png", partial(write, image)) for image in value]


def read_pictures(files: list[Path]) -> Any:
    """Return pictures of one size as IMAGE: float32, (pictures, height, width, 3), 0 to 1."""
    import numpy as np
    import torch

    arrays = [np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) / 255.0 for file in files]
    return torch.from_numpy(np.stack(arrays))


def painted_folder(value: Any, numbers: str, what: str) -> str:
    """Return a folder of painted frames, with the frames' numbers in their names: of an IMAGE batch, or of a path.

    ``numbers``: the frame of each picture of the batch, from 0, such as ``0, 48, 96``. Raises ValueError.
    """
    if isinstance(value, str):
        return named_file(value)
    words = [word for word in re.split(r"[\s,;]+", numbers) if word]
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"numbers: {numbers[:80]!r} are no frame numbers — write them as '0, 48, 96'")
    if len(words) != len(value):
        count = f"{len(value)} picture{'s' * (len(value) != 1)} but {len(words)} number{'s' * (len(words) != 1)}"
        raise ValueError(f"{what}: {count} — write one frame number for each picture in 'numbers'")
    names = {int(word): file for word, file in zip(words, picture_files(value, what), strict=True)}
    if len(names) != len(words):
        raise ValueError(f"numbers: {numbers[:80]!r} name a frame twice — give each picture a frame of its own")
    digest = hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()[:16]
    folder = temporary_folder() / f"painted-{digest}"
    folder.mkdir(exist_ok=True)
    for number, file in names.items():
        target = folder / f"{number:06d}.png"
        if not target.is_file():
            target.write_bytes(Path(file).read_bytes())
    return str(folder)
