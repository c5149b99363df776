"""Read a video: every frame that a player would show, once, upright, in RGB, with its timestamp.

``Decoder`` decodes a file, on a GPU's video engine if asked, and deinterlaces; ``FrameConverter`` makes RGB of its
frames; ``ClipReader`` makes a clip of them.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby, islice
from math import floor
from pathlib import Path
from threading import Lock
from typing import Any

import av
import av.error
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.conversion import ToRGB, apply_format, frame_colours, resize_alpha
from vidtrans.video.colour.icc import Conversion, TableProfile, read_profile
from vidtrans.video.colour.tags import UNSPECIFIED, primaries_name, space_name, transfer_name
from vidtrans.video.frame_format import BLACK, DEFAULT_FORMAT, MAX_PIXELS, FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.images.picture_header import num_plays
from vidtrans.video.io.clip import ClipIndex, Findings, Frame
from vidtrans.video.io.container import (
    QUICKTIME,
    RAW,
    MediaInfo,
    colour_tags,
    describe,
    first_bytes,
    open_media,
    open_unedited,
    packets_of,
    picture_stream,
)
from vidtrans.video.io.encoding import HARDWARE_DECODERS, hardware_reason
from vidtrans.video.io.timestamps import (
    MAX_DEMUX_ERRORS,
    OneClock,
    average_rate,
    nominal_step,
    num_holes,
    repair_timestamps,
    without_uneven,
    zero_s,
)
from vidtrans.video.side_data import (
    NO_CROP,
    Crop,
    has_dolby_vision_only,
    has_side_data,
    kinds_of,
    projection_of,
    side_data,
    stereo_of,
)

# PyAV frees the name of a PNG's profile twice, and crashes: the side data of such frames must not be touched.
PNG_CODECS = ("png", "apng")
_LARGEST = 1 << 24
# A header may round, and a track end a little early.
SHORT_S, SHORT_SHARE = 0.5, 0.02
# A frame is made with those beside it, so reading from the middle of a clip has to begin this many earlier.
REACH = 1
# Formats whose standards fix every sample of a decoded picture: every decoder gives the same ones. MPEG-2 and MPEG-4
# leave the rounding of their transform open. FFmpeg decodes AV1 with dav1d, which runs on no GPU.
EXACT_CODECS = ("h264", "hevc", "vp9")
# The layouts in which 4:2:0 pictures of 8 and 10 bits come from a GPU; ToRGB makes of them, to the bit, what it makes
# of the CPU's planes.
LAYOUTS = ("nv12", "p010le")
PIX_FMTS = ("yuv420p", "yuvj420p", "yuv420p10le")  # the CPU's for these
# Errors of PyAV where FFmpeg, the driver or the format lacks a feature.
_MISSING = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
_Opened = tuple[InputContainer, VideoStream]


@dataclass(frozen=True)
class FrameProfile:
    """The ``conversion`` by a frame's ICC profile, None without one; ``unread``: names a profile that is not used."""

    conversion: Conversion | None = None
    unread: str = ""

    @property
    def colour(self) -> str:
        """The name of the colours that are converted; '' without any."""
        return f"colours of {self.conversion.name}" if self.conversion else ""


def profile_of(frame: av.VideoFrame, profile: bytes | None = None) -> FrameProfile:
    """Return the profile of a frame; ``profile``: its bytes, if known (b'' for none).

    Colour tags outrank profiles: players know them, and movies with both should mean the same by them.
    """
    if not (data := _profile(frame) if profile is None else profile):
        return FrameProfile()
    try:
        found = read_profile(data)
    except ValueError as error:
        return FrameProfile(unread=f"ICC profile ({error})")
    if found is None:
        return FrameProfile()
    if isinstance(found, TableProfile) and found.mode != "RGB":
        return FrameProfile(unread=f"ICC profile {found.name}")
    if (int(frame.color_primaries), int(frame.color_trc)) == (UNSPECIFIED, UNSPECIFIED):
        return FrameProfile(found)
    return FrameProfile(unread=f"ICC profile {found.name} beside colour tags")


def png_profile(data: bytes) -> bytes:
    """Return the ICC profile in a PNG file; b'' without one."""
    at = data.find(b"iCCP", 0, data.find(b"IDAT"))
    if at < 4:
        return b""
    _, _, packed = data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at])].partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _LARGEST)
    except zlib.error:
        return b""


def _profile(frame: av.VideoFrame) -> bytes:
    try:
        return side_data(frame, Type.ICC_PROFILE)
    except ValueError:
        return b""


@dataclass(frozen=True)
class Orientation:
    """The turn from stored to upright pixels: ``quarter_turns`` clockwise, then a left-right mirror."""

    quarter_turns: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether the upright width is the stored height."""
        return self.quarter_turns % 2 == 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Convert a stored (width, height) to the upright one, or the reverse."""
        return (height, width) if self.swaps_sides else (width, height)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn a stored picture (H, W, …) upright; the result is contiguous."""
        if self.quarter_turns:
            picture = np.rot90(picture, -self.quarter_turns)
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


UPRIGHT = Orientation()


def orientation_from_matrix(matrix: np.ndarray) -> Orientation:
    """Read a 3×3 display matrix (16.16 fixed point, ISO 14496-12): ``x' = a·x + c·y``, ``y' = b·x + d·y``.

    Other rotations are rounded to the nearest quarter turn.
    """
    a, b = float(matrix[0][0]), float(matrix[0][1])
    c, d = float(matrix[1][0]), float(matrix[1][1])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the final left-right mirror (x' → −x') to leave the pure turn
        a, c = -a, -c
    turns = round(np.degrees(np.arctan2(b, a)) / 90) % 4
    return Orientation(int(turns), mirrored)


def rotation_of(frame: av.VideoFrame) -> Orientation:
    """Return the rotation of a decoded frame without its mirroring, which only its side data have."""
    return Orientation(-frame.rotation // 90 % 4)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation stored in a decoded frame; upright without one."""
    try:
        matrix = side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:
        return rotation_of(frame)
    return orientation_from_matrix(np.frombuffer(matrix, "<i4").reshape(3, 3)) if matrix else UPRIGHT


class ClipReader:
    """A reader of one video file. Use as a context manager; ``frames`` may be called more than once.

    ``threads`` of the decoder (0: one per processor core); the number does not change the pictures. ``tolerant``: count
    damage instead of raising. ``hardware``: decodes instead of the CPU until it fails.
    """

    def __init__(
        self,
        path: Path,
        frame_format: FrameFormat = DEFAULT_FORMAT,
        *,
        threads: int = 0,
        tolerant: bool = False,
        hardware: HardwareDecoder | None = None,
    ) -> None:
        self.path = Path(path)
        self.frame_format, self.threads, self.tolerant = frame_format, threads, tolerant
        self._hardware, self._convert = hardware, FrameConverter(frame_format)
        self._stamps: list[int | None] = []
        self._last_duration, self._ended = 0, False

    @property
    def info(self) -> MediaInfo:
        """The properties of the video, from its headers."""
        return self._decoder.info

    @property
    def num_frames_expected(self) -> int | None:
        """The number of frames according to the headers; None where they have none."""
        return self.info.num_frames_from_header or None

    def __enter__(self) -> ClipReader:
        self._open(self.tolerant)
        return self

    def __exit__(self, *exc: object) -> None:
        self._decoder.__exit__()

    def _open(self, tolerant: bool) -> None:
        with ExitStack() as stack:
            decoder = Decoder(self.path, self.threads, tolerant=tolerant, hardware=self._hardware)
            self._decoder, self._used = stack.enter_context(decoder), False
            self._convert.crop = decoder.info.crop
            if decoder.info.codec in PNG_CODECS:
                self._convert.profile_data = png_profile(first_bytes(self.path))
            stack.pop_all()

    def _restart(self, tolerant: bool) -> Decoder:
        """Return a decoder at the first frame.

        The file is opened again rather than rewound: a seek to the start lands on a keyframe, and where an edit
        list begins before one, frames would be lost.
        """
        if self._used or tolerant != self._decoder.tolerant:
            self._decoder.__exit__()
            self._open(tolerant)
        self._used = True
        return self._decoder

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order of presentation.

        With an ``index`` the reader seeks, gives each frame its time from the index, and skips damage that the index
        records. Without one, or where the container cannot seek exactly, it decodes from the first frame; without an
        index, frames without a time get −1. Raises MediaError.
        """
        if stop is not None and start >= stop:
            return
        if index is None:
            self._stamps = []
            with closing(self._decoded(start, stop, None)) as decoded:
                for number, frame in decoded:
                    yield self._convert(frame, number, -1 if frame.pts is None else frame.pts)
            return
        last = index.num_frames if stop is None else min(stop, index.num_frames)
        if start >= last:
            return
        self._convert.expect(index)
        following = start
        reliable = index.num_rebuilt_pts == 0
        source = self._from_keyframe(start, last, index) if start and reliable and not index.findings.damage else None
        for number, frame in source if source is not None else self._decoded(start, last, index):
            if reliable and frame.pts != index.pts[number]:
                if self._decoder.is_accelerated:
                    break
                raise MediaError(str(self.path), "the file changed while it was read", "run the command again")
            yield self._convert(frame, number, index.pts[number])
            following = number + 1
        if following < last and self._decoder.is_accelerated:
            self._decoder.leave_hardware(f"its frame {following} is not the CPU's")
            yield from self.frames(following, stop, index)
        elif following < last:
            raise MediaError(str(self.path), f"ended at frame {following} of {last}", "copy or download the file again")

    def near(self, seconds: Fraction, count: int) -> list[Frame]:
        """Return the first frame at or after ``seconds`` and the frames before it, in all at most ``count``.

        No index is needed, so frame numbers are unknown: they count from 0. Where the clip ends earlier, its last
        frames are returned. Raises MediaError.
        """
        decoder = self._decoder
        wanted = (decoder.stream.start_time or 0) + int(seconds / decoder.info.time_base)
        latest: deque[av.VideoFrame] = deque(maxlen=count)
        if not decoder.seek(wanted):
            decoder = self._restart(self.tolerant)
        self._used = True
        for frame in decoder.pictures():
            latest.append(frame)
            if frame.pts is not None and frame.pts >= wanted:
                break
        if decoder.losses.flawed and not self.tolerant:
            why = f"damaged near {float(seconds):.3f} s"
            raise MediaError(str(self.path), why, "repair it, or take what is left with --allow-damaged")
        return [self._convert(frame, i, frame.pts or 0) for i, frame in enumerate(latest)]

    def _decoded(
        self, start: int, stop: int | None, index: ClipIndex | None
    ) -> Generator[tuple[int, av.VideoFrame], None, None]:
        """Yield (number, frame) from ``start`` on, decoding and counting from the first frame."""
        decoder = self._restart(self.tolerant or bool(index and index.findings.damage))
        interlaced, self._ended = index.findings.interlaced > 0 if index else None, False
        joined = index is None or index.findings.restarts > 0
        for number, frame in enumerate(decoder.pictures(interlaced=interlaced, joined=joined)):
            if stop is not None and number >= stop:
                return
            self._stamps.append(frame.pts)
            self._last_duration = frame.duration
            if number >= start:
                yield number, frame
        self._ended = True

    def _from_keyframe(self, start: int, stop: int, index: ClipIndex) -> Iterator[tuple[int, av.VideoFrame]] | None:
        """Yield (number, frame), decoding from the keyframe before ``start``; None if the seek landed after it."""
        interlaced = index.findings.interlaced > 0
        first = max(0, start - REACH) if interlaced else start
        self._used = True
        if not self._decoder.seek(index.pts[first]):
            return None
        decoded = self._decoder.pictures(interlaced=interlaced)
        for frame in decoded:
            if frame.pts is None or frame.pts > index.pts[first]:
                return None
            if frame.pts == index.pts[first]:
                return islice(enumerate(chain([frame], decoded), first), start - first, stop - first)
        return None

    def is_doubtful(self) -> bool:
        """Return whether packets gave neither a frame nor an error, or a clip read in part may be transparent later."""
        hidden = not self._ended and self._convert.holds_alpha and not self._convert.transparent
        return hidden or self._decoder.num_silent(self._stamps, ended=self._ended) > 0

    def index(self) -> ClipIndex:
        """Return the index of what was read, from the first frame on. Raises MediaError where there are no frames."""
        info, losses, seen = self.info, self._decoder.losses, self._convert
        if not self._stamps:
            raise MediaError(info.path, "no frame could be decoded", "give a video with pictures in it")
        nominal, stamps = nominal_step(self._stamps, info), self._stamps
        last_duration = max(1, self._last_duration or nominal)
        if info.format in RAW:
            stamps, last_duration = without_uneven(stamps), nominal
        pts, num_rebuilt = repair_timestamps(stamps, nominal)
        num_rebuilt = min(num_rebuilt + losses.shifted, len(pts))
        missing = self._decoder.num_missing() if self._ended else 0
        lost = self._decoder.num_lost(stamps, ended=self._ended)
        intact = self._ended and not (num_rebuilt or missing or lost or losses.flawed)
        held = self._decoder.track_end() - pts[-1] if intact else 0
        if held > 0 and max(held, last_duration) >= 2 * nominal:  # otherwise they differ by roundings
            last_duration = held
        holes = num_holes(pts)
        if not missing and (lost or losses.flawed):  # frames that the container does not list show as gaps in the times
            missing, holes = max(0, holes - lost), 0
        damaged_at = losses.at_s
        if missing:
            end_s = float((pts[-1] + last_duration) * info.time_base)
            damaged_at = end_s if damaged_at is None else min(damaged_at, end_s)
        width, height = seen.first_size
        aspect = info.sample_aspect_ratio
        return ClipIndex(
            pts=pts,
            time_base=info.time_base,
            last_duration=last_duration,
            width=width,
            height=height,
            sample_aspect_ratio=1 / aspect if seen.first_orientation.swaps_sides else aspect,
            rate=average_rate(pts, info),
            num_rebuilt_pts=num_rebuilt,
            num_frames_from_header=info.num_frames_from_header if self._ended else 0,
            zero=self._decoder.zero(pts[0]),
            findings=Findings(
                depth=seen.depth,
                matrix=seen.matrix,
                primaries=seen.primaries,
                transfer=seen.transfer,
                alpha=seen.transparent,
                colour=seen.colour,
                unread=seen.unread,
                turned=seen.first_orientation != UPRIGHT,
                dolby_vision=info.dolby_vision or ("5" if seen.dolby_vision_only else ""),
                stereo=seen.stereo,
                projection=seen.projection,
                side_data=tuple(sorted(seen.kinds)),
                interlaced=losses.interlaced,
                resized=seen.num_resized,
                lost=lost,
                flawed=losses.flawed,
                missing=missing,
                hidden=losses.hidden,
                short_s=self._decoder.short_s(pts[-1]) if self._ended else 0.0,
                gaps=losses.gaps,
                restarts=losses.restarts,
                holes=holes if not missing else 0,
                no_rate=info.average_rate is None,
                damaged_at=damaged_at,
                plays=num_plays(self.path),
                reading=seen.reading + (2 if info.crop != NO_CROP else 0),
            ),
        )


class FrameConverter:
    """Converts decoded frames to upright arrays of one format, and records unusual properties.

    The first frame sets the size; frames of another size are scaled to it. ``profile_data``: the ICC profile of frames
    whose side data must not be read, b'' for none; None: it is read from the side data. ``crop``: pixels to cut off at
    the left, top, right and bottom of stored frames.
    """

    def __init__(self, frame_format: FrameFormat) -> None:
        self.frame_format = frame_format
        self.depth, self.colour, self.unread, self.transparent, self.num_resized = 0, "", "", False, 0
        self.reading, self.holds_alpha = 0, False
        self.matrix = self.primaries = self.transfer = "untagged"
        self.first_size, self.first_orientation = (0, 0), UPRIGHT
        self._upright: tuple[int, int] | None = None
        self._to_rgb: ToRGB | None = None
        self._profile: FrameProfile | None = None
        self.profile_data: bytes | None = None
        self.crop: Crop = NO_CROP
        self.kinds: set[str] = set()  # of side data
        self.stereo, self.projection, self.dolby_vision_only = "", "", False

    def expect(self, index: ClipIndex) -> None:
        """Use the size and transparency of the clip from its index, since reading may begin at any frame."""
        self.first_size, self.transparent = (index.width, index.height), index.findings.alpha
        self._upright = self.frame_format.size.of(*self.first_size)

    def _note_side_data(self, decoded: av.VideoFrame) -> None:
        """Record the side data of a frame."""
        if (kinds := kinds_of(decoded)) <= self.kinds:
            return
        self.kinds |= kinds
        with suppress(ValueError):  # hidden by a kind that PyAV has no name for
            self.stereo = self.stereo or stereo_of(decoded)
            self.projection = self.projection or projection_of(decoded)
            self.dolby_vision_only = self.dolby_vision_only or has_dolby_vision_only(decoded)

    def __call__(self, decoded: av.VideoFrame, index: int, pts: int) -> Frame:
        """Return a decoded frame cropped, upright and in the format, and record its unusual properties."""
        if self._profile is None:
            self._profile = profile_of(decoded, self.profile_data)
            self.colour, self.unread = self._profile.colour, self._profile.unread
        orientation = UPRIGHT
        if self.profile_data is not None:
            orientation = rotation_of(decoded)
        elif has_side_data(decoded):
            self._note_side_data(decoded)
            orientation = orientation_of(decoded)
        turned = orientation != UPRIGHT
        width, height = decoded.width, decoded.height
        left, top, right, bottom = self.crop
        if left + right >= width or top + bottom >= height:  # a frame that is too small for it
            left, top, right, bottom = NO_CROP
        inner = width - left - right, height - top - bottom
        size = orientation.size(*inner) if turned else inner
        if self._upright is None:
            self.first_orientation, self.first_size = orientation, size
            self._upright = self.frame_format.size.of(*size)
            self.matrix = space_name(int(decoded.colorspace))
            self.primaries = primaries_name(int(decoded.color_primaries))
            self.transfer = transfer_name(int(decoded.color_trc))
        self.num_resized += size != self.first_size
        colours = frame_colours(decoded)
        self.depth = max(self.depth, colours.depth)
        self.colour, self.unread = self.colour or colours.colour, self.unread or colours.unread
        self.reading = self.reading or colours.reading
        stored = orientation.size(*self._upright) if turned else self._upright
        cropped = inner != (width, height)
        whole = (width, height) if cropped else stored
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != whole:
            self._to_rgb = ToRGB(*whole, deep=self.frame_format.deep, profile=self._profile.conversion)
        inside = np.s_[top : top + inner[1], left : left + inner[0]] if cropped else np.s_[:]
        alpha: np.ndarray | None = None
        if not colours.has_alpha:
            rgb = self._to_rgb(decoded)[inside]
            rgb = resize(rgb, *stored) if cropped else rgb
            rgb = orientation.apply(rgb) if turned else np.ascontiguousarray(rgb)
        else:
            rgba = self._to_rgb.with_alpha(decoded)[inside]
            self.holds_alpha, rgba = True, orientation.apply(resize_alpha(rgba, *stored))
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
            self.transparent = self.transparent or bool(alpha.min() < np.iinfo(alpha.dtype).max)
        if self.transparent or alpha is not None:
            rgb, alpha = apply_format(rgb, alpha, self.frame_format, BLACK, cut_out=self.transparent)
        return Frame(index, pts, rgb, alpha=alpha)


@dataclass
class DecodeLosses:
    """Counts of damage that a tolerant decoder skipped, and of all packets and interlaced frames of that pass."""

    lost: int = 0  # packets
    flawed: int = 0  # frames
    interlaced: int = 0  # frames; no loss
    packets: int = 0
    hidden: int = 0  # packets that an edit list leaves out
    headless: int = 0  # packets before the first keyframe
    gaps: int = 0  # gaps in the container
    restarts: int = 0  # of the clock; no loss
    shifted: int = 0  # packets whose times were put on the first clock; no loss
    at_s: float | None = None  # of the first damage
    times: array[int] = field(default_factory=lambda: array("q"))  # of packets that no edit list leaves out

    def set_start(self, damaged: Packet[Any] | av.VideoFrame) -> None:
        """Set the time of the first damage, unless it is already set."""
        if self.at_s is None and damaged.pts is not None and damaged.time_base is not None:
            self.at_s = float(damaged.pts * damaged.time_base)


class Decoder:
    """A decoder of the video stream of a file. Use as a context manager.

    ``threads`` of the decoder (0: one per processor core). ``tolerant``: count what cannot be decoded in ``losses``
    instead of raising MediaError, in one thread, because the number of threads changes how damage decodes.
    ``hardware``: decodes instead of the CPU until it fails. The CPU then repeats the work, so that frames and damage
    reports do not depend on the device.
    """

    def __init__(
        self, path: Path, threads: int = 0, *, tolerant: bool = False, hardware: HardwareDecoder | None = None
    ) -> None:
        self.path, self.threads, self.tolerant = path, threads, tolerant
        self._hardware = None if tolerant else hardware  # counting damage needs the CPU's errors

    def __enter__(self) -> Decoder:
        with ExitStack() as stack:
            self.container = stack.enter_context(open_media(self.path))
            self.stream = picture_stream(self.container, self.path)
            self.info = describe(self.container, self.stream, self.path)
            with_alpha = _alpha_decoder(self.stream)
            self._context = with_alpha or self.stream.codec_context
            self._tags = colour_tags(self.stream)
            self._context.thread_type = "AUTO"
            self._context.thread_count = 1 if self.tolerant else self.threads
            self.losses = DecodeLosses()
            self._software = (self.container, self.stream, self._context)
            self._sought: int | None = None
            self.is_accelerated = False
            # The file is opened a second time, for the device; the first one is for the CPU if the device fails.
            hardware = None if with_alpha else self._hardware
            if hardware and (opened := hardware.open(self.path, self.info.codec, self.info.pix_fmt, stack)):
                self.container, self.stream = opened
                self._context = self.stream.codec_context
                self.is_accelerated = True
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def leave_hardware(self, why: str) -> None:
        """Switch to decoding on the CPU, from the position at which this reading began."""
        assert self._hardware is not None
        self._hardware.give_up(why)
        self.container, self.stream, self._context = self._software
        self.is_accelerated, self.losses = False, DecodeLosses()
        if self._sought is not None:
            self.seek(self._sought)

    def seek(self, pts: int) -> bool:
        """Seek to the keyframe before ``pts``. Return whether the container could seek."""
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
            self._context.flush_buffers()
            self._sought = pts
            return True
        except (av.error.FFmpegError, OSError):
            return False

    def pictures(self, *, interlaced: bool | None = None, joined: bool = True) -> Iterator[av.VideoFrame]:
        """Return the frames from the current position, deinterlaced. Raises MediaError, as reading them does.

        ``interlaced``: whether the clip has interlaced frames; None checks the first frame from here. ``joined``:
        whether it may be of several recordings, whose times are put on one clock, unless it was sought in.
        """
        self._joined = joined and self._sought is None
        frames: Iterator[av.VideoFrame] = self._decoded()
        if interlaced is None:
            first = next(frames, None)
            if first is None:
                return frames
            interlaced, frames = first.interlaced_frame, chain([first], frames)
        return deinterlace(frames) if interlaced else frames

    def num_missing(self) -> int:
        """Return the number of frames that the container lists but does not hold; call it after reading to the end.

        QuickTime's headers list every frame. Those that an edit list leaves out are ``hidden``; FFmpeg gives no packets
        of most of them.
        """
        losses = self.losses
        missing = max(0, self.info.num_frames_from_header - losses.packets) if self.info.format == QUICKTIME else 0
        if missing:
            num_held = losses.packets
            with suppress(av.error.FFmpegError, OSError), closing(open_unedited(self.container)) as unedited:
                num_held = sum(1 for _ in packets_of(unedited, [unedited.streams[self.info.stream_index]]))
            edited = min(missing, max(0, num_held - losses.packets))
            losses.hidden, losses.packets, missing = losses.hidden + edited, losses.packets + edited, missing - edited
        return missing

    def num_lost(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets without a frame: damaged, or before a keyframe. Arguments: see ``num_silent``.

        Decoders skip packets before the first keyframe without an error.
        """
        return self.losses.lost + max(0, min(self.losses.headless, self.num_silent(stamps, ended=ended)))

    def num_silent(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets that gave neither a frame nor an error; 0 for VP8, which has hidden frames.

        ``stamps``: of the clip's frames from the first on. Unless the clip has ``ended`` with them, the decoder still
        holds packets, and only those shown before the last frame count.
        """
        losses = self.losses
        packets, num_frames = losses.packets - losses.hidden, len(stamps)
        if not ended and stamps and (last := stamps[-1]) is not None:
            packets, num_frames = sum(time < last for time in losses.times), num_frames - 1
        return 0 if self.info.codec == "vp8" else packets - losses.lost - num_frames

    def zero(self, first: int) -> int:
        """Return the timestamp that becomes 0 in a result; ``first``: that of the first frame."""
        base = self.info.time_base
        return floor(zero_s(self.container, self.stream, first * base) / base)

    def track_end(self) -> int:
        """Return the timestamp at which the track of a QuickTime file or MP4 ends; 0 for other containers.

        There a packet's duration is the step to the next packet in the order of decoding, so that of reordered frames
        it says nothing about the last one, which may be held for seconds, as in recordings of a screen.
        """
        stream = self.stream
        if self.info.format != QUICKTIME or stream.duration is None or stream.start_time is None:
            return 0
        return stream.start_time + stream.duration

    def short_s(self, last_pts: int) -> float:
        """Return the seconds at the end that Matroska's header lists and no track reaches; 0 for other containers.

        Other headers only guess. A video may be shorter than its sound: other tracks are read only if it seems cut off.
        """
        promised = self.container.duration
        if "matroska" not in self.info.format or not promised:
            return 0.0
        whole = promised / av.time_base
        reached = float(last_pts * self.info.time_base)
        allowed = max(SHORT_S, SHORT_SHARE * whole)
        if reached < whole - allowed:
            reached = max(reached, _last_time(self.path))
        return round(whole - reached, 3) if reached < whole - allowed else 0.0

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode packet by packet (decoding the container as a whole drops good frames around a bad packet)."""
        count = 0
        for packet in self._packets():
            try:
                if self.is_accelerated:
                    frames = decode_accelerated(self._context, packet, (self.info.width, self.info.height))
                else:
                    frames = self._context.decode(packet)
            except HardwareDecodeError as error:
                self.leave_hardware(str(error))
                yield from islice(self._decoded(), count, None)
                return
            except (av.error.FFmpegError, OSError) as error:
                self._lose(packet, error, count)
                continue
            for frame in frames:
                count += 1
                if frame.is_corrupt:
                    self.losses.flawed += 1
                    self.losses.set_start(frame)
                self.losses.interlaced += frame.interlaced_frame
                for name, value in self._tags.items():
                    if getattr(frame, name) == UNSPECIFIED:
                        setattr(frame, name, value)
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream, and at the end the empty packet that flushes the decoder."""
        errors = 0
        clock = OneClock(self.path) if self._joined else None
        while errors <= MAX_DEMUX_ERRORS:
            try:
                for packet in self.container.demux(self.stream):
                    if clock is not None:
                        clock(packet)
                        self.losses.restarts, self.losses.shifted = clock.repair.restarts, clock.num_shifted
                    losses = self.losses
                    losses.packets += packet.size > 0
                    losses.hidden += packet.is_discard
                    losses.gaps += packet.is_corrupt
                    if packet.size and packet.pts is not None and not packet.is_discard:
                        losses.times.append(packet.pts)
                    if losses.headless == losses.packets - 1 and packet.size and not packet.is_keyframe:
                        losses.headless += 1
                    errors = 0
                    yield packet
                return
            except IndexError:  # as in packets_of: after the last packet, and ours is flushed by then
                return
            except (av.error.FFmpegError, OSError) as error:
                self._lose(None, error, self.losses.packets)
                errors += 1

    def _lose(self, packet: Packet[VideoStream] | None, error: Exception, count: int) -> None:
        if not self.tolerant:
            what = "no frame could be decoded" if not count else f"damaged after frame {count - 1}"
            why = f"{what} ({getattr(error, 'strerror', None) or error})"
            raise MediaError(str(self.path), why, "repair or convert it, or take what is left with --allow-damaged")
        self.losses.lost += 1
        if packet is not None:
            self.losses.set_start(packet)


def _last_time(path: Path) -> float:
    """Return the end of the last readable packet of any track, in seconds."""
    last = 0.0
    with open_media(path) as container, suppress(av.error.FFmpegError, OSError):
        for packet in packets_of(container):
            if packet.pts is not None:
                last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last


def _alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return the decoder that also reads the alpha of VP8 and VP9, which FFmpeg's own ignore; else None."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, VideoCodecContext)
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context


def deinterlace(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield one progressive frame per frame: by FFmpeg's bwdif if it is flagged interlaced, else the frame itself."""
    for _, alike in groupby(frames, lambda frame: (frame.format.name, frame.width, frame.height)):
        yield from _filtered(alike)


def _filtered(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Deinterlace frames of one size; each keeps its own timestamp, since the filter changes the time base."""
    graph: Graph | None = None
    times: deque[tuple[int | None, Fraction | None]] = deque()
    for number, frame in enumerate(frames):
        graph = graph or _bwdif(frame)
        times.append((frame.pts, frame.time_base))
        frame.pts = number  # the filter orders by time, and a frame may have none
        graph.push(frame)
        yield from _pull(graph, times)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph, times)


def _pull(graph: Graph, times: deque[tuple[int | None, Fraction | None]]) -> Iterator[av.VideoFrame]:
    with suppress(BlockingIOError, EOFError):  # it needs more frames, or has ended
        while True:
            frame = graph.vpull()
            frame.pts, frame.time_base = times.popleft()
            yield frame


def _bwdif(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


class HardwareDecodeError(Exception):
    """The error of a GPU that could not decode a packet, which the CPU may decode."""


class HardwareDecoder:
    """Decodes one clip on a GPU's video engine until that fails; then the CPU decodes, and ``report`` gets the reason.

    ``name``: a key of ``HARDWARE_DECODERS``; ``device``: the number of the GPU, '' for the first. All readers of the
    clip share this object, in any thread.
    """

    def __init__(self, name: str, device: str, report: Callable[[str], None]) -> None:
        self.name, self.device, self._report = name, device, report
        self._works, self._lock = True, Lock()

    def open(self, path: Path, codec: str, pix_fmt: str, stack: ExitStack) -> _Opened | None:
        """Open a video for decoding on the GPU, until ``stack`` ends; None where the CPU has to decode it.

        ``codec`` and ``pix_fmt``: of the file, by FFmpeg's names.
        """
        if not self._works:
            return None
        if codec not in EXACT_CODECS or pix_fmt not in PIX_FMTS:
            self.give_up(f"it is {codec}, {pix_fmt}")
            return None
        try:
            return stack.enter_context(open_accelerated(path, HARDWARE_DECODERS[self.name], self.device))
        except MediaError:  # its text is about the file, which the CPU has opened
            self.give_up("the GPU cannot open it")
        except _MISSING as error:
            self.give_up(hardware_reason(self.name, error))
        return None

    def give_up(self, why: str) -> None:
        """Switch the clip to the CPU for good, and report why."""
        with self._lock:
            if not self._works:
                return
            self._works = False
        self._report(why)


@contextmanager
def open_accelerated(path: Path, device_type: str, device: str) -> Iterator[_Opened]:
    """Open a video for decoding on a device. Raises MediaError, or PyAV's errors without such a device.

    The fallback to software is disabled: frames that the device cannot decode raise an error.
    """
    hwaccel = HWAccel(device_type, device=device or None, allow_software_fallback=False)
    with open_media(path, hwaccel) as container:
        stream = picture_stream(container, path)
        if not stream.codec_context.is_hwaccel:
            raise RuntimeError(f"{stream.codec_context.name} is not decoded by it")
        stream.codec_context.thread_count = 1  # the device has its own, and the standard's order of frames
        yield container, stream


def decode_accelerated(context: VideoCodecContext, packet: Packet[Any], size: tuple[int, int]) -> list[av.VideoFrame]:
    """Decode a packet on the device; frames are in main memory, in one of ``LAYOUTS``.

    Raises HardwareDecodeError where it fails, and where frames are not of this ``size`` (width, height): FFmpeg crops
    pictures on a device at two sides only.
    """
    try:
        frames = context.decode(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise HardwareDecodeError(str(error)) from None
    for frame in frames:
        if frame.format.name not in LAYOUTS or (frame.width, frame.height) != size:
            raise HardwareDecodeError(f"its frames come as {frame.format.name}, {frame.width}x{frame.height}")
    return frames
