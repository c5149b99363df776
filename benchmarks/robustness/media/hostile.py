"""The bad-input matrix of sweep.py: what is expected of what make.py makes, and of bad outputs."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.robustness.media.check import MEDIA_ERROR, USAGE_ERROR, check
from benchmarks.robustness.media.place import Expected, Place, Row
from benchmarks.robustness.media.running import Ran, run

PLAIN = "plain.mp4"
WORKS, ERROR, DAMAGE = Expected(), Expected("error"), Expected("damage", ("damage",))

HOSTILE = {
    "empty.mp4": ERROR,
    "text.mp4": ERROR,
    "random.mp4": ERROR,
    "zeros.mp4": ERROR,
    "nomoov.mp4": ERROR,
    "sound.m4a": ERROR,
    "cover.mp3": ERROR,
    "missing.mp4": ERROR,
    "folder": ERROR,
    "cut.mp4": DAMAGE,
    "rotten.mp4": DAMAGE,
    "headless.mp4": DAMAGE,
    "headless.ts": DAMAGE,
    "promises.avi": DAMAGE,
    "wrong.avi": WORKS,
    "matroska.txt": WORKS,
    "single.mp4": WORKS,
    "huge.png": ERROR,
    "huge.gif": ERROR,
    "huge.h264": ERROR,
    "hls-server.mp4": ERROR,
    "hls-server.m3u8": ERROR,
    "hls-sibling.mp4": ERROR,
    "concat-sibling.mp4": ERROR,
    "concat-server.mp4": ERROR,
    "dash-server.mp4": ERROR,
    "dash-server.mpd": ERROR,
}
NOT_UTF8 = "not-utf8-\udcff.mp4"
NAMES = (
    "-dash.mp4",
    "--overwrite.mp4",
    "a b.mp4",
    "a:b.mp4",
    "http:x.mp4",
    "concat:one|two.mp4",
    "%03d.mp4",
    "100%.mp4",
    "quo\"te's.mp4",
    "new\nline.mp4",
    "stars*?[x].mp4",
    "back\\slash.mp4",
    "ünï–日本🎬.mp4",
    NOT_UTF8,
)


class Server:
    """A server on this machine that a playlist may be led to; counts what it is asked for."""

    def __init__(self) -> None:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.requests: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class BadMedia:
    """The folder of bad input, and the server that some of it points to. ``control``: whether the traps work."""

    folder: Path
    server: Server
    control: str


@contextmanager
def bad_media() -> Iterator[BadMedia]:
    root = Path(tempfile.mkdtemp(prefix="bad-media-"))
    folder = root / "made"
    folder.mkdir()
    server = Server()
    try:
        maker = str(Path(__file__).resolve().with_name("make.py"))
        subprocess.run([sys.executable, maker, str(folder), str(server.port), *NAMES], check=True)
        (folder / "folder").mkdir()
        yield BadMedia(folder, server, _control(folder, server))
    finally:
        server.close()
        shutil.rmtree(root, ignore_errors=True)


def _control(folder: Path, server: Server) -> str:
    """Open a playlist as a careless program does, under the same guard: would a connection be seen at all?"""
    code = "import av, sys\ntry: av.open(open(sys.argv[1], 'rb'))\nexcept Exception as error: print(error)"
    ran = run([sys.executable, "-c", code, str(folder / "hls-server.m3u8")], folder, limit_s=60)
    told = f"{len(server.requests)} requests, {ran.connections} connections"
    server.requests.clear()
    return f"control, PyAV without limits on a playlist: {told}"


def hostile_rows(bad: BadMedia, only: str) -> Iterator[Callable[[], Row]]:
    """A call for each row of the matrix that concerns media."""
    for name, expected in HOSTILE.items():
        leads_elsewhere = name.startswith(("hls-", "concat-", "dash-"))
        beside = [bad.folder / PLAIN] if leads_elsewhere else []
        if only in name:
            yield partial(check, bad.folder / name, expected, beside=beside, watched=PLAIN if leads_elsewhere else None)
    for name in NAMES:
        if only in name:
            # FFmpeg is told names in UTF-8: one that is none is refused, with the remedy.
            yield partial(check, bad.folder / name, ERROR if name == NOT_UTF8 else WORKS, output_name=name)
    for what, case in OUTPUT_CASES.items():
        if only in what:
            yield partial(_output_case, bad.folder / PLAIN, what, case)


def _output_case(plain: Path, what: str, case: Callable[[Place, Row], None]) -> Row:
    row = Row(what, expected="error")
    with Place(plain, row) as place:
        case(place, row)
        place.look_at_sources()
        left = [p.name for p in place.root.iterdir() if ".partial" in p.name]
        row.strays += len(left)
        row.differs += [f"left behind: {name}" for name in left]
    return row


def _render_to(place: Place, output: Path, *more: str) -> Ran:
    return place.vidtrans("stylize", "--model", "identity", *more, "-o", str(output), output=output)


def _must_refuse(row: Row, ran: Ran, *statuses: int) -> None:
    row.exit = " ".join(filter(None, [row.exit, str(ran.status)]))
    row.notes.append(ran.error[:160])
    if ran.status not in statuses:
        row.differs.append(f"exit {ran.status}, not {' or '.join(map(str, statuses))}")


def _onto_itself(place: Place, row: Row) -> None:
    for more in ((), ("--overwrite",)):
        _must_refuse(row, _render_to(place, place.source, *more), USAGE_ERROR)


def _onto_a_link_to_itself(place: Place, row: Row) -> None:
    for name, link in (("soft.mp4", os.symlink), ("hard.mp4", os.link)):
        link(place.source, place.root / name)
        for more in ((), ("--overwrite",)):
            _must_refuse(row, _render_to(place, place.root / name, *more), USAGE_ERROR)


def _onto_a_file(place: Place, row: Row) -> None:
    other = place.root / "other.mp4"
    other.write_bytes(b"precious")
    _must_refuse(row, _render_to(place, other), USAGE_ERROR)
    if other.read_bytes() != b"precious":
        row.differs.append("replaced a file without --overwrite")
    if (ran := _render_to(place, other, "--overwrite")).status != 0:
        row.differs.append(f"--overwrite: exit {ran.status}: {ran.error[:120]}")


def _failing_onto_a_file(place: Place, row: Row) -> None:
    """A source that cannot be read leaves what was there, even with --overwrite."""
    other = place.root / "other.mp4"
    other.write_bytes(b"precious")
    place.source.write_bytes(b"no video")
    place.take_stock()
    _must_refuse(row, _render_to(place, other, "--overwrite"), MEDIA_ERROR)
    if other.read_bytes() != b"precious":
        row.differs.append("the earlier result is gone")


def _below_a_file(place: Place, row: Row) -> None:
    (place.root / "file").write_bytes(b"")
    _must_refuse(row, _render_to(place, place.root / "file" / "out.mp4"), 1, USAGE_ERROR)


def _no_permission(place: Place, row: Row) -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        row.exit = "skipped"
        row.notes.append("permissions do not bind root")
        return
    place.out.chmod(0o500)
    _must_refuse(row, _render_to(place, place.out / "out.mp4"), 1, USAGE_ERROR)
    place.out.chmod(0o700)
    place.source.chmod(0)
    _must_refuse(row, _render_to(place, place.out / "out.mp4"), MEDIA_ERROR)
    place.source.chmod(0o600)


OUTPUT_CASES: dict[str, Callable[[Place, Row], None]] = {
    "output is the input": _onto_itself,
    "output is a link to the input": _onto_a_link_to_itself,
    "output exists": _onto_a_file,
    "output exists, source is bad": _failing_onto_a_file,
    "output below a file": _below_a_file,
    "no permission": _no_permission,
}
