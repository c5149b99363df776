"""kill -9 at seeded moments of every stage, then the same command: are the results byte-identical?

    python -m benchmarks.robustness.faults.kills CLIP [--kills 200] [--seed 0] [--minutes 60] [--only STAGE,...]
                                                 [--work FOLDER]

Each try starts from what the stages before have made and an empty cache of its own, is killed once, with all of its
processes, at a random moment of the time that a whole run takes, goes on to its end, and is compared with an
uninterrupted run. Prints a table, a row a stage; exits 1 if anything differed, or was left behind.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SMALL = ("--set", "rendering.chunk_frames=8", "--size", "96")
RENDER = ("stylize", "clip.mp4", "--model", "clip", *SMALL)
TRAIN = ("--set", "training.checkpoint_seconds=0.3", "--set", "generator.channels=8")
CHAIN = ("--size", "96", "--end", "40")
# What each stage does, and what it leaves; each finds what those before it have left.
STAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "make-dataset": (("make-dataset", "clip.mp4", *CHAIN, "--preset", "fast"), "clip.dataset"),
    "train": (("train", "clip.dataset", "--steps", "20", *TRAIN), "clip.safetensors"),
    "stylize": ((*RENDER, "--temporal", "off", "-o", "off.mp4"), "off.mp4"),
    "window": ((*RENDER, "-o", "window.mp4"), "window.mp4"),
    "causal": ((*RENDER, "--temporal", "causal", "-o", "causal.mp4"), "causal.mp4"),
    "draft": ((*RENDER, "--draft", "3", "-o", "draft.mp4"), "draft.mp4"),
    "pictures": ((*RENDER, "--codec", "png", "-o", "pictures"), "pictures"),
    "deflicker": (("deflicker", "off.mp4", "--source", "clip.mp4", "-o", "calm.mp4"), "calm.mp4"),
    "evaluate": (("evaluate", "off.mp4", "--source", "clip.mp4", "-o", "score.png"), "score.png"),
    "batch": (("stylize", "clips", "--model", "clip", *SMALL, "--jobs", "2", "-o", "batch"), "batch"),
    "parts": ((*RENDER[:1], "long.mp4", *RENDER[2:], "--jobs", "2", "-o", "parts.mp4"), "parts.mp4"),
}
UNLIKE = ("vidtrans-batch.json",)  # tells of seconds


def digest(path: Path) -> str:
    """SHA-256 over a file, or over every file of a folder with its name; '' where there is nothing."""
    if not path.exists():
        return ""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        if file.name not in UNLIKE:
            whole.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def run(stage: str, folder: Path, kill_after_s: float | None = None) -> bool:
    """Run a stage; says whether it was killed."""
    command = [sys.executable, "-m", "vidtrans", *STAGES[stage][0], "-q"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        told = process.communicate(timeout=kill_after_s)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode != 0:
        raise RuntimeError(f"{stage} ended with {process.returncode}: {told.decode(errors='replace').strip()[-300:]}")
    return False


def orphans(folder: Path) -> list[int]:
    """Processes that work in a folder, a moment after all of them should be gone (Linux)."""
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


def prepared(clean: Path, folder: Path, stage: str) -> Path:
    """A folder with what the stages before have left."""
    folder.mkdir()
    before = list(STAGES)[: list(STAGES).index(stage)]
    for name in (
        "clip.mp4",
        "long.mp4",
        "clips",
        *(STAGES[s][1] for s in before if s in ("make-dataset", "train", "stylize")),
    ):
        source = clean / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    return folder


def tried(clean: Path, folder: Path, stage: str, moment: float) -> str:
    """One kill and what came of it: "identical", "too late", or what is wrong."""
    sources = {p: digest(folder / p) for p in ("clip.mp4", "long.mp4", "clips")}
    try:
        killed = run(stage, folder, moment)
        if left := orphans(folder):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return "left processes behind"
        made = digest(folder / STAGES[stage][1])
        if killed and made and made != digest(clean / STAGES[stage][1]) and stage != "batch":
            return "half a result"
        run(stage, folder)
    except RuntimeError as error:
        return str(error)
    if digest(folder / STAGES[stage][1]) != digest(clean / STAGES[stage][1]):
        return "differs"
    if {p: digest(folder / p) for p in sources} != sources:
        return "changed a source"
    if stray := [p.name for p in folder.glob(".*") if p.name != ".vidtrans"]:
        return f"left {stray[0]}"
    return "identical" if killed else "too late"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=200, help="of all stages together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", default=",".join(STAGES))
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = Path(options.work or tempfile.mkdtemp(prefix="kills-")).resolve()
    clean = work / "clean"
    (clean / "clips").mkdir(parents=True)
    shutil.copy(options.clip, clean / "source.mp4")
    for name, end in (("clip.mp4", "40"), ("clips/a.mp4", "20"), ("clips/b.mp4", "25"), ("clips/c.mp4", "15")):
        cut = ["stylize", "source.mp4", "--model", "identity", "--size", "96", "--end", end, "-o", name, "-q"]
        subprocess.run([sys.executable, "-m", "vidtrans", *cut], cwd=clean, check=True)
    loop = ["stylize", "source.mp4", "--model", "identity", "--size", "96", "-o", "long.mp4", "-q"]
    subprocess.run([sys.executable, "-m", "vidtrans", *loop], cwd=clean, check=True)
    seconds = {}
    for stage in STAGES:
        began = time.monotonic()
        run(stage, clean)
        seconds[stage] = time.monotonic() - began
        shutil.rmtree(clean / ".vidtrans")
    chosen = options.only.split(",")
    found: dict[str, Counter[str]] = {stage: Counter() for stage in chosen}
    until = time.monotonic() + 60 * options.minutes
    for number in range(options.kills):
        stage = chosen[number % len(chosen)]
        if time.monotonic() > until:
            break
        rng = random.Random(f"{options.seed}-{number}")
        folder = prepared(clean, work / f"try-{number}", stage)
        began, share = time.monotonic(), rng.uniform(0.1, 0.95)
        what = tried(clean, folder, stage, share * seconds[stage])
        if what == "too late":  # quicker now than when it was measured
            seconds[stage] = min(seconds[stage], 0.9 * (time.monotonic() - began))
        found[stage][what] += 1
        shutil.rmtree(folder)
    print("| stage | seconds | killed and identical | ended before | else |\n|---|---|---|---|---|")
    for stage, counts in found.items():
        rest = "; ".join(f"{n} {what}" for what, n in counts.items() if what not in ("identical", "too late"))
        print(f"| {stage} | {seconds[stage]:.1f} | {counts['identical']} | {counts['too late']} | {rest or '–'} |")
    kills = sum(counts["identical"] for counts in found.values())
    wrong = sum(map(Counter.total, found.values())) - kills - sum(counts["too late"] for counts in found.values())
    print(f"\n{kills} kills went on to the same bytes; {wrong} went wrong")
    if options.work is None:
        shutil.rmtree(work)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
