"""A vote that is served in this process, and requests to it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from clips import write_folder
from processes import HANG_S

from vidtrans.core.events import Stop
from vidtrans.session import Context
from vidtrans.voting.ballot import Study
from vidtrans.voting.poll import Poll, make_app
from vidtrans.voting.result_page import summarise
from vidtrans.voting.stimuli import open_stimuli
from vidtrans.voting.vote_log import OpenLog, VoteLog
from vidtrans.web.server import Address, WebServer

TOKEN = "a-token-of-the-tests"


def make_study(*conditions: str, items: int = 24, is_real: bool = False, trials: int = 40, **own: Any) -> Study:
    """Return a study of conditions; in real or fake the last one is the real one."""
    names = conditions or ("a", "b")
    given: dict[str, Any] = {"repeats": 0.1, "seed": 0, "seconds": 1.0, "is_motion": False} | own
    numbered = tuple(f"{n:03}" for n in range(items))
    return Study(names, tuple(f"digest of {n}" for n in names), numbered, is_real, trials=trials, **given)


def flat_folders(folder: Path, levels: dict[str, int], items: int = 6) -> list[Path]:
    """Write a folder of grey pictures a condition; each picture has its number in its level."""
    size = (24, 32, 3)
    return [
        write_folder(folder / name, [np.full(size, level + n, np.uint8) for n in range(items)])
        for name, level in levels.items()
    ]


@dataclass
class ServedVote:
    """A vote that is served. ``study``: what is voted on."""

    server: WebServer
    study: Study
    log: VoteLog

    def link(self) -> str:
        """Return the address of the page."""
        return self.server.link()

    def ask(self, path: str, message: Any = None, *, token: str = TOKEN) -> tuple[int, Any]:
        """Return the status and the answer of a GET, or of a POST with a message (bytes as they are)."""
        data = message if isinstance(message, bytes) else None if message is None else json.dumps(message).encode()
        address = f"http://127.0.0.1:{self.server.port}{path}"
        request = urllib.request.Request(address, data, headers={"authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=HANG_S) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body

    def level(self, key: str, trial: int, side: str) -> int:
        """Return the mean level of the first frame of a side."""
        status, data = self.ask(f"/stimulus?key={key}&trial={trial}&side={side}")
        assert status == 200, data
        count, size = int.from_bytes(data[:4], "little"), int.from_bytes(data[8:12], "little")
        start = 8 + 4 * count
        return round(float(cv2.imdecode(np.frombuffer(data[start : start + size], np.uint8), 1).mean()))


@contextmanager
def serving_vote(
    paths: Sequence[Path], log: Path, *, token: str = TOKEN, port: int = 0, **own: Any
) -> Iterator[ServedVote]:
    """Serve a vote on paths from a thread of this process; ``own``: fields of the study."""
    seconds = own.get("seconds", 1.0)
    stimuli = open_stimuli(paths, 0.0 if own.pop("stills", False) else seconds, Context())
    names = [path.name for path in paths]
    study = make_study(*names, **{"trials": 10, "is_motion": stimuli.is_motion} | own)
    study = Study(**{**vars(study), "digests": stimuli.digests, "items": stimuli.items})
    opened = OpenLog(log, study)
    server, stop = WebServer(Address("127.0.0.1", port, token)), Stop()
    app = make_app(Poll(study, opened), stimuli, lambda: summarise(opened.log))
    thread = threading.Thread(target=server.run, args=(app, stop), daemon=True)
    thread.start()
    try:
        yield ServedVote(server, study, opened.log)
    finally:
        stop.request(130)
        thread.join(HANG_S)
        opened.close()
        assert not thread.is_alive()
