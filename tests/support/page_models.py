"""Models, and files of other programs, that the pages take for granted: small checkpoints, networks, maps, a queue."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_graphs
from clips import moving_frames, write_folder
from dreams import make_dreamer
from made_models import make_coded_model, make_grade, make_model
from peer_variants import VARIANTS, save_variant

import vidtrans

COUNT = 36
Make = Callable[[Path], object]
MODELS = ("look", "lines", "painting", "edges2cats", "hed-look")
DREAMERS = ("river", "fire", "flood")
# A queue that runs what it is given at once: each task of an array, or the one script.
SBATCH = """#!/bin/sh
script=$(cat)
tasks=$(printf '%s\\n' "$@" | sed -n 's/^--array=\\([0-9]*\\)-\\([0-9]*\\).*/\\1 \\2/p')
for task in $(seq ${tasks:-1 1}); do
    printf '%s' "$script" | SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_JOB_ID=7 bash >&2 || exit
done
echo 7
"""


def model_makers() -> dict[str, Make]:
    """Return what makes each model and file of another program, by how the pages name it."""
    made: dict[str, Make] = {}
    for name in MODELS:
        made |= dict.fromkeys([f"--model {name}", f"--input {name}", f'"{name}"'], _model(name))
    for name in DREAMERS:
        made |= dict.fromkeys([f"--model {name}", f'"{name}"'], _dreamer(name))
    # of the pairing of datasets that say nothing else
    made |= {"--from look": lambda _: make_model("look.safetensors", "edges", {"gradient_channel": True})}
    made |= {f"{name}.cube": lambda path: make_grade(str(path)) for name in ("warm", "grade")}
    made |= {f"{name}.onnx": _turned for name in ("candy", "hed")}
    made |= {"multistyle.onnx": lambda path: _tinter(path, 10), "transform.onnx": lambda path: _tinter(path, 3)}
    made |= {"predict.onnx": _predictor, "latest_net_G.pth": _checkpoint, "export cats": _imported}
    made |= {
        "export both": lambda _: make_model("both.safetensors", "look", {"looks": ["ink", "oil"], "strokes": True})
    }
    made |= {"shot/": _guides, "other_shot/": _guides, "maps/": _maps, "other_maps/": _maps}
    made |= {"other_maps/ --model street": lambda _: make_model("street.safetensors", "labels", {"classes": 3})}
    made |= {"--model street": lambda _: Path("street.safetensors").exists() or make_coded_model("street.safetensors")}
    made |= {"look.train/snapshots/": _snapshots, "river.train/snapshots/": _dreamers}
    return made | {"slurm > long.sh": _queue}


def _model(name: str) -> Make:
    path = Path(f"{name}.safetensors")
    return lambda _: path.exists() or make_model(str(path), "edges")


def _dreamer(name: str) -> Make:
    path = Path(f"{name}.safetensors")
    return lambda _: path.exists() or _dream_model(path)


def _dream_model(path: Path) -> object:
    """A model like the page's own, if it has trained one: both morph."""
    return shutil.copy("river.safetensors", path) if Path("river.safetensors").exists() else make_dreamer(path)


def _turned(path: Path) -> object:
    return onnx_graphs.save(path, onnx_graphs.painter((0, 1), (0, 1)))


def _tinter(path: Path, numbers: int) -> object:
    tints = np.random.default_rng(0).uniform(0.3, 1, (numbers, 3))
    if numbers == 3:  # of the style of a picture, which a predictor finds
        return onnx_graphs.save(path, onnx_graphs.tinter(np.eye(3), [1, 1, 1, 3], (1, "h", "w", 3)))
    return onnx_graphs.save(path, onnx_graphs.tinter(tints, [numbers]))


def _predictor(path: Path) -> object:
    return onnx_graphs.save(path, onnx_graphs.mean_colour(8, (1, 1, 1, 3)))


def _checkpoint(path: Path) -> object:
    return save_variant(next(v for v in VARIANTS if v.name == "unet-64-batch-3to3-w2"), path, "zip")


def _imported(_: Path) -> object:
    _checkpoint(Path("latest_net_G.pth"))
    return vidtrans.import_model("latest_net_G.pth", "cats.safetensors", pairing="edges")


def _guides(folder: Path) -> object:
    frames = moving_frames(COUNT)
    write_folder(folder / "depth", [frame[..., 0] for frame in frames])
    return write_folder(folder / "normals", [255 - frame for frame in frames])


def _maps(folder: Path) -> object:
    """Maps of three classes: left, right, and a bar that moves."""
    frames = []
    for i in range(COUNT):
        frame = np.zeros((48, 64), np.uint8)
        frame[:, 32:] = 1
        frame[i : i + 8] = 2
        frames.append(frame)
    return write_folder(folder, frames, [f"{i:05d}.png" for i in range(len(frames))])


def _snapshots(folder: Path) -> object:
    folder.mkdir(parents=True)
    return [make_model(str(folder / f"{step:06d}.safetensors"), "edges", seed=step) for step in (1, 2)]


def _dreamers(folder: Path) -> object:
    folder.mkdir(parents=True)
    return [_dream_model(folder / f"{step:06d}.safetensors") for step in (1, 2)]


def _queue(_: Path) -> object:
    Path("bin").mkdir()
    Path("bin/sbatch").write_text(SBATCH, encoding="utf-8")
    return Path("bin/sbatch").chmod(0o755)
