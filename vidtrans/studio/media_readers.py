"""What the page shows of media files: moving thumbnails, frames and proxies, decoded by processes of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from vidtrans.core.errors import MediaError
from vidtrans.core.files import read_small_json, write_bytes
from vidtrans.core.settings import Table

PROCESS = "vidtrans.studio.media_process"
TIMEOUT_S = 30.0  # for a request other than a proxy
PROXY_TIMEOUT_S = 6 * 3600.0


class MediaReader:
    """One decoding process; requests to it wait in turn."""

    def __init__(self, cache: Path) -> None:
        self._cache, self._lock = cache, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def ask(self, timeout_s: float = TIMEOUT_S, **request: object) -> tuple[Table, bytes]:
        """Return the facts and the bytes that answer a request. Raises MediaError."""
        with self._lock:
            process = self._running()
            killer = threading.Timer(timeout_s, process.kill)
            killer.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                head = json.loads(process.stdout.readline())
                data = process.stdout.read(head["bytes"])
            except (OSError, ValueError):
                self._discard()
                raise MediaError(str(request.get("path")), "it could not be decoded", "choose another file") from None
            finally:
                killer.cancel()
        if error := head["facts"].get("error"):
            raise MediaError(Path(str(request.get("path"))).name, str(error), "choose another file")
        return head["facts"], data

    def _running(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise MediaError("media", "the studio ends", "start it again")
        if self._process is None or self._process.poll() is not None:
            self._discard()
            command = [sys.executable, "-m", PROCESS, str(self._cache)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def close(self) -> None:
        """End the process; a request that it answers fails."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._discard()

    def _discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            self._process = None


class Media:
    """Thumbnails, frames and proxies of files, kept in ``folder`` by the state of each file."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        # A proxy may take minutes; frames and thumbnails do not wait for it.
        self._frames, self._strips, self._proxies = MediaReader(cache), MediaReader(cache), MediaReader(cache)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="proxies")
        self._making: dict[Path, Future[None]] = {}
        self._faults: dict[Path, str] = {}

    def place(self, path: Path) -> Path:
        """Return the folder of what is kept of a file, as long as the file does not change. Raises OSError."""
        state = path.stat()
        mark = f"{path} {state.st_mtime_ns} {state.st_size}"
        return self.folder / hashlib.sha256(mark.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def strip(self, path: Path) -> tuple[Table, Path]:
        """Return the facts of a moving thumbnail, and its JPEG file. Raises MediaError, OSError."""
        folder = self.place(path)
        facts, file = folder / "strip.json", folder / "strip.jpg"
        if not facts.is_file():
            found, data = self._strips.ask(do="strip", path=str(path))
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(file, data)
            write_bytes(facts, json.dumps(found).encode())
        known: Table = read_small_json(facts)
        return known, file

    def frame(self, path: Path, number: int, short: int, kind: str) -> bytes:
        """Return a frame as a file of a ``kind``, jpeg or png; ``short``: its longest short side. Raises MediaError."""
        return self._frames.ask(PROXY_TIMEOUT_S, do="frame", path=str(path), frame=number, short=short, kind=kind)[1]

    def check(self, path: Path) -> Table:
        """Return the kind and the size of a file that was uploaded. Raises MediaError if it is no media."""
        return self._strips.ask(do="check", path=str(path))[0]

    def facts(self, path: Path) -> Table:
        """Return what is known of a clip, and whether its proxy is ``ready``; begin to make it. Raises OSError."""
        folder = self.place(path)
        if (folder / "facts.json").is_file():
            found: Table = read_small_json(folder / "facts.json")
            return found | {"ready": True}
        if folder not in self._making and folder not in self._faults:
            self._making[folder] = self._pool.submit(self._make, path, folder)
        return {"ready": False, "fault": self._faults.get(folder, "")}

    def proxy(self, path: Path) -> Path:
        """Return the file of a clip's proxy, which need not exist. Raises OSError."""
        return self.place(path) / "proxy.mp4"

    def _make(self, path: Path, folder: Path) -> None:
        try:
            self._proxies.ask(PROXY_TIMEOUT_S, do="proxy", path=str(path), folder=str(folder))
        except (MediaError, OSError) as error:
            self._faults[folder] = str(error)
        finally:
            self._making.pop(folder, None)

    def close(self) -> None:
        """End all processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for reader in (self._frames, self._strips, self._proxies):
            reader.close()
