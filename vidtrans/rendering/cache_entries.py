"""The cache entries that a render fills, and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.directing import VERSION as DIRECTING_VERSION
from vidtrans.rendering.frame_path import recurrence_key
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import PROPAGATION_VERSION
from vidtrans.store.cache import Cache
from vidtrans.store.cache_entry import CacheEntry
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore, RawOutputs
from vidtrans.store.stages import InferStage, RenderStage, media_libraries


@dataclass(frozen=True)
class RenderEntries:
    """The entries of the cache that a render fills: its model's ``raw`` outputs, and ``segments``."""

    plan: RenderPlan
    raw: CacheEntry
    segments: CacheEntry

    @classmethod
    def find(cls, plan: RenderPlan, engine: Engine, cache: Cache, extraction: str = "") -> RenderEntries:
        """Return those of a plan that an engine renders. ``extraction``: the key of its extractor's pictures."""
        infer = infer_stage(plan, engine, extraction)
        render = RenderStage(
            outputs=infer.key,
            filter=plan.settings.filter_record(),
            guide=plan.guide.for_key() if plan.guide else {},
            directing=(_blend_key(plan) if plan.is_composed else {}) | _paint_blend_key(plan),
            encoding=plan.settings.encoding.chunk_key(plan.delivery.stored),
            picture={k: str(v) for k, v in plan.delivery.stored.__dict__.items()},
            libraries=media_libraries(),
        )
        return cls(plan, cache.entry(infer.name, infer.key), cache.entry(render.name, render.key))

    @cached_property
    def store(self) -> ChunkStore:
        """Return the store of encoded chunks."""
        return ChunkStore(self.segments, "." + self.plan.settings.encoding.chunk_codec.segments)

    @cached_property
    def raw_store(self) -> ChunkStore | None:
        """Return the store of raw outputs; None where these are the source."""
        return ChunkStore(self.raw, ".nut") if self.plan.is_painted else None

    @cached_property
    def written(self) -> list[Chunk]:
        """Return the chunks of which anything is written: a constant rate may drop all frames of one."""
        return [c for c in self.plan.chunks if self.plan.delivery.num_written(range(c.first, c.stop))]

    def missing(self) -> list[int]:
        """Return the numbers of the chunks that are not there yet; call it while the entry is locked."""
        return [c.number for c in self.written if not self.store.is_done(c.number)]

    def raw_outputs(self) -> RawOutputs:
        """Return the store of raw outputs."""
        return RawOutputs(self.raw_store, self.plan.chunks, self.plan.size, deep=self.plan.is_deep)


def infer_stage(plan: RenderPlan, engine: Engine, extraction: str = "") -> InferStage:
    """Return the stage of a plan's raw outputs; ``extraction`` is the key of that of its extractor."""
    return InferStage(
        source=plan.clip.digest,
        first=plan.first,
        stop=plan.stop,
        shots=[s for s in plan.clip.shots if plan.first <= s < plan.stop],
        chunk_frames=plan.rendering.chunk_frames,
        model=plan.model.digest,
        pairing=pairing_record(plan.pairing),
        drawn=plan.drawn,
        mask=plan.input_mask.for_key() if plan.input_mask else {},
        size=list(plan.size),
        depth=plan.delivery.depth,
        transparency=plan.form(plan.size).transparency,
        engine=engine.identity_at(*plan.size) | _skipping_key(plan) | _conditions_key(plan) | _paint_key(plan),
        libraries=media_libraries(),
        memory=recurrence_key(plan.model.record, engine),
        extraction=extraction,
    )


def _skipping_key(plan: RenderPlan) -> dict[str, str]:
    """The settings that decide which frames the model does not render."""
    reuses = plan.rendering.duplicate_threshold and not plan.model.is_recurrent
    reuse = {"reuse": str(plan.rendering.duplicate_threshold)} if reuses else {}
    return reuse | ({"draft": str(plan.rendering.draft_step), "carried": PROPAGATION_VERSION} if plan.draft else {})


def _conditions_key(plan: RenderPlan) -> Table:
    """What a painter of looks is told."""
    return {"conditions": plan.conditions.for_key()} if plan.conditions else {}


def _paint_blend_key(plan: RenderPlan) -> Table:
    """What is laid over the result, and whether that is paint alone."""
    corrections = {"corrections": plan.corrections.for_key()} if plan.corrections else {}
    return corrections | ({"layer": True} if plan.is_layer else {})


def _paint_key(plan: RenderPlan) -> Table:
    """The key frames that are laid over the model's pictures."""
    return {"paint": plan.paint.for_key()} if plan.paint else {}


def _blend_key(plan: RenderPlan) -> Table:
    return {
        "version": DIRECTING_VERSION,
        "curves": {name: str(curve) for name, curve in plan.rendering.curves().items()},
        "mask": plan.mask.for_key() if plan.mask else {},
        "feather": plan.rendering.mask_feather if plan.mask else 0.0,
    }
