"""Thumbnails, frames and proxies (small copies) of media for the pages of the studio, decoded in other processes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from vidtrans.core.child_process import end_process, module_command
from vidtrans.core.errors import MediaError, UsageError, VidtransError
from vidtrans.core.files import folder_bytes, read_small_json, write_bytes, write_json
from vidtrans.core.settings import Table

COMMAND = module_command("vidtrans.studio.media_process")  # Command line of the decoding process, without its argument
TIMEOUT_S, FRAME_TIMEOUT_S = 30.0, 300.0  # Limits of requests; the first frame of a long clip needs its index
MAX_CACHE_DAYS, MAX_CACHE_BYTES = 60, 8 << 30  # Largest age and total size of thumbnails and proxies
MAX_PREVIEW_DAYS = 7  # Age, in days, after which previews and unfinished uploads are deleted
PROXY_TIMEOUT_S = 6 * 3600.0  # Longest time, in s, to write the proxy of a clip


class MediaReader:
    """A decoding process, started at the first request; concurrent requests wait for each other."""

    def __init__(self, cache: Path) -> None:
        self._cache, self._lock = cache, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def request(self, timeout_s: float = TIMEOUT_S, **request: object) -> tuple[Table, bytes]:
        """Send a request to the decoding process; return the facts and the bytes of its answer. Raises MediaError."""
        with self._lock:
            process = self._ensure_process()
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
                self._end_process()
                raise MediaError(str(request.get("path")), "it could not be decoded", "choose another file") from None
            finally:
                killer.cancel()
        if error := head["facts"].get("error"):
            raise MediaError(Path(str(request.get("path"))).name, str(error), "choose another file")
        return head["facts"], data

    def _ensure_process(self) -> subprocess.Popen[bytes]:
        """Return the running decoding process; start it if there is none. Raises UsageError after ``close``."""
        if self._is_closed:
            raise UsageError("media", "the studio ends", "start it again")
        if self._process is None or self._process.poll() is not None:
            self._end_process()
            command = [*COMMAND, str(self._cache)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def release(self) -> None:
        """Close the clip that the decoding process has open, if it is running. Raises MediaError."""
        if self._process is not None:
            self.request(do="release")

    def close(self) -> None:
        """End the decoding process; a request in progress fails."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end_process()

    def _end_process(self) -> None:
        """Kill the decoding process, if there is one, and close its pipes."""
        if self._process is not None:
            end_process(self._process)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


class Media:
    """Thumbnails, frames and proxies (small videos in which browsers seek fast) of media files, cached in ``folder``.

    The cache key of a file is its path, size and time of change. ``cache``: the cache folder of the commands.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        # Separate processes, because a proxy may take minutes and frames and thumbnails must not wait for it.
        self._frames, self._strips, self._proxies = MediaReader(cache), MediaReader(cache), MediaReader(cache)
        self._proxy_queue: list[tuple[Path, Path]] = []  # (clip, cache folder) of missing proxies, the next one last
        self._faults: dict[Path, str] = {}
        self._lock, self._strip_lock, self._makes_proxies = threading.Lock(), threading.Lock(), False

    def cache_folder(self, path: Path) -> Path:
        """Return the cache folder of a file in its current state; it changes with the file. Raises OSError."""
        state = path.stat()
        mark = f"{path} {state.st_mtime_ns} {state.st_size}"
        return self.folder / hashlib.sha256(mark.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def strip(self, path: Path) -> tuple[Table, Path]:
        """Return the facts of a moving thumbnail (number and size of its frames) and its JPEG file.

        Raises MediaError, OSError.
        """
        folder = self.cache_folder(path)
        facts, file = folder / "strip.json", folder / "strip.jpg"
        if not facts.is_file():
            with self._strip_lock:  # The page requests a picture on the shelf and among the looks at once
                if not facts.is_file():
                    new_facts, data = self._strips.request(do="strip", path=str(path))
                    folder.mkdir(parents=True, exist_ok=True)
                    write_bytes(file, data)
                    write_json(facts, new_facts)
        table: Table = read_small_json(facts)
        return table, file

    def frame(self, path: Path, number: int, short: int, kind: str) -> bytes:
        """Return frame ``number`` of a clip as a file; ``kind``: jpeg or png. Raises MediaError.

        ``short``: the largest short side in pixels; 0: no limit.
        """
        return self._frames.request(FRAME_TIMEOUT_S, do="frame", path=str(path), frame=number, short=short, kind=kind)[
            1
        ]

    def check(self, path: Path) -> Table:
        """Return the kind and the size of an uploaded file. Raises MediaError if it is not media."""
        return self._strips.request(do="check", path=str(path))[0]

    def facts(self, path: Path) -> Table:
        """Return the facts about a clip (size, frames, shots …), and request its proxy if it is missing.

        ``ready``: whether the proxy exists. ``known``: whether the facts were read. ``fault``: why the proxy failed,
        or "".

        Raises OSError.
        """
        folder = self.cache_folder(path)
        facts: Table = read_small_json(folder / "facts.json") if (folder / "facts.json").is_file() else {}
        if (folder / "proxy.mp4").is_file():
            return facts | {"ready": True, "known": True, "fault": ""}
        with self._lock:
            if folder not in self._faults:
                if (path, folder) in self._proxy_queue:
                    self._proxy_queue.remove((path, folder))
                self._proxy_queue.append((path, folder))
                if not self._makes_proxies:
                    self._makes_proxies = True
                    threading.Thread(target=self._make_proxies, daemon=True, name="proxies").start()
        return facts | {"ready": False, "known": bool(facts), "fault": self._faults.get(folder, "")}

    def proxy(self, path: Path) -> Path:
        """Return the path of a clip's proxy video, which may not exist yet. Raises OSError."""
        return self.cache_folder(path) / "proxy.mp4"

    def _make_proxies(self) -> None:
        """Write the requested proxies, the last requested one first; runs in its own thread."""
        while True:
            with self._lock:
                if not self._proxy_queue:
                    self._makes_proxies = False
                    return
                path, folder = self._proxy_queue[-1]
            try:
                if not (folder / "proxy.mp4").is_file():
                    self._proxies.request(PROXY_TIMEOUT_S, do="proxy", path=str(path), folder=str(folder))
            except (VidtransError, OSError) as error:
                self._faults[folder] = str(error)
            with self._lock:
                if (path, folder) in self._proxy_queue:
                    self._proxy_queue.remove((path, folder))

    def release(self) -> None:
        """Close the clip from which frames were read, so that its file can be moved."""
        with suppress(VidtransError):
            self._frames.release()

    def prune(self) -> None:
        """Delete cached files that are too old, and the oldest ones beyond the size limit."""
        with suppress(OSError):
            folders = sorted(self.folder.iterdir(), key=lambda path: -path.stat().st_mtime)
            total = 0
            for path in folders:
                total += folder_bytes(path)
                if total > MAX_CACHE_BYTES or time.time() - path.stat().st_mtime > MAX_CACHE_DAYS * 86400:
                    shutil.rmtree(path, ignore_errors=True)
        for folder in (self.folder.parent / "previews", self.folder.parent / "uploads"):
            with suppress(OSError):
                for path in folder.iterdir():
                    if time.time() - path.stat().st_mtime > MAX_PREVIEW_DAYS * 86400:
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the decoding processes, and forget the requested proxies."""
        with self._lock:
            self._proxy_queue.clear()
        for reader in (self._frames, self._strips, self._proxies):
            reader.close()
