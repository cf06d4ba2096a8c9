import json

from visreason.data.examples import read_examples
from visreason.prompt import style

ROW = {"id": "a", "question": "1 + 1?", "answer": "2", "thought": "one and one"}


def test_rows_of_one_problem_make_one_example_and_another_problem_needs_another_id(tmp_path):
    path = tmp_path / "data.jsonl"
    other = ROW | {"question": "1 + 2?", "answer": "3"}
    path.write_text("".join(json.dumps(r) + "\n" for r in (ROW, ROW, other)))
    rejected: list = []
    (example,) = read_examples(path, style("awaker"), rejected)
    assert len(example.completions) == 2
    assert example.problem.answer == "2"
    assert [(r["line"], r["row"]["answer"]) for r in rejected] == [(3, "3")]
    assert "expected another problem to have another id, found 'a' again" in rejected[0]["reason"]
