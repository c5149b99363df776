"""Masks that are found in the frames of a live source: each matte comes from its own frame and those before it.

A search for people or faces takes longer than a frame lasts, so it runs in another thread, except at the start of a
shot, and then catches up with the frames that came meanwhile. In between, what was found is looked at in every second
frame, and its matte is moved along the optical flow in the others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import COLOUR, FACE, KEY, PERSON, MaskTerm, parse_live_mask
from vidtrans.core.settings import Size
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import blur, flow_consistency, halve, resize_flow, warp
from vidtrans.masking.found_masks import SEARCH_SIDE_PX, draw_edge
from vidtrans.masking.keying import Screen, colour_matte, find_screen, key_screen, luma_matte

if TYPE_CHECKING:
    from vidtrans.perception.people import FaceFinder, Found, PersonFinder

LOOK_EVERY = 2  # Frames from one look at a person to the next
PAST_SHARE = 0.5  # Share of the last matte, moved along the flow, in a new one, where the flow is consistent
# Window within which the last matte may move a new one's edge, so that it steadies edges and drags nothing along
REACH = np.ones((5, 5), np.uint8)
MAX_MISSES = 4  # Looks in a row that find nothing, after which a person is lost
SAME = 0.5  # Overlap (IoU) of two mattes from which they show the same person
MIN_SEARCH_GAP_S = 0.5  # Least pause between two searches, in s
SEARCH_PAUSE = 3.0  # Pause after a search, relative to its duration, while somebody is followed; 1 while nobody is
MAX_SEARCH_GAP_S = 10.0  # Longest pause between two searches of a picture that does not change, in s
# A change of the picture: difference in grey levels after a blur, and share of the pixels beside what is followed
CHANGE_LEVELS, CHANGE_SIGMA, CHANGE_SHARE = 12.0, 2.0, 0.003
CATCH_UP_S = 0.1  # Interval, in s, of the frames in which a search follows what it found up to the present


class LiveMask:
    """A mask, the sum of ``terms``, in the frames of a live source. Raises UsageError for the colour of no screen."""

    def __init__(self, terms: Sequence[MaskTerm]) -> None:
        self._terms = terms
        self._followers = {kind: LiveFollower(kind) for kind in (PERSON, FACE) if any(t.kind == kind for t in terms)}
        self._screens = {term.value: Screen.of_colour(term.value) for term in terms if term.kind == KEY and term.value}
        if wrong := next((colour for colour, screen in self._screens.items() if screen is None), ""):
            raise UsageError(
                f"the mask 'key:{wrong}'", "it is neither green nor blue", "use colour:… for other colours"
            )
        self._small = np.empty((0, 0, 3), np.uint8)

    @classmethod
    def of(cls, text: str) -> LiveMask | None:
        """Return the mask of a control's text; None for ''. Raises UsageError."""
        terms = parse_live_mask(text)
        return cls(terms) if terms else None

    def follow(self, frame: np.ndarray, *, starts_shot: bool = False) -> None:
        """Find the mask in the next frame, (H, W, 3) uint8.

        ``starts_shot``: it does not continue the frame before.
        """
        height, width = frame.shape[:2]
        size = Size(short=min(SEARCH_SIDE_PX, height, width)).of(width, height)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        starts_shot = starts_shot or small.shape != self._small.shape
        self._small = small
        for follower in self._followers.values():
            follower.follow(small, starts_shot=starts_shot)
        if any(term.kind == KEY and not term.value for term in self._terms) and (
            starts_shot or self._screens.get("") is None
        ):
            self._screens[""] = find_screen([small])

    def matte(self, picture: np.ndarray) -> np.ndarray:
        """Return the matte, (H, W) float32 from 0 to 1, of the last frame at the size of ``picture``, (H, W, 3) uint8.

        ``picture``: the frame at that size.
        """
        whole = np.zeros(picture.shape[:2], np.float32)
        for term in self._terms:
            matte = self._term_matte(term, picture)
            matte = 1 - matte if term.inverted else matte
            whole = whole * (1 - matte) if term.is_subtracted else np.maximum(whole, matte)
        return whole

    def _term_matte(self, term: MaskTerm, picture: np.ndarray) -> np.ndarray:
        """Return the matte of one term, not inverted; without a screen in the picture everything is before it."""
        if term.kind in self._followers:
            return draw_edge(self._followers[term.kind].matte, self._small, picture)
        if term.kind == COLOUR:
            return colour_matte(picture, term.value, term.low)
        if term.kind != KEY:
            return luma_matte(picture, term.low, term.high)
        screen = self._screens.get(term.value)
        return np.ones(picture.shape[:2], np.float32) if screen is None else key_screen(picture, screen)


@dataclass
class _Followed:
    """A person or a face that is followed.

    Attributes:
        found: As last seen.
        matte: The matte in the last frame, (h, w) float32.
        age: Frames since the last look.
        misses: Looks in a row that found nothing.
    """

    found: Found
    matte: np.ndarray
    age: int = 0
    misses: int = 0


class LiveFollower:
    """The people or the faces (``kind``) of a live source, which are followed from frame to frame.

    ``matte``: the matte of all in the last frame, (h, w) float32 from 0 to 1.
    """

    def __init__(self, kind: str) -> None:
        from vidtrans.perception.people import FINDERS

        self.matte = np.empty((0, 0), np.float32)
        self._finder: PersonFinder | FaceFinder = FINDERS[kind]()
        self._flow, self._grey = DISMedium(), np.empty((0, 0), np.uint8)
        self._followed: list[_Followed] = []
        self._search: _Search | None = None
        self._next_search_s = self._last_search_s = 0.0
        self._searched = self._searched_matte = np.empty((0, 0), np.float32)  # The picture of the last search, blurred

    def follow(self, frame: np.ndarray, *, starts_shot: bool) -> None:
        """Find what is followed in the next frame, (h, w, 3) uint8; search the frame itself if it ``starts_shot``."""
        before, self._grey = self._grey, halve(grey(frame))
        began_s = time.monotonic()
        if starts_shot:
            self._followed = [_Followed(one, one.matte) for one in self._finder.search(frame)]
        elif self._followed:
            self._advance(frame, before)
        none = np.zeros(frame.shape[:2], np.float32)
        self.matte = np.maximum.reduce([none, *(one.matte for one in self._followed)])
        if starts_shot:
            self._search = None
            self._keep_searched(blur(self._grey.astype(np.float32), CHANGE_SIGMA))
            self._plan_search(time.monotonic() - began_s)
        else:
            self._search_on(frame)

    def _advance(self, frame: np.ndarray, before: np.ndarray) -> None:
        """Move all mattes to the next frame, and look there at those that were looked at longest ago.

        ``before``: the last frame, grey, at half size.
        """
        height, width = frame.shape[:2]
        flow = self._flow(self._grey, before)
        full = resize_flow(flow, width, height)
        for one in self._followed:
            one.matte, one.age = warp(one.matte, full), one.age + 1
        due = sorted((one for one in self._followed if one.age >= LOOK_EVERY), key=lambda one: -one.age)
        if not due:
            return
        consistency = flow_consistency(flow, self._flow(before, self._grey))
        share = cv2.resize(consistency, (width, height), interpolation=cv2.INTER_LINEAR)
        for one in due[: -(-len(self._followed) // LOOK_EVERY)]:
            one.age = 0
            found = self._finder.advance(frame, one.found)
            if found is None:
                one.misses += 1
            else:
                one.found, one.misses = found, 0
                near = np.clip(one.matte, cv2.erode(found.matte, REACH), cv2.dilate(found.matte, REACH))
                one.matte = found.matte + PAST_SHARE * share * (near - found.matte)
        self._followed = [one for one in self._followed if one.misses < MAX_MISSES]

    def _search_on(self, frame: np.ndarray) -> None:
        """Start a search if one is due, pass the frame to a running one, or take over what a finished one has found."""
        from vidtrans.perception.people import overlap

        if self._search is None:
            if time.monotonic() >= self._next_search_s and self._is_worth_searching():
                self._search = _Search(self._finder, frame, [one.found for one in self._followed])
        elif not self._search.has_ended:
            self._search.add(frame)
        else:
            for one in self._search.found:
                if all(overlap(one.matte, other.matte) < SAME for other in self._followed):
                    self._followed.append(_Followed(one, one.matte, LOOK_EVERY))
            self._plan_search(self._search.took_s)
            self._search = None

    def _is_worth_searching(self) -> bool:
        """Return whether the picture has changed since the last search, beside what is followed; else ask later."""
        picture, now_s = blur(self._grey.astype(np.float32), CHANGE_SIGMA), time.monotonic()
        known = cv2.resize(np.maximum(self.matte, self._searched_matte), picture.shape[::-1])
        beside = cv2.dilate(known, np.ones((15, 15), np.uint8)) < 0.1
        changed = (cv2.absdiff(picture, self._searched) > CHANGE_LEVELS) & beside
        if changed.mean() < CHANGE_SHARE and now_s - self._last_search_s < MAX_SEARCH_GAP_S:
            self._next_search_s = now_s + MIN_SEARCH_GAP_S
            return False
        self._keep_searched(picture)
        return True

    def _keep_searched(self, picture: np.ndarray) -> None:
        """Keep the picture that is searched, blurred, (h / 2, w / 2) float32, to see later whether it has changed."""
        self._searched, self._searched_matte, self._last_search_s = picture, self.matte, time.monotonic()

    def _plan_search(self, took_s: float) -> None:
        """Set the time of the next search. ``took_s``: how long the last one took, in s."""
        pause = SEARCH_PAUSE if self._followed else 1.0
        self._next_search_s = time.monotonic() + max(MIN_SEARCH_GAP_S, pause * took_s)


class _Search:
    """A search of a frame for people who are not ``known``, in a thread of its own.

    ``found``: the people, as they are in the last of the frames that were added; () until the search ``has_ended``.
    """

    def __init__(self, finder: PersonFinder | FaceFinder, frame: np.ndarray, known: Sequence[Found]) -> None:
        self._finder, self._known = finder, known
        self._frames: deque[np.ndarray] = deque()
        self._began_s = self._last_added_s = time.monotonic()
        self.found: Sequence[Found] = ()
        self.took_s = 0.0
        # Not a daemon: torch aborts a process that ends while a thread runs a network
        self._thread = threading.Thread(target=self._run, args=(frame,), name="live mask search")
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Return whether the result is there, or the search has failed."""
        return not self._thread.is_alive()

    def add(self, frame: np.ndarray) -> None:
        """Add the source's next frame; some are left out, so that the search catches up with the source."""
        now_s = time.monotonic()
        if now_s - self._last_added_s >= CATCH_UP_S:
            self._frames.append(frame)
            self._last_added_s = now_s

    def _run(self, frame: np.ndarray) -> None:
        """Search the frame, and follow what is found through the frames that came meanwhile."""
        found = self._finder.new_ones(self._finder.search(frame), self._known)
        while found and self._frames:
            frame = self._frames.popleft()
            found = [now for one in found if (now := self._finder.advance(frame, one)) is not None]
        self.took_s = time.monotonic() - self._began_s
        self.found = found
