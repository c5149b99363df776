"""The connection to a Ray cluster: importing Ray, checking the address, marking the shared folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.partials import process_mark
from vidtrans.session import Context

ANSWER_S = 5.0  # time limit for an address to answer


def import_ray() -> Any:  # noqa: ANN401  (a module without types)
    """Return the ``ray`` module. Raises UsageError if it is not installed."""
    token = Path.home() / ".ray" / "auth_token"
    if any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or token.is_file():
        # `ray start` asks for a token by default, and a program that connects shows none by default.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray", "Ray is not installed", "pip install 'vidtrans[cluster]'") from None
    return ray


def num_threads() -> int:
    """Return torch's number of threads here, so that results equal those of a render without a cluster."""
    import torch

    return torch.get_num_threads()


def knock(address: str) -> None:
    """Raise UsageError if HOST:PORT does not answer."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--executor ray://{address}", "no HOST:PORT", "write ray://head:10001")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError as error:
        why, remedy = f"no answer ({error.strerror or error})", "start it: ray start --head"
        raise UsageError(f"--executor ray://{address}", why, remedy) from None


@contextmanager
def marked_folder(context: Context, *, is_needed: bool) -> Iterator[str]:
    """Yield the path of a file in the cache that every node must see; '' in a dry run, or if not ``is_needed``."""
    if context.dry_run or not is_needed:
        yield ""
        return
    context.cache.prepare()
    path = context.cache.root / f".seen.{process_mark()}"
    path.touch()
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)
