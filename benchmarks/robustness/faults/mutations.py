"""Seeded damage to real files, by the thousand: a table of what vidtrans made of each kind of file.

    python -m benchmarks.robustness.faults.mutations DATA_FOLDER... [--count 2000] [--seed 0] [--minutes M] [--jobs 2]
                                          [--only NUMBER...] [--sample 50]

Each try damages one byte or some of a file (video, picture, model, dataset, preset, list) and runs the command that
reads it, with --allow-damaged for half. It must end well, or with one line that says why; and leave nothing but its
result, no other source, and a cache that still serves. A command that takes longer than --limit seconds is a hang.
Every ``--sample``-th try goes through a process of its own too, as a person would start it. All tries share a cache;
at the end it must list, and a good clip must come out of it as it did at the beginning. ``--only`` repeats tries by
their numbers. Exits 1 if anything was found.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import digest_tree
from benchmarks.robustness.faults.hand import Done, Hand
from benchmarks.robustness.faults.mutate import KINDS, mutated
from benchmarks.robustness.faults.subjects import SHARES, Subject, choose, made_files, real_files, render
from benchmarks.tables import head
from benchmarks.tables import row as print_row

GROWN_MB = 250
EXPECTED = (0, 2, 3, 5)  # done, a setting is wrong, the media or the model is, some of a list are
COLUMNS = ("tries", "done", "with warnings", "refused", "tracebacks", "hangs", "crashes", "strays", "changed", "other")


@dataclass
class Try:
    """One damaged file. ``found``: what may not be."""

    number: int
    family: str
    what: str
    counts: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    grew_mb: float = 0.0  # the most memory that its process ever had


class Sweep:
    """The tries, each by its number alone: what it damages and how does not depend on the others."""

    def __init__(self, root: Path, subjects: list[Subject], options: argparse.Namespace) -> None:
        self.root, self.subjects, self.options = root, subjects, options
        self.cache, self.good = root / "cache", root / "made" / "good.mp4"
        self.peak_mb = self.slowest_s = 0.0
        self._own = threading.local()

    def one(self, number: int) -> Try:
        rng = random.Random(f"{self.options.seed}:{number}")
        subject, kind, allowed = choose(self.subjects, rng), rng.choice(list(KINDS)), rng.random() < 0.5
        row = Try(number, subject.family, f"{subject.file.name}, {kind}{', allowed' if allowed else ''}")
        place = self.root / "sources" / str(number)
        place.mkdir(parents=True)
        given = subject.damaged(place, lambda data: mutated(data, kind, rng))
        before = contents(place)
        command = subject.command(given, allowed)
        hand, folder = self._hand()
        had_mb = hand.peak_mb
        done = hand.do(command, self.options.limit)
        row.grew_mb = done.peak_mb - had_mb
        self.peak_mb, self.slowest_s = max(self.peak_mb, done.peak_mb), max(self.slowest_s, done.seconds)
        self._judge(row, done)
        self._look_for_strays(row, folder, done)
        if number % self.options.sample == 0:
            self._as_a_person(row, command, folder, done)
        if changed := [name for name, digest in contents(place).items() if before.get(name) != digest]:
            row.counts["changed"] += 1
            row.found.append(f"changed or left beside the source: {', '.join(changed)}")
        if not row.found:
            shutil.rmtree(place)
        for line in row.found:
            print(f"{number}: {row.what}: {line}", file=sys.stderr, flush=True)
            print(f"    {' '.join(command)}\n{done.trace}", file=sys.stderr, flush=True)
        return row

    def _hand(self) -> tuple[Hand, Path]:
        """This thread's."""
        if not hasattr(self._own, "hand"):
            folder = self.root / f"work-{threading.get_ident()}"
            (folder / "tmp").mkdir(parents=True)
            (folder / "out").mkdir()
            self._own.hand, self._own.folder = Hand(folder / "out", self.cache, folder / "tmp"), folder
        return self._own.hand, self._own.folder

    @staticmethod
    def _judge(row: Try, done: Done) -> None:
        row.counts["tries"] += 1
        if fault := done.fault():
            named = {"hang": "hangs", "crash": "crashes", "trace": "tracebacks"}
            row.counts[next((v for k, v in named.items() if fault.startswith(k)), "other")] += 1
            row.found.append(fault)
        elif done.status not in EXPECTED:
            row.counts["other"] += 1
            row.found.append(f"exit {done.status}: {' '.join(done.errors)}")
        elif done.status:
            row.counts["refused"] += 1
        else:
            row.counts["with warnings" if done.warnings else "done"] += 1

    @staticmethod
    def _look_for_strays(row: Try, folder: Path, done: Done) -> None:
        """What lies where it worked must be its result."""
        results = [done.table.get("output"), done.table.get("report")] if done.status == 0 else []
        wanted = {Path(result).parts[0] for result in results if result and not Path(result).is_absolute()}
        left = [p for place in ("out", "tmp") for p in (folder / place).iterdir()]
        if strays := [p.name for p in left if p.name not in wanted]:
            row.counts["strays"] += 1
            row.found.append("left behind: " + ", ".join(strays))
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _as_a_person(self, row: Try, command: list[str], folder: Path, done: Done) -> None:
        """The same in a process of its own: the same exit status and, on failure, one line and nothing else."""
        own = {"VIDTRANS_CACHE_DIR": str(self.cache), "TMPDIR": str(folder / "tmp"), "NO_COLOR": "1"}
        plain = [*(word for word in command if word != "--json"), "-q"]
        ran = harness.vidtrans(*plain, folder=folder / "out", check=False, timeout=10 * self.options.limit, **own)
        row.counts["by a person"] += 1
        # libpng, which has words of its own, cannot be told to be silent.
        others = ("warning: ", "libpng ")
        said = [line for line in ran.stderr.splitlines() if line and not line.startswith(others)]
        if ran.returncode != done.status or (ran.returncode and said != done.errors):
            row.counts["other"] += 1
            row.found.append(f"in a process of its own: exit {ran.returncode}, not {done.status}: {said}")
        for path in [p for place in ("out", "tmp") for p in (folder / place).iterdir()]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def good_render(self) -> str:
        """The digest of the good clip, rendered with the cache that all share."""
        hand, folder = self._hand()
        done = hand.do(render(self.good, False), self.options.limit)
        if done.status != 0:
            return f"exit {done.status}: {done.err}{done.trace}"
        output = folder / "out" / Path(done.table["output"]).name
        digest = digest_tree(output)
        output.unlink()
        return digest

    def cache_faults(self) -> list[str]:
        """What is wrong with the cache in the end."""
        listed = self._hand()[0].do(["cache", "list", "--json"], self.options.limit)
        found = [f"cache list: exit {listed.status} {listed.err}"] if listed.status else []
        left = [str(p.relative_to(self.cache)) for p in self.cache.rglob("*") if ".partial" in p.name]
        return found + [f"in the cache: {name}" for name in left]

    def close(self) -> None:
        if hasattr(self._own, "hand"):
            self._own.hand.close()


def contents(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): digest_tree(p) for p in files}


def totals(rows: list[Try]) -> None:
    """Print a row for each family, and their sum."""
    head("file", *COLUMNS)
    families = [name for name in SHARES if any(row.family == name for row in rows)]
    for name in [*families, "all"]:
        total = sum((row.counts for row in rows if name in (row.family, "all")), Counter[str]())
        print_row(name, *(total[column] for column in COLUMNS))


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a command hangs")
    parser.add_argument("--sample", type=int, default=50, help="every so many-th goes through a process of its own too")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="mutations-"))
    (root / "made").mkdir()
    subjects = [*real_files([harness.need(folder) for folder in options.folders]), *made_files(root / "made")]
    sweep, began = Sweep(root, subjects, options), time.monotonic()
    before = sweep.good_render()

    def in_time(number: int) -> Try | None:
        return sweep.one(number) if time.monotonic() < began + 60 * options.minutes else None

    with ThreadPoolExecutor(options.jobs) as pool:
        rows = [row for row in pool.map(in_time, options.only or range(options.count)) if row]
    after, faults = sweep.good_render(), sweep.cache_faults()
    faults += [f"the good clip: {after}, and before {before}"] if after != before else []
    persons = sum(row.counts["by a person"] for row in rows)
    spent = time.monotonic() - began
    print(f"{len(rows)} tries (seed {options.seed}) on {len(subjects)} files in {spent:.0f} s; ", end="")
    print(f"{persons} of them also in a process of their own\n")
    totals(rows)
    print(f"\nslowest {sweep.slowest_s:.1f} s, peak memory {sweep.peak_mb:.0f} MB; ", end="")
    print(f"the cache: {'; '.join(faults) or 'whole'}")
    for row in rows:
        if row.grew_mb > GROWN_MB:
            print(f"{row.number}: {row.what}: its process had {row.grew_mb:.0f} MB more than ever")
    sweep.close()
    if faults or any(row.found for row in rows):
        print(f"what was found is in {root}")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    harness.run(main)
