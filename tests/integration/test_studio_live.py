"""A live session in the studio: started, replaced and stopped on its page, painted from a camera, recorded, guarded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forged import JPEG, foreign_requests, is_accepted, send
from live_page import SHOWS, page_at, wait_until
from live_server import Program, flat, pixels, png
from processes import HANG_S, until
from studio_server import TOKEN, RunningStudio, studio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from vidtrans.commands.live import Live
from vidtrans.core.errors import DeviceError
from vidtrans.live.hub import Hub
from vidtrans.live.stage_worker import StageWorker
from vidtrans.session import Context
from vidtrans.video.images.picture import write_picture

Patch = pytest.MonkeyPatch

IDENTITY = {"model": ["identity"], "size": "32", "upscale": "off"}
PENCIL = {"looks": ["pencil"], "size": "64"}


@pytest.fixture
def running(tmp_path: Path, monkeypatch: Patch) -> Iterator[RunningStudio]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)  # as the command does
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_picture(folder / "red.png", np.full((48, 64, 3), (200, 20, 20), np.uint8))
    with studio(folder) as server:
        yield server


def start(running: RunningStudio, values: dict[str, Any]) -> dict[str, Any]:
    status, now = running.ask("/api/live", {"action": "start", "values": values})
    assert status == 200, now
    return now


def stop(running: RunningStudio) -> dict[str, Any]:
    return running.ask("/api/live", {"action": "stop"})[1]


@contextmanager
def program(running: RunningStudio) -> Iterator[Program]:
    address = running.link("/live/ws").replace("http", "ws", 1)
    with connect(address, max_size=None, open_timeout=HANG_S) as socket:
        yield Program(socket)


class TestSession:
    def test_one_session_at_a_time_paints_is_replaced_and_ends(self, running: RunningStudio) -> None:
        assert running.ask("/api/live")[1]["state"] == "off"
        now = start(running, IDENTITY)
        assert now["line"] == "vidtrans live --model identity --upscale off --size 32"
        with program(running) as one:
            assert [m["name"] for m in one.message("hello")["models"]] == ["identity"]
            one.send(type="source", kind="camera")
            number = one.frame(flat(99))
            assert np.abs(pixels(one.picture(number).file).astype(int) - 99).max() <= 1
            assert start(running, {"looks": ["red.png"], "size": "32"})["models"] == ["red"]
            with pytest.raises(ConnectionClosed):  # so that a page connects again, to the new session
                one.message("never")
        with program(running) as other:
            assert [m["name"] for m in other.message("hello")["models"]] == ["red"]
        threads = [t.name for t in threading.enumerate()].count("live worker")
        assert (threads, stop(running)["state"]) == (1, "off")
        until(lambda: "live worker" not in [t.name for t in threading.enumerate()])
        with pytest.raises(InvalidStatus):
            connect(running.link("/live/ws").replace("http", "ws", 1), open_timeout=HANG_S)
        status, page = running.ask("/live/")
        assert (status, b"Live is off" in page) == (503, True)

    def test_what_cannot_be_opened_is_one_line_and_the_session_goes_on(
        self, running: RunningStudio, monkeypatch: Patch
    ) -> None:
        (running.root / "no.safetensors").write_bytes(b"no model")
        start(running, IDENTITY)
        for values, why in (
            ({}, "no model"),
            ({"model": ["no.safetensors"]}, "no.safetensors"),
            ({"model": ["none such"]}, "none such"),
            ({"model": ["../out.safetensors"]}, "out of this folder"),
            ({"looks": ["0: red.png, 5s: red.png"]}, "timeline"),
            ({"looks": ["red.png"], "size": "source"}, "short side"),
            ({**IDENTITY, "host": "0.0.0.0"}, "cannot set"),
            ({**IDENTITY, "settings": {"rendering": {}}}, "cannot set"),
        ):
            status, answer = running.ask("/api/live", {"action": "start", "values": values})
            assert (status, why in str(answer), "\n" in answer["error"]) == (400, True, False), (values, answer)
            assert running.ask("/api/live")[1]["models"] == ["identity"]

        def broken(command: Live, context: Context) -> tuple[Hub, StageWorker]:
            raise RuntimeError("CUDA error: out of memory\nmore lines")

        monkeypatch.setattr(Live, "open", broken)
        status, answer = running.ask("/api/live", {"action": "start", "values": PENCIL})
        assert (status, "RuntimeError" in answer["error"], "\n" in answer["error"]) == (400, True, False)
        assert running.ask("/api/live")[1]["state"] == "on"

    def test_a_worker_that_fails_or_dies_is_one_line(self, running: RunningStudio) -> None:
        start(running, IDENTITY)
        session: Any = running.session.live._session
        session.hub.on_failed(str(DeviceError("cuda", "it is gone", "restart")), "Traceback\n  line\nCUDA error: gone")
        assert running.ask("/api/live")[1]["problem"] == "CUDA error: gone"
        session.worker.close()
        assert "painting has ended" in running.ask("/api/live")[1]["problem"]
        assert start(running, IDENTITY)["problem"] == ""

    def test_the_end_of_the_studio_completes_a_recording(self, tmp_path: Path, monkeypatch: Patch) -> None:
        monkeypatch.chdir(tmp_path)
        with studio(tmp_path) as server:
            start(server, IDENTITY)
            with program(server) as one:
                one.message("hello")
                one.send(type="source", kind="camera")
                one.send(type="record", on=True)
                one.message("state", recording=True)
                for level in (10, 200):
                    one.picture(one.frame(flat(level)))
        (recorded,) = [item for item in server.session.folder.items() if item.kind == "clip"]
        assert recorded.name.startswith("identity.live-")
        assert recorded.name.endswith(".mp4")


@contextmanager
def room(browser: Any, running: RunningStudio, **options: Any) -> Iterator[Any]:
    with page_at(browser, running.link(), **options) as page:
        page.wait_for_selector(".wish")
        page.click("#to-live")
        yield page


def test_an_artist_goes_live_and_stops(browser: Any, running: RunningStudio) -> None:
    with room(browser, running) as page:
        page.get_by_role("button", name="pencil", exact=True).click()
        line = "() => document.querySelector('studio-live form .line').textContent"
        until(lambda: page.evaluate(line) == "vidtrans live --look pencil")
        with page.context.expect_page() as opened:
            page.get_by_role("button", name="Go live").click()
        live = opened.value
        live.wait_for_function(SHOWS, arg="connected")
        live.click("[data-source=camera]")
        wait_until(live, lambda picture: picture.std() > 5)
        page.bring_to_front()
        page.wait_for_selector(".on-air canvas:not([hidden])")  # the same picture, in the room
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector(".on-air", state="hidden")
        live.wait_for_function("() => document.getElementById('connection').textContent.includes('no connection')")
    assert running.ask("/api/live")[1]["state"] == "off"


@pytest.mark.thorough
def test_a_recording_comes_to_the_shelf_and_the_open_page_changes_over(browser: Any, running: RunningStudio) -> None:
    with room(browser, running) as page:
        page.get_by_role("button", name="pencil", exact=True).click()
        with page.context.expect_page() as opened:
            page.get_by_role("button", name="Go live").click()
        live = opened.value
        live.wait_for_function(SHOWS, arg="connected")
        live.click("[data-source=camera]")
        live.click("#record")
        page.bring_to_front()
        page.wait_for_function("() => document.querySelector('studio-live .on-air').innerText.includes('recording')")
        live.click("#record")
        page.wait_for_selector("studio-shelf li[data-name$='.mp4']")
        page.get_by_role("button", name="red.png", exact=True).click()
        page.get_by_role("button", name="Change to this").click()
        live.wait_for_selector("[data-model=red]")
        live.wait_for_function(SHOWS, arg="connected")


def test_a_phone_gets_a_code_with_the_token_of_each_page(running: RunningStudio) -> None:
    found = running.ask("/api/reach")[1]
    assert (found["open"], found["https"]) == (False, False)
    for page, path in (("studio", "/"), ("live", "/live/")):
        assert found["links"][page] == running.server.link(path, outward=True)
        status, svg = running.ask("/phone.svg", page=page)
        assert (status, b"<svg" in svg) == (200, True)
    codes = {running.ask("/phone.svg", page=page)[1] for page in ("studio", "live")}
    assert len(codes) == 2
    assert running.ask("/phone.svg", page="else")[0] == 400


def test_no_forged_request_below_the_mount_is_accepted(running: RunningStudio) -> None:
    port, body = running.server.port, png(flat(9))
    gets = ["/live/", "/live/output", "/live/phone.svg", "/api/live", "/api/live/schema", "/api/reach", "/phone.svg"]
    posts = {"/live/frame": ({"content-type": "image/png"}, body), "/live/look": (JPEG, body)}
    posts |= dict.fromkeys(
        ("/api/live", "/api/live/line"), ({"content-type": "application/json"}, b'{"action": "stop", "values": {}}')
    )
    start(running, IDENTITY)
    forged = list(foreign_requests(port, TOKEN, gets, ["/live/ws"], posts))
    assert len(forged) >= 150
    assert [one.name for one in forged if is_accepted(send(one, port))] == []
    now = running.ask("/api/live")[1]
    assert (now["state"], now["frames"], now["connections"]) == ("on", 0, 0)
    for path in gets:  # and with the token they are answered
        assert running.ask(path)[0] == 200, path
    for path in ("/live/page/{}/app.py", "/shared/{}/access.py"):
        assert [running.ask(path.format(up))[0] for up in ("..", "%2e%2e")] == [404, 404]
