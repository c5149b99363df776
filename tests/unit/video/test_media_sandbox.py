"""No media file makes vidtrans open another file, or the network. Without the limits each of these would."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest
from chain import refuse
from clips import moving_frames, write_clip
from references import FRAMES, Server, copied, in_another_file, referring, serving, write_parts
from systems import need_name

import vidtrans
from vidtrans.core.errors import MediaError
from vidtrans.video.io import container
from vidtrans.video.io.container import open_generated, open_media

KINDS: dict[str, tuple[int, list[str]]] = {
    **dict.fromkeys(("concat", "concat called mp4", "concat of a subfile"), (2 * FRAMES, [])),
    **dict.fromkeys(("playlist", "playlist of file:", "key in data:", "crypto"), (2 * FRAMES, [])),
    "concat of the network": (2 * FRAMES, ["/clip.mp4"]),
    "playlist of the network": (2 * FRAMES, ["/part.ts"]),
    "key of the network": (2 * FRAMES, ["/key.ts"]),
    "numbered pictures": (FRAMES, []),
}
PROTOCOLS = "file,http,tcp,crypto,data,subfile"
# Beside the whitelists: limits of the demuxers' own.
ALL = {"protocol_whitelist": PROTOCOLS, "safe": "0", "allowed_extensions": "ALL"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder)
    return folder


@pytest.fixture
def server(parts: Path) -> Iterator[Server]:
    with serving(parts) as found:
        yield found


def num_frames(path: Path) -> int:
    with open_media(path) as opened:
        return sum(1 for _ in opened.decode(video=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_refers_to_others_is_refused_before_they_are_opened(
    kind: str, parts: Path, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = referring(kind, parts, server)
    assert "not a video that can be read" in refuse(capsys, 3, "probe", path)
    assert server.asked == []
    monkeypatch.setattr(container, "SAFE_OPTIONS", ALL)
    assert num_frames(path) == KINDS[kind][0]
    assert server.asked == KINDS[kind][1]


@pytest.mark.parametrize("kind", ["crypto", "key in data:", "playlist of the network"])
def test_other_protocols_are_closed_even_to_a_format_that_refers_to_files(
    kind: str, parts: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a format that refers to other files were let in by mistake."""
    without_formats = {k: v for k, v in container.SAFE_OPTIONS.items() if k != "format_whitelist"}
    monkeypatch.setattr(container, "SAFE_OPTIONS", {**without_formats, "allowed_extensions": "ALL"})
    assert num_frames(referring(kind, parts, server)) == FRAMES  # of the part that lies beside it
    assert server.asked == []


@pytest.mark.parametrize(
    "name", ["concat:clip.mp4|clip.mp4", "subfile,,start,9,end,99,,:clip.mp4", "data:,x", "pipe:0"]
)
def test_a_name_that_looks_like_a_protocol_is_the_name_of_a_file(name: str, parts: Path, server: Server) -> None:
    for absent in (name, f"{server.address}/clip.mp4"):
        with pytest.raises(MediaError, match="no such file"):
            num_frames(Path(absent))
    assert server.asked == []
    need_name(name)
    write_clip(Path("short.mp4"), moving_frames(3)).rename(name)
    assert num_frames(Path(name)) == 3


@pytest.mark.parametrize("name", ["list.mp4", "list.mpd", "list.png"])
def test_descriptions_of_streams_are_not_followed(name: str, server: Server) -> None:
    media = f"<BaseURL>{server.address}/clip.mp4</BaseURL><SegmentBase/>"
    shown = f"<AdaptationSet><Representation id='1' bandwidth='1'>{media}</Representation></AdaptationSet>"
    kind = "xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' mediaPresentationDuration='PT2S'"
    dash = f"<?xml version='1.0'?><MPD {kind}><Period>{shown}</Period></MPD>"
    port = server.address.rpartition(":")[2]
    session = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    for text in (dash, session):
        Path(name).write_text(text)
        with pytest.raises(MediaError, match=name):
            num_frames(Path(name))
    assert server.asked == []


def test_a_movie_whose_pictures_lie_in_another_file_has_none(
    parts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = copied(parts / "clip.mp4", Path("whole.mov"))
    Path("refers.mov").write_bytes(in_another_file(movie, "whole.mov"))
    assert "refers.mov: no frame" in refuse(capsys, 3, "probe", "refers.mov")
    monkeypatch.setattr(container, "SAFE_OPTIONS", {**container.SAFE_OPTIONS, "enable_drefs": "1"})
    assert num_frames(Path("refers.mov").resolve()) == FRAMES


def test_what_lies_in_a_strangers_cache_is_limited_likewise(parts: Path, server: Server) -> None:
    path = referring("concat", parts, server)
    with pytest.raises((av.error.FFmpegError, OSError)):
        open_generated(path)
    with closing(open_generated(parts / "clip.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == FRAMES


def test_media_are_opened_for_reading_in_one_module() -> None:
    """Elsewhere PyAV only writes: what reads goes through the limits."""
    package = Path(vidtrans.__file__).parent
    found = []
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "av.open" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                writes = len(node.args) > 1 and ast.unparse(node.args[1]) == "'w'"
                found.append((file.relative_to(package).as_posix(), writes))
    assert {name for name, writes in found if not writes} == {"video/io/container.py"}
    assert any(writes for _, writes in found)
