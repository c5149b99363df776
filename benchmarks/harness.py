"""The harness of all benchmarks: arguments, skips of missing data, timing in turns, and commands of vidtrans."""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtrans.core.errors import VidtransError

ROOT = Path(__file__).resolve().parents[1]


class Missing(Exception):
    """Data or a program that a benchmark needs is absent; the text says which."""


# Arguments


def parser(about: str | None, *, data: bool = False, cache: bool = False, rounds: int = 0) -> argparse.ArgumentParser:
    """Return a parser that shows a module's docstring.

    Args:
        about: The docstring.
        data: Take the folder of the data set.
        cache: Take a folder in which results are kept, so that a second run is quick.
        rounds: Take how often things are timed in turns; this is the default.
    """
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        made.add_argument("data", type=Path, help="the folder of the data set: video, seq, pairs, models, …")
    if cache:
        made.add_argument("--cache", type=_new_folder, required=True, help="a folder in which results are kept")
    if rounds:
        made.add_argument("--rounds", type=int, default=rounds, help="of timing, in turns [default: %(default)s]")
    return made


def comma_list(text: str) -> list[str]:
    """Return the words of an option, which commas separate."""
    return [word for word in text.split(",") if word]


def _new_folder(text: str) -> Path:
    folder = Path(text).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def work_folder(kept: Path | None = None) -> Iterator[Path]:
    """Give ``kept``, or a temporary folder that is removed."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            yield Path(name)
    else:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()


# What may be missing


def skip(what: str, why: object) -> None:
    """Report on standard error that a part is left out, and why."""
    print(f"skipped {what}: {why}", file=sys.stderr, flush=True)


def need(path: Path) -> Path:
    """Return a path that exists. Raises Missing."""
    if not path.exists():
        raise Missing(f"no {path}")
    return path


def each(names: Iterable[str], work: Callable[[str], None]) -> None:
    """Do the work for each name; where something is missing, report it and go on."""
    for name in names:
        try:
            work(name)
        except (Missing, VidtransError) as why:
            skip(name, why)


def run(main: Callable[[], int | None]) -> None:
    """Run a benchmark and exit; where what it needs is missing, say so and exit with 0."""
    try:
        sys.exit(main())
    except Missing as why:
        skip("all of it", why)
        sys.exit(0)


# Timing


def seconds_of(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long some work takes."""
    began = clock()
    work()
    return clock() - began


def in_turns(
    works: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 1,
    measure: Callable[..., Any] = seconds_of,
) -> dict[str, list[Any]]:
    """Do each work in each round, in turns, since a machine's speed drifts; return what ``measure`` found in rounds.

    The order is reversed in every other round. The first ``warm_up`` rounds do not count.
    """
    taken: dict[str, list[Any]] = {name: [] for name in works}
    for turn in range(rounds + warm_up):
        for name in list(works) if turn % 2 else list(reversed(works)):
            found = measure(works[name])
            if turn >= warm_up:
                taken[name].append(found)
    return taken


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median and, in brackets, the least and the most."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def mean_spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the mean, and ± half of what lies between the least and the most."""
    middle = f"{statistics.fmean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ±{(max(values) - min(values)) / 2:.{digits}f}"


def resident_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process (Linux); 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS")), 0.0)


def machine() -> str:
    """Return the processor, its threads, the GPU and torch's version, in a line."""
    import torch

    from vidtrans.core.machine import processor

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{processor()}, {torch.get_num_threads()} threads, {gpu}; torch {torch.__version__}"


# Commands


def vidtrans_command(*arguments: object) -> list[str]:
    """Return the command line of a command of vidtrans."""
    return [sys.executable, "-m", "vidtrans", *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment, in which programs beside this Python are found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **variables}


def vidtrans(
    *arguments: object, folder: Path, check: bool = True, timeout: float | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of vidtrans in a folder, and capture what it says.

    Raises:
        SystemExit: With ``check``, where it fails.
        subprocess.TimeoutExpired: Where it takes longer than ``timeout`` seconds.
    """
    done = subprocess.run(
        vidtrans_command(*arguments),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    if check and done.returncode:
        raise SystemExit(f"vidtrans {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done


def digest_tree(path: Path, without: Sequence[str] = ()) -> str:
    """Return the SHA-256 of a file, or of all files of a folder with their names; '' where nothing is there."""
    if not path.exists():
        return ""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        if file.name not in without:
            whole.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()
