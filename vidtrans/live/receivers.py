"""Receivers, which take the pictures of other programs as the source of a live session: NDI, Spout and Syphon.

A receiver is a class with the interface ``PictureReceiver``. Its library is an extra, and is imported when the receiver
is made. Receivers for other operating systems are not offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Registry, unknown_name
from vidtrans.live.senders import SenderEntry, check_library, offered_senders


class PictureReceiver(Protocol):
    """The interface of a picture receiver, made with a part of the name of a source; "" for the first one.

    One thread calls all methods but ``pump``. The session's own pictures are never received.
    """

    def receive(self) -> np.ndarray | None:
        """Return a new picture, (H, W, 3) uint8 RGB, without waiting; None if there is none, or no source yet.

        Raises any error of the library, with a readable message.
        """

    def pump(self) -> None:
        """Run the operating system's event loop for a millisecond; called in the main thread ten times a second.

        By default nothing is run.
        """

    def close(self) -> None:
        """Close the receiver. A second call does nothing."""


# Picture receivers by the names that --receive accepts
RECEIVERS = Registry(
    "receiver",
    {
        "ndi": SenderEntry(
            "vidtrans.live.built_in_receivers:NdiReceiver",
            "NDI, video in the local network",
            "cyndilib",
            "ndi",
            ("linux", "win32", "darwin"),
            "check that this machine has a network interface",
            is_network=True,
        ),
        "spout": SenderEntry(
            "vidtrans.live.built_in_receivers:SpoutReceiver",
            "Spout, textures shared between programs on Windows",
            "SpoutGL",
            "spout",
            ("win32",),
            "it needs a GPU with DirectX 11",
        ),
        "syphon": SenderEntry(
            "vidtrans.live.built_in_receivers:SyphonReceiver",
            "Syphon, textures shared between programs on macOS",
            "syphon",
            "syphon",
            ("darwin",),
            "it needs a Mac with Metal",
        ),
    },
)


def check_receiver(text: str, *, allow_network: bool) -> tuple[str, str]:
    """Return the kind of receiver and the name of the source that a value of --receive, KIND[:NAME], names.

    Raises UsageError for a receiver that this system does not have, that needs a network without permission, or whose
    library is not installed.
    """
    kind, _, name = text.partition(":")
    offered = offered_senders(registry=RECEIVERS)
    if kind not in offered:
        raise unknown_name("receiver", kind, offered)
    entry = RECEIVERS[kind]
    if entry.is_network and not allow_network:
        raise UsageError(f"--receive {text}", "pictures come from the network", "add --allow-network if that is meant")
    check_library(f"--receive {text}", entry)
    return kind, name
