"""Convert decoded frames to RGB arrays, and RGB arrays to frames for encoders.

Policy. Input: colour tags are used (``tags``). An untagged YUV video counts as BT.709 from 720 lines up, else as
BT.601, limited range unless its pixel format is full range. HDR and other primaries and transfers are mapped. Output:
pixels are converted to BT.709, limited range, and tagged as such (tags without conversion would shift every colour).

HDR, other primaries and other transfers are mapped to SDR codes with BT.709 primaries in these steps (``ToneMap``):

1. Codes to display light. 1.0 is SDR white, at 203 cd/m² (the reference white of ITU-R BT.2408).
   PQ by the EOTF of SMPTE ST 2084. HLG by the inverse OETF of ITU-R BT.2100 and its OOTF for a display of
   1000 cd/m² (gamma 1.2). Linear, logarithmic and power curves as tagged. Any other transfer is a camera's curve for
   common video: BT.2020 is displayed by the gamma 2.4 of ITU-R BT.1886, others, like pictures, by the sRGB curve.
2. Primaries to BT.709 by a matrix in linear light (ITU-R BT.2407). Colours inside BT.709 do not change. Outside it,
   negative components become 0 and the others are scaled to the original luminance, so red stays red. (Mixing
   with grey until the colour fits is numerically nearer, but turns vivid red to pink and green to teal.)
3. Brightness by the EETF of ITU-R BT.2390, from the source's peak to SDR white, with a longer shoulder: light
   below the knee (60 cd/m² for a peak of 1000) does not change, 203 cd/m² become 86 % of the code range.
   Vivid colours: the curve is applied to the largest of R, G and B and the ratios are kept, so nothing clips and no
   hue changes. Pale colours: it is applied to each of R, G and B, so that bright clouds and flames turn white.
   SDR needs no tone curve: there the step only keeps R, G and B below 1.
4. Light to codes by the inverse of BT.1886, gamma 2.4, for HDR and BT.2020, else by that of the sRGB curve: the codes
   that produce this light on an SDR display. The OETF of BT.709 is for cameras: applied to display light it would lift
   the shadows and wash the picture out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from vidtrans.video.colour.icc import Conversion
from vidtrans.video.colour.tags import (
    BT709,
    BT2020,
    CURVES,
    GBR,
    HD_LINES,
    HDR_TRANSFERS,
    HLG,
    MATRICES,
    OWN_MATRICES,
    P3_D65,
    PQ,
    PRIMARIES,
    SRGB,
    UNSPECIFIED,
    code_of_light,
    light_of_codes,
    mapped_colours,
    rgb_of_yuv,
    unread_tags,
)
from vidtrans.video.frame_format import FrameFormat

# swscale flags; BITEXACT and ACCURATE_RND make the conversion equal on every processor.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
_SHRINK = Interpolation.AREA | _EXACT  # swscale flags for smaller sizes: averages, as OpenCV's INTER_AREA
_ENLARGE = Interpolation.BICUBIC | _EXACT  # swscale flags for larger sizes
# Weights of red, green and blue in luma, as integers in units of 2^−15, as in OpenCV's conversion.
INTEGER_LUMA, INTEGER_LUMA_BITS = (9798, 19235, 3735), 15
# PyAV's array formats by (bits per channel, number of channels).
_ARRAY_FORMATS = {(8, 3): "rgb24", (8, 4): "rgba", (16, 3): "rgb48le", (16, 4): "rgba64le"}
WHITE_NITS = 203.0  # SDR white in HDR, cd/m² (ITU-R BT.2408)
PQ_PEAK_NITS = 1000.0  # Assumed peak of PQ pictures, cd/m²; the mastering metadata are not read
HLG_DISPLAY_NITS, HLG_GAMMA = 1000.0, 1.2  # Peak of the nominal HLG display, cd/m², and its system gamma
SDR_GAMMA = 2.4  # Gamma of SDR displays (ITU-R BT.1886)
# Offset of the tone curve's knee. BT.2390's 0.5 leaves only a tenth of the codes above 203 cd/m², for clouds and metal.
KNEE_OFFSET = 0.75
_NUM_CODES = 65536  # Number of 16-bit codes
_EPSILON = np.float32(1e-12)  # Smallest divisor; avoids 0 / 0 for black
_INTEGER_BLACK, _INTEGER_WHITE = 8192, 57343  # Integers for light 0 and 1, with room for light outside BT.709
_STRIP = 32  # Lines converted at a time, which fit the processor's cache; whole pictures take half as long again
_UINT8_STRIP = 256  # Lines of 8-bit pictures converted at a time, in integers
# Constants m1 and m2 of SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32  # Constants c1 to c3 of SMPTE ST 2084


@dataclass(frozen=True)
class FrameColours:
    """The colours of decoded frames with one pixel format and the same tags, and their conversion.

    ``colour``: the kind of non-BT.709 colours, as ``mapped_colours``. ``unread``: unsupported tags, as ``unread_tags``.
    ``reading``: the version of the conversion rules, if earlier versions ignored the tags; else 0. ``depth``: bits per
    channel. ``has_alpha``: the pixel format has alpha, even if all pixels are opaque. ``matrix``: of YUV.
    ``has_own_matrix``: whether the matrix is one of ``OWN_MATRICES``, which swscale lacks. ``code_range``: limited
    unless the tag or the pixel format is full range. ``tone_map``: None where no mapping is needed.
    """

    colour: str
    unread: str
    reading: int
    depth: int
    has_alpha: bool
    is_rgb: bool
    matrix: Colorspace
    has_own_matrix: bool
    code_range: ColorRange
    tone_map: ToneMap | None


def frame_colours(frame: av.VideoFrame) -> FrameColours:
    """Return the colours of a decoded frame; an untagged YUV matrix is guessed from the height in lines."""
    tags = int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc), int(frame.color_range)
    return _colours_of_tags(frame.format.name, frame.height >= HD_LINES, *tags)


@lru_cache(maxsize=16)
def _colours_of_tags(
    pix_fmt: str, is_hd: bool, matrix: int, primaries: int, transfer: int, code_range: int
) -> FrameColours:
    """Return the colours of frames with a pixel format and colour tags, by FFmpeg's numbers.

    ``is_hd``: an untagged YUV matrix counts as BT.709, not as BT.601.
    """
    video_format = av.VideoFormat(pix_fmt)
    is_xyz, is_grey = pix_fmt.startswith("xyz"), len(video_format.components) < 3
    has_own_matrix = matrix in OWN_MATRICES and not (video_format.is_rgb or is_xyz or is_grey)
    # GBR is only possible without chroma subsampling.
    is_full_chroma = (video_format.chroma_width(8), video_format.chroma_height(8)) == (8, 8)
    has_own_matrix = has_own_matrix and (matrix != GBR or is_full_chroma)
    colour = "" if is_xyz else mapped_colours(primaries, transfer)  # swscale itself converts XYZ to sRGB
    is_other_hdr = transfer in HDR_TRANSFERS and primaries in PRIMARIES and primaries not in (BT709, BT2020, P3_D65)
    is_matrix_unused = video_format.is_rgb or is_grey or has_own_matrix
    is_full = code_range == ColorRange.JPEG or pix_fmt.startswith("yuvj")
    return FrameColours(
        colour=colour,
        unread=unread_tags(primaries, transfer, UNSPECIFIED if is_matrix_unused else matrix),
        reading=int(has_own_matrix or is_other_hdr),
        depth=max((c.bits for c in video_format.components), default=8),
        has_alpha=any(c.is_alpha for c in video_format.components),
        is_rgb=video_format.is_rgb,
        matrix=MATRICES.get(matrix, Colorspace.ITU709 if is_hd else Colorspace.ITU601),
        has_own_matrix=has_own_matrix,
        code_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
        tone_map=_tone_map(transfer, primaries) if colour else None,
    )


@lru_cache(maxsize=4)
def _tone_map(transfer: int, primaries: int) -> ToneMap:
    """Return the tone map of a transfer and primaries, which are numbers of tags; computed once for each pair."""
    return ToneMap(transfer, primaries)


def is_yuv(pix_fmt: str) -> bool:
    """Return whether an output pixel format is YUV; the others are RGB."""
    return pix_fmt.startswith(("yuv", "p010"))


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as uint8, rounded."""
    return picture if picture.dtype == np.uint8 else cv2.convertScaleAbs(picture, alpha=1 / 257)


def to_uint16(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as uint16; 255 becomes 65535."""
    return picture if picture.dtype == np.uint16 else picture.astype(np.uint16) * np.uint16(257)


def to_float(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as float32 in [0, 1]."""
    return picture.astype(np.float32) * np.float32(1 / np.iinfo(picture.dtype).max)


def with_alpha(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Join colours (H, W, 3) and alpha (H, W) of one dtype to (H, W, 4); without ``alpha`` all pixels are opaque."""
    if alpha is None:
        alpha = np.full(rgb.shape[:2], np.iinfo(rgb.dtype).max, rgb.dtype)
    return np.dstack([rgb, alpha])


def apply_format(
    rgb: np.ndarray,
    alpha: np.ndarray | None,
    frame_format: FrameFormat,
    default_background: tuple[int, int, int],
    *,
    cut_out: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Handle a picture's transparency as ``frame_format`` states: composite, keep alpha, or return the matte.

    Return the picture, (H, W, 3), and its alpha, (H, W) of the same dtype; None unless the format keeps alpha.
    ``default_background``: RGB, 8 bits, if the format has no background. ``cut_out``: something in the clip is
    transparent, so that the matte of an opaque picture is white.
    """
    full = np.iinfo(rgb.dtype).max
    if frame_format.alpha == "matte" and cut_out:
        return (np.full_like(rgb, full) if alpha is None else np.repeat(alpha[..., None], 3, axis=2)), None
    if alpha is None or (frame_format.alpha != "kept" and alpha.min() == full):
        return rgb, None
    background = default_background if frame_format.background is None else frame_format.background
    if frame_format.alpha != "kept":
        return composite_over(rgb, alpha, background), None
    background_rgb = np.array(background, rgb.dtype) * rgb.dtype.type(full // 255)
    return np.where(alpha[..., None] == 0, background_rgb, rgb), alpha


def composite_over(colours: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """Composite straight colours (H, W, 3) over ``background``; alpha (H, W) of the same dtype, uint8 or uint16."""
    full = np.iinfo(colours.dtype).max
    coverage = (alpha.astype(np.float32) / full)[..., None]
    background_rgb = np.array(background, np.float32) * (full / 255)
    return np.rint(background_rgb + coverage * (colours - background_rgb)).astype(colours.dtype)


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """Return a picture with straight alpha, (H, W, 4) uint8 or uint16, with its colours multiplied by alpha: uint16."""
    light = to_uint16(rgba).astype(np.float32)
    light[..., :3] *= light[..., 3:] / np.float32(65535)
    return np.rint(light).astype(np.uint16)


def straight(rgba: np.ndarray) -> np.ndarray:
    """Convert a picture, (H, W, 4) uint16, from premultiplied to straight alpha."""
    alpha = np.maximum(rgba[..., 3:], 1).astype(np.float64)
    colours = np.rint(np.minimum(rgba[..., :3] * (65535 / alpha), 65535)).astype(rgba.dtype)
    return np.dstack([colours, rgba[..., 3]])


def resize_alpha(rgba: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize straight-alpha (H, W, 4) uint8 or uint16; the colours of transparent pixels do not bleed into others."""
    if rgba.shape[1] == width and rgba.shape[0] == height:
        return rgba
    full = np.iinfo(rgba.dtype).max
    premultiplied = rgba.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / full
    shrinks = width < rgba.shape[1]
    resized = cv2.resize(premultiplied, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    resized[..., :3] *= full / np.maximum(resized[..., 3:], 1e-3)
    return np.rint(np.clip(resized, 0, full)).astype(rgba.dtype)


class ToRGB:
    """A converter of decoded frames to arrays of one size, in the stored orientation, with one swscale context.

    ``deep``: arrays are uint16, not uint8. ``profile``: the conversion by an ICC profile, which is used instead of the
    colour tags.
    """

    def __init__(self, width: int, height: int, *, deep: bool = False, profile: Conversion | None = None) -> None:
        self._profile = profile
        self.width, self.height, self.deep = width, height, deep
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as (height, width, 3) full range, uint8, or uint16 with ``deep``."""
        colours = frame_colours(frame)
        mapping = self._profile or colours.tone_map
        needs_16_bits = isinstance(mapping, ToneMap) and not (mapping.accepts_uint8 and colours.depth == 8)
        rgb = self._convert(frame, colours, ("gbrp", "gbrp16le"), needs_16_bits, self.width, self.height)
        rgb = mapping(rgb) if mapping else rgb
        return rgb if self.deep else to_uint8(rgb)

    def with_alpha(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame whose format has alpha as (height, width, 4), straight alpha, uint8 or uint16."""
        colours = frame_colours(frame)
        mapping = self._profile or colours.tone_map
        stored = self._convert(frame, colours, ("rgba", "gbrap16le"), mapping is not None, frame.width, frame.height)
        if mapping is not None:
            stored = with_alpha(mapping(np.ascontiguousarray(stored[..., :3])), stored[..., 3])
        stored = stored if self.deep else to_uint8(stored)
        return resize_alpha(stored, self.width, self.height)

    def _convert(
        self,
        frame: av.VideoFrame,
        colours: FrameColours,
        formats: tuple[str, str],
        needs_16_bits: bool,
        width: int,
        height: int,
    ) -> np.ndarray:
        """Convert a frame to an RGB array through FFmpeg's pixel format ``formats[0]`` (8 bits) or ``formats[1]`` (16).

        ``needs_16_bits``: the colour mapping needs a uint16 array, even without ``deep``. Formats without alpha are
        planar: for packed RGB swscale takes twice the time, and its 16 bits are wrong for subsampled chroma.
        """
        if colours.has_own_matrix:
            return self._apply_own_matrix(frame, colours, width, height)
        bits = colours.depth if colours.is_rgb else 0
        # Keep the bits of RGB: swscale truncates them where it should round, and fills added bits with zeros.
        deep = bits > 8 or (bits == 0 and (self.deep or needs_16_bits))
        converted = self._reformat(
            frame, width, height, formats[deep], colours.code_range, colours.matrix, None, ColorRange.JPEG
        )
        if deep:
            return _stretch_to_16_bits(converted.to_ndarray(), bits or 8, colours.depth)
        if converted.format.name == "gbrp":  # Copy planes, since ``to_ndarray`` takes three times as long
            planes: Any = converted.planes
            green, blue, red = [np.ndarray((p.height, p.width), np.uint8, p, 0, (p.line_size, 1)) for p in planes]
            interleaved = cv2.merge([red, green, blue])
        else:
            interleaved = converted.to_ndarray()
        return to_uint16(interleaved) if self.deep or needs_16_bits else interleaved

    def _apply_own_matrix(self, frame: av.VideoFrame, colours: FrameColours, width: int, height: int) -> np.ndarray:
        """Convert a frame to RGB by a matrix that swscale lacks: (H, W, 3) uint16, or with alpha (H, W, 4)."""
        code_range, bits = colours.code_range, colours.depth
        pix_fmt = "yuva444p16le" if colours.has_alpha else "yuv444p16le"
        same = Colorspace.ITU709  # Equal input and output matrices, so that swscale applies none
        stored = self._reformat(frame, width, height, pix_fmt, code_range, same, same, code_range).to_ndarray()
        white, full = (2**bits - 1) << (16 - bits), code_range == ColorRange.JPEG
        yuv = np.ascontiguousarray(stored[..., :3])
        rgb = rgb_of_yuv(yuv, int(frame.colorspace), int(frame.color_primaries), white, full=full)
        return with_alpha(rgb, _stretch(stored[..., 3], bits)) if colours.has_alpha else rgb

    def _reformat(
        self,
        frame: av.VideoFrame,
        width: int,
        height: int,
        pix_fmt: str,
        range_in: ColorRange,
        matrix_in: Colorspace,
        matrix_out: Colorspace | None,
        range_out: ColorRange,
    ) -> av.VideoFrame:
        """Convert a frame's size, pixel format, YUV matrix and code range by swscale."""
        return self._reformatter.reformat(
            frame,
            width,
            height,
            pix_fmt,
            src_colorspace=matrix_in,
            dst_colorspace=matrix_out,
            src_color_range=range_in,
            dst_color_range=range_out,
            interpolation=_ENLARGE if width > frame.width else _SHRINK,
            threads=1,
        )


def _stretch_to_16_bits(picture: np.ndarray, bits: int, alpha_bits: int) -> np.ndarray:
    """Stretch samples to full 16 bits: swscale pads n-bit RGB with zeros, and keeps YUV's white at an 8-bit level.

    ``bits`` and ``alpha_bits``: the bits of a colour and of an alpha sample.
    """
    colours = _stretch(picture[..., :3], bits)
    return colours if picture.shape[2] == 3 else with_alpha(colours, _stretch(picture[..., 3], alpha_bits))


def _stretch(channels: np.ndarray, bits: int) -> np.ndarray:
    """Stretch samples of ``bits`` bits, in the upper bits of uint16, to the full range of 16 bits."""
    white = (2**bits - 1) << (16 - bits)
    return channels if white == 65535 else cv2.addWeighted(channels, 65535 / white, channels, 0, 0)


class FromRGB:
    """A converter of arrays to frames for an encoder, which also scales to the output's (width, height).

    ``pix_fmt``: FFmpeg's pixel format of the frames.
    """

    def __init__(self, width: int, height: int, pix_fmt: str) -> None:
        self.width, self.height, self.pix_fmt = width, height, pix_fmt
        self._reformatter = VideoReformatter()

    def __call__(self, picture: np.ndarray) -> av.VideoFrame:
        """Convert a picture (h, w, 3), or (h, w, 4) with alpha, uint8 or uint16, of any size, to a video frame."""
        bits = 8 * picture.dtype.itemsize
        if bits == 16 and is_yuv(self.pix_fmt):  # The inverse of ``_stretch_to_16_bits``
            colours = cv2.addWeighted(picture[..., :3], 256 / 257, picture[..., :3], 0, 0)
            picture = colours if picture.shape[2] == 3 else with_alpha(colours, picture[..., 3])
        stored = np.ascontiguousarray(picture)
        pix_fmt = _ARRAY_FORMATS[bits, picture.shape[2]]
        if (self.pix_fmt, self.width, self.height) == (pix_fmt, *stored.shape[1::-1]):
            frame = av.VideoFrame.from_ndarray(stored, format=pix_fmt)  # It is not converted, and must be a copy
        else:
            frame = av.VideoFrame.from_numpy_buffer(stored, format=pix_fmt)
        return self._reformatter.reformat(
            frame,
            self.width,
            self.height,
            self.pix_fmt,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            # The ProRes encoder takes its tags from the frames.
            dst_color_trc=1,
            dst_color_primaries=1,
            interpolation=_ENLARGE if self.width > picture.shape[1] else _SHRINK,
            threads=1,
        )


class ToneMap:
    """A mapping of pictures with one transfer and one set of primaries to BT.709 SDR; see the module's docstring.

    ``transfer`` and ``primaries``: numbers of ISO/IEC 23091-2. HDR without primaries counts as BT.2020, unknown
    primaries as BT.709, an unknown transfer as common video. PQ is assumed to be mastered for 1000 cd/m².
    ``accepts_uint8``: whether 8-bit pictures can be mapped directly.
    """

    def __init__(self, transfer: int, primaries: int) -> None:
        if transfer in (PQ, HLG) and primaries == UNSPECIFIED:
            primaries = BT2020
        self._is_hlg = transfer == HLG
        self._uses_srgb_curve = transfer not in (PQ, HLG) and (primaries != BT2020 or transfer in (SRGB, *CURVES))
        self.accepts_uint8 = self._uses_srgb_curve and transfer not in CURVES
        self._light = _display_light_table(transfer, use_srgb_curve=self._uses_srgb_curve)
        source = PRIMARIES.get(primaries, PRIMARIES[BT709])
        self._source_luminance = source.to_xyz()[1:2].astype(np.float32)
        self._light_to_709 = source.to_bt709().astype(np.float32)
        # Make the table from 8-bit codes to light as an integer, which is used only for 8-bit input.
        scale = _INTEGER_WHITE - _INTEGER_BLACK
        integer_light = np.rint(self._light[::257] * scale) if self.accepts_uint8 else self._light[:256]
        self._integer_light = integer_light.astype(np.uint16)
        self._integers_to_709 = np.column_stack([self._light_to_709, np.full(3, _INTEGER_BLACK, np.float32)])
        self._luminance = PRIMARIES[BT709].to_xyz()[1:2].astype(np.float32)
        peak_nits = {PQ: PQ_PEAK_NITS, HLG: HLG_DISPLAY_NITS}.get(transfer, WHITE_NITS)
        self._tone_curve = _ToneCurve(peak_nits / WHITE_NITS)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Convert (H, W, 3) full-range RGB codes of the source to BT.709 SDR codes, both uint16.

        If ``accepts_uint8``, both may be uint8. Grey stays grey, and a brighter pixel stays brighter.
        """
        mapped = np.empty_like(rgb)
        strip = _STRIP if rgb.dtype == np.uint16 else _UINT8_STRIP
        for top in range(0, len(rgb), strip):
            mapped[top : top + strip] = self._map(rgb[top : top + strip])
        return mapped

    def _map(self, rgb: np.ndarray) -> np.ndarray:
        """Map a strip of a picture, (h, W, 3) uint8 or uint16; see ``__call__``."""
        if rgb.dtype == np.uint8:
            return self._map_uint8(rgb)
        light = cv2.LUT(rgb, self._light)
        if self._is_hlg:
            # BT.2100's OOTF, F_D = α · Y_S^(γ − 1) · E; the table contains α.
            light *= cv2.pow(cv2.transform(light, self._source_luminance), HLG_GAMMA - 1)[..., None]
        light = cv2.transform(light, self._light_to_709)
        if self._uses_srgb_curve:
            return self._srgb_codes(light, "uint16")
        if light.min() < 0:
            light = self._fit_gamut(light)
        if light.max() > self._tone_curve.knee:
            light = self._roll_off(light)
        cv2.pow(light, 1 / SDR_GAMMA, light)
        return np.rint(light * np.float32(_NUM_CODES - 1)).astype(np.uint16)

    def _map_uint8(self, rgb: np.ndarray) -> np.ndarray:
        """Map 8-bit codes in integers, which takes a quarter of the time; colours outside BT.709 are mapped exactly."""
        light_709 = cv2.transform(cv2.LUT(rgb, self._integer_light), self._integers_to_709)
        codes = cv2.LUT(light_709, _srgb_codes_of_integers())
        if light_709.min() < _INTEGER_BLACK or light_709.max() > _INTEGER_WHITE:
            # Select the pixels outside BT.709 by their indices, because a boolean mask takes ten times as long.
            outside = np.flatnonzero(cv2.inRange(light_709, (_INTEGER_BLACK,) * 3, (_INTEGER_WHITE,) * 3) == 0)
            colours = rgb.reshape(-1, 3).take(outside, axis=0)[None]
            light = cv2.transform(cv2.LUT(colours, self._light[::257]), self._light_to_709)
            codes.reshape(-1, 3)[outside] = self._srgb_codes(light, "uint8")[0]
        return codes

    def _srgb_codes(self, light: np.ndarray, dtype: str) -> np.ndarray:
        """Fit linear ``light`` outside BT.709 into the gamut, and convert it to codes of a dtype by the sRGB curve."""
        red, green, blue = cv2.split(light)
        outside = (cv2.min(cv2.min(red, green), blue) < 0) | (cv2.max(cv2.max(red, green), blue) > 1)
        if outside.any():
            light[outside] = self._roll_off(self._fit_gamut(light[outside][None]))[0]
        roots = cv2.sqrt(light) * np.float32(_NUM_CODES - 1) + np.float32(0.5)
        return cv2.LUT(roots.astype(np.uint16), _srgb_code_table(dtype))

    def _fit_gamut(self, light: np.ndarray) -> np.ndarray:
        """Clip negative R, G and B to 0 and scale the rest to the original luminance."""
        inside = np.maximum(light, 0)
        luminance, clipped_luminance = (cv2.transform(rgb, self._luminance) for rgb in (light, inside))
        inside *= (luminance / np.maximum(clipped_luminance, _EPSILON))[..., None]
        return inside

    def _roll_off(self, light: np.ndarray) -> np.ndarray:
        """Compress linear light, (h, w, 3) float32 in units of SDR white, to at most 1 by the tone curve."""
        red, green, blue = cv2.split(light)
        maximum = np.maximum(cv2.max(cv2.max(red, green), blue), _EPSILON)
        minimum = cv2.min(cv2.min(red, green), blue)
        # Vivid colours keep their ratios; for pale colours the curve is applied to each channel.
        mapped = light * (self._tone_curve(maximum) / maximum)[..., None]
        difference = self._tone_curve(light)
        difference -= mapped
        difference *= np.sqrt(minimum / maximum)[..., None]
        mapped += difference
        return mapped


@cache
def _srgb_code_table(dtype: str) -> np.ndarray:
    """Return a table (65,536,) of sRGB codes of a dtype, for square roots of light in even steps from 0 to 1."""
    light = np.linspace(0, 1, _NUM_CODES).astype(np.float32) ** 2
    return np.rint(code_of_light(light[None])[0] * np.float32(np.iinfo(dtype).max)).astype(dtype)


@cache
def _srgb_codes_of_integers() -> np.ndarray:
    """Return a table (65,536,) of sRGB codes, uint8, by light as an integer; ``_INTEGER_BLACK`` is light 0."""
    integers = np.arange(_NUM_CODES)
    light = np.clip((integers - _INTEGER_BLACK) / (_INTEGER_WHITE - _INTEGER_BLACK), 0, 1).astype(np.float32)
    return np.rint(code_of_light(light[None])[0] * np.float32(255)).astype(np.uint8)


class _ToneCurve:
    """A tone curve from light to light in units of SDR white, at most 1: identity below the knee, then a table.

    ``peak``: the highest light of the source, in units of SDR white.
    """

    def __init__(self, peak: float) -> None:
        self.knee = _knee(peak)
        # The table has even steps of the square root, because the curve bends most at the knee.
        table = _bt2390(self.knee + (peak - self.knee) * np.linspace(0, 1, _NUM_CODES) ** 2, peak)
        self._table = table.astype(np.float32)
        self._scale = np.float32(1 / (peak - self.knee)) if peak > self.knee else np.float32(0)

    def __call__(self, light: np.ndarray) -> np.ndarray:
        """Apply the curve to light, float32 of any shape."""
        steps = np.sqrt(np.clip((light - self.knee) * self._scale, 0, 1)) * np.float32(_NUM_CODES - 1)
        return np.where(light < self.knee, light, self._table[np.rint(steps).astype(np.int32)])


def _knee(peak: float) -> float:
    """Return the light, in units of SDR white, up to which the EETF for a ``peak`` changes nothing."""
    top, white = pq_of_nits(np.array([peak, 1.0]) * WHITE_NITS)
    return float(nits_of_pq((1 + KNEE_OFFSET) * white - KNEE_OFFSET * top)) / WHITE_NITS


def _bt2390(light: np.ndarray, peak: float) -> np.ndarray:
    """Apply the EETF of ITU-R BT.2390 (annex 5), from ``peak`` down to 1, to light from the knee to the peak.

    All values are float64, in units of SDR white.
    """
    top, white, start = pq_of_nits(np.array([peak, 1.0, _knee(peak)]) * WHITE_NITS)
    start, target = start / top, white / top
    t = np.clip((pq_of_nits(light * WHITE_NITS) / top - start) / max(1 - start, 1e-9), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * start + (t**3 - 2 * t**2 + t) * (1 - start) + (-2 * t**3 + 3 * t**2) * target
    return np.clip(nits_of_pq(spline * top) / WHITE_NITS, 0, 1)


def nits_of_pq(code: np.ndarray) -> np.ndarray:
    """Apply the EOTF of SMPTE ST 2084: code values 0 … 1 to cd/m², 0 … 10,000, in float64."""
    power = np.power(code, 1 / _M2)
    return 10000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def pq_of_nits(nits: np.ndarray) -> np.ndarray:
    """Apply the inverse EOTF of SMPTE ST 2084: cd/m², 0 … 10,000, to code values 0 … 1."""
    power = np.power(nits / 10000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def _display_light_table(transfer: int, *, use_srgb_curve: bool) -> np.ndarray:
    """Return a table of the display light of 65,536 codes, float32; the light of SDR white is 1.

    For HLG it is α^(1/γ) times the scene light. ``use_srgb_curve``: common video is displayed by the sRGB curve, not by
    BT.1886.
    """
    code = np.linspace(0, 1, _NUM_CODES)
    if transfer == PQ:
        light = nits_of_pq(code) / WHITE_NITS
    elif transfer == HLG:  # The inverse OETF of ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        light = scene * (HLG_DISPLAY_NITS / WHITE_NITS) ** (1 / HLG_GAMMA)
    elif transfer in CURVES:
        light = CURVES[transfer](code)
    elif use_srgb_curve:
        return light_of_codes("uint16")
    else:
        light = code**SDR_GAMMA
    return light.astype(np.float32)
