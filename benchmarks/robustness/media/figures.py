"""The figures of the video layer, each with its goal beside it, on media that the benchmark makes itself.

    python -m benchmarks.robustness.media.figures [CLIP|FOLDER...] [--part av|colour|speed|memory|bytes]... [-o FOLDER]
                                       [--minutes 10] [--frames 10000] [--rounds 5]

av      pictures and sound of a ten-minute clip after an unchanged render: offset, drift, bytes of the sound
colour  the way RGB → render → RGB for BT.601/709 × full/limited, decoded by the ffmpeg program, not by vidtrans
speed   frames/s of ClipReader to 256 × 256 against PyAV's bare decode, in interleaved rounds, on the H.264 clips
        of 720 lines that are given (or lie in a given folder), or on one that is made here
memory  growth over 10,000 frames, decoded and rendered, and what is left open
bytes   each codec twice, each time with an empty cache: the same file?

Prints a table; exits 1 if a goal is missed. What could not be measured is printed as that, and is no goal reached.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.robustness.media.look import (
    LoadedModel,
    NoLook,
    alignment,
    ffprobe,
    in_own_process,
    look_at,
    picture_streams,
)
from benchmarks.robustness.media.pixels import decode_rgb
from benchmarks.robustness.media.running import guard, machine, run_vidtrans

GOAL_MS = 1.0
GOAL_LEVELS = 2.0
GOAL_MB = 1.0  # per 10,000 frames
GOAL_SPEED = 0.75  # scaling takes its share: 0.76–0.79 was measured with one shared swscale context
CODECS = ("h264", "h265", "av1", "prores", "prores4444", "dnxhr", "ffv1", "png", "exr", "gif")
SPACES = {"BT.601": (5, 6, "smpte170m"), "BT.709": (1, 1, "bt709")}  # swscale's number, the tag, its name
FIRST = 1000  # frames before growth counts
HALF_A_MS = Fraction(1, 2000)  # Matroska keeps times in milliseconds


@dataclass(frozen=True)
class Figure:
    """``met`` is None where nothing is asked of the figure; a figure that could not be measured is not met."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None


def failed(what: str, why: object) -> Figure:
    return Figure(what, f"not measured: {' '.join(str(why).split())[:200]}", met=False)


# --- av


def figures_av(work: Path, options: argparse.Namespace) -> Iterator[Figure]:
    from benchmarks.robustness.media.make import write_clip

    rate, count = 10, round(options.minutes * 60 * 10)
    plain = functools.partial(write_clip, num_frames=count, rate=rate, sound_from_s=0.5)
    sources = {"mp4": plain(work / "av.mp4"), "mkv": plain(work / "av.mkv", muxing={}, kind="matroska")}
    looks = {kind: look_at(path) for kind, path in sources.items()}
    for before in sources:
        for after in ("mp4", "mkv"):
            yield from _av(f"{before} to {after}", sources[before], looks[before], work / f"{before}.{after}")
    begin, end = round(min(60, options.minutes * 20)), round(min(120, options.minutes * 40))
    part = (begin * rate, end * rate)
    yield from _av(f"mp4 to mp4, {begin} to {end} s", sources["mp4"], looks["mp4"], work / "part.mp4", part, rate)


def _av(
    what: str, source: Path, before: LoadedModel, output: Path, part: tuple[int, int] | None = None, rate: int = 1
) -> Iterator[Figure]:
    """Render a clip, or a ``part`` of it (frames, at ``rate`` a second), which then begins at 0."""
    more = ("--start", f"{part[0] // rate}s", "--end", f"{part[1] // rate}s") if part else ()
    ran = run_vidtrans(["stylize", str(source), "--model", "identity", *more, "-o", str(output)], source.parent)
    first, stop = part or (0, len(before.times_s))
    try:
        after = look_at(output)
        found = alignment(before, after, first=first)
    except NoLook as error:
        yield failed(what, f"exit {ran.status}: {ran.error or error}")
        return
    if found is None:
        yield failed(what, "the result has no sound")
        return
    slack = HALF_A_MS if output.suffix == ".mkv" else Fraction(0)
    shown = [t for t in before.times_s[first:stop] if t is not None]
    begins = shown[0] if part else Fraction(0)
    pairs = zip(after.times_s, shown, strict=False)
    off = max((abs(a - (b - begins)) for a, b in pairs if a is not None), default=Fraction(0))
    times = f"{len(after.times_s)} of {stop - first} frames, times off by {float(off) * 1000:.3f} ms"
    exact = off <= slack and len(after.times_s) == stop - first == len(shown)
    yield Figure(f"{what}: frames", times, "to 0.5 ms" if slack else "all exact", exact)
    if not found.same_bytes:
        yield Figure(f"{what}: sound", f"{found.num_packets} packets, bytes differ", "bit-equal", False)
        return
    wanted = _num_packets(before, shown[0], shown[-1] + Fraction(1, rate)) if part else len(before.tracks[0])
    told = f"{found.num_packets} of {wanted} packets, bit-equal"
    yield Figure(f"{what}: sound", told, "all, bit-equal", found.num_packets == wanted)
    for name, ms in (("offset change", found.offset_ms), ("drift", found.drift_ms)):
        yield Figure(f"{what}: {name}", f"{ms:+.3f} ms", f"≤ {GOAL_MS:g} ms", abs(ms) <= GOAL_MS)


def _num_packets(look: LoadedModel, start_s: Fraction, end_s: Fraction) -> int:
    """The sound packets of the first track that are heard between two moments."""
    times = [p.time_s for p in look.tracks[0] if p.time_s is not None]
    return sum(a < end_s and b > start_s for a, b in itertools.pairwise([*times, times[-1] + 1]))


# --- colour


def figures_colour(work: Path, options: argparse.Namespace) -> Iterator[Figure]:
    del options
    for size in ((320, 240), (1280, 720)):
        for space in SPACES:
            for full in (False, True):
                yield _colour(work, size, space, full, tagged=True)
        yield _colour(work, size, "BT.709" if size[1] >= 720 else "BT.601", False, tagged=False)


def _colour(work: Path, size: tuple[int, int], space: str, full: bool, *, tagged: bool) -> Figure:
    import numpy as np

    what = f"{size[0]}x{size[1]} {space} {'full' if full else 'limited'}{'' if tagged else ', untagged'}"
    name = what.replace(" ", "-").replace(",", "")
    source = _write_coloured(work / f"{name}.mp4", size, SPACES[space], full, tagged=tagged)
    output = work / f"{name}.out.mp4"
    crf = ("--set", "encoding.crf=1")
    ran = run_vidtrans(["stylize", str(source), "--model", "identity", *crf, "-o", str(output)], work)
    try:
        before, after = look_at(source), look_at(output)
        pictures = [decode_rgb(path, look, (0, 2, 4)) for path, look in ((source, before), (output, after))]
    except (NoLook, KeyError) as error:
        return failed(what, ran.error or error)
    asked = (SPACES[space][2], "pc" if full else "tv")
    if tagged and before.colour[:2] != asked:
        return failed(what, f"the source is tagged {before.colour[:2]}")
    off = np.abs(pictures[0] - pictures[1])
    tags = "/".join(after.colour[:2])
    value = f"mean {off.mean():.3f}, max {off.max():.1f} of 255 (result tagged {tags})"
    if "unknown" in after.colour[:2]:
        value += " NOT TAGGED"
    return Figure(what, value, f"mean ≤ {GOAL_LEVELS:g}", bool(off.mean() <= GOAL_LEVELS))


def _write_coloured(
    path: Path, size: tuple[int, int], space: tuple[int, int, str], full: bool, *, tagged: bool
) -> Path:
    """Five smooth, colourful frames of a matrix and a range, nearly lossless."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    from benchmarks.robustness.media.make import smooth

    with closing(av.open(f"file:{path}", "w")) as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if tagged:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = space[1]
            context.color_range = 2 if full else 1
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(smooth(*size, number=4 * number), format="rgb24")
            to = ColorRange.JPEG if full else ColorRange.MPEG
            frame = frame.reformat(
                format="yuv420p",
                src_color_range=ColorRange.JPEG,
                dst_colorspace=Colorspace(space[0]),
                dst_color_range=to,
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# --- speed


def figures_speed(work: Path, options: argparse.Namespace) -> Iterator[Figure]:
    from benchmarks.robustness.media.make import smooth, write_clip

    clips = list(_hd_clips(options.clips))
    if not clips:
        made = functools.partial(write_clip, size=(1280, 720), rate=30, options={"crf": "20"}, paint=smooth)
        clips = [made(work / "made-720p.mp4", 150, pictures=30)]
    for clip in clips:
        try:
            yield from _speed(clip, options.rounds)
        except Exception as error:  # the figure is what counts: anything that stops it is named
            yield failed(clip.name, f"{type(error).__name__}: {error}")


def _hd_clips(given: Sequence[Path]) -> Iterator[Path]:
    """The files as they are; of folders, the H.264 ones of 720 lines."""
    for place in given:
        for path in sorted(place.iterdir()) if place.is_dir() else [place]:
            streams = picture_streams(ffprobe(path, "-show_streams").get("streams", [])) if path.is_file() else []
            hd = any(s.get("codec_name") == "h264" and s.get("height") == 720 for s in streams)
            if hd or not place.is_dir():
                yield path


def _speed(clip: Path, rounds: int) -> Iterator[Figure]:
    ways: dict[str, Callable[[Path], int]] = {"bare": _decode_bare, "reader": _decode_to_256}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    counts = {name: way(clip) for name, way in ways.items()}  # a round to warm up
    for number in range(rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            began = time.perf_counter()
            count = ways[name](clip)
            rates[name].append(count / (time.perf_counter() - began))
    ratio = [reader / bare for bare, reader in zip(rates["bare"], rates["reader"], strict=True)]
    for name, told in (("bare", "PyAV, bare decode"), ("reader", "ClipReader to 256x256")):
        middle, spread = statistics.median(rates[name]), f"{min(rates[name]):.0f}–{max(rates[name]):.0f}"
        yield Figure(f"{clip.name}: {told}", f"{middle:.0f} frames/s ({spread}), {counts[name]} frames")
    middle = statistics.median(ratio)
    value = f"{middle:.2f} ({min(ratio):.2f}–{max(ratio):.2f}), {rounds} rounds"
    same = counts["bare"] == counts["reader"]
    yield Figure(
        f"{clip.name}: ratio", value + ("" if same else " OF OTHER FRAMES"), f"≥ {GOAL_SPEED}", middle >= GOAL_SPEED
    )


def _decode_bare(clip: Path) -> int:
    import av

    with closing(av.open(f"file:{clip}")) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def _decode_to_256(clip: Path) -> int:
    from vidtrans.core.settings import Size
    from vidtrans.video.frame_format import FrameFormat
    from vidtrans.video.io.reader import ClipReader

    with ClipReader(clip, FrameFormat(size=Size(exact=(256, 256)))) as reader:
        return sum(1 for _ in reader.frames())


# --- memory


def figures_memory(work: Path, options: argparse.Namespace) -> Iterator[Figure]:
    from benchmarks.robustness.media.make import write_clip

    clip = write_clip(work / "long.mp4", options.frames, rate=25, sound_from_s=0.0)
    for way in ("decode", "render"):
        try:
            told = in_own_process(Path(__file__).with_name("growth.py"), way, str(clip))
        except NoLook as error:
            yield failed(way, error)
            continue
        yield _growth(way, told["samples"])
        left = f"{told['open'][1] - told['open'][0]} descriptors, {told['children']} processes"
        yield Figure(f"{way}: left open", left, "0", told["open"][1] <= told["open"][0] and not told["children"])


def _growth(way: str, samples: Sequence[tuple[int, float]]) -> Figure:
    """Least squares over the samples after the first thousand frames."""
    later = [(frame, mb) for frame, mb in samples if frame > FIRST]
    what = f"{way}: growth of resident memory"
    if len(later) < 4:
        return failed(what, f"{len(later)} samples; give more --frames")
    slope = statistics.linear_regression(*zip(*later, strict=True)).slope * 10_000
    shown = f"{later[0][1]:.1f} MB at frame {later[0][0]}, {later[-1][1]:.1f} at {later[-1][0]}"
    value = f"{slope:+.2f} MB per 10,000 frames ({shown}, most {max(mb for _, mb in samples):.1f})"
    return Figure(what, value, f"≤ {GOAL_MB:g} MB", slope <= GOAL_MB)


# --- bytes


def figures_bytes(work: Path, options: argparse.Namespace) -> Iterator[Figure]:
    from benchmarks.robustness.media.make import write_clip

    del options
    clip = write_clip(work / "clip.mp4", 60, size=(256, 144), rate=30, sound_from_s=0.0)
    for codec in CODECS:
        digests, told = [], ""
        for attempt in "ab":
            place = work / f"{codec}-{attempt}" / "here"  # the cache lies beside it
            place.mkdir(parents=True)
            ran = run_vidtrans(["stylize", "--json", str(clip), "--model", "identity", "--codec", codec], place)
            if ran.status != 0:
                told = f"exit {ran.status}: {ran.error}"
                break
            digests.append(_digest(place / str(ran.table["output"])))
        if told:
            yield failed(codec, told)
            continue
        equal = digests[0] == digests[1]
        yield Figure(codec, f"{'equal' if equal else 'DIFFERENT'} ({digests[0][:12]})", "equal", equal)


def _digest(path: Path) -> str:
    """SHA-256 over a file, or over every file of a folder with its name."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


PARTS: dict[str, Callable[[Path, argparse.Namespace], Iterator[Figure]]] = {
    "av": figures_av,
    "colour": figures_colour,
    "speed": figures_speed,
    "memory": figures_memory,
    "bytes": figures_bytes,
}


def measure(part: str, options: argparse.Namespace) -> Iterator[Figure]:
    """The figures of a part; where it cannot go on, that is its last one."""
    with tempfile.TemporaryDirectory(prefix=f"figures-{part}-") as place:
        work = Path(place) / "work"
        work.mkdir()
        try:
            yield from PARTS[part](work, options)
        except (NoLook, OSError, ImportError, ValueError) as error:
            yield failed(part, f"{type(error).__name__}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="clips, or folders of them, for speed")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="may be repeated  [default: all]")
    parser.add_argument("-o", "--output", type=Path, help="a folder for media_figures.md")
    parser.add_argument("--minutes", type=float, default=10, help="length of the clip for av")
    parser.add_argument("--frames", type=int, default=10_000, help="length of the clip for memory")
    parser.add_argument("--rounds", type=int, default=5, help="for speed")
    options = parser.parse_args()
    lines = [f"{machine()}; {guard()} around each vidtrans", "", "| part | figure | value | goal | met |"]
    lines.append("| --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    missed = 0
    for part in options.part or PARTS:
        for figure in measure(part, options):
            met = {None: "", True: "yes", False: "NO"}[figure.met]
            missed += figure.met is False
            value = figure.value.replace("|", "\\|")
            lines.append(f"| {part} | {figure.what} | {value} | {figure.goal} | {met} |")
            print(lines[-1], flush=True)
    lines.append(f"\n{missed} goals missed or not measured")
    print(lines[-1])
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "media_figures.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
