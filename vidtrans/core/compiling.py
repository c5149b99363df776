"""Compile functions over pixels with Numba, with a disk cache that damage and full disks do not disturb."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from vidtrans.core.errors import VidtransError, first_line
from vidtrans.core.files import digest_file

WHAT = "painting in strokes, or making frames between frames"  # What needs compiled functions, in errors

try:
    import numba
    from numba.core.caching import FunctionCache
except ImportError as error:  # Also raised for a NumPy version that Numba does not support
    why = f"Numba cannot be imported: {first_line(error)}"
    raise VidtransError(WHAT, why, "pip install --force-reinstall numba") from None
if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise VidtransError(WHAT, "NUMBA_DISABLE_JIT is set: nothing is compiled", "unset it")

F = TypeVar("F", bound=Callable[..., Any])  # Type of a function to compile


class KernelCache(FunctionCache):
    """A disk cache of compiled Numba functions; a damaged or unsaved function is compiled again."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        # Numba checks only the function's own file for changes, but functions of a package call those of its
        # ``kernels.py``.
        shared = Path(function.__code__.co_filename).with_name("kernels.py")
        files = [Path(__file__), *([shared] if shared.is_file() else [])]
        self._cache_file._source_stamp = (self._cache_file._source_stamp, *map(digest_file, files))

    def load_overload(self, sig: object, target_context: object) -> object:
        """Return the compiled code for a signature; None if the cache has none that is readable."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # A damaged pickle may raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: object, data: object) -> None:
        """Save the compiled code for a signature. Disk errors are ignored."""
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(function: F, signature: str | None = None) -> F:
    """Compile a function with Numba on first use; without a writable cache folder, in each process again.

    ``signature``: the only signature, compiled at once. Without it, each combination of types is compiled separately.
    """
    made: Any = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})(function)
    with suppress(RuntimeError):  # No folder is writable
        made._cache = KernelCache(function)
    if signature:
        made.compile(signature)
        made.disable_compile()
    return cast("F", made)
