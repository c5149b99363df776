"""What mutations.py damages: real files of every kind that vidtrans reads, and the commands that read them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.clips import write_clip
from vidtrans.rendering.benchmark import pictures

MAX_BYTES = 2 << 20
# Of what a source may hold: the identity of all frames takes a second or so. Decided by the headers, not by a clock.
MAX_SAMPLES = 24_000_000
FAMILIES = {
    **dict.fromkeys((".mp4", ".mov", ".m4v", ".3gp", ".m4a"), "mp4, mov"),
    **dict.fromkeys((".mkv", ".webm"), "matroska, webm"),
    **dict.fromkeys((".avi", ".ts", ".flv", ".mpg"), "avi, ts"),
    ".gif": "gif",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tiff", ".heic", ".avif"), "picture"),
    **dict.fromkeys((".mp3", ".wav", ".flac"), "sound"),
}
# How often each family is chosen.
SHARES = {
    "mp4, mov": 50,
    "matroska, webm": 14,
    "avi, ts": 9,
    "gif": 7,
    "picture": 7,
    "sound": 1,
    "model": 6,
    "dataset": 4,
    "preset": 1,
    "list": 1,
}
TINY = {
    "dataset": {"size": "32", "val_block_size": 3, "val_gap": 1},
    "generator": {"name": "unet-small", "channels": 8, "blocks": [0, 0, 0]},
    "discriminator": {"name": "patchgan", "num_layers": 1, "channels": 8},
    "training": {
        "steps": 2,
        "batch_size": 2,
        "lr_warmup_steps": 1,
        "checkpoint_seconds": 1000.0,
        "preview_seconds": 1000.0,
    },
}
Command = Callable[[Path, bool], list[str]]


@dataclass(frozen=True)
class Subject:
    """A file that is damaged, and the command that then reads it (given its path, and whether damage is allowed).

    ``within``: the folder that goes along, of which the file is a part.
    """

    family: str
    file: Path
    command: Command
    within: Path | None = None

    def damaged(self, place: Path, damage: Callable[[bytes], bytes]) -> Path:
        """A damaged copy in ``place``; what the command is to be given."""
        data = damage(self.file.read_bytes())
        if self.within is None:
            (place / self.file.name).write_bytes(data)
            return place / self.file.name
        shutil.copytree(self.within, place / self.within.name)
        (place / self.within.name / self.file.relative_to(self.within)).write_bytes(data)
        return place / self.within.name


def tiny_flags(*tables: str) -> list[str]:
    """Return the options that set TINY's tables, but the number of steps."""
    return [f"--set={t}.{k}={json.dumps(v)}" for t in tables for k, v in TINY[t].items() if k != "steps"]


def moving_clip(path: Path, frames: int = 12) -> Path:
    """Write a clip of 64x48 that moves by three pixels a frame."""
    picture = next(pictures(64, 48, 1))
    shown = [np.roll(picture, 3 * number, axis=1) for number in range(frames)]
    return write_clip(path, shown, crf="12", preset="veryfast", threads="1")


def render(path: Path, allowed: bool) -> list[str]:
    return ["stylize", str(path), "--model", "identity", "--json", *(["--allow-damaged"] if allowed else [])]


def real_files(folders: Sequence[Path]) -> Iterator[Subject]:
    """The small media files of folders, and a picture of each kind."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            family = FAMILIES.get(path.suffix.lower())
            if family and path.is_file() and path.stat().st_size <= MAX_BYTES and _samples(path) <= MAX_SAMPLES:
                yield Subject(family, path, render)


def _samples(path: Path) -> int:
    """Pixels of all frames, as the headers have it."""
    with suppress(av.error.FFmpegError, OSError, ValueError), closing(av.open(str(path))) as container:
        for stream in container.streams.video:
            seconds = float(container.duration or 0) / av.time_base
            frames = stream.frames or int(seconds * float(stream.average_rate or 25))
            if stream.codec_context is not None:
                return max(1, frames) * stream.width * stream.height
    return 0


def made_files(folder: Path) -> Iterator[Subject]:
    """Pictures in further formats, a model, a dataset, a preset and a list, made in ``folder``."""
    clip = moving_clip(folder / "good.mp4")
    picture = next(pictures(96, 64, 1))
    for ending in (".png", ".jpg", ".webp", ".bmp", ".tiff"):
        cv2.imwrite(str(folder / f"picture{ending}"), picture)
        yield Subject("picture", folder / f"picture{ending}", render)
    cache: dict[str, Any] = {"cache_dir": folder / "making"}
    dataset, model = folder / "good.dataset", folder / "good.safetensors"
    vidtrans.make_dataset(clip, dataset, settings=TINY, **cache)
    vidtrans.train(dataset, model, settings={k: v for k, v in TINY.items() if k != "dataset"}, **cache)
    use = ["--size", "32", "--set=rendering.engine=torch", "--json"]
    yield Subject("model", model, lambda path, _: ["stylize", str(clip), "--model", str(path), *use])
    yield Subject("model", model, lambda path, _: ["model", "show", str(path), "--json"])
    flags = tiny_flags("generator", "discriminator", "training")
    for name in ("dataset.json", sorted(p.relative_to(dataset).as_posix() for p in dataset.glob("*/*.png"))[0]):
        yield Subject(
            "dataset",
            dataset / name,
            lambda path, _: ["train", str(path), "-o", "made.safetensors", "--steps", "1", "--json", *flags],
            dataset,
        )
    shutil.copyfile(harness.ROOT / "presets" / "edges.toml", folder / "mine.toml")
    yield Subject("preset", folder / "mine.toml", lambda path, _: [*render(clip, False), "--preset", str(path)])
    plan = ["make-dataset", str(clip), "--dry-run", "--json", "--preset"]
    yield Subject("preset", folder / "mine.toml", lambda path, _: [*plan, str(path)])
    (folder / "clips.toml").write_text(
        f'model = "identity"\n[encoding]\ncrf = 20\n[[clips]]\nsource = "{clip}"\n[[clips]]\nsource = "{clip}"\n'
        'output = "second.mp4"\nstart = "2"\nend = "0.3s"\n'
    )
    yield Subject("list", folder / "clips.toml", lambda path, _: ["stylize", str(path), "--json", "--dry-run"])


def choose(subjects: Sequence[Subject], rng: random.Random) -> Subject:
    """A family by its share, then any of its files."""
    held: dict[str, list[Subject]] = {}
    for subject in subjects:
        held.setdefault(subject.family, []).append(subject)
    family = rng.choices(list(held), [SHARES[name] for name in held])[0]
    return rng.choice(held[family])
