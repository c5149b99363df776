"""Where the cache holds what a render makes on its way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vidtrans.store.cache import Entry
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore, RawOutputs

if TYPE_CHECKING:
    from vidtrans.rendering.plan import RenderJob


@dataclass(frozen=True)
class Places:
    """The entries of the cache that a ``job`` fills: its model's ``raw`` outputs, and ``segments``."""

    job: RenderJob
    raw: Entry
    segments: Entry

    @cached_property
    def store(self) -> ChunkStore:
        return ChunkStore(self.segments, "." + self.job.settings.encoding.kept_as.segments)

    @cached_property
    def kept(self) -> ChunkStore | None:
        """Of raw outputs. What the identity model returns is the source: nothing to keep."""
        return None if self.job.look.record is None else ChunkStore(self.raw, ".nut")

    @cached_property
    def shown(self) -> list[Chunk]:
        """The chunks of which anything is written: a constant rate may drop all frames of one."""
        return [c for c in self.job.chunks if self.job.delivery.num_written(range(c.first, c.stop))]

    def missing(self) -> list[int]:
        """The numbers of the chunks that are not there yet; call it while the entry is locked."""
        return [c.number for c in self.shown if not self.store.is_done(c.number)]

    def raw_outputs(self) -> RawOutputs:
        return RawOutputs(self.kept, self.job.chunks, self.job.size, deep=self.job.depth > 8)
