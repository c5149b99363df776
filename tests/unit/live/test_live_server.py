"""The server as programs and pages meet it, over the network."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import times
from dreams import make_dreamer
from forged import Forged, forged_requests, is_accepted, send
from live_server import TOKEN, Program, Running, flat, load, pixels, png, serving, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import vidtrans
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop
from vidtrans.live.protocol import DROPPED_FRAME, NEW_PICTURE, REPEATED_PICTURE
from vidtrans.web.server import Address, WebServer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


def post(running: Running, body: bytes, path: str = "/frame", **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in {"content_type": "image/png", **headers}.items()}
    request = urllib.request.Request(running.link(path).replace(f"?token={TOKEN}", ""), body, headers=named)
    request.add_header("authorization", f"Bearer {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def begin(page: Program, kind: str = "camera", seen_by: Program | None = None) -> None:
    page.send(type="source", kind=kind)
    (seen_by or page).message("state", source=kind)


def test_a_frame_comes_back_painted_to_the_one_who_sent_it(running: Running) -> None:
    with running.program() as page:
        hello = page.message("hello")
        begin(page)
        sequence = page.frame(flat(120))
        picture = page.picture(sequence)
    assert (picture.kind, picture.sender, picture.timestamp) == (NEW_PICTURE, hello["you"], float(sequence))
    assert np.abs(pixels(picture.file).astype(int) - 120).max() <= 2
    assert picture.model_ms <= picture.server_ms
    assert picture.model_input == b""


MISFITS: list[tuple[object, str]] = [
    ({"type": "controls", "values": {"strength": 9}}, "strength"),
    ({"type": "controls", "values": [1]}, "values"),
    ({"type": "source", "kind": "x"}, "kind"),
    ({"type": "source", "kind": "dream"}, "does not predict"),
    ({"type": "preset", "do": "load", "name": "x"}, "no preset of this name"),
    ({"type": "explode"}, "type"),
    ({"type": ["controls"]}, "type"),
    ([], "JSON"),
]
JUNK = ("{", "[" * 100_000, b"", b"\x01", bytes(4000), b"\x01\x01" + bytes(20), "\x00")


def test_a_message_that_does_not_fit_is_answered_and_the_server_goes_on(running: Running) -> None:
    with running.program() as page:
        for message, problem in MISFITS:
            page.socket.send(json.dumps(message))
            assert problem in page.message("problem")["text"], message
        begin(page)
        for junk in JUNK:
            page.socket.send(junk)
            assert page.message("problem")["text"], junk
        sequence = page.frame(b"GIF89a")
        assert "not a JPEG" in page.message("problem")["text"]
        assert page.frame(flat(3)) == sequence + 1
        assert page.picture(sequence + 1).kind == NEW_PICTURE


def test_a_viewer_that_stops_reading_holds_nobody_up(running: Running) -> None:
    rng = np.random.default_rng(0)
    noise = png(rng.integers(0, 255, (400, 400, 3), np.uint8))
    deaf = socket.create_connection(("127.0.0.1", running.server.port))
    request = f"GET /ws?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:{running.server.port}\r\nConnection: Upgrade\r\n"
    request += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    deaf.sendall(request.encode())  # and never reads
    with running.program() as page, deaf:
        begin(page)
        for _ in range(60):
            assert page.picture(page.frame(noise)).kind == NEW_PICTURE
        assert len(running.hub.clients) == 2
        (stuck,) = [c for c in running.hub.clients.values() if c.number != running.hub.holder]
        assert len(stuck._texts) + len(stuck._drops) < 10
    running.until(lambda: not running.hub.clients)


class TestTheStage:
    def test_the_last_page_to_begin_has_it_and_the_other_is_told_and_cannot_end_it(self, running: Running) -> None:
        with running.program() as one, running.program() as two:
            begin(one, seen_by=two)
            two.send(type="source", kind="drawing")
            assert one.message("replaced")["by"] == "drawing"
            assert one.picture(one.frame(flat(5))).kind == DROPPED_FRAME
            assert two.picture(two.frame(flat(6))).kind == NEW_PICTURE
            one.send(type="source", kind="none")
            one.send(type="preset", do="load", name="none such")
            one.message("problem")  # so both have arrived
            assert running.hub.source == "drawing"

    def test_a_program_that_was_replaced_has_it_again_when_the_page_has_ended(self, running: Running) -> None:
        with running.program("&role=program") as engine, running.program() as page:
            assert engine.picture(engine.frame(flat(8))).kind == NEW_PICTURE
            assert running.hub.source == "program"
            page.send(type="source", kind="camera")
            engine.message("replaced")
            assert engine.picture(engine.frame(flat(8))).kind == DROPPED_FRAME
            page.send(type="source", kind="none")
            engine.message("state", source="none")
            assert engine.picture(engine.frame(flat(9))).kind == NEW_PICTURE

    def test_there_is_room_for_so_many(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vidtrans.live.hub.MAX_CLIENTS", 1)
        with running.program() as page:
            page.message("hello")
            with running.program() as another, pytest.raises(ConnectionClosed, match="1 already"):
                another.message("hello")


def test_a_model_with_a_clock_paints_no_camera() -> None:
    models = load(make_dreamer(Path("clock.safetensors"), position="clock"))
    with serving(models) as running, running.program("&role=program") as engine:
        sequence = engine.frame(flat(8))
        assert "choose the source Dream" in engine.message("problem")["text"]
        assert engine.picture(sequence).kind == DROPPED_FRAME
        engine.send(type="source", kind="dream")
        assert engine.picture().kind == REPEATED_PICTURE


class TestPost:
    def test_a_program_gets_its_pictures_and_pages_see_them(self, running: Running) -> None:
        with running.program() as viewer:
            assert post(running, png(flat(90)))[1][:3] == b"\xff\xd8\xff"  # JPEG is the usual answer
            assert viewer.message("state", source="program")
            assert np.abs(pixels(viewer.picture().file).astype(int) - 90).max() <= 2
        for level in range(0, 250, 50):
            status, body = post(running, png(flat(level)), accept="image/png")
            assert status == 200
            assert np.array_equal(pixels(body), flat(level))
        assert [post(running, body)[0] for body in (b"junk", b"")] == [400, 400]

    def test_one_that_sends_without_end_is_cut_off(self, running: Running) -> None:
        answer = b""
        with socket.create_connection(("127.0.0.1", running.server.port), timeout=300) as endless:
            head = f"POST /frame?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:{running.server.port}\r\n"
            endless.sendall(f"{head}Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
            with suppress(ConnectionError):
                for _ in range(64):
                    endless.sendall(chunk)
            with suppress(ConnectionError):
                answer = endless.recv(100)
        assert answer.startswith(b"HTTP/1.1 413") or answer == b""
        assert post(running, png(flat(60)))[0] == 200

    def test_the_stage_is_free_again_soon_after(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vidtrans.live.hub.POST_GAP_S", 0.05)
        post(running, png(flat(60)))
        running.until(lambda: running.hub.source == "none")


def test_a_recording_is_finished_where_the_server_ends() -> None:
    with serving() as running, running.program() as page:
        begin(page)
        page.send(type="record", on=True)
        page.message("state", recording=True)
        page.picture(page.frame(flat(10)))
    (path,) = Path("recordings").iterdir()
    assert len(times(path)) == 1


class TestAccess:
    def test_no_forged_request_is_accepted(self, running: Running) -> None:
        port = running.server.port
        forged = list(forged_requests(port, TOKEN))
        assert len(forged) >= 60
        accepted = [one.name for one in forged if is_accepted(send(one, port))]
        assert accepted == []
        good = {"host": f"127.0.0.1:{port}"}
        assert send(Forged("the page itself", "GET", f"/?token={TOKEN}", good), port) == 200
        assert not running.hub.clients
        assert running.worker.num_painted == 0

    def test_the_pages_of_this_machine_are(self, running: Running) -> None:
        port = running.server.port
        for name in ("127.0.0.1", "localhost"):
            page = urllib.request.Request(f"http://127.0.0.1:{port}/?token={TOKEN}", headers={"host": f"{name}:{port}"})
            with urllib.request.urlopen(page, timeout=300) as answer:
                assert b"vidtrans" in answer.read()
                assert "default-src 'none'" in answer.headers["content-security-policy"]
        origin: Any = f"http://127.0.0.1:{port}"
        with connect(f"ws://127.0.0.1:{port}/ws?token={TOKEN}", origin=origin) as socket_:
            assert json.loads(socket_.recv())["type"] == "hello"
        with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{port}/ws"):
            pass
        with urllib.request.urlopen(running.link("/phone.svg"), timeout=300) as answer:  # the QR code of the link
            assert answer.headers["content-type"].startswith("image/svg")
            assert b"<path" in answer.read()

    def test_a_port_that_is_taken_is_a_message(self, running: Running) -> None:
        with pytest.raises(UsageError, match="in use"):
            WebServer(Address("127.0.0.1", running.server.port, TOKEN))


def test_threads_and_tasks_end_with_it() -> None:
    before = threading.active_count()
    with serving() as running, running.program() as page:
        page.send(type="record", on=True)
        page.message("state", recording=True)
    until(lambda: threading.active_count() <= before)


def test_it_serves_from_a_thread_until_it_is_stopped() -> None:
    notes: list[str] = []
    tables: list[dict[str, Any]] = []
    stop = Stop()

    def serve() -> None:
        options: dict[str, Any] = {"port": 0, "token": TOKEN, "device": "cpu", "settings": SETTINGS, "stop": stop}
        report = lambda event: notes.append(getattr(event, "text", ""))  # noqa: E731
        tables.append(vidtrans.serve_live("identity", "takes", report=report, **options))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        link = until(lambda: next((note for note in notes if note.startswith("open ")), "")).split()[1]
        headers = {"content-type": "image/png", "accept": "image/png"}
        request = urllib.request.Request(link.replace("/?", "/frame?"), png(flat(99)), headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            assert np.array_equal(pixels(answer.read()), flat(99))
    finally:
        stop.request(130)
        thread.join(30)
    assert tables == [{"output": None, "frames": 1, "dropped": 0}]
    assert not Path("takes").exists()


SETTINGS = {"rendering": {"strength": 1.0}}


def test_what_it_does_not_read_and_what_is_not_allowed_is_refused() -> None:
    with pytest.raises(UsageError, match="does not read it"):
        vidtrans.serve_live("identity", settings={"rendering": {"cuts": "off"}})
    with pytest.raises(UsageError, match="allow-network"):
        vidtrans.serve_live("identity", host="0.0.0.0")


def test_a_folder_that_cannot_be_written_is_a_message(running: Running) -> None:
    Path("recordings").write_text("in the way")
    with running.program() as page:
        page.send(type="record", on=True)
        assert "recordings" in page.message("problem")["text"]
        page.send(type="source", kind="camera")
        page.message("state", source="camera", recording=False)
