"""What families whose input are label maps share: the range of their numbers, and the pairing that options name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import Candidate, Family
from vidtrans.networks.ports import MOST_PICTURE_CHANNELS

LABEL_PORTS: Table = {"in_scale": (0.5,), "in_shift": (0.5,)}  # planes of 0 and 1


def label_ports(channels: int) -> Table:
    """Return the ports of a network that takes pictures of up to four channels in [−1, 1], and label maps of more."""
    return dict(LABEL_PORTS) if channels > MOST_PICTURE_CHANNELS else {}


def label_pairing(channels: int, options: Mapping[str, str]) -> Table:
    """Return the pairing 'labels' as the options of a training of pix2pixHD or SPADE name it; {} where they do not."""
    given = options.get("label_nc", "")
    if not given.isdecimal() or len(given) > 4 or not int(given):
        return {}
    rest = options.get("contain_dontcare_label", "") == "True"
    settings = {"classes": int(given) + rest, "rest_is_last": rest, "boundaries": options.get("no_instance") == "False"}
    fits = settings["classes"] + settings["boundaries"] == channels
    return {"name": "labels", "settings": settings} if fits else {}


class LabelFamily(Family):
    """A family whose networks may take label maps; which, the options of their training say."""

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate with the pairing of its labels."""
        return replace(candidate, pairing=label_pairing(candidate.channels[0], options) or candidate.pairing)
