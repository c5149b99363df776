"""Senders, which pass the pictures of a live session to other programs: a virtual camera, NDI, Spout, Syphon.

A sender is a class with the interface ``PictureSender``. Its library is an extra, and is imported when the sender is
opened. Senders for other operating systems are not offered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry, Registry, unknown_name

SENDER_NAME = "vidtrans live"  # Name under which other programs list the pictures of the session
NOMINAL_FPS = 30  # Frame rate given to libraries that require one; pictures are sent whenever they are painted


class PictureSender(Protocol):
    """The interface of a picture sender. One thread calls all methods but ``pump``; each ``open`` has a ``close``."""

    def open(self, width: int, height: int) -> None:
        """Open the sender for pictures of this size, in pixels.

        Raises any error of the library, with a readable message.
        """

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB, of the size passed to ``open``."""

    def pump(self) -> None:
        """Run the operating system's event loop for a millisecond; called in the main thread ten times a second.

        By default nothing is run.
        """

    def close(self) -> None:
        """Close the sender; the next ``open`` may have another size."""


@dataclass(frozen=True)
class SenderEntry(Entry):
    """The registry entry of a picture sender, or of a picture receiver.

    ``module``: the library to import. ``extra``: the extra of vidtrans that installs it. ``systems``: supported values
    of ``sys.platform``. ``remedy``: advice for one that cannot be opened. ``is_network``: the pictures pass through the
    network.
    """

    module: str = ""
    extra: str = ""
    systems: tuple[str, ...] = ()
    remedy: str = ""
    is_network: bool = False


# Picture senders by the names that --send accepts
SENDERS = Registry(
    "sender",
    {
        "virtual-camera": SenderEntry(
            "vidtrans.live.senders.built_in:VirtualCamera",
            "a virtual camera for other programs: of OBS, or on Linux of v4l2loopback",
            "pyvirtualcam",
            "camera",
            ("linux", "win32", "darwin"),
            "on Linux install and load v4l2loopback, else install OBS and start its virtual camera once",
        ),
        "ndi": SenderEntry(
            "vidtrans.live.senders.built_in:NdiSender",
            "NDI: video in the local network",
            "cyndilib",
            "ndi",
            ("linux", "win32", "darwin"),
            "check that this machine has a network interface",
            is_network=True,
        ),
        "spout": SenderEntry(
            "vidtrans.live.senders.built_in:SpoutSender",
            "Spout: textures shared between programs on Windows",
            "SpoutGL",
            "spout",
            ("win32",),
            "it needs a GPU with DirectX 11",
        ),
        "syphon": SenderEntry(
            "vidtrans.live.senders.built_in:SyphonSender",
            "Syphon: textures shared between programs on macOS",
            "syphon",
            "syphon",
            ("darwin",),
            "it needs a Mac with Metal",
        ),
    },
)


def offered_senders(system: str = sys.platform, registry: Registry[SenderEntry] = SENDERS) -> list[str]:
    """Return the names in a registry that the operating system ``system`` (as in ``sys.platform``) supports."""
    return [name for name, entry in registry.items() if system in entry.systems]


def check_senders(names: Sequence[str], *, allow_network: bool) -> None:
    """Raise UsageError for a sender that is unsupported, listed twice, or needs a network without permission."""
    for position, name in enumerate(names):
        if name not in offered_senders():
            raise unknown_name("sender", name, offered_senders())
        if name in names[:position]:
            raise UsageError(f"--send {name}", "it stands twice", "leave one out")
        if SENDERS[name].is_network and not allow_network:
            why = "others on the network could watch"
            raise UsageError(f"--send {name}", why, "add --allow-network if that is meant")


def check_libraries(names: Sequence[str]) -> None:
    """Raise UsageError if the library of one of the senders is not installed."""
    for name in names:
        check_library(f"--send {name}", SENDERS[name])


def check_library(given: str, entry: SenderEntry) -> None:
    """Raise UsageError if the library of an entry is not installed. ``given``: the option and its value."""
    if find_spec(entry.module) is None:
        remedy = f"pip install 'vidtrans[{entry.extra}]'"
        raise UsageError(given, f"{entry.module} is not installed", remedy)
