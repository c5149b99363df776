"""Convert decoded frames to upright arrays of one size and format."""

from __future__ import annotations

from contextlib import suppress

import av
import numpy as np

from vidtrans.video.colour.conversion import (
    ToRGB,
    apply_format,
    colour_of,
    depth_of,
    has_alpha,
    reading_of,
    resize_alpha,
    unread_of,
)
from vidtrans.video.colour.frame_profile import FrameProfile, profile_of
from vidtrans.video.colour.tags import primaries_name, space_name, transfer_name
from vidtrans.video.frame_format import BLACK, FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import ClipIndex, Frame
from vidtrans.video.io.orientation import UPRIGHT, Orientation, orientation_of, rotation_of
from vidtrans.video.io.track_header import NO_CROP, Crop
from vidtrans.video.side_data import has_dolby_vision_only, kinds_of, projection_of, stereo_of


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

    def _orientation_of(self, decoded: av.VideoFrame) -> Orientation:
        return rotation_of(decoded) if self.profile_data is not None else orientation_of(decoded)

    def _note_side_data(self, decoded: av.VideoFrame) -> None:
        """Record the side data of a frame; unless ``profile_data`` is set."""
        if self.profile_data is not None:
            return
        if (kinds := kinds_of(decoded)) <= self.kinds:
            return
        self.kinds |= kinds
        with suppress(ValueError):  # hidden by a kind that PyAV has no name for
            self.stereo = self.stereo or stereo_of(decoded)
            self.projection = self.projection or projection_of(decoded)
            self.dolby_vision_only = self.dolby_vision_only or has_dolby_vision_only(decoded)

    def _crop_of(self, decoded: av.VideoFrame) -> Crop:
        """Return the pixels to cut off at each side of a frame; none of a frame that is too small for it."""
        left, top, right, bottom = self.crop
        return self.crop if left + right < decoded.width and top + bottom < decoded.height else NO_CROP

    def __call__(self, decoded: av.VideoFrame, index: int, pts: int) -> Frame:
        """Return a decoded frame cropped, upright and in the format, and record its unusual properties."""
        if self._profile is None:
            self._profile = profile_of(decoded, self.profile_data)
            self.colour, self.unread = self._profile.colour, self._profile.unread
        self._note_side_data(decoded)
        orientation = self._orientation_of(decoded)
        turned = orientation != UPRIGHT
        left, top, right, bottom = self._crop_of(decoded)
        inner = decoded.width - left - right, decoded.height - top - bottom
        size = orientation.size(*inner) if turned else inner
        if self._upright is None:
            self.first_orientation, self.first_size = orientation, size
            self._upright = self.frame_format.size.of(*size)
            self.matrix = space_name(int(decoded.colorspace))
            self.primaries = primaries_name(int(decoded.color_primaries))
            self.transfer = transfer_name(int(decoded.color_trc))
        self.num_resized += size != self.first_size
        self.depth = max(self.depth, depth_of(decoded))
        self.colour, self.unread = self.colour or colour_of(decoded), self.unread or unread_of(decoded)
        self.reading = self.reading or reading_of(decoded)
        stored = orientation.size(*self._upright) if turned else self._upright
        cropped = inner != (decoded.width, decoded.height)
        whole = (decoded.width, decoded.height) if cropped else stored
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != whole:
            self._to_rgb = ToRGB(*whole, deep=self.frame_format.deep, profile=self._profile.conversion)
        inside = np.s_[top : top + inner[1], left : left + inner[0]] if cropped else np.s_[:]
        if not has_alpha(decoded):
            rgb, alpha = self._to_rgb(decoded)[inside], None
            rgb = resize(rgb, *stored) if cropped else rgb
            rgb = orientation.apply(rgb) if turned else np.ascontiguousarray(rgb)
        else:
            rgba = self._to_rgb.with_alpha(decoded)[inside]
            self.holds_alpha, rgba = True, orientation.apply(resize_alpha(rgba, *stored))
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
            self.transparent = self.transparent or bool(alpha.min() < np.iinfo(alpha.dtype).max)
        rgb, alpha = apply_format(rgb, alpha, self.frame_format, BLACK, cut_out=self.transparent)
        return Frame(index, pts, rgb, alpha=alpha)
