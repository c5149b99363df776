"""Pictures that are sent to a live session: their looks become models."""

from __future__ import annotations

import errno
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from live_server import Running, flat, pixels, png, serving
from style_pictures import style_pictures

from vidtrans.core.errors import ModelError
from vidtrans.inference.engine import Engine
from vidtrans.live import live_stage, picture_looks
from vidtrans.models.loaded_model import LoadedModel

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = {name: png(picture) for name, picture in style_pictures().items()}
FRAME = np.kron(np.random.default_rng(3).integers(0, 255, (6, 8, 3)), np.ones((12, 12, 1))).astype(np.uint8)


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


def send(running: Running, file: bytes, name: str = "a.png", **headers: str) -> tuple[int, str]:
    """Send a picture; return the status and the answer."""
    named = {key.replace("_", "-"): value for key, value in {"content_type": "image/png", **headers}.items()}
    address = f"{running.link('/look')}&name={name}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, file, headers=named), timeout=300) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def added(running: Running, name: str) -> str:
    status, text = send(running, FILES[name], f"{name}.png")
    assert status == 200, text
    return str(json.loads(text)["model"])


def test_the_look_of_a_picture_fades_in(running: Running) -> None:
    with running.program("&role=program") as page:
        page.message("hello")
        page.send(type="controls", values={"past": "off", "fade": 0.0})
        before = pixels(page.picture(page.frame(FRAME)).file).astype(int)
        assert added(running, "stripes") == "stripes"
        (thumbnail,) = [one["thumbnail"] for one in page.message("models")["models"] if one["name"] == "stripes"]
        assert thumbnail.startswith("data:image/jpeg;base64,")
        page.state(model="stripes")
        painted = pixels(page.picture(page.frame(FRAME)).file).astype(int)
        assert np.abs(painted - before[: painted.shape[0], : painted.shape[1]]).mean() > 10
        assert added(running, "chequers") == "chequers"
        other = pixels(page.picture(page.frame(FRAME)).file).astype(int)
        assert np.abs(painted - other).mean() > 10
        assert added(running, "stripes") == "stripes"  # it is known
        assert list(running.hub.models) == ["identity", "stripes", "chequers"]
    with running.program() as late:
        assert [one["name"] for one in late.message("hello")["models"]] == ["identity", "stripes", "chequers"]
    assert not Path(".vidtrans").exists()


def test_what_is_no_picture_is_one_line_and_nothing_changes(running: Running) -> None:
    assert send(running, b"no picture") == (
        400,
        "picture: it is not a JPEG, PNG or WebP file — send one of these formats\n",
    )
    assert send(running, FILES["stripes"][:300])[0] == 400
    assert send(running, b"<svg/>", content_type="image/svg+xml")[0] == 415
    huge = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    assert send(running, huge)[0] == 400
    assert list(running.hub.models) == ["identity"]
    assert running.hub.state.controls.model == "identity"


def test_a_name_cannot_lead_elsewhere(running: Running) -> None:
    names = ("..%2F..%2Fetc%2Fpasswd", "%00%0A.png", "a%2Cb%3A1.png", "x" * 500)
    for number, name in enumerate(names):
        status, text = send(running, png(flat(10 * number, (64, 64))), name)
        assert status == 200, text
    known = ["passwd", "picture", "a_b_1", "x" * 40]
    assert list(running.hub.models)[1:] == known


def test_pictures_are_removed_and_are_limited(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_looks, "MAX_PICTURES", 2)
    with running.program("&role=program") as page:
        page.send(type="controls", values={"past": "off"})
        for name in FILES:
            added(running, name)
        page.state(model="chequers")
        status, text = send(running, png(flat(9, (64, 64))), "third.png")
        assert (status, text.count("\n")) == (409, 1)
        assert "there are 2 pictures already" in text
        page.send(type="controls", values={"second": "stripes", "crossfade": 0.5, "look": "stripes"})
        page.state(second="stripes")
        page.send(type="remove", model="stripes")
        page.state(model="chequers", second="", look="")
        page.picture(page.frame(FRAME))
        page.send(type="remove", model="chequers")
        page.state(model="identity")
        page.picture(page.frame(FRAME))
        page.send(type="remove", model="identity")
        assert "not the look of a picture" in page.message("problem")["text"]
        assert added(running, "stripes") == "stripes"
        del running.hub.models["identity"]
        page.send(type="remove", model="stripes")
        assert "has to be painted" in page.message("problem")["text"]


def test_a_look_that_cannot_be_opened_is_one_line_and_what_was_there_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_open, load_engine = threading.Event(), live_stage.load_engine

    def load(model: LoadedModel, *arguments: Any, **options: Any) -> Engine:
        if model.name == "chequers":
            assert may_open.wait(60)
            raise ModelError("model 'chequers'", "it is damaged", "send it again")
        return load_engine(model, *arguments, **options)

    monkeypatch.setattr(live_stage, "load_engine", load)
    with running.program("&role=program") as page:
        added(running, "stripes")
        page.state(model="stripes")
        added(running, "chequers")
        page.state(model="chequers")
        # What is asked for while it is opened is carried out.
        page.send(type="controls", values={"mirror": True})
        page.state(mirror=True)
        status, text = send(running, png(flat(90, (64, 64))), "grey.png")
        assert status == 200, text
        may_open.set()
        told = page.message("problem")["text"]
        assert told == "model 'chequers': it is damaged — send it again; everything else stays as it was"
        models = page.message("models")["models"]
        assert [one["name"] for one in models] == ["identity", "stripes", "grey"]
        page.state(model="grey", mirror=True)
        page.picture(page.frame(FRAME))
        assert list(running.worker._stage.models) == ["identity", "stripes", "grey"]  # type: ignore[union-attr]


def test_a_lost_device_keeps_the_looks(running: Running) -> None:
    with running.program("&role=program") as page:
        added(running, "stripes")
        page.state(model="stripes")
        page.picture(page.frame(FRAME))
        stage, running.worker._retry_s = running.worker._stage, 0.05
        assert stage is not None

        def broken(*_: Any) -> None:
            raise RuntimeError("the device was lost")

        stage.models["stripes"].paint = broken  # type: ignore[method-assign, assignment]
        page.frame(FRAME)
        page.message("problem")
        running.until(lambda: running.worker._stage not in (None, stage))
        assert len(page.picture(page.frame(FRAME)).file) > 0


def test_a_full_disk_is_one_line(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, "no space left on device", "look.safetensors"))
    with monkeypatch.context() as patched:
        patched.setattr(picture_looks, "predict_model_from_styles", full)
        status, text = send(running, FILES["stripes"], "stripes.png")
    assert (status, text.count("\n")) == (503, 1)
    assert "no space left" in text
    assert added(running, "stripes") == "stripes"
