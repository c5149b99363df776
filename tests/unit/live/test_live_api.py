"""``vidtrans.serve_live``: the server from Python, in a thread of its own."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_server import TOKEN, flat, pixels, png, until

import vidtrans
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Event, Note, Stop

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_serves_from_a_thread_until_it_is_stopped_and_can_be_called_again() -> None:
    for _ in range(2):  # the package of the same name may be imported by then
        notes: list[str] = []
        tables: list[dict[str, Any]] = []
        stop = Stop()

        def report(event: Event, notes: list[str] = notes) -> None:
            if isinstance(event, Note):
                notes.append(event.text)

        def serve(tables: list[Any] = tables, stop: Stop = stop, report: Any = report) -> None:
            found = vidtrans.serve_live(
                "identity", "takes", port=0, token=TOKEN, device="cpu", stop=stop, report=report, settings=SETTINGS
            )
            tables.append(found)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            link = until(lambda notes=notes: next((n for n in notes if n.startswith("open ")), "")).split()[1]
            assert link.endswith(TOKEN)
            body = png(flat(99))
            headers = {"content-type": "image/png", "accept": "image/png"}
            request = urllib.request.Request(link.replace("/?", "/frame?"), body, headers)
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
