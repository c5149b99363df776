"""The settings of a render, resolved for its model, source and output."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidtrans.clips.cut_list import cuts_for_key
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, ignore_event
from vidtrans.core.machine import device_kind
from vidtrans.core.settings import Table, from_table, to_table
from vidtrans.curves.tracks import digest_value_file
from vidtrans.flow import FLOWS
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.temporal import FILTERS
from vidtrans.temporal.settings import VoteSettings
from vidtrans.temporal.stream import BatchFilter, Filter
from vidtrans.video.io.encoding import EncodingSettings

MAX_SIDE_RENDERED = 16384  # Largest side of a model's output in pixels, the limit of the encoder x264
MAX_SIDE_FILTERED = 32766  # Largest side of a picture for the temporal filter in pixels, the limit of OpenCV's remap


def output_classes(model: LoadedModel) -> ClassColours | None:
    """Return the class colours of a model's output, or of a chain's last model; None if the output is pictures."""
    return model.parts[-1].pairing.class_colours


@dataclass(frozen=True)
class ResolvedRenderSettings:
    """The recipe of a render, resolved for a model: settings of rendering, encoding, filter and strokes."""

    rendering: RenderingSettings
    encoding: EncodingSettings
    filter_name: str
    filter_settings: Any  # An instance of the filter's ``Settings``
    # Value of ``--device``. A GPU can run the temporal filter, and the filter's flow if a network computes it.
    device: str
    strokes: StrokesSettings = field(default_factory=StrokesSettings)

    @classmethod
    def of(cls, recipe: Recipe, model: LoadedModel, device: str, *, painted: bool = False) -> ResolvedRenderSettings:
        """Return the settings that a recipe gives for a model; ``painted``: to propagate painted key frames.

        By default there is no filter for a model that maps colours, unless ``painted``, nor for strokes, which a filter
        would blur. A model whose output is classes has the filter 'vote'. Raises UsageError.
        """
        name, settings = recipe.choice_settings("temporal")
        strokes = recipe.settings("strokes", StrokesSettings)
        if strokes.palette and not strokes.medium:
            raise UsageError("--palette", "it is for strokes, and there are none", "add --strokes MEDIUM")
        is_named = "name" in recipe.tables.get("temporal", {})
        if ((model.maps_colours and not painted) or strokes.medium) and not is_named:
            name, settings = "off", FILTERS.load("off").Settings()
        elif output_classes(model) and not is_named:
            name, settings = "vote", from_table(VoteSettings, recipe.tables.get("temporal", {}), "temporal")
        if (flow := getattr(settings, "flow", "")) and FILTERS[name].is_batched(device_kind(device)):
            settings = replace(settings, flow=FLOWS[flow].on_gpu or flow)
        rendering = recipe.settings("rendering", RenderingSettings)
        if model.optimises and "chunk_frames" not in recipe.tables.get("rendering", {}):
            rendering = replace(rendering, chunk_frames=1)  # Save every frame, since each takes seconds or minutes
        encoding = recipe.settings("encoding", EncodingSettings)
        if (classes := output_classes(model)) and not encoding.palette and not strokes.medium:
            encoding = replace(encoding, palette=" ".join(classes.names))
        return cls(rendering, encoding, name, settings, device, strokes)

    @classmethod
    def of_extractor(cls, rendering: RenderingSettings, device: str) -> ResolvedRenderSettings:
        """Return the settings for a render of an extractor (it makes a model's input): raw 8-bit outputs, no filter."""
        return cls(rendering, EncodingSettings(codec="h264"), "off", FILTERS.load("off").Settings(), device)

    def without_filter(self) -> ResolvedRenderSettings:
        """Return the settings with the temporal filter off."""
        return replace(self, filter_name="off", filter_settings=FILTERS.load("off").Settings())

    def resolved(self, pictures: bool, output: Path | None, report: Report = ignore_event) -> ResolvedRenderSettings:
        """Return the settings with a definite codec; ``pictures``: the source is still pictures, not a video."""
        return replace(self, encoding=self.encoding.resolved(pictures=pictures, output=output, report=report))

    def check_sides(self, model: LoadedModel, size: tuple[int, int]) -> None:
        """Raise UsageError if a (width, height) in pixels is too large for the model or the temporal filter."""
        side, what = max(size), f"{size[0]}x{size[1]}"
        if not model.is_identity and side > MAX_SIDE_RENDERED:
            why = f"a model's output has at most {MAX_SIDE_RENDERED} pixels a side"
            raise UsageError(what, why, "choose a smaller size")
        if self.filter_name != "off" and side > MAX_SIDE_FILTERED:
            why = f"flicker is filtered up to {MAX_SIDE_FILTERED} pixels a side"
            raise UsageError(what, why, "choose --temporal off, or give smaller pictures")

    def make_filter(self) -> Filter | BatchFilter:
        """Create the temporal filter. Raises UsageError, ModelError or DeviceError if its flow cannot be computed."""
        device = "cpu"
        if self.is_batched or self._flow_in_torch:
            from vidtrans.inference.device import resolve_device

            device = str(resolve_device(self.device).torch)
        temporal_filter: Filter | BatchFilter = FILTERS[self.filter_name].load_for(device_kind(self.device))(
            self.filter_settings, device
        )
        return temporal_filter

    def filter_record(self) -> Table:
        """Return the filter's properties that affect the output, for cache keys. Raises like ``make_filter``."""
        version = FILTERS.load(self.filter_name).version
        filter_table = {"name": self.filter_name, "version": version, "settings": to_table(self.filter_settings)}
        filter_table |= FILTERS.origin(self.filter_name)
        if self._flow and (origin := FLOWS.origin(self._flow)):
            filter_table["flow_plugin"] = origin["plugin"]
        if self.is_batched:
            filter_table |= {"batched": FILTERS[self.filter_name].gpu_version, "device": device_kind(self.device)}
        if self._flow_in_torch:
            filter_table |= {"flow": FLOWS[self._flow].identity_on(device_kind(self.device))}
        return filter_table

    @property
    def _flow(self) -> str:
        """Return the name of the filter's flow method; '' if the filter uses no flow."""
        return str(getattr(self.filter_settings, "flow", ""))

    @property
    def _flow_in_torch(self) -> bool:
        """Return whether torch computes the filter's flow on the device."""
        return self._flow != "" and FLOWS[self._flow].runs_on_device

    @property
    def is_batched(self) -> bool:
        """Return whether the filter runs in torch, in batches; on a CPU, NumPy and OpenCV are faster."""
        return FILTERS[self.filter_name].is_batched(device_kind(self.device))

    def for_key(self, *, stills: bool, masked: bool) -> Table:
        """Return the settings that affect renders of pictures (``stills``) or with a mask (``masked``), for cache keys.

        ``picture_fps`` affects only renders of still pictures, ``mask_feather`` only renders with a mask.
        """
        without = [] if stills else ["picture_fps"]
        without += [] if masked else ["mask_feather"]
        rendering = {k: v for k, v in self.rendering.for_key().items() if k not in without}
        return {
            "rendering": rendering | {"cuts": cuts_for_key(self.rendering.cuts)},
            **(
                {"curves": [digest_value_file(path) for path in files]}
                if (files := self.rendering.curve_files())
                else {}
            ),
            "encoding": self.encoding.for_key(),
            "filter": self.filter_record(),
        }
