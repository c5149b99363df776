"""The hub of a live session: it connects pages and other programs with the worker that paints.

It runs in the event loop's thread, and has the connections, the active source, the controls and the recording. Each
connection has an outbox: the newest picture, acknowledgements of dropped frames, and text messages. Recordings are
videos of the painted pictures with a variable frame rate.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError, UsageError, VidtransError, describe_error
from vidtrans.core.events import Note, Report
from vidtrans.core.files import write_atomically
from vidtrans.core.settings import Table
from vidtrans.dreaming.predictors import predicts_frames
from vidtrans.dreaming.steering import MOVES
from vidtrans.live.dreamer import KeyLog
from vidtrans.live.live_controls import ControlState, SavedControls, describe_controls
from vidtrans.live.moving_controls import LiveSound
from vidtrans.live.picture_looks import PictureLooks
from vidtrans.live.protocol import (
    DROPPED_FRAME,
    JPEG_QUALITY,
    NEW_PICTURE,
    REPEATED_PICTURE,
    FrameMessage,
    PictureMessage,
    pack_picture,
)
from vidtrans.live.stage_worker import PaintedFrame, PaintJob, StageWorker, WorkerListener
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.video.images.picture import encode_jpeg
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

# Most unsent texts, and most unsent drop messages, of a connection that does not read; the oldest are lost
MAX_QUEUED_MESSAGES = 256
POST_GAP_S = 3.0  # Time without a frame posted over HTTP, in s, after which the source "program" ends
# Kinds of sources; "none": no source is active, "program": another program sends frames
SOURCES = ("none", "drawing", "camera", "screen", "video", "dream", "program")
MAX_CLIENTS = 64  # Largest number of connections of a session
RECORDING_TIME_BASE = Fraction(1, 1000)  # Unit, in s, of the timestamps of recorded pictures
# Encoding of recordings: a fast H.264 preset, because pictures are encoded while others are painted
RECORDING_ENCODING = EncodingSettings(codec="h264", preset="veryfast")
MAX_QUEUED_PICTURES = 8  # Most pictures that wait for the encoder of a recording; further pictures are lost


class Recorder:
    """A video file at ``path``, to which pictures are written until it is closed.

    The video has the size of the first picture, rounded up to even sides; other pictures are scaled to it. Until it is
    closed, the video is a playable ``.nut`` file in the folder of ``path``, which stays there if the video cannot be
    finished. ``on_failure(problem)`` is called in the recorder's thread.
    """

    def __init__(
        self, path: Path, on_failure: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self._clock, self._on_failure = path, clock, on_failure
        self._pictures: queue.Queue[tuple[np.ndarray, float] | None] = queue.Queue(MAX_QUEUED_PICTURES)
        self._stamps = array("q")
        self._segment = path.with_suffix(".nut")
        self.num_lost, self._has_failed = 0, False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def num_frames(self) -> int:
        """Return the number of pictures in the video."""
        return len(self._stamps)

    @property
    def summary(self) -> str:
        """Return a message for the user: path, number of pictures, and number of pictures lost."""
        lost = f"; the encoder was too slow, and lost {self.num_lost}" if self.num_lost else ""
        return f"recorded {self.path}, pictures: {self.num_frames}{lost}"

    def write(self, picture: np.ndarray) -> None:
        """Queue a picture, (H, W, 3) uint8, with the current time; count it as lost if the queue is full."""
        try:
            self._pictures.put_nowait((picture, self._clock()))
        except queue.Full:
            self.num_lost += 1

    def close(self) -> Path | None:
        """Finish the video and return its path; None if there were no pictures or it cannot be written."""
        ended = self._clock()
        self._pictures.put(None)
        self._thread.join()
        try:
            if self._has_failed or not self._stamps:
                return None
            last = max(self._stamps[-1] + 1, round(1000 * (ended - self._began)))
            durations = np.diff([*self._stamps, last]).tolist()
            with write_atomically(self.path) as partial:
                join([self._segment], Timing(self._stamps, durations, RECORDING_TIME_BASE), partial, kind="mp4")
        except (OSError, MediaError) as error:
            self._fail(error)
            return None
        self._segment.unlink(missing_ok=True)
        return self.path

    def _run(self) -> None:
        """Encode queued pictures to the ``.nut`` file until the recorder is closed; runs in the recorder's thread."""
        writer: SegmentWriter | None = None
        while (item := self._pictures.get()) is not None:
            if self._has_failed:
                continue  # Empty the queue, so that ``close`` does not block
            try:
                picture, now = item
                if writer is None:
                    self._began = now
                    height, width = picture.shape[:2]
                    sides = width + width % 2, height + height % 2
                    form = PictureFormat(*sides, Fraction(1), RECORDING_TIME_BASE, Fraction(30))
                    writer = SegmentWriter(self._segment, form, RECORDING_ENCODING)
                stamp = max(round(1000 * (now - self._began)), self._stamps[-1] + 1 if self._stamps else 0)
                writer.write(picture, stamp)
                self._stamps.append(stamp)
            except Exception as error:
                self._fail(error)
        try:
            if writer is not None:
                writer.abandon() if self._has_failed else writer.close()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Stop encoding after an error, and pass its text to ``on_failure``."""
        self._has_failed = True
        line, _ = describe_error(error) or (f"{type(error).__name__}: {error}", 1)
        partial = f"; the part recorded so far is in {self._segment}" if self._segment.is_file() else ""
        self._on_failure(line + partial)


class Recordings:
    """The video recordings of a live session, one after another, in a folder."""

    def __init__(self, folder: Path, on_failure: Callable[[str], None]) -> None:
        self._folder, self._on_failure = folder, on_failure
        self._recorder: Recorder | None = None
        self._used_paths: set[Path] = set()  # Paths of recordings, whose files may not exist yet
        self.last: Path | None = None

    @property
    def is_recording(self) -> bool:
        """Return whether a recording is running."""
        return self._recorder is not None

    def begin(self, model: str) -> None:
        """Start a video named after the model and the time, unless a recording is running. Raises OSError."""
        if self._recorder is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._new_path(model)
            self._used_paths.add(path)
            self._recorder = Recorder(path, self._on_failure)

    def write(self, picture: np.ndarray) -> None:
        """Add a picture, (H, W, 3) uint8, with the current time, if a recording is running."""
        if (recorder := self._recorder) is not None:
            recorder.write(picture)

    async def end(self) -> Recorder | None:
        """Finish the video in another thread; return its recorder, or None if no video was written."""
        recorder, self._recorder = self._recorder, None
        if recorder is None or await asyncio.to_thread(recorder.close) is None:
            return None
        self.last = recorder.path
        return recorder

    def _new_path(self, model: str) -> Path:
        """Return a path for a new video, named after the model and the time, that no other file uses."""
        stem = f"{model}.live-{datetime.now():%Y-%m-%d-%H.%M.%S}"
        names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
        paths = (self._folder / f"{name}.mp4" for name in names)
        return next(path for path in paths if path not in self._used_paths and not path.exists())


@dataclass
class Client:
    """A connection of a page or a program. ``shows_input``: it also receives views of the network's input.

    Only the newest picture waits to be sent, so a connection that does not read delays nothing and uses little memory.
    """

    number: int
    is_program: bool = False
    shows_input: bool = False
    _picture: tuple[PictureMessage, float] | None = None
    _drops: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED_MESSAGES))
    _texts: deque[Table] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED_MESSAGES))
    _state: Table | None = None
    _moving: Table | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False

    def send(self, message: Table) -> None:
        """Queue a text message. Of the messages of type ``state`` only the newest is sent."""
        if message["type"] == "state":
            self._state = message
        else:
            self._texts.append(message)
        self._wake.set()

    def send_picture(self, picture: PictureMessage, received: float, moving: Mapping[str, float] | None = None) -> None:
        """Queue a painted picture; it replaces a picture that was not sent yet.

        ``received``: when its frame arrived, from ``time.perf_counter``. ``moving``: the values of the controls that
        curves drive, by name, for a page.
        """
        if moving and not self.is_program:
            self._moving = {"type": "moving", "values": dict(moving)}
        if self._picture is not None and self._picture[0].sender == self.number:
            self.send_drop(self._picture[0].sequence, self._picture[0].timestamp)
        self._picture = picture, received
        self._wake.set()

    def send_drop(self, sequence: int, timestamp: float) -> None:
        """Queue the message that a frame from this connection was dropped, so that its sender continues.

        ``sequence``, ``timestamp``: those of the frame's message.
        """
        self._drops.append((sequence, timestamp))
        self._wake.set()

    def close(self) -> None:
        """End the connection because the session ends; a page then tries to connect again."""
        self.is_closed = True
        self._wake.set()

    async def messages(self) -> list[Table | bytes]:
        """Wait for queued messages; return them in sending order, JSON messages as tables and pictures as bytes."""
        await self._wake.wait()
        self._wake.clear()
        messages: list[Table | bytes] = list(self._texts)
        self._texts.clear()
        if self._state is not None:
            messages.append(self._state)
            self._state = None
        if self._moving is not None:
            messages.append(self._moving)
            self._moving = None
        messages += [pack_picture(PictureMessage(DROPPED_FRAME, n, t, self.number)) for n, t in self._drops]
        self._drops.clear()
        if self._picture is not None:
            picture, received = self._picture
            self._picture = None
            model_input = picture.model_input if self.shows_input else b""
            server_ms = 1e3 * (time.perf_counter() - received)
            messages.append(pack_picture(replace(picture, server_ms=server_ms, model_input=model_input)))
        return messages


class Clients(dict[int, Client]):
    """The connections of a session, by their numbers."""

    def send(self, message: Table) -> None:
        """Queue a message to all connections."""
        for client in self.values():
            client.send(message)

    def send_to_pages(self, message: Table) -> None:
        """Queue a message to all pages, not to other programs."""
        for client in self.values():
            if not client.is_program:
                client.send(message)


class PostedFrames:
    """Single frames that programs post over HTTP. ``on_end``: called ``POST_GAP_S`` after the last posted frame."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end, self._num_posted = on_end, 0
        self._replies: dict[int, asyncio.Future[PaintedFrame]] = {}  # By the frame's sequence number
        self._sequences = itertools.count(1)

    async def paint(self, message: FrameMessage, submit: Callable[[PaintJob], None]) -> PaintedFrame:
        """Submit a frame as the start of a new shot (a cut), so that earlier frames have no effect; return its picture.

        Raises VidtransError.
        """
        number = next(self._sequences)
        self._replies[number] = reply = asyncio.get_running_loop().create_future()
        try:
            submit(PaintJob(FrameMessage(message.kind, number, 0.0, message.file), 0, is_cut=True))
            return await reply
        finally:
            self._replies.pop(number, None)
            self._num_posted += 1
            asyncio.get_running_loop().call_later(POST_GAP_S, self._end_if_idle, self._num_posted)

    def _end_if_idle(self, num_posted: int) -> None:
        """Call ``on_end`` unless more than ``num_posted`` frames have been posted meanwhile."""
        if self._num_posted == num_posted:  # No frame was posted meanwhile
            self._on_end()

    def reply_to(self, job: PaintJob) -> asyncio.Future[PaintedFrame] | None:
        """Return the pending reply to the frame of a job; None if no program waits for it."""
        reply = self._replies.get(job.message.sequence) if job.sender == 0 else None
        return None if reply is None or reply.done() else reply


class Hub(WorkerListener):
    """Connections, controls and recording of a live session, and the listener of its worker.

    The worker calls the listener's methods in its own thread; the other methods are called in the event loop's thread.
    One connection at a time, the ``holder``, sends the frames that are painted. A page becomes the holder when a person
    starts a source there; a program when it connects, or when it sends a frame while there is no source. Programs may
    post single frames over HTTP while there is no holder. The attributes are set before the first connection.
    """

    worker: StageWorker
    pictures: PictureLooks
    loop: asyncio.AbstractEventLoop | None = None
    output_size = 0  # Default short side of delivered pictures, in pixels

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
        self.watchers: list[Callable[[PaintedFrame], None]] = []  # Called with each picture, in the worker's thread
        self.source = "none"
        self.holder = 0
        self._report = report
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._posted, self._is_cut = PostedFrames(self._end_posts), True
        self.sound = LiveSound(self._send_state)
        self._log_at_start: KeyLog | None = None  # Log of the dream when the recording started

    # Methods that handle the messages of connections, in the event loop's thread

    def join(self, *, is_program: bool) -> Client:
        """Add a connection of a page or a program (``is_program``), and return it; a program becomes the active source.

        Raises UsageError if there are too many.
        """
        if len(self.clients) >= MAX_CLIENTS:
            raise UsageError("connection", f"there are {MAX_CLIENTS} already", "close some pages")
        client = Client(next(self._numbers), is_program)
        self.clients[client.number] = client
        greeting = {"type": "hello", "you": client.number, "output": self.output_size, "commands": MOVES}
        client.send(self.pictures.message() | greeting | {"controls": describe_controls()})
        if is_program:
            self._set_active_source(client.number, "program")
        client.send(self._state_message())
        return client

    def leave(self, client: Client) -> None:
        """Remove a connection. A dream continues without the page that started it."""
        self.clients.pop(client.number, None)
        self.sound.leave(client.number)
        if self.holder == client.number and self.source == "dream":
            self.holder = 0
        elif self.holder == client.number:
            self._set_active_source(0, "none")

    def submit_frame(self, client: Client, message: FrameMessage) -> None:
        """Submit a frame of a connection for painting; it is dropped if the connection is not the active source."""
        if client.is_program and self.source == "none":
            self._set_active_source(client.number, "program")
        if client.number != self.holder:
            client.send_drop(message.sequence, message.timestamp)
            return
        self._submit(PaintJob(message, client.number, self._is_cut))

    async def paint_for_program(self, message: FrameMessage) -> PaintedFrame:
        """Paint a frame that a program posted over HTTP, independently of earlier frames, and return the picture.

        Raises UsageError, MediaError, DeviceError.
        """
        if self.source not in ("none", "program") or self.holder:
            raise UsageError("frame", f"another source is active ({self.source})", "stop that source first")
        if self.source == "none":
            self._set_active_source(0, "program")
        return await self._posted.paint(message, self._submit)

    def _end_posts(self) -> None:
        """End the source "program" if it consists of frames posted over HTTP, without a connection."""
        if (self.holder, self.source) == (0, "program"):
            self._set_active_source(0, "none")

    def handle_command(self, client: Client, message: Table) -> None:
        """Execute a command message of a page; errors are sent to that page."""
        commands: Mapping[str, Callable[[Client, Table], None]] = {
            "controls": self._set_controls,
            "source": self._set_source,
            "input": lambda client, message: setattr(client, "shows_input", message.get("show") is True),
            "record": self._handle_recording,
            "preset": self._handle_preset,
            "sound": lambda client, message: self.sound.handle_message(client.number, message),
            "remove": lambda _, message: self._remove(str(message.get("model"))),
        }
        try:
            kind = message.get("type")
            if not isinstance(kind, str) or kind not in commands:
                raise UsageError("message", "its type is unknown", f"use one of {', '.join(commands)}")
            commands[kind](client, message)
        except VidtransError as error:
            client.send({"type": "problem", "text": str(error)})
            client.send(self._state_message())
        except OSError as error:
            client.send({"type": "problem", "text": f"{error.filename or 'disk'}: {error.strerror}"})

    def _submit(self, job: PaintJob) -> None:
        """Pass a frame to the worker; the next frames continue its shot."""
        self._is_cut = False
        self.worker.submit(job)

    def _set_controls(self, client: Client, message: Table) -> None:
        """Change the controls as a page's message requests. Raises UsageError."""
        values = message.get("values")
        if not isinstance(values, dict):
            raise UsageError("controls", "the message has no values", 'send {"values": {name: value}}')
        self._apply_state(self.state.with_values(values, self.models))

    def _apply_state(self, state: ControlState) -> None:
        """Use the values of ``state`` from now on, end a dream that its model cannot continue, and inform all pages."""
        if self.source == "dream" and not self._can_dream(state):
            self._set_active_source(0, "none")
        self.state = state
        self.worker.set_controls(state)
        self._send_state()

    def _set_source(self, client: Client, message: Table) -> None:
        """Start or stop a source on the request of a page. Raises UsageError."""
        kind = message.get("kind")
        if kind not in SOURCES:
            raise UsageError("source", "its kind is unknown", f"use one of {', '.join(SOURCES)}")
        if kind == "none" and client.number != self.holder and self.source != "dream":
            return  # Another connection has become the holder already
        if kind == "dream" and not self._can_dream(self.state):
            why = f"'{self.state.controls.model}' does not predict frames"
            raise UsageError("dream", why, "choose a model of --preset next-frame, roam or loop")
        self._set_active_source(client.number if kind != "none" else 0, str(kind))

    def _can_dream(self, state: ControlState) -> bool:
        """Return whether the model that ``state`` selects predicts frames, which a dream needs."""
        return predicts_frames(self.models[state.controls.model])

    def _set_active_source(self, number: int, kind: str) -> None:
        """Make connection ``number`` (0: none) the active source, of a ``kind`` in SOURCES; inform the former one."""
        former = self.clients.get(self.holder)
        if former is not None and former.number != number and self.source not in ("none", "dream"):
            former.send({"type": "replaced", "by": kind})
        self.holder, self.source, self._is_cut = number, kind, True
        self.worker.set_dreaming(kind == "dream")
        self._send_state()

    def _handle_preset(self, client: Client, message: Table) -> None:
        """Save, delete or load a preset on the request of a page. Raises UsageError, OSError."""
        if (state := self.saved.handle_message(message, self.state, self.models)) is not None:
            self._apply_state(state)
        self._send_state()

    async def add_picture(self, file: bytes, name: str) -> str:
        """Add a model predicted from a style picture and select it; return its name. Raises UsageError, MediaError."""
        name = await self.pictures.add(file, name)
        undo = partial(self._call_in_loop, self._remove, name, self.state)
        self.worker.change_stage(self.pictures.opening_change(name, undo))
        self.clients.send(self.pictures.message())
        self._apply_state(self.state.with_values({"model": name, "second": ""}, self.models))
        return name

    def _remove(self, name: str, former: ControlState | None = None) -> None:
        """Remove the model that was predicted from a picture, and select another one. Raises UsageError.

        ``former``: the state to return to, if the model could not be opened.
        """
        if former is None or name in self.pictures.thumbnails:  # A page may have removed it meanwhile
            model = self.pictures.remove(name)
            self._apply_state(self.state.without_model(model, self.models, former))
            self.worker.change_stage(self.pictures.closing_change(model))
            self.clients.send(self.pictures.message())

    def _handle_recording(self, client: Client, message: Table) -> None:
        """Start or stop the recording on the request of a page. Raises OSError."""
        if message.get("on") is True:
            self.recordings.begin(self.state.controls.model)
            self._log_at_start = self.worker.key_log
            self._send_state()
        else:
            self._schedule_stop_recording()

    async def stop_recording(self) -> None:
        """Finish the running recording, report its file, and write the log of the dream that it shows."""
        if not self.recordings.is_recording:
            await asyncio.gather(*self._tasks - {asyncio.current_task()})  # A recording may be finishing
            return
        log, ending = self.worker.key_log, asyncio.ensure_future(self.recordings.end())
        await asyncio.sleep(0)
        self._send_state()
        if recorder := await ending:
            self.announce(recorder.summary)
            self.clients.send({"type": "recorded", "file": recorder.path.name, "frames": recorder.num_frames})
            if log and log.has_new_frames(self._log_at_start):
                self.announce(await asyncio.to_thread(log.write, recorder.path))

    def _schedule_stop_recording(self) -> None:
        """Start ``stop_recording`` as a task of the event loop."""
        task = asyncio.get_running_loop().create_task(self.stop_recording())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _recording_failed(self, problem: str) -> None:
        """Stop the recording after a failure and report the problem; called in the recorder's thread."""
        self._call_in_loop(self._schedule_stop_recording)
        self._call_in_loop(self.clients.send, {"type": "problem", "text": f"recording stopped: {problem}"})

    # Listener methods, which the worker calls in its own thread

    def on_painted(self, painted: PaintedFrame) -> None:
        """Record a painted picture, and send it to all connections as JPEG."""
        self.recordings.write(painted.picture)
        for watch in self.watchers:
            watch(painted)
        wants_input = any(client.shows_input for client in list(self.clients.values()))
        model_input = encode_jpeg(painted.model_input, JPEG_QUALITY) if wants_input else b""
        file = encode_jpeg(painted.picture, JPEG_QUALITY) if self.clients else b""
        self._call_in_loop(self._broadcast_picture, painted, file, model_input)

    def on_dropped(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Inform the sender of a frame that it was dropped, and of the ``problem`` if there is one."""
        self._call_in_loop(self._acknowledge_drop, job, problem)

    def on_failed(self, problem: str, detail: str = "", *, ends_dream: bool = False) -> None:
        """Report a failure to all connections and in the terminal, there as ``detail`` if that is given.

        ``ends_dream``: also end the dream, if one runs.
        """
        self._call_in_loop(self.clients.send, {"type": "problem", "text": problem})
        if ends_dream:
            self._call_in_loop(self._end_dream)
        self.announce(detail or problem, "warning")

    def _call_in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function in the event loop's thread; do nothing if the loop is not running."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, *arguments)

    def _broadcast_picture(self, painted: PaintedFrame, file: bytes, model_input: bytes) -> None:
        """Send a painted picture to all connections, and to the program that posted its frame; both files are JPEG."""
        job = painted.job
        if job is not None and (reply := self._posted.reply_to(job)) is not None:
            reply.set_result(painted)
        kind, received = (NEW_PICTURE, job.received) if job else (REPEATED_PICTURE, time.perf_counter())
        sequence, timestamp, sender = (job.message.sequence, job.message.timestamp, job.sender) if job else (0, 0.0, 0)
        picture = PictureMessage(kind, sequence, timestamp, sender, painted.model_ms, 0.0, model_input, file)
        for client in self.clients.values():
            client.send_picture(picture, received, painted.moving)

    def _acknowledge_drop(self, job: PaintJob, problem: VidtransError | None) -> None:
        """Inform the sender of a frame, or the program that posted it, that the frame was dropped."""
        if (reply := self._posted.reply_to(job)) is not None:
            reply.set_exception(problem or UsageError("frame", "a newer frame replaced it", "send one frame at a time"))
        if (client := self.clients.get(job.sender)) is not None:
            client.send_drop(job.message.sequence, job.message.timestamp)
            if problem is not None:
                client.send({"type": "problem", "text": str(problem)})

    def _end_dream(self) -> None:
        """Stop the source if it is a dream."""
        if self.source == "dream":
            self._set_active_source(0, "none")

    def announce(self, text: str, level: str = "info") -> None:
        """Print a line of text in the server's terminal; ``level``: info or warning."""
        self._report(Note(text, level))

    def _state_message(self) -> Table:
        """Return the message with the state of the session: controls, curves, active source, recording, presets."""
        return {
            "type": "state",
            "controls": self.state.numbers(),
            "curves": self.state.curve_texts(),
            "heard": self.sound.holder,
            "source": self.source,
            "holder": self.holder,
            "recording": self.recordings.is_recording,
            "presets": self.saved.names,
        }

    def _send_state(self) -> None:
        """Send the state of the session to all connections."""
        self.clients.send(self._state_message())
