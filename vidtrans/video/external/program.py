"""Find, query, run and stop the user's own ffmpeg program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop

POLL_S = 0.1  # how soon a stop is seen
QUERY_TIMEOUT_S = 60.0
# ffmpeg 7: an option keeps a graph's time base, and -vsync is deprecated (removed in 9).
_LIBAVCODEC_7 = 61


def find_program() -> Path:
    """Return the path of the user's ffmpeg, else of the ffmpeg of the package imageio-ffmpeg. Raises UsageError.

    A program in the current folder is never used: relative entries of the PATH (".") are ignored, and so is the current
    folder itself, in which Windows would look first.
    """
    name = "ffmpeg.exe" if os.name == "nt" else "ffmpeg"
    folders = [folder for folder in os.get_exec_path() if os.path.isabs(folder)]
    found = next(filter(None, (shutil.which(os.path.join(folder, name)) for folder in folders)), None)
    if found is None:
        with suppress(ImportError, RuntimeError):
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
    # imageio-ffmpeg may give the bare name: the system would look for that on the PATH, and find it under ".".
    if found is None or not (os.path.isabs(found) and os.path.isfile(found)):
        why = "there is no ffmpeg program on the PATH"
        raise UsageError("a filter graph or an encoder", why, "install ffmpeg, or: pip install imageio-ffmpeg")
    return Path(found)


def program_version(program: Path) -> str:
    """Return the version of an ffmpeg program, as '5.1.9-0+deb12u1'. Raises UsageError where it does not run."""
    match = re.match(r"ffmpeg version (\S+)", query_program(program, "-version"))
    if not match:
        raise UsageError(str(program), "it is not ffmpeg", "install ffmpeg")
    return match[1]


def encoders(program: Path) -> frozenset[str]:
    """Return the names of the program's video encoders. Raises UsageError where the program does not run."""
    rows = query_program(program, "-hide_banner", "-encoders").partition("------")[2].splitlines()
    return frozenset(row.split()[1] for row in rows if re.match(r" V\S* \S", row))


def query_program(program: Path, *arguments: str) -> str:
    """Return the standard output of the program with these arguments. Raises UsageError where it does not run."""
    command = [str(program), *arguments]
    try:
        output = subprocess.check_output(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=QUERY_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot_run(program, error) from None
    return output.decode("utf-8", "replace")


def _cannot_run(program: Path, error: Exception) -> UsageError:
    why = str(getattr(error, "strerror", None) or error).lower()
    return UsageError(str(program), f"the program does not run ({why})", "install ffmpeg again")


def keeps_time_base(program: Path) -> bool:
    """Return whether the program has the option ``enc_time_base=filter`` (ffmpeg 7 and newer, or unknown)."""
    match = re.search(r"^libavcodec .*/ *(\d+)\.", query_program(program, "-version"), re.MULTILINE)
    return not match or int(match[1]) >= _LIBAVCODEC_7


class RunningProgram:
    """A running program, killed on exit. Threads read its output, because it would block on a full pipe."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise _cannot_run(Path(command[0]), error) from None
        self._output: SimpleQueue[tuple[bool, str] | None] = SimpleQueue()
        streams = (False, self._process.stdout), (True, self._process.stderr)
        self._threads = [Thread(target=self._read, args=stream, daemon=True) for stream in streams]
        for thread in self._threads:
            thread.start()

    def _read(self, is_error: bool, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._output.put((is_error, line.decode("utf-8", "replace").rstrip()))
        self._output.put(None)

    def lines(self, stop: Stop) -> Iterator[tuple[bool, str]]:
        """Yield (is it from stderr, line) until the program ends. Raises Interrupted when ``stop`` is requested."""
        num_open = len(self._threads)
        while num_open:
            stop.check()
            with suppress(Empty):
                if item := self._output.get(timeout=POLL_S):
                    yield item
                else:
                    num_open -= 1

    def status(self) -> int:
        """Wait for the program to end and return its exit status."""
        return self._process.wait()

    def __enter__(self) -> RunningProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()  # nothing where it has ended
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
