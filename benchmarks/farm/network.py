"""Two mounts of an NFS server of this machine stand in for two hosts: render parts into one cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.farm.work import CHUNK, THREADS, Row, Work, same
from benchmarks.harness import environment, vidtrans, vidtrans_command
from vidtrans.core.files import look_anew

GRACE_S = "10"  # how long a server that has just begun gives locks only to those who had them before
PROGRAMS = ("rpcbind", "rpc.statd", "rpc.mountd", "rpc.nfsd", "exportfs", "mount.nfs", "unshare")
SERVED = Path("/proc/fs/nfsd")
# Each mount has connections, caches and locks of its own, as another host's would. It believes for five minutes that a
# name is absent, not for half of one: what a slow machine does in between counts.
MOUNTED = "nosharecache,acdirmin=300,acdirmax=300"
MOUNTS = {"NFS 4.2": f"vers=4.2,{MOUNTED}", "NFS 3": f"vers=3,{MOUNTED}"}


@dataclass(frozen=True)
class Host:
    """A mount and a host name of its own."""

    name: str
    folder: Path

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command of vidtrans."""
        rename = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name)
        command = [*rename, *vidtrans_command(*arguments, "--json")]
        pipe = subprocess.PIPE
        variables = environment(**THREADS)
        return subprocess.Popen(command, cwd=self.folder, env=variables, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str], expected: int = 0) -> int:
    """Wait for a command; return its exit status, and show why where that is not the expected one."""
    _, errors = process.communicate()
    if process.returncode != expected:
        print(errors[-2000:], file=sys.stderr)
    return process.returncode


def render_over_nfs(work: Work) -> Iterator[Row]:
    """Yield the rows of each mount."""
    if why := _why_not():
        yield Row("NFS", f"skipped: {why}")
        return
    place = work.fresh("nfs")
    work.write_clip(place / "clip.mp4", work.num_frames)
    began = time.monotonic()
    vidtrans(*_render(work), "-o", "whole.mp4", "--cache-dir", "alone", folder=place, **THREADS)
    yield Row("one process, local disk", "", time.monotonic() - began)
    with _server(place):
        for name, options in MOUNTS.items():
            with _hosts(place, options) as hosts:
                for row in _parts(work, hosts):
                    yield Row(f"{name}: {row.what}", row.result, row.seconds)


def _render(work: Work) -> tuple[str, ...]:
    return ("stylize", "clip.mp4", "--model", work.model, *CHUNK)


def _why_not() -> str:
    """Return why there can be no server here; "" where there can."""
    if os.geteuid():
        return "only root can mount"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{missing[0]} is not installed (Debian: nfs-kernel-server)"
    subprocess.run(["modprobe", "-a", "nfs", "nfsd"], capture_output=True, check=False)
    lacking = {"nfs", "nfsd"} - set(Path("/proc/filesystems").read_text().split())
    if lacking:
        return f"the kernel has no {sorted(lacking)[0]}"
    threads = SERVED / "threads"
    return "this machine is an NFS server already" if threads.exists() and int(threads.read_text()) else ""


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def _server(folder: Path) -> Iterator[None]:
    """Serve a folder to this machine."""
    with ExitStack() as stack:
        if not os.path.ismount(SERVED):
            _call("mount", "-t", "nfsd", "nfsd", str(SERVED))
            stack.callback(_call, "umount", str(SERVED))
        for command in (["rpcbind", "-f"], ["rpc.statd", "-F"], ["rpc.mountd", "-F"]):
            null = subprocess.DEVNULL
            daemon = subprocess.Popen(command, stdout=null, stderr=null)
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            time.sleep(1)
        options = "rw,no_root_squash,insecure,no_subtree_check,fsid=0"
        _call("exportfs", "-i", "-o", options, f"127.0.0.1:{folder}")
        stack.callback(_call, "exportfs", "-u", f"127.0.0.1:{folder}")
        _call("rpc.nfsd", "-G", GRACE_S, "-L", GRACE_S, "4")
        stack.callback(_call, "rpc.nfsd", "0")
        time.sleep(float(GRACE_S))
        yield


@contextmanager
def _hosts(folder: Path, options: str) -> Iterator[list[Host]]:
    """Mount a folder twice."""
    # NFS 4 counts paths from what is exported with fsid=0.
    source = "/" if "vers=4" in options else str(folder)
    with tempfile.TemporaryDirectory() as mounts, ExitStack() as stack:
        hosts = [Host(name, Path(mounts, name)) for name in ("east", "west")]
        for host in hosts:
            host.folder.mkdir()
            _call("mount", "-t", "nfs", "-o", options, f"127.0.0.1:{source}", str(host.folder))
            stack.callback(_call, "umount", str(host.folder))
        yield hosts


def _begin_anew(folder: Path) -> None:
    shutil.rmtree(folder / ".vidtrans", ignore_errors=True)
    (folder / "out.mp4").unlink(missing_ok=True)


def _left(folder: Path) -> str:
    names = [p.name for p in folder.rglob("*") if ".partial" in p.name or p.name.startswith(".nfs")]
    return f"{len(names)} files left"


def _result(hosts: Sequence[Host]) -> str:
    """Return whether all hosts see the result with the right bytes."""
    for host in hosts:
        look_anew(host.folder)
    words = {same(host.folder / "out.mp4", host.folder / "whole.mp4") for host in hosts}
    return " and ".join(sorted(words))


def _parts(work: Work, hosts: Sequence[Host]) -> Iterator[Row]:
    """Join too early, and after another host has rendered; render four parts on two hosts, and join them on both."""
    east, west = hosts
    render = (*_render(work), "-o", "out.mp4")
    _begin_anew(east.folder)
    began = time.monotonic()
    exits = [finish(east.start(*render, "--chunk", "1/4")), finish(west.start(*render, "--join"), expected=1)]
    # What one host renders the other one knows to be absent: it writes nothing itself, which would make it look again.
    exits += [finish(east.start(*render, "--chunk", "2-4/4")), finish(west.start(*render, "--join"))]
    words = f"exits {exits}, {_result(hosts)}"
    yield Row("a part by one, a join by the other, the rest, a join", words, time.monotonic() - began)
    _begin_anew(east.folder)
    began = time.monotonic()
    parts = [hosts[n % 2].start(*render, "--chunk", f"{n + 1}/4") for n in range(4)]
    exits = [finish(process) for process in parts]
    yield Row("four parts from two hosts", f"exits {exits}", time.monotonic() - began)
    began = time.monotonic()
    exits = [finish(process) for process in [host.start(*render, "--join") for host in hosts]]
    yield Row(
        "two joins at once", f"exits {exits}, {_result(hosts)}, {_left(hosts[0].folder)}", time.monotonic() - began
    )
