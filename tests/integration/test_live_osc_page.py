"""OSC on the live page, in a real browser: what came is shown, and the drawing board is cleared."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import chromium
from live_page import page_at
from live_server import Running, serving
from osc_stage import free_port
from page_checks import CONTRAST

from vidtrans.live.osc.osc_messages import Argument, OscMessage, pack_message
from vidtrans.live.stage_settings import stage_settings

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.thorough]
INK = """() => { const sheet = document.getElementById('drawing');
  return sheet.getContext('2d').getImageData(0, 0, sheet.width, sheet.height).data.some((value) => value < 128); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(port: int) -> Iterator[Running]:
    with serving(stage=stage_settings(str(port), "", (), allow_network=False)) as server:
        yield server


def send(port: int, address: str, *arguments: Argument) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(pack_message(OscMessage(f"/vidtrans/{address}", arguments)), ("127.0.0.1", port))


def test_messages_move_sliders_clear_the_board_and_are_shown(browser: Any, running: Running, port: int) -> None:
    with page_at(browser, running.link()) as page:
        page.wait_for_selector("#osc:not([hidden])")
        assert str(port) in page.inner_text("#osc")
        assert "no message yet" in page.inner_text("#osc")
        send(port, "strength", 0.5)
        page.wait_for_function("() => document.getElementById('osc-last').textContent === '/vidtrans/strength 0.5'")
        page.wait_for_function("() => document.getElementById('control-strength').value === '250'")
        send(port, "<b>strangth", 1.0)
        send(port, "strength", "<script>alert(1)</script>")
        page.wait_for_selector("#osc-unmatched li")
        page.wait_for_function("() => document.getElementById('osc-problem').textContent.includes('send a number')")
        assert page.inner_text("#osc-unmatched") == "no such address: /vidtrans/<b>strangth (1)"
        assert "1 to no address" in page.inner_text("#osc")
        assert page.evaluate(CONTRAST) == []
        page.click("[data-source=drawing]")
        running.until(lambda: running.hub.source == "drawing")
        page.click("#drawing", position={"x": 40, "y": 40})
        assert page.evaluate(INK)
        send(port, "clear", 1.0)
        page.wait_for_function(f"() => !({INK})()")
        send(port, "undo")
        page.wait_for_function(INK)
