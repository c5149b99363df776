"""Every step that writes, at toy size, and what each one makes: for kills.py and writes.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidtrans.rendering.benchmark import widescreen, write_clip

SHORT_SIDE, FRAMES = 144, 24  # chunks outgrow what libraries hold back before they write
DATASET = ("--size", "32", "--set=dataset.val_block_size=3", "--set=dataset.val_gap=1")
NETWORKS = (
    *("--set=generator.name=unet-small", "--set=generator.channels=8", "--set=generator.blocks=[0, 0, 0]"),
    *("--set=discriminator.name=patchgan", "--set=discriminator.num_layers=1", "--set=discriminator.channels=8"),
)
TRAINING = (
    *("--steps", "6", "--set=training.batch_size=2", "--set=training.lr_warmup_steps=2"),
    *("--set=training.checkpoint_seconds=0", "--set=training.preview_seconds=0"),
)
CHUNKS = ("--set=rendering.chunk_frames=8",)
LOOK = ("--model", "clip.safetensors", "--size", "source", *CHUNKS)
RENDER, MODEL = ("stylize", "clip.mp4", *LOOK), ("clip.safetensors",)


@dataclass(frozen=True)
class Stage:
    """A command, what it needs in its folder beside the clip, and what it makes. A ``batch`` tells each failure."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    output: str
    batch: bool = False


STAGES = (
    Stage("make-dataset", ("make-dataset", "clip.mp4", *DATASET), (), "clip.dataset"),
    Stage(
        "overwrite",
        ("make-dataset", "clip.mp4", *DATASET, "--set=dataset.val_fraction=0.2", "--overwrite"),
        ("clip.dataset",),
        "clip.dataset",
    ),
    Stage("train", ("train", "clip.dataset", *NETWORKS, *TRAINING), ("clip.dataset",), "clip.safetensors"),
    Stage("stylize", (*RENDER, "-o", "look.mp4"), MODEL, "look.mp4"),
    Stage("off", (*RENDER, "--temporal", "off", "-o", "off.mp4"), MODEL, "off.mp4"),
    Stage("causal", (*RENDER, "--temporal", "causal", "-o", "causal.mp4"), MODEL, "causal.mp4"),
    Stage("draft", (*RENDER, "--draft", "3", "-o", "draft.mp4"), MODEL, "draft.mp4"),
    Stage("parts", (*RENDER, "--jobs", "2", "-o", "parts.mp4"), MODEL, "parts.mp4"),
    Stage("pictures", (*RENDER, "--codec", "png", "-o", "pictures"), MODEL, "pictures"),
    Stage("gif", (*RENDER, "-o", "look.gif"), MODEL, "look.gif"),
    Stage(
        "dream",
        ("dream", "clip.mp4", "--model", "next.safetensors", "--frames", "20", "-o", "dream.mp4", *CHUNKS),
        ("next.safetensors",),
        "dream.mp4",
    ),
    Stage(
        "deflicker",
        ("deflicker", "look.mp4", "--source", "clip.mp4", "-o", "deflickered.mp4", *CHUNKS),
        ("look.mp4",),
        "deflickered.mp4",
    ),
    Stage(
        "evaluate", ("evaluate", "look.mp4", "--source", "clip.mp4", "-o", "scores.png"), ("look.mp4",), "scores.png"
    ),
    Stage("compare", ("compare", "clip.mp4", "look.mp4", "-o", "both.mp4"), ("look.mp4",), "both.mp4"),
    Stage("batch", ("stylize", "clips", "-o", "out", *LOOK), ("clips", *MODEL), "out", batch=True),
)


def prepare(folder: Path, run: Callable[[Path, tuple[str, ...]], object], frames: int = FRAMES) -> None:
    """Make everything that any stage needs in ``folder``, with a cache that is left behind."""
    (folder / "clips").mkdir(parents=True)
    clips = {"clip.mp4": frames, "clips/a.mp4": frames // 2 - 2, "clips/b.mp4": frames // 2 + 2}
    for name, count in clips.items():
        write_clip(folder / name, widescreen(SHORT_SIDE), count)
    known = {stage.name: stage for stage in STAGES}
    run(folder, known["make-dataset"].command)
    run(folder, known["train"].command)
    run(folder, known["stylize"].command)
    run(folder, ("make-dataset", "clip.mp4", "--pairing", "next-frame", "-o", "next.dataset", *DATASET))
    run(folder, ("train", "next.dataset", *NETWORKS, *TRAINING))


def lay_out(stage: Stage, prepared: Path, folder: Path) -> None:
    """A folder in which the stage can begin, with nothing in its cache."""
    folder.mkdir(parents=True)
    for name in ("clip.mp4", *stage.needs):
        source = prepared / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)


def content(path: Path) -> dict[str, bytes]:
    """The files of a result by their place in it; none where it is not there. How long a batch took is left out."""
    if path.is_file():
        return {"": path.read_bytes()}
    files = (p for p in sorted(path.rglob("*")) if p.is_file())
    return {p.relative_to(path).as_posix(): _lasting(p) for p in files}


def _lasting(path: Path) -> bytes:
    if not path.name.startswith("vidtrans-batch"):
        return path.read_bytes()
    value = json.loads(path.read_text())
    return json.dumps(sorted(item["source"] for item in value["items"])).encode()
