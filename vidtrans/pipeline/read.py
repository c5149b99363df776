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
        "a filter graph for your own ffmpeg, applied to the source before the model",
        Group.INPUT,
        ("--filter-source",),
        metavar="GRAPH",
        access="program",
        rare=True,
    )
    drawing: str = option(
        "auto",
        "Treat the source as a drawing, and use its lines directly. With auto, the command checks pictures, and "
        "treats no video as a drawing.",
        Group.INPUT,
        ("--drawn",),
        choices=("auto", "yes", "no"),
        rare=True,
    )
    sound: str = option(
        "",
        "Sound for curves; it starts at the first frame of the clip. With none, curves use the sound of the clip.",
        Group.INPUT,
        metavar="FILE",
        uses=Use.DEFLICKER,
        access="path",
    )
    mask_feather: str | float = option(
        0.0,
        "σ of the softening of the mask's edge, in pixels of the result, 0 to 500; to change it over time, give "
        "a curve",
        moves=(0, 500.0),
        uses=Use.DEFLICKER,
    )
    picture_fps: float = option(
        25.0,
        "frames per second, if pictures become a video",
        bounds=(0.1, 1000.0),
        uses=Use.DEFLICKER | Use.DREAM | Use.RETIME,
    )
    cuts: str = option(
        "auto",
        "Cuts between shots: auto (detected), off (none), or a file. The file shows where each shot starts: one "
        "frame or time on each line, a CSV of PySceneDetect, or the clip's timeline (EDL, OTIO). Nothing is "
        "averaged across a cut.",
        Group.TIME,
        metavar="auto|off|FILE",
        uses=Use.RUN | Use.DEFLICKER | Use.RETIME,
        access="path",
        rare=True,
        form="more",
    )
    chunk_frames: int = option(
        60,
        "number of frames that are saved at once; a crash loses at most these",
        bounds=(1, 100_000),
        uses=Use.DEFLICKER | Use.DREAM | Use.RETIME,
    )


class Read(Stage):
    """The stage that reads each frame once, at the network's input size and at the size of the result."""

    Settings = ReadSettings
