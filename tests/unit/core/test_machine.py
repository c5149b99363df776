"""What the process asks of the machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, tempfile, threading
from vidtrans.core.machine import set_up_heap

set_up_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_void_p], [ctypes.c_size_t]
threads = [threading.Thread(target=lambda: libc.free(libc.malloc(1000))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
with tempfile.NamedTemporaryFile() as place:
    file = libc.fopen(place.name.encode(), b"w")
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(place.read().count(b"<heap "))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc gives each thread a heap"
)
def test_all_threads_share_one_heap() -> None:
    programs = (HEAPS, HEAPS.replace("\nset_up_heap()", ""))
    alone, without = (int(subprocess.check_output([sys.executable, "-c", program])) for program in programs)
    assert (alone, without > 1) == (1, True)
