"""Push samples through a filter, one after the other or in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

import numpy as np

from vidtrans.temporal.stream import BatchFilter, Filter, RecursiveFilter, Sample, Window
from vidtrans.temporal.window import LOOKAHEAD


def filter_samples(
    samples: Iterable[Sample], method: Filter | BatchFilter, wanted: range | None = None
) -> Generator[tuple[Sample, np.ndarray], None, None]:
    """Yield each sample with its filtered picture, ``method.radius`` frames behind the input, or one more, unless 0.

    At a cut all history is dropped. ``wanted``: the numbers of the frames that are asked for; the others are only
    neighbours. A recursive filter sees all of them. A filter of batches may be a batch further behind.
    """
    if isinstance(method, BatchFilter):
        yield from _filter_in_batches(samples, method, wanted)
        return
    ahead = method.radius + LOOKAHEAD if method.radius else 0  # one that has no window may be live: it must not wait
    recent: deque[Sample] = deque(maxlen=method.radius + 1 + ahead)
    drops_pictures = getattr(method, "needs_no_past_pictures", False)
    waiting = 0  # how many of the last samples have not been filtered yet

    def flush(keep: int) -> Iterator[tuple[Sample, np.ndarray]]:
        nonlocal waiting
        while waiting > keep:
            at = len(recent) - waiting
            first = max(0, at - method.radius)
            is_wanted = wanted is None or recent[at].index in wanted
            if is_wanted or isinstance(method, RecursiveFilter):
                picture = method(Window(tuple(recent)[first : at + method.radius + 1], at - first))
                if is_wanted:
                    yield recent[at], picture
                past = at
                while drops_pictures and past >= 0 and any(recent[past].output.strides):
                    recent[past] = _without_pictures(recent[past])
                    past -= 1
            waiting -= 1

    for sample in samples:
        if sample.starts_shot:
            yield from flush(0)
            recent.clear()
        if recent:
            method.expect(recent[-1], sample)
        recent.append(sample)
        waiting += 1
        yield from flush(ahead)
    yield from flush(0)


def _without_pictures(sample: Sample) -> Sample:
    """Return a sample with what is derived of it, and black pictures that take no memory."""
    guide, output = (np.broadcast_to(np.zeros((), p.dtype), p.shape) for p in (sample.guide, sample.output))
    return replace(sample, guide=guide, output=output)


def _filter_in_batches(
    samples: Iterable[Sample], method: BatchFilter, wanted: range | None
) -> Iterator[tuple[Sample, np.ndarray]]:
    method.begin()
    for sample in samples:
        done = method.flush() if sample.starts_shot else []
        done += method.push(sample)
        yield from ((s, picture) for s, picture in done if wanted is None or s.index in wanted)
    yield from ((s, picture) for s, picture in method.flush() if wanted is None or s.index in wanted)
