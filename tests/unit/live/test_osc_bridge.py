"""OSC that moves controls: every address, floods, bad values, times of bundles, and what is sent back."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import load
from osc_stage import OscStage, pack_bundle

from vidtrans.core.settings import SMALLEST_SIDE
from vidtrans.curves.expressions import Signal
from vidtrans.live.live_controls import Controls, describe_pairing
from vidtrans.live.osc import osc_bridge
from vidtrans.live.osc.osc_addresses import ACTIONS, REPORTS, ROOT, OscAddress, address_tree
from vidtrans.live.osc.osc_bridge import BEAT, LOUDNESS, OscChanges
from vidtrans.live.osc.osc_messages import (
    MAX_SCHEDULED,
    MAX_WAIT_S,
    NUM_LISTED_UNMATCHED,
    Argument,
    OscMessage,
    pack_message,
    parse_message,
)
from vidtrans.models.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def models() -> dict[str, LoadedModel]:
    return load("identity", "flower")


@pytest.fixture
def stage(models: dict[str, LoadedModel]) -> OscStage:
    return OscStage(models)


def other_value(one: OscAddress, now: object) -> Argument:
    """Return a value within the bounds of an address that differs from the one it has."""
    if one.kind == "switch":
        return not now
    if one.kind == "word":
        return next((word for word in one.words if word != now), None)
    whole = one.kind == "whole"
    found = next(v for v in (one.low, (one.low + one.high) / 2) if abs(v - float(str(now))) > 1e-6)
    return round(found) if whole else struct.unpack(">f", struct.pack(">f", found))[0]


def test_every_control_of_every_model_has_an_address_and_is_moved_by_it(stage: OscStage) -> None:
    names = {f.name for f in fields(Controls)}
    names |= {name for model in stage.hub.models.values() for name in describe_pairing(model.pairing)}
    controls = {one.name: one for one in stage.bridge.addresses.values() if one.is_control}
    assert set(controls) == names
    assert {one.name for one in stage.bridge.addresses.values()} == names | set(ACTIONS)
    for name, one in controls.items():
        before = stage.bridge.values()[one.path]
        value = other_value(one, before)
        if value is None:
            assert name == "look"  # neither model has looks
            continue
        stage.send(name.replace(".", "/"), value)
        stage.frame()
        assert stage.value(name) == pytest.approx(value), name
        assert stage.bridge.values()[one.path] == pytest.approx(value)
    assert stage.inbox.counts.refused == stage.inbox.counts.unmatched == 0


def test_what_is_out_of_bounds_stays_at_the_end_and_numbers_choose_words(stage: OscStage) -> None:
    for address, given_value, expected in (
        ("strength", 7.0, 2.0),
        ("size", 3, SMALLEST_SIDE),
        ("mirror", 1.0, True),
        ("past", 3.0, "causal"),
        ("second", 2.0, "flower"),
        ("model", 2, "flower"),
        ("model", "identity", "identity"),
        ("mask", "person - luma:0.9..1", "person - luma:0.9..1"),
        ("mask", 2, "not person"),
        ("mask", "a.mkv", "not person"),
        ("mask", 0, ""),
    ):
        stage.send(address, given_value)
        stage.frame()
        assert stage.value(address) == expected, (address, given_value)


REFUSED: list[tuple[str, tuple[Argument, ...]]] = [
    ("strength", (math.nan,)),
    ("strength", ("low",)),  # a curve, which a page may write
    ("strength", (True,)),
    ("strength", ()),
    ("mirror", ("yes",)),
    ("past", ("../../etc/passwd",)),
    ("model", ("/etc/passwd",)),
    ("look", ("pencil",)),  # a medium, but not loaded
    ("preset", ("../live-presets.json",)),
    ("dream", (True,)),  # neither model predicts frames
]


@pytest.mark.parametrize(("address", "arguments"), REFUSED, ids=str)
def test_what_fits_no_control_changes_nothing(stage: OscStage, address: str, arguments: tuple[Argument, ...]) -> None:
    before = stage.hub.state
    stage.send(address, *arguments)
    stage.frame()
    assert stage.hub.state == before
    assert stage.inbox.counts.refused == 1
    stage.bridge.send_status()
    assert len(stage.notes) == 1
    assert stage.notes[0].startswith("OSC: 1 message")


def test_a_pattern_moves_all_controls_that_it_matches(stage: OscStage) -> None:
    stage.send("lerp", 0.75)
    stage.send("{strength,lerp}", 0.25)
    stage.send("edges/den*", 0.1)
    stage.send("str?ngth", 0.5)
    stage.frame()
    assert (stage.value("strength"), stage.value("lerp")) == (0.5, 0.25)
    assert stage.value("edges.density") == pytest.approx(0.1)
    stage.push(pack_bundle([pack_message(OscMessage(f"{ROOT}l[a-e]rp", (0.5,)))], stage.at_s + 1))
    stage.send("x*", 1.0)
    stage.at_s += 1.5
    stage.frame()
    assert stage.value("lerp") == 0.5
    assert stage.inbox.unmatched == {f"{ROOT}x*": 1}
    stage.hub.models.pop("flower")
    stage.bridge.refresh()
    stage.send("edges/den*", 0.2)
    stage.frame()
    assert f"{ROOT}edges/den*" in stage.inbox.unmatched


def test_a_button_acts_at_its_press_even_where_the_release_comes_in_the_same_frame(stage: OscStage) -> None:
    client = stage.hub.join(is_program=False)
    stage.hub.holder, stage.hub.source = client.number, "drawing"
    client._texts.clear()
    stage.send("clear", 1.0)
    stage.send("clear", 0.0)
    stage.frame()
    for released in ((False,), (-0.0,), (0, 0, 0)):
        stage.send("undo", *released)
        stage.frame()
    stage.send("undo")
    stage.frame()
    assert list(client._texts) == [{"type": "drawing", "do": "clear"}, {"type": "drawing", "do": "undo"}]


def test_bundles_are_carried_out_at_their_time_or_at_once(stage: OscStage) -> None:
    def bundle(value: float, at_s: float | None) -> bytes:
        return pack_bundle([pack_message(OscMessage(f"{ROOT}strength", (value,)))], at_s)

    stage.push(bundle(0.25, None))
    stage.push(bundle(0.75, stage.at_s + 2))
    stage.push(bundle(1.25, stage.at_s + 1))
    stage.push(bundle(0.1, stage.at_s - 100))  # late: at once
    stage.push(bundle(0.2, stage.at_s + MAX_WAIT_S + 1))
    stage.frame()
    assert stage.value("strength") == pytest.approx(0.1)
    assert stage.inbox.counts.dropped == 1
    stage.bridge.send_status()
    assert stage.notes == ["OSC: 1 message not used; a bundle's time is 61 s ahead, and at most 60 s are waited for"]
    assert stage.inbox.due_s(stage.at_s) == pytest.approx(1, abs=1e-3)
    for _, expected in ((1, 1.25), (2, 0.75)):
        stage.at_s += 1.001
        stage.frame()
        assert stage.value("strength") == expected
    assert stage.inbox.due_s(stage.at_s) is None
    for _ in range(MAX_SCHEDULED + 5):
        stage.push(bundle(0.5, stage.at_s + 5))
    assert len(stage.inbox._scheduled) == MAX_SCHEDULED
    assert stage.inbox.counts.dropped == 6


def test_unknown_addresses_are_counted_in_bounded_memory(stage: OscStage) -> None:
    for n in range(5000):
        stage.send(f"none/{n}\u2028{'x' * 500}", 1.0)
    stage.send("strangth", 0.5)
    stage.frame()
    assert stage.inbox.counts.unmatched == 5001
    assert len(stage.inbox.unmatched) == NUM_LISTED_UNMATCHED
    assert max(map(len, stage.inbox.unmatched)) <= 60
    assert stage.inbox._newest == {}
    stage.bridge.send_status()
    assert f"{ROOT}strangth" in stage.notes[0]
    assert stage.notes[0].isprintable()


class Clock:
    """A time that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(osc_bridge.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def sent(changes: OscChanges) -> dict[str, object]:
    messages = [parse_message(packet) for packet in changes.step()]
    return {one.address.removeprefix(ROOT): one.arguments[0] for one in messages}


def test_changes_are_sent_once_and_those_of_osc_when_they_rest(stage: OscStage, clock: Clock) -> None:
    changes = OscChanges(stage.hub, stage.bridge, lambda: clock.now_s)
    first = sent(changes)
    assert first["strength"] == 1.0
    assert len(first) == sum(one.is_control for one in stage.bridge.addresses.values()) + 4  # record, dream, frame, fps
    assert sent(changes) == {}
    stage.hub.handle_command(stage.hub.join(is_program=False), {"type": "controls", "values": {"strength": 0.1}})
    assert sent(changes) == {"strength": pytest.approx(0.1)}
    for n in range(60):  # a fader moves for a second
        stage.send("strength", 0.5 + n / 200)
        stage.frame()
        clock.now_s += 1 / 60
        assert sent(changes) in ({}, {"fps": 0.0})
    clock.now_s += 0.3
    assert sent(changes) == {"strength": pytest.approx(0.795)}
    assert sent(changes) == {}


def test_sound_pictures_and_moving_controls_are_sent(stage: OscStage, clock: Clock) -> None:
    changes = OscChanges(stage.hub, stage.bridge, lambda: clock.now_s)
    changes.step()
    stage.hub.sound.values = {LOUDNESS: 0.5, Signal("onset"): 0.0, BEAT: 3.9}
    stage.hub.worker.num_painted = 30
    clock.now_s += 1.0
    found = sent(changes)
    assert found == {"heard/loudness": 0.5, "heard/onset": 0.0, "heard/beat": 3, "frame": 30, "fps": 30.0}
    assert set(found) == {one.name for one in REPORTS}
    stage.hub.sound.values = {LOUDNESS: 0.5, Signal("onset"): 0.0, BEAT: 4.1}
    stage.bridge._positions = {"lerp": 0.75}
    assert sent(changes) == {"heard/beat": 4, "lerp": 0.75}


def test_the_list_is_sent_with_all_values_and_the_tree_says_the_same(stage: OscStage) -> None:
    changes = OscChanges(stage.hub, stage.bridge)
    changes.step()
    stage.send("list")
    stage.frame()
    packets = changes.step()
    listed = {m.arguments[0]: m.arguments[1:] for m in map(parse_message, packets) if m.address == f"{ROOT}list"}
    assert set(listed) == {*stage.bridge.addresses, *(one.path for one in REPORTS)}
    assert listed[f"{ROOT}strength"] == ("f", 0.0, 2.0)
    assert listed[f"{ROOT}past"] == ("s", 0.0, 1.0, "off", "lerp", "causal")
    assert any(parse_message(packet).address == f"{ROOT}strength" for packet in packets)
    tree = json.loads(json.dumps(address_tree(stage.bridge.addresses, stage.bridge.values())))
    nodes = tree["CONTENTS"]["vidtrans"]["CONTENTS"]
    strength = {"TYPE": "f", "RANGE": [{"MIN": 0.0, "MAX": 2.0}], "VALUE": [1.0], "ACCESS": 3}
    assert strength.items() <= nodes["strength"].items()
    assert nodes["edges"]["CONTENTS"]["density"]["FULL_PATH"] == f"{ROOT}edges/density"
    assert nodes["frame"]["ACCESS"] == 1
    assert nodes["past"]["RANGE"] == [{"VALS": ["off", "lerp", "causal"]}]


PATHS = st.sampled_from([f"{ROOT}{name}" for name in ("strength", "size", "past", "edges/density", "freeze", "x")])
VALUES = st.floats(width=32) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["", "on", "٣"]) | st.booleans()
PIECES = st.sampled_from([b"#bundle\0", b"/vidtrans/strength\0\0", b",f\0\0", b",s\0\0", bytes(8), b"\x7f\xc0\0\0"])
SENT = st.builds(lambda path, args: pack_message(OscMessage(path, tuple(args))), PATHS, st.lists(VALUES, max_size=2))
PARTS = st.lists(st.binary(max_size=24) | PIECES | SENT, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PARTS.map(b"".join), max_size=6), st.booleans())
def test_no_bytes_raise_or_move_a_control_out_of_its_bounds(stage: OscStage, packets: list[bytes], whole: bool) -> None:
    for packet in [pack_bundle([p for p in packets if p])] if whole else packets:
        stage.push(packet)
    stage.frame()
    values = stage.bridge.values()
    for one in stage.bridge.addresses.values():
        if one.is_control and one.kind in ("number", "whole"):
            assert one.low <= float(str(values[one.path])) <= one.high
    stage.hub.state.with_values(stage.hub.state.table(), stage.hub.models)  # raises where something does not fit


def test_values_that_do_not_fit_together_leave_the_others_alone(stage: OscStage) -> None:
    one = stage.bridge.addresses[f"{ROOT}edges/density"]
    stage.bridge.addresses[one.path] = OscAddress(one.name, "number", "", 0, 1e9, is_control=True)
    stage.send("edges/density", 1e9)  # as where two settings exclude each other
    stage.send("strength", 0.5)
    stage.frame()
    assert stage.value("strength") == 0.5
    assert "edges.density" not in stage.hub.state.numbers()
