"""The server that a page starts: ``vidtrans live``, in a process of its own, until the page's next one."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from types import TracebackType
from typing import Self

from processes import HANG_S

STOPPED = (0, 130)  # its exit statuses after Ctrl-C


class PageServer:
    """A ``vidtrans live`` at a free port; ``status`` says how one failed."""

    def __init__(self) -> None:
        self.address = ""
        self.status = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def start(self, words: list[str]) -> str:
        """Serve with the words of a command, and open its link; return how that failed, or nothing."""
        self._stop()
        command = [sys.executable, "-m", "vidtrans", *words, "--port", "0"]
        environment = os.environ | {"BROWSER": "true"}  # --open opens none
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if link := re.search(r"open ((https?://[^/]+)/\S*)", line):
                self.address = link[2]
                return self._open(link[1])
        return f"it gave no link: {''.join(lines)[-300:]}"

    def _open(self, link: str) -> str:
        own = ssl._create_unverified_context()  # a certificate of its own
        with urllib.request.urlopen(link, timeout=HANG_S, context=own if link.startswith("https") else None) as page:
            return "" if b"<html" in page.read() else f"no page at {link}"

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=HANG_S)
        if self._process.returncode not in STOPPED:
            self.status = f"{self.status} {self._process.returncode}: {said[-300:]}".strip()
        self._process = None
