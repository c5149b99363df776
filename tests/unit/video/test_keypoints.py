"""Keypoints: files of all kinds read alike, people followed, gaps filled, bodies fitted, poses drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from keypoints import waving, write_mediapipe, write_openpose, write_table

from vidtrans.core.errors import MediaError
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.pose import PoseSettings
from vidtrans.video.keypoints import (
    FACE,
    LEFT_HAND,
    NECK,
    NUM_BODY,
    NUM_POINTS,
    BodyPlace,
    PoseFrames,
    PoseView,
    detector_indices,
    fill_gaps,
    fit_bodies,
    read_keypoints,
    track_people,
)

SIZE = (160, 120)


def person(points: np.ndarray) -> np.ndarray:
    """(NUM_POINTS, 3) with the body of (25, 2) points of BODY_25."""
    whole = np.full((NUM_POINTS, 3), np.nan)
    whole[:NUM_BODY, :2], whole[:NUM_BODY, 2] = points[detector_indices("pose", 25)[:NUM_BODY]], 0.9
    return whole


def test_openpose_mediapipe_and_tables_of_one_dance_give_the_same_people(tmp_path: Path) -> None:
    bodies = [waving(n) for n in range(6)]
    numbered = {n: [points] for n, points in enumerate(bodies)}
    folder = read_keypoints(write_openpose(tmp_path / "poses", numbered))
    table = read_keypoints(write_table(tmp_path / "poses.csv", numbered))
    shares = read_keypoints(write_mediapipe(tmp_path / "poses.json", bodies, SIZE))
    assert shares.is_normalised
    assert not folder.is_normalised
    assert list(folder.frames) == list(table.frames) == list(shares.frames) == list(range(6))
    common = [joint for joint in range(NUM_BODY) if joint not in (19, 22)]  # MediaPipe has one toe a foot
    for number, points in enumerate(bodies):
        (own,), (other,), (share,) = (found.frames[number] for found in (folder, table, shares))
        assert np.allclose(own, person(points), atol=1e-3, equal_nan=True)
        assert np.allclose(other, own, atol=1e-3, equal_nan=True)
        near = [joint for joint in common if joint != NECK]
        assert np.allclose(share[near, :2] * SIZE, own[near, :2], atol=1e-2)
        assert np.allclose(share[NECK, :2] * SIZE, own[NECK, :2], atol=1.0)  # between the shoulders


@pytest.mark.parametrize(
    ("part", "count", "joints"),
    [
        *(("pose", 17, 18), ("pose", 18, 18), ("pose", 25, 24), ("pose", 33, 21), ("face", 70, 68), ("face", 468, 68)),
        *(("face", 478, 68), ("left_hand", 21, 21), ("pose", 133, NUM_POINTS - 1)),
    ],
)
def test_every_layout_has_each_of_our_points_once(part: str, count: int, joints: int) -> None:
    places = detector_indices(part, count)
    known = places[places >= 0]
    assert known.max() < count
    assert len(set(known.tolist())) == len(known) == joints - (count == 17)


def test_hands_and_faces_come_from_openpose_and_from_mediapipe(tmp_path: Path) -> None:
    hand, face = [[10.0 + k, 20.0, 0.8] for k in range(21)], [[30.0 + k, 40.0, 0.7] for k in range(70)]
    body = np.column_stack([waving(0), np.ones(25)]).ravel().tolist()
    flat = {"hand_left_keypoints_2d": np.ravel(hand).tolist(), "face_keypoints_2d": np.ravel(face).tolist()}
    (tmp_path / "a.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": body, **flat}]}))
    row = {"leftHandLandmarks": [{"x": x, "y": y} for x, y, _ in hand], "width": 320, "height": 200}
    mesh = [{"x": 30.0 + k, "y": 40.0} for k in range(478)]
    (tmp_path / "b.json").write_text(json.dumps({"frames": [row | {"faceLandmarks": mesh}, None]}))
    (first,) = read_keypoints(tmp_path / "a.json").frames[0]
    other = read_keypoints(tmp_path / "b.json")
    assert np.array_equal(first[LEFT_HAND : LEFT_HAND + 21, 0], 10.0 + np.arange(21))
    assert np.array_equal(first[FACE:, 0], 30.0 + np.arange(68))
    assert other.size == (320, 200)
    assert np.array_equal(other.frames[0][0][LEFT_HAND : LEFT_HAND + 21], [[x, 20.0, 1.0] for x, _, _ in hand])
    assert not np.isnan(other.frames[0][0][FACE:]).any()
    assert other.frames[1] == []


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.json", "{", "no keypoints can be read"),
        ("a.json", "[]", "nobody is in it"),
        ("a.json", '{"people": 3}', "no list of objects"),
        ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2, 0.5]}]}', "1 points of 'pose'"),
        ("a.json", '{"width": 99999, "height": 99999}', "is no size of a picture"),
        ("a.jsonl", '{"a": 1}\nx', "no keypoints can be read"),
        ("a.csv", "", "no column frame, point, x, y"),
        ("a.csv", "frame,point,x,y\n1,900,3,4", "out of range"),
        ("a.csv", "frame,point,x,y\ninf,1,3,4", "no keypoints can be read"),
        ("a.csv", "frame,point,x,y\n1,0,nan,inf", "nobody is in it"),
    ],
)
def test_what_is_no_keypoints_is_refused_in_a_line_that_names_the_file(
    name: str, text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(MediaError, match=f"{name}: .*{why}.* — give JSON of OpenPose or MediaPipe"):
        read_keypoints(tmp_path / name)


numbers = st.one_of(
    st.floats(-1e9, 1e9), st.just(float("nan")), st.just(float("inf")), st.none(), st.integers(0, 99), st.just(10**400)
)
anything = st.recursive(
    st.one_of(numbers, st.booleans(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["people", "pose_keypoints_2d", "frames", "poseLandmarks", "landmark", "frame", "x", "y"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@hypothesis_settings(max_examples=25, deadline=None)
@given(anything)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    try:
        frames = read_keypoints(path).frames
    except MediaError:
        return
    people = [one for people in frames.values() for one in people]
    assert people
    assert all(one.shape == (NUM_POINTS, 3) and not np.isinf(one).any() for one in people)


def test_people_keep_their_tracks_when_a_detector_lists_them_in_another_order_and_when_one_leaves() -> None:
    left, right = ([person(waving(n, x=x)) for n in range(8)] for x in (40.0, 120.0))
    frames = [[a, b] if n % 2 else [b, a] for n, (a, b) in enumerate(zip(left, right, strict=True))]
    frames[3] = [left[3]]
    frames[6] = []
    tracks = track_people(frames)
    assert len(tracks) == 2
    assert np.nanmax(np.abs(np.diff(tracks[..., 1, 0], axis=1))) < 5  # the neck
    assert np.nanmean(tracks[0, :, :, 0]) < 80  # the one seen longer comes first
    assert np.isnan(tracks[1, 3]).all()
    assert np.isnan(tracks[:, 6]).all()


def test_short_gaps_are_interpolated_by_the_numbers_of_frames_and_long_ones_stay() -> None:
    track = np.stack([person(waving(0, x=10.0 * n)) for n in range(9)])
    hurt = track.copy()
    hurt[2:4, 5] = hurt[5:8, 7] = np.nan
    numbers_of = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8])
    filled = fill_gaps(hurt, numbers_of, 2)
    assert np.allclose(filled[2:4, 5], track[2:4, 5])
    assert np.isnan(filled[5:8, 7]).all()
    assert np.isnan(fill_gaps(hurt, numbers_of * 5, 2)[2:4, 5]).all()
    assert np.array_equal(fill_gaps(track, numbers_of, 8), track, equal_nan=True)


@hypothesis_settings(max_examples=8, deadline=None)
@given(st.floats(0.4, 3.0), st.floats(-300, 900), st.floats(200, 900))
def test_a_performer_is_brought_to_the_place_and_size_of_another(scale: float, x: float, ground: float) -> None:
    # Both walk to the front of the stage and back; one is filmed larger, and from elsewhere.
    walk = [(80.0 + 20 * np.sin(n / 5), 60.0 + 5 * np.cos(n / 3), 90.0 + 15 * np.sin(n / 5)) for n in range(60)]
    me, other = (
        np.stack([person(waving(n, k * tall, dx + k * at, dy + k * feet)) for n, (tall, at, feet) in enumerate(walk)])
        for k, dx, dy in ((1.0, 0.0, 0.0), (scale, x, ground))
    )
    places = [BodyPlace.of(track) for track in (me, other)]
    assert places[0] is not None
    assert places[1] is not None
    moved = fit_bodies(other[None], places[1], places[0])[0]
    assert np.nanmax(np.abs(moved - me)[..., :2]) < 1.5
    assert np.allclose(fit_bodies(me[None], places[0], places[0])[0], me, equal_nan=True, atol=1e-6)


def test_uncertain_points_are_left_out_and_other_sizes_show_the_same(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "poses", {n: [waving(n)] for n in (3, 4, 7)})
    poses = PoseFrames(folder, PoseView(size=SIZE))
    assert [name[:17] for name in poses.names] == ["take_000000000003", "take_000000000004", "take_000000000007"]
    large = PoseFrames(folder, PoseView(size=(320, 240)), SIZE)
    assert np.allclose(large.people[..., :2], 2 * poses.people[..., :2], equal_nan=True)
    with pytest.raises(MediaError, match=r"no point has a score of 0\.95 or more — lower"):
        PoseFrames(folder, PoseView(size=SIZE, score=0.95)).read(0)
    shares = PoseFrames(write_mediapipe(tmp_path / "a.json", [waving(0)], SIZE), PoseView(size=SIZE))
    assert np.allclose(
        np.nanmean(shares.people[0, 0, :, :2], axis=0), np.nanmean(poses.people[0, 0, :, :2], axis=0), atol=4
    )


def test_settings_that_no_reader_takes_are_refused() -> None:
    with pytest.raises(MediaError, match=r"'large' says nothing about keypoints — write .*a\.json#1280x720"):
        PoseView.parse("large", Path("a.json"))
    for wrong in ({"size": "large"}, {"size": "score=1"}, {"body": "1_2"}, {"size": "12x"}):
        with pytest.raises(ValueError, match=r"pairing\.(size|body) = .* — write it as in"):
            PoseSettings(**wrong)  # type: ignore[arg-type]
    assert make_pairing("pose", {"body": "1_2_3_4_5", "fit": False}).guides == ("keypoints#score=0.3,gap=8,smooth=1",)
