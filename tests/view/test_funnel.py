"""The page of a data run: what came in, what each rule took, what was made; never an accuracy of chosen samples."""

import json

from visreason.cli import main


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
