"""Pictures on disk: described by hash and size, checked, and opened as RGB. Nothing is resized here."""

import base64
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
from PIL import ImageOps

from visreason.errors import DataError
from visreason.record import Image

MAX_ASPECT = 200
"""Longest side over shortest; Qwen's image processors refuse more."""
MAX_PIXELS = 89_478_485
"""Pillow's own bound for a file that could be a decompression bomb (a quarter gigabyte as RGB)."""
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag, and its values that swap width and height."""
ENDINGS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}
"""File names' endings that are not the format's own name."""
NOT_DECODED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    PIL.Image.DecompressionBombError,
    PIL.Image.DecompressionBombWarning,
)
"""What Pillow raises for broken files: which one depends on the format and on where the file breaks."""


def ending(content: bytes) -> str | None:
    """The ending of a file name for a picture's bytes, told by their header; None for what is no picture.

    >>> PIL.Image.new("L", (1, 1)).save(made := io.BytesIO(), "GIF")
    >>> ending(made.getvalue()), ending(b"hello")
    ('.gif', None)
    """
    try:
        with PIL.Image.open(io.BytesIO(content)) as picture:
            name = picture.format or ""
    except NOT_DECODED:
        return None
    return ENDINGS.get(name, f".{name.lower()}")


def image_record(path: Path | str) -> Image:
    """The record of a file: sha256, and (width, height) as it is shown. Reads the header, not the pixels.

    Raises DataError for a file that is missing, empty, not an image, too large or more than 200 times longer than wide.
    """
    with _opened(str(path)) as picture:
        size = _shown_size(str(path), picture)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Image(str(path), digest, size)


def open_image(image: Image) -> PIL.Image.Image:
    """The picture as RGB, turned as its EXIF says, transparency over white, first frame of several.

    Raises DataError like `image_record`, for a file that breaks off or can't be decoded, and for numbers that are no
    tones of grey.
    """
    with _opened(image.path) as picture:
        try:
            picture.load()
            return _rgb(image.path, ImageOps.exif_transpose(picture))
        except NOT_DECODED as e:
            raise _broken(image.path, e) from e


def data_url(image: Image) -> str:
    """The picture in a URL, for servers: the file as it is where any reader sees `open_image`'s pixels, else a PNG.

    Raises DataError like `open_image`.
    """
    with _opened(image.path) as picture:
        kind = (picture.format or "").lower()
        plain = kind in ("png", "jpeg") and picture.mode == "RGB" and "transparency" not in picture.info
        plain = plain and "exif" not in picture.info
    if plain:
        content = Path(image.path).read_bytes()
    else:
        kind, buffer = "png", io.BytesIO()
        open_image(image).save(buffer, "png")
        content = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def verify_pixels(image: Image) -> None:
    """Decode the file to its end, JPEGs at an eighth of their size, which is several times faster. Raises DataError."""
    with _opened(image.path) as picture:
        try:
            picture.draft("RGB", (max(1, picture.width // 8), max(1, picture.height // 8)))
            picture.load()
        except NOT_DECODED as e:
            raise _broken(image.path, e) from e


@contextmanager
def _opened(path: str) -> Iterator[PIL.Image.Image]:
    """The file opened by its header, if that says it is an image of a reasonable shape."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"expected an image at {path}, found no file; correct the path or fetch the images")
    if file.stat().st_size == 0:
        raise DataError(f"expected an image at {path}, found an empty file (0 bytes); fetch it again")
    try:
        picture = PIL.Image.open(file)
    except NOT_DECODED as e:
        raise DataError(
            f"expected an image at {path}, found a file that is none or too large ({e}); replace it"
        ) from e
    with picture:
        _check_shape(path, *picture.size)
        yield picture


def _check_shape(path: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(
            f"expected at most {MAX_PIXELS:,} pixels, found {width} x {height} in {path}; shrink it first"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(
            f"expected a longest side of at most {MAX_ASPECT} times the shortest, found {width} x {height} in {path}; "
            "crop or pad it"
        )


def _shown_size(path: str, picture: PIL.Image.Image) -> tuple[int, int]:
    width, height = picture.size
    if picture.format == "TIFF":
        return width, height  # as it is shown already
    if picture.format == "PNG" and "exif" not in picture.info and b"eXIf" not in Path(path).read_bytes():
        return width, height  # Pillow would decode the whole file to look for EXIF behind the pixels
    try:
        turned = picture.getexif().get(ORIENTATION) in SIDEWAYS
    except NOT_DECODED as e:
        raise _broken(path, e) from e
    return (height, width) if turned else (width, height)


def _rgb(path: str, picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode in ("I", "F"):
        low, high = map(float, picture.getextrema())  # type: ignore[arg-type]  # of one band
        if picture.mode == "F" or low < 0 or high >= 1 << 16:
            raise DataError(
                f"expected tones of 8 or 16 bits in {path}, found numbers from {low:g} to {high:g} of which none says "
                "what is black and what is white; save it as PNG first"
            )
    if picture.mode[0] == "I":  # convert() would clip 16-bit grey to white
        picture = picture.point(lambda v: v / 256).convert("L")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", picture.size, "white")
        return PIL.Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def _broken(path: str, error: Exception) -> DataError:
    return DataError(
        f"expected a whole image at {path}, found one that can't be decoded ({error}); fetch it again"
    )
