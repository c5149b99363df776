"""Run vidtrans under watch: its words, its memory, and what it leaves.

Only the standard library is loaded: a child's peak memory begins with that of the process which starts it.
"""

from __future__ import annotations

import json
import os
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


@dataclass(frozen=True)
class Ran:
    """The outcome of one process."""

    status: int
    out: str
    err: str
    seconds: float
    peak_mb: float
    hung: bool
    orphans: bool

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
        lines = [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]
        return str(self.table.get("error") or "") or (lines[-1] if lines else "")

    @property
    def warnings(self) -> list[str]:
        listed = [str(w) for w in self.table.get("warnings") or []]
        said = [line.removeprefix("warning: ") for line in self.err.splitlines() if line.startswith("warning: ")]
        return list(dict.fromkeys([*listed, *said]))

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.err or self.error.startswith("a bug in vidtrans")

    def faults(self) -> list[str]:
        """Return what no run may show, however it ends."""
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
        return found


def run_vidtrans(arguments: Sequence[str], folder: Path, *, limit_s: float = LIMIT_S) -> Ran:
    """Run a command in ``folder`` and watch it, with a cache and a folder for temporary files beside the folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VIDTRANS_")}
    places = {name: folder.parent / place for name, place in (("TMPDIR", "tmp"), ("VIDTRANS_CACHE_DIR", "cache"))}
    places["TMPDIR"].mkdir(exist_ok=True)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "vidtrans", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=kept | {k: str(v) for k, v in places.items()} | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        hung = threading.Event()
        timer = threading.Timer(limit_s, lambda: (hung.set(), os.killpg(process.pid, signal.SIGKILL)))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds, orphans = time.monotonic() - began, _end_group(process.pid)
        peak_mb = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        return Ran(process.returncode, _read(out), _read(err), seconds, peak_mb, hung.is_set(), orphans)


def _end_group(group: int) -> bool:
    """Return whether the session's leader left others behind; they are ended."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def machine() -> str:
    """Return the versions of all that decides a figure."""
    asked = (
        "import av, numpy, importlib.metadata as m; "
        'print(f\'vidtrans {m.version("vidtrans")}, PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}), '
        "numpy {numpy.__version__}')"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    program = shutil.which("ffprobe")
    version = subprocess.run([program, "-version"], capture_output=True, text=True).stdout.split() if program else []
    ffprobe = f"ffprobe program {version[2]}" if len(version) > 2 else "no ffprobe program"
    return f"Python {sys.version.split()[0]}, {done.stdout.strip() or 'versions unknown'}, {ffprobe}"
