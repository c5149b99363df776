"""A command that serves a page, as a person starts it in a terminal and ends it with Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from processes import HAS_SIGNALS


@contextmanager
def started(*arguments: str, status: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Start a command on a free port, and yield its link and the lines that it prints; end it with Ctrl-C."""
    command = [sys.executable, "-m", "vidtrans", arguments[0], "--port", "0", *arguments[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        link = re.search(r"open (\S+)", "\n".join(lines))
        assert link, lines
        yield link[1], lines
    finally:
        if HAS_SIGNALS:
            process.send_signal(signal.SIGINT)
        else:
            process.terminate()
        out, err = process.communicate(timeout=300)
        lines += out.splitlines() + err.splitlines()
    assert process.returncode == (status if HAS_SIGNALS else 1), lines
