"""One flipped byte in every file of the cache, seeded: does the same command end with the identical result?

    python -m benchmarks.robustness.faults.cache_bytes [--tries 2] [--seed 0] [--minutes M] [--only TEXT]

A small chain is run once: a dataset, a few steps of training, and more of them, renders with either filter, a dream, a
steadied clip. Then, again and again, one byte of one file of its cache is changed and the command that made the file is
run again: first beside its result, which must stay as it is; then without it, and it must come back byte for byte, with
the same report. (What reports how much was done anew may differ.) What is not read while later stages are whole is
tried once more without these: raw outputs without the render's chunks, checkpoints as if the run had been killed just
before its end, a dream's state without its last chunk. Prints a row for each kind of file; exits 1 if a
result differed or a command failed.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import digest_tree as digest
from benchmarks.robustness.faults.hand import Done, Hand
from benchmarks.robustness.faults.subjects import moving_clip, tiny_flags
from benchmarks.tables import head
from benchmarks.tables import row as print_row

LIMIT_S = 120.0
# What says how much was done, and not what came of it.
COUNTERS = ("seconds", "cached", "frames_inferred", "frames_encoded", "frames_spared", "report", "history")
META = "meta.json"
COLUMNS = ("files", "tries", "deep", "identical", "told", "differs", "fails")


TRAIN = tiny_flags("generator", "discriminator", "training")
CHUNKS = ["--set=rendering.chunk_frames=6", "--set=rendering.engine=torch"]
STEPS: dict[str, list[str]] = {
    "lines.dataset": ["make-dataset", "clip.mp4", *tiny_flags("dataset")],
    "lines.safetensors": ["train", "lines.dataset", "--steps", "4", *TRAIN],
    "best.safetensors": [
        *("train", "lines.dataset", "--steps", "5", *TRAIN),
        *("--set=training.final_weights=best", "--set=training.val_interval=1", "--set=training.lr=0.02"),
    ],
    "longer.safetensors": ["train", "lines.dataset", "--steps", "6", *TRAIN],
    "window.mp4": ["stylize", "clip.mp4", "--model", "lines", "--temporal", "window", *CHUNKS],
    "causal.mp4": ["stylize", "clip.mp4", "--model", "lines", "--temporal", "causal", *CHUNKS],
    "next.dataset": ["make-dataset", "clip.mp4", "--pairing", "next-frame", *tiny_flags("dataset")],
    "next.safetensors": ["train", "next.dataset", "--steps", "3", *TRAIN],
    "dream.mp4": ["dream", "clip.mp4", "--model", "next", "--frames", "14", *CHUNKS[:1]],
    "deflickered.mp4": ["deflicker", "window.mp4", "--source", "clip.mp4"],
}


@dataclass
class Row:
    """All files of one kind. ``found``: what may not be."""

    counts: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


class Chain:
    """The chain in a folder, run once; and what each of its steps made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / ".vidtrans"
        moving_clip(folder / "clip.mp4", 20)
        (folder / "tmp").mkdir()
        self.hand = Hand(folder, self.cache, folder / "tmp")
        self.made: dict[str, str] = {}
        self.tables: dict[str, dict[str, object]] = {}
        self.owner: dict[Path, str] = {}
        for output in STEPS:
            done = self.run(output)
            if done.status != 0:
                raise SystemExit(f"{output}: {done.err}{done.trace}")
            self.made[output], self.tables[output] = digest(folder / output), report(done)
            for file in self.files():
                self.owner.setdefault(file, output)

    def run(self, output: str) -> Done:
        command, *rest = STEPS[output]
        return self.hand.do([command, *rest, "-o", output, "--json"], LIMIT_S)

    def files(self) -> Iterator[Path]:
        """Every file of the cache that holds something."""
        for path in sorted(self.cache.rglob("*")):
            if path.is_file() and path.stat().st_size and path.name != "CACHEDIR.TAG":
                yield path

    def undo(self, file: Path) -> bool:
        """Take away what spares the command a look at this file; whether there is such a thing."""
        stage, name = file.parent.parent.name, file.name
        doomed: list[Path] = []
        if stage == "infer":
            doomed = list((self.cache / "render").iterdir())
        elif stage == "train" and name not in (META, "model.safetensors"):
            doomed = [file.parent / META, file.parent / "model.safetensors"]
        elif stage == "dream" and name.startswith("state-"):
            doomed = [file.parent / META, *sorted(file.parent.glob("chunk-*"))[-2:]]
        for path in doomed:
            remove(path)
        return bool(doomed)

    def attempt(self, file: Path, at: int, flip: int, row: Row, *, deep: bool = False) -> None:
        """Flip a byte of a file, and run what made it."""
        output, whole = self.owner[file], file.read_bytes()
        if deep and not self.undo(file):
            return
        data = bytearray(whole)
        data[at] ^= flip
        file.write_bytes(data)
        where = f"{file.relative_to(self.cache)} at {at} of {len(whole)} ^ {flip:#x}, {output}"
        row.counts["tries"] += 1
        row.counts["deep"] += deep
        beside = self.run(output)
        faults = [fault] if (fault := beside.fault()) else []
        if beside.status not in (0, 2) or digest(self.folder / output) != self.made[output]:
            faults.append(f"beside its result: exit {beside.status} {beside.err}")
        if not beside.status and report(beside) != self.tables[output]:
            faults.append(f"beside its result it reports {_unlike(report(beside), self.tables[output])}")
        remove(self.folder / output)
        done = self.run(output)
        if done.status != 0:
            faults.append(f"exit {done.status}: {done.err}{done.trace}")
            row.counts["fails"] += 1
        elif digest(self.folder / output) != self.made[output]:
            faults.append("another result")
        elif report(done) != self.tables[output]:
            faults.append(f"it reports {_unlike(report(done), self.tables[output])}")
        row.counts["told"] += "damaged" in beside.err + done.err
        row.counts["identical" if not faults else "differs"] += 1
        for fault in faults:
            row.found.append(f"{where}: {fault}")
            print(row.found[-1], file=sys.stderr, flush=True)
        if faults:  # the next try begins with what is whole
            file.write_bytes(whole)
            remove(self.folder / output)
            if self.run(output).status != 0 or digest(self.folder / output) != self.made[output]:
                raise SystemExit(f"{where}: not to be mended: {faults}")


def report(done: Done) -> dict[str, object]:
    return {k: v for k, v in done.table.items() if k not in COUNTERS}


def _unlike(table: dict[str, object], wanted: dict[str, object]) -> str:
    keys = [k for k in {**table, **wanted} if table.get(k) != wanted.get(k)]
    return "; ".join(f"{k} {table.get(k)}, not {wanted.get(k)}" for k in keys)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def kind_of(file: Path) -> str:
    """A stage's files of one name, whatever numbers and keys it has."""
    stage, *_, name = file.parts if len(file.parts) > 1 else ("", file.name)
    return f"{stage}/{re.sub(r'[0-9a-f]{16,}|[0-9]+', 'N', name)}".lstrip("/")


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--tries", type=int, default=2, help="for each file")
    parser.add_argument("--most", type=int, default=12, help="tries for each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", default="", metavar="TEXT", help="only kinds of files with this in them")
    options = parser.parse_args()
    began, rows = time.monotonic(), dict[str, Row]()
    with harness.work_folder() as folder:
        chain = Chain(folder)
        print(f"the chain took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        for file in list(chain.files()):
            kind = kind_of(file.relative_to(chain.cache))
            if options.only not in kind:
                continue
            row = rows.setdefault(kind, Row())
            row.counts["files"] += 1
            rng = random.Random(f"{options.seed}:{kind}:{row.counts['files']}")
            for number in range(2 * options.tries):
                late = time.monotonic() - began > 60 * options.minutes
                if late or row.counts["tries"] >= options.most or not file.exists() or file not in chain.owner:
                    continue
                at, flip = rng.randrange(file.stat().st_size), rng.randrange(1, 256)
                chain.attempt(file, at, flip, row, deep=number % 2 == 1)
        chain.hand.close()
    head("file", *COLUMNS)
    total = Row(sum((row.counts for row in rows.values()), Counter[str]()))
    for name, row in [*rows.items(), ("all", total)]:
        print_row(name, *(row.counts[column] for column in COLUMNS))
    print(f"\n{time.monotonic() - began:.0f} s, seed {options.seed}")
    return int(any(row.found for row in rows.values()))


if __name__ == "__main__":
    harness.run(main)
