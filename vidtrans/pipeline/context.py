"""What every command shares, and the first stage of each: the index of a clip."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.errors import MediaError, UsageError
from vidtrans.events import Note, Progress, Report, Stop, silent
from vidtrans.pipeline.cache import FOLDER, Cache
from vidtrans.pipeline.stages import IndexStage, media_libraries
from vidtrans.settings import Size, Table, Time
from vidtrans.video.container import open_media, picture_stream
from vidtrans.video.reader import ClipIndex, ClipReader, IndexBuilder

INDEX_WAIT_S = 3600.0


@dataclass
class Context:
    """Options common to all commands. ``decode_threads`` 0 takes what the machine has; it changes no result."""

    cache_dir: Path = Path(FOLDER)
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    dry_run: bool = False
    decode_threads: int = 0
    cache_limit_gb: float = 20.0
    report: Report = silent
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        if not 0 <= self.cache_limit_gb < float("inf"):
            raise UsageError(f"--cache-limit {self.cache_limit_gb}", "it is no size", "give a number of gigabytes")
        self.cache_dir = Path(self.cache_dir).absolute()
        self.cache = Cache(self.cache_dir, self.report)

    def note(self, text: str, level: str = "info") -> None:
        self.report(Note(text, level))


@dataclass(frozen=True)
class Clip:
    """A source video with its content digest, its index, and the first frame of each of its shots."""

    path: Path
    digest: str
    index: ClipIndex
    shots: tuple[int, ...]

    def trim(self, start: Time | None, end: Time | None) -> tuple[int, int]:
        """The frames [first, stop) between two times; ``end`` is exclusive. Raises UsageError where none are."""
        first = 0 if start is None else self._frame(start)
        stop = self.index.num_frames if end is None else self._frame(end)
        if first >= stop:
            raise UsageError(
                f"--start {start or 0} --end {end or 'end'}",
                f"no frames of {self.path.name} lie between "
                f"({self.index.num_frames} frames, {self.index.duration_s:.3f} s)",
                "choose times within the clip",
            )
        return first, stop

    def _frame(self, time: Time) -> int:
        """The first frame at or after ``time``."""
        if time.frame is not None:
            return min(time.frame, self.index.num_frames)
        origin = self.index.pts[0]
        wanted = (time.seconds or Fraction(0)) / self.index.time_base
        return next((i for i, pts in enumerate(self.index.pts) if pts - origin >= wanted), self.index.num_frames)


def content_digest(context: Context, path: Path) -> str:
    """SHA-256 of a source. Raises MediaError where it is missing, a folder, or unreadable."""
    if not path.exists():
        raise MediaError(str(path), "no such file", "check the name")
    if path.is_dir():
        raise MediaError(str(path), "it is a folder, not a video", "give a video file")
    try:
        return context.cache.digest(path)
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None


def open_clip(context: Context, path: Path) -> Clip:
    """The clip with its index, from the cache or by decoding it once. Raises MediaError."""
    from vidtrans.flow.cuts import VERSION

    digest = content_digest(context, path)
    stage = IndexStage(digest, VERSION, media_libraries())
    entry = context.cache.entry(stage.name, stage.key)
    held = entry.read()
    if held is not None:
        return Clip(path, digest, _index_from(held), tuple(held["shots"]))
    if context.dry_run:
        index, shots = _scan(context, path)
        return Clip(path, digest, index, shots)
    with open_media(path) as container:  # a file that is no video leaves no trace in the cache
        picture_stream(container, path)
    with entry.locked(wait_s=INDEX_WAIT_S):
        if (held := entry.read()) is not None:  # another run was reading the same clip
            return Clip(path, digest, _index_from(held), tuple(held["shots"]))
        index, shots = _scan(context, path)
        entry.finish(_index_table(index) | {"shots": list(shots)})
    context.cache.save_digests()
    return Clip(path, digest, index, shots)


def _scan(context: Context, path: Path) -> tuple[ClipIndex, tuple[int, ...]]:
    """Decode a clip from end to end, small, for its timestamps and its shots."""
    from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector

    with ClipReader(path, threads=context.decode_threads) as reader:
        reader.scale(Size(short=ANALYSIS_SHORT_SIDE))
        builder, detector, shots = IndexBuilder(reader), CutDetector(), []
        total = reader.info.num_frames_from_header or None
        with closing(reader.frames()) as frames:
            for frame in frames:
                builder.add(frame)
                if detector(frame.rgb):
                    shots.append(frame.index)
                context.stop.check()
                context.report(Progress(f"reading {path.name}", frame.index + 1, total))
        index = builder.build()
    if index.num_rebuilt_pts:
        context.note(f"{path.name}: {index.num_rebuilt_pts} timestamps were missing or went back; rebuilt", "warning")
    if 0 < index.num_frames < index.num_frames_from_header:
        context.note(
            f"{path.name}: the header says {index.num_frames_from_header} frames, {index.num_frames} were decoded",
            "warning",
        )
    return index, tuple(shots)


def _index_table(index: ClipIndex) -> Table:
    plain = dict(index.__dict__)
    for name in ("time_base", "sample_aspect_ratio", "rate"):
        plain[name] = str(plain[name])
    return plain | {"pts": list(index.pts)}


def _index_from(table: dict[str, Any]) -> ClipIndex:
    fields = {k: v for k, v in table.items() if k != "shots"}
    for name in ("time_base", "sample_aspect_ratio", "rate"):
        fields[name] = Fraction(fields[name])
    return ClipIndex(**fields | {"pts": tuple(fields["pts"])})
