"""Self-contained HTML views of results: videos, pictures, pages and datasets, scaled to fit a notebook.

All files are embedded, so that a notebook can be moved and converted. A file that cannot be read gives an error text.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vidtrans import OpenedClip, open_clip, open_dataset, write_clip
from vidtrans.core.errors import VidtransError
from vidtrans.video.images.picture import encode_jpeg, read_picture, resize
from vidtrans.video.io.picture_paths import is_picture
from vidtrans.video.plots import cell_size
from vidtrans.video.report_page import load_page

MAX_FILM_SIDE_PX, MAX_PICTURE_SIDE_PX = 640, 1280  # Maximum long side of embedded videos and pictures, in pixels
MAX_FILM_S = 10  # Maximum duration of an embedded video, in seconds
NUM_DATASET_ROWS = 4  # Number of pairs that the view of a dataset shows
JPEG_QUALITY = 90  # JPEG quality of embedded pictures, 0 to 100


def text_view(text: str) -> str:
    """Return preformatted text as HTML."""
    return _page("text", text=text)


def file_view(path: Path) -> str:
    """Return the HTML view of a picture, a video, a folder of pictures or an HTML page."""
    if path.suffix.lower() == ".html":
        try:
            return _page("page", name=path.name, html=path.read_text("utf-8"))
        except OSError as error:
            return text_view(f"{path}: {error}")
    return film_view(path)


def dataset_view(folder: Path) -> str:
    """Return the HTML view of a few pairs of a dataset, with input beside target."""
    try:
        dataset = open_dataset(folder)
        sheet = dataset.sheet(NUM_DATASET_ROWS) if len(dataset) else None
    except VidtransError as error:
        return text_view(str(error))
    return "" if sheet is None else _page("picture", name=folder.name, data=_jpeg(sheet))


def film_view(output: Path, source: str | Path | None = None, part: Sequence[int] | None = None) -> str:
    """Return the HTML view of a clip, picture or folder of pictures; with a ``source``, as a before/after wipe.

    ``part``: the frames [first, stop) of the source. Shows at most ``MAX_FILM_S`` seconds, with sound.
    """
    try:
        embedded = [_embed_clip(output, None)]
    except VidtransError as error:
        return text_view(str(error))
    if source is not None:
        with suppress(VidtransError):  # The source was moved, or read from a pipe.
            embedded.insert(0, _embed_clip(Path(source), part))
    is_wipe = len(embedded) == 2 and embedded[0][0] == embedded[1][0]
    kind, _ = embedded[-1]
    return _page(
        "film", name=output.name, kind=kind, data=[data for _, data in embedded] if is_wipe else [embedded[-1][1]]
    )


def _embed_clip(path: Path, part: Sequence[int] | None) -> tuple[str, str]:
    """Return the HTML element, 'img' or 'video', and the data URI of a clip's beginning.

    ``part``: the frames [first, stop) to show; None: all. Raises MediaError, UsageError.
    """
    if path.is_file() and is_picture(path):
        return "img", _jpeg(read_picture(path))
    with TemporaryDirectory(prefix="vidtrans-") as folder, open_clip(path, cache_dir=Path(folder) / "cache") as clip:
        part_clip = clip[part[0] : part[1]] if part is not None else clip
        if len(part_clip) == 1:
            return "img", _jpeg(part_clip[0].rgb)
        film = Path(folder) / "film.mp4"
        _write_small(part_clip, film)
        return "video", _data_uri("video/mp4", film.read_bytes())


def _write_small(clip: OpenedClip, path: Path) -> None:
    """Write the first seconds of a clip as a small MP4 video."""
    begin = clip.times[0]
    embedded = clip[: sum(time - begin < MAX_FILM_S for time in clip.times)]
    width, height = cell_size(embedded[0].rgb, min(MAX_FILM_SIDE_PX, max(clip.size)))
    width, height = (max(2, side // 2 * 2) for side in (width, height))  # H.264 needs even sides.
    write_clip((resize(frame.rgb, width, height) for frame in embedded), path, like=embedded)


def _jpeg(picture: np.ndarray) -> str:
    """Return a picture, scaled down, as the data URI of a JPEG."""
    small = resize(picture[..., :3], *cell_size(picture, min(MAX_PICTURE_SIDE_PX, max(picture.shape[:2]))))
    return _data_uri("image/jpeg", encode_jpeg(small, JPEG_QUALITY, subsampled=True))


def _data_uri(kind: str, data: bytes) -> str:
    """Return data as a base64 data URI. ``kind``: its media type, such as "image/jpeg"."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _page(template: str, **values: object) -> str:
    """Return the HTML of one of the views in the template ``views.html``. ``template``: the view's name."""
    return load_page(Path(__file__).with_name("views.html")).render(view=template, **values)
