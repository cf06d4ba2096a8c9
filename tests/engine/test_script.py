import pytest

from visreason.engine import Sampling, connect
from visreason.engine.script import Script
from visreason.errors import DataError, UsageError
from visreason.prompt import messages, style
from visreason.record import Completion, Image, Problem, Sample, Score
from visreason.store import write_records


def ask(question, name="awaker"):
    return messages(Problem("p", question), style(name))


def echo(conversation, i):
    """An answer that names the question and the completion's number."""
    return f"{conversation[-1]['content'][-1]['text']} #{i}"


def test_what_the_system_says_is_no_question(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "Be brief.", "text": "no"}\n')
    system = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    user = {"role": "user", "content": [{"type": "text", "text": "1+1?"}]}
    [[found]] = Script(f"{tmp_path}/a.jsonl").generate([[system, user]], Sampling())
    assert (found.finish, found.model) == ("error", f"script:{tmp_path}/a.jsonl")


def test_a_function_answers_each_completion():
    engine = Script(echo)
    answers = engine.generate([ask("A?"), ask("B?")], Sampling(n=2))
    assert [[c.text for c in g] for g in answers] == [["A? #0", "A? #1"], ["B? #0", "B? #1"]]
    assert {c.model for g in answers for c in g} == {"script:echo"}


def test_a_function_may_give_a_whole_completion():
    cut = Completion("so far", "length", "me", (1, 2), (-0.5, -0.25))
    assert Script(lambda c, i: cut).generate([ask("A?")], Sampling()) == [[cut]]


def test_a_function_is_found_by_its_name():
    engine = connect("script:tests.engine.test_script:echo")
    assert engine.generate([ask("A?")], Sampling())[0][0].text == "A? #0"
    assert engine.name == "script:tests.engine.test_script:echo"


def test_rows_are_replayed_in_order_and_again_from_the_first(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(
        '{"question": "A?", "text": "1"}\n{"question": "A?", "text": "2"}\n{"question": "B?", "text": "3"}\n'
    )
    answers = connect(f"script:{path}").generate([ask("B?"), ask("A?")], Sampling(n=3))
    assert [[c.text for c in g] for g in answers] == [["3", "3", "3"], ["1", "2", "1"]]


def test_samples_of_a_run_are_replayed(tmp_path):
    path = tmp_path / "samples.jsonl"
    write_records(path, [Sample(Problem("a", "A?"), Completion(t), Score(0.0)) for t in ("x", "y")])
    answers = connect(f"script:{path}").generate([ask("A?", "r1_onevision")], Sampling(n=2))
    assert [c.text for c in answers[0]] == ["x", "y"]


def test_a_replay_is_the_recorded_completion_about_the_same_picture(tmp_path):
    here, there = (Problem(i, "How many?", (Image(f"{i}.png", sha256=i * 8),)) for i in ("a", "b"))
    cut = Completion("<think>1", "length", "hf:m", (1, 2), (-0.5, -0.25))
    path = tmp_path / "samples.jsonl"
    write_records(path, [Sample(here, cut, Score(0.0)), Sample(there, Completion("2"), Score(0.0))])
    moved = Problem("c", "How many?", (Image("elsewhere.png", sha256="a" * 8),))
    other = Problem("d", "How many?", (Image("a.png", sha256="d" * 8),))
    asked = [messages(p, style("awaker")) for p in (moved, there, other)]
    first, second, third = connect(f"script:{path}").generate(asked, Sampling())
    assert first == [cut]
    assert second[0].text == "2"
    assert third[0].finish == "error"


def test_a_question_with_marks_of_its_images_is_found_again(tmp_path):
    problem = Problem("a", "In <image1> and\n<image2>, which?", (Image("1.png", "11"), Image("2.png", "22")))
    path = tmp_path / "samples.jsonl"
    write_records(path, [Sample(problem, Completion("this"), Score(0.0))])
    (found,) = connect(f"script:{path}").generate([messages(problem, style("awaker"))], Sampling())
    assert found == [Completion("this", model=f"script:{path}")]


def test_of_two_questions_that_fit_the_longer_is_meant(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"question": "Which?", "text": "1"}\n{"question": "Which? Say why.", "text": "2"}\n')
    answers = connect(f"script:{path}").generate([ask("Which? Say why."), ask("Which?")], Sampling())
    assert [g[0].text for g in answers] == ["2", "1"]


def test_a_question_without_an_answer_is_an_error_of_its_own(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"question": "A?", "text": "1"}\n')
    known, unknown = connect(f"script:{path}").generate([ask("A?"), ask("C?")], Sampling())
    assert (known[0].finish, unknown[0].finish) == ("stop", "error")
    assert "has no answer to" in unknown[0].text


def test_a_row_without_text_is_refused_with_its_line(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"question": "A?", "text": "1"}\n{"question": "A?", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"line 2: expected question and text, found question, answer"):
        connect(f"script:{path}")


@pytest.mark.parametrize(
    "spec", ["script:", "script:nowhere:f", "script:tests.engine.test_script:nothing", "script:json"]
)
def test_what_is_no_function_is_refused(spec):
    with pytest.raises(UsageError, match=r"expected a FILE.jsonl or a function at"):
        connect(spec)


def test_an_object_that_can_not_be_called_is_refused():
    with pytest.raises(UsageError, match=r"expected a FILE.jsonl or a function at 'sys:path', found list"):
        connect("script:sys:path")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="none that can be read"):
        connect(f"script:{tmp_path / 'nothing.jsonl'}")
