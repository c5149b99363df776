"""Connections of a live session to other programs: OSC in and out, senders of its pictures, and a receiver of others.

Each sender has its own thread, which sends the newest picture, so painting never waits for it. A receiver's thread
passes on the newest picture when the last one is painted.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import numpy as np

from vidtrans.core.errors import UsageError, describe_error
from vidtrans.core.settings import Table
from vidtrans.live.hub import Client, Hub
from vidtrans.live.osc.osc_addresses import address_tree
from vidtrans.live.osc.osc_bridge import OscBridge, OscListener, OscOut
from vidtrans.live.osc.osc_messages import OscInbox
from vidtrans.live.protocol import FrameMessage
from vidtrans.live.receivers import RECEIVERS, PictureReceiver
from vidtrans.live.senders import SENDERS, PictureSender
from vidtrans.live.stage_settings import StageSettings
from vidtrans.live.stage_worker import PaintedFrame
from vidtrans.video.images.picture import encode_jpeg

PROBE_SIZE_PX = (640, 360)  # Size, (width, height) in pixels, with which a sender is opened once to test it
REPEAT_S = 0.2  # Time, in s, after which the last picture is sent again, for programs that join late
RETRY_S = 5.0  # Time, in s, before a failed sender is opened again
CLOSE_S = 5.0  # Longest wait, in s, for a send thread to end, because its library may hang at exit
POLL_S = 0.005  # Interval, in s, at which a receiver is asked for a picture
ANSWER_S = 1.0  # Longest wait, in s, for the session to paint a received picture
RECEIVED_QUALITY = 95  # JPEG quality of received pictures on their way to the worker
PUMP_S = 0.1  # Interval, in s, at which the senders' event loops are run in the main thread


class LinkWarnings:
    """Warnings about a library: one when it begins to fail, and one when it works again.

    ``what``: the option that chose it. ``retry_s``: the time, in s, before it is tried again.
    """

    def __init__(self, what: str, warn: Callable[[str], None], retry_s: float) -> None:
        self._what, self._warn, self._retry_s = what, warn, retry_s
        self.has_failed = False

    def report_failure(self, error: Exception) -> None:
        """Warn about an error, unless the library has failed before."""
        if not self.has_failed:
            self._warn(f"{self._what}: {_error_text(error)}; trying again every {self._retry_s:.0f} s")
        self.has_failed = True

    def report_success(self) -> None:
        """Say that the library works again, if it has failed before."""
        if self.has_failed:
            self.has_failed = False
            self._warn(f"{self._what}: it works again")


class PictureSendThread:
    """A thread that passes the newest picture to a sender until it is closed; older unsent pictures are skipped.

    ``warn(text)``: called once when sending fails, and once when it works again. A failed sender is closed, and opened
    again every ``retry_s`` seconds.

    Attributes:
        num_sent: The number of pictures sent, repeated ones included.
    """

    def __init__(
        self, name: str, sender: PictureSender, warn: Callable[[str], None], *, retry_s: float = RETRY_S
    ) -> None:
        self._name, self._sender, self._warn, self._retry_s = name, sender, warn, retry_s
        self._changed = threading.Condition()
        self._picture: np.ndarray | None = None
        self._is_new = self._is_closed = False
        self._size: tuple[int, ...] | None = None  # Shape of the pictures for which the sender is open
        self._fails_until, self._warnings = 0.0, LinkWarnings(f"--send {name}", warn, retry_s)
        self.num_sent = 0
        self._thread = threading.Thread(target=self._run, name=f"send {name}", daemon=True)
        self._thread.start()

    def send(self, painted: PaintedFrame) -> None:
        """Queue a painted picture; it replaces an unsent one."""
        with self._changed:
            self._picture, self._is_new = painted.picture, True
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        """Send new pictures, and repeat the last one in pauses, until closed; runs in the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_new or self._is_closed, REPEAT_S)
                if self._is_closed:
                    break
                picture, self._is_new = self._picture, False
            if picture is not None and time.monotonic() >= self._fails_until:
                self._send(picture)
        self._close()

    def _send(self, picture: np.ndarray) -> None:
        """Send a picture; open the sender again if the size has changed, and report an error once."""
        try:
            if self._size != picture.shape:
                self._close()
                height, width = picture.shape[:2]
                self._sender.open(width, height)
                self._size = picture.shape
            self._sender.send(picture)
            self.num_sent += 1
        except Exception as error:  # A library may raise anything; the session continues
            self._close()
            self._fails_until = time.monotonic() + self._retry_s
            self._warnings.report_failure(error)
            return
        self._warnings.report_success()

    def _close(self) -> None:
        """Close the sender; an error is reported only if sending has not failed before."""
        if self._size is None:
            return
        self._size = None
        try:
            self._sender.close()
        except Exception as error:
            if not self._warnings.has_failed:
                self._warn(f"--send {self._name}: closing it failed: {_error_text(error)}")


class PictureReceiveThread:
    """A thread that passes the pictures of a receiver to the session, as a program that sends them would.

    The newest picture is submitted when the one before is painted. ``warn``, ``retry_s``: see ``PictureSendThread``.

    Attributes:
        num_received: The number of pictures passed to the session.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], PictureReceiver],
        hub: Hub,
        warn: Callable[[str], None],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._make, self._hub, self._retry_s = make, hub, retry_s
        self._warnings = LinkWarnings(f"--receive {name}", warn, retry_s)
        self._closing, self._is_ready = threading.Event(), threading.Event()
        self._client: Client | None = None
        self.receiver: PictureReceiver | None = None
        self.num_received = 0
        self._thread = threading.Thread(target=self._run, name=f"receive {name}", daemon=True)

    def start(self) -> None:
        """Start the thread; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._is_ready.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        """Receive pictures until closed; runs in the thread."""
        while not self._closing.is_set():
            try:
                self._receive()
            except Exception as error:  # A library may raise anything; the session continues
                self._close_receiver()
                self._warnings.report_failure(error)
                self._closing.wait(self._retry_s)
        self._close_receiver()

    def _receive(self) -> None:
        """Pass on the next picture, if there is one."""
        if self.receiver is None:
            self.receiver = self._make()
        if (picture := self.receiver.receive()) is None:
            self._closing.wait(POLL_S)
            return
        self._warnings.report_success()
        file = encode_jpeg(picture, RECEIVED_QUALITY)
        self._is_ready.clear()
        self._loop.call_soon_threadsafe(self._submit, file)
        self.num_received += 1
        self._is_ready.wait(ANSWER_S)  # Of a session that paints something else there is no answer

    def _submit(self, file: bytes) -> None:
        """Submit a picture file as a program's connection does; runs in the event loop."""
        if self._client is None:
            self._client = self._hub.join(is_program=True)
            self._answers = asyncio.create_task(self._wait_for_answers(self._client))
        self._hub.submit_frame(self._client, FrameMessage("picture", self.num_received, 0.0, file))

    async def _wait_for_answers(self, client: Client) -> None:
        """Let the thread receive again whenever the session has answered."""
        while not client.is_closed:
            await client.messages()
            self._is_ready.set()

    def _close_receiver(self) -> None:
        """Close the receiver, whatever its library says."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            with suppress(Exception):
                receiver.close()


def open_sender(name: str) -> PictureSender:
    """Return a sender that was opened and closed once as a test. Raises UsageError if it cannot be opened."""
    try:
        sender: PictureSender = SENDERS.load(name)()
        sender.open(*PROBE_SIZE_PX)
        sender.close()
    except Exception as error:
        raise UsageError(f"--send {name}", _error_text(error), SENDERS[name].remedy) from None
    return sender


def _error_text(error: Exception) -> str:
    """Return the text of an error as one line of at most 200 characters.

    Libraries for devices raise RuntimeError with a readable message, so that name is left out.
    """
    line, _ = describe_error(error) or (f"{type(error).__name__}: {error}", 1)
    return " ".join(line.removeprefix("RuntimeError: ").split())[:200].rstrip(". ")


def _receive_thread(hub: Hub, kind: str, source: str) -> PictureReceiveThread:
    """Return the thread that receives from a source, whose receiver was made once as a test. Raises UsageError."""
    name = f"{kind}:{source}" if source else kind
    try:
        receiver_class = RECEIVERS.load(kind)
        receiver_class(source).close()
    except Exception as error:
        raise UsageError(f"--receive {name}", _error_text(error), RECEIVERS[kind].remedy) from None
    return PictureReceiveThread(name, lambda: receiver_class(source), hub, lambda text: hub.announce(text, "warning"))


class StageConnections:
    """All connections of a session to other programs, open from construction on; the caller must close them.

    Raises UsageError where a port is not free, a host is unknown, or a sender cannot be opened.
    """

    def __init__(self, hub: Hub, settings: StageSettings) -> None:
        self._closing = ExitStack()
        self._bridge: OscBridge | None = None
        self._senders: list[PictureSender] = []
        self._receiving: PictureReceiveThread | None = None
        self.send_threads: list[PictureSendThread] = []
        with ExitStack() as opened:
            for name in settings.senders:
                sender = open_sender(name)
                sending = PictureSendThread(name, sender, lambda text: hub.announce(text, "warning"))
                opened.callback(sending.close)
                hub.watchers.append(sending.send)
                self._senders.append(sender)
                self.send_threads.append(sending)
            if settings.receiver:
                self._receiving = _receive_thread(hub, *settings.receiver)
                opened.callback(self._receiving.close)
            if settings.osc or settings.osc_out:
                self._bridge = bridge = OscBridge(hub, OscInbox(), str(settings.osc or ""))
                if settings.osc:
                    opened.callback(OscListener(settings.osc, hub, bridge).close)
                if settings.osc_out:
                    opened.callback(OscOut(settings.osc_out, hub, bridge).close)
            self._closing = opened.pop_all()

    @property
    def address_query(self) -> Callable[[], Table] | None:
        """Return a function that returns the OSC addresses as a tree (OSCQuery); None without OSC."""
        bridge = self._bridge
        return None if bridge is None else lambda: address_tree(bridge.addresses, bridge.values())

    async def pump(self) -> None:
        """Start to receive, and run the libraries' event loops in the main thread until the task is cancelled."""
        if self._receiving is not None:
            self._receiving.start()
        while self._senders or self._receiving:
            for sender in self._senders:
                sender.pump()
            if self._receiving is not None and self._receiving.receiver is not None:
                self._receiving.receiver.pump()
            await asyncio.sleep(PUMP_S)

    def close(self) -> None:
        """Close the OSC connections and the threads of the senders."""
        self._closing.close()
