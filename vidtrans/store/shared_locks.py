"""Whether locks in a folder hold between hosts, as far as the system's table of mounts says it.

Locks of flock(2) on NFS are kept by the server (Linux 2.6.12 and newer), on SMB and Lustre too, unless a mount says
otherwise; on file systems in user space they are kept by this host alone, as a rule. See mount options in nfs(5),
mount.cifs(8), mount.lustre(8).
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


# How a file system says that it has no locks: numbers of POSIX; of Windows INVALID_FUNCTION and NOT_SUPPORTED.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
_NO_LOCKS_ON_WINDOWS = frozenset({1, 50})


@contextmanager
def refusing_no_locks(root: Path) -> Iterator[None]:
    """Refuse a cache in ``root`` whose file system has no locks, as some network drives. Raises VidtransError."""
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
        """Return why locks are those of this host alone, and what to do; None where they are not, or nobody knows."""
        if named := sorted(self.options & LOCAL_LOCKS.get(self.kind, frozenset())):
            return f"mounted with {named[0]}", "mount it without that option"
        if self.kind == "lustre" and "flock" not in self.options:
            return "mounted without flock", "mount it with flock"
        if self.kind.startswith("fuse."):
            return "a file system in user space", "use NFS or SMB, if other hosts use this cache, too"
        return None


def warning_about_locks(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return a warning where locks in a folder hold on this host alone; '' where they hold, or nothing says so."""
    mount = _mount_of(os.path.realpath(folder), mounts)
    if mount is None or mount.flaw is None:
        return ""
    why, remedy = mount.flaw
    return (
        f"the cache lies on '{mount.point}' ({mount.kind}), {why}: what one host uses, another one may delete — "
        f"{remedy}; until then let no host clean or trim the cache while others render"
    )


def _mount_of(folder: str, mounts: Path) -> _Mount | None:
    """Return the mount that a folder lies on: the innermost, and of several at one place the last."""
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
