import PIL.Image
import pytest

from tests.model.world import STYLE
from visreason import cli

REPLAY = '{"question": "How many?", "text": "<think>One, two.</think>\\n<answer>2</answer>"}\n'


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.effect_noise((60, 40), 80).save(path)
    return path


def ask(capsys, *words):
    """Exit status, what was printed and the error."""
    device = [] if any(str(w).startswith("model=script:") for w in words) else ["device=cpu"]
    status = cli.main(["ask", *device, *map(str, words)])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_thought_and_answer_are_shown_apart(tmp_path, picture, capsys):
    (tmp_path / "answers.jsonl").write_text(REPLAY)
    words = [
        f"model=script:{tmp_path}/answers.jsonl",
        "question=How many?",
        f"image={picture}",
        f"style={STYLE}",
    ]
    status, out, _ = ask(capsys, *words)
    assert status == 0
    thought, answer = out.index("thought"), out.index("answer")
    assert thought < out.index("One, two.") < answer < out.index("2", answer)
    assert "<think>" not in out


def test_an_answer_without_a_thought_is_shown_alone(tmp_path, capsys):
    (tmp_path / "answers.jsonl").write_text('{"question": "1 + 1?", "text": "2 [of [them]]"}\n')
    status, out, _ = ask(capsys, f"model=script:{tmp_path}/answers.jsonl", "question=1 + 1?", "style=direct")
    assert status == 0
    assert "thought" not in out
    assert "2 [of [them]]" in out


def test_several_pictures_and_choices_reach_the_model(tmp_path, picture, capsys, monkeypatch):
    seen = []

    def answer(conversation, i):
        seen.append(conversation)
        return "B"

    monkeypatch.setattr("tests.verbs.answers.mixed", answer)
    words = [
        "model=script:tests.verbs.answers:mixed",
        "question=Which?",
        f"image=[{picture}, {picture}]",
        "style=direct",
    ]
    assert ask(capsys, *words, "choices=[red, blue]")[0] == 0
    parts = seen[0][-1]["content"]
    assert [p["type"] for p in parts] == ["image", "image", "text"]
    assert parts[0]["image"].size == (60, 40)
    assert "(A) red\n(B) blue" in parts[-1]["text"]


def test_a_model_answers_about_a_picture(world, drawn, capsys):
    words = [
        f"model=hf:{world}/small",
        "question=How many?",
        f"image={drawn[0].images[0].path}",
        f"style={STYLE}",
    ]
    status, out, err = ask(capsys, *words, "max_completion_tokens=5")
    assert (status, err) == (0, "")
    assert "answer" in out
    assert "cut off after 5 tokens; raise max_completion_tokens" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no file"),
        (b"", "found an empty file (0 bytes)"),
        (b"GIF89a", "found a file that is none"),
        ("half", "can't be decoded"),
        ("strip", "found 1 x 4000"),
    ],
)
def test_a_broken_picture_is_a_paragraph(world, tmp_path, picture, capsys, content, message):
    if content is None:
        picture.unlink()
    elif content == "strip":
        PIL.Image.new("RGB", (1, 4000)).save(picture)
    else:
        picture.write_bytes(picture.read_bytes()[:400] if content == "half" else content)
    status, _, err = ask(capsys, f"model={world}/small", "question=How many?", f"image={picture}")
    assert status == 1
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["question=What?"], 2, "model is needed"),
        (["model=x"], 2, "question is needed"),
        (["model=x", "question=What?", "colour=red"], 2, "unknown field 'colour'"),
        (
            ["model=no/model/here", "question=What?"],
            1,
            "expected a model or a run at no/model/here, found nothing there",
        ),
        (["model={world}/small", "question=What <|image_pad|>?"], 1, "control token"),
        (["model={world}/small", "question=What <image1>?"], 1, "expected an image for every mark"),
        (["model=http://localhost:1/v1", "question=What?"], 2, "device has no effect"),
        (["model=script:a.jsonl", "question=What?", "max_pixels=900"], 2, "max_pixels has no effect"),
    ],
)
def test_wrong_words_are_a_paragraph(world, capsys, words, status, message):
    found, _, err = ask(capsys, *(w.format(world=world) for w in words))
    assert found == status
    assert message in err
    assert "Traceback" not in err


def test_a_prompt_over_the_budget_is_a_paragraph(world, capsys):
    status, _, err = ask(capsys, f"model={world}/small", f"question={'What is this? ' * 3000}")
    assert status == 1
    assert "the budget is 8192" in err
