"""kill -9 at random moments of one training, again and again, then on to its end: is the model the same to the byte?

    python -m benchmarks.robustness.training_resume [CLIP] [--steps 200] [--kills 3] [--seed 0]
                                                   [--set TABLE.KEY=VALUE ...]

The clip is the one that ships, unless another is given. Prints where each kill came and what it cost; exits 1 where the
models differ. ``benchmarks/robustness/faults/kills.py`` does it to every step of the chain, once a try.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vidtrans
from vidtrans.core.files import digest_file

SHIPPED = Path(vidtrans.__file__).parent / "assets/flower.mp4"
SMALL = ("--set", "training.checkpoint_seconds=0.5", "--device", "cpu", "-q")


def started(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "vidtrans", *arguments], cwd=folder)


def finished(arguments: list[str], folder: Path) -> float:
    """Run to the end; the seconds that it took."""
    began = time.monotonic()
    if status := started(arguments, folder).wait():
        raise SystemExit(f"vidtrans {' '.join(arguments)}: exit status {status}")
    return time.monotonic() - began


def saved_step(cache: Path) -> int:
    """The step of the last whole checkpoint; 0 where there is none."""
    steps = [json.loads(p.read_text())["step"] for p in cache.glob("train/*/checkpoint.json")]
    return max(steps, default=0)


def killed(arguments: list[str], folder: Path, step: int, offset_s: float) -> bool:
    """Run, and kill it so long after the checkpoint of ``step`` or of one beyond it; whether it was still running."""
    process = started(arguments, folder)
    while process.poll() is None and saved_step(folder / "killed") < step:
        time.sleep(0.01)
    try:
        process.wait(offset_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="64")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="assignments")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    more = [part for text in options.assignments for part in ("--set", text)]
    with tempfile.TemporaryDirectory(prefix="resume-") as place:
        folder = Path(place)
        made = ["make-dataset", str(options.clip.absolute()), "-o", "look.dataset", "--size", options.size, "-q"]
        finished(made, folder)
        train = ["train", "look.dataset", "--steps", str(options.steps), *SMALL, *more]
        seconds = finished([*train, "-o", "whole.safetensors", "--cache-dir", "whole"], folder)
        print(f"uninterrupted: {options.steps} steps, {seconds:.1f} s")
        command, kills = [*train, "-o", "killed.safetensors", "--cache-dir", "killed"], 0
        # Steps, for how long one takes differs; up to a second later there are steps to lose, and checkpoints to cut.
        moments = sorted(rng.sample(range(1, options.steps * 9 // 10), options.kills))
        for step in moments:
            if not killed(command, folder, step, rng.uniform(0.0, 1.0)):
                break
            kills += 1
            print(f"kill {kills}: step {saved_step(folder / 'killed')} was saved last", flush=True)
        print(f"the last run: {finished(command, folder):.1f} s")
        same = digest_file(folder / "whole.safetensors") == digest_file(folder / "killed.safetensors")
        print(f"{kills} kills, the models are {'the same to the byte' if same else 'DIFFERENT'}")
    sys.exit(0 if same and kills == options.kills else 1)


if __name__ == "__main__":
    main()
