"""Ten thousand rows made from a teacher of whom every other dozen of answers is faulty: none is unfit to learn."""

import json
import re

import pytest

from visreason.cli import main
from visreason.store import manifest

PROBLEMS = 20_000


@pytest.mark.slow
@pytest.mark.parametrize("style", ["awaker", "virgo"])
def test_ten_thousand_rows_have_one_answer_whole_marks_and_no_traces(style, tmp_path):
    data, out = tmp_path / "data.jsonl", tmp_path / "run"
    rows = ({"id": f"p{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(PROBLEMS))
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    words = [
        "teacher=script:tests.factory.replies:half_faulty",
        "n=1",
        "near=null",
        "block=512",
        f"style={style}",
    ]
    assert main(["distill", f"data={data}", f"out={out}", *words]) == 0
    made = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert len(made) >= 10_000
    tags = {
        "awaker": r"<think>[^<]+</think>\n<answer>([^<]+)</answer>",
        "virgo": r"<\|begin_of_thought\|>[^<]+<\|end_of_thought\|>\s*<\|begin_of_solution\|>\s*"
        r"\\boxed\{([^{}]+)\}\s*<\|end_of_solution\|>",
    }[style]
    for row in made:
        text = row["completion"]["text"]
        found = re.fullmatch(tags, text)
        assert found, text
        assert found[1] == row["problem"]["answer"]
        assert not re.search("caption|descri|visuali|revised|<image>", text, re.IGNORECASE)
    funnel = manifest(out)["summary"]["funnel"]
    assert [s["in"] - sum(s["dropped"].values()) for s in funnel] == [len(made), len(made)]
