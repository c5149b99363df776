"""Where engines keep what they make for other processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidtrans.inference.user_cache import INDUCTOR_CACHE, use_inductor_cache


def test_what_is_compiled_for_one_processor_is_not_found_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for environment in ("avx2", "avx512", "avx2"):
        monkeypatch.setenv(INDUCTOR_CACHE, "/tmp/torchinductor_somebody")  # as torch sets it by itself
        use_inductor_cache(environment)
        folders.append(Path(os.environ[INDUCTOR_CACHE]))
    assert folders[0] == folders[2] != folders[1]
    assert all(folder.parent.name == "inductor" for folder in folders)


def test_a_folder_that_the_user_has_chosen_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INDUCTOR_CACHE, "mine")
    use_inductor_cache("avx2")
    assert os.environ[INDUCTOR_CACHE] == "mine"
