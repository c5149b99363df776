"""OSC over real sockets: a live server that listens and sends, floods, the network, and its options."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import TIMEOUT_S, Running, flat, serving, until
from osc_stage import OscStage, free_port, pack_bundle

from vidtrans.core.errors import UsageError
from vidtrans.live.osc import osc_bridge
from vidtrans.live.osc.osc_bridge import OscListener
from vidtrans.live.osc.osc_messages import (
    MAX_BUNDLE_DEPTH,
    MAX_ELEMENTS,
    Argument,
    MalformedOscError,
    OscMessage,
    matches,
    messages_in,
    pack_message,
    parse_message,
)
from vidtrans.live.stage_settings import OscEndpoint, is_local_address, stage_settings

pytestmark = pytest.mark.usefixtures("one_thread")
HOST = "127.0.0.1"


class Controller:
    """Another program that speaks OSC. ``port``: of the live server."""

    def __init__(self) -> None:
        self.port = free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.socket.settimeout(TIMEOUT_S)
        self.own_port = self.socket.getsockname()[1]

    def push(self, packet: bytes) -> None:
        self.socket.sendto(packet, (HOST, self.port))

    def send(self, address: str, *arguments: Argument) -> None:
        self.push(pack_message(OscMessage(f"/vidtrans/{address}", arguments)))

    def receive(self, address: str) -> tuple[Argument, ...]:
        while (message := parse_message(self.socket.recv(1 << 16))).address != f"/vidtrans/{address}":
            pass
        return message.arguments


@pytest.fixture
def controller() -> Iterator[Controller]:
    found = Controller()
    with found.socket:
        yield found


@pytest.fixture
def running(controller: Controller) -> Iterator[Running]:
    settings = stage_settings(str(controller.port), f"{HOST}:{controller.own_port}", (), allow_network=False)
    with serving(stage=settings) as server:
        yield server


def test_a_page_is_told_what_came_and_what_matched_nothing(running: Running, controller: Controller) -> None:
    with running.program() as page:
        assert page.message("osc")["port"] == f"{HOST}:{controller.port}"
        controller.send("strength", 0.25)
        controller.send("strangth", 0.5)
        controller.send("lerp", float("nan"))
        controller.push(b"#bundle\0...")
        found = page.message("osc", used=1, no_address=1, refused=1, malformed=1)
        until(lambda: controller.receive("strength") == (0.25,))
    assert found["last"] == "/vidtrans/strength 0.25"
    assert found["unmatched"] == {"/vidtrans/strangth": 1}
    assert "finite" in found["problem"]


def test_the_server_gives_the_addresses_to_who_knows_the_token(running: Running) -> None:
    with urllib.request.urlopen(running.link("/osc"), timeout=TIMEOUT_S) as answer:
        tree = json.load(answer)
    assert tree["CONTENTS"]["vidtrans"]["CONTENTS"]["strength"]["VALUE"] == [1.0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(running.link("/osc").partition("?")[0], timeout=TIMEOUT_S)


def test_a_flood_leaves_the_newest_value_and_the_stage_paints(running: Running, controller: Controller) -> None:
    stop = threading.Event()

    def flood() -> None:
        packets = [pack_message(OscMessage("/vidtrans/strength", (n / 100,))) for n in range(100)]
        packets += [b"/junk", b"#bundle\0", b"\0", pack_message(OscMessage("/vidtrans/x", (1,)))]
        packets.append(pack_bundle(packets[:50]))
        while not stop.is_set():
            for packet in packets:
                controller.push(packet)

    thread = threading.Thread(target=flood)
    with running.program() as page:
        page.send(type="source", kind="camera")
        thread.start()
        try:
            for level in range(0, 80, 10):  # every frame is painted, or overtaken by a newer one
                page.picture(page.frame(flat(level)))
            while page.message("osc")["malformed"] <= 10:  # a busy machine reads few of them while it paints
                pass
        finally:
            stop.set()
            thread.join()
        time.sleep(0.2)  # the system's buffer is empty then
        controller.send("strength", 1.25)
        page.state(strength=1.25)
    assert len(running.notes) < 30


def test_a_port_that_is_taken_and_a_host_that_is_none_are_one_line(controller: Controller) -> None:
    stage = OscStage()
    with pytest.raises(UsageError, match=r"--osc .*in use.*choose another port"):
        OscListener(OscEndpoint(HOST, controller.own_port), stage.hub, stage.bridge)
    with pytest.raises(UsageError, match="no such host"):
        OscEndpoint("no.such.host.invalid", 9000).resolve("--osc-out")


MISTAKES: list[tuple[tuple[str, str], tuple[str, ...], str]] = [
    (("x", ""), (), "names no port"),
    (("9" * 5000, ""), (), "names no port"),
    ((":9000", ""), (), "no host before the colon"),
    (("0.0.0.0:9000", ""), (), "could move the controls"),
    (("", "192.168.1.20:9000"), (), "sends to another machine"),
    (("9000", "127.0.0.1:9000"), (), "is where --osc listens"),
    (("", ""), ("ndi",), "could watch"),
    (("", ""), ("virtual-camera", "virtual-camera"), "stands twice"),
]


@pytest.mark.parametrize(("osc", "senders", "words"), MISTAKES, ids=str)
def test_mistakes_of_options_are_one_line(osc: tuple[str, str], senders: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        stage_settings(*osc, senders, allow_network=False)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 6000


def test_on_an_open_address_only_private_networks_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    near = "127.0.0.1 10.1.2.3 192.168.0.9 172.16.0.1 169.254.1.1 ::1 fe80::1%eth0 ::ffff:10.0.0.1"
    assert all(map(is_local_address, near.split()))
    assert not any(map(is_local_address, ("8.8.8.8", "172.32.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "", "x")))
    monkeypatch.setattr(osc_bridge, "is_local_address", lambda host: False)
    port = free_port()
    with (
        serving(stage=stage_settings(f"0.0.0.0:{port}", "", (), allow_network=True)) as running,
        running.program() as page,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.sendto(pack_message(OscMessage("/vidtrans/strength", (0.5,))), (HOST, port))
        page.message("osc", dropped=1)
    assert running.hub.state.controls.strength == 1.0


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


@pytest.mark.parametrize(("now_s", "ahead_s"), [(1.8e9, 0.5), (ERA_END_S - 5, 10.0), (ERA_END_S + 1e9, 3600.0)])
def test_time_tags_go_on_when_they_start_again_in_2036(now_s: float, ahead_s: float) -> None:
    inner = pack_bundle([pack_message(OscMessage("/a"))], now_s + ahead_s / 2)
    [(at_s, _)] = messages_in(pack_bundle([inner], now_s + ahead_s), now_s)
    assert at_s == pytest.approx(now_s + ahead_s, abs=1e-5)
    for tag in (bytes(8), struct.pack(">Q", 1), struct.pack(">Q", int(now_s) << 32)):  # also a clock from 1970
        [(at_s, _)] = messages_in(b"#bundle\0" + tag + b"\0\0\0\4/a\0\0", now_s)
        assert at_s <= now_s


PATTERNS = {
    "/v/*": ["/v/lerp", "/v/mix", "/v/mixed"],  # not /v/edges/mix
    "/v/???": ["/v/mix"],
    "/v/*/*": ["/v/edges/low", "/v/edges/mix"],
    "/v/edges/[k-n]*": ["/v/edges/low", "/v/edges/mix"],
    "/v/{lerp,mix}": ["/v/lerp", "/v/mix"],
    "/v/{mix,mixed}{,ed}": ["/v/mix", "/v/mixed"],
    "/v/*{ix,ixed}*d": ["/v/mixed"],
    "/v/[": [],
    "/v/{lerp": [],
    "/v/" + "{a,b,c}" * 10: [],
    "/v/" + "*a" * 90: [],
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
    "no end of the address": b"/abc",
    "no slash": b"abc\0,\0\0\0",
    "no comma": b"/a\0\0if\0\0",
    "an unknown type": b"/a\0\0,x\0\0",
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
    assert [at_s for at_s, _ in messages_in(nested(MAX_BUNDLE_DEPTH), 1.8e9)] == [0]
    whole = pack_bundle([pack_message(OscMessage("/a"))] * 3)
    many = pack_bundle([b"/a\0\0"] * (MAX_ELEMENTS + 1))
    for packet in (nested(MAX_BUNDLE_DEPTH + 1), nested(3000), whole[:-1], whole + b"\0", whole[:15], many):
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
