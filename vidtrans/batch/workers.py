"""The processes that do a batch's jobs: begun when there is work, begun anew when one is lost, and none left behind."""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from vidtrans.machine import cuda_devices

LAST_WORDS = 20  # lines of what a lost process said that are kept
ENDING_S = 5.0  # how long one that was told to end may take


class Worker:
    """One process, on a ``device``. What it says arrives in ``heard`` as (worker, message); last comes ("gone",)."""

    def __init__(self, device: str, options: Mapping[str, Any], heard: queue.Queue[tuple[Worker, Any]]) -> None:
        self.device, self.is_ready = device, False
        self._words: deque[str] = deque(maxlen=LAST_WORDS)
        self._process = subprocess.Popen(
            # Not as a module: a file of the working folder might be taken for one of Python's own.
            [sys.executable, "-P", "-c", "from vidtrans.batch.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the one who gives the jobs
        )
        self._readers = [
            threading.Thread(target=self._hear, args=(heard,), daemon=True),
            threading.Thread(target=self._overhear, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._send({**options, "device": device})

    def give(self, name: str, arguments: Mapping[str, Any]) -> None:
        """A job: the ``module:function`` that does it, and what that is called with."""
        self._send((name, dict(arguments)))

    def stop(self, exit_status: int) -> None:
        """It shall finish the frame that it is at, save, and say so."""
        self._send(exit_status)

    def end(self) -> None:
        """Let it go; it has nothing to do."""
        with suppress(OSError):
            self._stream.close()  # it ends when nobody is left
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    @property
    def fate(self) -> str:
        """How one that is gone ended, in words."""
        status = self._process.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        said = f": {self._words[-1]}" if self._words else ""
        return f"its process was ended {how}{said}"

    @property
    def _stream(self) -> Any:
        return self._process.stdin

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # that one is gone, will be heard
            pickle.dump(message, self._stream)
            self._stream.flush()

    def _hear(self, heard: queue.Queue[tuple[Worker, Any]]) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                heard.put((self, pickle.load(self._process.stdout)))  # type: ignore[arg-type]
        heard.put((self, ("gone",)))

    def _overhear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := line.decode(errors="replace").strip():
                self._words.append(text)


def devices_for(device: str, jobs: int | None) -> list[str]:
    """The device of each process: ``jobs`` of them, spread over all GPUs for ``auto``; unless said, one for each."""
    count = cuda_devices() if device in ("auto", "cuda") else 0
    places = [f"cuda:{n}" for n in range(count)] if count > 1 else [device]
    return [places[n % len(places)] for n in range(jobs or len(places))]
