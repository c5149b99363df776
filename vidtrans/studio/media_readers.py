"""What the page shows of media files: moving thumbnails, frames and proxies, decoded by processes of their own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from vidtrans.core.errors import MediaError, UsageError, VidtransError
from vidtrans.core.files import folder_bytes, read_small_json, write_bytes, write_json
from vidtrans.core.settings import Table
from vidtrans.core.system import module_command

COMMAND = module_command("vidtrans.studio.media_process")
TIMEOUT_S, FRAME_TIMEOUT_S = 30.0, 300.0  # a frame of a long clip that was never read takes its whole index
KEPT_DAYS, KEPT_BYTES = 60, 8 << 30  # what is shown of files that nobody has looked at, and of all of them
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
            raise UsageError("media", "the studio ends", "start it again")
        if self._process is None or self._process.poll() is not None:
            self._discard()
            command = [*COMMAND, str(self._cache)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def release(self) -> None:
        """Close the clip that the process has open, if it lives. Raises MediaError."""
        if self._process is not None:
            self.ask(do="release")

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
        self._wanted: list[tuple[Path, Path]] = []  # clips without a proxy, and where it will be; the last is next
        self._faults: dict[Path, str] = {}
        self._lock, self._strip_lock, self._is_making = threading.Lock(), threading.Lock(), False

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
            with self._strip_lock:  # a picture on the shelf and among the looks is asked for twice at once
                if not facts.is_file():
                    found, data = self._strips.ask(do="strip", path=str(path))
                    folder.mkdir(parents=True, exist_ok=True)
                    write_bytes(file, data)
                    write_json(facts, found)
        known: Table = read_small_json(facts)
        return known, file

    def frame(self, path: Path, number: int, short: int, kind: str) -> bytes:
        """Return a frame as a file of a ``kind``, jpeg or png; ``short``: its longest short side. Raises MediaError."""
        return self._frames.ask(FRAME_TIMEOUT_S, do="frame", path=str(path), frame=number, short=short, kind=kind)[1]

    def check(self, path: Path) -> Table:
        """Return the kind and the size of a file that was uploaded. Raises MediaError if it is no media."""
        return self._strips.ask(do="check", path=str(path))[0]

    def facts(self, path: Path) -> Table:
        """Return what is known of a clip, and whether its proxy is ``ready``; begin to make it. Raises OSError."""
        folder = self.place(path)
        found: Table = read_small_json(folder / "facts.json") if (folder / "facts.json").is_file() else {}
        if (folder / "proxy.mp4").is_file():
            return found | {"ready": True, "known": True, "fault": ""}
        with self._lock:
            if folder not in self._faults:
                if (path, folder) in self._wanted:
                    self._wanted.remove((path, folder))
                self._wanted.append((path, folder))
                if not self._is_making:
                    self._is_making = True
                    threading.Thread(target=self._make, daemon=True, name="proxies").start()
        return found | {"ready": False, "known": bool(found), "fault": self._faults.get(folder, "")}

    def proxy(self, path: Path) -> Path:
        """Return the file of a clip's proxy, which need not exist. Raises OSError."""
        return self.place(path) / "proxy.mp4"

    def _make(self) -> None:
        """Make the proxies that are wanted, the latest first; run as a thread."""
        while True:
            with self._lock:
                if not self._wanted:
                    self._is_making = False
                    return
                path, folder = self._wanted[-1]
            try:
                if not (folder / "proxy.mp4").is_file():
                    self._proxies.ask(PROXY_TIMEOUT_S, do="proxy", path=str(path), folder=str(folder))
            except (VidtransError, OSError) as error:
                self._faults[folder] = str(error)
            with self._lock:
                if (path, folder) in self._wanted:
                    self._wanted.remove((path, folder))

    def release(self) -> None:
        """Close the clip that frames were read from."""
        with suppress(VidtransError):
            self._frames.release()

    def prune(self) -> None:
        """Delete what is kept of files that nobody looked at for long, and the oldest of it where it is much."""
        with suppress(OSError):
            folders = sorted(self.folder.iterdir(), key=lambda path: -path.stat().st_mtime)
            total = 0
            for path in folders:
                total += folder_bytes(path)
                if total > KEPT_BYTES or time.time() - path.stat().st_mtime > KEPT_DAYS * 86400:
                    shutil.rmtree(path, ignore_errors=True)
        for kept, days in ((self.folder.parent / "previews", 7), (self.folder.parent / "uploads", 7)):
            with suppress(OSError):
                for path in kept.iterdir():
                    if time.time() - path.stat().st_mtime > days * 86400:
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._wanted.clear()
        for reader in (self._frames, self._strips, self._proxies):
            reader.close()
