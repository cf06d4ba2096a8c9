"""Comparisons of runs: the same problems, told by more than an id; many runs; what stands in Markdown and CSV."""

import base64
import math
import re
from dataclasses import replace

import pytest

from visreason.record import Completion, Problem, Sample, Score
from visreason.stats import TRIAL_OF, mcnemar
from visreason.store import Run
from visreason.view.comparison import comparisons, protocol_differences
from visreason.view.gallery import MAX_ATTEMPTS, MAX_CHARS, gallery
from visreason.view.numbers import MANY, cards
from visreason.view.plots import smooth
from visreason.view.report import LISTED, write_report
from visreason.view.runs import RunView, load_run
from visreason.view.tables import markdown

FIGURE = {"value": 50.0, "n": 40, "low": 40.0, "high": 60.0}


def sample(name: str, right: bool, question: str = "How many?", text: str = "8", **meta) -> Sample:
    problem = Problem(name, question, answer="7", meta=meta)
    return Sample(problem, Completion(text), Score(float(right), "7", "exact" if right else "wrong"))


def run(label: str, samples: list[Sample], bench: str | None = "b", **summary) -> RunView:
    found = {"bench": bench, "figures": {"ALL": FIGURE}, "headline": ["ALL"], "primary": "ALL", **summary}
    recipe = {"verb": "evaluate", "style": "direct", "bench": bench}
    return RunView(
        label, recipe, samples=samples, manifest={"verb": "evaluate", "summary": found if bench else {}}
    )


def many(n: int, problems: int = 8, **more) -> list[RunView]:
    return [
        run(f"run {k}", [sample(str(i), (i + k) % 3 > 0, **more) for i in range(problems)]) for k in range(n)
    ]


def page(tmp_path, runs: list[RunView]) -> str:
    return write_report(tmp_path / "report", "Title", {r.label: r for r in runs}).read_text()


def test_problems_that_share_nothing_but_their_ids_are_not_compared(tmp_path):
    first = run("a", [sample(str(i), True, "What is in the picture?") for i in range(9)])
    second = run("b", [sample(str(i), False, f"What is {i}?") for i in range(9)])
    (found,) = comparisons([first, second])
    assert (found.differences, found.apart) == ((), ("a and b",))
    assert "Fewer than two problems in common: a and b" in page(tmp_path, [first, second])


def test_a_gain_is_over_the_same_problems_and_not_over_the_same_ids():
    first = run("a", [sample(str(i), True, "What is in the picture?") for i in range(9)], None)
    second = run("b", [sample(str(i), i != 3, f"What is {i}?") for i in range(9)], None)
    assert [c.title for c in cards([first, second])] == ["a: accuracy of all", "b: accuracy of all"]
    assert len(gallery([first, second], 100)) == 18


def test_trials_of_a_pair_count_as_one_problem():
    def trials(right: bool) -> list[Sample]:
        return [
            sample(f"{i}#{k}", right or i > 2, f"Order {k}?", **{TRIAL_OF: str(i)})
            for i in range(9)
            for k in range(9)
        ]

    (found,) = comparisons([run("a", trials(True)), run("b", trials(False))])
    assert (found.differences[0].gain.n, found.differences[0].lost) == (9, ("0", "1", "2"))


@pytest.mark.parametrize(("runs", "pairs"), [(3, 3), (MANY, MANY * (MANY - 1) // 2), (50, 49)])
def test_many_runs_are_compared_with_the_first_alone(runs, pairs):
    (found,) = comparisons(many(runs))
    assert len(found.differences) == pairs
    assert runs <= MANY or {d.first for d in found.differences} == {"run 0"}


def test_a_page_about_fifty_runs_can_be_read(tmp_path):
    text = page(tmp_path, many(50, 12, text="a very long thought " * 5000))
    assert text.count('class="attempt') // 12 <= MAX_ATTEMPTS + 1
    assert 'class="card"' not in text
    assert len(text) < 4_000_000
    assert re.search(r"(not )?right: run \d+, run \d+", text)


def test_a_page_lists_some_of_many_lost_problems_and_the_table_all(tmp_path):
    n = LISTED + 57
    runs = [
        run(label, [sample(f"p{i}", right) for i in range(n)]) for label, right in (("a", True), ("b", False))
    ]
    assert "and 57 more, in comparison.csv" in page(tmp_path, runs)
    assert (tmp_path / "report" / "comparison.csv").read_text().count(",lost,") == n


def test_a_long_text_is_shown_by_both_ends():
    text = f"<think>begin {'x' * 10**6} end</think><answer>7</answer>"
    attempt = gallery([run("a", [sample("p", True, text=text)])], 1)[0].attempts[0]
    shown = attempt.thought or attempt.answer or ""
    assert len(shown) < MAX_CHARS + 100
    assert "begin" in shown
    assert "end" in shown


def test_text_in_markdown_is_no_element_and_no_new_line():
    runs = [
        run(
            label,
            [sample(str(i), True) for i in range(3)],
            protocol={"prompt": {"user": f"<think>\n# {label}"}},
        )
        for label in ("<b>a</b>", "b")
    ]
    found = markdown(comparisons(runs))
    assert "<think>" not in found
    assert "<b>" not in found
    assert "not the same protocol: prompt.user: &lt;think> # &lt;b>a&lt;/b> and &lt;think> # b" in found


def test_more_choices_than_letters_have_numbers(tmp_path):
    problem = Problem("p", "Which?", answer="A", choices=tuple(f"option {i}" for i in range(30)))
    shown = page(tmp_path, [run("a", [Sample(problem, Completion("A"), Score(1.0, "A", "choice"))])])
    assert "<li>(Z) option 25</li>" in shown
    assert "<li>(27) option 26</li>" in shown


def test_an_id_that_is_no_text_for_a_file_is_shown_all_the_same(tmp_path):
    assert "Title" in page(tmp_path, [run("a", [sample("p\ud800", True)])])


def test_token_ids_are_not_held_for_a_page(tmp_path):
    record = Run.open(tmp_path / "r", "evaluate", {})
    long = replace(sample("p", True), completion=Completion("8", token_ids=(1,) * 9, logps=(0.0,) * 9))
    record.append("samples.jsonl", [long])
    (found,) = load_run(tmp_path / "r", "r").samples
    assert (found.completion.text, found.completion.token_ids, found.completion.logps) == ("8", (), ())


def test_mcnemar_of_many_thousand_problems_is_exact():
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1.0
    assert mcnemar(3, 0) == 0.25
    assert mcnemar(15_000, 15_300) == pytest.approx(0.0857, abs=1e-3)  # z = 299 / sqrt(30300), two-sided


def test_charts_of_few_and_of_many_runs_are_pictures(tmp_path):
    for n in (2, 50):
        images = re.findall(r'src="data:image/png;base64,([^"]+)"', page(tmp_path / str(n), many(n)))
        assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)


def test_protocols_differ_where_prompts_could_be_longer():
    asked = [{"asked": {"max_prompt_tokens": n}} for n in (1024, 8192)]
    assert protocol_differences(asked) == ["asked.max_prompt_tokens: 1024 and 8192"]


def test_curves_of_many_training_runs_are_those_of_the_last(tmp_path):
    runs = [RunView(f"run {i}", {"verb": "sft"}, [{"step": 1, "loss": 1.0}]) for i in range(MANY + 3)]
    shown = page(tmp_path, runs)
    assert shown.count('by step">') == MANY
    assert f"The last {MANY} of {MANY + 3} runs" in shown


def test_a_moving_mean_is_that_of_a_plain_loop():
    values = [math.sin(i) * 10 for i in range(1000)]
    half = len(values) // 30
    plain = [sum(w) / len(w) for w in (values[max(0, i - half) : i + half + 1] for i in range(len(values)))]
    assert smooth(values) == pytest.approx(plain, abs=1e-9)
