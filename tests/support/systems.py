"""Skip tests of names, links or signals that this system lacks."""

from __future__ import annotations

import pytest

from vidtrans.core.system import windows_name_problem


def need_name(name: str) -> None:
    """Skip the test where the system takes no file of this name."""
    if fault := windows_name_problem(name):
        pytest.skip(fault)
