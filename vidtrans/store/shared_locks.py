"""Check from the table of mounts whether file locks in a folder work between hosts.

flock(2) locks on NFS are kept by the server (Linux 2.6.12 and newer), as on SMB and Lustre, unless a mount option
disables this; file systems in user space usually keep locks on one host only. See nfs(5), mount.cifs(8),
mount.lustre(8).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import VidtransError

MOUNTS = Path("/proc/self/mountinfo")  # Linux; see proc_pid_mountinfo(5)
_NFS = frozenset({"nolock", "local_lock=all", "local_lock=flock"})
LOCAL_LOCKS = {"nfs": _NFS, "nfs4": _NFS, "cifs": frozenset({"nobrl"}), "smb3": frozenset({"nobrl"})}


# Errors of a file system without locks: POSIX numbers; on Windows INVALID_FUNCTION and NOT_SUPPORTED.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
_NO_LOCKS_ON_WINDOWS = frozenset({1, 50})


@contextmanager
def refusing_no_locks(root: Path) -> Iterator[None]:
    """Raise VidtransError where the file system of the cache ``root`` has no locks, as on some network drives."""
    try:
        yield
    except (NotImplementedError, OSError) as error:  # the first is filelock's for ENOSYS
        is_known = isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS
        if not is_known and getattr(error, "winerror", None) not in _NO_LOCKS_ON_WINDOWS:
            raise
        remedy = "give a --cache-dir on a local disk"
        raise VidtransError(f"cache {root}", "its file system has no locks", remedy) from error


@dataclass(frozen=True)
class _Mount:
    point: str
    kind: str
    options: frozenset[str]

    @property
    def flaw(self) -> tuple[str, str] | None:
        """Return (reason, remedy) where locks work on this host only; None where they are shared, or it is unknown."""
        if named := sorted(self.options & LOCAL_LOCKS.get(self.kind, frozenset())):
            return f"mounted with {named[0]}", "mount it without that option"
        if self.kind == "lustre" and "flock" not in self.options:
            return "mounted without flock", "mount it with flock"
        if self.kind.startswith("fuse."):
            return "a file system in user space", "use NFS or SMB, if other hosts use this cache, too"
        return None


def warning_about_locks(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return a warning where locks in a folder work on this host only; '' where they are shared, or it is unknown."""
    mount = _mount_of(os.path.realpath(folder), mounts)
    if mount is None or mount.flaw is None:
        return ""
    why, remedy = mount.flaw
    return (
        f"the cache lies on '{mount.point}' ({mount.kind}), {why}: a host may delete entries that another host uses — "
        f"{remedy}; until then let no host clean or trim the cache while others render"
    )


def _mount_of(folder: str, mounts: Path) -> _Mount | None:
    """Return the mount that contains a folder: the innermost one, and the last of several at the same place."""
    found: _Mount | None = None
    with suppress(OSError):
        for line in mounts.read_text("utf-8", "replace").splitlines():
            mount = _parse(line)
            if mount and _holds(mount.point, folder) and (found is None or len(mount.point) >= len(found.point)):
                found = mount
    return found


def _holds(point: str, folder: str) -> bool:
    return folder == point or folder.startswith(point.rstrip("/") + "/")


def _parse(line: str) -> _Mount | None:
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
    return _Mount(point, rest[0], frozenset([*fields[5].split(","), *rest[2].split(",")]))
