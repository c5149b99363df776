"""Draw a timeline before and after ``vidtrans stylize``, from the media that both name.

    python -m benchmarks.timelines.picture FOLDER CLIP CLIP [--output editors.png]

A timeline of five clips of two videos is written into FOLDER, with a dissolve, a gap and markers that name looks; it
is rendered there, and both timelines are read again and drawn: the frames that each shows, and the files that they are
from. OpenTimelineIO is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import cv2
import numpy as np

import vidtrans as api
from vidtrans.video.io.reader import ClipReader

RATE, WIDE, HIGH, BAR = 30000 / 1001, 220, 124, 36  # frames a second; pixels of a thumbnail, of a bar
EVERY = 24  # frames of the timeline between two thumbnails
COLOURS = ((176, 124, 76), (96, 140, 84), (92, 92, 170), (150, 110, 150))  # BGR, by file


def make_timeline(otio: Any, folder: Path, videos: list[Path]) -> Path:
    """Write the timeline, and return its path."""
    schema = otio.schema

    def time(frames: float) -> Any:
        return otio.opentime.RationalTime(frames, RATE)

    def clip(number: int, start: int, length: int, mark: str = "") -> Any:
        media = schema.ExternalReference(videos[number].resolve().as_uri())
        found = schema.Clip(videos[number].stem, media, otio.opentime.TimeRange(time(start), time(length)))
        if mark:
            found.markers.append(schema.Marker(mark, otio.opentime.TimeRange(time(start), time(1))))
        return found

    gap = schema.Gap(source_range=otio.opentime.TimeRange(time(0), time(24)))
    dissolve = schema.Transition("dissolve", "SMPTE_Dissolve", time(12), time(12))
    track = schema.Track("V1", kind="Video")
    track.extend([clip(0, 0, 24, "model: pencil"), clip(1, 15, 48), dissolve, clip(0, 40, 48, "model: pencil"), gap])
    track.extend([clip(1, 30, 24), clip(0, 100, 24, "model: keep")])
    timeline = schema.Timeline("cut")
    timeline.tracks.append(track)
    path = folder / "cut.otio"
    otio.adapters.write_to_file(timeline, str(path))
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    """Return all frames of a video as thumbnails, BGR."""
    with ClipReader(path) as reader:
        frames = [cv2.resize(frame.rgb, (WIDE, HIGH), interpolation=cv2.INTER_AREA) for frame in reader.frames(0, None)]
    return [frame[..., ::-1] for frame in frames]


def draw(otio: Any, path: Path) -> np.ndarray:
    """Return the picture of a timeline: what it shows, and below it the files."""
    track = otio.adapters.read_from_file(str(path)).tracks[0]
    items = [item for item in track if not isinstance(item, otio.schema.Transition)]
    films, spans, at = dict[Path, list[np.ndarray]](), list[tuple[int, int, Any]](), 0
    for item in items:
        length = round(item.duration().value)
        spans.append((at, at + length, item))
        at += length
    columns = range(EVERY // 2, at, EVERY)
    image = np.full((HIGH + BAR, WIDE * len(columns), 3), 30, np.uint8)
    for place, moment in enumerate(columns):
        begin, _, item = next(span for span in spans if span[0] <= moment < span[1])
        left = place * WIDE
        if isinstance(item, otio.schema.Gap):
            continue
        media = path_of(item.media_reference.target_url, path.parent)
        if media not in films:
            films[media] = frames_of(media)
        available = item.media_reference.available_range
        first = item.source_range.start_time.value - (available.start_time.value if available else 0)
        image[:HIGH, left : left + WIDE] = films[media][round(first) + moment - begin]
    _draw_bars(otio, image, spans, path.parent)
    return image


def _draw_bars(otio: Any, image: np.ndarray, spans: list[tuple[int, int, Any]], folder: Path) -> None:
    """Draw a bar with the file's name below the frames of each clip."""
    files: list[Path] = []
    for begin, end, item in spans:
        if isinstance(item, otio.schema.Gap):
            continue
        media = path_of(item.media_reference.target_url, folder)
        files += [] if media in files else [media]
        first, last = (round(one / EVERY * WIDE) for one in (begin, end))
        colour = COLOURS[files.index(media) % len(COLOURS)]
        cv2.rectangle(image, (first + 1, HIGH + 2), (last - 2, HIGH + BAR - 2), colour, -1)
        text = media.name
        while cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)[0][0] > last - first - 12:
            text = text[:-1]
        at = (first + 6, HIGH + BAR - 12)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)


def path_of(url: str, folder: Path) -> Path:
    """Return the path of a URL or a relative path."""
    return folder / unquote(urlparse(url).path if url.startswith("file:") else url)


def main() -> None:
    """Make the timeline, render it, and draw both."""
    import opentimelineio as otio

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("videos", type=Path, nargs=2)
    parser.add_argument("--output", type=Path, default=Path("editors.png"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    path = make_timeline(otio, given.folder, given.videos)
    api.stylize(path, model="oil", output=f"{given.folder}/", size="256", executor="inline", handles=6)
    rows = [draw(otio, path), draw(otio, given.folder / "cut.styled.otio")]
    between = np.full((10, rows[0].shape[1], 3), 255, np.uint8)
    cv2.imwrite(str(given.output), np.vstack([rows[0], between, rows[1]]))


if __name__ == "__main__":
    main()
