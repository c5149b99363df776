"""Two nodes of Ray on this machine stand in for two machines: kill them, and measure what a cluster costs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.farm.work import THREADS, Row, Work
from benchmarks.harness import Missing, environment, seconds_of, vidtrans, vidtrans_command
from vidtrans.store.cache import FOLDER, RenderLog

FRAMES = 12  # of each clip that is rendered while things are killed
BROKEN = (3, 11, 26)
COST_CLIPS = 12


class Cluster:
    """Nodes of one CPU each, which are started and killed."""

    def __init__(self, folder: str) -> None:
        self.folder, self.nodes = folder, list[subprocess.Popen[bytes]]()
        self.address = "127.0.0.1:6399"

    def add(self) -> None:
        """Start a node, the first one as the head, in a process group of its own."""
        head = ("--head", "--port=6399", "--include-dashboard=false", f"--temp-dir={self.folder}")
        # An address of its own: a command that is started here belongs to the node that has the machine's.
        joins = (f"--address={self.address}", f"--node-ip-address=127.0.0.{len(self.nodes) + 2}")
        small = ("--num-cpus=1", f"--object-store-memory={80 << 20}", "--block", "--disable-usage-stats")
        variables = environment(**THREADS, RAY_worker_niceness="0", RAY_health_check_period_ms="1000")
        if self.nodes:  # a head makes a token, which those that join have to show
            variables["RAY_AUTH_MODE"] = "token"
        ray = shutil.which("ray", path=variables["PATH"])
        if ray is None:
            raise Missing("Ray is not installed: pip install 'vidtrans[cluster]'")
        command = [ray, "start", *(joins if self.nodes else head), *small]
        null = subprocess.DEVNULL
        self.nodes.append(subprocess.Popen(command, env=variables, start_new_session=True, stdout=null, stderr=null))
        time.sleep(15 if len(self.nodes) == 1 else 8)

    def kill_last(self) -> None:
        """Kill a node with all of its processes, as if its plug was pulled."""
        with suppress(ProcessLookupError):
            os.killpg(self.nodes.pop().pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Return the processes that run a task."""
        found = subprocess.run(["pgrep", "-f", "ray::run_"], capture_output=True, text=True, check=False).stdout
        return [int(word) for word in found.split()]


@contextmanager
def cluster(count: int) -> Iterator[Cluster]:
    """Start so many nodes; end them."""
    folder = tempfile.mkdtemp(prefix="ray-")
    made = Cluster(folder)
    try:
        for _ in range(count):
            made.add()
        yield made
    finally:
        while made.nodes:
            made.kill_last()
        time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)


def _command(work: Work, executor: str) -> list[str]:
    where = ("--executor", executor) if executor else ()
    return ["stylize", "clips", "--model", work.model, "-o", "renders", "--json", *where]


def _start(work: Work, place: Path, *more: str, executor: str = "ray") -> subprocess.Popen[str]:
    command = vidtrans_command(*_command(work, executor), *more)
    variables = environment(**THREADS, RAY_ADDRESS="127.0.0.1:6399")
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=place, env=variables, stdout=pipe, stderr=pipe, text=True)


def _made(place: Path) -> int:
    return len(list((place / "renders").glob("*.mp4")))


def _wait_for(what: str, is_so: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def kill_batch(work: Work) -> Iterator[Row]:
    """Yield what becomes of a batch without a cluster that is killed and run again."""
    place, alone = _prepared(work)
    yield from _finished(work, alone)
    process = _start(work, place, executor="local")
    _wait_for("results", lambda: _made(place) >= work.num_clips // 2)
    process.kill()
    process.wait()
    yield Row("the command killed", f"after {_made(place)} results")
    yield from _run_again(work, place, alone, "local")


def kill_cluster(work: Work) -> Iterator[Row]:
    """Yield a row for each thing that is killed, and one for the results."""
    place, alone = _prepared(work)
    yield from _finished(work, alone)
    with cluster(2) as nodes:
        process = _start(work, place)
        _wait_for("results", lambda: _made(place) >= 3)
        _wait_for("a worker", lambda: bool(nodes.workers()))
        os.kill(nodes.workers()[0], signal.SIGKILL)
        yield Row("a worker killed", f"after {_made(place)} results")
        _wait_for("results", lambda: _made(place) >= 10)
        nodes.kill_last()
        yield Row("a node killed", f"after {_made(place)} results")
        _wait_for("results", lambda: _made(place) >= 18)
        process.kill()
        process.communicate()
        yield Row("the command killed", f"after {_made(place)} results")
        _wait_for("workers to end", lambda: not nodes.workers(), 120)
        yield from _run_again(work, place, alone, "ray")


def _prepared(work: Work) -> tuple[Path, Path]:
    """Return two folders with the same clips, some of them broken."""
    place, alone = work.fresh("killed"), work.fresh("alone")
    work.write_clips(place / "clips", work.num_clips, FRAMES, BROKEN)
    shutil.copytree(place / "clips", alone / "clips")
    return place, alone


def _finished(work: Work, alone: Path) -> Iterator[Row]:
    seconds = seconds_of(lambda: vidtrans(*_command(work, "inline"), folder=alone, check=False, **THREADS))
    yield Row("one process", f"{_made(alone)} of {work.num_clips}", seconds)


def _run_again(work: Work, place: Path, alone: Path, executor: str) -> Iterator[Row]:
    """Run a command again that was killed, and compare the results with those of one process."""
    there, began = _made(place), time.monotonic()
    again = _start(work, place, executor=executor)
    again.communicate()
    rows = json.loads((place / "renders" / "vidtrans-batch.json").read_text())["items"]
    failed = [Path(row["source"]).stem for row in rows if row["state"] == "failed"]
    words = f"exit {again.returncode}, {there} were there, failed: {', '.join(failed)}"
    yield Row("run again", words, time.monotonic() - began)
    results = sorted((alone / "renders").glob("*.mp4"))
    equal = sum((place / "renders" / p.name).read_bytes() == p.read_bytes() for p in results)
    left = [p.name for p in place.rglob("*") if ".partial" in p.name or ".seen" in p.name]
    yield Row("results", f"{equal} of {len(results)} have the same bytes, {len(left)} files left")


def measure_cost(work: Work) -> Iterator[Row]:
    """Yield the seconds of clips on one and on two workers of a cluster that runs already, beside those without one.

    What two processes gain that know nothing of each other is what this machine has to give: its two cores may be one.
    """
    seconds: dict[str, float] = {}
    for name, count in (("one process", 0), ("two processes", 0), ("one worker", 1), ("two workers", 2)):
        place = work.fresh("cost")
        work.write_clips(place / "clips", COST_CLIPS, work.num_frames)
        if count:
            with cluster(count):
                seconds[name] = _timed(_start(work, place))
        else:
            shards = ("1/2", "2/2") if name == "two processes" else ("1/1",)
            seconds[name] = _timed(*(_start(work, place, "--shard", shard, executor="inline") for shard in shards))
        lines = list(RenderLog(place / FOLDER).lines())
        chunks = sum(line["ended"] - line["began"] for line in lines)
        busy = max(line["ended"] for line in lines) - min(line["began"] for line in lines)
        words = f"{_made(place)} results; chunks add up to {chunks:.0f} s, from the first to the last in {busy:.0f} s"
        yield Row(name, words, seconds[name])
        if name == "one worker":
            yield Row(
                "one worker / its chunks", f"{seconds[name] / chunks:.3f}; without start and end {busy / chunks:.3f}"
            )
    yield Row("one worker / one process", f"{seconds['one worker'] / seconds['one process']:.2f}")
    yield Row("one worker / two workers", f"{seconds['one worker'] / seconds['two workers']:.2f}")
    yield Row("one process / two processes", f"{seconds['one process'] / seconds['two processes']:.2f}")


def _timed(*processes: subprocess.Popen[str]) -> float:
    """Return the seconds until all of them have ended."""
    began = time.monotonic()
    for process in processes:
        process.communicate()
    return time.monotonic() - began
