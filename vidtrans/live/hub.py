"""The hub of a live session, in the event loop's thread: connections, current source, controls, recording, messages.

Each connection has an outbox: the newest picture, acknowledgements of dropped frames, and text messages.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.events import Note, Report
from vidtrans.core.settings import Table
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.dreaming.steering import MOVES
from vidtrans.live.dreamer import KeyLog
from vidtrans.live.live_controls import ControlState, SavedControls, describe_controls
from vidtrans.live.moving_controls import LiveSound
from vidtrans.live.picture_looks import PictureLooks
from vidtrans.live.protocol import DROPPED, PAINTED, QUALITY, REPEATED, FrameMessage, PictureMessage, pack_picture
from vidtrans.live.recorder import Recordings
from vidtrans.live.stage_worker import Answers, Painted, PaintJob, StageWorker
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.video.images.picture import encode_jpeg

MOST_WAITING = 256  # waiting messages of each kind for a connection that does not read; older messages are lost
POSTED_S = 3.0  # seconds after a posted frame for which more are expected
SOURCES = ("none", "drawing", "camera", "screen", "video", "dream", "program")
MOST_CLIENTS = 64


@dataclass
class Client:
    """One connection, of a page or a program. ``shows_input``: it also gets the network's input as a picture.

    Only the newest picture waits to be sent, so a connection that does not read delays nothing and uses little memory.
    """

    number: int
    is_program: bool = False
    shows_input: bool = False
    _picture: tuple[PictureMessage, float] | None = None
    _dropped: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    _texts: deque[Table] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    _state: Table | None = None
    _moving: Table | None = None  # where the controls are that curves move
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False

    def say(self, message: Table) -> None:
        """Queue a message. Of the messages of type ``state`` only the newest is sent."""
        if message["type"] == "state":
            self._state = message
        else:
            self._texts.append(message)
        self._woken.set()

    def show(self, picture: PictureMessage, received: float, moving: Mapping[str, float] | None = None) -> None:
        """Queue a picture in place of an unsent one; its frame was ``received`` at a time of ``time.perf_counter``.

        ``moving``: the values of the controls that curves move, by name, for a page.
        """
        if moving and not self.is_program:
            self._moving = {"type": "moving", "values": dict(moving)}
        if self._picture is not None and self._picture[0].sender == self.number:
            self.drop(self._picture[0].sequence, self._picture[0].timestamp)
        self._picture = picture, received
        self._woken.set()

    def drop(self, sequence: int, timestamp: float) -> None:
        """Queue the acknowledgement of a frame of this connection that was dropped."""
        self._dropped.append((sequence, timestamp))
        self._woken.set()

    def close(self) -> None:
        """End the connection, because its session ends; a page tries to connect again."""
        self.is_closed = True
        self._woken.set()

    async def messages(self) -> list[Table | bytes]:
        """Wait for queued messages, and return them in the order to send: tables as JSON texts, bytes as they are."""
        await self._woken.wait()
        self._woken.clear()
        found: list[Table | bytes] = list(self._texts)
        self._texts.clear()
        if self._state is not None:
            found.append(self._state)
            self._state = None
        if self._moving is not None:
            found.append(self._moving)
            self._moving = None
        found += [pack_picture(PictureMessage(DROPPED, n, t, self.number)) for n, t in self._dropped]
        self._dropped.clear()
        if self._picture is not None:
            picture, received = self._picture
            self._picture = None
            model_input = picture.model_input if self.shows_input else b""
            server_ms = 1e3 * (time.perf_counter() - received)
            found.append(pack_picture(replace(picture, server_ms=server_ms, model_input=model_input)))
        return found


class Clients(dict[int, Client]):
    """The connections of a session, by their numbers."""

    def say(self, message: Table) -> None:
        """Queue a message to all connections."""
        for client in self.values():
            client.say(message)

    def say_pages(self, message: Table) -> None:
        """Queue a message to the connections that are no programs."""
        for client in self.values():
            if not client.is_program:
                client.say(message)


class PostedFrames:
    """The posted frames that are being painted. ``ended``: called when no more are expected."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended, self._num_posted = ended, 0
        self._replies: dict[int, asyncio.Future[Painted]] = {}  # by the frame's sequence
        self._sequences = itertools.count(1)

    async def paint(self, message: FrameMessage, submit: Callable[[PaintJob], None]) -> Painted:
        """Submit a frame, independent of the frames before it, and wait for its picture. Raises VidtransError."""
        number = next(self._sequences)
        self._replies[number] = reply = asyncio.get_running_loop().create_future()
        try:
            submit(PaintJob(FrameMessage(message.kind, number, 0.0, message.file), 0, is_cut=True))
            return await reply
        finally:
            self._replies.pop(number, None)
            self._num_posted += 1
            asyncio.get_running_loop().call_later(POSTED_S, self._end, self._num_posted)

    def _end(self, num_posted: int) -> None:
        if self._num_posted == num_posted:  # none came since
            self._ended()

    def reply_to(self, job: PaintJob) -> asyncio.Future[Painted] | None:
        """Return the pending reply to a frame; None if no program waits for it."""
        reply = self._replies.get(job.message.sequence) if job.sender == 0 else None
        return None if reply is None or reply.done() else reply


class Hub(Answers):
    """Connections, controls and recording. The worker calls it from its own thread, all others from the loop's.

    One connection at a time, the ``holder``, sends the frames that are painted. A page becomes the holder when a person
    starts a source there; a program when it connects, or when it sends a frame while there is no source. Programs may
    post single frames over HTTP while there is no holder. The attributes are set before the first connection.
    """

    worker: StageWorker
    pictures: PictureLooks
    loop: asyncio.AbstractEventLoop | None = None
    output_size = 0  # pixels, where the controls give none

    def __init__(
        self,
        models: Mapping[str, LoadedModel],
        state: ControlState,
        saved: SavedControls,
        recordings: Path,
        report: Report,
    ) -> None:
        self.models, self.state, self.saved = models, state, saved
        self.recordings = Recordings(recordings, self._recording_failed)
        self.clients = Clients()
        self.watchers: list[Callable[[Painted], None]] = []  # of pictures, in the worker's thread
        self.source = "none"
        self.holder = 0
        self._report = report
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._posted, self._is_cut = PostedFrames(self._end_posts), True
        self.sound = LiveSound(self._tell)
        self._log_before: KeyLog | None = None  # of the last dream, when the recording began

    # Messages of connections

    def join(self, *, is_program: bool) -> Client:
        """Add a connection; a program becomes the holder. Raises UsageError if there are too many connections."""
        if len(self.clients) >= MOST_CLIENTS:
            raise UsageError("connection", f"there are {MOST_CLIENTS} already", "close some pages")
        client = Client(next(self._numbers), is_program)
        self.clients[client.number] = client
        told = {"type": "hello", "you": client.number, "output": self.output_size, "commands": MOVES}
        client.say(self.pictures.message() | told | {"controls": describe_controls()})
        if is_program:
            self._take_stage(client.number, "program")
        client.say(self._state())
        return client

    def leave(self, client: Client) -> None:
        """Remove a connection. A dream continues without the page that started it."""
        self.clients.pop(client.number, None)
        self.sound.leave(client.number)
        if self.holder == client.number and self.source == "dream":
            self.holder = 0
        elif self.holder == client.number:
            self._take_stage(0, "none")

    def frame(self, client: Client, message: FrameMessage) -> None:
        """Submit a frame of a connection for painting; a frame of a connection other than the holder is dropped."""
        if client.is_program and self.source == "none":
            self._take_stage(client.number, "program")
        if client.number != self.holder:
            client.drop(message.sequence, message.timestamp)
            return
        self._submit(PaintJob(message, client.number, self._is_cut))

    async def paint_for_program(self, message: FrameMessage) -> Painted:
        """Paint a frame that a program posted over HTTP, independently of earlier frames, and return the picture.

        Raises UsageError, MediaError, DeviceError.
        """
        if self.source not in ("none", "program") or self.holder:
            raise UsageError("frame", f"another source is active ({self.source})", "stop that source first")
        if self.source == "none":
            self._take_stage(0, "program")
        return await self._posted.paint(message, self._submit)

    def _end_posts(self) -> None:
        if (self.holder, self.source) == (0, "program"):
            self._take_stage(0, "none")

    def command(self, client: Client, message: Table) -> None:
        """Carry out a command message of a page; errors are sent to that page."""
        commands: Mapping[str, Callable[[Client, Table], None]] = {
            "controls": self._set_controls,
            "source": self._set_source,
            "input": lambda client, message: setattr(client, "shows_input", message.get("show") is True),
            "record": self._record,
            "preset": self._preset,
            "sound": lambda client, message: self.sound.carry_out(client.number, message),
            "remove": lambda _, message: self._remove(str(message.get("model"))),
        }
        try:
            kind = message.get("type")
            if not isinstance(kind, str) or kind not in commands:
                raise UsageError("message", "its type is unknown", f"use one of {', '.join(commands)}")
            commands[kind](client, message)
        except VidtransError as error:
            client.say({"type": "problem", "text": str(error)})
            client.say(self._state())
        except OSError as error:
            client.say({"type": "problem", "text": f"{error.filename or 'disk'}: {error.strerror}"})

    def _submit(self, job: PaintJob) -> None:
        self._is_cut = False
        self.worker.submit(job)

    def _set_controls(self, client: Client, message: Table) -> None:
        values = message.get("values")
        if not isinstance(values, dict):
            raise UsageError("controls", "the message has no values", 'send {"values": {name: value}}')
        self._change(self.state.updated(values, self.models))

    def _change(self, state: ControlState) -> None:
        if self.source == "dream" and not self._dreams(state):
            self._take_stage(0, "none")
        self.state = state
        self.worker.change(state)
        self._tell()

    def _set_source(self, client: Client, message: Table) -> None:
        kind = message.get("kind")
        if kind not in SOURCES:
            raise UsageError("source", "its kind is unknown", f"use one of {', '.join(SOURCES)}")
        if kind == "none" and client.number != self.holder and self.source != "dream":
            return  # another connection has become the holder already
        if kind == "dream" and not self._dreams(self.state):
            why = f"'{self.state.controls.model}' does not predict frames"
            raise UsageError("dream", why, "choose a model of --preset next-frame, roam or loop")
        self._take_stage(client.number if kind != "none" else 0, str(kind))

    def _dreams(self, state: ControlState) -> bool:
        return predicts_frames(self.models[state.controls.model])

    def _take_stage(self, number: int, kind: str) -> None:
        former = self.clients.get(self.holder)
        if former is not None and former.number != number and self.source not in ("none", "dream"):
            former.say({"type": "replaced", "by": kind})
        self.holder, self.source, self._is_cut = number, kind, True
        self.worker.dream(kind == "dream")
        self._tell()

    def _preset(self, client: Client, message: Table) -> None:
        if (state := self.saved.carry_out(message, self.state, self.models)) is not None:
            self._change(state)
        self._tell()

    async def add_picture(self, file: bytes, name: str) -> str:
        """Add the look of a picture file and change to it; return its model's name. Raises UsageError, MediaError."""
        name = await self.pictures.add(file, name)
        undo = partial(self._in_loop, self._remove, name, self.state)
        self.worker.adapt(self.pictures.opening(name, undo))
        self.clients.say(self.pictures.message())
        self._change(self.state.updated({"model": name, "second": ""}, self.models))
        return name

    def _remove(self, name: str, former: ControlState | None = None) -> None:
        """Remove the look of a picture; if it cannot be opened, the models of the ``former`` state paint again."""
        if former is None or name in self.pictures.thumbnails:  # a page may have removed it meanwhile
            model = self.pictures.remove(name)
            self._change(self.state.without(model, self.models, former))
            self.worker.adapt(self.pictures.closing(model))
            self.clients.say(self.pictures.message())

    def _record(self, client: Client, message: Table) -> None:
        if message.get("on") is True:
            self.recordings.begin(self.state.controls.model)
            self._log_before = self.worker.key_log
            self._tell()
        else:
            self._stop_recording_soon()

    async def stop_recording(self) -> None:
        """Finish the video that is being recorded, if there is one."""
        if not self.recordings.is_on:
            await asyncio.gather(*self._tasks - {asyncio.current_task()})  # a recording may be finishing
            return
        log, ending = self.worker.key_log, asyncio.ensure_future(self.recordings.end())
        await asyncio.sleep(0)
        self._tell()
        if recorder := await ending:
            self.announce(recorder.summary)
            self.clients.say({"type": "recorded", "file": recorder.path.name, "frames": recorder.num_frames})
            if log and log.is_longer_than(self._log_before):
                self.announce(await asyncio.to_thread(log.write, recorder.path))

    def _stop_recording_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self.stop_recording())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _recording_failed(self, problem: str) -> None:
        """Stop the recording after a failure and report it; called in the recorder's thread."""
        self._in_loop(self._stop_recording_soon)
        self._in_loop(self.clients.say, {"type": "problem", "text": f"recording stopped: {problem}"})

    # Calls of the worker, in its own thread

    def painted(self, painted: Painted) -> None:
        """Record a painted picture, and send it to all connections as JPEG."""
        self.recordings.write(painted.picture)
        for watch in self.watchers:
            watch(painted)
        wants_input = any(client.shows_input for client in list(self.clients.values()))
        model_input = encode_jpeg(painted.model_input, QUALITY) if wants_input else b""
        file = encode_jpeg(painted.picture, QUALITY) if self.clients else b""
        self._in_loop(self._show, painted, file, model_input)

    def dropped(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Send the acknowledgement of a dropped frame, with its ``problem``, to the sender."""
        self._in_loop(self._drop, job, problem)

    def failed(self, problem: str, detail: str = "", *, ends_dream: bool = False) -> None:
        """Report to all connections and the terminal that painting failed; ``detail`` goes to the terminal only."""
        self._in_loop(self.clients.say, {"type": "problem", "text": problem})
        if ends_dream:
            self._in_loop(self._end_dream)
        self.announce(detail or problem, "warning")

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, *arguments)

    def _show(self, painted: Painted, file: bytes, model_input: bytes) -> None:
        job = painted.job
        if job is not None and (reply := self._posted.reply_to(job)) is not None:
            reply.set_result(painted)
        kind, received = (PAINTED, job.received) if job else (REPEATED, time.perf_counter())
        sequence, timestamp, sender = (job.message.sequence, job.message.timestamp, job.sender) if job else (0, 0.0, 0)
        picture = PictureMessage(kind, sequence, timestamp, sender, painted.model_ms, 0.0, model_input, file)
        for client in self.clients.values():
            client.show(picture, received, painted.moving)

    def _drop(self, job: PaintJob, problem: VidtransError | None) -> None:
        if (reply := self._posted.reply_to(job)) is not None:
            reply.set_exception(problem or UsageError("frame", "a newer frame replaced it", "send one frame at a time"))
        if (client := self.clients.get(job.sender)) is not None:
            client.drop(job.message.sequence, job.message.timestamp)
            if problem is not None:
                client.say({"type": "problem", "text": str(problem)})

    def _end_dream(self) -> None:
        if self.source == "dream":
            self._take_stage(0, "none")

    # Messages to all

    def announce(self, text: str, level: str = "info") -> None:
        """Report a line of text in the terminal of the server."""
        self._report(Note(text, level))

    def _state(self) -> Table:
        return {
            "type": "state",
            "controls": self.state.numbers(),
            "curves": self.state.curve_texts(),
            "heard": self.sound.holder,
            "source": self.source,
            "holder": self.holder,
            "recording": self.recordings.is_on,
            "presets": self.saved.names,
        }

    def _tell(self) -> None:
        self.clients.say(self._state())
