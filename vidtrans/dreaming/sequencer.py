"""The model for each frame of a dream: one model, several in turn, or several that morph into one another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.dreaming.actions import known_actions
from vidtrans.dreaming.drift_correction import DriftCorrector, FrameStatistics
from vidtrans.dreaming.pointer import Pointer
from vidtrans.dreaming.predictors import memory_of, positions_of, start_zoom
from vidtrans.dreaming.rollout import RolloutModel, start_view
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.inference.device import Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.settings import RenderingSettings
from vidtrans.session import Context


def statistics_in(look: LoadedModel) -> FrameStatistics | None:
    """Return the statistics of a model's training frames; None if it has none. Raises ModelError."""
    table = look.record.dream.get("statistics") if look.record else None
    return FrameStatistics.of(table) if table else None


class ModelSequencer:
    """The model of each frame: in turn, again and again, or a morph from the first to the last. Raises UsageError."""

    def __init__(
        self,
        looks: Sequence[LoadedModel],
        settings: DreamingSettings,
        rendering: RenderingSettings,
        context: Context,
        num_frames: int,
    ) -> None:
        self.looks, self.settings, self.rendering, self.context = looks, settings, rendering, context
        parts = len(looks) - settings.morph
        if parts == 0 or (len(looks) == 1 and settings.frames_per_model is not None):
            flag = "--morph" if settings.morph else "--every"
            raise UsageError(
                flag,
                "it needs several models, and only one is given",
                f"give --model several times, or leave out {flag}",
            )
        self.every = (settings.frames_per_model or -(-num_frames // parts)) if len(looks) > 1 else num_frames
        for look in looks[1:] if settings.morph else ():
            if _architecture(look) != _architecture(looks[0]):
                both = f"'{looks[0].name}' and '{look.name}'"
                raise UsageError("--morph", f"{both} have different architectures", "use models of one training run")
        self._correctors = [self._corrector(look) for look in looks]
        self._models: dict[int, RolloutModel] = {}
        self._morph: Morph | None = None

    def _corrector(self, look: LoadedModel) -> DriftCorrector | None:
        statistics = statistics_in(look)
        if statistics is None or self.settings.drift_correction == 0:
            return None
        loosened = statistics.loosened(places=self.settings.moves(), channels=self.settings.colours())
        return DriftCorrector(loosened, self.settings.drift_correction)

    def __call__(self, frame: int) -> RolloutModel:
        """Return the model of a frame. Raises ModelError, DeviceError."""
        number, share = self._place(frame)
        if number not in self._models:
            look = self.looks[number]
            settings, positions = look.pairing.settings, positions_of(look)
            engine, corrector = self._engine(number, share), self._correctors[number]
            memory = None if look.pairing.has_clock else memory_of(look)
            if memory and look.record and self.settings.needs_actions:
                table = self.settings.actions if number == 0 else ""
                actions = known_actions(memory, look.record.dream, table, self.settings.goals)
                memory = replace(memory, actions=actions)
            pointer = Pointer(memory, self.context.seed) if memory else None
            self._models[number] = RolloutModel(
                engine,
                settings.context_frames,
                settings.step,
                positions,
                corrector,
                pointer,
                start_view(start_zoom(self.looks[0], self.settings)),
            )
        model = self._models[number]
        return replace(model, engine=self._engine(number, share)) if self.settings.morph else model

    def _place(self, frame: int) -> tuple[int, float]:
        """Return the index of a frame's model, and the interpolation weight, 0 to 1, of the next model."""
        turn, into = divmod(frame, self.every)
        if not self.settings.morph:
            return turn % len(self.looks), 0.0
        last = len(self.looks) - 1
        return (turn, into / self.every) if turn < last else (last, 0.0)

    def _engine(self, number: int, share: float) -> TorchEngine:
        if not self.settings.morph:
            engine = load_engine(self.looks[number], self.rendering, self.context)
            assert isinstance(engine, TorchEngine)  # the identity model predicts nothing
            return engine
        if self._morph is None:
            paths = [look.path for look in self.looks if look.path]  # all have one
            device = resolve_device(self.context.device)
            self._morph = Morph(lambda n: load_generator(paths[n])[0], device, self.rendering.precision)
        return self._morph.at(number, share)

    @property
    def exact(self) -> list[str]:
        """Return the operators that models computed in fp32 so far, because this machine computes them wrongly."""
        return sorted({name for model in self._models.values() for name in model.engine.exact})

    def for_key(self) -> Table:
        """Return the sequence's settings, for cache keys; {} for one model."""
        return {"every": self.every, "morph": self.settings.morph} if len(self.looks) > 1 else {}

    def models_for_key(self) -> list[Table]:
        """Return the digest and the pairing of each model, for cache keys."""
        return [{"digest": x.digest, "pairing": pairing_record(x.pairing)} | x.padding_key for x in self.looks]


def _architecture(look: LoadedModel) -> str:
    record = look.record
    assert record is not None
    clock = record.dream.get("positions", 0)
    return digest_of([record.generator, record.pairing, record.in_channels, record.plate, clock])


class Morph:
    """Engines interpolated between generators of one architecture; ``load(n)`` returns the n-th, on the CPU.

    Generators are in eval mode; at most two are in memory at once.
    """

    def __init__(self, load: Callable[[int], Any], device: Device, precision: str) -> None:
        self._load, self._device, self._precision = load, device, precision
        self._generators: dict[int, nn.Module] = {}
        self._mix: nn.Module | None = None  # overwritten for each engine, which copies it
        self._latest: tuple[tuple[int, float], TorchEngine] | None = None

    def at(self, number: int, share: float) -> TorchEngine:
        """Return the engine of generator ``number``, interpolated towards the next by ``share`` (0 to 1)."""
        if self._latest is None or self._latest[0] != (number, share):
            mixed = self._mixed(number, share) if share else self._generator(number)
            self._latest = (number, share), TorchEngine(mixed, self._device, self._precision)
        return self._latest[1]

    def _generator(self, number: int) -> nn.Module:
        if number not in self._generators:
            self._generators = {n: g for n, g in self._generators.items() if abs(n - number) == 1}
            self._generators[number] = self._load(number)
        return self._generators[number]

    @torch.inference_mode()
    def _mixed(self, number: int, share: float) -> nn.Module:
        """Interpolate all weights and norm statistics, as in Wang et al., "Deep Network Interpolation" (2019)."""
        one, other = self._generator(number).state_dict(), self._generator(number + 1).state_dict()
        if self._mix is None:
            self._mix = copy.deepcopy(self._generator(number))
        for name, value in self._mix.state_dict().items():
            if value.is_floating_point():
                torch.lerp(one[name], other[name], share, out=value)
        for name, kept in self._generator(number).named_buffers():  # frames that the one keeps, to which it points
            if not kept.is_floating_point():
                owner, _, leaf = name.rpartition(".")
                setattr(self._mix.get_submodule(owner), leaf, kept)
        return self._mix
