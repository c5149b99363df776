"""Settings of what a live session is connected to on a stage: OSC in and out, and senders of its pictures."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.core.errors import UsageError
from vidtrans.live.senders import check_senders
from vidtrans.web import LOOPBACK


@dataclass(frozen=True)
class OscEndpoint:
    """An address and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Return whether packets come from, or go to, other machines."""
        return self.host not in LOOPBACK

    def resolve(self, option: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Return the address as sockets take it. Raises UsageError for an unknown host."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            raise UsageError(
                f"{option} {self}", "there is no such host", "give an address, such as 127.0.0.1"
            ) from None
        family, _, _, _, address = found[0]
        return family, (str(address[0]), int(address[1]))


def parse_endpoint(text: str, option: str, *, allow_network: bool, needs_host: bool = False) -> OscEndpoint:
    """Return the endpoint of ``[HOST:]PORT``; without a host this machine. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    form = f"give {'HOST:PORT' if needs_host else 'PORT or HOST:PORT'}, such as {'127.0.0.1:' * needs_host}9000"
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535 or (needs_host and not host):
        raise UsageError(f"{option} {text}", "it names no port from 1 to 65535", form)
    host = host.removeprefix("[").removesuffix("]")
    if colon and not host:
        raise UsageError(f"{option} {text}", "it names no host before the colon", form)
    found = OscEndpoint(host or LOOPBACK[0], int(port))
    if found.is_open and not allow_network:
        why = "others on the network could move the controls" if option == "--osc" else "it sends to another machine"
        raise UsageError(f"{option} {text}", why, "add --allow-network if that is meant")
    return found


def is_near(host: str) -> bool:
    """Return whether packets of an address are taken: of this machine, and of private and link-local networks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_private or address.is_loopback or address.is_link_local


@dataclass(frozen=True)
class StageSettings:
    """``osc``: where OSC is received, ``osc_out``: where it is sent; None: not. ``senders``: their names."""

    osc: OscEndpoint | None = None
    osc_out: OscEndpoint | None = None
    senders: tuple[str, ...] = ()


def stage_settings(osc: str, osc_out: str, senders: Sequence[str], *, allow_network: bool) -> StageSettings:
    """Return the settings of options, '' and () where they are not given. Raises UsageError."""
    own = parse_endpoint(osc, "--osc", allow_network=allow_network) if osc else None
    other = parse_endpoint(osc_out, "--osc-out", allow_network=allow_network, needs_host=True) if osc_out else None
    if own is not None and other is not None and own.port == other.port and not other.is_open:
        raise UsageError(f"--osc-out {osc_out}", "it is where --osc listens", "choose another port")
    check_senders(senders, allow_network=allow_network)
    return StageSettings(own, other, tuple(senders))
