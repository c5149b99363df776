"""Results as HTML that needs no other file: videos, pictures, pages and datasets, at the size of a page.

Everything is embedded, so that a notebook can be moved and converted. What cannot be read any more is named.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vidtrans.core.errors import VidtransError
from vidtrans.data.dataset import open_dataset
from vidtrans.evaluation.contact_sheet import dataset_sheet
from vidtrans.library.opened_clip import OpenedClip, open_clip, write_clip
from vidtrans.video.images.picture import encode_jpeg, read_picture, resize
from vidtrans.video.io.picture_paths import is_picture
from vidtrans.video.plots import cell_size
from vidtrans.video.report_page import load_page

FILM_SIDE, PICTURE_SIDE = 640, 1280  # pixels on the long side
FILM_SECONDS = 10
DATASET_ROWS = 4
JPEG_QUALITY = 90


def text_view(text: str) -> str:
    """Return text as it is printed."""
    return _page("text", text=text)


def file_view(path: Path) -> str:
    """Return a picture, a video, a folder of pictures or a page, shown in place."""
    if path.suffix.lower() == ".html":
        try:
            return _page("page", name=path.name, html=path.read_text("utf-8"))
        except OSError as error:
            return text_view(f"{path}: {error}")
    return film_view(path)


def picture_view(picture: np.ndarray, name: str) -> str:
    """Return a picture, (H, W, 3) uint8 RGB, scaled down to the size of a page. ``name``: for those who see none."""
    return _page("picture", name=name, data=_jpeg(picture))


def dataset_view(folder: Path) -> str:
    """Return a few pairs of a dataset: input beside target."""
    try:
        dataset = open_dataset(folder)
        return picture_view(dataset_sheet(dataset, DATASET_ROWS).draw(), folder.name) if dataset.pairs else ""
    except VidtransError as error:
        return text_view(str(error))


def film_view(output: Path, source: str | Path | None = None, part: Sequence[int] | None = None) -> str:
    """Return a clip, a picture or a folder of pictures; with its ``source`` before and after, divided by a wipe.

    ``part``: the frames [first, stop) of the source. At most ``FILM_SECONDS`` are shown, with sound.
    """
    try:
        shown = [_embedded(output, None)]
    except VidtransError as error:
        return text_view(str(error))
    if source is not None:
        with suppress(VidtransError):  # it was moved, or came through a pipe
            shown.insert(0, _embedded(Path(source), part))
    is_wipe = len(shown) == 2 and shown[0][0] == shown[1][0]
    kind, _ = shown[-1]
    return _page("film", name=output.name, kind=kind, data=[data for _, data in shown] if is_wipe else [shown[-1][1]])


def _embedded(path: Path, part: Sequence[int] | None) -> tuple[str, str]:
    """Return 'img' or 'video', and the data URI of a clip's first seconds. Raises MediaError, UsageError."""
    if path.is_file() and is_picture(path):
        return "img", _jpeg(read_picture(path))
    with TemporaryDirectory(prefix="vidtrans-") as folder, open_clip(path, cache_dir=Path(folder) / "cache") as clip:
        own = clip[part[0] : part[1]] if part is not None else clip
        if len(own) == 1:
            return "img", _jpeg(own[0].rgb)
        film = Path(folder) / "film.mp4"
        _write_small(own, film)
        return "video", _data_uri("video/mp4", film.read_bytes())


def _write_small(clip: OpenedClip, path: Path) -> None:
    begin = clip.times[0]
    shown = clip[: sum(time - begin < FILM_SECONDS for time in clip.times)]
    width, height = cell_size(shown[0].rgb, min(FILM_SIDE, max(clip.size)))
    width, height = (max(2, side // 2 * 2) for side in (width, height))  # as H.264 needs it
    write_clip((resize(frame.rgb, width, height) for frame in shown), path, like=shown)


def _jpeg(picture: np.ndarray) -> str:
    small = resize(picture[..., :3], *cell_size(picture, min(PICTURE_SIDE, max(picture.shape[:2]))))
    return _data_uri("image/jpeg", encode_jpeg(small, JPEG_QUALITY, subsampled=True))


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _page(template: str, **values: object) -> str:
    return load_page(Path(__file__).with_name("views.html"), {}).render(view=template, **values)
