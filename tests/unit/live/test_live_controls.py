from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from live_server import load

from vidtrans.errors import UsageError
from vidtrans.live.live_controls import Controls, ControlState, describe_controls, describe_pairing
from vidtrans.live.presets import SavedControls
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, make_pairing


@pytest.fixture
def models() -> dict[str, LoadedModel]:
    return load("flower", "ink", "identity")


def changed(models: dict[str, LoadedModel], values: dict[str, Any]) -> ControlState:
    return ControlState(Controls("flower")).updated(values, models)


def test_values_are_taken_over_and_the_others_stay(models: dict[str, LoadedModel]) -> None:
    state = changed(models, {"strength": 0.5, "edges.density": 0.2}).updated({"lerp": 0.25}, models)
    assert (state.controls.strength, state.controls.lerp, state.controls.model) == (0.5, 0.25, "flower")
    assert state.changes(models["flower"].pairing) == {"density": 0.2}
    assert state.changes(models["ink"].pairing) == {}


def test_a_table_of_all_values_makes_the_same_state(models: dict[str, LoadedModel]) -> None:
    state = changed(models, {"strength": 2, "past": "causal", "edges.sigma": 3.5, "mirror": True})
    assert ControlState().updated(state.table(), models) == state


@pytest.mark.parametrize(
    "values",
    [
        {"strength": 3},
        {"strength": float("nan")},
        {"strength": "1"},
        {"strength": True},
        {"size": 10**30},
        {"size": 8},
        {"size": 256.5},
        {"model": "none such"},
        {"second": "none such"},
        {"past": "sometimes"},
        {"look": "none such"},
        {"loudness": 1},
        {"edges.density": 2.0},
        {"edges.density": float("nan")},
        {"edges.density": "0.1"},
        {"edges.density": True},
        {"edges.gradient_channel": False},
        {"sketch.sigma": 1.0},
        {"edges.": 1.0},
        {"": 1},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(models: dict[str, LoadedModel], values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        changed(models, values)


def test_each_control_has_a_help_and_numbers_have_bounds() -> None:
    described = describe_controls()
    assert list(described) == [f.name for f in fields(Controls)]
    numbers = [about for about in described.values() if type(about["default"]) in (int, float)]
    assert all(about["low"] <= about["default"] <= about["high"] for about in numbers)
    assert all(about["help"] for about in described.values())


@pytest.mark.parametrize("name", PAIRINGS)
def test_sliders_of_a_pairing_reach_only_what_it_takes(name: str) -> None:
    """The bounds that a page is told of are ones that the pairing accepts."""
    pairing: Pairing = make_pairing(name, {})
    for setting, about in describe_pairing(pairing).items():
        assert about["low"] <= about["default"] <= about["high"]
        kind = int if about["whole"] else float
        for value in (about["low"], about["high"]):
            assert make_pairing(name, {setting.partition(".")[2]: kind(value)}).in_channels == pairing.in_channels


class TestSavedControls:
    def test_they_are_there_in_the_next_session(self) -> None:
        SavedControls(Path("a/b.json")).save("slow storm", {"lerp": 0.9})
        assert SavedControls(Path("a/b.json")).load("slow storm") == {"lerp": 0.9}

    def test_two_servers_share_them(self) -> None:
        one, other = SavedControls(Path("b.json")), SavedControls(Path("b.json"))
        one.save("a", {})
        other.save("b", {})
        assert SavedControls(Path("b.json")).names == ["a", "b"]

    def test_what_was_deleted_is_gone(self) -> None:
        saved = SavedControls(Path("b.json"))
        saved.save("one", {})
        saved.delete("one")
        assert SavedControls(Path("b.json")).names == []
        with pytest.raises(UsageError, match="not saved"):
            saved.load("one")

    @pytest.mark.parametrize("text", ["", "[]", '{"x": 3}', "{", '{"\\u0000": {}}'])
    def test_a_file_that_is_something_else_counts_as_empty(self, text: str) -> None:
        Path("b.json").write_text(text)
        assert SavedControls(Path("b.json")).names == []

    @pytest.mark.parametrize("name", ["", "a\nb", "x" * 61])
    def test_a_name_is_a_short_line(self, name: str) -> None:
        with pytest.raises(UsageError, match="name"):
            SavedControls(Path("b.json")).save(name, {})
