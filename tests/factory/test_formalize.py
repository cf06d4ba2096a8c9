"""Formalizing: the kind decides the form, broken forms are asked for again, pictures are read and boxed."""

import json

import PIL.Image
import PIL.ImageDraw
import pytest

from tests.factory.replies import said
from visreason.cli import main
from visreason.engine.script import Script
from visreason.errors import DataError
from visreason.factory import formalize as making
from visreason.factory.ocr import Reader
from visreason.record import Image, Problem
from visreason.store import manifest, read_records

TABLE = "```csv\ncolor,value\nred,4\nblue,7\n```"
GOOD = f"Two bars.\n{TABLE}\n```python\nimport matplotlib.pyplot as plt\nplt.bar([1], [2])\n```"
DESCRIPTIONS = {
    "chart": ["Two bars.\n```csv\ncolor,value\nred\n```", GOOD],
    "natural": ["A dog.", "A dog by a red ball.\nObjects: a dog, a red ball"],
    "mixed": ["A poster.\nObjects: a poster"],
    "text": ["Total 42"],
    "mathematics": ["A square of side 4. First find the area.\n```logic\nEquals(LengthOf(Line(A,B)),4)\n```"],
    "music": ["Some notes."],
}  # fmt: skip


def describer(conversation, i):
    """Says what kind a picture is by its width, then describes; broken at first, music for ever."""
    shown = next(p["image"] for p in conversation[0]["content"] if p["type"] == "image")
    kind = list(DESCRIPTIONS)[shown.size[0] // 10 - 10]
    if "What kind of picture" in said(conversation):
        return f"I see it.\n{kind}" if "can't be used" in said(conversation) else f"Perhaps {kind} or table."
    found = DESCRIPTIONS[kind]
    return found[-1] if "can't be used" in said(conversation) else found[0]


@pytest.fixture
def data(tmp_path):
    rows = []
    for k, kind in enumerate(DESCRIPTIONS):
        PIL.Image.effect_noise((100 + 10 * k, 60), 60 + k).save(tmp_path / f"{kind}.png")
        rows.append({"id": kind, "question": f"What is in picture {kind}?", "image": f"{kind}.png"})
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def formalized(data, out, *words):
    words = (f"data={data}", f"out={out}", "describer=script:tests.factory.test_formalize:describer", *words)
    assert main(["formalize", *words]) == 0
    return {p.id: p for p in read_records(out / "problems.jsonl", Problem)}


def test_descriptions_have_the_published_forms_and_broken_ones_are_asked_for_again(data, tmp_path):
    found = formalized(data, tmp_path / "run", "ocr=false")
    assert found["chart"].description == f"Description: Two bars.\n{GOOD[10:]}".replace(
        "```python", "```matplotlib"
    )
    assert found["natural"].description == "Description: A dog by a red ball."
    assert found["mixed"].description == "Description: A poster."
    assert found["text"].description == "OCR Result: Total 42"
    assert found["mathematics"].description.startswith("Problem Description and Solution A square of side 4.")
    assert found["chart"].meta["kind"] == "chart"
    assert "music" not in found
    (stage,) = manifest(tmp_path / "run")["summary"]["funnel"]
    assert (stage["in"], stage["dropped"], stage["out"]) == (6, {"description": 1}, 5)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("It is a flow chart.", "flow"),
        ("**Flowchart**", "flow"),
        ("flow-chart", "flow"),
        ("A bar chart.", "chart"),
    ],
)
def test_a_kind_is_read_in_other_words(reply, kind):
    assert making._kind(0, reply) == kind


@pytest.mark.parametrize(
    ("kind", "reply", "parts"),
    [
        ("natural", "A dog.\nObjects:\n- a dog\n- a Red ball.",
         {"caption": "A dog.", "phrases": ["a dog", "a red ball"]}),
        ("natural", "Grass.\n**Objects:** none", {"caption": "Grass.", "phrases": []}),
        ("text", "```text\nTotal 42\n```", {"document": "Total 42"}),
        ("text", "Use `x` so:\n```\nx = 1\n```\nand", {"document": "Use `x` so:\n```\nx = 1\n```\nand"}),
        ("table", "Sums.\n```csv title=a \na,b\n1,2\n```\nThat is all.\n```json\n[1]\n```",
         {"caption": "Sums.\n\nThat is all.", "code": {"csv": "a,b\n1,2", "json": "[1]"}}),
    ],
)  # fmt: skip
def test_a_description_is_taken_apart(kind, reply, parts):
    assert making._parts(kind, reply) == parts


@pytest.mark.parametrize(
    ("kind", "reply"), [("text", ""), ("text", "```\n\n```"), ("natural", "Objects: a dog"), ("music", "")]
)
def test_a_description_that_says_nothing_is_refused(kind, reply):
    with pytest.raises(DataError):
        making._parts(kind, reply)


def test_a_picture_that_boxes_cant_be_found_in_is_dropped_alone(tmp_path):
    PIL.Image.new("F", (60, 40), 0.5).save(tmp_path / "float.tif")
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "plain.png")
    engine = Script(lambda c, i: "natural" if "What kind" in said(c) else "A dog.\nObjects: a dog")
    tools = making.Tools(engine, None, lambda *_: {"a dog": [0.0, 0.0, 9.5, 9.0]}, tmp_path, 100)
    problems = [Problem(n, "Q?", (Image(str(tmp_path / n)),)) for n in ("float.tif", "plain.png")]
    one, two = making.formalize(problems, tools, 0)
    assert (one.rule, two.rule) == ("picture", None)
    assert two.problem.description.endswith("Bounding Box Information: { 'a dog': [0.0, 0.0, 9.5, 9.0] }")


def test_text_is_read_in_its_colours_and_in_reading_order(tmp_path):
    picture = PIL.Image.new("RGB", (640, 200), "white")
    pen = PIL.ImageDraw.Draw(picture)
    for x, y, text in ((20, 23, "first"), (380, 20, "second"), (20, 120, "third")):
        pen.text((x, y), text, fill="black", font_size=40)
    picture.save(tmp_path / "a.png")
    assert [line.text for line in Reader().read(Image(str(tmp_path / "a.png")))] == [
        "first",
        "second",
        "third",
    ]


def test_text_in_a_picture_is_read_with_its_place(tmp_path):
    picture = PIL.Image.new("CMYK", (320, 120), (0, 0, 0, 0))
    PIL.ImageDraw.Draw(picture).text((40, 30), "Total 42", fill=(0, 0, 0, 255), font_size=40)
    picture.save(tmp_path / "a.jpg")
    (line,) = Reader().read(Image(str(tmp_path / "a.jpg")))
    assert line.text == "Total 42"
    assert abs(line.box[0] - 40) < 15
    assert 20 <= line.box[1] <= 50


def test_pictures_of_every_kind_are_described_and_broken_ones_counted(tmp_path):
    frames = [PIL.Image.new("P", (100, 60), i) for i in (0, 1)]
    frames[0].save(tmp_path / "animated.gif", save_all=True, append_images=frames[1:])
    PIL.Image.new("CMYK", (100, 60)).save(tmp_path / "cmyk.jpg")
    PIL.Image.new("RGBA", (100, 60), (0, 0, 0, 0)).save(tmp_path / "transparent.png")
    PIL.Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    (tmp_path / "corrupt.png").write_bytes((tmp_path / "transparent.png").read_bytes()[:60])
    names = ["animated.gif", "cmyk.jpg", "transparent.png", "huge.png", "corrupt.png"]
    rows = [{"id": n, "question": f"What is in {n}?", "image": n} for n in names]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = formalized(path, tmp_path / "run", "ocr=false", "near=null")
    assert list(found) == names[:3]
    (stage,) = manifest(tmp_path / "run")["summary"]["funnel"]
    assert (stage["in"], stage["dropped"], stage["out"]) == (5, {"unreadable": 2}, 3)


@pytest.fixture(scope="module")
def grounding(tmp_path_factory):
    """A Grounding DINO of random weights, small enough to run in a second, as a directory."""
    from transformers import (
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp("dino")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "dog", "red", "ball"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = {"model_type": "bert", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=20,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_text_len=32,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    sizes = {"shortest_edge": 64, "longest_edge": 96}
    GroundingDinoProcessor(GroundingDinoImageProcessor(size=sizes), tokenizer).save_pretrained(folder)
    return folder


def test_boxes_are_found_by_phrase_within_the_picture_and_drawn(grounding, tmp_path):
    from visreason.factory.boxes import Finder, draw

    picture = PIL.Image.effect_noise((96, 64), 80).convert("RGB")
    found = Finder(str(grounding), "cpu").find(picture, ["a dog", "A red ball."], threshold=0.0)
    assert set(found) <= {"a dog", "a red ball"}
    assert found
    assert all(-1 <= v <= 97 and v == round(v, 1) for box in found.values() for v in box)
    draw(picture, found, tmp_path / "boxes" / "a.png")
    assert PIL.Image.open(tmp_path / "boxes" / "a.png").tobytes() != picture.tobytes()


def test_a_path_without_a_model_is_named(tmp_path, capsys, data):
    words = [f"data={data}", f"out={tmp_path / 'run'}", "ocr=false", f"boxes={tmp_path / 'none'}"]
    assert main(["formalize", "describer=script:tests.factory.test_formalize:describer", *words]) == 1
    assert "expected a Grounding DINO model at" in capsys.readouterr().err
