"""The user's cache folder, in which engines keep compiled networks and checks for other processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from platformdirs import user_cache_path

from vidtrans.core.files import digest_of

INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"  # torch's variable
_other_folder: ContextVar[Path | None] = ContextVar("folder of what engines keep", default=None)


@contextmanager
def caches_in(folder: Path) -> Iterator[None]:
    """Use ``folder`` in place of the user's cache folder within this context."""
    before, token = os.environ.get(INDUCTOR_CACHE), _other_folder.set(folder)
    os.environ[INDUCTOR_CACHE] = str(folder / "inductor")
    try:
        yield
    finally:
        _other_folder.reset(token)
        os.environ.pop(INDUCTOR_CACHE)
        if before is not None:
            os.environ[INDUCTOR_CACHE] = before


def cache_folder() -> Path:
    """Return the folder. It need not be there. Raises RuntimeError where the user has no home folder."""
    folder = _other_folder.get() or user_cache_path("vidtrans")
    if not folder.is_absolute():
        raise RuntimeError("the user has no home folder")
    return folder


def use_inductor_cache(environment: str) -> None:
    """Let torch.compile keep what it compiles for other processes, unless the user has set its variable.

    ``environment``: what decides the code, which has a folder of its own: weights that PyTorch 2.13 has laid out for
    one instruction set corrupt the memory of a process on another one, say of machines that share a home folder.
    """
    before = os.environ.get(INDUCTOR_CACHE)
    if before is not None and not Path(before).name.startswith("torchinductor_"):  # torch sets its own default
        return
    with suppress(RuntimeError):  # torch has a folder of its own
        os.environ[INDUCTOR_CACHE] = str(cache_folder() / "inductor" / digest_of(environment)[:16])
