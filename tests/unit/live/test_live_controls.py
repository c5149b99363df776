from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_server import load
from made_models import make_model

from vidtrans import live
from vidtrans.core.errors import UsageError
from vidtrans.live.live_controls import Controls, ControlState, SavedControls, describe_controls
from vidtrans.models.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    ink = make_model(str(tmp_path_factory.mktemp("m") / "ink.safetensors"), "look", {"looks": ["ink"]})
    return load("flower", ink, "identity")


def changed(models: dict[str, LoadedModel], values: dict[str, Any]) -> ControlState:
    return ControlState(Controls("flower")).with_values(values, models)


def test_values_are_taken_over_and_the_others_stay(models: dict[str, LoadedModel]) -> None:
    state = changed(models, {"strength": 0.5, "edges.density": 0.2}).with_values({"lerp": 0.25}, models)
    assert (state.controls.strength, state.controls.lerp, state.controls.model) == (0.5, 0.25, "flower")
    assert state.changes(models["flower"].pairing) == {"density": 0.2}
    assert state.changes(models["ink"].pairing) == {}
    state = changed(models, {"strength": 2, "past": "causal", "edges.sigma": 3.5, "mirror": True})
    assert ControlState().with_values(state.table(), models) == state


MISFITS: dict[str, tuple[Any, ...]] = {
    "strength": (3, float("nan"), "1", True),
    "size": (10**30, 8, 256.5),
    **dict.fromkeys(("model", "second", "look", "past"), ("none such",)),
    "edges.density": (2.0, float("nan"), "0.1", True),
    "edges.gradient_channel": (False,),
    **dict.fromkeys(("loudness", "sketch.sigma", "edges.", ""), (1.0,)),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused(models: dict[str, LoadedModel], name: str) -> None:
    for value in MISFITS[name]:
        with pytest.raises(UsageError):
            changed(models, {name: value})


def test_saved_controls_are_shared_with_other_servers_and_the_next_session() -> None:
    one, other = SavedControls(Path("a/b.json")), SavedControls(Path("a/b.json"))
    one.save("slow storm", {"lerp": 0.9})
    other.save("b", {})
    assert SavedControls(Path("a/b.json")).names == ["b", "slow storm"]
    assert SavedControls(Path("a/b.json")).load("slow storm") == {"lerp": 0.9}
    one.delete("b")
    assert SavedControls(Path("a/b.json")).names == ["slow storm"]
    with pytest.raises(UsageError, match="no preset of this name"):
        one.load("b")
    for name in ("", "a\nb", "x" * 61):
        with pytest.raises(UsageError, match="name"):
            one.save(name, {})
    for text in ("", "[]", '{"x": 3}', "{", '{"\\u0000": {}}'):  # something else counts as empty
        Path("a/b.json").write_text(text)
        assert SavedControls(Path("a/b.json")).names == []


def test_the_page_knows_what_each_control_needs() -> None:
    script = (Path(live.__file__).parent / "page" / "main.js").read_text("utf-8")
    needs = {about["needs"] for about in describe_controls().values() if "needs" in about}
    assert needs
    for need in needs:
        assert f"    {need}:" in script or f'    "{need}":' in script
