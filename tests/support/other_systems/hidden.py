"""Hide from vidtrans and the tests the names that a system lacks, and answer them what only it has."""

from __future__ import annotations

import builtins
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from other_systems.callers import is_ours

_NOT_ON_WINDOWS = {
    os: """
        fork forkpty killpg setsid setpgid setpgrp getpgid getpgrp getsid getuid geteuid getgid getegid getgroups setuid
        setgid chown lchown fchown uname nice getpriority setpriority pathconf fpathconf pathconf_names statvfs fstatvfs
        mkfifo mknod sync wait wait3 wait4 waitid WIFSIGNALED WTERMSIG WNOHANG ctermid getloadavg chroot fchdir fchmod
        pread pwrite preadv pwritev sendfile posix_spawn sched_yield O_NONBLOCK O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_SYNC
        O_DSYNC O_NOCTTY""",
    signal: """
        SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGQUIT SIGPIPE SIGTTIN SIGTTOU SIGURG
        SIGWINCH SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGBUS SIGSYS SIGIO alarm pause setitimer getitimer pthread_kill
        pthread_sigmask sigpending sigwait sigwaitinfo sigtimedwait siginterrupt""",
}
_LINUX_ALONE = """
    sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_setparam memfd_create
    O_PATH O_TMPFILE O_DIRECT O_NOATIME posix_fadvise posix_fallocate fdatasync copy_file_range getrandom pidfd_open
    eventfd splice"""
_MISSING: dict[str, dict[ModuleType, list[str]]] = {
    "windows": {m: (n + _LINUX_ALONE * (m is os)).split() for m, n in _NOT_ON_WINDOWS.items()},
    "macos": {os: _LINUX_ALONE.split()},
}
_OWN: dict[str, dict[ModuleType, dict[str, Any]]] = {
    "windows": {
        os: {"name": "nt", "O_BINARY": 0x8000},
        sys: {"platform": "win32"},
        signal: {"CTRL_C_EVENT": 0, "CTRL_BREAK_EVENT": 1, "SIGBREAK": 21},
        socket: {"SO_EXCLUSIVEADDRUSE": socket.SO_REUSEADDR},  # with which Linux opens no port twice
        subprocess: {"CREATE_NEW_PROCESS_GROUP": 0x200, "CREATE_NO_WINDOW": 0x08000000},
    },
    "macos": {sys: {"platform": "darwin"}},
}
_MODULES = {"windows": ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty"), "macos": ()}
_open_file = open  # the one that sees /proc
_SYSTEM = {"windows": "Windows", "macos": "Darwin"}


def install(system: str) -> None:
    """Make modules of the standard library answer vidtrans and the tests as a system does."""
    for module in {*_MISSING[system], *_OWN[system]}:
        missing = [name for name in _MISSING[system].get(module, ()) if hasattr(module, name)]
        _answer(module, missing, _OWN[system].get(module, {}))
    _refuse_imports(_MODULES[system])
    real = platform.system
    platform.system = lambda: _SYSTEM[system] if is_ours(sys._getframe(1)) else real()
    if system == "macos":
        _count_memory_in_bytes()


def _answer(module: ModuleType, missing: list[str], own: Mapping[str, Any]) -> None:
    """Take names out of a module, and give each caller what it may see of them (PEP 562)."""
    real = {name: vars(module).pop(name) for name in (*missing, *own) if name in vars(module)}

    def get(name: str) -> Any:
        if is_ours(sys._getframe(1)):
            if name in own:
                return own[name]
        elif name in real:
            return real[name]
        raise AttributeError(f"module '{module.__name__}' has no attribute '{name}' on this system")

    module.__getattr__ = get  # type: ignore[method-assign]


def _refuse_imports(names: tuple[str, ...]) -> None:
    real: Callable[..., Any] = builtins.__import__

    def find(name: str, *arguments: Any, **options: Any) -> Any:
        if name in names and is_ours(sys._getframe(1)):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *arguments, **options)

    builtins.__import__ = find


def _count_memory_in_bytes() -> None:
    """Return the largest memory of a process in bytes, and of that process alone.

    Linux counts in KiB, and in the memory of a new process that of the one which began it.
    """
    import resource

    real = resource.getrusage

    def usage(who: int) -> Any:
        used = real(who)
        if not is_ours(sys._getframe(1)):
            return used
        values = list(used)
        values[2] *= 1024
        if who == resource.RUSAGE_SELF:
            with _open_file("/proc/self/status", encoding="utf-8") as status:
                values[2] = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        return resource.struct_rusage(values)

    resource.getrusage = usage
