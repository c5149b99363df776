"""What training with each preset takes on this machine: seconds a step, minutes in all, memory.

    python -m benchmarks.training.presets CLIP [--only NAME ...] [--timed 4]

Each preset trains a few steps on the clip in a process of its own, at its own size; the quickest of them counts. CPU
seconds are printed beside, for a machine that is shared: with two cores that are free, a step takes at least half of
them. There OMP_NUM_THREADS=1 is truer: threads that wait for each other spin.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY = 8  # pictures are not what costs


def dataset(name: str, clip: Path, folder: Path) -> Path:
    """A dataset as the preset makes it."""
    made = folder / f"{name}.dataset"
    source, target = clip, ["--target", str(clip)]
    if name == "stack":
        source = folder / "guides"
        source.mkdir()
        for guide in ("depth", "normals"):
            shutil.copyfile(clip, source / f"{guide}{clip.suffix}")
    elif name != "aligned":
        target = ["--every", str(EVERY)]
    command = ["make-dataset", str(source), "-o", str(made), "--preset", name, *target, "-q"]
    subprocess.run([sys.executable, "-m", "vidtrans", *command], cwd=folder, check=True)
    return made


def measure(folder: Path, timed: int) -> None:
    """In a process of its own: print one JSON object."""
    import torch

    from vidtrans.core.system import peak_memory
    from vidtrans.data.dataset import open_dataset
    from vidtrans.data.folder import train_recipe
    from vidtrans.session import Context
    from vidtrans.training.set_up import TrainingSetup
    from vidtrans.training.settings import TrainingSettings

    recipe = train_recipe(folder, None, {})
    settings = recipe.settings("training", TrainingSettings)
    job = TrainingSetup(open_dataset(folder), recipe, settings, None, Context(device="cpu"))
    run = job.make_run(Path(), 1)
    wall, cpu = [], []
    for step in range(1 + timed):
        began, worked = time.perf_counter(), time.process_time()
        batch = run.loader.make(step)
        run.model.step(torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets), lr=settings.lr, seed=step)
        if step:  # the first one allocates
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - worked)
    found = {
        "generator": job.generator_name,
        "crop": list(run.loader.crop),
        "batch": settings.batch_size,
        "steps": settings.steps,
        "wall": min(wall),
        "cpu": min(cpu),
        "bytes": peak_memory(),
    }
    sys.stdout.write(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="or, with --measure, a dataset")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--timed", type=int, default=4)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.clip, options.timed)
        return
    from vidtrans.config.recipe import preset_names

    heads = f"{'preset':12} {'generator':10} {'sees':>9} {'batch':>5} {'steps':>7} {'s/step':>7}"
    print(f"{heads} {'CPU s':>6} {'minutes':>8} {'of 2 free cores, at least':>25} {'GB':>5}")
    with tempfile.TemporaryDirectory(prefix="presets-") as place:
        for name in options.only or preset_names():
            made = dataset(name, options.clip.absolute(), Path(place))
            command = [sys.executable, __file__, str(made), "--measure", "--timed", str(options.timed)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=place)
            m = json.loads(done.stdout)
            sees = "x".join(map(str, m["crop"]))
            minutes, least = (m["steps"] * seconds / 60 for seconds in (m["wall"], m["cpu"] / 2))
            row = f"{name:12} {m['generator']:10} {sees:>9} {m['batch']:5} {m['steps']:7} {m['wall']:7.2f}"
            print(f"{row} {m['cpu']:6.2f} {minutes:8.0f} {least:25.0f} {m['bytes'] / 1e9:5.2f}", flush=True)


if __name__ == "__main__":
    main()
