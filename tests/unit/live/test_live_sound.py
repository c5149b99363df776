"""Sound of a connection: its messages, who is heard, and controls that it moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import until

from vidtrans.core.errors import UsageError
from vidtrans.curves.expressions import Signal
from vidtrans.live.moving_controls import LiveSound
from vidtrans.live.protocol import (
    MAX_SOUND_SAMPLES,
    SOUND_HEADER,
    SoundMessage,
    is_sound_message,
    pack_sound,
    parse_sound,
)

pytestmark = pytest.mark.usefixtures("one_thread")
RATE = 48_000
LOW = Signal("low")


def block(level: float = 0.5, count: int = 480, rate: int = RATE) -> SoundMessage:
    return SoundMessage(rate, (level * np.sin(2 * np.pi * 100 * np.arange(count) / rate)).astype(np.float32))


@settings(max_examples=30)
@given(st.integers(8000, 192_000), st.lists(st.integers(-32768, 32767), min_size=1, max_size=64))
def test_a_block_comes_back_as_it_was(rate: int, samples: list[int]) -> None:
    sound = SoundMessage(rate, np.array(samples, np.float32) / 32768)
    data = pack_sound(sound)
    assert is_sound_message(data)
    found = parse_sound(data)
    assert found.rate_hz == rate
    assert np.array_equal(found.samples, sound.samples)


def test_a_wrong_header_rate_or_length_is_refused() -> None:
    for header in ((2, 3, 0, RATE), (1, 3, 1, RATE), (1, 3, 0, 0), (1, 3, 0, 7999), (1, 3, 0, 200_000)):
        with pytest.raises(UsageError, match="header"):
            parse_sound(SOUND_HEADER.pack(*header) + b"ab")
    for length in (0, 3, 2 * MAX_SOUND_SAMPLES + 2):
        with pytest.raises(UsageError, match="samples"):
            parse_sound(SOUND_HEADER.pack(1, 3, 0, RATE) + bytes(length))


class TestLiveSound:
    def begin(self) -> tuple[LiveSound, list[int]]:
        changes: list[int] = []
        sound = LiveSound(lambda: changes.append(sound.holder))
        sound.watch([LOW])
        return sound, changes

    def test_the_last_one_that_began_is_heard_and_nobody_else(self) -> None:
        sound, changes = self.begin()
        for number in (1, 2):
            sound.handle_message(number, {"on": True})
        sound.add_block(1, block())
        assert sound._thread is None
        for _ in range(10):
            sound.add_block(2, block())
        until(lambda: sound.values.get(LOW, 0) > 0.5)
        sound.handle_message(1, {"on": False})  # it is not heard anyway
        assert changes == [1, 2]
        sound.leave(2)
        until(lambda: sound._thread is None and not sound.values)
        assert changes == [1, 2, 0]
        with pytest.raises(UsageError, match="begins"):
            sound.handle_message(1, {"on": "yes"})

    def test_silence_is_heard_where_no_block_comes_and_the_thread_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vidtrans.live.moving_controls.NO_SOUND_AFTER_S", 0.4)
        sound, _ = self.begin()
        sound.handle_message(1, {"on": True})
        for _ in range(20):
            sound.add_block(1, block())
        until(lambda: sound.values.get(LOW, 0) > 0.5)
        until(lambda: sound.values.get(LOW, 0) < 0.01)
        until(lambda: sound._thread is None)
        sound.add_block(1, block(count=4800))
        until(lambda: sound.values.get(LOW, 0) > 0.5)
        sound.leave(1)

    def test_what_comes_faster_than_it_sounds_is_dropped(self) -> None:
        sound, _ = self.begin()
        sound.handle_message(1, {"on": True})
        for _ in range(400):
            sound.add_block(1, block())
        assert sound.num_dropped > 250
        assert len(sound._blocks) <= 150
        sound.leave(1)
