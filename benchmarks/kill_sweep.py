"""kill -9 at seeded moments of each step, then the same command: are the results byte-identical?

    python benchmarks/kill_sweep.py CLIP [--kills 6] [--seed 0] [--work FOLDER]

Each try starts from an empty cache, is killed once at a random moment, goes on to its end, and is compared with
an uninterrupted run. Prints a table, a row a step; exits 1 if anything differed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = {
    "make-dataset": ["make-dataset", "clip.mp4", "--size", "144"],
    "train": ["train", "clip.dataset", "--steps", "60", "--set", "training.checkpoint_seconds=1"],
    "stylize": ["stylize", "clip.mp4", "--model", "clip", "--set", "rendering.chunk_frames=20"],
}
OUTPUT = {"make-dataset": "clip.dataset", "train": "clip.safetensors", "stylize": "clip.clip.mp4"}


def digest(path: Path) -> str:
    """SHA-256 over a file, or over every file of a folder with its name."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def run(step: str, folder: Path, kill_after_s: float | None = None) -> bool:
    """Run a step; says whether it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vidtrans", *STEPS[step], "-q"], cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        status = process.wait(kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    if status != 0:
        raise SystemExit(f"{step} failed with exit status {status} in {folder}")
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    work = options.work or Path(tempfile.mkdtemp(prefix="kill-sweep-"))
    clean = work / "clean"
    clean.mkdir(parents=True)
    shutil.copy(options.clip, clean / "clip.mp4")
    seconds = {}
    for step in STEPS:
        began = time.monotonic()
        run(step, clean)
        seconds[step] = time.monotonic() - began
    print(f"{'step':14} {'seconds':>8} {'kills':>6} {'identical':>10}")
    different = 0
    for number, step in enumerate(STEPS):
        killed = identical = 0
        for k in range(options.kills):
            folder = work / f"{step}-{k}"
            folder.mkdir()
            for name in ("clip.mp4", *list(OUTPUT.values())[:number]):
                source = clean / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
            killed += run(step, folder, rng.uniform(0.15, 0.98) * seconds[step])
            run(step, folder)
            identical += digest(folder / OUTPUT[step]) == digest(clean / OUTPUT[step])
            shutil.rmtree(folder)
        different += options.kills - identical
        print(f"{step:14} {seconds[step]:8.1f} {killed:6} {identical:6} of {options.kills}")
    if options.work is None:
        shutil.rmtree(work)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
