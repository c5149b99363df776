"""Masks that are found in a clip's own pictures, and the masks of files, behind one interface.

Each term of a mask (people, faces, a screen, a colour, a brightness) has an entry of the cache with the mattes of
chunks of frames, which any render of the clip shares. The people of a chunk are searched for at both of its ends and
followed in between, forwards and backwards, at a small size; where both ends disagree, the mattes fade. Single frames'
mattes boil, so each becomes the median of three along the optical flow; its edge is then drawn along the picture's by a
guided filter (He et al., ECCV 2010).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip, content_digest
from vidtrans.clips.masks import Feather, Mask, MaskOfClip, MatteReader, no_feather
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress, Stop
from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.mask_files import COLOUR, FACE, FILE, INVERTED_PREFIX, KEY, PERSON, MaskFile, MaskTerm, mask_text
from vidtrans.core.settings import Size, Table
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import flow_consistency, halve, resize_flow, warp
from vidtrans.masking.keying import VERSION as KEYING_VERSION
from vidtrans.masking.keying import Screen, colour_matte, find_screen, key_screen, luma_matte
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk, cut_into_chunks
from vidtrans.store.chunks import ChunkStore, RawOutputs
from vidtrans.store.stages import FoundMaskStage, libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

if TYPE_CHECKING:
    from vidtrans.perception.people import FaceFinder, Found, PersonFinder

VERSION = 1  # Version of found masks, for cache keys
CHUNK_FRAMES = 24  # Frames of a chunk, at whose ends people are searched for
PROBE_STEP = 8  # Frames from one to the next within a chunk, in which a glance shows whether to search there, too
# Frames in which a chunk fades to what the next one begins with; difference, relative to that, up to which it does not
JOIN_FRAMES, MAX_STEP = 8, 0.05
SEARCH_SIDE_PX = 360  # Short side, in pixels, of the frames in which people and faces are found
MAX_SIDE_PX = 1080  # Largest short side of stored mattes, in pixels
SCREEN_SAMPLES = 9  # Frames in which a screen is searched for
GUIDE_RADIUS_PX, GUIDE_NOISE = 6, 2e-4  # Window of the guided filter, in pixels of the small matte; its ε
OCCUPIED = 0.5  # Value of a matte from which something was found in a frame
LABELS = {PERSON: "the people", FACE: "the faces", KEY: "what stands before the screen"}


def open_mask(mask: MaskFile, clip: Clip, first: int, stop: int, context: Context) -> MaskOfClip:
    """Open a mask for the frames [first, stop) of a clip: that of a file, or one found in the pictures.

    What is not in the cache yet is found now, but not in a dry run. Raises MediaError, UsageError, Interrupted.
    """
    if not mask.terms:
        return Mask.open(mask, clip, first, stop, context)
    found = FoundMask.open(mask, clip, first, stop, context)
    if not context.dry_run:
        found.find(context)
    return found


def mask_digest(context: Context, mask: MaskFile) -> str:
    """Return the digest of a mask's files, terms and inversion. Raises MediaError."""
    digest = " ".join(content_digest(context, path) for path in mask.files)
    if mask.terms:
        terms = [["" if term.kind == FILE else str(term), term.inverted, term.is_subtracted] for term in mask.terms]
        return digest_of([terms, digest, _methods(), mask.inverted])
    if mask.sequence is not None:  # The whole sequence decides which levels are inside
        digest += " " + content_digest(context, mask.sequence)
    return f"{INVERTED_PREFIX}{digest}" if mask.inverted else digest


def _methods() -> str:
    """Return the versions of all methods, with the networks' digests."""
    from vidtrans.perception.people import identity  # Imports torch

    return f"{VERSION} {KEYING_VERSION} {FoundMaskStage.id()} {identity()}"


@dataclass(frozen=True)
class FoundMask:
    """A mask for the frames [first, stop) of a clip that is found in the clip's pictures.

    ``terms``: each term with its mattes.
    """

    clip: Clip
    first: int
    stop: int
    inverted: bool
    terms: Sequence[tuple[MaskTerm, FoundTerm | Mask]]

    @classmethod
    def open(cls, mask: MaskFile, clip: Clip, first: int, stop: int, context: Context) -> FoundMask:
        """Open a mask; nothing is found yet. Raises MediaError, UsageError for ``key`` without a screen."""
        if not clip.index.same_size:
            raise UsageError(f"--mask {mask.path}", f"the pictures of {clip.name} are of several sizes", "give files")
        terms: list[tuple[MaskTerm, FoundTerm | Mask]] = []
        for term in mask.terms:
            if term.kind == FILE:
                opened = Mask.open(MaskFile(Path(term.value)), clip, first, stop, context)
                terms.append((term, opened))
            else:
                terms.append((term, FoundTerm.of(term, clip, first, stop, context)))
        return cls(clip, first, stop, mask.inverted, terms)

    @property
    def label(self) -> str:
        """Return the mask's terms, as the user may write them."""
        return mask_text(MaskFile(Path(), terms=tuple(term for term, _ in self.terms)))

    @property
    def steps(self) -> range:
        """Return the numbers of the frames that have a matte."""
        return range(self.first, self.stop)

    def find(self, context: Context) -> None:
        """Find all terms in the frames that are used, unless they are cached; report where nothing was found."""
        for term, mattes in self.terms:
            if isinstance(mattes, FoundTerm):
                mattes.find(context)
                if not mattes.num_occupied():
                    side = "everything" if term.inverted else "nothing"
                    what = {PERSON: "nobody", FACE: "no face"}.get(term.kind, "nothing of it")
                    text = f"mask {term}: {what} is found in the frames that are used, so {side} is inside it"
                    context.note_once(text, self.clip.path, "warning")

    def for_key(self) -> Table:
        """Return the properties that affect the mattes, for cache keys."""
        terms = [
            [term.inverted, term.is_subtracted, mattes.for_key() if isinstance(mattes, Mask) else mattes.entry.key]
            for term, mattes in self.terms
        ]
        return {"found": terms} | ({"inverted": True} if self.inverted else {})

    def mattes(self, size: tuple[int, int], threads: int, feather: Feather = no_feather) -> MatteReader:
        """Return a reader of the mattes at a (width, height), blurred by σ = ``feather(frame)`` pixels."""
        read = partial(self._frames, size, threads)
        return MatteReader(list(self.steps), self.first, read, feather, inverted=self.inverted)

    def _frames(self, size: tuple[int, int], threads: int, start: int) -> Generator[Frame, None, None]:
        """Yield the combined mattes as frames (H, W, 3) uint8 from frame ``start`` on."""
        with ExitStack() as stack:
            readers = [
                stack.enter_context(closing(_term_mattes(mattes, size, threads, range(start, self.stop))))
                for _, mattes in self.terms
            ]
            for number in range(start, self.stop):
                whole = np.zeros(size[::-1], np.uint8)
                for (term, _), reader in zip(self.terms, readers, strict=True):
                    matte = next(reader)
                    matte = cv2.bitwise_not(matte) if term.inverted else matte
                    if term.is_subtracted:
                        whole = cv2.multiply(whole, cv2.bitwise_not(matte), scale=1 / 255)
                    else:
                        whole = cv2.max(whole, matte)
                yield Frame(number, self.clip.index.pts[number], cv2.cvtColor(whole, cv2.COLOR_GRAY2RGB))


def _term_mattes(
    mattes: FoundTerm | Mask, size: tuple[int, int], threads: int, frames: range
) -> Generator[np.ndarray, None, None]:
    """Yield the mattes (H, W) uint8 of one term at a (width, height)."""
    if isinstance(mattes, FoundTerm):
        with closing(mattes.reader(threads, frames)) as found:
            for matte in found:
                yield matte if matte.shape[::-1] == size else resize(matte, *size)
    else:
        with closing(mattes.mattes(size, threads)) as reader:
            for number in frames:
                yield reader(number)


@dataclass(eq=False)
class FoundTerm:
    """The mattes of one term in the chunks of a clip that the frames [first, stop) need.

    Attributes:
        term: The term.
        clip: The clip.
        first: The first frame that is used.
        stop: The frame after the last one that is used.
        screen: The screen of a key; None for other terms.
        entry: The entry of the cache with the mattes of chunks.
        is_trial: Whether mattes are made for each frame alone, and not stored, as in a dry run.
    """

    term: MaskTerm
    clip: Clip
    first: int
    stop: int
    screen: Screen | None
    entry: CacheEntry
    is_trial: bool

    @classmethod
    def of(cls, term: MaskTerm, clip: Clip, first: int, stop: int, context: Context) -> FoundTerm:
        """Return the mattes of a term; nothing is found yet but the screen. Raises UsageError without one."""
        screen = _screen(term, clip, context) if term.kind == KEY else None
        stage = FoundMaskStage(
            source=clip.digest,
            shots=list(clip.shots),
            term=str(MaskTerm(term.kind, term.value, term.low, term.high)),
            screen=[screen.channel, *(round(value, 4) for value in screen.colour)] if screen else [],
            method=_methods(),
            libraries=libraries("av", "numpy", "opencv-python-headless", "torch"),
        )
        return cls(term, clip, first, stop, screen, context.cache.entry(stage.name, stage.key), context.dry_run)

    @property
    def size(self) -> tuple[int, int]:
        """Return the (width, height) of stored mattes: that of the clip, within a limit."""
        whole = self.clip.index.width, self.clip.index.height
        return whole if min(whole) <= MAX_SIDE_PX else Size(short=MAX_SIDE_PX).of(*whole)

    @property
    def chunks(self) -> list[Chunk]:
        """Return all chunks of the clip; their numbers do not depend on the frames that are used."""
        return cut_into_chunks(0, self.clip.index.num_frames, self.clip.shots, CHUNK_FRAMES)

    def find(self, context: Context) -> None:
        """Make and store the mattes of the missing chunks. Raises Interrupted, MediaError."""
        chunks = [chunk for chunk in self.chunks if chunk.first < self.stop and self.first < chunk.stop]
        with self.entry.locked(wait_for=f"another run that looks for a mask in {self.clip.name}"):
            store = ChunkStore(self.entry, ".nut")
            missing = [chunk for chunk in chunks if not store.is_done(chunk.number) or self._count(chunk) is None]
            total, done = sum(chunk.stop - chunk.first for chunk in missing), 0
            mattes_of = _MATTE_MAKERS.get(self.term.kind, _pixel_mattes)(self, context)
            outputs = RawOutputs(store, self.chunks, self.size)
            with closing(outputs):
                for chunk in missing:
                    occupied = 0
                    for number, matte in zip(range(chunk.first, chunk.stop), mattes_of(chunk), strict=True):
                        occupied += int(cv2.minMaxLoc(matte)[1] > OCCUPIED * 255)
                        if number == chunk.stop - 1:
                            write_json(self._count_path(chunk), {"occupied": occupied})
                        outputs.write(number, cv2.cvtColor(matte, cv2.COLOR_GRAY2RGB))
                        done += 1
                        what = LABELS.get(self.term.kind, str(self.term))
                        context.report(Progress(f"finding {what} in {self.clip.name}", done, total))
                        context.stop.check()
            self.entry.finish({"term": str(self.term)})
            pin = self.entry.pin()
            weakref.finalize(self, pin.release)  # A batch drops its masks one after the other

    def num_occupied(self) -> int:
        """Return the number of frames, in the chunks that are used, in which something was found."""
        chunks = [chunk for chunk in self.chunks if chunk.first < self.stop and self.first < chunk.stop]
        return sum(self._count(chunk) or 0 for chunk in chunks)

    def _count(self, chunk: Chunk) -> int | None:
        """Return the number of a chunk's frames in which something was found; None if it is missing or damaged."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(read_small_json(self._count_path(chunk))["occupied"])
        return None

    def _count_path(self, chunk: Chunk) -> Path:
        """Return the file with the number of a chunk's frames in which something was found."""
        return self.entry.folder / f"occupied-{chunk.number:06d}.json"

    def reader(self, threads: int, frames: range) -> Generator[np.ndarray, None, None]:
        """Yield the mattes, (H, W) uint8, of consecutive frames; in a trial each is made from the frame alone."""
        if self.is_trial:
            with closing(self.clip.frames(FrameFormat(Size(exact=self.size)), threads, frames.start)) as read:
                yield from (self._trial_matte(frame.rgb) for frame in read)
            return
        outputs = RawOutputs(ChunkStore(self.entry, ".nut"), self.chunks, self.size)
        with closing(outputs):
            for number in frames:
                found = outputs.read(number)
                assert found is not None  # ``find`` stored it, and it is pinned
                yield cv2.extractChannel(found, 0)

    def pixel_matte(self, frame: np.ndarray) -> np.ndarray:
        """Return the matte of a screen, a colour or a brightness, (H, W) float32, of a frame (H, W, 3) uint8."""
        if self.screen is not None:
            return key_screen(frame, self.screen)
        if self.term.kind == COLOUR:
            return colour_matte(frame, self.term.value, self.term.low)
        return luma_matte(frame, self.term.low, self.term.high)

    def _trial_matte(self, frame: np.ndarray) -> np.ndarray:
        """Return the matte of a frame (H, W, 3) uint8, not followed over time, (H, W) uint8."""
        if self.term.kind not in (PERSON, FACE):
            return _to_levels(self.pixel_matte(frame))
        from vidtrans.perception.people import FINDERS

        small = cv2.resize(frame, _search_size(self.size), interpolation=cv2.INTER_AREA)
        found = FINDERS[self.term.kind]().search(small)
        whole = np.maximum.reduce([one.matte for one in found]) if found else np.zeros(small.shape[:2], np.float32)
        return _to_levels(draw_edge(whole, small, frame))


def _pixel_mattes(term: FoundTerm, context: Context) -> Callable[[Chunk], Iterator[np.ndarray]]:
    """Return a function that yields the mattes (H, W) uint8 of a chunk's frames, each made from its frame alone."""
    form = FrameFormat(Size(exact=term.size))

    def mattes(chunk: Chunk) -> Iterator[np.ndarray]:
        """Yield the mattes of a chunk's frames."""
        with closing(term.clip.frames(form, context.decode_threads, chunk.first, chunk.stop)) as frames:
            yield from (_to_levels(term.pixel_matte(frame.rgb)) for frame in frames)

    return mattes


def _followed_mattes(term: FoundTerm, context: Context) -> Callable[[Chunk], Iterator[np.ndarray]]:
    """Return a function that yields the mattes (H, W) uint8 of a chunk's people or faces."""
    from vidtrans.perception.people import FINDERS

    finder, size = FINDERS[term.term.kind](), _search_size(term.size)
    # The last search: a chunk's end is the next chunk's beginning. What was followed to there is not part of it, so
    # that the mattes of a chunk do not depend on the chunks made before.
    searched: dict[int, list[Found]] = {}

    def mattes(chunk: Chunk) -> Iterator[np.ndarray]:
        """Yield the mattes of a chunk's frames."""
        span = range(max(chunk.shot_first, chunk.first - 1), min(chunk.shot_stop, chunk.stop + 1))
        form = FrameFormat(Size(exact=size))
        with closing(term.clip.frames(form, context.decode_threads, span.start, span.stop)) as frames:
            small = {frame.index: frame.rgb for frame in frames}
        begin, end = chunk.first, span[-1]
        at_begin = searched[begin] if begin in searched else finder.search(small[begin])
        at_end = finder.search(small[end]) if end > begin else at_begin
        searched.clear()
        searched[end] = at_end
        raw = _Following(finder, small, chunk, context.stop).mattes(at_begin, at_end)
        steady = _steady(raw, small, range(chunk.first, chunk.stop))
        if size == term.size:
            yield from (_to_levels(draw_edge(steady[n], small[n], small[n])) for n in range(chunk.first, chunk.stop))
            return
        full = FrameFormat(Size(exact=term.size))
        with closing(term.clip.frames(full, context.decode_threads, chunk.first, chunk.stop)) as frames:
            yield from (_to_levels(draw_edge(steady[f.index], small[f.index], f.rgb)) for f in frames)

    return mattes


@dataclass(frozen=True)
class _Following:
    """The following of people or faces through the frames of a chunk, and one frame on either side within the shot.

    ``small``: the frames (h, w, 3) uint8 by number.
    """

    finder: PersonFinder | FaceFinder
    small: dict[int, np.ndarray]
    chunk: Chunk
    stop: Stop

    def mattes(self, at_begin: Sequence[Found], at_end: Sequence[Found]) -> dict[int, np.ndarray]:
        """Return the mattes (h, w) float32 by frame of those found in the chunk's first and in the span's last frame.

        Who is not confirmed by other frames is left out. At the chunk's end the mattes fade to what is found there,
        with which the next chunk begins.
        """
        begin, end = self.chunk.first, max(self.small)
        raw = {number: np.zeros(frame.shape[:2], np.float32) for number, frame in self.small.items()}
        tracks = [track for one in at_begin if (track := self._track(begin, one))]
        for track in tracks:
            _add(track, raw)
        if end == begin:
            return raw
        alive, join = [track[end] for track in tracks if end in track], min(JOIN_FRAMES, end - begin)
        late = [track for one in self.finder.new_ones(at_end, alive) if (track := self._track(end, one))]
        for track in late:
            _add(track, raw, begin, join if begin > self.chunk.shot_first else 0)
        self._add_between([*tracks, *late], raw)
        if end < self.chunk.stop:
            return raw
        known = [one for one in at_end if one not in self.finder.new_ones([one], alive)]
        ahead = {number: np.zeros_like(raw[number]) for number in range(end - join + 1, end + 1)}
        for track in [*late, *({end: one} for one in known)]:
            _add({number: each for number, each in track.items() if number in ahead}, ahead)
        if np.abs(ahead[end] - raw[end]).sum() > MAX_STEP * ahead[end].sum():
            for one in known:
                _add(self._followed(one, range(end - 1, end - join, -1)), ahead)
            for number, matte in ahead.items():
                raw[number] += (number - end + join) / join * (matte - raw[number])
        return raw

    def _add_between(self, tracks: list[dict[int, Found]], raw: dict[int, np.ndarray]) -> None:
        """Add those who come and go between both ends, whom a glance at a frame shows."""
        for number in range(self.chunk.first + PROBE_STEP, max(self.small), PROBE_STEP):
            if self.finder.may_show_more(self.small[number], raw[number]):
                seen = [track[number] for track in tracks if number in track]
                for one in self.finder.new_ones(self.finder.search(self.small[number]), seen):
                    if track := self._track(number, one):
                        _add(track, raw)
                        tracks.append(track)

    def _track(self, start: int, one: Found) -> dict[int, Found]:
        """Return what is found in a frame in all frames through which it can be followed; {} if it is not confirmed."""
        lowest, highest = min(self.small), max(self.small)
        track = {start: one} | self._followed(one, range(start - 1, lowest - 1, -1))
        track |= self._followed(one, range(start + 1, highest + 1))
        return track if self.finder.is_confirmed([*track.values()], len(self.small)) else {}

    def _followed(self, one: Found, frames: range) -> dict[int, Found]:
        """Follow what is found beside consecutive ``frames`` through them, until it is lost; return it by frame."""
        track: dict[int, Found] = {}
        last = one
        for number in frames:
            self.stop.check()
            seen = self.finder.advance(self.small[number], last)
            if seen is None:
                break
            track[number] = last = seen
        return track


def _add(track: dict[int, Found], mattes: dict[int, np.ndarray], begin: int = 0, fade: int = 0) -> None:
    """Add what was followed to the mattes of its frames; it fades in over the ``fade`` frames from ``begin`` on."""
    for number, one in track.items():
        share = min(1.0, max(0, number - begin) / fade) if fade else 1.0
        np.maximum(mattes[number], np.float32(share) * one.matte, out=mattes[number])


# Functions from a term and the context to a function that yields the mattes of a chunk, by the term's kind
_MATTE_MAKERS: dict[str, Callable[[FoundTerm, Context], Callable[[Chunk], Iterator[np.ndarray]]]] = {
    PERSON: _followed_mattes,
    FACE: _followed_mattes,
}


def _steady(raw: dict[int, np.ndarray], small: dict[int, np.ndarray], wanted: range) -> dict[int, np.ndarray]:
    """Return the mattes of the frames ``wanted``, each the median of its own and its neighbours', moved to it.

    ``raw``: the mattes (h, w) float32 by frame, ``small``: the frames (h, w, 3) uint8. A neighbour counts as far as
    the flow is consistent. At the ends of a shot it is the mean of two.
    """
    flow, found = DISMedium(), dict[int, np.ndarray]()
    greys = {number: halve(grey(frame)) for number, frame in small.items()}
    moved: dict[tuple[int, int], np.ndarray] = {}
    for one, other in zip(sorted(raw), sorted(raw)[1:], strict=False):
        if raw[one].any() or raw[other].any():
            there, back = flow(greys[one], greys[other]), flow(greys[other], greys[one])
            moved[one, other] = moved_matte(raw[other], raw[one], there, back)
            moved[other, one] = moved_matte(raw[one], raw[other], back, there)
    for number in wanted:
        own = raw[number]
        near = [moved[number, other] for other in (number - 1, number + 1) if (number, other) in moved]
        if len(near) == 2:
            low, high = np.minimum(*near), np.maximum(*near)
            own = np.maximum(low, np.minimum(high, own))  # The median of three
        elif near:
            own = (own + near[0]) / 2
        found[number] = own
    return found


def moved_matte(matte: np.ndarray, own: np.ndarray, flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return a neighbour's matte moved to a frame along the flow, where that is consistent; else the frame's own."""
    height, width = own.shape
    share = cv2.resize(flow_consistency(flow, back), (width, height), interpolation=cv2.INTER_LINEAR)
    return own + share * (warp(matte, resize_flow(flow, width, height)) - own)


def draw_edge(matte: np.ndarray, small: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Enlarge a matte (h, w) float32 to a frame's size, (H, W), with its edge along the edges of the picture.

    A guided filter by the brightness, whose coefficients are computed at the small size (He and Sun, "Fast Guided
    Filter", 2015).

    Args:
        matte: The matte, from 0 to 1.
        small: The frame at the size of the matte, (h, w, 3) uint8.
        frame: The frame, (H, W, 3) uint8.
    """
    height, width = frame.shape[:2]
    edge = cv2.morphologyEx((matte > 0.05).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    if not edge.any():
        return np.clip(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    window = (2 * GUIDE_RADIUS_PX + 1,) * 2
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mean_guide, mean = cv2.blur(guide, window), cv2.blur(matte, window)
    covariance = cv2.blur(guide * matte, window) - mean_guide * mean
    gain = covariance / (cv2.blur(guide * guide, window) - mean_guide * mean_guide + GUIDE_NOISE)
    offset = mean - gain * mean_guide
    gain, offset = cv2.blur(gain, window), cv2.blur(offset, window)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    enlarged, gain, offset = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in (matte, gain, offset)
    )
    share = np.clip(4 * enlarged * (1 - enlarged) * 2, 0, 1)  # Where the matte is sure it stays
    return np.clip(enlarged + share * (gain * luma + offset - enlarged), 0, 1)


def _search_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) at which people and faces are found in frames of a size."""
    return size if min(size) <= SEARCH_SIDE_PX else Size(short=SEARCH_SIDE_PX).of(*size)


def _to_levels(matte: np.ndarray) -> np.ndarray:
    """Convert a matte from 0 to 1 to levels of 8 bits."""
    return np.clip(np.rint(255 * matte), 0, 255).astype(np.uint8)


def _screen(term: MaskTerm, clip: Clip, context: Context) -> Screen:
    """Return the screen of a key: of the colour that the user named, or found in the clip. Raises UsageError."""
    if term.value:
        screen = Screen.of_colour(term.value)
        if screen is None:
            raise UsageError(f"the mask '{term}'", "it is neither green nor blue", "use colour:… for other colours")
        return screen
    numbers = segment_centres(clip.index.num_frames, min(SCREEN_SAMPLES, clip.index.num_frames))
    form = FrameFormat(Size(exact=_search_size((clip.index.width, clip.index.height))))
    screen = find_screen([frame.rgb for frame in read_clip_frames(clip, numbers, form, context)])
    if screen is None:
        raise UsageError("the mask 'key'", f"{clip.name} shows no green or blue screen", "name it, as in key:#00b140")
    return screen
