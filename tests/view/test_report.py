"""The report, on small runs made by hand."""

import re
from html.parser import HTMLParser

import PIL.Image
import pytest
from matplotlib.axes import Axes

from visreason import cli
from visreason.errors import RunError
from visreason.record import Completion, Image, Problem, Sample, Score
from visreason.stats import paired
from visreason.store import Run
from visreason.view import ranking
from visreason.view.gallery import MAX_SIDE, data_uri, gallery
from visreason.view.numbers import cards, cells, summary_cards
from visreason.view.plots import curves
from visreason.view.report import write_report
from visreason.view.runs import RunView, load_run

EVALUATE = {"verb": "evaluate", "style": "awaker", "model": "m"}
REASONS = ("numeric", "wrong", "unparsed", "truncated", "errored")


def problem(i: int, **fields) -> Problem:
    meta = {"family": ("bars", "tables")[i % 2], "level": 1 + i % 3}
    return Problem(f"p{i}", f"How many, number {i}?", answer=str(i), meta=meta, **fields)


def sample(i: int, reason: str = "numeric", text: str | None = None, **fields) -> Sample:
    text = f"<think>because {i}</think><answer>{i}</answer>" if text is None else text
    return Sample(problem(i, **fields), Completion(text), Score(1.0, str(i), reason))


def evaluation(label: str, samples: list[Sample]) -> RunView:
    return RunView(label, EVALUATE, samples=samples, manifest={"verb": "evaluate"})


def page(tmp_path, *runs: RunView, **more) -> str:
    return write_report(tmp_path / "report", "Title", {r.label: r for r in runs}, **more).read_text()


class Words(HTMLParser):
    """The text of a page, and the addresses its elements load."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.loads, self.tags = "", [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        self.text += data


def parsed(html: str) -> Words:
    words = Words()
    words.feed(html)
    return words


def test_text_of_models_and_data_is_escaped_wherever_it_stands(tmp_path):
    evil = "<script>alert(1)</script>"
    shown = Problem(
        evil, evil, answer=evil, choices=(evil, "b"), thought=evil, meta={"family": evil, "level": evil}
    )
    attempt = Sample(
        shown, Completion(f"<think>{evil}</think><answer>{evil}</answer>"), Score(0.0, evil, "wrong")
    )
    run = RunView(evil, {**EVALUATE, "model": evil}, [{"step": 1, "loss": 1.0}], [attempt], {"note": evil})
    words = parsed(page(tmp_path, run, intro=evil, summary={evil: evil}))
    assert "script" not in words.tags
    assert words.text.count(evil) >= 10


def test_the_page_loads_nothing_from_outside(tmp_path):
    path = tmp_path / "red.png"
    PIL.Image.new("RGB", (30, 30), "red").save(path)
    run = RunView("a", EVALUATE, [{"step": 1, "loss": 1.0}], [sample(1, images=(Image(str(path)),))])
    words = parsed(page(tmp_path, run))
    assert len(words.loads) == 3  # loss, bars, picture
    assert all(link.startswith("data:image/") for link in words.loads)


def test_counts_on_the_page_add_up(tmp_path):
    samples = [sample(i, reason) for i, reason in enumerate(REASONS * 2 + ("numeric",) * 3)]
    html = page(tmp_path, evaluation("Run one", samples))
    row = re.search(r'<th scope="row">Run one</th>(.*?)</tr>', html).group(1)
    n, *outcomes = [int(x) for x in re.findall(r"<td>(\d+)</td>", row)]
    assert n == sum(outcomes) == 13
    assert outcomes == [5, 2, 2, 2, 2]
    assert "38.5 %" in row  # 5 of 13
    assert "55.6 %" in row  # 5 of the 9 that were completed


@pytest.mark.parametrize("samples", [[], [sample(1)]])
def test_a_run_without_metrics_or_samples_is_shown(tmp_path, samples):
    html = page(tmp_path, evaluation("Bare", samples))
    assert "Bare" in html
    assert "Training" not in parsed(html).text


def test_metrics_that_are_not_finite_are_left_out_of_the_curves(tmp_path):
    rows = [
        {"step": 1, "loss": 1.0, "kl": float("nan")},
        {"step": 2, "loss": float("inf")},
        {"step": 3, "loss": 0.5},
    ]
    assert set(curves(rows, tmp_path)) == {"loss"}
    assert [p.name for p in tmp_path.iterdir()] == ["loss.png"]


def test_every_curve_of_a_training_run_is_drawn(tmp_path):
    names = [
        "reward/correct",
        "reward/format",
        "reward",
        "reward_std",
        "completion_length",
        "loss",
        "kl",
        "entropy",
    ]
    rows = [{"step": i + 1, **dict.fromkeys(names, 0.1 * i)} for i in range(40)]
    drawn = curves(rows, tmp_path, prefix="x_")
    assert list(drawn) == names
    assert drawn["reward/correct"].name == "x_reward_correct.png"


def test_several_runs_stand_side_by_side_with_their_paired_gain(tmp_path):
    before = evaluation("SFT", [sample(i, "numeric" if i % 2 else "wrong") for i in range(20)])
    after = evaluation("GRPO", [sample(i) for i in range(20)])
    training = RunView(
        "GRPO training", {"verb": "grpo"}, [{"step": i + 1, "reward": i / 10} for i in range(11)]
    )
    found = {c.title: c for c in cards([training, before, after])}
    assert found["GRPO over SFT"].number == "+50.0 points"
    assert found["SFT: accuracy of all"].number == "50.0 %"
    assert found["GRPO training: reward"].number == "0.00 → 1.00"
    words = parsed(page(tmp_path, training, before, after)).text
    assert "GRPO training was still going" in words
    assert words.index("SFT") < words.index("GRPO over SFT")


def test_a_dollar_sign_in_a_name_is_no_formula(tmp_path):
    odd = Problem("p", "q", answer="1", meta={"family": r"$\frac$", "level": "$"})
    run = evaluation(r"$\bad$", [Sample(odd, Completion("1"), Score(1.0, "1", "exact"))])
    assert parsed(page(tmp_path, run)).text.count(r"$\frac$") >= 2


def test_rollouts_of_training_are_not_shown_as_an_evaluation_when_there_is_one(tmp_path):
    rollouts = RunView(
        "training", {"verb": "grpo"}, samples=[sample(i, "wrong") for i in range(4)], manifest={"a": 1}
    )
    assert "not an evaluation" in page(tmp_path, rollouts)
    both = page(tmp_path, rollouts, evaluation("final", [sample(1)]))
    assert "not an evaluation" not in both
    assert [c.title for c in cards([rollouts, evaluation("final", [sample(1)])])] == [
        "final: accuracy of all"
    ]


def test_accuracy_is_told_by_family_and_level():
    run = evaluation("a", [sample(0), sample(6, "wrong"), sample(1)])
    found = cells(run)
    assert (found["bars", "1"].value, found["bars", "1"].n) == (0.5, 2)
    assert found["tables", "2"].value == 1.0


def test_a_summary_becomes_cards():
    interval = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 500}
    found = list(
        summary_cards(
            {
                "accuracy": {"grpo": interval},
                "best_over_mean": paired([1, 1, 0, 1], [0, 1, 0, 0]).as_dict(),
                "gained": {"grpo": interval},
                "seconds": 412.3,
            }
        )
    )
    assert [(c.title, c.number) for c in found] == [
        ("accuracy · grpo", "80.0 %"),
        ("best over mean", "+50.0 points"),
        ("gained · grpo", "80.0 %"),
        ("seconds", "412.3"),
    ]
    assert "n = 500" in found[0].note


@pytest.mark.parametrize(
    ("verb", "shown"), [("evaluate", "first"), ("score", "first"), ("grpo", "last"), ("mpo", "last")]
)
def test_the_completion_that_the_page_says_is_shown(tmp_path, verb, shown):
    texts = [f"<think>{place}</think><answer>1</answer>" for place in ("first", "last")]
    run = RunView("a", {"verb": verb, "style": "official"}, samples=[sample(1, text=t) for t in texts])
    assert gallery([run], 1)[0].attempts[0].thought == shown
    said = "Of a training run the last" if shown == "last" else "The first completion of each run is shown"
    assert said in page(tmp_path, run)


@pytest.mark.parametrize(("points", "drawn"), [(2000, 2000), (2001, 1001), (3999, 2000), (6001, 1501)])
def test_no_more_points_are_drawn_than_said(tmp_path, monkeypatch, points, drawn):
    counted = []
    monkeypatch.setattr(Axes, "scatter", lambda self, x, y, **more: counted.append(len(x)))
    monkeypatch.setattr(Axes, "legend", lambda self, **more: None)
    ranking.lengths({"right": [(0.0, 1.0)] * points}, tmp_path / "a.png")
    assert counted == [drawn]


def test_a_missing_or_broken_picture_leaves_a_placeholder(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing more")
    run = evaluation(
        "a", [sample(i, images=(Image(str(p)),)) for i, p in enumerate((broken, tmp_path / "none.png"))]
    )
    assert page(tmp_path, run).count("picture can't be read") == 2


def test_large_pictures_are_made_smaller(tmp_path):
    path = tmp_path / "large.png"
    PIL.Image.effect_noise((2000, 1000), 90).save(path)
    uri = data_uri(Image(str(path)))
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < path.stat().st_size / 4
    assert MAX_SIDE == 512


def test_the_gallery_is_the_same_each_time_and_prefers_problems_whose_verdict_changed():
    before = evaluation("before", [sample(i, "wrong" if i in (7, 8) else "numeric") for i in range(40)])
    after = evaluation("after", [sample(i) for i in range(40)])
    shown = gallery([before, after], 6)
    assert {e.problem.id for e in shown[:2]} == {"p7", "p8"}
    assert [e.family for e in shown] == ["bars", "tables"] * 3
    shuffled = [evaluation(r.label, list(reversed(r.samples))) for r in (before, after)]
    assert gallery(shuffled, 6) == shown


def test_thought_and_answer_are_shown_apart():
    (exhibit,) = gallery([evaluation("a", [sample(3)])], 5)
    assert (exhibit.attempts[0].thought, exhibit.attempts[0].answer) == ("because 3", "3")
    virgo = RunView("v", {"verb": "evaluate", "style": "virgo"}, samples=[sample(3, text=r"so \boxed{3}")])
    assert gallery([virgo], 5)[0].attempts[0].thought is None


def test_a_run_left_in_the_middle_of_a_line_is_read_and_not_changed(tmp_path):
    run = Run.open(tmp_path / "r", "grpo", {"seed": 0})
    run.append("metrics.jsonl", [{"step": 1, "loss": 1.0}])
    run.append("samples.jsonl", [sample(1)])
    for name in ("metrics.jsonl", "samples.jsonl"):
        with open(run.path / name, "ab") as file:
            file.write('{"step": "é'.encode()[:-1])
    sizes = [(run.path / name).stat().st_size for name in ("metrics.jsonl", "samples.jsonl")]
    view = load_run(run.path, "r")
    assert (len(view.metrics), len(view.samples), view.finished) == (1, 1, False)
    assert sizes == [(run.path / name).stat().st_size for name in ("metrics.jsonl", "samples.jsonl")]


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="expected a run in"):
        load_run(tmp_path, "x")


def test_the_verb_writes_into_the_run_or_where_it_is_told(tmp_path, capsys):
    for name in ("a", "b"):
        run = Run.open(tmp_path / name, "evaluate", {"style": "awaker"})
        run.append("samples.jsonl", [sample(1)])
    run.seal({})
    assert cli.main(["report", f"runs={tmp_path / 'a'}"]) == 0
    assert (tmp_path / "a" / "report" / "index.html").exists()
    assert "a: evaluate, unfinished" in capsys.readouterr().out
    assert cli.main(["report", f"runs=[{tmp_path / 'a'},{tmp_path / 'b'}]", f"out={tmp_path / 'both'}"]) == 0
    assert "b: evaluate, finished" in capsys.readouterr().out
    assert (tmp_path / "both" / "index.html").exists()
    assert cli.main(["report", f"runs=[{tmp_path / 'a'},{tmp_path / 'a'}]"]) == 2
    assert cli.main(["report", f"runs={tmp_path / 'c'}"]) == 1


def test_problems_of_two_benchmarks_with_one_id_are_two_problems():
    runs = [RunView(name, {"verb": "evaluate", "bench": name}, samples=[Sample(
        Problem("1", f"Of {name}?", answer="4"), Completion("4"), Score(1.0, "4", "exact"))])
        for name in ("mathvista", "mathvision")]  # fmt: skip
    shown = gallery(runs, 10)
    assert [(e.problem.question, [a.label for a in e.attempts]) for e in shown] == [
        ("Of mathvision?", ["mathvision"]),
        ("Of mathvista?", ["mathvista"]),
    ]
