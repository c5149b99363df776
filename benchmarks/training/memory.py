"""What the preset hd takes of memory at 1024x512, training and rendering, with checkpointing and without.

    python -m benchmarks.training.memory [--preset hd] [--size 1024x512] [--steps 3] [--set TABLE.KEY=VALUE ...]

A clip is made; then each command runs as a process of its own, on the CPU, and the system says what it held at most.
The goal: 8 GB, and 4 GB with checkpointing; exits 1 where it is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

FRAMES = 12
GOAL_GB = {False: 8.0, True: 4.0}


def write_clip(path: Path, width: int, height: int) -> None:
    """Soft colours that drift, with squares before them."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 32, width // 32, 3), dtype=np.uint8)
    picture = np.kron(small, np.ones((32, 32, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(picture, 5 * i, axis=1)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def peak(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run a command; the most memory that its process held, in GB, and the seconds that it took."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "vidtrans", *arguments, "-q", "--device", "cpu"], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"vidtrans {' '.join(arguments)}: exit status {process.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * scale / 1e9, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hd")
    parser.add_argument("--size", default="1024x512")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="assignments")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    more = [part for text in options.assignments for part in ("--set", text)]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="memory-") as place:
        folder = Path(place)
        write_clip(folder / "clip.mp4", width, height)
        peak(folder, "make-dataset", "clip.mp4", "--preset", options.preset, "--size", options.size)
        print(f"{'command':9} {'checkpointing':14} {'GB at most':>10} {'seconds':>8}")
        for checkpointing in (False, True):
            name = f"model-{int(checkpointing)}"
            setting = f"generator.grad_checkpointing={'true' if checkpointing else 'false'}"
            train = ["train", "clip.dataset", "-o", f"{name}.safetensors", "--steps", str(options.steps)]
            for command in ([*train, *more, "--set", setting], ["stylize", "clip.mp4", "--model", name]):
                # Each with a cache of its own: checkpointing changes no result, so the second would find the first's.
                held, seconds = peak(folder, *command, "--cache-dir", f"cache-{name}")
                missed += held > GOAL_GB[checkpointing]
                print(f"{command[0]:9} {'yes' if checkpointing else 'no':14} {held:10.2f} {seconds:8.0f}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
