"""A process that runs vidtrans's commands one after another, for tries by the thousand: none pays for a start.

A command goes through the command line's own ``run``: its words, its exit status. What no run may do is noted: raise
what is no VidtransError, die, hang (it is killed then), be slow to end. A hand that died or hung is replaced.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """How a command ended. ``status`` is None where it did not end by itself: ``fate`` says how then.

    ``peak_mb`` is the most that its process ever had.
    """

    status: int | None
    table: dict[str, Any]
    err: str
    trace: str
    fate: str
    seconds: float
    peak_mb: float

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("warning: ")]

    def fault(self) -> str:
        """What no run may show; '' where it showed nothing of it."""
        if self.fate:
            return self.fate
        if self.trace:
            return "traceback: " + self.trace.strip().splitlines()[-1][:160]
        if self.status and len(self.errors) != 1:
            return f"exit {self.status} with {len(self.errors)} error lines"
        return ""


class Hand:
    """One such process, which works in ``folder`` with a cache of ``cache``."""

    def __init__(self, folder: Path, cache: Path, tmp: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("VIDTRANS_")}
        self._env = kept | {"VIDTRANS_CACHE_DIR": str(cache), "TMPDIR": str(tmp), "NO_COLOR": "1"}
        self._env |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self._process: subprocess.Popen[str] | None = None
        self.peak_mb = 0.0

    def do(self, arguments: Sequence[str], limit_s: float) -> Done:
        """Run a command; one that takes longer is killed, and that is a hang."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(list(arguments)) + "\n")
            self._process.stdin.flush()
        try:
            answer = json.loads(self._lines.get(timeout=limit_s))
        except queue.Empty:
            self.close()
            return self._ended("hang", limit_s)
        except ValueError:  # the empty line of one that is gone
            status = self._process.wait()
            self._process = None
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            return self._ended(f"crash ({how})", 0.0)
        self.peak_mb = answer["peak_mb"]
        return Done(**answer, fate="")

    def _ended(self, fate: str, seconds: float) -> Done:
        return Done(None, {}, "", "", fate, seconds, self.peak_mb)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines = queue.Queue[str]()
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def close(self) -> None:
        """End the process and all that it has started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _read(stream: Any, lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def main() -> None:
    """In the process itself: a line of arguments comes, a line of what became of it goes."""
    import tempfile
    import time
    import traceback

    line = os.fdopen(os.dup(1), "w")
    files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  (open as long as the process lives)
    for file, number in zip(files, (1, 2), strict=True):
        os.dup2(file.fileno(), number)
    from vidtrans.cli.main import run

    for given in sys.stdin:
        began, trace, status = time.monotonic(), "", 1
        try:
            status = run(json.loads(given))
        except BaseException:
            trace = traceback.format_exc()
        out, err = (_taken(fd, stream) for fd, stream in ((1, sys.stdout), (2, sys.stderr)))
        table: dict[str, Any] = {}
        with suppress(ValueError, IndexError):
            table = json.loads(out.strip().splitlines()[-1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        answer = {"status": status, "table": table, "err": err, "trace": trace, "peak_mb": peak}
        line.write(json.dumps(answer | {"seconds": time.monotonic() - began}) + "\n")
        line.flush()


def _taken(fd: int, stream: Any) -> str:
    """What was written since the last time."""
    stream.flush()
    length = os.lseek(fd, 0, os.SEEK_CUR)
    os.lseek(fd, 0, os.SEEK_SET)
    text = os.read(fd, length).decode(errors="replace")
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    return text


if __name__ == "__main__":
    main()
