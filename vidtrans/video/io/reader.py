"""Read the frames of a video as a player shows them: each once, upright, in RGB, with its timestamp.

``Decoder`` decodes a file, on a GPU's video engine if requested, and deinterlaces. ``FrameConverter`` converts frames
to RGB. ``ClipReader`` joins both.
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
    RAW_FORMATS,
    MediaInfo,
    colour_tags,
    open_media,
    open_unedited,
    packets_of,
    picture_stream,
    read_first_packet,
    read_media_info,
)
from vidtrans.video.io.encoding import HARDWARE_DECODERS, hardware_reason
from vidtrans.video.io.timestamps import (
    MAX_DEMUX_ERRORS,
    ClockFilter,
    average_rate,
    drop_uneven_timestamps,
    nominal_step,
    num_dropped_frames,
    repair_timestamps,
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

# PNG codecs, whose frames' side data must not be read: PyAV would free the ICC profile's name twice, and crash.
PNG_CODECS = ("png", "apng")
_MAX_PROFILE_BYTES = 1 << 24  # Largest length of a decompressed ICC profile in bytes; longer ones are cut
# Tolerances between the duration in a header and the end of the tracks: in seconds, and as a share of the duration.
DURATION_TOLERANCE_S, DURATION_TOLERANCE_SHARE = 0.5, 0.02
DEINTERLACE_RADIUS = 1  # Number of earlier frames that the deinterlacer uses; after a seek, decoding begins there
# Without MPEG-2 and MPEG-4, which leave the rounding of their transform open, and AV1, whose dav1d runs on no GPU.
# Codecs whose standards fix every sample of a decoded picture, so that CPU and GPU decoders return equal samples.
EXACT_CODECS = ("h264", "hevc", "vp9")
# ``ToRGB`` converts these formats, and those of the CPU in ``SOFTWARE_PIX_FMTS``, to exactly the same RGB.
# FFmpeg's pixel formats in which a GPU returns 4:2:0 pictures of 8 and 10 bits.
HARDWARE_PIX_FMTS = ("nv12", "p010le")
SOFTWARE_PIX_FMTS = ("yuv420p", "yuvj420p", "yuv420p10le")  # FFmpeg's pixel formats of such pictures from the CPU
# Errors that PyAV raises if FFmpeg, the GPU driver or the format lacks a feature.
_UNSUPPORTED_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
_OpenVideo = tuple[InputContainer, VideoStream]  # An open file and its video stream


@dataclass(frozen=True)
class FrameProfile:
    """The ICC profile of a frame: its ``conversion`` to sRGB, or None.

    ``unread``: a text on a profile that is not used, with the reason; '' for none.
    """

    conversion: Conversion | None = None
    unread: str = ""

    @property
    def colour(self) -> str:
        """A text that names the converted colours, for messages; '' without a conversion."""
        return f"colours of {self.conversion.name}" if self.conversion else ""


def profile_of(frame: av.VideoFrame, profile: bytes | None = None) -> FrameProfile:
    """Return the ICC profile of a frame; ``profile``: its bytes, if already read (b'' for none).

    Colour tags take precedence over a profile, as in players.
    """
    if not (data := _profile_bytes(frame) if profile is None else profile):
        return FrameProfile()
    try:
        conversion = read_profile(data)
    except ValueError as error:
        return FrameProfile(unread=f"ICC profile ({error})")
    if conversion is None:
        return FrameProfile()
    if isinstance(conversion, TableProfile) and conversion.mode != "RGB":
        return FrameProfile(unread=f"ICC profile {conversion.name}")
    if (int(frame.color_primaries), int(frame.color_trc)) == (UNSPECIFIED, UNSPECIFIED):
        return FrameProfile(conversion)
    return FrameProfile(unread=f"ICC profile {conversion.name} beside colour tags")


def png_profile(data: bytes) -> bytes:
    """Return the ICC profile in a PNG file; b'' without one."""
    chunk = data.find(b"iCCP", 0, data.find(b"IDAT"))
    if chunk < 4:
        return b""
    _, _, compressed = data[chunk + 4 : chunk + 4 + int.from_bytes(data[chunk - 4 : chunk])].partition(b"\0")
    try:
        return zlib.decompressobj().decompress(compressed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def _profile_bytes(frame: av.VideoFrame) -> bytes:
    """Return the bytes of the ICC profile in a frame's side data; b'' without one, or if PyAV cannot read them."""
    try:
        return side_data(frame, Type.ICC_PROFILE)
    except ValueError:
        return b""


@dataclass(frozen=True)
class Orientation:
    """The rotation from stored to upright pixels: ``quarter_turns`` clockwise, then a left-right mirror."""

    quarter_turns: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether the rotation exchanges width and height."""
        return self.quarter_turns % 2 == 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Convert a stored (width, height) to the upright one, or the reverse."""
        return (height, width) if self.swaps_sides else (width, height)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Rotate a stored picture (H, W, …) upright; the result is contiguous."""
        if self.quarter_turns:
            picture = np.rot90(picture, -self.quarter_turns)
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


UPRIGHT = Orientation()  # Orientation of frames that need no rotation


def orientation_from_matrix(matrix: np.ndarray) -> Orientation:
    """Read a 3×3 display matrix (16.16 fixed point, ISO 14496-12): ``x' = a·x + c·y``, ``y' = b·x + d·y``.

    Other rotations are rounded to the nearest quarter turn.
    """
    a, b = float(matrix[0][0]), float(matrix[0][1])
    c, d = float(matrix[1][0]), float(matrix[1][1])
    mirrored = a * d - b * c < 0
    if mirrored:  # Undo the final left-right mirror (x' → −x'), so that only the rotation remains
        a, c = -a, -c
    turns = round(np.degrees(np.arctan2(b, a)) / 90) % 4
    return Orientation(int(turns), mirrored)


def rotation_of(frame: av.VideoFrame) -> Orientation:
    """Return the rotation of a decoded frame; without the mirroring, which only its side data state."""
    return Orientation(-frame.rotation // 90 % 4)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation in a decoded frame's side data; ``UPRIGHT`` if they have none."""
    try:
        matrix = side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:
        return rotation_of(frame)
    return orientation_from_matrix(np.frombuffer(matrix, "<i4").reshape(3, 3)) if matrix else UPRIGHT


class ClipReader:
    """A reader of one video file. Use as a context manager; ``frames`` may be called more than once.

    ``threads``: decoder threads (0: one per processor core); the number does not change the pictures. ``tolerant``:
    count damage instead of raising. ``hardware``: a GPU decoder, used instead of the CPU until it fails.
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
        self._last_duration, self._has_ended = 0, False

    @property
    def info(self) -> MediaInfo:
        """The properties of the video, from its headers."""
        return self._decoder.info

    @property
    def num_frames_expected(self) -> int | None:
        """The number of frames according to the headers; None where they state none."""
        return self.info.num_frames_from_header or None

    def __enter__(self) -> ClipReader:
        self._open(self.tolerant)
        return self

    def __exit__(self, *exc: object) -> None:
        self._decoder.__exit__()

    def _open(self, tolerant: bool) -> None:
        """Open the file with a new decoder at the first frame; ``tolerant``: see ``Decoder``."""
        with ExitStack() as stack:
            decoder = Decoder(self.path, self.threads, tolerant=tolerant, hardware=self._hardware)
            self._decoder, self._is_at_start = stack.enter_context(decoder), True
            self._convert.crop = decoder.info.crop
            if decoder.info.codec in PNG_CODECS:
                self._convert.profile_data = png_profile(read_first_packet(self.path))
            stack.pop_all()

    def _restart(self, tolerant: bool) -> Decoder:
        """Return a decoder at the first frame; ``tolerant``: it counts damage instead of raising MediaError.

        The file is opened again, not rewound: a seek to the start lands on a keyframe, and where an edit list begins
        before that keyframe, frames would be lost.
        """
        if not self._is_at_start or tolerant != self._decoder.tolerant:
            self._decoder.__exit__()
            self._open(tolerant)
        self._is_at_start = False
        return self._decoder

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order of presentation.

        With an ``index`` the reader seeks, takes each frame's time from the index, and skips damage that the index
        records. Without an index, or where the container cannot seek exactly, it decodes from the first frame. Without
        an index, a frame without a time has the pts −1. Raises MediaError.
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
        self._convert.use_index(index)
        next_number = start
        has_stored_times = index.num_rebuilt_pts == 0
        can_seek = start and has_stored_times and not index.findings.damage
        source = self._from_keyframe(start, last, index) if can_seek else None
        for number, frame in source if source is not None else self._decoded(start, last, index):
            if has_stored_times and frame.pts != index.pts[number]:
                if self._decoder.is_accelerated:
                    break
                raise MediaError(str(self.path), "the file changed while it was read", "run the command again")
            yield self._convert(frame, number, index.pts[number])
            next_number = number + 1
        if next_number < last and self._decoder.is_accelerated:
            self._decoder.fall_back_to_cpu(f"its frame {next_number} is not the CPU's")
            yield from self.frames(next_number, stop, index)
        elif next_number < last:
            why = f"ended at frame {next_number} of {last}"
            raise MediaError(str(self.path), why, "copy or download the file again")

    def frames_up_to(self, seconds: Fraction, count: int) -> list[Frame]:
        """Return the first frame at or after ``seconds`` and the frames before it, ``count`` frames at most.

        Without an index, frame numbers are unknown; here they count from 0. If the clip ends before ``seconds``, its
        last frames are returned. Raises MediaError.
        """
        decoder = self._decoder
        target_pts = (decoder.stream.start_time or 0) + int(seconds / decoder.info.time_base)
        latest: deque[av.VideoFrame] = deque(maxlen=count)
        if not decoder.seek(target_pts):
            decoder = self._restart(self.tolerant)
        self._is_at_start = False
        for frame in decoder.pictures():
            latest.append(frame)
            if frame.pts is not None and frame.pts >= target_pts:
                break
        if decoder.losses.num_flawed_frames and not self.tolerant:
            why = f"damaged near {float(seconds):.3f} s"
            raise MediaError(str(self.path), why, "repair it, or take what is left with --allow-damaged")
        return [self._convert(frame, i, frame.pts or 0) for i, frame in enumerate(latest)]

    def _decoded(
        self, start: int, stop: int | None, index: ClipIndex | None
    ) -> Generator[tuple[int, av.VideoFrame], None, None]:
        """Decode from the first frame, and yield (number, frame) from ``start`` on."""
        decoder = self._restart(self.tolerant or bool(index and index.findings.damage))
        interlaced, self._has_ended = index.findings.interlaced > 0 if index else None, False
        may_be_joined = index is None or index.findings.restarts > 0
        for number, frame in enumerate(decoder.pictures(interlaced=interlaced, may_be_joined=may_be_joined)):
            if stop is not None and number >= stop:
                return
            self._stamps.append(frame.pts)
            self._last_duration = frame.duration
            if number >= start:
                yield number, frame
        self._has_ended = True

    def _from_keyframe(self, start: int, stop: int, index: ClipIndex) -> Iterator[tuple[int, av.VideoFrame]] | None:
        """Yield (number, frame), decoding from the keyframe before ``start``; None if the seek landed later."""
        interlaced = index.findings.interlaced > 0
        first = max(0, start - DEINTERLACE_RADIUS) if interlaced else start
        self._is_at_start = False
        if not self._decoder.seek(index.pts[first]):
            return None
        decoded = self._decoder.pictures(interlaced=interlaced)
        for frame in decoded:
            if frame.pts is None or frame.pts > index.pts[first]:
                return None
            if frame.pts == index.pts[first]:
                return islice(enumerate(chain([frame], decoded), first), start - first, stop - first)
        return None

    def needs_second_pass(self) -> bool:
        """Return whether the clip must be read again, to its end: frames may be lost, or transparency undetected.

        Frames are lost where packets gave neither a frame nor an error. A clip with alpha that was read in part may
        become transparent later.
        """
        may_be_transparent = not self._has_ended and self._convert.has_alpha and not self._convert.is_transparent
        return may_be_transparent or self._decoder.num_silent_packets(self._stamps, ended=self._has_ended) > 0

    def index(self) -> ClipIndex:
        """Return the index of the frames read so far, from the first one on. Raises MediaError if there are none."""
        info, losses, converter = self.info, self._decoder.losses, self._convert
        if not self._stamps:
            raise MediaError(info.path, "no frame could be decoded", "give a video with pictures in it")
        nominal, stamps = nominal_step(self._stamps, info), self._stamps
        last_duration = max(1, self._last_duration or nominal)
        if info.format in RAW_FORMATS:
            stamps, last_duration = drop_uneven_timestamps(stamps), nominal
        pts, num_rebuilt = repair_timestamps(stamps, nominal)
        num_rebuilt = min(num_rebuilt + losses.num_shifted_packets, len(pts))
        missing = self._decoder.num_missing_frames() if self._has_ended else 0
        lost = self._decoder.num_lost_packets(stamps, ended=self._has_ended)
        is_intact = self._has_ended and not (num_rebuilt or missing or lost or losses.num_flawed_frames)
        last_frame_duration = self._decoder.track_end_pts() - pts[-1] if is_intact else 0
        if last_frame_duration > 0 and max(last_frame_duration, last_duration) >= 2 * nominal:  # More than by rounding
            last_duration = last_frame_duration
        holes = num_dropped_frames(pts)
        if not missing and (lost or losses.num_flawed_frames):  # The container does not list them: gaps in the times
            missing, holes = max(0, holes - lost), 0
        first_damage_s = losses.first_damage_s
        if missing:
            end_s = float((pts[-1] + last_duration) * info.time_base)
            first_damage_s = end_s if first_damage_s is None else min(first_damage_s, end_s)
        width, height = converter.first_size
        aspect = info.sample_aspect_ratio
        return ClipIndex(
            pts=pts,
            time_base=info.time_base,
            last_duration=last_duration,
            width=width,
            height=height,
            sample_aspect_ratio=1 / aspect if converter.first_orientation.swaps_sides else aspect,
            rate=average_rate(pts, info),
            num_rebuilt_pts=num_rebuilt,
            num_frames_from_header=info.num_frames_from_header if self._has_ended else 0,
            zero=self._decoder.zero_pts(pts[0]),
            findings=Findings(
                depth=converter.depth,
                matrix=converter.matrix,
                primaries=converter.primaries,
                transfer=converter.transfer,
                alpha=converter.is_transparent,
                colour=converter.colour,
                unread=converter.unread,
                turned=converter.first_orientation != UPRIGHT,
                dolby_vision=info.dolby_vision or ("5" if converter.dolby_vision_only else ""),
                stereo=converter.stereo,
                projection=converter.projection,
                side_data=tuple(sorted(converter.side_data_kinds)),
                interlaced=losses.num_interlaced_frames,
                resized=converter.num_resized,
                lost=lost,
                flawed=losses.num_flawed_frames,
                missing=missing,
                hidden=losses.num_hidden_packets,
                short_s=self._decoder.missing_end_s(pts[-1]) if self._has_ended else 0.0,
                gaps=losses.num_gaps,
                restarts=losses.num_clock_restarts,
                holes=holes if not missing else 0,
                no_rate=info.average_rate is None,
                damaged_at=first_damage_s,
                plays=num_plays(self.path),
                reading=converter.reading + (2 if info.crop != NO_CROP else 0),
            ),
        )


class FrameConverter:
    """A converter of decoded frames to upright arrays of one format. It records unusual properties of the frames.

    The first frame sets the size; frames of another size are scaled to it. ``profile_data``: the ICC profile of frames
    whose side data must not be read, b'' for none; None: it is read from the side data. ``crop``: pixels to remove at
    the left, top, right and bottom of stored frames.
    """

    def __init__(self, frame_format: FrameFormat) -> None:
        self.frame_format = frame_format
        self.depth, self.colour, self.unread, self.is_transparent, self.num_resized = 0, "", "", False, 0
        self.reading, self.has_alpha = 0, False
        self.matrix = self.primaries = self.transfer = "untagged"
        self.first_size, self.first_orientation = (0, 0), UPRIGHT
        self._upright: tuple[int, int] | None = None
        self._to_rgb: ToRGB | None = None
        self._profile: FrameProfile | None = None
        self.profile_data: bytes | None = None
        self.crop: Crop = NO_CROP
        self.side_data_kinds: set[str] = set()
        self.stereo, self.projection, self.dolby_vision_only = "", "", False

    def use_index(self, index: ClipIndex) -> None:
        """Set the clip's size and transparency from its index, since reading may begin at any frame."""
        self.first_size, self.is_transparent = (index.width, index.height), index.findings.alpha
        self._upright = self.frame_format.size.of(*self.first_size)

    def _note_side_data(self, decoded: av.VideoFrame) -> None:
        """Record the kinds of a frame's side data, its stereo layout and projection, and Dolby Vision profile 5."""
        if (kinds := kinds_of(decoded)) <= self.side_data_kinds:
            return
        self.side_data_kinds |= kinds
        with suppress(ValueError):  # A kind that PyAV has no name for hides the others
            self.stereo = self.stereo or stereo_of(decoded)
            self.projection = self.projection or projection_of(decoded)
            self.dolby_vision_only = self.dolby_vision_only or has_dolby_vision_only(decoded)

    def __call__(self, decoded: av.VideoFrame, index: int, pts: int) -> Frame:
        """Convert a decoded frame to frame ``index`` of the clip, at ``pts``: cropped, upright, in the frame format."""
        if self._profile is None:
            self._profile = profile_of(decoded, self.profile_data)
            self.colour, self.unread = self._profile.colour, self._profile.unread
        orientation = UPRIGHT
        if self.profile_data is not None:
            orientation = rotation_of(decoded)
        elif has_side_data(decoded):
            self._note_side_data(decoded)
            orientation = orientation_of(decoded)
        is_rotated = orientation != UPRIGHT
        width, height = decoded.width, decoded.height
        left, top, right, bottom = self.crop
        if left + right >= width or top + bottom >= height:  # The frame is too small for the crop
            left, top, right, bottom = NO_CROP
        cropped_size = width - left - right, height - top - bottom
        size = orientation.size(*cropped_size) if is_rotated else cropped_size
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
        stored_size = orientation.size(*self._upright) if is_rotated else self._upright
        is_cropped = cropped_size != (width, height)
        rgb_size = (width, height) if is_cropped else stored_size
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != rgb_size:
            self._to_rgb = ToRGB(*rgb_size, deep=self.frame_format.deep, profile=self._profile.conversion)
        crop = np.s_[top : top + cropped_size[1], left : left + cropped_size[0]] if is_cropped else np.s_[:]
        alpha: np.ndarray | None = None
        if not colours.has_alpha:
            rgb = self._to_rgb(decoded)[crop]
            rgb = resize(rgb, *stored_size) if is_cropped else rgb
            rgb = orientation.apply(rgb) if is_rotated else np.ascontiguousarray(rgb)
        else:
            rgba = self._to_rgb.with_alpha(decoded)[crop]
            self.has_alpha, rgba = True, orientation.apply(resize_alpha(rgba, *stored_size))
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
            self.is_transparent = self.is_transparent or bool(alpha.min() < np.iinfo(alpha.dtype).max)
        if self.is_transparent or alpha is not None:
            rgb, alpha = apply_format(rgb, alpha, self.frame_format, BLACK, cut_out=self.is_transparent)
        return Frame(index, pts, rgb, alpha=alpha)


@dataclass
class DecodeLosses:
    """Counts of one decoding pass: damage that a tolerant decoder skipped, packets, and interlaced frames."""

    num_lost_packets: int = 0
    num_flawed_frames: int = 0
    num_interlaced_frames: int = 0
    num_packets: int = 0
    num_hidden_packets: int = 0  # Packets that an edit list leaves out
    num_leading_packets: int = 0  # Packets before the first keyframe
    num_gaps: int = 0  # Gaps that the demuxer reports
    num_clock_restarts: int = 0
    num_shifted_packets: int = 0  # Packets whose times were moved to the first recording's clock
    first_damage_s: float | None = None
    packet_pts: array[int] = field(default_factory=lambda: array("q"))  # Without the hidden packets

    def record_damage_time(self, damaged: Packet[Any] | av.VideoFrame) -> None:
        """Record the time of a damaged packet or frame, in seconds, unless one is already recorded."""
        if self.first_damage_s is None and damaged.pts is not None and damaged.time_base is not None:
            self.first_damage_s = float(damaged.pts * damaged.time_base)


class Decoder:
    """A decoder of a file's video stream. Use as a context manager.

    ``threads``: decoder threads (0: one per processor core). ``tolerant``: count damage in ``losses`` instead of
    raising MediaError; one thread is used, because the number of threads changes how damage decodes. ``hardware``: a
    GPU decoder, used until it fails. The CPU then repeats the work, so that frames and damage reports do not depend on
    the device.
    """

    def __init__(
        self, path: Path, threads: int = 0, *, tolerant: bool = False, hardware: HardwareDecoder | None = None
    ) -> None:
        self.path, self.threads, self.tolerant = path, threads, tolerant
        self._hardware = None if tolerant else hardware  # Damage is counted by the CPU decoder's errors

    def __enter__(self) -> Decoder:
        with ExitStack() as stack:
            self.container = stack.enter_context(open_media(self.path))
            self.stream = picture_stream(self.container, self.path)
            self.info = read_media_info(self.container, self.stream, self.path)
            alpha_decoder = _alpha_decoder(self.stream)
            self._context = alpha_decoder or self.stream.codec_context
            self._tags = colour_tags(self.stream)
            self._context.thread_type = "AUTO"
            self._context.thread_count = 1 if self.tolerant else self.threads
            self.losses = DecodeLosses()
            self._software = (self.container, self.stream, self._context)
            self._seek_pts: int | None = None
            self.is_accelerated = False
            # Open the file a second time, for the GPU; the CPU uses the first container if the GPU fails.
            hardware = None if alpha_decoder else self._hardware
            if hardware and (opened := hardware.open(self.path, self.info.codec, self.info.pix_fmt, stack)):
                self.container, self.stream = opened
                self._context = self.stream.codec_context
                self.is_accelerated = True
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def fall_back_to_cpu(self, why: str) -> None:
        """Switch to decoding on the CPU, from the position of the last seek, or the first frame.

        ``why``: the reason that is reported.
        """
        assert self._hardware is not None
        self._hardware.disable(why)
        self.container, self.stream, self._context = self._software
        self.is_accelerated, self.losses = False, DecodeLosses()
        if self._seek_pts is not None:
            self.seek(self._seek_pts)

    def seek(self, pts: int) -> bool:
        """Seek to the keyframe before ``pts``. Return False where the container cannot seek."""
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
            self._context.flush_buffers()
            self._seek_pts = pts
            return True
        except (av.error.FFmpegError, OSError):
            return False

    def pictures(self, *, interlaced: bool | None = None, may_be_joined: bool = True) -> Iterator[av.VideoFrame]:
        """Return the frames from the current position on, deinterlaced. Raises MediaError, also while iterating.

        ``interlaced``: whether the clip has interlaced frames; None checks the next frame. ``may_be_joined``: the file
        may consist of several recordings, whose times are then moved to one clock, unless ``seek`` was called.
        """
        self._repairs_clock = may_be_joined and self._seek_pts is None
        frames: Iterator[av.VideoFrame] = self._decoded()
        if interlaced is None:
            first = next(frames, None)
            if first is None:
                return frames
            interlaced, frames = first.interlaced_frame, chain([first], frames)
        return deinterlace(frames) if interlaced else frames

    def num_missing_frames(self) -> int:
        """Return the number of frames that the container lists but does not contain.

        Call it after reading to the end. Only QuickTime headers list every frame. Frames that an edit list leaves out
        count as hidden packets instead; FFmpeg returns no packets for most of them.
        """
        losses = self.losses
        missing = max(0, self.info.num_frames_from_header - losses.num_packets) if self.info.format == QUICKTIME else 0
        if missing:
            num_stored = losses.num_packets
            with suppress(av.error.FFmpegError, OSError), closing(open_unedited(self.container)) as unedited:
                num_stored = sum(1 for _ in packets_of(unedited, [unedited.streams[self.info.stream_index]]))
            num_hidden = min(missing, max(0, num_stored - losses.num_packets))
            losses.num_hidden_packets += num_hidden
            losses.num_packets += num_hidden
            missing -= num_hidden
        return missing

    def num_lost_packets(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets without a frame: damaged ones, and those before the first keyframe.

        Decoders skip packets before the first keyframe without an error. Arguments: see ``num_silent_packets``.
        """
        num_undecoded = max(0, min(self.losses.num_leading_packets, self.num_silent_packets(stamps, ended=ended)))
        return self.losses.num_lost_packets + num_undecoded

    def num_silent_packets(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets that gave neither a frame nor an error; 0 for VP8, which has hidden frames.

        ``stamps``: pts of the clip's frames from the first on. Unless the clip has ``ended`` after them, the decoder
        still buffers packets, and only packets presented before the last frame count.
        """
        losses = self.losses
        num_packets, num_frames = losses.num_packets - losses.num_hidden_packets, len(stamps)
        if not ended and stamps and (last := stamps[-1]) is not None:
            num_packets, num_frames = sum(pts < last for pts in losses.packet_pts), num_frames - 1
        return 0 if self.info.codec == "vp8" else num_packets - losses.num_lost_packets - num_frames

    def zero_pts(self, first_pts: int) -> int:
        """Return the timestamp that players show as 0, and that becomes 0 in a result.

        ``first_pts``: the timestamp of the first frame.
        """
        base = self.info.time_base
        return floor(zero_s(self.container, self.stream, first_pts * base) / base)

    def track_end_pts(self) -> int:
        """Return the timestamp at which the track of a QuickTime file or MP4 ends; 0 for other containers.

        In these containers a packet's duration is the step to the next packet in decoding order. For reordered frames
        it is not the duration of the last frame, which may last for seconds, as in screen recordings.
        """
        stream = self.stream
        if self.info.format != QUICKTIME or stream.duration is None or stream.start_time is None:
            return 0
        return stream.start_time + stream.duration

    def missing_end_s(self, last_pts: int) -> float:
        """Return the seconds by which the duration in Matroska's header exceeds the end of all tracks.

        Return 0 for other containers, and within a tolerance. ``last_pts``: the pts of the last frame.

        Other headers only estimate the duration. A video may be shorter than its sound, so the other tracks are read if
        the video seems cut short.
        """
        duration = self.container.duration
        if "matroska" not in self.info.format or not duration:
            return 0.0
        end_from_header_s = duration / av.time_base
        end_s = float(last_pts * self.info.time_base)
        tolerance_s = max(DURATION_TOLERANCE_S, DURATION_TOLERANCE_SHARE * end_from_header_s)
        if end_s < end_from_header_s - tolerance_s:
            end_s = max(end_s, _last_packet_end_s(self.path))
        return round(end_from_header_s - end_s, 3) if end_s < end_from_header_s - tolerance_s else 0.0

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Yield the decoded frames, packet by packet: the container's decoding would drop frames beside damage."""
        num_frames = 0
        for packet in self._packets():
            try:
                if self.is_accelerated:
                    frames = decode_accelerated(self._context, packet, (self.info.width, self.info.height))
                else:
                    frames = self._context.decode(packet)
            except HardwareDecodeError as error:
                self.fall_back_to_cpu(str(error))
                yield from islice(self._decoded(), num_frames, None)
                return
            except (av.error.FFmpegError, OSError) as error:
                self._record_loss(packet, error, num_frames)
                continue
            for frame in frames:
                num_frames += 1
                if frame.is_corrupt:
                    self.losses.num_flawed_frames += 1
                    self.losses.record_damage_time(frame)
                self.losses.num_interlaced_frames += frame.interlaced_frame
                for name, value in self._tags.items():
                    if getattr(frame, name) == UNSPECIFIED:
                        setattr(frame, name, value)
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream, and at the end the empty packet that flushes the decoder."""
        num_errors = 0
        clock = ClockFilter(self.path) if self._repairs_clock else None
        while num_errors <= MAX_DEMUX_ERRORS:
            try:
                for packet in self.container.demux(self.stream):
                    if clock is not None:
                        clock(packet)
                        self.losses.num_clock_restarts = clock.repair.num_restarts
                        self.losses.num_shifted_packets = clock.num_shifted
                    losses = self.losses
                    losses.num_packets += packet.size > 0
                    losses.num_hidden_packets += packet.is_discard
                    losses.num_gaps += packet.is_corrupt
                    if packet.size and packet.pts is not None and not packet.is_discard:
                        losses.packet_pts.append(packet.pts)
                    has_keyframe = losses.num_leading_packets < losses.num_packets - 1
                    if not has_keyframe and packet.size and not packet.is_keyframe:
                        losses.num_leading_packets += 1
                    num_errors = 0
                    yield packet
                return
            except IndexError:  # As in ``packets_of``: after the last packet, and the decoder is flushed
                return
            except (av.error.FFmpegError, OSError) as error:
                self._record_loss(None, error, self.losses.num_packets)
                num_errors += 1

    def _record_loss(self, packet: Packet[VideoStream] | None, error: Exception, num_frames: int) -> None:
        """Count a packet that cannot be read or decoded. Raises MediaError unless the decoder is tolerant.

        ``num_frames``: the number of frames before the damage, for the message.
        """
        if not self.tolerant:
            what = f"damaged after frame {num_frames - 1}" if num_frames else "no frame could be decoded"
            why = f"{what} ({getattr(error, 'strerror', None) or error})"
            raise MediaError(str(self.path), why, "repair or convert it, or take what is left with --allow-damaged")
        self.losses.num_lost_packets += 1
        if packet is not None:
            self.losses.record_damage_time(packet)


def _last_packet_end_s(path: Path) -> float:
    """Return the end of the last readable packet of any track, in seconds."""
    last_s = 0.0
    with open_media(path) as container, suppress(av.error.FFmpegError, OSError):
        for packet in packets_of(container):
            if packet.pts is not None:
                last_s = max(last_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last_s


def _alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return libvpx's decoder for VP8 or VP9 with alpha, since FFmpeg's own decoders ignore it; else None."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, VideoCodecContext)
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context


def deinterlace(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield one progressive frame for each frame; frames flagged as interlaced are filtered by FFmpeg's bwdif."""
    for _, group in groupby(frames, lambda frame: (frame.format.name, frame.width, frame.height)):
        yield from _deinterlace_group(group)


def _deinterlace_group(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield frames of one size, deinterlaced, with their original timestamps, as the filter changes the time base."""
    graph: Graph | None = None
    times: deque[tuple[int | None, Fraction | None]] = deque()
    for number, frame in enumerate(frames):
        graph = graph or _bwdif(frame)
        times.append((frame.pts, frame.time_base))
        frame.pts = number  # The filter orders frames by time, and a frame may have none
        graph.push(frame)
        yield from _pull(graph, times)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph, times)


def _pull(graph: Graph, times: deque[tuple[int | None, Fraction | None]]) -> Iterator[av.VideoFrame]:
    """Yield the frames that a filter graph has ready, with the original ``times``: (pts, time base) in order."""
    with suppress(BlockingIOError, EOFError):  # The filter needs more frames, or has ended
        while True:
            frame = graph.vpull()
            frame.pts, frame.time_base = times.popleft()
            yield frame


def _bwdif(frame: av.VideoFrame) -> Graph:
    """Return a filter graph that deinterlaces frames of this frame's size and format by FFmpeg's bwdif."""
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


class HardwareDecodeError(Exception):
    """Raised if a GPU cannot decode a packet, which the CPU may be able to decode."""


class HardwareDecoder:
    """The GPU decoder of one clip. After a failure the CPU decodes, and ``report`` receives the reason.

    ``name``: a key of ``HARDWARE_DECODERS``; ``device``: the number of the GPU, '' for the first. All readers of the
    clip share this object, in any thread.
    """

    def __init__(self, name: str, device: str, report: Callable[[str], None]) -> None:
        self.name, self.device, self._report = name, device, report
        self._is_enabled, self._lock = True, Lock()

    def open(self, path: Path, codec: str, pix_fmt: str, stack: ExitStack) -> _OpenVideo | None:
        """Open a video for decoding on the GPU, until ``stack`` closes; None where the CPU has to decode it.

        ``codec`` and ``pix_fmt``: FFmpeg's names for the file's formats.
        """
        if not self._is_enabled:
            return None
        if codec not in EXACT_CODECS or pix_fmt not in SOFTWARE_PIX_FMTS:
            self.disable(f"it is {codec}, {pix_fmt}")
            return None
        try:
            return stack.enter_context(open_accelerated(path, HARDWARE_DECODERS[self.name], self.device))
        except MediaError:  # Its text is about the file, which the CPU has opened
            self.disable("the GPU cannot open it")
        except _UNSUPPORTED_ERRORS as error:
            self.disable(hardware_reason(self.name, error))
        return None

    def disable(self, why: str) -> None:
        """Switch the clip to the CPU permanently, and report the reason."""
        with self._lock:
            if not self._is_enabled:
                return
            self._is_enabled = False
        self._report(why)


@contextmanager
def open_accelerated(path: Path, device_type: str, device: str) -> Iterator[_OpenVideo]:
    """Open a video for decoding on a GPU. Raises MediaError, or PyAV's errors if the GPU is missing.

    The software fallback is disabled, so that frames which the device cannot decode raise an error.
    """
    hwaccel = HWAccel(device_type, device=device or None, allow_software_fallback=False)
    with open_media(path, hwaccel) as container:
        stream = picture_stream(container, path)
        if not stream.codec_context.is_hwaccel:
            raise RuntimeError(f"{stream.codec_context.name} is not decoded by it")
        stream.codec_context.thread_count = 1  # The device has its own threads, and keeps the standard's frame order
        yield container, stream


def decode_accelerated(context: VideoCodecContext, packet: Packet[Any], size: tuple[int, int]) -> list[av.VideoFrame]:
    """Decode a packet on the GPU; the frames are in main memory, in one of ``HARDWARE_PIX_FMTS``.

    Raises HardwareDecodeError where decoding fails, and where frames have another ``size`` (width, height): on a
    device, FFmpeg crops pictures at two sides only.
    """
    try:
        frames = context.decode(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise HardwareDecodeError(str(error)) from None
    for frame in frames:
        if frame.format.name not in HARDWARE_PIX_FMTS or (frame.width, frame.height) != size:
            raise HardwareDecodeError(f"its frames come as {frame.format.name}, {frame.width}x{frame.height}")
    return frames
