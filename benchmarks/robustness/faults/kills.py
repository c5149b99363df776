"""kill -9 at seeded moments of every stage, then the same command: are the results byte-identical?

    python -m benchmarks.robustness.faults.kills [--kills 200] [--times 1] [--seed 0] [--minutes 60] [--only STAGE,...]

Each try starts from what the stages before have made and an empty cache of its own, is killed with all of its processes
at a random moment of the time that a whole run takes, ``--times`` times one after another, goes on to its end, and is
compared with an uninterrupted run. Prints a table, a row a stage; exits 1 if anything differed, or was left behind.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness
from benchmarks.robustness.faults.stages import STAGES, Stage, content, lay_out, prepare
from benchmarks.tables import head, row

FRAMES = 60
KNOWN = {stage.name: stage for stage in STAGES}
WELL, LATE = "identical", "too late"


def run(stage: Stage, folder: Path, kill_after_s: float | None = None) -> bool:
    """Run a stage; return whether it was killed. Raises RuntimeError where it fails."""
    command = harness.vidtrans_command(*stage.command, "-q")
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        errors = process.communicate(timeout=kill_after_s)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise RuntimeError(f"{stage.name} ended with {process.returncode}: {errors.strip()[-300:]}")
    return False


def orphans(folder: Path) -> list[int]:
    """Return the processes that work in a folder, a moment after all of them should be gone (Linux)."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (place / "cwd").readlink() == folder.resolve() and (place / "stat").read_text().split()[2] != "Z":
                    found.append(int(place.name))
            except OSError:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def attempt(stage: Stage, folder: Path, clean: dict[str, bytes], moments: Sequence[float]) -> str:
    """Kill a stage and go on; return "identical", "too late", or what is wrong."""
    needed = {name: content(folder / name) for name in ("clip.mp4", *stage.needs) if name != stage.output}
    killed = False
    before = content(folder / stage.output)
    try:
        for moment in moments:
            killed |= run(stage, folder, moment)
            if left := orphans(folder):
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                return "left processes behind"
            made = content(folder / stage.output)
            if made not in ({}, before, clean) and not stage.batch:
                return "half a result"
        run(stage, folder)
    except RuntimeError as error:
        return str(error)
    if content(folder / stage.output) != clean:
        return "differs"
    if {name: content(folder / name) for name in needed} != needed:
        return "changed a source"
    if stray := [p.name for p in folder.glob(".*") if p.name != ".vidtrans"]:
        return f"left {stray[0]}"
    return WELL if killed else LATE


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--kills", type=int, default=200, help="tries, of all stages together")
    parser.add_argument("--times", type=int, default=1, help="that each try is killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", type=harness.comma_list, default=list(KNOWN))
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    clean: dict[str, dict[str, bytes]] = {}
    found: dict[str, Counter[str]] = {name: Counter() for name in options.only}
    with harness.work_folder() as work:
        prepared = work / "prepared"
        prepare(prepared, lambda folder, command: harness.vidtrans(*command, "-q", folder=folder), FRAMES)
        for name in options.only:
            lay_out(KNOWN[name], prepared, work / name)
            began = time.monotonic()
            run(KNOWN[name], work / name)
            seconds[name], clean[name] = time.monotonic() - began, content(work / name / KNOWN[name].output)
        until = time.monotonic() + 60 * options.minutes
        for number in range(options.kills):
            if time.monotonic() > until:
                break
            name, rng = options.only[number % len(options.only)], random.Random(f"{options.seed}-{number}")
            folder = work / f"try-{number}"
            lay_out(KNOWN[name], prepared, folder)
            moments = [rng.uniform(0.1, 0.95) * seconds[name] for _ in range(options.times)]
            began = time.monotonic()
            what = attempt(KNOWN[name], folder, clean[name], moments)
            if what == LATE:  # quicker now than when it was measured
                seconds[name] = min(seconds[name], 0.9 * (time.monotonic() - began))
            found[name][what] += 1
            shutil.rmtree(folder)
    head("stage", "seconds", "killed and identical", "ended before", "else")
    for name, counts in found.items():
        rest = "; ".join(f"{n} {what}" for what, n in counts.items() if what not in (WELL, LATE))
        row(name, f"{seconds[name]:.1f}", counts[WELL], counts[LATE], rest or "–")
    total = sum(found.values(), Counter[str]())
    wrong = total.total() - total[WELL] - total[LATE]
    print(f"\n{total[WELL]} tries went on to the same bytes; {wrong} went wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    harness.run(main)
