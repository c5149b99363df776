"""What every command shares: device, seed, cache, progress and the request to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from vidtrans.errors import UsageError
from vidtrans.events import Note, Report, Stop, silent
from vidtrans.machine import check_device_name, device_kind
from vidtrans.registry import unknown_name
from vidtrans.store.cache import Cache
from vidtrans.store.cache_folder import FOLDER
from vidtrans.video.io.codecs import CPU, HARDWARE_DECODERS


@dataclass
class Context:
    """Options common to all commands.

    ``decode_threads`` 0 takes what the machine has. ``decoder``: "cpu", or a GPU's, of ``HARDWARE_DECODERS``. Neither
    changes a result.
    """

    cache_dir: Path = Path(FOLDER)
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    dry_run: bool = False
    allow_damaged: bool = False
    decode_threads: int = 0
    decoder: str = CPU
    cache_limit_gb: float = 20.0
    report: Report = silent
    stop: Stop = field(default_factory=Stop)
    engines: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)  # loaded ones, by what they run
    warned: set[tuple[str, Path | None]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        check_device_name(self.device)
        if self.decoder not in (CPU, *HARDWARE_DECODERS):
            raise unknown_name("decoder", self.decoder, [CPU, *HARDWARE_DECODERS])
        if not 0 <= self.cache_limit_gb < float("inf"):
            raise UsageError(f"--cache-limit {self.cache_limit_gb}", "it is not a size", "give a number of gigabytes")
        self._lock = Lock()
        self.cache_dir = Path(self.cache_dir).absolute()
        self.cache = Cache(self.cache_dir, self.report, self.stop)

    @property
    def device_kind(self) -> str:
        """Return 'cuda', 'mps' or 'cpu': what of ``device`` decides results."""
        return device_kind(self.device)

    def note(self, text: str, level: str = "info") -> None:
        """Report a text; ``level`` is 'info' or 'warning'."""
        self.report(Note(text, level))

    def trim_cache(self) -> None:
        """Delete what is beyond ``cache_limit_gb``; called when a command has all that it needs of the cache."""
        self.cache.trim(int(self.cache_limit_gb * 1e9))

    def warn_once(self, text: str, about: Path | None = None) -> None:
        """Warn about a source, once however often it is opened; without one, about the whole command."""
        with self._lock:  # threads that decode warn, too
            known = (text, about) in self.warned
            self.warned.add((text, about))
        if not known:
            self.report(Note(text, "warning", general=about is None))
