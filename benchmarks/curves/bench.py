"""Onsets, tempo and beats of made music, beside librosa where it is installed, and what hearing costs.

    python -m benchmarks.curves.bench [SOUND …] [--songs 12]

Music is made with known beats: clicks, straight and swung drums, and songs, each also with noise, speech-like sound and
reverb. Tempos and seeds are not those that constants were chosen on. An onset counts within 50 ms, a beat within 30 and
70 ms, a tempo within 2 %. Of each SOUND, a file whose truth is unknown, tempo, beats and their evenness are shown.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.tables import head, row
from vidtrans.curves.hearing import FIXED_BANDS, Rhythm, SoundSignals, analyse_sound, find_rhythm

sys.path.insert(0, str(harness.ROOT / "tests" / "support"))

from made_music import RATE, MadeSound, clicks, drums, f_score, song, spoiled

FIRST_SEED = 1000
Find = Callable[[np.ndarray], Rhythm]


def sounds(songs: int) -> Iterator[tuple[str, MadeSound]]:
    rng = np.random.default_rng(FIRST_SEED)
    for n in range(songs):
        seed = FIRST_SEED + n
        bpm = float(rng.integers(70, 176))
        roots = rng.integers(-4, 6, 4).tolist()
        kinds = {
            "clicks": clicks(bpm, 30),
            "drums": drums(bpm, 30, seed=seed),
            "swung drums": drums(bpm, 30, swing=float(rng.uniform(0.58, 0.68)), seed=seed),
            "songs": song(bpm, 40, seed, roots),
        }
        for kind, made in kinds.items():
            yield kind, made
            yield f"{kind}, spoiled", spoiled(made, seed, noise=0.3, speech=0.3, reverb=0.3)


def ours(samples: np.ndarray) -> Rhythm:
    return find_rhythm(analyse_sound([samples], RATE, list(FIXED_BANDS.values())))


def librosas() -> Find | None:
    try:
        import librosa
    except ImportError:
        print("librosa is not installed: it is left out", file=sys.stderr)
        return None

    def find(samples: np.ndarray) -> Rhythm:
        tempo, beats = librosa.beat.beat_track(y=samples, sr=RATE, units="time")
        onsets = librosa.onset.onset_detect(y=samples, sr=RATE, units="time")
        return Rhythm(np.asarray(onsets), np.asarray(beats), float(np.atleast_1d(tempo)[0]))

    return find


def score(made: MadeSound, found: Rhythm) -> list[float]:
    beats = list(found.beats)
    near = abs(found.tempo_bpm / made.bpm - 1) < 0.02
    onsets = f_score(list(found.onsets), made.onsets, 0.05)
    return [onsets, float(near), f_score(beats, made.beats, 0.03), f_score(beats, made.beats, 0.07)]


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("sounds", nargs="*", type=Path, metavar="SOUND")
    parser.add_argument("--songs", type=int, default=12, help="sounds of each kind: %(default)s")
    options = parser.parse_args()
    finders = {"vidtrans": ours} | ({"librosa": found} if (found := librosas()) else {})
    scores: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    heard_s = 0.0
    for find in finders.values():  # the first call compiles, and imports
        find(clicks(120, 10).samples)
    for kind, made in sounds(options.songs):
        heard_s += len(made.samples) / RATE
        for name, find in finders.items():
            began = time.perf_counter()
            found_rhythm = find(made.samples)
            seconds[name] += time.perf_counter() - began
            scores[kind, name].append(score(made, found_rhythm))
    head("sound", "by", "onsets F", "tempo within 2 %", "beats F, 30 ms", "beats F, 70 ms", "least onsets F")
    for (kind, name), values in scores.items():
        means = np.mean(values, axis=0)
        row(kind, name, *(f"{value:.3f}" for value in means), f"{np.min(values, axis=0)[0]:.3f}")
    for name, took in seconds.items():
        print(f"{name}: {took / heard_s * 600:.2f} s for ten minutes of sound")
    for path in options.sounds:
        rhythm = SoundSignals(path).rhythm
        steps = np.diff(rhythm.beats)
        even = f", steps differ by {1000 * steps.std():.0f} ms" if len(steps) > 1 else ""
        facts = f"{len(rhythm.onsets)} onsets, {len(rhythm.beats)} beats, {rhythm.tempo_bpm:.1f} a minute{even}"
        print(f"{path.name}: {facts}")


if __name__ == "__main__":
    main()
