"""What every command shares: device, seed, cache, progress and the request to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Report, Stop, silent
from vidtrans.core.machine import check_device_name, device_kind
from vidtrans.core.parameters import Choices, Group, Option, Range
from vidtrans.core.registry import unknown_name
from vidtrans.store.cache import FOLDER, Cache
from vidtrans.video.io.codecs import CPU, HARDWARE_DECODERS


@dataclass
class Context:
    """Options common to all commands.

    ``decode_threads`` 0 takes what the machine has. ``decoder``: "cpu", or a GPU's, of ``HARDWARE_DECODERS``. Neither
    changes a result.
    """

    cache_dir: Annotated[
        Path,
        Option(
            "Where stages are kept: a folder with no other files.",
            Group.CACHE,
            variable="VIDTRANS_CACHE_DIR",
            rare=True,
        ),
    ] = Path(FOLDER)
    device: Annotated[str, Option("auto, cuda, cuda:N, mps or cpu.", Group.SPEED, variable="VIDTRANS_DEVICE")] = "auto"
    seed: Annotated[
        int,
        Option("Random seed.", Group.SETTINGS, values=Range(0, 2**63 - 1), variable="VIDTRANS_SEED", rare=True),
    ] = 0
    overwrite: Annotated[bool, Option("Replace an existing output.", Group.OUTPUT)] = False
    dry_run: Annotated[bool, Option("Say what would be done; touch nothing.", Group.OUTPUT)] = False
    allow_damaged: Annotated[
        bool, Option("Use what is left of a damaged video, and count what is lost.", Group.INPUT, rare=True)
    ] = False
    decode_threads: int = 0
    decoder: Annotated[
        str,
        Option(
            "What decodes the source: the CPU, or an NVIDIA GPU (nvdec), where it can. The frames are the same.",
            Group.SPEED,
            values=Choices((CPU, *HARDWARE_DECODERS)),
            variable="VIDTRANS_DECODER",
            rare=True,
        ),
    ] = CPU
    cache_limit_gb: Annotated[
        float,
        Option(
            "Gigabytes that are kept between runs.",
            Group.CACHE,
            ("--cache-limit",),
            values=Range(0, 1e6),
            variable="VIDTRANS_CACHE_LIMIT",
            rare=True,
        ),
    ] = 20.0
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
