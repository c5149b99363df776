"""Settings of what a live session is connected to on a stage: OSC in and out, and senders of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.core.errors import UsageError
from vidtrans.live.osc.osc_endpoint import OscEndpoint, parse_endpoint
from vidtrans.live.senders import check_senders


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
