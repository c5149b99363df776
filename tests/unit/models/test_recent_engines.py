"""Engines of many models in one process: those that were used last stay in memory."""

from __future__ import annotations

import gc
import weakref

from made_models import make_model

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.models.loaded_model import MOST_ENGINES, load_engine, load_model
from vidtrans.session import Context


def test_those_that_were_used_last_stay() -> None:
    context, settings = Context(device="cpu"), RenderingSettings(engine="torch")
    files = [make_model(f"m{n}.safetensors", "edges", seed=n) for n in range(MOST_ENGINES + 2)]
    models = [load_model(str(file), context) for file in files]
    first, made = load_engine(models[0], settings, context), []
    for model in models[1:]:
        made.append(weakref.ref(load_engine(model, settings, context)))
        assert load_engine(models[0], settings, context) is first
    gc.collect()
    assert sum(engine() is not None for engine in made) == MOST_ENGINES - 1
    assert [key[0] for key in context.engines] == [model.digest for model in (*models[1 - MOST_ENGINES :], models[0])]
