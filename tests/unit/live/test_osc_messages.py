"""Bytes of OSC: what is packed is parsed, by this code and by python-osc; damage is one kind of error."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.live.osc.osc_messages import (
    AT_ONCE,
    DEEPEST,
    MOST_ELEMENTS,
    MalformedOscError,
    OscMessage,
    messages_in,
    pack_bundle,
    pack_message,
    parse_message,
    time_of,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
FLOAT = st.floats(width=32, allow_nan=False)
ARGUMENT = st.one_of(st.integers(-(2**63), 2**63 - 1), FLOAT, TEXT, st.booleans(), st.none(), st.binary(max_size=9))
MESSAGE = st.builds(OscMessage, TEXT.map("/{}".format), st.lists(ARGUMENT, max_size=8).map(tuple))


@given(MESSAGE)
def test_a_packed_message_is_parsed_to_the_same(message: OscMessage) -> None:
    data = pack_message(message)
    assert len(data) % 4 == 0
    assert parse_message(data) == message


@given(st.lists(MESSAGE, max_size=5), st.floats(0, 2**31))
def test_bundles_keep_order_and_time(messages: list[OscMessage], at_s: float) -> None:
    inner = pack_bundle([pack_message(message) for message in messages])
    found = list(messages_in(pack_bundle([inner, inner], at_s)))
    assert [parse_message(data) for _, data in found] == 2 * messages
    assert all(abs(time_of(tag) - at_s) < 1e-6 for tag, _ in found)


def test_every_type_of_number_is_read() -> None:
    tags = b"/a\0\0,ifhdtcrmTFNI[i]sSb\0"
    body = struct.pack(">ifqdQIIIi", -1, 0.5, -(2**40), 0.25, 2**63, 65, 1, 2, 7) + b"one\0two\0" + b"\0\0\0\3abc\0"
    assert len(tags) % 4 == 0
    found = parse_message(tags + body).arguments
    assert found == (-1, 0.5, -(2**40), 0.25, 2**63, 65, 1, 2, True, False, None, True, 7, "one", "two", b"abc")


DAMAGED = {
    "nothing": b"",
    "no end of the address": b"/abc",
    "no slash": b"abc\0,\0\0\0",
    "no comma": b"/a\0\0if\0\0",
    "an unknown type": b"/a\0\0,x\0\0",
    "an argument that is cut off": b"/a\0\0,f\0\0\0\0",
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
    assert [tag for tag, _ in messages_in(nested(DEEPEST))] == [AT_ONCE]
    whole = pack_bundle([pack_message(OscMessage("/a"))] * 3)
    many = pack_bundle([b"/a\0\0"] * (MOST_ELEMENTS + 1))
    for packet in (nested(DEEPEST + 1), nested(3000), whole[:-1], whole + b"\0", whole[:15], many):
        with pytest.raises(MalformedOscError):
            list(messages_in(packet))


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_a_message_or_damaged(body: bytes, more: bytes) -> None:
    for packet in (body, b"#bundle\0" + bytes(8) + body, b"/a\0\0," + more + b"\0\0\0\0" + body):
        try:
            for _, data in messages_in(packet):
                parse_message(data)
        except MalformedOscError:
            continue


@given(st.lists(st.one_of(st.integers(-(2**31), 2**31 - 1), FLOAT, TEXT, st.booleans()), max_size=6))
def test_python_osc_reads_and_writes_the_same(arguments: list[object]) -> None:
    builders = pytest.importorskip("pythonosc.osc_message_builder", reason="python-osc is another program's OSC")
    from pythonosc.osc_message import OscMessage as OtherMessage

    message = OscMessage("/vidtrans/strength", tuple(arguments))  # type: ignore[arg-type]
    assert OtherMessage(pack_message(message)).params == arguments
    builder = builders.OscMessageBuilder(message.address)
    for one in arguments:
        builder.add_arg(one)
    assert parse_message(builder.build().dgram) == message
