"""Presets and precedence."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidtrans.config.recipe import make_recipe, preset_names, preset_text
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import from_table
from vidtrans.data.settings import DatasetSettings
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.matting.settings import MattingSettings
from vidtrans.models.model_record import Card
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.pairing import PAIRINGS
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.temporal import FILTERS
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.encoding import EncodingSettings

SETTINGS = {
    "dataset": DatasetSettings,
    "training": TrainingSettings,
    "rendering": RenderingSettings,
    "strokes": StrokesSettings,
    "dreaming": DreamingSettings,
    "matting": MattingSettings,
    "encoding": EncodingSettings,
    "card": Card,
}
REGISTRIES = {"pairing": PAIRINGS, "generator": GENERATORS, "discriminator": DISCRIMINATORS, "temporal": FILTERS}


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_fills_every_settings_class(name: str) -> None:
    assert preset_text(name, "summary")
    assert preset_text(name, "cost")
    recipe = make_recipe(name, None, {})
    for table, cls in SETTINGS.items():
        recipe.settings(table, cls)
    for table, registry in REGISTRIES.items():
        chosen, settings = recipe.choice(table)
        from_table(registry.load(chosen).Settings, settings, table)


def size_of(preset: str | None, implied: str | None, flags: dict[str, dict[str, object]]) -> str:
    return make_recipe(preset, implied, flags).settings("dataset", DatasetSettings).size


def test_who_wins() -> None:
    Path("mine.toml").write_text('[dataset]\nsize = "100"\n')
    assert size_of(None, None, {}) == DatasetSettings().size
    assert size_of(None, "mine.toml", {}) == "100"
    Path("vidtrans.toml").write_text('[dataset]\nsize = "200"\n')
    assert size_of(None, "mine.toml", {}) == "200"
    assert size_of("mine.toml", None, {}) == "100"
    assert size_of("mine.toml", None, {"dataset": {"size": "300"}}) == "300"


def test_another_choice_does_not_inherit_the_settings_of_the_one_it_replaces() -> None:
    recipe = make_recipe("edges", None, {"pairing": {"name": "next-frame"}})
    assert recipe.choice("pairing") == ("next-frame", {})
    recipe = make_recipe("edges", None, {"pairing": {"name": "edges", "sigma": 2.0}})
    assert recipe.choice("pairing") == ("edges", {"gradient_channel": True, "sigma": 2.0})


def test_a_recipe_is_read_once_into_settings() -> None:
    recipe = make_recipe("edges", None, {"pairing": {"name": "edges", "sigma": 2.0}, "training": {"steps": 7}})
    settings = recipe.settings("training", TrainingSettings)
    assert settings is recipe.settings("training", TrainingSettings)
    assert settings.steps == 7
    assert recipe.choice_settings("pairing")[1] is recipe.choice_settings("pairing")[1]
    with pytest.raises(UsageError, match="no setting 'stepz'"):
        recipe.under({"training": {"stepz": 1}})
    with pytest.raises(UsageError, match="nothing to learn from"):
        make_recipe(None, None, {"training": {"lambda_l1": 0.0, "lambda_gan": 0.0}})
