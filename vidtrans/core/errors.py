"""The exceptions of vidtrans, their exit statuses, and their descriptions.

    VidtransError                exit 1   a step failed
     ├─ UsageError               exit 2   the command or a setting is wrong
     │   └─ PluginError          exit 2   a plug-in cannot be used
     ├─ MediaError               exit 3   a video, picture or dataset cannot be used
     ├─ ModelError               exit 3   a model file cannot be used
     ├─ DeviceError              exit 4   the device is missing or out of memory
     ├─ BatchError               exit 5   some items of a batch failed
     └─ Interrupted              exit 130 or 143   stopped by the user; finished work is saved

Any other exception that reaches the user is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import re

from vidtrans.core.system import is_too_long

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Control characters (ASCII and C1), which could manipulate a terminal
# Maximum length of a library's error text in a message, in characters; the text may contain parts of an untrusted file
MAX_QUOTED_CHARS = 200
# Maximum length of each of the three parts (what, why, remedy) of an error message, in characters
_MAX_PART_CHARS = 1000


def shorten(text: str, max_chars: int = _MAX_PART_CHARS) -> str:
    """Shorten a text to about ``max_chars`` characters: replace its middle by an ellipsis."""
    return text if len(text) <= max_chars else f"{text[: max_chars // 2]} … {text[-max_chars // 2 :]}"


def first_line(error: BaseException) -> str:
    """Return the first non-empty line of an error's text, or else its type's name; at most ``MAX_QUOTED_CHARS``."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = (lines or [type(error).__name__])[0]
    return line if len(line) <= MAX_QUOTED_CHARS else f"{line[:MAX_QUOTED_CHARS]}…"


def strip_controls(text: str) -> str:
    """Replace the control characters of a text, which could manipulate a terminal, by U+FFFD."""
    return _CONTROLS.sub("�", text)


class VidtransError(Exception):
    """A failure that a user can fix: ``what`` happened, ``why``, and the ``remedy``.

    ``str()`` returns the displayed line: ``what: why — remedy``.
    """

    exit_status = 1

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(what, why, remedy)

    def __str__(self) -> str:
        what, why, remedy = (shorten(part) for part in (self.what, self.why, self.remedy))
        line = f"{what}: {why}" if why else what
        line = f"{line} — {remedy}" if remedy else line
        return strip_controls(" ".join(line.split()))


class UsageError(VidtransError):
    """A command, option or setting is wrong."""

    exit_status = 2


class PluginError(UsageError):
    """A plug-in of another package cannot be imported, or has the wrong type."""


class MediaError(VidtransError):
    """A video, picture or dataset cannot be used."""

    exit_status = 3


class ModelError(VidtransError):
    """A model file cannot be used."""

    exit_status = 3


class DeviceError(VidtransError):
    """The computing device (GPU or CPU) is missing, or its memory is full."""

    exit_status = 4


class BatchError(VidtransError):
    """Some items of a batch failed."""

    exit_status = 5


class Interrupted(VidtransError):
    """The command was stopped by Ctrl-C (130), SIGTERM (143) or a ``Stop``, after it had saved its finished work."""

    def __init__(self, exit_status: int = 130) -> None:
        self.exit_status = exit_status
        super().__init__("stopped", "finished work is saved", "run the same command again to continue")


_WRITABLE = "choose a folder that can be written"  # Remedy for a folder without write permission
# Remedy for a file in the place of a folder, or a folder in the place of a file
_IN_THE_WAY = "a file stands where a folder should be, or the reverse: choose another place"
# Remedies for disk errors, by the error's number (errno)
DISK_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "choose a disk that takes files of this size",
    errno.EIO: "check that the disk is connected and has no errors, and run the same command again",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _WRITABLE,
    errno.EBUSY: "close it there and run the same command again: finished work is kept",
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENAMETOOLONG: "use a shorter name",
}
# Remedy if temporary files cannot be written
TEMPORARY_REMEDY = "free some space, or set TMPDIR to a folder that can be written"

# Messages of libraries that ran out of memory: "CUDA out of memory", "std::bad_alloc".
# NVIDIA's libraries have status names, such as CUBLAS_STATUS_ALLOC_FAILED, which torch passes on.
# CUDNN_STATUS_NOT_INITIALIZED, and its equivalent in cuBLAS, are left out, because they have other causes, too.
# If their cause is an incompatible driver or cuDNN, retries with less memory would end in wrong advice.
# "Unable to find an engine" may also come from an old driver, but torch has no other message if cuDNN lacks memory.
_OUT_OF_MEMORY = re.compile(
    "|".join(
        (
            r"\b(CUDA|HIP|XPU) out of memory",
            r"\b(CUDA|HIP)( driver)? error: out of memory",
            r"\bCuda failure( \d+)? 'out of memory'",  # NCCL
            r"\b[A-Z]+_STATUS_ALLOC_FAILED\b",  # cuBLAS, and cuDNN before 9
            r"\bCUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED\b",
            r"\b(GET|FIND) was unable to find an engine to execute this computation",  # cuDNN 8, 9
            r"\bUnable to find a valid cuDNN algorithm to run convolution",  # cuDNN 7, and ONNX Runtime
            r"\bMPS backend out of memory",
            r"\bFailed to allocate private MTLBuffer for size \d+",  # Metal
            r"^Invalid buffer size: [\d.]+ [KMGT]i?B",  # MPS: more than it takes in one piece
            r"DefaultCPUAllocator: (can't allocate|not enough) memory",
            r"\bunable to mmap \d+ bytes from file <[^\n]*>: Cannot allocate memory",
            r"\bstd::bad_alloc\b|\bbad allocation\b",
            r"\bFailed to allocate memory for requested buffer",  # ONNX Runtime
            r"\bFailed to allocate \d+ bytes of memory",  # OpenVINO
        )
    )
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch or another library means that device or host memory ran out.

    Errors of vidtrans do not count, whatever their text: their retries have already failed.
    """
    if isinstance(error, VidtransError):
        return False
    if isinstance(error, MemoryError) or any(c.__name__ == "OutOfMemoryError" for c in type(error).__mro__):
        return True  # The name identifies torch's class without an import of torch.
    return _OUT_OF_MEMORY.search(str(error)) is not None


def describe_error(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit status of an error that a user can fix; None for a bug."""
    if isinstance(error, VidtransError):
        return str(error), error.exit_status
    if is_out_of_memory(error):
        return "out of memory — use smaller pictures, or close other programs", 4
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):  # raised by tempfile
        return f"temporary files: no folder takes them — {TEMPORARY_REMEDY}", 1
    if isinstance(error, FileNotFoundError) and is_too_long(str(error.filename or "")):
        return f"{error.filename}: the path is too long for Windows — use a shorter one, or switch on long paths", 2
    if isinstance(error, OSError) and error.errno in DISK_REMEDIES:
        name = str(error.filename or "").removeprefix("file:")  # FFmpeg adds this prefix.
        where = f"{name}: " if name else ""
        status = 2 if error.errno == errno.ENAMETOOLONG else 1
        return f"{where}{str(error.strerror).lower()} — {DISK_REMEDIES[error.errno]}", status
    return None
