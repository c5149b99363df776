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
    STEREO_WORDS,
    Decision,
    holds_projection,
    holds_stereo,
    texts_of,
)

COLOURS = {
    "PQ": "HDR (PQ): mapped to SDR, BT.709",
    "HLG": "HDR (HLG): mapped to SDR, BT.709",
    "wide": "BT.2020 colours: mapped to BT.709",
}
DOLBY_VISION = "Dolby Vision profile {}: without its own conversion its colours (IPT-PQ) come out green and purple"
# Near BT.709, and usual for their size.
_SD_COLOURS = {mapped_colours(number, BT709) for number in SD_PRIMARIES}


def describe_conversions(index: ClipIndex) -> list[str]:
    """Return the conversions and repairs needed to read a clip, as warnings that appear whenever it is used."""
    found, lines = index.findings, []
    if found.damage:
        lines.append(f"damaged: {found.damage}; the other frames are used, and each frame keeps its time")
    lines += _of_times(index)
    promised = index.num_frames_from_header
    if not found.damage and not found.hidden and not index.names and 0 < index.num_frames < promised:
        lines.append(f"its header lists {count(promised, 'frame')}, it has {index.num_frames}")
    if found.gaps > found.restarts and not found.damage:
        lines.append(
            f"frames are missing in {count(found.gaps, 'place')}, or takes were joined there: each frame keeps its time"
        )
    if found.holes and not found.damage and not found.gaps:
        lines.append(f"its times have gaps for {count(found.holes, 'frame')}: dropped by the camera, or lost later")
    if found.colour and found.colour not in _SD_COLOURS:
        lines.append(_mapping(found))
    if found.unread:
        line = f"not used: {found.unread}, so its colours may be wrong"
        lines.append(f"{line}: convert it first if they look so")
    if found.dolby_vision in DOLBY_VISION_ONLY:
        lines.append(DOLBY_VISION.format(found.dolby_vision))
    lines += texts_of(found.side_data, Decision.LOST)
    lines += found.notes
    if found.interlaced:
        lines.append(f"interlaced ({count(found.interlaced, 'frame')}): one progressive frame is made of each (bwdif)")
    if found.resized:
        lines.append(
            f"{count(found.resized, 'frame')} of another size than the first: scaled to {index.width}x{index.height}"
        )
    return lines


def _of_times(index: ClipIndex) -> list[str]:
    """Return a warning on timestamps that were repaired or assumed; [] if there were none."""
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
    """Return other unusual properties of a video that an artist may want to know."""
    return [*_of_frames(index), *_of_file(info, index), *_of_side_data(info, index)]


def _of_frames(index: ClipIndex) -> list[str]:
    """Return the unusual properties of the times and shapes of frames."""
    found, lines = index.findings, []
    gaps = index.durations()[:-1] or [0]
    spread = max(gaps) - min(gaps)
    # More than the rounding of the time base.
    if not found.damage and not found.holes and spread > 1 and spread > 0.01 * max(gaps):
        slowest, fastest = (1 / float(gap * index.time_base) for gap in (max(gaps), min(gaps)))
        rates = f"{slowest:.2f} to {fastest:.2f} frames/s"
        lines.append(f"variable frame rate ({rates}): every frame keeps its time; --fps N makes it constant")
    if found.turned:
        lines.append("stored turned or mirrored: read upright, and written so")
    if index.sample_aspect_ratio != 1:
        aspect = index.sample_aspect_ratio
        shown = round(index.width * aspect)
        lines.append(f"its pixels are not square ({aspect}): shown {shown}x{index.height}, the aspect is kept")
    if found.plays is not None:
        often = count(found.plays, "time") if found.plays else "endlessly"
        lines.append(f"an animation that is played {often}: kept in a GIF")
    if found.hidden:
        lines.append(f"its edit list leaves out {count(found.hidden, 'frame')}, here as in a player")
    return lines


def _of_file(info: MediaInfo, index: ClipIndex) -> list[str]:
    """Return the unusual properties of formats, colours and tracks."""
    found, lines = index.findings, []
    if found.alpha:
        lines.append(f"has transparency: kept by --codec {', '.join(codecs_with_alpha())}, else laid on black")
    if found.depth > 8:
        lines.append(f"{found.depth} bits a channel: kept by --codec {', '.join(codecs_with_depth())}")
    if index.width % 2 or index.height % 2:
        lines.append("odd size: H.264 and H.265 become 4:4:4, which not every player shows")
    if found.matrix == "untagged" and not info.is_rgb:
        taken = "BT.709" if info.height >= HD_LINES else "BT.601"
        lines.append(f"its colours are not tagged: taken for {taken}, limited range unless its pixel format says full")
    lines += _of_tracks(info)
    if info.offset_s and abs(info.offset_s) >= 0.001:
        lines.append(f"pictures begin {info.offset_s:+.3f} s from the sound: kept")
    if index.zero > 0:
        lines.append(f"its clock begins at {float(index.zero * index.time_base):.3f} s: counted from 0 in results")
    if found.colour in _SD_COLOURS:
        lines.append(_mapping(found))
    if index.num_frames == 1 and not index.names:
        lines.append("a single frame: enough to render, not to learn motion from")
    return lines


def _of_tracks(info: MediaInfo) -> list[str]:
    """Return the tracks that are not used."""
    several = info.num_video_streams > 1
    lines = [f"{info.num_video_streams} video tracks: number {info.stream_index} is used"] if several else []
    return [*lines, f"not used: {', '.join(info.not_used)}"] if info.not_used else lines


def _of_side_data(info: MediaInfo, index: ClipIndex) -> list[str]:
    """Return the side data of the track and its frames, and how they are used."""
    lines, found = [], index.findings
    others = texts_of(found.side_data, Decision.NAMED)
    if info.crop != NO_CROP:
        lines.append(f"its container crops it to {index.width}x{index.height}: read so, as players show it")
    if found.dolby_vision:
        others = [text for text in others if text != "Dolby Vision"]
        if found.dolby_vision not in DOLBY_VISION_ONLY:
            lines.append(f"Dolby Vision profile {found.dolby_vision}: its base layer is read, as by players without it")
    if found.stereo:
        kept = _kept(holds_stereo(kind, found.stereo) for kind in CONTAINERS.values())
        lines.append(f"stereo 3D, both views in a frame, {STEREO_WORDS[found.stereo]}: {kept}")
    if found.projection:
        kept = _kept(holds_projection(kind, found.projection) for kind in CONTAINERS.values())
        lines.append(f"spherical ({found.projection}): {kept}")
    if others:
        lines.append(f"in its frames, not used: {', '.join(others)}")
    return lines


def _kept(held: Iterable[bool]) -> str:
    """Return a text that names the containers that hold something; ``held``: whether each of ``CONTAINERS`` does."""
    endings = [f".{ending}" for ending, is_held in zip(CONTAINERS, held, strict=True) if is_held]
    return f"kept in {', '.join(endings)}" if endings else "not kept"


def _mapping(found: Findings) -> str:
    return COLOURS.get(found.colour, f"{found.colour}: mapped to BT.709")
