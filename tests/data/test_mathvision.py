from tests.data.shared import shared
from visreason.data import read_problems
from visreason.prompt import STYLES, messages


def test_testmini_is_read_whole():
    rejected = []
    problems = read_problems(shared("data/mathvision/data/testmini.jsonl"), rejected, need_answer=True)
    assert (len(problems), rejected) == (304, [])
    by_id = {p.id: p for p in problems}
    assert by_id["4"].answer == "6"
    assert by_id["4"].images[0].size == (304, 290)
    assert by_id["6"].choices == ("A", "B", "C", "D", "E")
    assert by_id["6"].meta == {"level": 3, "subject": "logic"}
    for problem in problems:
        content = messages(problem, STYLES["awaker"])[-1]["content"]
        assert sum(part["type"] == "image" for part in content) == 1


def test_problems_whose_images_are_not_there_are_kept_aside():
    rejected = []
    problems = read_problems(shared("data/mathvision/data/test.jsonl.gz"), rejected)
    assert len(problems) + len(rejected) == 3040
    assert all("found no file" in r["reason"] for r in rejected)
