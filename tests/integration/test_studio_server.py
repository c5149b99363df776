"""The studio's server: who may ask, what is reached, and that jobs outlive everything."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from chain import TINY, vidtrans
from clips import moving_frames, write_clip
from forged import Forged, foreign_requests, is_accepted, send
from processes import HANG_S, KILL, until
from studio_server import TOKEN, RunningStudio, studio

from vidtrans import make_dataset

JSON = {"content-type": "application/json"}
RUN = {"command": "stylize", "values": {"video": ["clip.mp4"], "model": ["identity"]}}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return write_clip(folder / "clip.mp4", moving_frames(12, shots=(0, 6)))


@pytest.fixture
def running(clip: Path) -> Iterator[RunningStudio]:
    with studio(clip.parent) as server:
        yield server


def _paths(running: RunningStudio, method: str) -> list[str]:
    """Return the paths that take a method."""
    from vidtrans.studio.studio_app import StudioApp

    routes = [route for route in StudioApp(running.session).app().routes if hasattr(route, "methods")]  # type: ignore[attr-defined]
    return [route.path for route in routes if method in route.methods]


# Of the session below /live, which is mounted as one application.
LIVE_GETS, LIVE_POSTS = ["/live/", "/live/output", "/live/phone.svg"], ["/live/frame", "/live/look"]
PUT = "&name=a.keyframes/1.png&offset=0&whole=1&stamp=1&mark=" + "0" * 40


class TestAccess:
    def test_no_forged_request_to_any_route_is_accepted(self, running: RunningStudio) -> None:
        gets, posts, puts = (_paths(running, method) for method in ("GET", "POST", "PUT"))
        assert (len(gets) > 25, len(posts) > 15, len(puts) > 1) == (True, True, True)
        port, body = running.server.port, (JSON, b'{"command": "probe", "values": {"video": "clip.mp4"}}')
        live = {"action": "start", "values": {"model": ["identity"], "upscale": "off", "size": "32"}}
        assert running.ask("/api/live", live)[0] == 200
        sent = dict.fromkeys(posts, body) | {path: ({"content-type": "image/png"}, b"x") for path in LIVE_POSTS}
        forged = list(foreign_requests(port, TOKEN, [*gets, *LIVE_GETS], ["/live/ws"], sent))
        other = foreign_requests(port, TOKEN, [], [], dict.fromkeys(puts, ({}, b"x")))
        forged += [one._replace(method="PUT", path=one.path + PUT) for one in other if one.method == "POST"]
        assert len(forged) >= 1000
        assert [one.name for one in forged if is_accepted(send(one, port))] == []
        assert (running.session.jobs, running.ask("/api/live")[1]["connections"]) == ([], 0)

    def test_scripts_need_no_token_and_are_all_that_needs_none(self, running: RunningStudio) -> None:
        port, good = running.server.port, {"host": f"127.0.0.1:{running.server.port}"}
        for path in ("/page/main.js", "/shared/fill.js"):
            assert send(Forged(path, "GET", path, good), port) == 200
        for mount in ("/page", "/shared", "/live/page", "/live/shared"):
            for path in ("../api/shelf", "..%2fapi%2fshelf", "%2e%2e/api/shelf", "../../../access.py", "%00", "x"):
                assert not is_accepted(send(Forged(path, "GET", f"{mount}/{path}", good), port)), (mount, path)
            assert not is_accepted(send(Forged(mount, "GET", f"{mount}/", good, upgrade=True), port))

    def test_no_request_reaches_out_of_the_folder(self, running: RunningStudio, tmp_path: Path) -> None:
        (tmp_path / "secret.png").write_bytes(b"secret")
        (running.root / "link.png").symlink_to(tmp_path / "secret.png")
        names = ["../secret.png", "/etc/passwd", "link.png", "a/../../secret.png", ".studio/jobs", "%2e%2e/secret.png"]
        for path in ("/media", "/thumb", "/facts", "/proxy", "/api/folder"):
            for name in names:
                status, found = running.ask(path, name=name)
                assert (status, b"secret" in str(found).encode()) in ((400, False), (400, True)) or found == []
                assert found != b"secret"
        for message in (
            {"action": "delete", "name": "../secret.png"},
            {"action": "rename", "name": "clip.mp4", "new": "../clip.mp4"},
            {"action": "rename", "name": "../secret.png", "new": "a.png"},
        ):
            assert running.ask("/api/file", message)[0] == 400
        for values in ({"video": ["../x.mp4"]}, {"video": ["clip.mp4"], "output": "/tmp/x.mp4"}):
            assert running.ask("/api/run", {"command": "stylize", "values": values})[0] == 400
        assert (tmp_path / "secret.png").read_bytes() == b"secret"
        assert [item.name for item in running.session.folder.items()] == ["clip.mp4"]

    def test_what_is_no_message_is_refused(self, running: RunningStudio) -> None:
        port, good = running.server.port, {"host": f"127.0.0.1:{running.server.port}"}
        for path in _paths(running, "POST"):
            for headers, body in (({}, b"{}"), ({"content-type": "text/plain"}, b"{}")):
                assert send(Forged(path, "POST", f"{path}?token={TOKEN}", good | headers, body), port) == 400
        put = f"/api/upload?token={TOKEN}&name=a.mp4&offset=0&whole=9&x="
        for query in ("offset=x", "whole=1e9", "name="):
            changed = put.replace(query.partition("=")[0] + "=", "x=", 1) + f"&{query}"
            assert send(Forged(query, "PUT", changed, good, b"a"), port) == 400


class TestMedia:
    def test_an_upload_in_parts_is_checked_and_shown(self, running: RunningStudio, tmp_path: Path) -> None:
        data = write_clip(tmp_path / "other.mp4", moving_frames(6)).read_bytes()
        half = len(data) // 2
        for offset, part, done in ((0, data[:half], False), (half, data[half:], True)):
            link = running.link("/api/upload", name="other.mp4", offset=offset, whole=len(data), stamp=1)
            request = urllib.request.Request(link, part, method="PUT")
            assert running.send(request) == (200, {"done": done})
        assert (running.root / "other.mp4").read_bytes() == data
        link = running.link("/api/upload", name="none.mp4", offset=0, whole=9, stamp=1)
        status, answer = running.send(urllib.request.Request(link, b"no video!", method="PUT"))
        assert status == 400
        assert answer["error"].startswith("none.mp4: it cannot be read")
        assert not (running.root / "none.mp4").exists()

    def test_thumbnails_frames_and_proxies_are_made_and_a_damaged_file_is_a_message(
        self, running: RunningStudio
    ) -> None:
        (running.root / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(2000))
        assert running.ask("/thumb", name="bad.mp4")[0] == 400
        assert until(lambda: running.ask("/facts", name="bad.mp4")[1]["fault"])
        with urllib.request.urlopen(running.link("/thumb", name="clip.mp4"), timeout=HANG_S) as answer:
            assert (answer.headers["x-frames"], answer.headers["x-size"]) == ("8", "64x48")
        status, frame = running.ask("/frame", name="clip.mp4", frame=3, kind="png")
        assert (status, frame[:4]) == (200, b"\x89PNG")
        assert running.ask("/frame", name="clip.mp4", frame=12)[0] == 400
        facts: dict[str, Any] = until(lambda: (f := running.ask("/facts", name="clip.mp4")[1])["ready"] and f)
        assert (facts["frames"], facts["shots"], facts["times"][0]) == (12, [0, 6], 0.0)
        with urllib.request.urlopen(running.link("/proxy", name="clip.mp4"), timeout=HANG_S) as answer:
            assert answer.headers["content-type"] == "video/mp4"

    def test_a_preview_is_a_frame_of_the_clip_in_a_look(self, running: RunningStudio) -> None:
        shutil.copy(running.root / "clip.mp4", running.root / "-a clip.mp4")
        wanted = {"command": "stylize", "values": {"video": ["-a clip.mp4"], "look": "pencil"}, "frame": 3}
        status, picture = running.ask("/api/preview", wanted)
        assert (status, picture[:4]) == (200, b"\x89PNG")
        assert running.ask("/api/preview", wanted | {"is_sample": True}) == (200, picture)
        for wrong in ({"frame": 12}, {"values": {"video": ["no.mp4"], "look": "pencil"}}, {"values": {"look": "ink"}}):
            assert running.ask("/api/preview", wanted | wrong)[0] == 400

    def test_a_wall_shows_a_frame_in_looks(self, running: RunningStudio) -> None:
        wanted = {"values": {"video": "clip.mp4"}, "name": "look"}
        status, answer = running.ask("/api/wall", wanted | {"choices": ["pencil"]})
        assert status == 200, answer
        assert running.ask("/wall", key=answer["key"])[1][:4] == b"\x89PNG"
        strokes = {
            "values": {"video": "clip.mp4", "strokes": "/etc/mine.toml"},
            "name": "strokes_size",
            "choices": ["2"],
        }
        assert running.ask("/api/wall", strokes)[0] == 400
        for looks in ([], ["pencil"] * 9, ["/etc/a.jpg"], "pencil", [3]):
            assert running.ask("/api/wall", wanted | {"choices": looks})[0] == 400
        for key in ("none", "../jobs", ""):
            assert running.ask("/wall", key=key)[0] == 400


class TestJobs:
    def test_a_job_is_the_command_of_its_line_and_files_of_the_folder_are_packed_and_not_run(
        self, running: RunningStudio, tmp_path: Path
    ) -> None:
        (tmp_path / "terminal").mkdir()
        shutil.copy(running.root / "clip.mp4", tmp_path / "terminal")
        strange = {f"{name}.py" for name in ("av", "numpy", "json", "vidtrans")}
        for name in strange:
            (running.root / name).write_text(f"open({str(tmp_path / 'run.txt')!r}, 'w')\nraise SystemExit(9)")
        (running.root / "painted").mkdir()
        (running.root / "painted" / "000001.png").write_bytes(b"x")
        (running.root / "secret").symlink_to("/etc")
        (job,) = running.until_ended(*running.ask("/api/run", RUN)[1]["jobs"])
        assert job["state"] == "done", running.ask("/api/log", job=job["number"])
        assert job["line"] == "vidtrans stylize clip.mp4 --model identity"
        with contextlib.chdir(tmp_path / "terminal"):
            vidtrans(*job["line"].split()[1:])
        output = job["outcome"]["output"]
        assert (tmp_path / "terminal" / output).read_bytes() == (running.root / output).read_bytes()
        assert running.ask("/api/estimate", RUN)[0] == 200
        assert running.ask("/frame", name="clip.mp4", frame=0)[0] == 200
        assert not (tmp_path / "run.txt").exists()
        status, data = running.ask("/pack")
        assert status == 200
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            names = {name.removeprefix("project/") for name in packed.namelist()}
            assert packed.read("project/commands.txt").decode() == f"{job['line']}\n"
        assert names - strange == {"clip.mp4", "clip.identity.mp4", "painted/000001.png", "commands.txt"}

    def test_a_failure_is_told_and_a_second_try_may_succeed(self, running: RunningStudio) -> None:
        (running.root / "clip.mp4").rename(running.root / "gone.mp4")
        number = running.ask("/api/run", RUN)[1]["jobs"][0]
        (job,) = running.until_ended(number)
        assert job["state"] == "failed"
        assert "clip.mp4" in job["outcome"]["error"]
        assert "error:" in running.ask("/api/log", job=number)[1]["log"]
        (running.root / "gone.mp4").rename(running.root / "clip.mp4")
        assert running.ask("/api/job", {"job": number, "action": "resume"})[0] == 200
        until(lambda: running.job(number)["state"] == "done")

    def test_a_job_goes_on_without_the_server_and_after_kill(self, clip: Path) -> None:
        make_dataset(clip, clip.parent / "d", pairing="edges", settings=TINY)
        with studio(clip.parent) as first:
            slow = {"command": "train", "values": {"dataset": "d", "steps": 400}}
            number = first.ask("/api/run", slow)[1]["jobs"][0]
            until(lambda: first.job(number)["progress"].get("done"))
        process = _process_of(clip.parent, number)
        assert process.is_running()
        with studio(clip.parent) as second:
            until(lambda: second.session.jobs and second.job(number)["state"] == "running")
            process.send_signal(KILL)
            until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
            again = until(lambda: _process_of(clip.parent, number))
            assert again.pid != process.pid
            assert second.ask("/api/job", {"job": number, "action": "cancel"})[0] == 200
            until(lambda: second.job(number)["state"] == "cancelled")


def _process_of(root: Path, number: int) -> Any:
    """Return the process of a job; None while there is none."""
    job = str(root / ".studio" / "jobs" / f"{number:06d}")
    for process in psutil.process_iter(["cmdline"]):
        if job in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def test_a_port_that_is_taken_is_one_line_and_leaves_nothing(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = vidtrans("studio", clip.parent, "--port", taken.getsockname()[1], expect=2)
    assert len(done.stderr.splitlines()) == 1
    assert "choose another --port" in done.stderr
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_the_command_serves_and_says_what_still_runs(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    served = ["studio", str(clip.parent), "--port", str(port), "--token", TOKEN, "--json"]
    words = [sys.executable, "-m", "vidtrans", *served]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert f"http://127.0.0.1:{port}/?token={TOKEN}" in process.stderr.readline()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?token={TOKEN}", timeout=HANG_S) as answer:
        assert b"vidtrans" in answer.read()
    second = subprocess.run(words, capture_output=True, text=True, timeout=HANG_S)
    assert (second.returncode, "a studio runs there already" in second.stderr) == (2, True)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=HANG_S)
    assert '"running": 0' in out
