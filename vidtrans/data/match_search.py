"""Pairs from two clips that are not synchronised: for each target frame, the input frame with the same content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vidtrans.clips.sampling import MAX_SKIPPED, spread_numbers
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.core.events import Progress
from vidtrans.core.files import base_name, read_small_json, write_json
from vidtrans.core.settings import Size
from vidtrans.data.dataset import Role
from vidtrans.data.sources import ClipSource
from vidtrans.flow.matching import SHORT_SIDE, VERSION, Match, Matcher, Outlines, bring, outlines
from vidtrans.session import Context
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import MatchStage, media_libraries
from vidtrans.video.images.picture import resize

MIN_MATCHED_SHARE = 0.25  # Share of the target's frames that have a match, below which there is a warning.
# Maximum number of input frames among which matches are searched; in a longer clip they are evenly spaced.
MAX_CANDIDATES = 4000
BLOCK_FRAMES = 50  # Number of target frames whose matches are cached together: some seconds of computation.


@dataclass(frozen=True)
class MatchSearch:
    """A search: for each frame of ``target``, the frame of ``input_source`` with the same content.

    ``digests``: the digests of the content of both clips.
    """

    input_source: ClipSource
    target: ClipSource
    digests: tuple[str, str]
    context: Context = field(repr=False)

    def find(self, min_found: float) -> dict[int, int]:
        """Return {target frame: best matching frame of ``input_source``} where a share ``min_found`` of edges agrees.

        Frames are given by number; target frames without a match are absent. Raises MediaError if no frame matches, or
        if a clip cannot be read; Interrupted.
        """
        matches = dict(zip(self._numbers, self._matches(), strict=True))
        matched = {number: match.number for number, match in matches.items() if match.share >= min_found}
        source, target = self.input_source.path.name, self.target.path.name
        if not matched:
            most = max(match.share for match in matches.values())
            why = f"none of its frames shows what {source} shows: at most {most:.2f} of the edges of one are there"
            remedy = f"learn without pairs (--unpaired), or lower pairing.min_found, which is {min_found:g}"
            raise MediaError(str(self.target.path), why, remedy)
        if rest := len(matches) - len(matched):
            text = f"{len(matched)} of {count(len(matches), 'frame')} of {target} show what {source} shows"
            if len(matched) < MIN_MATCHED_SHARE * len(matches):
                self.context.note(f"{text}: the model sees these alone; --unpaired learns from all frames", "warning")
            else:
                self.context.note(f"{text}; {rest} are left out")
        return matched

    def _matches(self) -> list[Match]:
        """Return the best match of each target frame; results of earlier runs are read from the cache."""
        blocks = [self._numbers[at : at + BLOCK_FRAMES] for at in range(0, len(self._numbers), BLOCK_FRAMES)]
        if self.context.dry_run:
            return [match for block in blocks for match in self._search(block)]
        spans = (
            [self.input_source.first, self.input_source.stop],
            [self.target.first, self.target.stop, self.target.every],
        )
        stage = MatchStage(*self.digests, *spans, list(self._size), VERSION, media_libraries())
        entry = self.context.cache.entry(stage.name, stage.key)
        matches: list[Match] = []
        with entry.locked(wait_for=f"another run that finds pairs in {self.target.path.name}"):
            store = ChunkStore(entry, ".matches.json")
            for number, block in enumerate(blocks):
                if not store.is_done(number):
                    table = {"matches": [[match.number, match.share] for match in self._search(block)]}
                    with store.writing(number) as path:
                        write_json(path, table)
                matches += [Match(n, share) for n, share in read_small_json(store.path(number))["matches"]]
            entry.finish({"frames": len(matches)})
        return matches

    def _search(self, block: list[int]) -> Iterator[Match]:
        """Yield the best match of each target frame of ``block``, and report the progress."""
        for number, picture in zip(block, _read_small(self.target, block, self._size), strict=True):
            match = self._matcher(outlines(picture, self._size))
            yield Match(self._candidates[match.number], match.share)
            done = (number - self.target.first) // self.target.every + 1
            self._report_progress("finding pairs", done, len(self._numbers))

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Return the (width, height) in pixels at which frames are compared."""
        return Size(short=SHORT_SIDE).of(self.target.index.width, self.target.index.height)

    @cached_property
    def _numbers(self) -> list[int]:
        """Return the numbers of the target's frames for which a match is searched."""
        return list(range(self.target.first, self.target.stop, self.target.every))

    @cached_property
    def _candidates(self) -> list[int]:
        """Return the numbers of the frames of ``input_source`` that may be matches."""
        return [
            self.input_source.first + n
            for n in spread_numbers(self.input_source.stop - self.input_source.first, MAX_CANDIDATES)
        ]

    @cached_property
    def _matcher(self) -> Matcher:
        """Return a matcher with the frames of ``input_source``, read on first use, as cached matches need none."""
        candidates: list[Outlines] = []
        for number, picture in enumerate(_read_small(self.input_source, self._candidates, self._size)):
            candidates.append(outlines(picture, self._size))
            self._report_progress(f"looking at {self.input_source.path.name}", number + 1, len(self._candidates))
        return Matcher(candidates)

    def _report_progress(self, task: str, done: int, total: int) -> None:
        """Report the progress of ``task``. Raises Interrupted on a stop request."""
        self.context.stop.check()
        self.context.report(Progress(task, done, total))


def _read_small(source: ClipSource, numbers: list[int], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the frames ``numbers`` of a source at ``size`` (width, height), (H, W, 3) uint8."""
    return (row[0] for row in source.pictures(numbers, Size(exact=size)))


@dataclass(frozen=True, kw_only=True)
class MatchedSource(ClipSource):
    """The frames of a target clip, each with a frame of ``input_source`` as its input.

    ``matches``: the number of the input frame, by the number of the target frame.
    """

    input_source: ClipSource
    matches: Mapping[int, int]

    @property
    def name(self) -> str:
        """Return the input clip's name, after which the dataset names the folder of its pictures."""
        return base_name(self.input_source.path)

    @property
    def left_out(self) -> frozenset[int]:
        """Return the numbers of the target frames without a match."""
        return frozenset(range(self.first, self.stop)) - self.matches.keys()

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (input aligned to its target, target) for each frame of ``numbers``, which increase.

        Both are (H, W, 3) uint8, of the target's size. All inputs are read first, as their order differs.
        """
        if self.index.same_size:
            size = Size(exact=size.of(self.index.width, self.index.height))
        inputs: dict[int, np.ndarray] = {}
        for group in _split_at_gaps(sorted({self.matches[number] for number in numbers})):
            inputs |= dict(zip(group, (rows[0] for rows in self.input_source.pictures(group, size)), strict=True))
        for number, (target,) in zip(numbers, super().pictures(numbers, size), strict=True):
            resized = resize(inputs[self.matches[number]], target.shape[1], target.shape[0])
            yield bring(resized, target), target


def separate_held_out(roles: Mapping[int, Role], matches: Mapping[int, int], gap: int) -> dict[int, Role]:
    """Return ``roles`` with 'gap' for training frames whose input is within ``gap`` frames of a held-out frame's input.

    ``roles`` and ``matches`` (the number of the input frame) are by the number of the target frame.
    """
    held_out = {matches[n] for n, role in roles.items() if role == "val"}
    near = {n + k for n in held_out for k in range(-gap, gap + 1)}
    return {n: "gap" if role == "train" and matches[n] in near else role for n, role in roles.items()}


def _split_at_gaps(numbers: list[int]) -> list[list[int]]:
    """Split increasing frame numbers where two differ by more than ``MAX_SKIPPED``: a seek is faster there."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number - groups[-1][-1] <= MAX_SKIPPED:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
