"""The cache entries of a render (raw model outputs, encoded chunks) and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.flow.carrying import VERSION as PROPAGATION_VERSION
from vidtrans.inference.engine import Engine
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.render import picture_versions
from vidtrans.rendering.frame_renderer import recurrence_key
from vidtrans.rendering.plan import RenderPlan
from vidtrans.store.cache import Cache, CacheEntry
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore, RawOutputs
from vidtrans.store.stages import InferStage, RenderStage, media_libraries
from vidtrans.upscaling import VERSION as UPSCALING_VERSION


@dataclass(frozen=True)
class RenderEntries:
    """The cache entries that a render fills: ``raw`` model outputs and encoded ``segments``."""

    plan: RenderPlan
    raw: CacheEntry
    segments: CacheEntry

    @classmethod
    def find(
        cls, plan: RenderPlan, engine: Engine, cache: Cache, extraction: str = "", regions: Table | None = None
    ) -> RenderEntries:
        """Return the cache entries of a plan that is rendered by this engine, whether or not they exist on disk.

        ``extraction``: the cache key of the extractor's pictures, or "". ``regions``: see ``RegionPlans.for_key``.
        """
        infer = infer_stage(plan, engine, extraction)
        directing = _blend_key(plan) if plan.is_composed else {}
        directing |= {"corrections": plan.corrections.for_key()} if plan.corrections else {}
        directing |= {"layer": True} if plan.is_layer else {}
        render = RenderStage(
            outputs=infer.key,
            filter=plan.settings.filter_record() | ({"exposure": plan.exposure.for_key()} if plan.exposure else {}),
            guide=plan.guide.for_key() if plan.guide else {},
            directing=directing | (regions or {}),
            encoding=plan.delivery.chunk_encoding.chunk_key(plan.delivery.stored),
            picture={k: str(v) for k, v in plan.delivery.stored.__dict__.items()},
            libraries=media_libraries(),
            strokes=plan.strokes.for_key(plan.stroke_values) if plan.strokes and plan.stroke_values else {},
        )
        return cls(plan, cache.entry(infer.name, infer.key), cache.entry(render.name, render.key))

    @cached_property
    def store(self) -> ChunkStore:
        """Return the store of encoded chunks."""
        return ChunkStore(self.segments, "." + self.plan.delivery.chunk_encoding.chunk_codec.segments)

    @cached_property
    def raw_store(self) -> ChunkStore | None:
        """Return the store of the model's raw outputs; None if they are the source's own pictures."""
        return ChunkStore(self.raw, ".nut") if self.plan.is_painted else None

    @cached_property
    def chunks_with_output(self) -> list[Chunk]:
        """Return the chunks with at least one output frame; a constant frame rate may drop all frames of a chunk."""
        return [c for c in self.plan.chunks if self.plan.delivery.num_written(range(c.first, c.stop))]

    def missing(self) -> list[int]:
        """Return the numbers of the chunks that are not encoded yet. Call it while the ``segments`` entry is locked."""
        return [c.number for c in self.chunks_with_output if not self.store.is_done(c.number)]

    def raw_outputs(self) -> RawOutputs:
        """Return the reader and writer of the model's raw outputs."""
        return RawOutputs(self.raw_store, self.plan.chunks, self.plan.size, deep=self.plan.is_deep)


def infer_stage(plan: RenderPlan, engine: Engine, extraction: str = "") -> InferStage:
    """Build the cache stage of a plan's raw outputs. ``extraction``: the cache key of its extractor's pictures."""
    properties: Table = engine.identity_at(*plan.size) | _skipping_key(plan) | plan.model.padding_key
    properties |= {"conditions": plan.conditions.for_key()} if plan.conditions else {}
    properties |= {"paint": plan.paint.for_key()} if plan.paint else {}
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
        engine=properties,
        libraries=media_libraries(),
        memory=recurrence_key(plan.model.record, engine),
        extraction=extraction,
        held=digest_of(plan.held) if plan.held else "",
        lead=plan.lead,
    )


def _skipping_key(plan: RenderPlan) -> dict[str, str]:
    """Return the settings that decide which frames the model does not render (duplicates, drafts), for cache keys."""
    reuses = plan.rendering.duplicate_threshold and not plan.model.is_recurrent
    reuse = {"reuse": str(plan.rendering.duplicate_threshold)} if reuses else {}
    return reuse | ({"draft": str(plan.rendering.draft_step), "carried": PROPAGATION_VERSION} if plan.draft else {})


def _blend_key(plan: RenderPlan) -> Table:
    """Return the settings that affect the blending of source and output, for the cache key of encoded chunks."""
    key: Table = {
        "versions": picture_versions(),
        "curves": plan.values.for_key(),
        "mask": plan.mask.for_key() if plan.mask else {},
        "feather": plan.feather.for_key() if plan.mask else "0",
    }
    if plan.upscale != "bicubic":
        key["upscale"] = [plan.upscale, UPSCALING_VERSION, plan.rendering.sharpness]
    return key
