"""Settings of mattes."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.parameters import Flag, Group
from vidtrans.core.settings import setting


@dataclass(frozen=True)
class MattingSettings:
    """Settings of the network that follows a thing, of the search for it, and of the matte's edge."""

    steps: int = setting(
        600,
        "training steps of the network of each part of the clip between painted frames",
        low=1,
        high=100_000,
        flag=Flag(Group.TRAINING, ("--steps",), form="more"),
    )
    size: int = setting(480, "short side, in pixels, of the frames in which a thing is followed", low=64, high=2160)
    window: int = setting(
        320,
        "side, in pixels, of the area around a thing that the network sees; larger for finer parts",
        low=96,
        high=1024,
    )
    edge: str = setting(
        "refined",
        "the edge at the clip's own size: refined (along the edges of the picture), or plain (enlarged as it is)",
        choices=("refined", "plain"),
        flag=Flag(Group.LOOK, ("--edge",), form="more"),
    )
    feather: float = setting(
        0.0,
        "how far the edge is softened, in pixels of the clip",
        low=0.0,
        high=200.0,
        flag=Flag(Group.LOOK, ("--feather",), metavar="PIXELS", form="main"),
    )
    grow: float = setting(
        0.0,
        "how far the edge is moved outwards, in pixels of the clip; inwards if negative",
        low=-200.0,
        high=200.0,
        flag=Flag(Group.LOOK, ("--grow",), metavar="PIXELS", form="main"),
    )
