"""The stage that reads the frames of a clip, with its shots, timestamps and mask, and the sound for curves."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, Use, option
from vidtrans.pipeline.stage import Stage, StageSettings


@dataclass(frozen=True)
class ReadSettings(StageSettings):
    """Settings of the source: filters, drawings, sound, shots, chunks, and the mask's edge."""

    source_filter: str = option(
        "",
        "a filter graph of your own ffmpeg, laid over the source before the model sees it",
        Group.INPUT,
        ("--filter-source",),
        metavar="GRAPH",
        access="program",
        rare=True,
    )
    drawing: str = option(
        "auto",
        "the source is a drawing, its lines are taken as they are; auto looks at pictures, never at videos",
        Group.INPUT,
        ("--drawn",),
        choices=("auto", "yes", "no"),
        rare=True,
    )
    sound: str = option(
        "",
        "the sound that curves hear, from the clip's first frame on; by itself the clip's own",
        Group.INPUT,
        metavar="FILE",
        uses=Use.DEFLICKER,
        access="path",
    )
    mask_feather: str | float = option(
        0.0,
        "σ in pixels of the result by which the mask's edge is softened, 0 to 500; a curve too",
        moves=(0, 500.0),
        uses=Use.DEFLICKER,
    )
    picture_fps: float = option(
        25.0,
        "frames a second where pictures become a video",
        bounds=(0.1, 1000.0),
        uses=Use.DEFLICKER | Use.DREAM | Use.RETIME,
    )
    cuts: str = option(
        "auto",
        "where shots begin, across which nothing is averaged: auto, off, or a file: a frame or a time on each line, a "
        "CSV of PySceneDetect, or the timeline of the clip (EDL, OTIO)",
        Group.TIME,
        metavar="auto|off|FILE",
        uses=Use.RUN | Use.DEFLICKER | Use.RETIME,
        access="path",
        rare=True,
        form="more",
    )
    chunk_frames: int = option(
        60,
        "frames saved at once; a crash costs at most these",
        bounds=(1, 100_000),
        uses=Use.DEFLICKER | Use.DREAM | Use.RETIME,
    )


class Read(Stage):
    """The stage that reads each frame once, at the network's input size and at the size of the result."""

    Settings = ReadSettings
