"""Everything that vidtrans raises on purpose.

    VidtransError                exit 1   a step failed
     ├─ UsageError               exit 2   the command or a setting is wrong
     ├─ MediaError               exit 3   a video, picture or dataset cannot be used
     ├─ ModelError               exit 3   a model file cannot be used
     ├─ DeviceError              exit 4   the device is missing or out of memory
     ├─ BatchError               exit 5   some items of a batch failed
     └─ Interrupted              exit 130 or 143   stopped by the user; what was done is saved

Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """Text of a stranger's, without what would steer the terminal that shows it."""
    return _CONTROLS.sub("�", text)


class VidtransError(Exception):
    """A failure that a person can act on: what happened, why, and what to do.

    ``str()`` is the one line that is shown: ``what: why — remedy``.
    """

    exit_status = 1

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(what, why, remedy)

    def __str__(self) -> str:
        line = f"{self.what}: {self.why}" if self.why else self.what
        line = f"{line} — {self.remedy}" if self.remedy else line
        return harmless(" ".join(line.split()))


class UsageError(VidtransError):
    exit_status = 2


class MediaError(VidtransError):
    exit_status = 3


class ModelError(VidtransError):
    exit_status = 3


class DeviceError(VidtransError):
    exit_status = 4


class BatchError(VidtransError):
    exit_status = 5


class Interrupted(VidtransError):
    """Ctrl-C (130) or TERM (143): work in hand was finished and saved first."""

    def __init__(self, exit_status: int = 130) -> None:
        self.exit_status = exit_status
        super().__init__("stopped", "what was done is saved", "run the same command again to go on")


_WRITABLE = "choose a folder that can be written"
_IN_THE_WAY = "a file stands where a folder should be, or the reverse: choose another place"
DISK = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "choose a disk that takes files of this size",
    errno.EIO: "see whether the disk is well and connected, and run the same command again",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _WRITABLE,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENAMETOOLONG: "use a shorter name",
}


def in_words(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit status of an error that a person can act on; None for a bug."""
    if isinstance(error, VidtransError):
        return str(error), error.exit_status
    if isinstance(error, MemoryError):
        return "out of memory — use a smaller --size", 4
    if isinstance(error, OSError) and error.errno in DISK:
        named = str(error.filename or "").removeprefix("file:")  # FFmpeg's names
        where = f"{named}: " if named else ""
        status = 2 if error.errno == errno.ENAMETOOLONG else 1
        return f"{where}{str(error.strerror).lower()} — {DISK[error.errno]}", status
    return None
