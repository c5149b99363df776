"""The causal filter: it looks back only, and goes on from what it remembered as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from flicker import Frames, alike, busy, causal, run, samples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.events import silent
from vidtrans.store.cache import Cache
from vidtrans.store.chunks import StateStore
from vidtrans.temporal.stream import RecursiveFilter, Sample

repeatable = hypothesis_settings(max_examples=3)
COUNT, CUT = 16, 7


def shown(deep: bool = False) -> tuple[Frames, Frames]:
    """Two shots."""
    first, second = busy(CUT, seed=1), busy(COUNT - CUT, seed=2)
    guides, outputs = first[0] + second[0], first[1] + second[1]
    return guides, [o.astype(np.uint16) * 257 + 7 for o in outputs] if deep else outputs


def fresh(deep: bool = False) -> list[Sample]:
    return samples(*shown(deep), (0, CUT))


def test_nothing_before_a_cut_is_looked_at_and_all_of_the_shot_is() -> None:
    whole = run(causal(), fresh())
    for changed in (CUT - 1, CUT):
        guides, outputs = shown()
        outputs[changed] = np.clip(outputs[changed].astype(int) + 60, 0, 255).astype(np.uint8)
        made = run(causal(), samples(guides, outputs, (0, CUT)))
        same = [np.array_equal(a, b) for a, b in zip(made, whole, strict=True)]
        assert same == ([i != changed for i in range(COUNT)] if changed < CUT else [i < CUT for i in range(COUNT)])


@repeatable
@given(st.integers(0, COUNT), st.booleans(), st.sampled_from([1, 3, 12, 64]))
def test_from_its_state_at_any_frame_it_goes_on_exactly(frame: int, deep: bool, history: int) -> None:
    method = causal(history=history)
    assert isinstance(method, RecursiveFilter)
    assert method.state() == {}  # before its first frame
    whole = run(causal(history=history), fresh(deep))
    assert alike(run(method, fresh(deep)[:frame]), whole[:frame])
    state = {name: value.copy() for name, value in method.state().items()}
    kept = method.state()
    assert alike(run(method, fresh(deep)[frame:]), whole[frame:])
    assert {n: v.tobytes() for n, v in kept.items()} == {n: v.tobytes() for n, v in state.items()}  # not written into
    other = causal(history=history)
    run(other, samples(*busy(3, (48, 32))))  # it was somewhere else before
    other.resume(state)
    assert alike(run(other, fresh(deep)[frame:]), whole[frame:])


def state_of(frames: int) -> Mapping[str, np.ndarray]:
    method = causal()
    run(method, fresh()[:frames])
    return method.state()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateStore]:
    entry = Cache(tmp_path_factory.mktemp("cache"), silent).entry("render", "k")
    with entry.locked():
        yield StateStore(entry)


def test_a_state_is_read_as_it_was_written_and_the_one_before_it_is_gone(stored: StateStore) -> None:
    stored.clear()
    assert stored.load(0) is None
    for number in range(3):
        stored.save(number, state_of(number + 2))
    read, wanted = stored.load(2), state_of(4)
    assert read is not None
    assert {n: (v.dtype, v.tobytes()) for n, v in read.items()} == {
        n: (v.dtype, v.tobytes()) for n, v in wanted.items()
    }
    assert stored.load(0) is stored.load(1) is None
    assert {p.name for p in stored.entry.folder.glob("state*")} == {"state-000002.npz", "state-000002.json"}
    stored.clear()
    assert not list(stored.entry.folder.glob("state*"))


@hypothesis_settings(repeatable, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 255), st.sampled_from([".npz", ".json"]))
def test_a_state_that_is_damaged_anywhere_is_none(stored: StateStore, at: int, flip: int, suffix: str) -> None:
    """``flip`` 0: cut off there."""
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    stored.clear()
    stored.save(0, {"mean": whole, "count": np.ones((1, 2), np.float32)})
    (path,) = stored.entry.folder.glob(f"state*{suffix}")
    data = bytearray(path.read_bytes())
    at %= len(data)
    if flip:
        data[at] ^= flip
    path.write_bytes(data if flip else data[:at])
    read = stored.load(0)
    # The other bytes of the JSON are only its form.
    assert read is None or (suffix == ".json" and np.array_equal(read["mean"], whole))
