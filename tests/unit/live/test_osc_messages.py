"""Bytes of OSC: what is packed is parsed; damage is one kind of error, and is logged nowhere."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osc_stage import pack_bundle

from vidtrans.live.osc.osc_messages import (
    DEEPEST,
    MOST_ELEMENTS,
    MalformedOscError,
    OscMessage,
    matches,
    messages_in,
    pack_message,
    parse_message,
)

ERA_END_S = 2_085_978_496  # of NTP's first era, in February 2036
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
FLOAT = st.floats(width=32, allow_nan=False)
ARGUMENT = st.one_of(
    st.integers(-(2**63), 2**63 - 1), FLOAT, TEXT, st.booleans(), st.none(), st.binary(min_size=1, max_size=9)
)
MESSAGE = st.builds(OscMessage, TEXT.map("/{}".format), st.lists(ARGUMENT, max_size=8).map(tuple))


@settings(max_examples=30)
@given(MESSAGE)
def test_a_packed_message_is_parsed_to_the_same(message: OscMessage) -> None:
    data = pack_message(message)
    assert len(data) % 4 == 0
    assert parse_message(data) == message


@settings(max_examples=20)
@given(st.lists(MESSAGE, max_size=5), st.floats(1, ERA_END_S - 1e-3))
def test_bundles_keep_order_and_time(messages: list[OscMessage], at_s: float) -> None:
    inner = pack_bundle([pack_message(message) for message in messages])
    found = list(messages_in(pack_bundle([inner, inner], at_s), 0.0))
    assert [parse_message(data) for _, data in found] == 2 * messages
    assert all(abs(time_s - at_s) < 1e-6 for time_s, _ in found)


@pytest.mark.parametrize("now_s", [1_800_000_000.0, ERA_END_S - 5, ERA_END_S + 5, ERA_END_S + 1e9])
@pytest.mark.parametrize("ahead_s", [0.5, 10.0, 3600.0])
def test_time_tags_go_on_when_they_start_again_in_2036(now_s: float, ahead_s: float) -> None:
    inner = pack_bundle([pack_message(OscMessage("/a"))], now_s + ahead_s / 2)
    [(at_s, _)] = messages_in(pack_bundle([inner], now_s + ahead_s), now_s)
    assert at_s == pytest.approx(now_s + ahead_s, abs=1e-5)
    for tag in (bytes(8), struct.pack(">Q", 1), struct.pack(">Q", int(now_s) << 32)):  # also a clock from 1970
        [(at_s, _)] = messages_in(b"#bundle\0" + tag + b"\0\0\0\4/a\0\0", now_s)
        assert at_s <= now_s


PATTERNS = {
    "/v/*": ["/v/lerp", "/v/mix", "/v/mixed"],  # not /v/edges/mix
    "/v/m*": ["/v/mix", "/v/mixed"],
    "/v/???": ["/v/mix"],
    "/*/mix": ["/v/mix"],
    "/v/*/*": ["/v/edges/low", "/v/edges/mix"],
    "/v/edges/[k-n]*": ["/v/edges/low", "/v/edges/mix"],
    "/v/edges/[!l]*": ["/v/edges/mix"],
    "/v/{lerp,mix}": ["/v/lerp", "/v/mix"],
    "/v/{mix,mixed}{,ed}": ["/v/mix", "/v/mixed"],
    "/v/*{ix,ixed}*d": ["/v/mixed"],
    "/{v,w}/edges/{low}": ["/v/edges/low"],
    "/v/[": [],
    "/v/{lerp": [],
    "/v/" + "{a,b,c}" * 10: [],
    "/v/" + "*a" * 90: [],
    "/v//*": [],
    "/\xff*": [],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_osc_says(pattern: str) -> None:
    known = [b"/v/lerp", b"/v/mix", b"/v/mixed", b"/v/edges/low", b"/v/edges/mix"]
    assert [one.decode() for one in matches(pattern.encode(), reversed(known))] == PATTERNS[pattern]


def test_every_type_of_number_is_read() -> None:
    tags = b"/a\0\0,ifhdcrmTFNI[i]sSb\0\0"
    body = struct.pack(">ifqdIIIi", -1, 0.5, -(2**40), 0.25, 2**32 - 1, 1, 2, 7) + b"one\0two\0" + b"\0\0\0\3abc\0"
    assert len(tags) % 4 == 0
    found = parse_message(tags + body).arguments
    assert found == (-1, 0.5, -(2**40), 0.25, 2**32 - 1, 1, 2, True, False, None, True, 7, "one", "two", b"abc")
    assert parse_message(b"/a\0\0,t\0\0" + (5 << 32).to_bytes(8, "big")).arguments == (5 << 32,)


DAMAGED = {
    "nothing": b"",
    "no end of the address": b"/abc",
    "no slash": b"abc\0,\0\0\0",
    "no comma": b"/a\0\0if\0\0",
    "an unknown type": b"/a\0\0,x\0\0",
    "a comma among the types": b"/a\0\0,,\0\0",
    "no end of the types": b"/a\0\0,TTT",
    "an address that is not UTF-8": b"/\xff\0\0",
    "an argument that is cut off": b"/a\0\0,i\0\0\0\0",
    "a blob that is cut off": b"/a\0\0,b\0\0\0\0\0\7abc\0",
    "text of no encoding": b"/a\0\0,s\0\0\xff\xfe\0\0",
    "too many arguments": b"/a\0\0," + 200 * b"T" + b"\0\0\0",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_of_messages_is_refused(damage: str) -> None:
    with pytest.raises(MalformedOscError):
        parse_message(DAMAGED[damage])


def nested(depth: int) -> bytes:
    packet = pack_message(OscMessage("/a"))
    for _ in range(depth):
        packet = pack_bundle([packet])
    return packet


def test_bundles_that_lie_or_are_too_large_or_deep_are_refused() -> None:
    assert [at_s for at_s, _ in messages_in(nested(DEEPEST), 1.8e9)] == [0]
    whole = pack_bundle([pack_message(OscMessage("/a"))] * 3)
    many = pack_bundle([b"/a\0\0"] * (MOST_ELEMENTS + 1))
    for packet in (nested(DEEPEST + 1), nested(3000), whole[:-1], whole + b"\0", whole[:15], many):
        with pytest.raises(MalformedOscError):
            list(messages_in(packet, 1.8e9))


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_a_message_or_damaged(body: bytes, more: bytes) -> None:
    for packet in (body, b"#bundle\0" + bytes(8) + body, b"/a\0\0," + more + b"\0\0\0\0" + body):
        try:
            for _, data in messages_in(packet, 1.8e9):
                parse_message(data)
        except MalformedOscError:
            continue
