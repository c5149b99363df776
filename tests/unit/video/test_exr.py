"""OpenEXR pictures: what is written, by a reader of the tests' own, and what of others' files is read."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from exr_files import FLOAT, HALF, WHOLE, attribute, exr_bytes, multipart_bytes

from vidtrans.core.errors import MediaError
from vidtrans.video.images.exr import encode_exr, encode_mattes, list_channels, read_header
from vidtrans.video.images.exr import read_exr as read_layer
from vidtrans.video.images.picture import picture_size, read_picture
from vidtrans.video.images.still import PictureView, Still


def read_exr(path: Path) -> np.ndarray:
    return read_layer(path).picture


def written_light(data: bytes) -> dict[str, np.ndarray]:
    """Channels of a file of halves, (H, W) float16 each, as FFmpeg reads them."""
    with closing(av.open(str(put(data)))) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name in ("gbrpf16le", "gbrapf16le")
    planes = [np.frombuffer(plane, np.float16).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    return dict(zip("GBRA", planes, strict=False))


def srgb_light(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def srgb_code(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def noise(*shape: int, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def put(data: bytes, path: Path = Path("a.exr")) -> Path:
    path.write_bytes(data)
    return path


SHAPES = [((1, 1, 3), np.uint8), ((48, 64, 3), np.uint16), ((33, 5, 3), np.uint8), ((17, 63, 4), np.uint8)]


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_what_is_written_is_scene_light_multiplied_by_alpha(shape: tuple[int, ...], dtype: type) -> None:
    picture = noise(*shape, dtype=dtype)
    data = encode_exr(picture)
    assert data == encode_exr(picture.copy())
    found = written_light(data)
    straight = picture / np.iinfo(dtype).max
    alpha = straight[..., 3] if shape[2] == 4 else 1.0
    assert sorted(found) == sorted("RGBA"[: shape[2]])
    for i, name in enumerate("RGB"):
        # Half a step of a half, and of the subnormal ones.
        assert found[name] == pytest.approx(srgb_light(straight[..., i]) * alpha, rel=2**-11, abs=2**-25)
    assert found.get("A", 1.0) == pytest.approx(alpha, rel=2**-11)


def test_grey_becomes_rgb() -> None:
    grey = np.linspace(0, 1, 15).reshape(3, 5)
    back = read_exr(put(exr_bytes({"Y": grey}, FLOAT)))
    assert back / 65535 == pytest.approx(np.repeat(srgb_code(grey)[..., None], 3, axis=2), abs=3e-4)
    back = read_exr(put(exr_bytes({"Y": grey / 2, "A": np.full((3, 5), 0.5)}, HALF)))
    assert back[..., :3] / 65535 == pytest.approx(np.repeat(srgb_code(grey)[..., None], 3, axis=2), abs=3e-4)
    assert back[..., 3] / 65535 == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("colour", "alpha"), [((0.9, 0.4, 0.05), 0.0), ((0.3, 0.3, 0.3), 0.05), ((2e-3, 1e-3, 0.0), 1e-4)]
)
def test_light_with_little_or_no_alpha_is_the_same_when_written_again(
    colour: tuple[float, float, float], alpha: float
) -> None:
    names = dict(zip("RGB", (np.full((4, 6), c, np.float32) for c in colour), strict=True))
    path = put(exr_bytes({**names, "A": np.full((4, 6), alpha, np.float32)}, FLOAT))
    still = read_layer(path)
    again = written_light(encode_exr(still.picture))
    glows = max(colour) > 8 * alpha
    for name, wanted in zip("RGB", colour, strict=True):
        assert again[name] == pytest.approx(min(wanted, 1.0) if glows else min(wanted, alpha), rel=2e-3, abs=2e-5)
    assert again["A"] == pytest.approx(max(colour) if glows else alpha, rel=2e-3)
    noted = "light without cover (alpha 0) covers as much as it is bright" in still.notes
    assert (noted, still.reading) == (glows, int(glows))


@pytest.mark.parametrize("kind", [HALF, FLOAT])
@pytest.mark.filterwarnings("error")
def test_specks_that_are_no_numbers_are_filled_from_around_them(kind: int) -> None:
    y, x = np.mgrid[0:20, 0:30] / 30
    clean = {"R": 0.2 + x / 2, "G": 0.3 + y / 2, "B": 0.5 - x / 3, "A": np.ones_like(x)}
    odd = {name: plane.copy() for name, plane in clean.items()}
    for name in "RGBA":
        odd[name][4, 5] = np.nan
    odd["R"][0, 0], odd["G"][19, 29], odd["B"][10, 10] = np.inf, -np.inf, np.inf
    odd["R"][12:15, 20:23] = np.nan  # as a filter of 3x3 leaves it
    odd["G"][8, 3] = np.inf if kind == HALF else 1e30
    odd["A"][9, 9] = np.nan
    still = read_layer(put(exr_bytes(odd, kind)))
    wanted = read_layer(put(exr_bytes(clean, kind)))
    assert np.abs(still.picture.astype(int) - wanted.picture).max() <= 65535 * 0.02
    assert any("no numbers (NaN or infinite)" in note for note in still.notes)
    assert not wanted.notes
    bad = np.isnan(odd["A"]) | np.isnan(odd["R"])
    assert (still.picture[~bad][:, 3] == 65535).all()


@pytest.mark.filterwarnings("error")
def test_what_is_no_light_is_mended() -> None:
    odd = np.repeat([[np.nan, np.inf, -np.inf, -1, 40, 1, 0]], 4, axis=0)  # too many to be specks
    back = read_exr(put(exr_bytes(dict.fromkeys("RGB", odd), HALF)))
    assert (back == np.array([0, 65535, 0, 0, 65535, 65535, 0])[None, :, None]).all()


def in_primaries(*numbers: float) -> bytes:
    return attribute("chromaticities", "chromaticities", struct.pack("<8f", *numbers))


ACESCG = in_primaries(0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
REC709 = in_primaries(0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
ODD = in_primaries(0.68, 0.31, 0.26, 0.69, 0.15, 0.05, 0.3127, 0.329)
BROKEN = in_primaries(*[0.3] * 8)


# Light (0.25, 0.1, 0.05) of these primaries as sRGB, as the package colour-science computes it.
@pytest.mark.parametrize(
    ("more", "colour", "right"),
    [
        (ACESCG, "ACEScg (AP1)", (0.6342, 0.3153, 0.2173)),
        (attribute("colorInteropID", "string", b"lin_ap1_scene"), "ACEScg (AP1)", (0.6342, 0.3153, 0.2173)),
        (attribute("oiio:ColorSpace", "string", b"ACEScg"), "ACEScg (AP1)", (0.6342, 0.3153, 0.2173)),
        (REC709, "", (0.5371, 0.3492, 0.2478)),
        (b"", "", (0.5371, 0.3492, 0.2478)),
    ],
    ids=["ACEScg", "interop", "oiio", "BT.709", "none"],
)
def test_light_of_other_primaries_becomes_that_of_bt709(
    more: bytes, colour: str, right: tuple[float, float, float]
) -> None:
    light = {"R": 0.25, "G": 0.1, "B": 0.05}
    found = read_layer(put(exr_bytes({n: np.full((3, 4), v) for n, v in light.items()}, FLOAT, more=more)))
    assert found.notes == ((f"colours of {colour}: converted to sRGB",) if colour else ())
    assert found.picture[1, 1] / 65535 == pytest.approx(right, abs=5e-4)
    white = read_layer(put(exr_bytes(dict.fromkeys("RGB", np.ones((3, 4))), FLOAT, more=more)))
    assert white.picture.min() >= 65530


def test_primaries_without_a_name_are_converted_and_broken_ones_refused() -> None:
    picture = dict.fromkeys("RGB", np.full((3, 4), 0.5))
    assert read_layer(put(exr_bytes(picture, more=ODD))).notes == ("colours of other primaries: converted to sRGB",)
    assert "not a picture that can be read" in refused(exr_bytes(picture, more=BROKEN))


SLOPE = np.linspace(2, 50, 20).reshape(4, 5)


def blender() -> bytes:
    """The layers of Blender's multilayer files, depth with its 1e10 where nothing is."""
    depth = SLOPE.copy()
    depth[0, 0] = 1e10
    layers = {f"ViewLayer.Combined.{c}": np.full((4, 5), v) for c, v in zip("RGBA", (0.5, 0.2, 0.1, 1), strict=True)}
    layers |= {f"ViewLayer.Normal.{c}": np.full((4, 5), v) for c, v in zip("XYZ", (-1, 0, 0.5), strict=True)}
    return exr_bytes(layers | {"ViewLayer.Depth.Z": depth, "ViewLayer.Mist.Z": SLOPE / 50}, FLOAT)


def view(text: str, data: bytes) -> Still:
    return read_layer(put(data), PictureView.parse(text, Path("a.exr")))


def test_layers_are_named_or_the_picture_is_taken() -> None:
    data = blender()
    assert view("", data).notes[0].startswith("its layer ViewLayer.Combined is read; a # names another")
    assert view("", data).picture[1, 1] / 65535 == pytest.approx([*srgb_code(np.array([0.5, 0.2, 0.1])), 1], abs=1e-3)
    for name in ("ViewLayer.Depth", "Depth", "depth.z", "ViewLayer.Depth.Z"):
        assert view(name, data).values == pytest.approx((2 + 48 / 19, 50))
    assert (view("Depth", data).picture[0, 0] == 65535).all()
    assert view("normal", data).picture[1, 1] / 65535 == pytest.approx([0, 0.5, 0.75], abs=1e-4)
    assert view("Mist", data).picture[3, 4, 0] == 65535
    with pytest.raises(MediaError, match=r"no layer 'Dep' in it — it has ViewLayer.Combined, ViewLayer.Depth, View"):
        view("Dep", data)


def test_parts_are_layers() -> None:
    beauty = {c: np.full((4, 5), v) for c, v in zip("RGB", (0.5, 0.2, 0.1), strict=True)}
    data = multipart_bytes({"beauty": beauty, "depth": {"Z": SLOPE}, "n": {f"N.{c}": SLOPE / 50 for c in "XYZ"}})
    assert view("", data).picture[1, 1] / 65535 == pytest.approx(srgb_code(np.array([0.5, 0.2, 0.1])), abs=1e-3)
    assert view("depth", data).picture[..., 0] / 65535 == pytest.approx((SLOPE - 2) / 48, abs=1e-4)
    assert view("N", data).picture[..., 2] / 65535 == pytest.approx(SLOPE / 50, abs=1e-4)
    refused(data[:-1])


def test_a_fixed_range_is_kept_and_makes_data_of_light() -> None:
    for data in (exr_bytes({"Z": SLOPE}, FLOAT), exr_bytes(dict.fromkeys("RGB", SLOPE), FLOAT)):
        found = view("=0..100", data)
        assert found.picture[..., 1] / 65535 == pytest.approx(SLOPE / 100, abs=1e-4)
        assert found.values == pytest.approx((2, 50))
    bright = view("", exr_bytes(dict.fromkeys("RGB", SLOPE), FLOAT))
    assert "most of its light is above 1" in bright.notes[0]
    assert view("", exr_bytes(dict.fromkeys("RGB", SLOPE / 60), FLOAT)).notes == ()
    assert str(PictureView.parse("Depth=0.5..80", Path())) == "Depth=0.5..80"
    for text in ("=1..1", "=2", "=a..b", "=0..inf"):
        with pytest.raises(MediaError, match="is not a range of values"):
            PictureView.parse(text, Path("a.exr"))


def refused(data: bytes) -> str:
    with pytest.raises(MediaError) as failure:
        read_exr(put(data))
    told = str(failure.value)
    assert told.startswith("a.exr: ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize(("origin", "channels"), [((100, 50), "RGB"), ((-3, -2), "Y"), ((0, 4), "Z")])
def test_a_display_window_may_begin_anywhere(origin: tuple[int, int], channels: str) -> None:
    """As crops and pictures of stitched cameras have it; FFmpeg takes its places for those in the picture."""
    (x, y), ramp = origin, np.linspace(0.1, 0.9, 48).reshape(6, 8)
    planes = {name: ramp * 0.8**number for number, name in enumerate(channels)}
    Path("a.exr").write_bytes(exr_bytes(planes))
    Path("b.exr").write_bytes(exr_bytes(planes, stored=(x, y, x + 7, y + 5)))
    assert np.array_equal(read_picture(Path("b.exr")), read_picture(Path("a.exr")))
    Path("c.exr").write_bytes(exr_bytes(planes, stored=(x, y, x + 7, y + 5), shown=(x - 2, y - 1, x + 9, y + 8)))
    shown = read_picture(Path("c.exr"))
    assert shown.shape == (10, 12, 3)
    assert picture_size(Path("c.exr")) == (12, 10)
    assert np.array_equal(shown[1:7, 2:10], read_picture(Path("a.exr")))


@pytest.mark.parametrize(("side", "window"), [((60000, 60000), "stored"), ((67108865, 1), "shown")])
def test_a_huge_picture_is_refused_by_its_header(side: tuple[int, int], window: str) -> None:
    huge = (0, 0, side[0] - 1, side[1] - 1)
    data = exr_bytes({"Y": np.zeros((1, 1))}, **{window: huge})  # type: ignore[arg-type]
    assert "too large" in refused(data)
    with pytest.raises(MediaError, match="too large"):
        picture_size(Path("a.exr"))


def test_a_file_cut_anywhere_is_refused() -> None:
    for data in (encode_exr(noise(40, 20, 3)), exr_bytes(dict.fromkeys("RGB", np.ones((3, 3))))):
        for length in {0, 1, 4, 7, 8, 9, 20, *range(100, len(data), len(data) // 40), len(data) - 1}:
            refused(data[:length])


def test_what_is_no_picture_is_refused_with_the_reason() -> None:
    damaged = bytearray(encode_exr(noise(64, 30, 3) // 4096 * 4096))
    damaged[len(damaged) // 2] ^= 4
    assert "damaged" in refused(bytes(damaged))
    assert "it has the layers a, b" in refused(exr_bytes({n: np.ones((3, 4)) for n in ("a.Z", "b.Z")}))
    assert "whole numbers" in refused(exr_bytes(dict.fromkeys("RGB", np.ones((3, 4))), WHOLE))
    unfinished = bytearray(exr_bytes({"Y": np.ones((3, 4))}))
    table = len(unfinished) - 3 * (8 + 4 * 2) - 3 * 8
    unfinished[table + 8 : table + 16] = bytes(8)
    far = -(1 << 31)
    refused(exr_bytes({"Y": np.zeros((1, 1))}, stored=(9, 9, 9, 9), shown=(far, far, far, far)))
    for data in (bytes(unfinished), b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200), b"\x76\x2f\x31\x01" + bytes(500)):
        refused(data)


def test_headers_of_too_many_entries_are_refused() -> None:
    even = {"Z": SLOPE}
    for more in (attribute("a", "string", b"") * 4096, b"".join(attribute(f"a{i}", "int", b"") for i in range(4096))):
        with pytest.raises(MediaError, match="not a picture"):
            read_header(put(exr_bytes(even, more=more)))
    rows = b"".join(b"c%05d" % i + b"\0" + struct.pack("<4i", HALF, 0, 1, 1) for i in range(40_000)) + b"\0"
    assert len(dict(list_channels(rows))) == 40_000
    with pytest.raises(MediaError, match="not a picture"):
        read_header(put(exr_bytes(even, more=attribute("channels", "chlist", rows))))
    with pytest.raises(MediaError, match="not a picture"):
        read_header(put(multipart_bytes({f"{i}": {"Z": SLOPE[:1, :1]} for i in range(1025)})))


def test_a_table_of_more_chunks_than_lines_is_refused() -> None:
    data = exr_bytes({"Z": SLOPE}, FLOAT)
    begin = read_header(put(data)).end
    first = struct.pack("<Q", begin + 8 * 5)
    longer = data[:begin] + first * 5 + data[begin + 32 :]
    assert "cut short or damaged" in refused(longer)


def written_channels(data: bytes) -> dict[str, np.ndarray]:
    """The channels of a file of zipped lines, (H, W) each, in order."""
    header = read_header(put(data))
    kinds = {name: np.float32 if size == 4 else np.float16 for name, size in header.channels.items()}
    offsets = np.frombuffer(data[header.end : header.end + 8 * header.height], "<u8")
    found: dict[str, list[np.ndarray]] = {name: [] for name in sorted(kinds)}
    length = header.width * sum(header.channels.values())
    for at in map(int, offsets):
        (size,) = struct.unpack("<i", data[at + 4 : at + 8])
        line = data[at + 8 : at + 8 + size]
        if size < length:
            steps = np.frombuffer(zlib.decompress(line), np.uint8).astype(np.int64)
            ordered = (np.cumsum(np.concatenate([steps[:1], steps[1:] - 128])) & 255).astype(np.uint8)
            halves = np.zeros(length, np.uint8)
            halves[::2], halves[1::2] = ordered[: (length + 1) // 2], ordered[(length + 1) // 2 :]
            line = halves.tobytes()
        for name, rows in found.items():
            share = header.width * header.channels[name]
            rows.append(np.frombuffer(line[:share], kinds[name]))
            line = line[share:]
    return {name: np.stack(rows) for name, rows in found.items()}


def test_mattes_are_layers_and_a_cryptomatte_that_gives_them_back() -> None:
    rng = np.random.default_rng(0)
    mattes = {name: rng.random((5, 7)).astype(np.float32) / 3 for name in ("man", "car", "a-name-of-many-letters-here")}
    mattes["man"][:2] = 0
    data = encode_mattes(mattes)
    manifest = json.loads(data[(at := data.index(b'{"')) : data.index(b"}", at) + 1])
    assert (manifest["man"], manifest["car"]) == ("0380680a", "882071ea")  # MurmurHash3_32 of the package mmh3
    assert b"cryptomatte/3ae39a5/name\0string\0\x0c\0\0\0CryptoObject" in data
    channels = written_channels(data)
    ranks = [(f"CryptoObject0{n}.{a}", f"CryptoObject0{n}.{b}") for n in range(2) for a, b in ("RG", "BA")]
    for name, matte in mattes.items():
        assert np.abs(channels[f"{name}.A"] - matte).max() < 0.001
        own = np.array([int(manifest[name], 16)], np.uint32).view(np.float32)[0]
        assert np.array_equal(sum(np.where(channels[i] == own, channels[s], 0) for i, s in ranks), matte)
    shares = np.stack([channels[share] for _, share in ranks])
    assert (np.diff(shares, axis=0) <= 0).all()  # the largest first
