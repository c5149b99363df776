"""Settings of the command ``matte``, the table [matting]."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, option


@dataclass(frozen=True)
class MattingSettings:
    """Settings of the network that follows a thing, of the search for it, and of the matte's edge."""

    steps: int = option(
        600,
        "training steps of the network, for each part of the clip between painted frames",
        Group.TRAINING,
        bounds=(1, 100_000),
        form="more",
    )
    size: int = option(480, "short side of the frames in which an object is followed, in pixels", bounds=(64, 2160))
    window: int = option(
        320,
        "side of the area around an object that the network sees, in pixels; larger for finer parts",
        bounds=(96, 1024),
    )
    edge: str = option(
        "refined",
        "enlargement of the matte's edge to the clip's size: refined (follows the edges in the picture) or plain",
        Group.LOOK,
        choices=("refined", "plain"),
        form="more",
    )
    feather: float = option(
        0.0,
        "softness of the edge, in pixels of the clip",
        Group.LOOK,
        metavar="PIXELS",
        bounds=(0.0, 200.0),
        form="main",
    )
    grow: float = option(
        0.0,
        "distance by which the edge moves outwards, in pixels of the clip; negative values move it inwards",
        Group.LOOK,
        metavar="PIXELS",
        bounds=(-200.0, 200.0),
        form="main",
    )
