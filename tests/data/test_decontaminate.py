import PIL.Image
import PIL.ImageDraw

from visreason.data.decontaminate import overlaps, without
from visreason.record import Image, Problem

LONG = "A farmer has {n} sheep and sells a third of them on Monday and a quarter of the rest on Tuesday."


def drawing(path, seed, size=(300, 200), quality=None):
    picture = PIL.Image.new("RGB", (300, 200), "white")
    pen = PIL.ImageDraw.Draw(picture)
    for i in range(6):
        x, y = (37 * i * seed) % 250, (53 * i + 29 * seed) % 150
        pen.rectangle(
            (x, y, x + 20 + 7 * seed % 40, y + 30), outline="black", width=4, fill=("red", "navy")[i % 2]
        )
    picture.resize(size).save(path, **({"quality": quality} if quality else {}))
    return Image(str(path))


def test_a_picture_is_found_again_smaller_and_recompressed_and_others_are_not(tmp_path):
    theirs = [Problem(f"b{i}", "", (drawing(tmp_path / f"b{i}.png", i),)) for i in (1, 2, 3)]
    again = Problem("again", "", (drawing(tmp_path / "again.jpg", 2, (210, 140), 40),))
    other = Problem("other", "", (drawing(tmp_path / "other.png", 7),))
    missing = Problem("missing", "", (Image(str(tmp_path / "none.png")),))
    found = overlaps([again, other, missing], theirs)
    assert [(o.id, o.benchmark_id, o.kind) for o in found] == [("again", "b2", "picture")]
    assert [p.id for p in without([again, other], found)] == ["other"]


def test_blank_pictures_and_short_questions_meet_nothing(tmp_path):
    PIL.Image.new("RGB", (90, 90), "white").save(tmp_path / "blank.png")
    blank = [Problem(name, "Find x.", (Image(str(tmp_path / "blank.png")),)) for name in ("a", "b")]
    assert overlaps(blank[:1], blank[1:]) == []


def test_a_question_is_found_again_with_other_words_around_it():
    theirs = [Problem("b", LONG.format(n=12) + " How many sheep are left?")]
    mine = [Problem("same", "<image> " + LONG.format(n=12).upper()), Problem("other", LONG.format(n=99)[:40])]
    found = overlaps(mine, theirs, pictures=False)
    assert [(o.id, o.benchmark_id, o.kind) for o in found] == [("same", "b", "question")]
    assert found[0].likeness > 0.9
