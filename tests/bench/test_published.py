"""Released outputs score what was published; the files are others', so that these tests skip without them."""

import json

import pytest

from tests.data.shared import shared
from visreason import cli
from visreason.bench import cells, printed, published, released
from visreason.store import manifest


def figures(out, *words):
    assert cli.main(["evaluate", *map(str, words), f"out={out}"]) == 0
    return manifest(out)["summary"]["figures"]


def test_mathvista_scores_each_published_column_from_the_stored_extraction(tmp_path):
    root = shared("data/mathvista")
    found = figures(
        tmp_path / "run",
        "bench=mathvista",
        f"data={root}/data/testmini.json.gz",
        f"completions={root}/results/bard/output_bard.json.gz",
        "extraction=stored",
    )
    stated = json.loads((root / "results/bard/scores_bard.json").read_text())
    assert found["ALL"] == {"value": pytest.approx(34.8), "n": 1000, "low": pytest.approx(31.9, abs=0.1),
                            "high": pytest.approx(37.8, abs=0.1)}  # fmt: skip
    for name, code in (("figure question answering", "FQA"), ("textbook question answering", "TQA")):
        assert f"{found[code]['value']:.2f}" == stated["task"][name]["accuracy"]
        assert found[code]["n"] == stated["task"][name]["total"]


def test_the_strict_reading_of_whole_numbers_is_a_field(tmp_path):
    root = shared("data/mathvista")
    for mode, value in (("strict", 19.8), ("float", 20.0)):
        found = figures(
            tmp_path / mode,
            "bench=mathvista",
            f"completions={root}/results/idefics/output_idefics_9b_instruct.json.gz",
            "extraction=stored",
            f"integer={mode}",
        )
        assert found["ALL"]["value"] == pytest.approx(value)


@pytest.mark.parametrize("extraction", ["stored", "rule"])
def test_all_178_cells_of_mathvision_come_out_from_extractions_and_from_raw_responses(tmp_path, extraction):
    root = shared("data/mathvision")
    model = root / "outputs/closed-source/Gemini/Gemini-Pro"
    found = figures(
        tmp_path / "run",
        "bench=mathvision",
        f"data={root}",
        f"completions={model}.jsonl.gz",
        f"extraction={extraction}",
    )
    stated = json.loads((root / f"{model}_result.json").read_text())
    assert len(stated) == 178
    for name, text in stated.items():
        column = "ALL" if name == "-all" else name.removeprefix("-")
        assert round(found[column]["value"], 2) == float(text.partition("=")[2].rstrip("%"))


def test_mmmu_scores_letters_and_open_answers_of_an_answer_file(tmp_path):
    root = shared("data/mmmu/mmmu")
    found = figures(
        tmp_path / "run",
        "bench=mmmu",
        f"data={root}/answer_dict_val.json",
        f"completions={root}/example_outputs/qwen_vl/total_val_output.json",
        "extraction=stored",
    )
    assert found["ALL"]["value"] == pytest.approx(100 * 325 / 900)
    assert found["Tech & Engineering"]["n"] == 210


def test_a_guess_where_nothing_can_be_read_is_off_by_default_and_drawn_for_each_problem(tmp_path):
    root = shared("data/mmmu/mmmu")
    words = ["bench=mmmu", f"data={root}/answer_dict_val.json", f"completions={root}/example_outputs/qwen_vl"]
    plain = figures(tmp_path / "plain", *words)
    guessed = [
        figures(tmp_path / f"guessed{i}", *words, "random_fallback=true")["ALL"]["value"] for i in range(2)
    ]
    assert manifest(tmp_path / "plain")["counts"]["unparsed"] > 0
    assert plain["ALL"]["value"] < guessed[0] == guessed[1]


@pytest.mark.slow
def test_every_figure_in_print_comes_out_to_the_printed_digit():
    found = [c for c in published.cells(shared("data")) if c.known != cells.RESPONSES]
    assert len(found) > 3_500
    assert [c for c in found if not c.equal and not c.known] == []
    assert sum(not c.equal for c in found) < 30


@pytest.mark.parametrize("name", ["wemath", "rewardbench", "mathverse", "suite_tables", "vl_rewardbench",
                                  "r1v_eval", "r1_onevision_bench", "qwen25math_rm_maj"])  # fmt: skip
def test_the_quick_tables_agree(name):
    makers = [makers[name] for makers in (released.OUTPUTS, printed.TABLES) if name in makers]
    made = [c for make in makers for c in make(shared(f"data/{name}"))]
    differ = [
        c
        for c in made
        if not c.equal and not c.known and (c.bench, c.model, c.column) not in published.MISPRINTS
    ]
    assert made
    assert differ == []


def test_what_responses_alone_give_is_a_table_by_model():
    found = [
        cells.Cell("b", "m", column, "14.37", ours, cells.RESPONSES)
        for column, ours in ((cells.BY_RULE, 14.375), (cells.BY_ANSWER, 12.2))
    ]
    other = cells.Cell("b", "m", "ALL", "14.37", 14.375)
    assert published.from_responses([other, *found]).splitlines()[2:] == ["| b | m | 14.37 | +0.01 | -2.17 |"]
