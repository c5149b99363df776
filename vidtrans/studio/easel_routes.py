"""The routes of the easel: layers, history, the painted frame in motion, and programs of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of, write_bytes
from vidtrans.core.settings import Table
from vidtrans.core.system import MACOS, WINDOWS
from vidtrans.studio.easel_store import PAINTED, png_size
from vidtrans.studio.media_readers import Media
from vidtrans.studio.messages import at, body_of, message_of, number_in, text_in
from vidtrans.studio.studio_session import StudioSession
from vidtrans.web import MAX_MESSAGE

# Headers of requests that a proxy on this machine passes on for somebody else.
FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
WAIT_S = 3.0  # for a program that cannot start to say so; those that run on are left alone


def is_same_machine(host: str | None, *, is_open: bool) -> bool:
    """Return whether a request comes from this machine.

    ``host``: the client's address. ``is_open``: other machines reach the server; then a proxy here may pass on what
    others ask, and nobody is known to sit here.
    """
    if is_open or not host:
        return False
    try:
        found = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def open_in_program(path: Path, root: Path) -> None:
    """Open a file in the system's default program for its kind. Raises UsageError if there is none.

    ``root``: the project's folder, of which no program is started.
    """
    if WINDOWS:
        try:
            os.startfile(path)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            raise _failed(path, error.strerror or "no program opens it") from None
        return
    _start([_opener(path, root), str(path)], path)


def show_in_file_manager(path: Path, root: Path) -> None:
    """Show a file in the system's file manager. Raises UsageError if there is none."""
    if WINDOWS:
        manager = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "explorer.exe"
        subprocess.Popen(f'"{manager}" /select,"{path}"', cwd=manager.parent)
    elif MACOS:
        _start([_opener(path, root), "-R", str(path)], path)
    else:
        _start([_opener(path, root), str(path.parent)], path)


def _opener(path: Path, root: Path) -> str:
    """Return the program of this system that opens files. Raises UsageError."""
    if not MACOS and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _failed(path, "this machine shows no windows")
    name = "open" if MACOS else "xdg-open"
    found = shutil.which(name)
    if found is None or not os.path.isabs(found) or root in Path(found).resolve().parents:
        raise _failed(path, f"the program {name} is not installed")
    return found


def _start(words: Sequence[str], path: Path) -> None:
    process = subprocess.Popen(
        words,
        cwd=Path(words[0]).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(WAIT_S)
    except subprocess.TimeoutExpired:  # it is the program
        threading.Thread(target=process.wait, daemon=True, name="own program").start()
        return
    if status:
        raise _failed(path, "no program is set up for this kind of file")


def _failed(path: Path, why: str) -> UsageError:
    return UsageError(path.name, f"it cannot be opened: {why}", "open it from the folder yourself")


MOST_FRAMES = 16  # on each side of the painted frame, as a preview is to come within seconds
SHORT = 270  # pixels of the film's short side, as the time goes with the pixels
RATE = 25.0  # frames a second of a film that is made of pictures


def motion_range(frame: int, painted: Sequence[int], shots: Sequence[int], num_frames: int) -> tuple[int, int]:
    """Return the frames [first, stop) around a painted one: between its painted neighbours, within its shot.

    ``painted``: numbers of painted frames. ``shots``: first frames of the shots.
    """
    first = max([0, *(start for start in shots if start <= frame), frame - MOST_FRAMES])
    stop = min([num_frames, *(start for start in shots if start > frame), frame + MOST_FRAMES + 1])
    before = [number for number in painted if first <= number < frame]
    after = [number for number in painted if frame < number < stop]
    return max([first, *before]), min([stop, *(number + 1 for number in after)])


@dataclass(frozen=True)
class MotionFilm:
    """The film of the frames [first, stop) of a clip. ``painted``: files of painted frames, by frame.

    It is kept in ``folder``, as long as neither the clip nor the painted frames change.
    """

    folder: Path
    clip: Path
    painted: Mapping[int, Path]
    first: int
    stop: int

    @cached_property
    def _frames(self) -> Path:
        state = self.clip.stat()
        mark = digest_of([str(self.clip), state.st_mtime_ns, state.st_size, self.first, self.stop])
        return self.folder / f"{mark[:24]}frames"

    @cached_property
    def path(self) -> Path:
        """Return the file of the film, which need not exist. Raises OSError."""
        states = [[number, path.stat().st_mtime_ns, path.stat().st_size] for number, path in self._inside()]
        return self.folder / f"{digest_of([self._frames.name, states])[:24]}.mp4"

    def _inside(self) -> list[tuple[int, Path]]:
        return [(n, self.painted[n]) for n in sorted(self.painted) if self.first <= n < self.stop]

    def prepare(self, media: Media) -> list[str]:
        """Write small copies of the frames; return the words of the command. Raises MediaError, OSError."""
        self._frames.mkdir(parents=True, exist_ok=True)
        for number in range(self.first, self.stop):
            if not (file := self._frames / f"{number:06d}.png").is_file():
                write_bytes(file, media.frame(self.clip, number, SHORT, "png"))
        keys = self.path.with_suffix(".keys")
        keys.mkdir(exist_ok=True)
        for number, path in self._inside():
            shutil.copyfile(path, keys / f"{number:06d}.png")
        words = ["propagate", str(self._frames), "--keyframes", str(keys), "--minutes", "0"]
        return [*words, "-o", str(self.path), "--overwrite"]


FACTS_S, POLL_S = 30.0, 0.1  # for what is known of a clip that nobody has opened yet


class EaselHandlers:
    """The handlers of the routes. ``is_open``: other machines can reach the server."""

    def __init__(self, session: StudioSession, *, is_open: bool) -> None:
        self.session, self.folder, self.is_open = session, session.folder, is_open
        self.store = session.easel

    @at("/easel/sheet")
    async def sheet(self, request: Request) -> Response:
        """Return the layers of a painted frame, and the changes that lead to them."""
        return JSONResponse(await asyncio.to_thread(self.store.table, text_in(request, "name")))

    @at("/easel/change")
    async def change(self, request: Request) -> Response:
        """Return a change of a painted frame."""
        name, number = text_in(request, "name"), number_in(request, "number")
        return JSONResponse({"change": await asyncio.to_thread(self.store.change, name, number)})

    @at("/easel/picture")
    async def picture(self, request: Request) -> Response:
        """Return a picture of a layer, or of a part of one before or after a change."""
        return FileResponse(
            self.store.picture(text_in(request, "name"), text_in(request, "key")), media_type="image/png"
        )

    @at("/easel/stamp")
    async def stamp(self, request: Request) -> Response:
        """Return a text that changes with the file of a painted frame."""
        return JSONResponse({"stamp": await asyncio.to_thread(self.store.stamp, text_in(request, "name"))})

    @at("/api/easel/picture", "PUT")
    async def receive(self, request: Request) -> Response:
        """Take a part of a picture, and return its key once it is complete."""
        body = await body_of(request, MAX_MESSAGE)
        name, mark = text_in(request, "name"), text_in(request, "mark")
        offset, whole = number_in(request, "offset"), number_in(request, "whole")
        return JSONResponse({"key": await self.session.decoded(self.store.receive, name, mark, offset, whole, body)})

    @at("/api/easel/change", "POST")
    async def add(self, request: Request) -> Response:
        """Store a change."""
        message = await message_of(request)
        return JSONResponse({"number": await asyncio.to_thread(self.store.add, _name_in(message), message)})

    @at("/api/easel/move", "POST")
    async def move(self, request: Request) -> Response:
        """Go to another change of the history."""
        message = await message_of(request)
        await asyncio.to_thread(self.store.move, _name_in(message), message)
        return JSONResponse({})

    @at("/api/easel/save", "POST")
    async def save(self, request: Request) -> Response:
        """Store the layers, and the flattened picture as the file that commands read."""
        message = await message_of(request)
        return JSONResponse({"stamp": await asyncio.to_thread(self.store.save, _name_in(message), message)})

    @at("/api/easel/motion", "POST")
    async def motion(self, request: Request) -> Response:
        """Carry the paint along the motion around a painted frame, and return where the film is."""
        message = await message_of(request)
        name, clip = _name_in(message), str(message.get("clip", ""))
        place, source = self.store.target(name), self.folder.existing(clip)
        facts = await self._facts(clip)
        painted = self._painted(name)
        frame = int(place.stem)
        if frame >= int(facts["frames"]) or frame not in painted:
            raise UsageError(name, "there is no such painted frame of this clip", "save it first")
        first, stop = motion_range(frame, list(painted), facts["shots"], int(facts["frames"]))
        film = MotionFilm(self.folder.state / "previews", source, painted, first, stop)
        if not film.path.is_file():
            words = await self.session.decoded(film.prepare, self.session.media)
            await self.session.quickly("film", words)
        return JSONResponse({"key": film.path.stem, "first": first, "stop": stop, "rate": facts["fps"] / RATE})

    def _painted(self, name: str) -> dict[int, Path]:
        """Return the painted frames beside one, by number; no link that leads out of the folder."""
        beside = PurePosixPath(name).parent
        files = [f"{beside}/{file}" for file in self.folder.names(str(beside))]
        return {int(PurePosixPath(file).stem): self.store.target(file) for file in files if PAINTED.fullmatch(file)}

    async def _facts(self, clip: str) -> Table:
        """Return the number of frames and the shots of a clip. Raises UsageError."""
        path = self.folder.existing(clip)
        for _ in range(round(FACTS_S / POLL_S)):
            facts = await self.session.decoded(self.session.media.facts, path)
            if facts.get("frames"):
                return facts
            if facts["fault"]:
                raise UsageError(clip, str(facts["fault"]), "choose another clip")
            await asyncio.sleep(POLL_S)
        raise UsageError(clip, "it is still being read", "try again in a minute")

    @at("/easel/film")
    async def film(self, request: Request) -> Response:
        """Return a film that ``motion`` made."""
        return FileResponse(self.session.kept_file(text_in(request, "key"), ".mp4"), media_type="video/mp4")

    @at("/easel/here")
    async def here(self, request: Request) -> Response:
        """Return whether the page is shown on this machine, so that its programs can be used."""
        return JSONResponse({"here": self._is_here(request)})

    def _is_here(self, request: Request) -> bool:
        if any(name in request.headers for name in FORWARDING):
            return False
        return is_same_machine(request.client.host if request.client else None, is_open=self.is_open)

    def _check_here(self, request: Request) -> None:
        if not self._is_here(request):
            why = "programs are started only for a page on the same machine, of a studio that no other machine reaches"
            raise UsageError("studio", why, "download the file")

    @at("/api/easel/open", "POST")
    async def open(self, request: Request) -> Response:
        """Open a painted frame in a program of this machine."""
        message = await message_of(request)
        self._check_here(request)
        path = self.store.target(_name_in(message)).resolve()
        if not path.is_file():
            raise UsageError(path.name, "it is not saved yet", "save it first")
        if path.suffix != ".png":  # of a link in the project, whose target a program might run
            raise UsageError(path.name, "it is no PNG file", "paint the frame again")
        png_size(path)
        await asyncio.to_thread(open_in_program, path, self.folder.root)
        return JSONResponse({})

    @at("/api/reveal", "POST")
    async def reveal(self, request: Request) -> Response:
        """Show a file in the file manager of this machine."""
        message = await message_of(request)
        self._check_here(request)
        path = self.folder.existing(_name_in(message))
        await asyncio.to_thread(show_in_file_manager, path, self.folder.root)
        return JSONResponse({})


def _name_in(message: Table) -> str:
    """Return the name of the file that a message is about. Raises UsageError."""
    name = message.get("name")
    if not isinstance(name, str):
        raise UsageError("name", "it is missing", "give it")
    return name
