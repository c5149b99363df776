"""Mattes of what is found in the pictures without painting: one person, the faces, what stands before a screen.

A person is chosen in one frame (the only one, the most prominent, or the one at a point), and followed through the shot
by the networks that find people. In other shots the person is the one that looks most alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.costs import add_estimates, count, estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.files import write_atomically
from vidtrans.core.mask_files import FACE, KEY, MaskTerm
from vidtrans.core.settings import Size, Table
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import halve
from vidtrans.masking.found_masks import FoundTerm, moved_matte
from vidtrans.matting.matte_request import Choice
from vidtrans.matting.object_mattes import (
    LOST,
    MatteSource,
    ScoredMatte,
    Sweep,
    SweptMattes,
    Track,
    TrackedFrame,
    Tracker,
)
from vidtrans.matting.settings import MattingSettings
from vidtrans.perception.people import NUM_JOINTS, Found, PersonFinder, identity, joints_of, overlap
from vidtrans.session import Context
from vidtrans.store.stages import MatteNetworkStage
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture

VERSION = 2  # Version of the choice and the following of one person, for cache keys
CHOICE_STEP = 12  # Frames from one search for the person to the next, until one is found
CONFIRMING = 4  # Frames in which somebody who was found is looked at
PROMINENT = 2.0  # Area relative to the next largest from which a person needs no choice
SEARCH_STEP = 4  # Frames from one search for a lost person to the next
ALIKE = 0.55  # Likeness of appearance, 0 to 1, from which somebody is the person that was lost
KEPT_SHARE = 0.3  # Share of the last matte, moved along the flow, in the next one, where the flow is consistent
# A person is lost in a shot if the confidence is below DOUBTFUL in more than MAX_DOUBTFUL_SHARE of its frames.
DOUBTFUL, MAX_DOUBTFUL_SHARE = 0.6, 0.2
AGREEING = 0.5  # Overlap (IoU) from which two ways to follow a person agree
MAX_RECENT, MAX_SKIPPED = 16, 24  # Mattes in memory; frames that are read, not sought, to reach a later one
COLOUR_BINS = 8  # Bins of each channel of the histogram of colours that describes a person's appearance
SECONDS_PER_FRAME = {FACE: 0.02, KEY: 0.03}  # For the estimate of a dry run
PERSON_SECONDS, SEARCH_SECONDS = 0.05, 0.6  # Time to follow a person through a frame; of a search
POINT_COLOUR = (255, 210, 0)  # RGB of boxes and numbers on the picture of people


@dataclass(frozen=True)
class PeopleSearch:
    """Chooses one person of a clip's frames [first, stop) (``span``), and finds the person in each shot.

    ``size``: the (width, height) at which frames are searched. ``picture``: the path of the picture of several people.
    """

    clip: Clip
    span: tuple[int, int]
    size: tuple[int, int]
    choice: Choice | None
    picture: Path
    context: Context

    def mattes(self) -> dict[int, np.ndarray]:
        """Return the person's mattes (h, w) uint8 by frame: one frame of each shot in which the person is found.

        Raises UsageError if nobody is found, or there are several people and none is chosen.
        """
        number, frame, person = self._choose()
        chosen = np.rint(255 * person.matte).astype(np.uint8)
        return dict(sorted(({number: chosen} | self.mattes_of({number: (frame, chosen)})).items()))

    def mattes_of(self, known: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, np.ndarray]:
        """Return a known person's mattes (h, w) uint8 by frame: one frame of each other shot with the person.

        ``known``: a frame (h, w, 3) uint8, and the person's matte in it, (h, w) uint8, by frame number.
        """
        looks, found = np.mean([appearance(frame, matte / 255) for frame, matte in known.values()], axis=0), {}
        for shot in self.clip.shots_in(*self.span):
            if not any(number in shot for number in known) and (seen := self._find_again(shot, looks)) is not None:
                found[seen[0]] = np.rint(255 * seen[1].matte).astype(np.uint8)
        return found

    def _choose(self) -> tuple[int, np.ndarray, Found]:
        """Return the chosen person, with the number of the frame and the frame, (h, w, 3) uint8."""
        finder, numbers = PersonFinder(), list(range(*self.span, CHOICE_STEP))
        if self.choice:
            self.choice.check_inside((self.clip.index.width, self.clip.index.height), self.clip.name)
        if self.choice and self.choice.when is not None:
            numbers = [self.choice.frame_in(self.clip, self.span)]
        for number, frame in self._frames(numbers):
            if self.choice and self.choice.when is not None:
                return number, frame, self._person_at(finder.search(frame), number, frame)
            people = [one for one in finder.search(frame) if self._is_confirmed(number, one)]
            if people and self.choice:
                return number, frame, self._person_at(people, number, frame)
            if people:
                return number, frame, self._most_prominent(people, number, frame)
        where = f"frame {numbers[0]} of {self.clip.name}" if len(numbers) == 1 else self.clip.name
        raise UsageError("--person", f"nobody is found in {where}", "paint the person: --frame 12=painted.png")

    def _is_confirmed(self, number: int, person: Found) -> bool:
        """Return whether somebody who was found in a frame is a person in the following frames, too."""
        finder, seen, last = PersonFinder(), [person], person
        stop = min(number + CONFIRMING, self.span[1])
        for _, frame in self._frames(list(range(number + 1, stop))):
            following = finder.advance(frame, last)
            if following is None:
                break
            last = following
            seen.append(last)
        return finder.is_confirmed(seen, stop - number)

    def _person_at(self, people: Sequence[Found], number: int, frame: np.ndarray) -> Found:
        """Return the person at the chosen place of a frame, (h, w, 3) uint8. Raises UsageError if there is none."""
        assert self.choice is not None
        scale = self.size[0] / self.clip.index.width
        corners = self.choice.scaled(scale)
        if len(corners) == 2:
            person = PersonFinder().look_in(frame, (*corners[0], *corners[1]))
        else:
            [(x, y)] = corners
            inside = [one for one in people if one.matte[int(y), int(x)] > 0.5]
            person = min(inside, key=lambda one: one.area) if inside else PersonFinder().look_at(frame, x, y)
        if person is None:
            places = "; ".join(self._place(one) for one in people)
            why, remedy = f"nobody is found there in frame {number}", "paint the person: --frame 12=painted.png"
            remedy = f"people are at {places}" if places else remedy
            raise UsageError(f"--at {self.choice}", why, remedy)
        return person

    def _most_prominent(self, people: Sequence[Found], number: int, frame: np.ndarray) -> Found:
        """Return the person who is much larger than the others; else raise UsageError, with a picture of all."""
        ordered = sorted(people, key=lambda one: -one.area)
        if len(ordered) == 1 or ordered[0].area >= PROMINENT * ordered[1].area:
            return ordered[0]
        self._draw(ordered, frame)
        places = "; ".join(f"{n}: --at {self._place(one)}@{number}" for n, one in enumerate(ordered, 1))
        raise UsageError(
            "--person", f"{len(ordered)} people are in frame {number} ({self.picture})", f"choose: {places}"
        )

    def _place(self, person: Found) -> str:
        """Return the point X,Y, in pixels of the clip, that chooses a person: the middle of the matte's widest part."""
        inner = cv2.distanceTransform((person.matte > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        row, column = np.unravel_index(int(inner.argmax()), inner.shape)
        scale = self.clip.index.width / self.size[0]
        return f"{round((column + 0.5) * scale)},{round((row + 0.5) * scale)}"

    def _draw(self, people: Sequence[Found], frame: np.ndarray) -> None:
        """Write the picture of people with numbered boxes."""
        drawn = frame.copy()
        for number, one in enumerate(people, 1):
            left, top, right, bottom = (round(edge) for edge in one.box)
            cv2.rectangle(drawn, (left, top), (right, bottom), POINT_COLOUR, 2)
            cv2.putText(drawn, str(number), (left + 6, top + 28), cv2.FONT_HERSHEY_SIMPLEX, 1, POINT_COLOUR, 2)
        if not self.context.dry_run:
            with write_atomically(self.picture) as temporary:
                write_picture(temporary, drawn)

    def _find_again(self, shot: range, looks: np.ndarray) -> tuple[int, Found] | None:
        """Return the person in another shot, with the frame's number; None if nobody there looks alike."""
        finder = PersonFinder()
        for number, frame in self._frames(list(shot[::CHOICE_STEP])):
            found = most_alike(finder.search(frame), frame, looks)
            if found is not None:
                return number, found
        return None

    def _frames(self, numbers: Sequence[int]) -> Generator[tuple[int, np.ndarray], None, None]:
        """Yield frames (h, w, 3) uint8 with their numbers."""
        form = FrameFormat(Size(exact=self.size))
        for number in numbers:
            for frame in read_clip_frames(self.clip, [number], form, self.context):
                self.context.begin(f"looking for people in {self.clip.name}")
                self.context.stop.check()
                yield number, frame.rgb


def appearance(frame: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return the histogram, of sum 1, of the colours of a frame (h, w, 3) uint8 inside a matte (h, w) from 0 to 1."""
    inside = (matte > 0.5).astype(np.uint8)
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2Lab)
    found = cv2.calcHist([lab], [0, 1, 2], inside, [COLOUR_BINS // 2, 2 * COLOUR_BINS, 2 * COLOUR_BINS], [0, 256] * 3)
    return np.asarray(found / max(1.0, float(found.sum())), np.float32)


def most_alike(people: Sequence[Found], frame: np.ndarray, looks: np.ndarray) -> Found | None:
    """Return the one of the people whose appearance is most like ``looks``; None if nobody is alike enough."""
    likeness = [float(np.sqrt(appearance(frame, one.matte) * looks).sum()) for one in people]  # Bhattacharyya
    best = int(np.argmax(likeness)) if likeness else 0
    return people[best] if likeness and likeness[best] >= ALIKE else None


class PersonTracker:
    """Follows one person from a ``frame`` (h, w, 3) uint8 in which the state, ``track``, is known.

    ``looks``: the appearance by which the person is known again after being lost. ``wants_joints``: find the joints of
    half-length figures, too.
    """

    def __init__(self, frame: np.ndarray, track: Track, looks: np.ndarray, *, wants_joints: bool) -> None:
        self.track, self.looks, self.wants_joints, self._finder = track, looks, wants_joints, PersonFinder()
        self._last = self._finder.recognise(frame, track.matte.astype(np.float32) / 255)
        self._flow, self._previous, self._frames_lost = DISMedium(), halve(grey(frame)), 0
        self._seen = track.matte.astype(np.float32) / 255  # The last matte, before it was blended

    def state(self) -> dict[str, np.ndarray]:
        """Return the person's state as named arrays."""
        return self.track.state()

    def advance(self, frame: np.ndarray) -> TrackedFrame:
        """Return the person's matte, with its confidence, in the next ``frame``, (h, w, 3) uint8."""
        now = halve(grey(frame))
        found = self._finder.advance(frame, self._last) if self._last is not None else None
        if found is None:
            if self._frames_lost % SEARCH_STEP == 0:
                found = most_alike(self._finder.search(frame), frame, self.looks)
            self._frames_lost += 1
        self._last = found
        if found is None:
            self._previous, self._seen = now, np.zeros(frame.shape[:2], np.float32)
            self.track.matte = np.zeros(frame.shape[:2], np.uint8)
            return TrackedFrame(self.track.matte, 0.0, np.zeros((NUM_JOINTS, 3)) if self.wants_joints else None)
        self._frames_lost = 0
        matte = self._steady(found.matte, now)
        self._previous, self._seen = now, found.matte
        self.track = Track.of(np.rint(255 * matte).astype(np.uint8))
        inside = matte > 0.5
        sure = float(matte[inside].mean()) if inside.any() else 0.0
        confidence = sure * min(1.0, found.confidence if len(found.points) else 1.0)
        return TrackedFrame(self.track.matte, confidence, joints_of(frame, found) if self.wants_joints else None)

    def _steady(self, matte: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Blend a matte with the last one, moved along the flow, where that is consistent.

        Blended mattes are not blended again: a limb that is missed once would be missed on and on.
        """
        flow, back = self._flow(now, self._previous), self._flow(self._previous, now)
        steady = matte + KEPT_SHARE * (moved_matte(self._seen, matte, flow, back) - matte)
        return steady if (steady > 0.5).any() else matte


class PersonMattes(SweptMattes):
    """The mattes of one person, followed from a frame of each shot by the networks that find people.

    In a shot in which they lose the person, or a frame is painted, a network that learns the person in the known frames
    follows, too (``SweptMattes``); its matte is used where the two do not agree, unless it has lost the person itself.
    ``painted``: the frames that the user painted. ``wants_joints``: find the person's joints, too.
    """

    def __init__(
        self,
        source: MatteSource,
        settings: MattingSettings,
        context: Context,
        *,
        painted: Collection[int] = (),
        wants_joints: bool = False,
    ) -> None:
        super().__init__(source, settings, context)
        self.wants_joints, self._painted = wants_joints, frozenset(painted)
        self._taught = self._teach([shot for shot in source.shots if self._painted & {*shot}])

    def _teach(self, shots: Sequence[range]) -> SweptMattes:
        """Return mattes by a network that learns the person in the given shots; they are empty in other shots."""
        known = {frame: matte for frame, matte in self.source.painted.items() if any(frame in shot for shot in shots)}
        return SweptMattes(replace(self.source, painted=known), self.settings, self.context)

    def find(self, task: str) -> None:
        """Follow the person through all frames; ``task`` names the person in progress reports."""
        super().find(task)
        lost = [shot for shot in self.source.shots if self._is_lost(shot)]
        if lost:
            where = "the person" if len(self.source.shots) == 1 else f"in {count(len(lost), 'shot')} the person"
            self.context.note(f"{where} is lost often, and a network learns the person: some minutes", "warning")
        taught = [shot for shot in self.source.shots if shot in lost or self._painted & {*shot}]
        self._taught = self._teach(taught)
        self._taught.find(task)

    def _is_lost(self, shot: range) -> bool:
        """Return whether the confidence is low in many frames of a shot through which the person is followed."""
        if not any(frame in self.source.painted for frame in shot):
            return False
        sure = np.array([SweptMattes.at(self, frame).confidence for frame in shot])
        return bool((sure < DOUBTFUL).mean() > MAX_DOUBTFUL_SHARE)

    def at(self, frame: int) -> ScoredMatte:
        """Return the person's matte in a frame, and its confidence."""
        return self._matte_in(frame)[0]

    def _matte_in(self, frame: int) -> tuple[ScoredMatte, bool]:
        """Return the person's matte in a frame, and whether it is that of the taught network."""
        found, taught = super().at(frame), self._taught.at(frame)
        is_taught = taught.confidence >= LOST and overlap(found.matte, taught.matte) < AGREEING
        return (taught if is_taught else found), is_taught

    def for_key(self) -> list[str]:
        """Return the keys of the cache entries of both ways to follow, for cache keys of renders."""
        return [*super().for_key(), *self._teach(self.source.shots).for_key()]

    def close(self) -> None:
        """Release the cache entries, so that they can be deleted."""
        super().close()
        self._taught.close()

    def joints(self) -> dict[int, np.ndarray]:
        """Return the joints, (33, 3), of each frame with the person: x and y in pixels of the clip, and a score.

        Frames in which the networks that find people have lost the person are left out.
        """
        scale = self.source.clip.index.width / self.source.size[0]
        found = {}
        for frame in range(*self.source.span):
            if self._matte_in(frame)[1]:
                continue  # The joints are those of somebody else
            own = self.stored(frame, "joints")
            if own is None and frame in self.source.painted:
                [painted] = self.painted([frame])
                person = PersonFinder().recognise(painted.picture, painted.matte)
                own = joints_of(painted.picture, person) if person else None
            if own is not None and own[:, 2].any():
                found[frame] = own * (scale, scale, 1)
        return found

    @cached_property
    def looks(self) -> Mapping[int, np.ndarray]:
        """Return the appearance of the person in each frame in which the following begins."""
        painted = zip(self.source.painted, self.painted(list(self.source.painted)), strict=True)
        return {number: appearance(one.picture, one.matte) for number, one in painted}

    def cost(self) -> Table:
        """Estimate the time to follow the person, and to learn a person who is painted."""
        own = estimate(PERSON_SECONDS * sum(len(sweep.frames) for sweep in self.sweeps), 0, 0)
        return add_estimates([own, self._taught.cost()]) if self._painted else own

    def _tracker(self, sweep: Sweep, frame: np.ndarray, state: Mapping[str, np.ndarray] | None, task: str) -> Tracker:
        """Return a tracker by the networks that find people."""
        del task
        return PersonTracker(frame, self._track(sweep, state), self.looks[sweep.key], wants_joints=self.wants_joints)

    def _network_stage(self, training_keys: tuple[int, ...]) -> MatteNetworkStage:
        """Return the cache stage of the networks, which are not trained."""
        stage = super()._network_stage(training_keys)
        return replace(stage, settings={"person": VERSION, "joints": self.wants_joints}, seed=0, weights=identity())


class TermMattes:
    """The mattes of faces, or of what stands before a screen, of a clip's frames [first, stop) (``span``)."""

    def __init__(self, term: MaskTerm, clip: Clip, span: tuple[int, int], context: Context) -> None:
        self._term, self.context = FoundTerm.of(term, clip, *span, context), context
        self.source = MatteSource(clip, span, self._term.size, {})
        self.screen = self._term.screen
        self._reader: Generator[np.ndarray, None, None] | None = None
        self._next = -1
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()  # Several threads cut out frames

    def find(self, task: str) -> None:
        """Find the mattes of all frames; warn where there is nothing."""
        del task
        self._term.find(self.context)
        if not self._term.num_occupied():
            what = "no face" if self._term.term.kind == FACE else "nothing before the screen"
            self.context.warn_once(f"{what} is found: the matte is empty", self.source.clip.path)

    def at(self, frame: int) -> ScoredMatte:
        """Return the matte of a frame, and 1 as its confidence. Safe in several threads."""
        with self._lock:
            if frame not in self._recent:
                if self._reader is None or not self._next <= frame < self._next + MAX_SKIPPED:
                    self._close_reader()
                    self._reader = self._term.reader(self.context.decode_threads, range(frame, self.source.span[1]))
                    self._next = frame
                for number in range(self._next, frame + 1):
                    self._recent[number] = next(self._reader)
                    if len(self._recent) > MAX_RECENT:
                        self._recent.popitem(last=False)
                self._next = frame + 1
            return ScoredMatte(self._recent[frame].astype(np.float32) / 255, 1.0)

    def for_key(self) -> list[str]:
        """Return the key of the mattes' cache entry, for cache keys of renders."""
        return [self._term.entry.key]

    def cost(self) -> Table:
        """Estimate the time to find the mattes."""
        return estimate(SECONDS_PER_FRAME[self._term.term.kind] * (self.source.span[1] - self.source.span[0]), 0, 0)

    def _close_reader(self) -> None:
        """Close the file of stored mattes."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def close(self) -> None:
        """Close the file of stored mattes."""
        with self._lock:
            self._close_reader()
