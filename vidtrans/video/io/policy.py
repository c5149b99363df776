"""Describe the unusual properties of a clip and how each is handled: the whole reading policy is in this file."""

from __future__ import annotations

from collections.abc import Iterable

from vidtrans.core.costs import count
from vidtrans.video.colour.tags import BT709, HD_LINES, SD_PRIMARIES, mapped_colours
from vidtrans.video.io.clip import ClipIndex, Findings
from vidtrans.video.io.container import MediaInfo
from vidtrans.video.io.encoding import CONTAINERS, codecs_with_alpha, codecs_with_depth
from vidtrans.video.side_data import (
    DOLBY_VISION_ONLY,
    NO_CROP,
    STEREO_TEXTS,
    Decision,
    can_hold_projection,
    can_hold_stereo,
    texts_by_decision,
)

# Texts on the mapping of colours, by the value of ``Findings.colour``.
COLOUR_MAPPING_TEXTS = {
    "PQ": "HDR (PQ): mapped to SDR, BT.709",
    "HLG": "HDR (HLG): mapped to SDR, BT.709",
    "wide": "BT.2020 colours: mapped to BT.709",
}
# Warning on clips without a compatible base layer, with a place for the profile.
DOLBY_VISION_WARNING = (
    "Dolby Vision profile {}: without its own conversion its colours (IPT-PQ) come out green and purple"
)
# Values of ``Findings.colour`` for standard definition, mapped without a warning: near BT.709 and usual there.
_SD_COLOURS = {mapped_colours(number, BT709) for number in SD_PRIMARIES}


def describe_conversions(index: ClipIndex) -> list[str]:
    """Return the conversions and repairs needed to read a clip, as warnings shown whenever it is used."""
    findings, lines = index.findings, []
    if findings.damage:
        lines.append(f"damaged: {findings.damage}; the other frames are used, and each frame keeps its time")
    lines += _timestamp_warnings(index)
    num_listed = index.num_frames_from_header
    if not findings.damage and not findings.hidden and not index.names and 0 < index.num_frames < num_listed:
        lines.append(f"its header lists {count(num_listed, 'frame')}, it has {index.num_frames}")
    if findings.gaps > findings.restarts and not findings.damage:
        places = count(findings.gaps, "place")
        lines.append(f"frames are missing in {places}, or takes were joined there: each frame keeps its time")
    if findings.holes and not findings.damage and not findings.gaps:
        lines.append(f"its times have gaps for {count(findings.holes, 'frame')}: dropped by the camera, or lost later")
    if findings.colour and findings.colour not in _SD_COLOURS:
        lines.append(_colour_mapping(findings))
    if findings.unread:
        line = f"not used: {findings.unread}, so its colours may be wrong"
        lines.append(f"{line}: convert it first if they look so")
    if findings.dolby_vision in DOLBY_VISION_ONLY:
        lines.append(DOLBY_VISION_WARNING.format(findings.dolby_vision))
    lines += texts_by_decision(findings.side_data, Decision.LOST)
    lines += findings.notes
    if findings.interlaced:
        frames = count(findings.interlaced, "frame")
        lines.append(f"interlaced ({frames}): one progressive frame is made of each (bwdif)")
    if findings.resized:
        lines.append(
            f"{count(findings.resized, 'frame')} of another size than the first: scaled to {index.width}x{index.height}"
        )
    return lines


def _timestamp_warnings(index: ClipIndex) -> list[str]:
    """Return a warning on timestamps that were repaired or assumed; [] without any."""
    if index.findings.no_rate and not index.names:
        return ["it has neither times nor a frame rate: 25 frames/s are assumed; if wrong, wrap it with its rate"]
    if restarts := index.findings.restarts:
        places = f"{count(restarts, 'place')}, where recordings were joined"
        return [f"its clock starts again in {places}: pictures, sound and subtitles follow on"]
    if not index.num_rebuilt_pts:
        return []
    if index.num_rebuilt_pts == index.num_frames:
        return [f"it has no times: its own header says {float(index.rate):.5g} frames/s"]
    frames = count(index.num_rebuilt_pts, "frame")
    return [f"{frames} had no timestamp, or a wrong one: repaired from the others and the frame rate"]


def describe_properties(info: MediaInfo, index: ClipIndex) -> list[str]:
    """Return the unusual properties of a video that need no warning but may interest an artist."""
    return [*_frame_properties(index), *_file_properties(info, index), *_side_data_properties(info, index)]


def _frame_properties(index: ClipIndex) -> list[str]:
    """Return texts on unusual times and shapes of frames."""
    findings, lines = index.findings, []
    gaps = index.durations()[:-1] or [0]
    spread = max(gaps) - min(gaps)
    # Report durations that differ by more than the rounding of the time base.
    if not findings.damage and not findings.holes and spread > 1 and spread > 0.01 * max(gaps):
        slowest, fastest = (1 / float(gap * index.time_base) for gap in (max(gaps), min(gaps)))
        rates = f"{slowest:.2f} to {fastest:.2f} frames/s"
        lines.append(f"variable frame rate ({rates}): every frame keeps its time; --fps N makes it constant")
    if findings.turned:
        lines.append("stored turned or mirrored: read upright, and written so")
    if index.sample_aspect_ratio != 1:
        aspect = index.sample_aspect_ratio
        display_width = round(index.width * aspect)
        lines.append(f"its pixels are not square ({aspect}): shown {display_width}x{index.height}, the aspect is kept")
    if findings.plays is not None:
        plays = count(findings.plays, "time") if findings.plays else "endlessly"
        lines.append(f"an animation that is played {plays}: kept in a GIF")
    if findings.hidden:
        lines.append(f"its edit list leaves out {count(findings.hidden, 'frame')}, here as in a player")
    return lines


def _file_properties(info: MediaInfo, index: ClipIndex) -> list[str]:
    """Return texts on unusual formats, colours and tracks."""
    findings, lines = index.findings, []
    if findings.alpha:
        lines.append(f"has transparency: kept by --codec {', '.join(codecs_with_alpha())}, else laid on black")
    if findings.depth > 8:
        lines.append(f"{findings.depth} bits a channel: kept by --codec {', '.join(codecs_with_depth())}")
    if index.width % 2 or index.height % 2:
        lines.append("odd size: H.264 and H.265 become 4:4:4, which not every player shows")
    if findings.matrix == "untagged" and not info.is_rgb:
        matrix = "BT.709" if info.height >= HD_LINES else "BT.601"
        lines.append(f"its colours are not tagged: taken for {matrix}, limited range unless its pixel format says full")
    lines += _unused_tracks(info)
    if info.offset_s and abs(info.offset_s) >= 0.001:
        lines.append(f"pictures begin {info.offset_s:+.3f} s from the sound: kept")
    if index.zero > 0:
        lines.append(f"its clock begins at {float(index.zero * index.time_base):.3f} s: counted from 0 in results")
    if findings.colour in _SD_COLOURS:
        lines.append(_colour_mapping(findings))
    if index.num_frames == 1 and not index.names:
        lines.append("a single frame: enough to render, not to learn motion from")
    return lines


def _unused_tracks(info: MediaInfo) -> list[str]:
    """Return texts on the video, sound and subtitle tracks that are not used."""
    lines = []
    if info.num_video_streams > 1:
        lines.append(f"{info.num_video_streams} video tracks: number {info.stream_index} is used")
    return [*lines, f"not used: {', '.join(info.not_used)}"] if info.not_used else lines


def _side_data_properties(info: MediaInfo, index: ClipIndex) -> list[str]:
    """Return texts on the side data of the track and its frames, and on their use."""
    lines, findings = [], index.findings
    others = texts_by_decision(findings.side_data, Decision.NAMED)
    if info.crop != NO_CROP:
        lines.append(f"its container crops it to {index.width}x{index.height}: read so, as players show it")
    if findings.dolby_vision:
        others = [text for text in others if text != "Dolby Vision"]
        if findings.dolby_vision not in DOLBY_VISION_ONLY:
            profile = f"Dolby Vision profile {findings.dolby_vision}"
            lines.append(f"{profile}: its base layer is read, as by players without it")
    if findings.stereo:
        containers = _container_text(can_hold_stereo(name, findings.stereo) for name in CONTAINERS.values())
        lines.append(f"stereo 3D, both views in a frame, {STEREO_TEXTS[findings.stereo]}: {containers}")
    if findings.projection:
        containers = _container_text(can_hold_projection(name, findings.projection) for name in CONTAINERS.values())
        lines.append(f"spherical ({findings.projection}): {containers}")
    if others:
        lines.append(f"in its frames, not used: {', '.join(others)}")
    return lines


def _container_text(can_hold: Iterable[bool]) -> str:
    """Return a text with the containers that can hold a property; ``can_hold``: a flag for each of ``CONTAINERS``."""
    endings = [f".{ending}" for ending, is_able in zip(CONTAINERS, can_hold, strict=True) if is_able]
    return f"kept in {', '.join(endings)}" if endings else "not kept"


def _colour_mapping(findings: Findings) -> str:
    """Return a text on the colours of a clip that are mapped to BT.709."""
    return COLOUR_MAPPING_TEXTS.get(findings.colour, f"{findings.colour}: mapped to BT.709")
