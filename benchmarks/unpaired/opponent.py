"""Programs of others: pytorch-CycleGAN-and-pix2pix (Zhu et al., 2017), contrastive-unpaired-translation (Park, 2020).

Each is run from a checkout of its own (see ``opponent_run``), in a process of its own, with its own defaults.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.consistency.cases import Missing
from benchmarks.unpaired.scenes import Scene
from vidtrans.core.settings import Table
from vidtrans.video.images.picture import write_picture

REPOSITORY = Path(__file__).resolve().parents[2]
CROP = 128  # pixels a side, of what a step sees: Zhu et al. train with six blocks at this size


@dataclass(frozen=True)
class Opponent:
    """A model class of another program: its name there, and the options that differ from its defaults."""

    name: str
    model: str
    options: tuple[str, ...] = ()
    paired: bool = False

    def marker(self) -> str:
        """Return the file by which a checkout with this model is known."""
        return f"models/{self.model}_model.py"


BLOCKS = ("--netG", "resnet_6blocks")
OPPONENTS = {
    opponent.name: opponent
    for opponent in (
        Opponent("their-cyclegan", "cycle_gan", BLOCKS),
        Opponent("their-cyclegan-9", "cycle_gan"),
        # A sixteenth of the arithmetic: as many steps in the same time as our networks take.
        Opponent("their-cyclegan-small", "cycle_gan", (*BLOCKS, "--ngf", "16", "--ndf", "16")),
        Opponent("their-cut", "cut", BLOCKS),
        Opponent("their-pix2pix", "pix2pix", ("--netG", "unet_128", "--dataset_mode", "aligned"), paired=True),
    )
}


def find_checkout(opponent: Opponent, folders: Sequence[Path]) -> Path:
    """Return the folder that has the opponent's program. Raises Missing."""
    for folder in folders:
        if (folder / opponent.marker()).is_file():
            return folder
    raise Missing(f"{opponent.name}: no folder given with --opponent has {opponent.marker()}")


def run_opponent(
    opponent: Opponent, checkout: Path, scene: Scene, place: Path, seconds: float, threads: int, seed: int
) -> tuple[list[np.ndarray], Table]:
    """Train for ``seconds`` of CPU time, and paint the inputs of all tests.

    Returns the pictures (H, W, 3) uint8, and ``steps`` and ``seconds``. Raises Missing where the program fails.
    """
    shutil.rmtree(place, ignore_errors=True)
    inputs = [picture for stretch in scene.tests for picture in stretch.inputs]
    if opponent.paired and any(picture.shape[:2] != (CROP, CROP) for picture in inputs):
        raise Missing(f"{opponent.name}: its network takes pictures of {CROP}x{CROP} only")
    _write_pictures(opponent, scene, place)
    np.savez(place / "inputs.npz", *inputs)
    order = {
        "checkout": str(checkout),
        "seconds": seconds,
        "threads": threads,
        "seed": seed,
        "inputs": str(place / "inputs.npz"),
        "outputs": str(place / "outputs.npz"),
        "table": str(place / "table.json"),
        "arguments": _arguments(opponent, place),
    }
    (place / "order.json").write_text(json.dumps(order, indent=1))
    command = [sys.executable, "-m", "benchmarks.unpaired.opponent_run", str(place / "order.json")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise Missing(f"{opponent.name}: {last}")
    with np.load(place / "outputs.npz") as found:
        pictures = [found[name] for name in found.files]
    table: Table = json.loads((place / "table.json").read_text())
    shutil.rmtree(place)
    return pictures, table


def _arguments(opponent: Opponent, place: Path) -> list[str]:
    fixed = ["--dataroot", str(place), "--checkpoints_dir", str(place), "--name", "run", "--model", opponent.model]
    # Frames keep their shape and size; squares are cut out of them.
    sizes = ["--preprocess", "crop", "--crop_size", str(CROP), "--load_size", str(CROP)]
    quiet = ["--gpu_ids", "-1", "--num_threads", "0", "--display_id", "-1", "--no_html"]
    return [*fixed, *sizes, *quiet, *opponent.options]


def _write_pictures(opponent: Opponent, scene: Scene, place: Path) -> None:
    if opponent.paired:
        for number, (given, truth) in enumerate(zip(scene.paired_inputs, scene.paired_targets, strict=True)):
            write_picture(place / "train" / f"{number:05d}.png", np.hstack([given, truth]))
        return
    for folder, frames in (("trainA", scene.source), ("trainB", scene.target)):
        for number, frame in enumerate(frames):
            write_picture(place / folder / f"{number:05d}.png", frame)
