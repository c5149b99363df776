"""Detectors of cuts: a function each, from a video's path to the first frames of shots but the first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av

from vidtrans.core.settings import Size
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

Detector = Callable[[Path], list[int]]


def vidtrans(path: Path) -> list[int]:
    detector = CutDetector()
    with ClipReader(path, FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))) as reader, closing(reader.frames()) as frames:
        for frame in frames:
            detector.add(frame.rgb)
    return list(detector.shots()[1:])


def scdet(path: Path) -> list[int]:
    """FFmpeg's filter at its default threshold of 10."""
    found = []
    with closing(av.open(str(path))) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source, filtered, sink = graph.add_buffer(template=stream), graph.add("scdet"), graph.add("buffersink")
        source.link_to(filtered)
        filtered.link_to(sink)
        graph.configure()
        for number, frame in enumerate(container.decode(stream)):
            graph.push(frame)
            if "lavfi.scd.time" in graph.pull().metadata:
                found.append(number)
    return found


def _scenedetect(name: str) -> Detector:
    """A detector of PySceneDetect with its default threshold, and no least length of a scene."""

    def detect(path: Path) -> list[int]:
        import scenedetect

        detector = getattr(scenedetect, name)(min_scene_len=1)
        scenes = scenedetect.detect(str(path), detector)
        return [scene[0].frame_num for scene in scenes][1:]

    return detect


def available() -> dict[str, Detector]:
    """Those that can run here. PySceneDetect is no dependency: ``pip install scenedetect-headless`` adds its rows."""
    found: dict[str, Detector] = {"vidtrans": vidtrans, "FFmpeg scdet": scdet}
    try:
        import scenedetect  # noqa: F401
    except ImportError:
        print("PySceneDetect is not installed: its detectors are left out")
        return found
    names = ("ContentDetector", "AdaptiveDetector", "HashDetector", "HistogramDetector")
    return found | {f"PySceneDetect {name}": _scenedetect(name) for name in names}
