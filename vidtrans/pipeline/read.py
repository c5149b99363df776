"""Read the frames of a clip: its shots, its times, its mask, and the sound that curves hear."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.parameters import Flag, Group, Moving, Use
from vidtrans.core.settings import setting
from vidtrans.pipeline.stage import Stage, StageSettings


@dataclass(frozen=True)
class ReadSettings(StageSettings):
    """Settings of reading: frames, shots, chunks, the mask's edge."""

    source_filter: str = setting(
        "",
        "a filter graph of your own ffmpeg, laid over the source before the model sees it",
        flag=Flag(Group.INPUT, ("--filter-source",), metavar="GRAPH", access="program", rare=True),
    )
    drawing: str = setting(
        "auto",
        "the source is a drawing, its lines are taken as they are; auto looks at pictures, never at videos",
        choices=("auto", "yes", "no"),
        flag=Flag(Group.INPUT, ("--drawn",), rare=True),
    )
    sound: str = setting(
        "",
        "the sound that curves hear, from the clip's first frame on; by itself the clip's own",
        uses=Use.DEFLICKER,
        flag=Flag(Group.INPUT, ("--sound",), metavar="FILE", access="path"),
    )
    mask_feather: str | float = setting(
        0.0,
        "σ in pixels of the result by which the mask's edge is softened, 0 to 500; a curve too",
        moves=Moving(0, 500.0),
        uses=Use.DEFLICKER,
    )
    picture_fps: float = setting(
        25.0,
        "frames a second where pictures become a video",
        low=0.1,
        high=1000.0,
        uses=Use.DEFLICKER | Use.DREAM,
    )
    cuts: str = setting(
        "auto",
        "where shots begin, across which nothing is averaged: auto, off, or a file: a frame or a time on each line, a "
        "CSV of PySceneDetect, or the timeline of the clip (EDL, OTIO)",
        uses=Use.RUN | Use.DEFLICKER,
        flag=Flag(Group.TIME, ("--cuts",), metavar="auto|off|FILE", access="path", rare=True, form="more"),
    )
    chunk_frames: int = setting(
        60,
        "frames saved at once; a crash costs at most these",
        low=1,
        high=100_000,
        uses=Use.DEFLICKER | Use.DREAM,
    )


class Read(Stage):
    """Reads each frame once, in the size that the network sees and in that of the result."""

    Settings = ReadSettings
