import hashlib

import PIL.Image
import pytest

from visreason.errors import DataError
from visreason.prompt import image_record, open_image
from visreason.prompt.images import ORIENTATION, verify_pixels
from visreason.record import Image


@pytest.fixture
def save(tmp_path):
    """Saves a picture and gives its path."""

    def saved(picture, name="a.png", **options):
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return saved


def noise(size=(64, 48), mode="RGB"):
    return PIL.Image.effect_noise(size, 80).convert(mode)


def test_a_record_holds_hash_and_size(save):
    path = save(noise())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert image_record(path) == Image(str(path), digest, (64, 48))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA"])
def test_every_mode_opens_as_rgb(save, mode):
    opened = open_image(image_record(save(noise(mode=mode))))
    assert (opened.mode, opened.size) == ("RGB", (64, 48))


def test_cmyk_opens_as_rgb(save):
    assert open_image(image_record(save(PIL.Image.new("CMYK", (8, 8)), "a.jpg"))).getpixel((0, 0)) > (
        250,
        250,
        250,
    )


def test_sixteen_bit_grey_keeps_its_tones(save):
    path = save(PIL.Image.new("I;16", (8, 8), 128 * 256))
    assert open_image(image_record(path)).getpixel((0, 0)) == (128, 128, 128)


def test_sixteen_bits_in_wider_numbers_keep_their_tones(save):
    path = save(PIL.Image.new("I", (8, 8), 40000), "a.tiff")
    with PIL.Image.open(path) as wide:
        assert wide.mode == "I"
    assert open_image(image_record(path)).getpixel((0, 0)) == (156, 156, 156)


@pytest.mark.parametrize(("mode", "number"), [("F", 0.5), ("I", -1), ("I", 70000)])
def test_numbers_that_are_no_tones_are_refused(save, mode, number):
    path = save(PIL.Image.new(mode, (8, 8), number), "a.tiff")
    with pytest.raises(DataError, match=r"expected tones of 8 or 16 bits in .*a.tiff, found numbers from"):
        open_image(image_record(path))


def test_transparency_lies_over_white(save):
    clear = PIL.Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert open_image(image_record(save(clear))).getpixel((0, 0)) == (255, 255, 255)
    palette = PIL.Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 255])
    assert open_image(image_record(save(palette, "p.png", transparency=0))).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


def test_a_turned_photograph_stands_upright(save):
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    for name in ("a.jpg", "a.tif", "a.webp", "a.png"):
        record = image_record(save(noise(), name, exif=exif))
        assert (name, record.size) == (name, (48, 64))
        assert open_image(record).size == (48, 64)


def test_a_mark_behind_the_pixels_turns_them_as_well(save):
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    path = save(noise(), "a.png", exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    path.write_bytes(content[:start] + content[end:-12] + content[start:end] + content[-12:])
    assert image_record(path).size == open_image(image_record(path)).size == (48, 64)


def test_the_first_frame_of_an_animation_is_shown(save):
    frames = [PIL.Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    path = save(frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(image_record(path)).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no file"), (b"", "0 bytes"), (b"<html>not found</html>", "none or too large")],
)
def test_files_that_are_no_images_are_refused(tmp_path, content, found):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    for act in (lambda: image_record(path), lambda: open_image(Image(str(path)))):
        with pytest.raises(DataError, match=found):
            act()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp"])
def test_a_truncated_file_is_found(save, name):
    path = save(noise((200, 200)), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a\.\w+"):
        verify_pixels(image_record(path))
    with pytest.raises(DataError, match=r"a\.\w+"):
        open_image(Image(str(path)))


def test_a_whole_file_passes(save):
    for name in ("a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tiff"):
        verify_pixels(image_record(save(noise(), name)))


def test_a_strip_is_refused_as_qwens_processors_would(save):
    assert image_record(save(PIL.Image.new("L", (200, 1)))).size == (200, 1)
    with pytest.raises(DataError, match="1 x 4000"):
        image_record(save(PIL.Image.new("L", (1, 4000))))


def test_a_decompression_bomb_is_refused(save, monkeypatch):
    path = save(noise((300, 300)))
    monkeypatch.setattr("visreason.prompt.images.MAX_PIXELS", 80_000)
    with pytest.raises(DataError, match="300 x 300"):
        image_record(path)
    for pillows in (50_000, 40_000):  # twice the bound is an error of Pillow's, once a warning
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", pillows)
        with pytest.raises(DataError, match="too large"):
            image_record(path)


def test_bytes_broken_anywhere_end_in_a_data_error_or_a_picture(save):
    for name in ("a.png", "a.jpg", "a.gif", "a.webp", "a.tiff"):
        path = save(noise((40, 40)), name)
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            try:
                open_image(image_record(path))
            except DataError:
                continue
