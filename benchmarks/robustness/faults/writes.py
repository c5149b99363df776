"""A disk that fills up, or fails once, at seeded writes of each step, then the same command: are the results the same?

    python -m benchmarks.robustness.faults.writes [--minutes 30] [--stages train,stylize] [--work FOLDER]

Each try starts from an empty cache. The n-th write below its folder fails with ENOSPC, and all that follow, as on a
full disk; or it alone fails with EIO. The command must end with one line that says what, why and what to do, leave
nothing half-written where results go and no temporary file; then, with the fault lifted, the same command must end
with what a clean run makes, byte for byte. Prints a table, a row for each step and kind of fault; exits 1 if anything
went wrong. Needs Linux and a C compiler: the fault is made between the programs and the C library, for all processes
of a command and for FFmpeg's writes too.
"""

from __future__ import annotations

import errno
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from benchmarks import harness
from benchmarks.robustness.faults.stages import STAGES, Stage, content, lay_out, prepare
from benchmarks.tables import head, row

SHIM = Path(__file__).with_name("shim.c")
SHARED = struct.Struct("LL4096s")  # writes, how many failed, the first that did
TIMEOUT_S = 120
MODES = {"full": (errno.ENOSPC, False), "once": (errno.EIO, True)}


@dataclass
class Row:
    """How a stage did under one kind of fault."""

    stage: Stage
    mode: str
    writes: int
    tried: int = 0
    failed_well: int = 0
    passed_over: int = 0
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)


class Faults:
    """Runs commands of which a write may fail. ``folder`` holds the compiled shim and its counter."""

    def __init__(self, folder: Path) -> None:
        self.library, self.counter = folder / "shim.so", folder / "counter"
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not sys.platform.startswith("linux") or compiler is None:
            raise harness.Missing("this needs Linux and a C compiler (cc, gcc or clang)")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", self.library, SHIM, "-ldl"]
        subprocess.run(command, check=True)

    def run(
        self, folder: Path, command: tuple[str, ...], at: int = 0, mode: str = "full"
    ) -> tuple[subprocess.CompletedProcess[str], int, str]:
        """A command in ``folder`` with write ``at`` failing: how it ended, how many writes it made, which failed."""
        self.counter.write_bytes(bytes(SHARED.size))
        number, once = MODES[mode]
        faults = {
            "LD_PRELOAD": self.library,
            "FAULTS_BELOW": folder,
            "FAULTS_COUNTER": self.counter,
            "FAULTS_AT": at,
            "FAULTS_ERRNO": number,
            "FAULTS_ONCE": int(once),
        }
        done = plain(folder, *command, env={k: str(v) for k, v in faults.items()})
        writes, _, what = SHARED.unpack(self.counter.read_bytes())
        return done, writes, what.rstrip(b"\0").decode(errors="replace")


def plain(folder: Path, *command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a person gives it, quietly."""
    quiet = () if command[0] == "cache" else ("-q",)
    return harness.vidtrans(*command, *quiet, folder=folder, check=False, timeout=TIMEOUT_S, **(env or {}))


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that nobody works on any more."""
    marks = (".partial", ".replaced", ".deleted")
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if any(mark in p.name for mark in marks)]


def faults_of_failure(row: Row, folder: Path, done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """What is wrong with the way in which a command failed."""
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if done.returncode not in ((1, 5) if row.stage.batch else (1,)):
        yield f"exit status {done.returncode}"
    if "Traceback" in done.stderr:
        yield f"a traceback: {lines[-1]}"
    elif len(errors) != 1 or (len(lines) != 1 and not row.stage.batch):
        yield f"not one line: {lines}"
    elif " — " not in errors[0] or ": " not in errors[0].removeprefix("error: ") or ".partial" in errors[0]:
        yield f"it does not say what, why and what to do: {errors[0]}"


def one_try(row: Row, at: int, faults: Faults, folder: Path, clean: dict[str, bytes]) -> None:
    """Fail at a write, look at what is left, lift the fault and go on; what went wrong is kept in the row."""
    row.tried += 1
    before = content(folder / row.stage.output)
    done, _, what = faults.run(folder, row.stage.command, at, row.mode)
    wrong: list[str] = []
    left = content(folder / row.stage.output)
    if done.returncode == 0:
        row.passed_over += 1
        if left != clean:
            wrong.append("it went well, with another result")
    else:
        wrong += faults_of_failure(row, folder, done)
        parts = {k: v for k, v in left.items() if not k.startswith("vidtrans-batch")}
        whole = parts.items() <= clean.items() if row.stage.batch else left in (before, clean)
        if not whole:
            wrong.append(f"half a result: {len(left)} of {len(clean)} files")
    if found := leftovers(folder):
        wrong.append(f"left behind: {found}")
    listed = plain(folder, "cache", "list")
    if listed.returncode:
        wrong.append(f"cache list: {listed.stderr.strip()}")
    row.failed_well += done.returncode != 0 and not wrong
    again = plain(folder, *row.stage.command)
    if again.returncode:
        wrong.append(f"then: {again.stderr.strip()}")
    elif content(folder / row.stage.output) != clean:
        wrong.append("then another result")
    elif found := leftovers(folder):
        wrong.append(f"then left behind: {found}")
    else:
        row.resumed += 1
    if "damaged" in again.stderr:
        wrong.append(f"then: {again.stderr.strip()}")
    row.wrong += [f"write {at} ({what}): {line}" for line in wrong]


def spread(total: int) -> Iterator[int]:
    """1 … total, each once: the ends first, then ever closer between those before."""
    seen: set[int] = set()
    parts = 1
    while len(seen) < total:
        for k in range(parts + 1):
            at = 1 + round(k * (total - 1) / parts)
            if at not in seen:
                seen.add(at)
                yield at
        parts *= 2


def sweep(stages: list[Stage], modes: list[str], work: Path, deadline: float, only: list[int]) -> list[Row]:
    """Every stage and mode in turn, until the time is up or nothing is left to try; or ``only`` these writes."""
    faults = Faults(work)
    prepared = work / "prepared"
    if not prepared.exists():
        prepare(prepared, lambda folder, command: harness.vidtrans(*command, "-q", folder=folder))
    rows: list[tuple[Row, Iterator[int], dict[str, bytes]]] = []
    for stage in stages:
        folder = work / "clean" / stage.name
        shutil.rmtree(folder, ignore_errors=True)
        lay_out(stage, prepared, folder)
        done, writes, _ = faults.run(folder, stage.command)
        if done.returncode:
            raise SystemExit(f"{stage.name} failed without any fault:\n{done.stderr}")
        clean = content(folder / stage.output)
        rows += [(Row(stage, mode, writes), iter(only or spread(writes)), clean) for mode in modes]
    waiting = list(rows)
    for entry in cycle(rows):
        if not waiting or time.monotonic() > deadline:
            break
        row, places, clean = entry
        at = next(places, None)
        if at is None:
            waiting = [other for other in waiting if other is not entry]
            continue
        folder = work / f"{row.stage.name}-{row.mode}-{at}"
        shutil.rmtree(folder, ignore_errors=True)
        lay_out(row.stage, prepared, folder)
        known = len(row.wrong)
        try:
            one_try(row, at, faults, folder, clean)
        except subprocess.TimeoutExpired:
            row.wrong.append(f"write {at}: no end after {TIMEOUT_S} s")
        for line in row.wrong[known:]:
            print(f"{row.stage.name} {row.mode}: {line}", file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return [row for row, _, _ in rows]


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="when no new try is begun any more")
    parser.add_argument("--stages", type=harness.comma_list, default=[stage.name for stage in STAGES])
    parser.add_argument("--modes", type=harness.comma_list, default=list(MODES))
    parser.add_argument("--only", type=harness.comma_list, default=[], metavar="N,N…", help="these writes alone")
    parser.add_argument("--work", type=Path, default=None, help="is kept, with what was prepared there")
    options = parser.parse_args()
    deadline, only = time.monotonic() + 60 * options.minutes, [int(n) for n in options.only]
    with harness.work_folder(options.work) as work:
        stages = [stage for stage in STAGES if stage.name in options.stages]
        rows = sweep(stages, options.modes, work, deadline, only)
    head("step", "fault", "writes", "tried", "failed well", "passed over", "resumed", "wrong")
    for one in rows:
        counts = (one.writes, one.tried, one.failed_well, one.passed_over, one.resumed, len(one.wrong))
        row(one.stage.name, one.mode, *counts)
    return int(any(one.wrong for one in rows))


if __name__ == "__main__":
    harness.run(main)
