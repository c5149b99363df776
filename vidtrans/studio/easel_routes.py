"""The routes of the easel, the page for painting on frames: layers, history, a motion preview, other programs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from vidtrans.core.child_process import start_detached
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of, write_bytes
from vidtrans.core.settings import Table
from vidtrans.core.system import MACOS, WINDOWS
from vidtrans.studio.easel_store import PAINTED_NAME, png_size
from vidtrans.studio.media_readers import Media
from vidtrans.studio.messages import body_of, message_of, number_in, route, text_in
from vidtrans.studio.studio_session import StudioSession
from vidtrans.web import MAX_MESSAGE

# Headers of requests that a proxy on this machine forwards from other machines
FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
START_WAIT_S = 3.0  # Time, in s, within which a program that cannot start ends with an error


def is_same_machine(host: str | None, *, is_open: bool) -> bool:
    """Return whether a request comes from this machine; ``host``: the address of the client.

    ``is_open``: whether other machines can reach the server. Then a proxy on this machine may forward their requests,
    so the result is False.
    """
    if is_open or not host:
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def open_in_program(path: Path, root: Path) -> None:
    """Open a file in the system's default program for its kind. Raises UsageError if there is none.

    ``root``: the project's folder, whose programs are never started.
    """
    if WINDOWS:
        try:
            os.startfile(path)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            raise _open_error(path, error.strerror or "no program opens it") from None
        return
    _start_program([_opener(path, root), str(path)], path)


def show_in_file_manager(path: Path, root: Path) -> None:
    """Show a file in the system's file manager. Raises UsageError if there is none; ``root``: the project folder."""
    if WINDOWS:
        manager = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "explorer.exe"
        subprocess.Popen(f'"{manager}" /select,"{path}"', cwd=manager.parent)
    elif MACOS:
        _start_program([_opener(path, root), "-R", str(path)], path)
    else:
        _start_program([_opener(path, root), str(path.parent)], path)


def _opener(path: Path, root: Path) -> str:
    """Return the path of the system's program that opens files; it must not lie in ``root``. Raises UsageError."""
    if not MACOS and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _open_error(path, "this machine shows no windows")
    name = "open" if MACOS else "xdg-open"
    program = shutil.which(name)
    if program is None or not os.path.isabs(program) or root in Path(program).resolve().parents:
        raise _open_error(path, f"the program {name} is not installed")
    return program


def _start_program(words: Sequence[str], path: Path) -> None:
    """Start a program for the file ``path``. Raises UsageError if it ends with an error at once."""
    process = start_detached(words, Path(words[0]).parent, subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):  # The program runs
        process.wait(START_WAIT_S)
    if process.returncode:
        raise _open_error(path, "no program is set up for this kind of file")


def _open_error(path: Path, why: str) -> UsageError:
    """Return the UsageError for a file that cannot be opened in a program."""
    return UsageError(path.name, f"it cannot be opened: {why}", "open it from the folder yourself")


# Most frames before and after the painted one in a motion preview, which must take only seconds
MAX_FRAMES_PER_SIDE = 16
FILM_SIDE_PX = 270  # Short side, in pixels, of a motion preview; its render time grows with the number of pixels
FILM_FPS = 25.0  # Frame rate of a motion preview, which is rendered from single pictures


def motion_range(frame: int, painted: Sequence[int], shots: Sequence[int], num_frames: int) -> tuple[int, int]:
    """Return the frames [first, stop) around a painted frame, up to the next painted ones and within its shot.

    ``painted``: numbers of painted frames. ``shots``: first frames of the shots.
    """
    first = max([0, *(start for start in shots if start <= frame), frame - MAX_FRAMES_PER_SIDE])
    stop = min([num_frames, *(start for start in shots if start > frame), frame + MAX_FRAMES_PER_SIDE + 1])
    before = [number for number in painted if first <= number < frame]
    after = [number for number in painted if frame < number < stop]
    return max([first, *before]), min([stop, *(number + 1 for number in after)])


@dataclass(frozen=True)
class MotionFilm:
    """The motion preview of frames [first, stop) of a clip. ``painted``: files of painted frames, by frame number.

    It is cached in ``folder`` under a name that changes with the clip and the painted frames.
    """

    folder: Path
    clip: Path
    painted: Mapping[int, Path]
    first: int
    stop: int

    @cached_property
    def _frames_folder(self) -> Path:
        """Return the folder of small copies of the frames for the preview."""
        state = self.clip.stat()
        mark = digest_of([str(self.clip), state.st_mtime_ns, state.st_size, self.first, self.stop])
        return self.folder / f"{mark[:24]}frames"

    @cached_property
    def path(self) -> Path:
        """Return the path of the preview video, which may not exist yet. Raises OSError."""
        states = [[number, path.stat().st_mtime_ns, path.stat().st_size] for number, path in self._painted_in_range()]
        return self.folder / f"{digest_of([self._frames_folder.name, states])[:24]}.mp4"

    def _painted_in_range(self) -> list[tuple[int, Path]]:
        """Return the numbers and files of the painted frames in [first, stop), in order."""
        return [(n, self.painted[n]) for n in sorted(self.painted) if self.first <= n < self.stop]

    def prepare(self, media: Media) -> list[str]:
        """Write small copies of the frames; return the words of the command that renders the preview.

        Raises MediaError, OSError.
        """
        self._frames_folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.first, self.stop):
            if not (file := self._frames_folder / f"{number:06d}.png").is_file():
                write_bytes(file, media.frame(self.clip, number, FILM_SIDE_PX, "png"))
        keys = self.path.with_suffix(".keys")
        keys.mkdir(exist_ok=True)
        for number, path in self._painted_in_range():
            shutil.copyfile(path, keys / f"{number:06d}.png")
        words = ["propagate", str(self._frames_folder), "--keyframes", str(keys), "--minutes", "0"]
        return [*words, "-o", str(self.path), "--overwrite"]


FACTS_TIMEOUT_S, POLL_S = 30.0, 0.1  # Longest wait, and interval of checks, for the facts about a clip, in s


class EaselHandlers:
    """The route handlers of the easel, the page for painting. ``is_open``: other machines can reach the server."""

    def __init__(self, session: StudioSession, *, is_open: bool) -> None:
        self.session, self.folder, self.is_open = session, session.folder, is_open
        self.store = session.easel

    @route("/easel/sheet")
    async def sheet(self, request: Request) -> Response:
        """Return the layers of a painted frame, and the changes that lead to them."""
        return JSONResponse(await asyncio.to_thread(self.store.table, text_in(request, "name")))

    @route("/easel/change")
    async def change(self, request: Request) -> Response:
        """Return one change of the history of a painted frame; null if it does not exist."""
        name, number = text_in(request, "name"), number_in(request, "number")
        return JSONResponse({"change": await asyncio.to_thread(self.store.change, name, number)})

    @route("/easel/picture")
    async def picture(self, request: Request) -> Response:
        """Return a PNG file of a layer, or of the region of a layer before or after a change."""
        return FileResponse(
            self.store.picture(text_in(request, "name"), text_in(request, "key")), media_type="image/png"
        )

    @route("/easel/stamp")
    async def stamp(self, request: Request) -> Response:
        """Return a text that changes with the file of a painted frame, so that a page notices changes."""
        return JSONResponse({"stamp": await asyncio.to_thread(self.store.stamp, text_in(request, "name"))})

    @route("/api/easel/picture", "PUT")
    async def receive(self, request: Request) -> Response:
        """Store a part of an uploaded picture; return its key once the picture is complete."""
        body = await body_of(request, MAX_MESSAGE)
        name, mark = text_in(request, "name"), text_in(request, "mark")
        offset, whole = number_in(request, "offset"), number_in(request, "whole")
        return JSONResponse(
            {"key": await self.session.run_in_thread(self.store.receive, name, mark, offset, whole, body)}
        )

    @route("/api/easel/change", "POST")
    async def add(self, request: Request) -> Response:
        """Store a change of a painted frame; return the number of the change."""
        message = await message_of(request)
        return JSONResponse({"number": await asyncio.to_thread(self.store.add, _name_in(message), message)})

    @route("/api/easel/move", "POST")
    async def move(self, request: Request) -> Response:
        """Make another change of the history the current one, for undo and redo."""
        message = await message_of(request)
        await asyncio.to_thread(self.store.move, _name_in(message), message)
        return JSONResponse({})

    @route("/api/easel/save", "POST")
    async def save(self, request: Request) -> Response:
        """Store the layers of a painted frame, and the flattened picture as the file that commands read."""
        message = await message_of(request)
        return JSONResponse({"stamp": await asyncio.to_thread(self.store.save, _name_in(message), message)})

    @route("/api/easel/motion", "POST")
    async def motion(self, request: Request) -> Response:
        """Render a motion preview, a video of the frames around a painted frame; return its key."""
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
            words = await self.session.run_in_thread(film.prepare, self.session.media)
            await self.session.run_command("film", words)
        return JSONResponse({"key": film.path.stem, "first": first, "stop": stop, "rate": facts["fps"] / FILM_FPS})

    def _painted(self, name: str) -> dict[int, Path]:
        """Return the painted frames in the folder of the frame ``name``, by frame number, as files."""
        folder = PurePosixPath(name).parent
        files = [f"{folder}/{file}" for file in self.folder.names(str(folder))]
        return {
            int(PurePosixPath(file).stem): self.store.target(file) for file in files if PAINTED_NAME.fullmatch(file)
        }

    async def _facts(self, clip: str) -> Table:
        """Wait until the facts about a clip include its frames and shots, and return them. Raises UsageError."""
        path = self.folder.existing(clip)
        for _ in range(round(FACTS_TIMEOUT_S / POLL_S)):
            facts = await self.session.run_in_thread(self.session.media.facts, path)
            if facts.get("frames"):
                return facts
            if facts["fault"]:
                raise UsageError(clip, str(facts["fault"]), "choose another clip")
            await asyncio.sleep(POLL_S)
        raise UsageError(clip, "it is still being read", "try again in a minute")

    @route("/easel/film")
    async def film(self, request: Request) -> Response:
        """Return the video of a motion preview by its key."""
        return FileResponse(self.session.preview_file(text_in(request, "key"), ".mp4"), media_type="video/mp4")

    @route("/easel/here")
    async def here(self, request: Request) -> Response:
        """Return whether the page is shown on this machine, so that programs can be started for it."""
        return JSONResponse({"here": self._is_here(request)})

    def _is_here(self, request: Request) -> bool:
        """Return whether a request comes from a page on this machine, and not through a proxy."""
        if any(name in request.headers for name in FORWARDING):
            return False
        return is_same_machine(request.client.host if request.client else None, is_open=self.is_open)

    def _check_here(self, request: Request) -> None:
        """Raise UsageError if a request does not come from a page on this machine."""
        if not self._is_here(request):
            why = "programs are started only for a page on the same machine, of a studio that no other machine reaches"
            raise UsageError("studio", why, "download the file")

    @route("/api/easel/open", "POST")
    async def open(self, request: Request) -> Response:
        """Open a painted frame in the default program of this machine."""
        message = await message_of(request)
        self._check_here(request)
        path = self.store.target(_name_in(message)).resolve()
        if not path.is_file():
            raise UsageError(path.name, "it is not saved yet", "save it first")
        if path.suffix != ".png":  # A link in the project may lead to a file that would be executed
            raise UsageError(path.name, "it is no PNG file", "paint the frame again")
        png_size(path)
        await asyncio.to_thread(open_in_program, path, self.folder.root)
        return JSONResponse({})

    @route("/api/reveal", "POST")
    async def reveal(self, request: Request) -> Response:
        """Show a file of the project in the file manager of this machine."""
        message = await message_of(request)
        self._check_here(request)
        path = self.folder.existing(_name_in(message))
        await asyncio.to_thread(show_in_file_manager, path, self.folder.root)
        return JSONResponse({})


def _name_in(message: Table) -> str:
    """Return the file name in a message of a page. Raises UsageError."""
    name = message.get("name")
    if not isinstance(name, str):
        raise UsageError("name", "it is missing", "give it")
    return name
