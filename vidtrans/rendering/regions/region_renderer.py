"""Render a plan with regions: the looks are rendered side by side, each with its own filter, and put together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.regions.region_plans import RegionComposer, RegionLayer
from vidtrans.rendering.runner import ChunkRenderer
from vidtrans.rendering.temporal_steps import TemporalSteps
from vidtrans.store.chunks import ChunkStore, StateStore

Begun = tuple[int, Callable[[], np.ndarray]]  # a frame's number, and a call that makes its picture


@dataclass(frozen=True)
class LookRenderer:
    """The renderer of one look, and the maker of its enlarger for some of its own chunks, given by number."""

    chunks: ChunkRenderer
    enlarger: Callable[[Sequence[int]], Enlarger]

    def numbers(self, frames: range) -> list[int]:
        """Return the numbers of the look's own chunks that have some of these frames."""
        return [c.number for c in self.chunks.plan.chunks if c.first < frames.stop and frames.start < c.stop]


class RegionsRenderer(ChunkRenderer):
    """A renderer of a plan's missing chunks, with looks over its own picture. Call ``show`` before use.

    The looks advance frame by frame with the plan's picture; each reads, renders, filters and stores its raw outputs
    as in a render of its own.
    """

    looks: Sequence[LookRenderer] = ()
    layers: Sequence[RegionLayer] = ()
    _states: Sequence[StateStore | None] = ()

    def show(self, looks: Sequence[LookRenderer], layers: Sequence[RegionLayer]) -> None:
        """Show looks, by their numbers, where the ``layers`` are. The most careful of all renderers sets the pace."""
        self.looks, self.layers = looks, layers
        for chunks in (look.chunks for look in looks):
            self._takes_turns |= chunks._takes_turns
            self._kind = chunks._kind if self._kind == "cpu" else self._kind
            self.result_capacity = min(self.result_capacity, chunks.result_capacity)
        self.result_capacity = 0 if self._takes_turns else self.result_capacity

    @property
    def raw_folders(self) -> list[Path]:
        """The folders of stored raw outputs, of the looks too."""
        return [*super().raw_folders, *(folder for look in self.looks for folder in look.chunks.raw_folders)]

    def extract(self, missing: Sequence[int]) -> None:
        """Make the extractors' pictures that chunks without stored raw outputs need."""
        super().extract(missing)
        parts = [range(c.first, c.stop) for c in self.plan.chunks if c.number in set(missing)]
        for look in self.looks:
            look.chunks.extract(sorted({number for part in parts for number in look.numbers(part)}))

    def counts(self, rendered: Sequence[int]) -> Table:
        """Return the frame counts for the result table; of frames that looks painted, the sum."""
        table = super().counts(rendered)
        inferred = 0 if self.plan.model.is_identity else table["frames_inferred"]
        for look in self.looks:
            own = look.chunks.counts([])
            inferred += 0 if look.chunks.plan.model.is_identity else own["frames_inferred"]
            for key in ("frames_extracted", "frames_spared"):
                total = table.get(key, 0) + own.get(key, 0)
                table |= {key: total} if total else {}
        return table | {"frames_inferred": inferred}

    def render(self, store: ChunkStore, states: StateStore, missing: Sequence[int], enlarge: Enlarger) -> None:
        """Render the missing chunks, given by number; see ``ChunkRenderer.render``."""
        self._states = [states.of(f"look{number}") for number in range(len(self.looks))]
        super().render(store, states, missing, enlarge)

    def uncorrected(
        self, stack: ExitStack, wanted: range, lo: int, hi: int, enlarge: Enlarger
    ) -> Generator[Begun, None, None]:
        """Return the frames with the looks over them, to be corrected; see ``ChunkRenderer``."""
        enlargers = [look.enlarger(look.numbers(wanted)) for look in self.looks]  # before threads use the engines
        rest = super().uncorrected(stack, wanted, lo, hi, enlarge)
        states = self._states or [None] * len(self.looks)
        each = [
            self._look(stack, look.chunks, wanted, enlarger, state)
            for look, enlarger, state in zip(self.looks, enlargers, states, strict=True)
        ]
        compose = stack.enter_context(RegionComposer.opened(self.layers, self.plan))

        def begun() -> Generator[Begun, None, None]:
            for (index, under), *over in zip(rest, *each, strict=True):
                mattes = compose.read(index)
                yield index, partial(_put_together, compose, mattes, under, [make for _, make in over])

        return begun()

    def _look(
        self,
        stack: ExitStack,
        chunks: ChunkRenderer,
        wanted: range,
        enlarge: Enlarger,
        states: StateStore | None,
    ) -> Iterable[Begun]:
        """Return the frames of a look, numbered; steps that have a state continue from the saved one."""
        steps, first, last = chunks.steps, self._chunk_of(wanted.start), self._chunk_of(wanted.stop - 1)
        lo, hi = steps.resume(first, states), min(last.shot_stop, wanted.stop + steps.filter.radius)
        made = chunks.composed(stack, wanted, lo, hi, enlarge)
        return made if states is None else self._saving(made, steps, states)

    def _saving(self, made: Iterable[Begun], steps: TemporalSteps, states: StateStore) -> Iterator[Begun]:
        """Yield frames; the state at a chunk's end is saved when the next chunk's first picture is made.

        Pictures are made in the encoder's thread, one after the other: by then the chunk is written.
        """
        save: Callable[[], None] | None = None
        for index, make in made:
            yield index, partial(_after, save, make) if save else make
            chunk = self._chunk_of(index)
            state = steps.state_after(chunk, index)
            save = None if state is None else partial(states.save, chunk.number, state)


def _put_together(
    compose: RegionComposer,
    mattes: Sequence[np.ndarray],
    under: Callable[[], np.ndarray],
    over: Sequence[Callable[[], np.ndarray]],
) -> np.ndarray:
    return compose(under(), [make() for make in over], mattes)


def _after(save: Callable[[], None], make: Callable[[], np.ndarray]) -> np.ndarray:
    save()
    return make()
