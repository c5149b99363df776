"""The context that all commands share: device, seed, cache, progress and the stop request."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Progress, Report, Stop, ignore_event
from vidtrans.core.files import CACHE_FOLDER
from vidtrans.core.machine import check_device_name, device_kind
from vidtrans.core.options import Group, option
from vidtrans.core.registry import unknown_name
from vidtrans.store.cache import Cache
from vidtrans.video.io.encoding import CPU, HARDWARE_DECODERS


@dataclass
class Context:
    """The options common to all commands.

    ``decode_threads``: the number of threads per decoder; 0: one for each core. ``decoder``: "cpu", or a GPU decoder
    from ``HARDWARE_DECODERS``. Neither affects results. ``line``: the words of the command line after ``vidtrans``, for
    records of results; () without one. ``warned``: the warnings given so far, with their source.
    """

    cache_dir: Path = option(
        Path(CACHE_FOLDER),
        "Cache folder for intermediate results. It must not contain other files.",
        Group.CACHE,
        variable="VIDTRANS_CACHE_DIR",
        rare=True,
    )
    device: str = option("auto", "Device: auto, cuda, cuda:N, mps or cpu.", Group.SPEED, variable="VIDTRANS_DEVICE")
    seed: int = option(0, "Random seed.", Group.SETTINGS, bounds=(0, 2**63 - 1), variable="VIDTRANS_SEED", rare=True)
    overwrite: bool = option(False, "Replace an existing output.", Group.OUTPUT)
    dry_run: bool = option(False, "Show what the command would do, and change nothing.", Group.OUTPUT)
    allow_damaged: bool = option(
        False, "Use the readable frames of a damaged video, and count the lost frames.", Group.INPUT, rare=True
    )
    decode_threads: int = 0
    decoder: str = option(
        CPU,
        "Decoder of the source: cpu, or nvdec on a supported NVIDIA GPU. Both give identical frames.",
        Group.SPEED,
        choices=(CPU, *HARDWARE_DECODERS),
        variable="VIDTRANS_DECODER",
        rare=True,
    )
    cache_limit_gb: float = option(
        20.0,
        "Maximum size of the cache between runs, in gigabytes.",
        Group.CACHE,
        ("--cache-limit",),
        bounds=(0, 1e6),
        variable="VIDTRANS_CACHE_LIMIT",
        rare=True,
    )
    report: Report = ignore_event
    stop: Stop = field(default_factory=Stop)
    engines: dict[tuple[str, ...], Any] = field(
        default_factory=dict, repr=False
    )  # The engines that were used last, by model and settings.
    line: tuple[str, ...] = ()
    warned: set[tuple[str, Path | None]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        check_device_name(self.device)
        if self.decoder not in (CPU, *HARDWARE_DECODERS):
            raise unknown_name("decoder", self.decoder, [CPU, *HARDWARE_DECODERS])
        if not 0 <= self.cache_limit_gb < float("inf"):
            raise UsageError(f"--cache-limit {self.cache_limit_gb}", "not a valid size", "give a number of gigabytes")
        self._lock = Lock()
        self.cache_dir = Path(self.cache_dir).absolute()
        self.cache = Cache(self.cache_dir, self.report, self.stop)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("engines", "warned")}
        return partial(Context, **given), ()

    @property
    def device_kind(self) -> str:
        """Return the kind of ``device``: 'cuda', 'mps' or 'cpu'. No other property of the device affects results."""
        return device_kind(self.device)

    def note(self, text: str, level: str = "info") -> None:
        """Report a message to the user; ``level`` is 'info' or 'warning'."""
        self.report(Note(text, level))

    def begin(self, task: str) -> None:
        """Report the start of ``task``, which may take seconds and has no progress.

        A terminal shows it until its end.
        """
        self.report(Progress(task, 0, None))

    def trim_cache(self) -> None:
        """Delete cache entries until the cache has at most ``cache_limit_gb``; called at the end of a command."""
        self.cache.trim(int(self.cache_limit_gb * 1e9))

    def warn_once(self, text: str, about: Path | None = None) -> None:
        """Report a warning about a source only once; ``about`` None: about the whole command."""
        self.note_once(text, about, "warning")

    def note_once(self, text: str, about: Path | None, level: str) -> None:
        """Report a message about a source only once, see ``warn_once``; ``level`` is 'info' or 'warning'."""
        with self._lock:  # threads that decode warn, too
            known = (text, about) in self.warned
            self.warned.add((text, about))
        if not known:
            self.report(Note(text, level, general=about is None))
