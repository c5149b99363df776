"""A folder of clips, some of them broken, killed half-way and run again: does only the rest run, is all of it the same?

    python -m benchmarks.robustness.overnight CLIP [--clips 40] [--broken 3] [--frames 30] [--jobs 1] [--model NAME]

Prints what became of both runs; exits 1 if anything is other than it should be.
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
from typing import Any

from benchmarks.speed.batch import parts_of


def batch(place: Path, options: argparse.Namespace, kill_at: int | None = None) -> tuple[int, dict[str, Any]]:
    """Run it in ``place``, or kill it when so many results are there. Its exit status and its table."""
    command = [sys.executable, "-m", "vidtrans", "stylize", str(options.clips_folder), "--model", options.model]
    command += ["-o", "out", "--json", "-q", "--jobs", str(options.jobs), "--device", "cpu"]
    run = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while kill_at is not None and run.poll() is None:
        if len(list((place / "out").glob("*.mp4"))) >= kill_at:
            run.kill()
        time.sleep(0.05)
    told, errors = run.communicate()
    if "Traceback" in errors:
        print(errors)
    return run.returncode, json.loads(told) if told.strip() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--broken", type=int, default=3)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--model", default="flower")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overnight-") as name:
        work = Path(name)
        options.clips_folder = work / "clips"
        for folder in ("clips", "clean", "killed"):
            (work / folder).mkdir()
        parts_of(options.clip, options.clips_folder, options.clips, options.frames)
        rng = random.Random(0)
        for number, path in enumerate(rng.sample(sorted(options.clips_folder.iterdir()), options.broken)):
            data = path.read_bytes()
            path.write_bytes((data[: len(data) // 3], b"no video at all", bytes(len(data)))[number % 3])
        sources = {p.name: p.read_bytes() for p in options.clips_folder.iterdir()}
        status, clean = batch(work / "clean", options)
        good = options.clips - options.broken
        killed, _ = batch(work / "killed", options, kill_at=good // 2)
        there = len(list((work / "killed" / "out").glob("*.mp4")))
        again, rest = batch(work / "killed", options)
        results = [{p.name: p.read_bytes() for p in (work / w / "out").glob("*.mp4")} for w in ("clean", "killed")]
        cached = sum(item["cached"] for item in rest["items"])
        print(f"clean: exit {status}, {len(clean['items'])} rendered, {len(clean['failed'])} failed:")
        for why in clean["failed"].values():
            print("  " + why.replace(f"{options.clips_folder}/", ""))
        print(
            f"killed ({killed}) with {there} there; again: exit {again}, {cached} up to date, {good - cached} rendered"
        )
        fine = {
            "exit 5": status == again == 5,
            "all others rendered": len(clean["items"]) == len(rest["items"]) == good,
            "only the rest": cached == there,
            "byte-identical": results[0] == results[1] and len(results[0]) == good,
            "sources unchanged": sources == {p.name: p.read_bytes() for p in options.clips_folder.iterdir()},
        }
        print(", ".join(f"{what}: {'yes' if held else 'NO'}" for what, held in fine.items()))
    sys.exit(0 if all(fine.values()) else 1)


if __name__ == "__main__":
    main()
