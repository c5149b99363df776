"""Engines of many models in one process: those that were used last stay in memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from made_models import make_model

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.inference import torch_engine
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import MOST_ENGINES, LoadedModel, load_engine, load_model
from vidtrans.session import Context

COUNT = MOST_ENGINES + 3


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of engines in memory, whenever one was made."""
    made: list[weakref.ref[Any]] = []
    counts: list[int] = []
    begin = TorchEngine.__init__

    def init(self: TorchEngine, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        made.append(weakref.ref(self))
        gc.collect()
        counts.append(sum(one() is not None for one in made))

    monkeypatch.setattr(torch_engine.TorchEngine, "__init__", init)
    return counts


def models(context: Context) -> list[LoadedModel]:
    files = [make_model(f"m{n}.safetensors", "edges", seed=n) for n in range(COUNT)]
    return [load_model(str(file), context) for file in files]


def test_those_that_were_used_last_stay(most: list[int]) -> None:
    context, settings = Context(device="cpu"), RenderingSettings(engine="torch")
    made = models(context)
    first = load_engine(made[0], settings, context)
    for model in made[1:]:
        load_engine(model, settings, context)
        assert load_engine(made[0], settings, context) is first
    assert max(most) == len(context.engines) == MOST_ENGINES
    assert [key[0] for key in context.engines] == [model.digest for model in (*made[-3:], made[0])]
