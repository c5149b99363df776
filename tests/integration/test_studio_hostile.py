"""A studio under attack: by messages of a page, and by the files of a project that somebody sent."""

from __future__ import annotations

import errno
import json
import os
import urllib.request
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import moving_frames, write_clip
from forged import Forged, send
from studio_server import TOKEN, RunningStudio, studio

from vidtrans.core.errors import UsageError
from vidtrans.studio.project_folder import ProjectFolder
from vidtrans.studio.studio_app import StudioApp
from vidtrans.studio.studio_jobs import StudioJobFolder

Patch = pytest.MonkeyPatch

JSON = {"content-type": "application/json"}
NAME = "clip.keyframes/000001.png"
LAYER = {"id": 0, "name": "a", "visible": True, "opacity": 1}
RUN: dict[str, Any] = {"command": "probe", "values": {"video": "clip.mp4"}}
KEY = "0" * 40
SHEET = {"name": NAME, "layers": [LAYER], "size": [64, 48], "number": 0}
# What a page sends to each path; every value is replaced by each of VALUES in turn.
MESSAGES: dict[str, dict[str, Any]] = {
    "/api/wish": {"wish": "picture", "answers": {"clip": "no.mp4", "look": "pencil", "how": "now"}, "steps": [RUN]},
    "/api/run": {"command": "stylize", "values": {"video": ["no.mp4"]}, "title": "a"},
    "/api/lines": {"command": "stylize", "values": {"video": ["no.mp4"], "model": ["identity"]}},
    "/api/estimate": {"command": "stylize", "values": {"minutes": 1}},
    "/api/preview": {"command": "stylize", "values": {}, "frame": 0},
    "/api/curve": {"values": {"curve": ["1"]}},
    "/api/flicker": {"output": "no.mp4", "source": "no.mp4", "start": 0},
    "/api/cuts": {"clip": "no.mp4", "cuts": [3]},
    "/api/wall": {"values": {"video": "no.mp4"}, "name": "look", "choices": ["pencil"]},
    "/api/job": {"job": 1, "action": "x"},
    "/api/file": {"name": "no.mp4", "action": "rename", "new": "b.mp4"},
    "/api/live": {"action": "start", "values": {}},
    "/api/live/line": {"values": {"model": ["identity"]}},
    "/api/train": {"job": 1, "action": "on"},
    "/api/easel/change": {"name": NAME, "parent": 0, "layer": 0, "box": [0, 0, 1, 1], "before": KEY, "after": KEY},
    "/api/easel/move": {"name": NAME, "position": 0, "tip": 0, "layers": [LAYER]},
    "/api/easel/save": SHEET | {"pictures": {"0": KEY}, "flat": ""},
    "/api/easel/motion": {"name": NAME, "clip": "no.mp4"},
    "/api/easel/open": {"name": NAME},
    "/api/reveal": {"name": NAME},
}
ODD = r"""null true -1 1.5 NaN -Infinity 1e999 "\ud800" "\u0000" "a\nb" [] {} [[]] [{}] ["\ud800"] {"\ud800":1}
  {"minutes":NaN} "../x" ["clip.mp4"]"""
VALUES = [*ODD.split(), "1" + "0" * 4000, f'"{"x" * 5000}"']
BODIES = (b"[", b"[]", b'{"a":' * 40_000, b"\xff", b'{"a": "\xff"}', b"{}{}", b'{"name": "' + b"a" * (1 << 18) + b'"}')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_clip(folder / "clip.mp4", moving_frames(6))
    (folder / "clip.keyframes").mkdir()
    cv2.imwrite(str(folder / NAME), np.zeros((48, 64, 3), np.uint8))
    return folder


@pytest.fixture
def running(root: Path) -> Iterator[RunningStudio]:
    with studio(root) as server:
        yield server


def posted(running: RunningStudio, path: str, body: bytes) -> int:
    host = {"host": f"127.0.0.1:{running.server.port}"}
    return send(Forged(path, "POST", f"{path}?token={TOKEN}", JSON | host, body), running.server.port)


FIRST = ("/api/wish", "/api/file", "/api/easel/save")  # of the first tier


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[] if path in FIRST else [pytest.mark.thorough]) for path in MESSAGES]
)
def test_no_message_is_an_error_of_the_server(running: RunningStudio, path: str) -> None:
    routes = [route for route in StudioApp(running.session).app().routes if "POST" in getattr(route, "methods", ())]
    assert {route.path for route in routes} == {*MESSAGES, "/api/cache"}  # type: ignore[attr-defined]
    texts = {key: json.dumps(value) for key, value in MESSAGES[path].items()}
    bodies = [("body", body) for body in BODIES]
    for key in texts:
        for value in VALUES:
            changed = ", ".join(f'"{name}": {value if name == key else text}' for name, text in texts.items())
            bodies.append((f"{key} = {value}", f"{{{changed}}}".encode()))
    answers = {name: status for name, body in bodies if (status := posted(running, path, body)) not in (200, 400)}
    assert answers == {}


def test_odd_files_of_a_project_hide_nothing_else(root: Path) -> None:
    (root / "a.train" / "film").mkdir(parents=True)
    (root / "a.train" / "training.json").write_text('{"step": NaN}')
    (root / "b.train").mkdir()
    (root / "b.train" / "training.json").write_text('{"words": "\\ud800"}')
    (root / "data").mkdir()
    for number in range(4):
        (root / "data" / f"{number}.png").write_bytes(b"x")
    os.utime(root / "data" / "0.png", (0, 0))  # zip files have no years before 1980
    with open(os.fsencode(root / "data") + b"/\xff.png", "wb") as file:
        file.write(b"x")
    jobs = root / ".studio" / "jobs"
    stored = {"command": "probe", "values": {}, "words": [], "title": "a", "after": [], "wanted": "run"}
    stored |= {"created": 0, "starts": 0}
    odd = ({"words": 5}, {"after": 7}, {"after": [[]]}, {"starts": "x"}, {"title": 3}, {"values": []})
    for number, wrong in enumerate(odd, 1):
        (jobs / f"{number:06d}").mkdir(parents=True)
        (jobs / f"{number:06d}" / "job.json").write_text(json.dumps(stored | wrong))
    for name in ("²", "7", "-1", "0000000001"):
        (jobs / name).mkdir()
    StudioJobFolder(jobs / "000007").path.mkdir()
    (jobs / "000007" / "job.json").write_text(json.dumps(stored))
    (jobs / "000007" / "end.json").write_text('{"exit_status": 0, "finished": NaN}')
    with studio(root) as running:
        assert running.ask("/api/training", name="a.train")[1]["status"] == {"step": None}
        assert running.ask("/api/training", name="b.train")[1]["status"] == {}
        assert running.ask("/api/folder", name="data") == (200, [f"{number}.png" for number in range(4)])
        status, data = running.ask("/pack")
        assert status == 200
        with zipfile.ZipFile(BytesIO(data)) as packed:
            assert "project/data/0.png" in packed.namelist()
        [number] = running.ask("/api/run", RUN)[1]["jobs"]
        assert number == 8
        running.until_ended(number)
        json.dumps(running.session.jobs, allow_nan=False)


@pytest.mark.parametrize("place", [".", "uploads", "jobs", "jobs/000001/log.txt", "jobs/000001/lock", "server.lock"])
def test_a_link_in_the_studios_own_folder_is_refused(root: Path, tmp_path: Path, place: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    os.utime(precious / "file", (0, 0))  # as old as a preview that is deleted
    link = root / ".studio" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(precious / "file" if "." in link.name[1:] or link.name == "lock" else precious)
    with pytest.raises(UsageError, match="it is a link"):
        ProjectFolder(root).prepare()
    assert (precious / "file").read_text() == "precious"


def test_a_film_is_of_painted_frames_in_the_folder(running: RunningStudio, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "secret.png"), np.full((48, 64, 3), 255, np.uint8))
    (running.root / "clip.keyframes" / "000003.png").symlink_to(tmp_path / "secret.png")
    assert running.ask("/api/easel/motion", {"name": NAME, "clip": "clip.mp4"})[0] == 400
    (running.root / "clip.keyframes" / "000003.png").unlink()
    status, film = running.ask("/api/easel/motion", {"name": NAME, "clip": "clip.mp4"})
    assert (status, film["stop"]) == (200, 6)


def test_a_link_to_a_script_is_not_opened(running: RunningStudio, monkeypatch: Patch) -> None:
    monkeypatch.setattr("vidtrans.studio.easel_routes.open_in_program", lambda *_: pytest.fail("it was opened"))
    script = running.root / "a.command"
    script.write_bytes((running.root / NAME).read_bytes() + b"\ntouch run\n")
    (running.root / "clip.keyframes" / "000002.png").symlink_to(script)
    (running.root / "clip.keyframes" / "000003.png").write_bytes(b"[Desktop Entry]\nExec=touch run\n")
    for number in (2, 3):
        status, answer = running.ask("/api/easel/open", {"name": f"clip.keyframes/{number:06d}.png"})
        assert (status, "no PNG file" in answer["error"]) == (400, True)


def test_a_full_disk_is_a_message_and_loses_nothing(running: RunningStudio, monkeypatch: Patch) -> None:
    data = cv2.imencode(".png", np.zeros((48, 64, 4), np.uint8))[1].tobytes()
    link = running.link("/api/easel/picture", name=NAME, mark="0" * 40, offset=0, whole=len(data))
    key = running.send(urllib.request.Request(link, data, method="PUT"))[1]["key"]
    assert running.ask("/api/easel/save", SHEET | {"pictures": {"0": key}, "stamp": ""})[0] == 200
    change = {"name": NAME, "parent": 0, "layer": 0, "box": [0, 0, 64, 48], "before": key, "after": key}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for module in ("easel_store", "studio_jobs"):
        with monkeypatch.context() as patched:
            patched.setattr(f"vidtrans.studio.{module}.write_json", full)
            path, body = ("/api/run", RUN) if module == "studio_jobs" else ("/api/easel/change", change)
            assert running.ask(path, body) == (503, {"error": "No space left on device"})
    assert running.ask("/api/easel/change", change) == (200, {"number": 1})
    [number] = running.ask("/api/run", RUN)[1]["jobs"]
    running.until_ended(number)
