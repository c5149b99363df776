"""Running vidtrans under watch, for the benchmarks: its words, its memory, what it leaves, and whether it connects.

Connections are counted with strace, which sees FFmpeg's own sockets too; where it may not be used, ``unshare -n``
takes the network away (then nothing is counted, but nothing can get out), and where neither works that is said.
Only the standard library is loaded: a child's peak memory begins with that of the process which starts it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S = 600.0
_CONNECTS = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET")


def vidtrans_command() -> list[str]:
    """The ``vidtrans`` beside this Python, or the module where it is not installed as a command."""
    beside = Path(sys.executable).with_name("vidtrans")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "vidtrans"]


@dataclass(frozen=True)
class Ran:
    """How one process ended. ``connections`` is None where they could not be counted."""

    status: int
    out: str
    err: str
    seconds: float
    peak_mb: float
    hung: bool
    orphans: bool
    connections: int | None
    opened: bool  # whether the watched file was opened

    @property
    def table(self) -> dict[str, Any]:
        """The JSON object on standard output; empty where there is none."""
        with suppress(json.JSONDecodeError, IndexError):
            table = json.loads(self.out.strip().splitlines()[-1])
            return table if isinstance(table, dict) else {}
        return {}

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        told = str(self.table.get("error") or "")
        lines = [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]
        return told or (lines[-1] if lines else "")

    @property
    def warnings(self) -> list[str]:
        told = [str(w) for w in self.table.get("warnings") or []]
        said = [line.removeprefix("warning: ") for line in self.err.splitlines() if line.startswith("warning: ")]
        return list(dict.fromkeys([*told, *said]))

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.err or self.error.startswith("a bug in vidtrans")

    def faults(self) -> list[str]:
        """What no run may show, however it ends."""
        found = []
        if self.hung:
            found.append(f"hangs (ended after {self.seconds:.0f} s)")
        if self.has_traceback:
            found.append(f"traceback: {self.err.strip().splitlines()[-1][:120] if self.err.strip() else ''}")
        elif self.status < 0:
            found.append(f"died of signal {-self.status}")
        elif self.status and not self.error:
            found.append(f"exit {self.status} without a word")
        elif self.status and sum(line.startswith("error: ") for line in self.err.splitlines()) != 1:
            found.append("the error is not one line")
        if self.orphans:
            found.append("left a process behind")
        if self.connections:
            found.append(f"{self.connections} connections")
        return found


@functools.cache
def guard() -> str:
    """``strace``, ``unshare`` or ``none``: what watches or blocks the network here; tried, not guessed."""
    for name, command in (("strace", _strace(Path(os.devnull), None)), ("unshare", ["unshare", "-n"])):
        with suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return name
    return "none"


def _strace(log: Path, watched: Path | None) -> list[str]:
    calls = "connect,sendto,sendmsg,sendmmsg" + (",open,openat" if watched else "")
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", f"trace={calls}", "-o", str(log)]


def run(command: Sequence[str], folder: Path, *, watched: Path | None = None, limit_s: float = LIMIT_S) -> Ran:
    """Run a command in ``folder`` and watch it. ``watched``: a file; was it opened?"""
    with tempfile.TemporaryDirectory(prefix="watch-") as place:
        log = Path(place) / "calls"
        by = guard()
        before = {"strace": _strace(log, watched), "unshare": ["unshare", "-n"], "none": []}[by]
        with (Path(place) / "out").open("wb+") as out, (Path(place) / "err").open("wb+") as err:
            began = time.monotonic()
            process = subprocess.Popen(
                [*before, *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(folder),
                start_new_session=True,
            )
            hung = threading.Event()
            timer = threading.Timer(limit_s, lambda: (hung.set(), os.killpg(process.pid, signal.SIGKILL)))
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - began
            orphans = _end_group(process.pid)
            calls = log.read_text(errors="replace").splitlines() if log.exists() else []
            scale = 1 if sys.platform == "darwin" else 1024
            return Ran(
                status=process.returncode,
                out=_read(out),
                err=_read(err),
                seconds=seconds,
                peak_mb=usage.ru_maxrss * scale / 1e6,
                hung=hung.is_set(),
                orphans=orphans,
                connections=sum(bool(_CONNECTS.search(c)) for c in calls) if by == "strace" else None,
                opened=watched is not None and any("open" in c and watched.name in c for c in calls),
            )


def run_vidtrans(arguments: Sequence[str], folder: Path, *, watched: Path | None = None) -> Ran:
    return run([*vidtrans_command(), *arguments], folder, watched=watched)


def _environment(folder: Path) -> dict[str, str]:
    """This one's, without settings of vidtrans but a cache and a folder for temporary files beside ``folder``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VIDTRANS_")}
    places = {name: folder.parent / place for name, place in (("TMPDIR", "tmp"), ("VIDTRANS_CACHE_DIR", "cache"))}
    places["TMPDIR"].mkdir(exist_ok=True)
    return kept | {k: str(v) for k, v in places.items()} | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _end_group(group: int) -> bool:
    """Whether the session's leader left others behind; they are ended."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def machine() -> str:
    """Processor, cores, and the versions of all that decides a figure."""
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = (
        "import av, numpy, importlib.metadata as m; "
        'print(f\'vidtrans {m.version("vidtrans")}, PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}), '
        "numpy {numpy.__version__}')"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    versions = done.stdout.strip() or "versions unknown"
    return f"{model or 'unknown processor'}, {cores} cores; Python {sys.version.split()[0]}, {versions}, {_program()}"


def _program() -> str:
    program = shutil.which("ffprobe")
    if program is None:
        return "no ffprobe program"
    told = subprocess.run([program, "-version"], capture_output=True, text=True).stdout.split()
    return f"ffprobe program {told[2] if len(told) > 2 else 'of unknown version'}"
