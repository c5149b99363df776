"""Settings of the connections of a live session: OSC in and out, senders of its pictures, and a receiver."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.core.errors import UsageError
from vidtrans.live.receivers import check_receiver
from vidtrans.live.senders import check_senders
from vidtrans.web import LOOPBACK


@dataclass(frozen=True)
class OscEndpoint:
    """The address of an OSC connection: a host and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Return whether other machines can reach the endpoint: its host is not the loopback address."""
        return self.host not in LOOPBACK

    def resolve(self, option: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Return the socket family and address of the endpoint. Raises UsageError for an unknown host."""
        try:
            addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            raise UsageError(
                f"{option} {self}", "there is no such host", "give an address, such as 127.0.0.1"
            ) from None
        family, _, _, _, address = addresses[0]
        return family, (str(address[0]), int(address[1]))


def parse_endpoint(text: str, option: str, *, allow_network: bool, needs_host: bool = False) -> OscEndpoint:
    """Parse the value ``[HOST:]PORT`` of an option; the default host is this machine. Raises UsageError.

    ``option``: its name, for errors. ``allow_network``: accept a host other than the loopback address. ``needs_host``:
    refuse a port without a host.
    """
    host, colon, port = text.rpartition(":")
    form = f"give {'HOST:PORT' if needs_host else 'PORT or HOST:PORT'}, such as {'127.0.0.1:' * needs_host}9000"
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535 or (needs_host and not host):
        raise UsageError(f"{option} {text}", "it names no port from 1 to 65535", form)
    host = host.removeprefix("[").removesuffix("]")
    if colon and not host:
        raise UsageError(f"{option} {text}", "it names no host before the colon", form)
    endpoint = OscEndpoint(host or LOOPBACK[0], int(port))
    if endpoint.is_open and not allow_network:
        why = "others on the network could move the controls" if option == "--osc" else "it sends to another machine"
        raise UsageError(f"{option} {text}", why, "add --allow-network if that is meant")
    return endpoint


def is_local_address(host: str) -> bool:
    """Return whether an IP address is of this machine, or of a private or link-local network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_private or address.is_loopback or address.is_link_local


@dataclass(frozen=True)
class StageSettings:
    """Settings of the connections to other programs.

    ``osc``: where OSC is received, ``osc_out``: where it is sent; None: off. ``senders``: names of picture senders.
    ``receiver``: the kind of a picture receiver, and a part of its source's name; (): none.
    """

    osc: OscEndpoint | None = None
    osc_out: OscEndpoint | None = None
    senders: tuple[str, ...] = ()
    receiver: tuple[str, str] | tuple[()] = ()


def stage_settings(
    osc: str, osc_out: str, senders: Sequence[str], receive: str = "", *, allow_network: bool
) -> StageSettings:
    """Return the settings for the values of --osc, --osc-out, --send and --receive; "" and (): not given.

    ``allow_network``: accept other hosts than this machine, and senders that need a network. Raises UsageError.
    """
    own = parse_endpoint(osc, "--osc", allow_network=allow_network) if osc else None
    other = parse_endpoint(osc_out, "--osc-out", allow_network=allow_network, needs_host=True) if osc_out else None
    if own is not None and other is not None and own.port == other.port and not other.is_open:
        raise UsageError(f"--osc-out {osc_out}", "it is where --osc listens", "choose another port")
    check_senders(senders, allow_network=allow_network)
    receiver = check_receiver(receive, allow_network=allow_network) if receive else ()
    return StageSettings(own, other, tuple(senders), receiver)
