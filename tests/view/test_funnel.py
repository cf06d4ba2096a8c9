"""The page of a data run: what came in, what each rule took, what was made; never an accuracy of chosen samples."""

import json

from visreason.cli import main
from visreason.view.funnel import MADE, funnels
from visreason.view.runs import RunView


def test_the_page_of_a_data_run_shows_its_funnel_and_what_was_made(tmp_path):
    data, out = tmp_path / "data.jsonl", tmp_path / "run"
    rows = [{"id": f"p{i}", "question": f"What is {i} + 1? <b>", "answer": str(i + 1)} for i in range(13)]
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    words = [f"data={data}", f"out={out}", "teacher=script:tests.factory.replies:teacher", "n=1", "near=null"]
    assert main(["distill", *words]) == 0
    assert main(["report", f"runs={out}", "problems=13"]) == 0
    page = (out / "report" / "index.html").read_text()
    assert "Problems: 13 in, 2 out" in page
    for rule in ("two answers", "image mark", "language", "repetition", "nothing kept"):
        assert f">{rule}<" in page
    assert "accuracy of all" not in page
    assert "+ 1? &lt;b&gt;" in page
    assert "completions right" in page


def test_a_piece_that_cannot_be_read_is_shown_with_its_error_and_every_option_with_its_letter(tmp_path):
    options = [f"option {i}" for i in range(7)]
    asked = {"question": "Which?", "choices": options, "answer": "G", "rule": None}
    rows = [
        {
            "problem": {"id": "good", "question": "Q"},
            "steps": {"questions": [asked]},
            "rule": None,
            "why": "",
        },
        {"problem": {"id": "bad", "question": "Why?", "check": 7}, "steps": {}, "rule": None, "why": ""},
    ]
    (tmp_path / MADE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = RunView("a", manifest={"summary": {"funnel": []}}, folder=tmp_path)
    pieces = {p.problem.id: p for p in funnels([run], 5)[0].pieces}
    assert "(F) option 5\n(G) option 6" in pieces["good"].texts[0][1]
    assert (pieces["bad"].problem.question, pieces["bad"].rule) == ("Why?", "can't be read")
    assert "check" in pieces["bad"].why
