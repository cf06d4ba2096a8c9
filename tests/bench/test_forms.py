"""Every benchmark in the forms it is published in: the authors' files, Hugging Face's parquet, VLMEvalKit's tables."""

import base64
import io
import json
from pathlib import Path

import openpyxl
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visreason.bench import bench
from visreason.bench.outputs import read_outputs
from visreason.bench.problems import read_problems


def png(seed: int) -> bytes:
    data = io.BytesIO()
    PIL.Image.new("RGB", (40 + seed, 30), "red").save(data, "PNG")
    return data.getvalue()


def base(seed: int) -> str:
    return base64.b64encode(png(seed)).decode()


def write(path: Path, rows: list[dict]) -> Path:
    """Rows as parquet, as a table with tabs, as a sheet, or as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".tsv":
        lines = ["\t".join(rows[0]), *("\t".join(str(v) for v in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    elif path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for line in (list(rows[0]), *(list(row.values()) for row in rows)):
            book.active.append(line)
        book.save(path)
    else:
        path.write_text(json.dumps(rows))
    return path


HELD = {"bytes": png(1), "path": "1.png"}
CHOICE = {"question": "Which?", "answer": "B"}
FORMS = {
    "mathvista parquet": ("mathvista", "data/testmini-00000-of-00001.parquet", {
        "pid": "7", "question": "Which?", "image": "images/7.jpg", "decoded_image": HELD, "choices": ["red", "blue"],
        "precision": None, "answer": "blue", "question_type": "multi_choice", "answer_type": "text",
        "metadata": {"task": "figure question answering", "skills": ["statistical reasoning"]}}),
    "mathvista tsv": ("mathvista", "MathVista_MINI.tsv", {
        "index": 7, "question": "Which?", "choices": "['red', 'blue']", "answer": "blue", "answer_option": "B",
        "question_type": "multi_choice", "answer_type": "text", "task": "figure question answering",
        "skills": "['statistical reasoning']", "image": base(1)}),
    "mathvision parquet": ("mathvision", "data/testmini-00000-of-00001.parquet", CHOICE | {
        "id": "7", "options": ["red", "blue"], "image": "images/7.jpg", "decoded_image": HELD, "level": 2,
        "subject": "algebra"}),
    "mathvision tsv": ("mathvision", "MathVision.tsv", CHOICE | {
        "index": 7, "choices": "['red', 'blue']", "category": "algebra", "image": base(1)}),
    "mathverse parquet": ("mathverse", "testmini.parquet", CHOICE | {
        "sample_index": "7", "problem_index": "2", "problem_version": "Vision Only", "question_type": "multi-choice",
        "image": HELD, "metadata": {"subject": "Plane Geometry", "subfield": "Angle"}}),
    "mathverse tsv": ("mathverse", "MathVerse_MINI_Vision_Only.tsv", CHOICE | {
        "index": 7, "problem_index": 2, "problem_version": "Vision Only", "question_for_eval": "Which?",
        "metadata": "{'subject': 'Plane Geometry', 'subfield': 'Angle'}", "image": base(1)}),
    "wemath parquet": ("wemath", "data/testmini-00000-of-00001.parquet", CHOICE | {
        "ID": "2steps_7", "key": "2steps_1", "option": "A. red; B. blue", "image_path": HELD,
        "knowledge concept": "Angle"}),
    "wemath tsv": ("wemath", "WeMath.tsv", CHOICE | {
        "index": 1, "ID": "2steps_7", "key": "2steps_1", "A": "red", "B": "blue", "image": base(1)}),
    "mmmu parquet": ("mmmu", "Art/validation-00000-of-00001.parquet", {
        "id": "validation_Art_7", "question": "Which? <image 1>", "options": "['red', 'blue']", "answer": "B",
        "image_1": HELD, "image_2": None, "question_type": "multiple-choice"}),
    "mmmu tsv": ("mmmu", "MMMU_DEV_VAL.tsv", CHOICE | {
        "index": 7, "id": "validation_Art_7", "A": "red", "B": "blue", "C": "", "category": "Art",
        "split": "validation", "image": f"['{base(1)}', '{base(2)}']"}),
    "mmmu_pro parquet": ("mmmu_pro", "standard (10 options)/test-00000-of-00001.parquet", {
        "id": "test_Art_7", "question": "Which? <image 1>", "options": "['red', 'blue']", "answer": "B",
        "image_1": HELD, "subject": "Art"}),
    "dynamath parquet": ("dynamath", "data/sample3-00000-of-00001.parquet", {
        "id": "7", "question": "How long?", "image": "a.png", "decoded_image": HELD, "ground_truth": "2.5",
        "answer_type": "float", "subject": "algebra", "knowledge_level": "high school"}),
    "dynamath tsv": ("dynamath", "DynaMath.tsv", {
        "index": 62, "qid": 7, "varid": 3, "question": "How long?", "answer": "2.5", "answer_type": "float",
        "subject": "algebra", "knowledge_level": "high school", "image": base(1)}),
    "logicvista tsv": ("logicvista", "LogicVista.tsv", {
        "index": 7, "question": "Which?", "answer": "B", "skill": "['inductive']", "image": base(1)}),
    "olympiadbench parquet": ("olympiadbench", "OE_MM_maths_en_COMP/OE_MM_maths_en_COMP.parquet", {
        "id": 7, "question": "How long?", "final_answer": ["$2.5$"], "image_1": HELD, "context": None, "error": None,
        "answer_type": "Numerical", "is_multiple_answer": False, "unit": None, "language": "English",
        "subject": "Math", "question_type": "Open-ended"}),
    "olympiadbench tsv": ("olympiadbench", "OlympiadBench.tsv", {
        "index": 7, "question": "How long?", "final_answer": "['$2.5$']", "source": "OE_MM_maths_en_COMP",
        "answer_type": "Numerical", "is_multiple_answer": "False", "unit": "", "error": "", "image": base(1)}),
    "vl_rewardbench tsv": ("vl_rewardbench", "vl_rewardbench.tsv", {
        "index": 7, "id": "RLAIF-V-7", "question": "Which?", "response": "['red', 'blue']", "answer": "[1, 0]",
        "image": base(1)}),
    "rewardbench parquet": ("rewardbench", "data/filtered-00000-of-00001.parquet", {
        "prompt": "1+1?", "chosen": "2", "rejected": "3", "subset": "hep-go", "id": 7}),
    "geometry3k parquet": ("geometry3k", "data/test-00000-of-00001.parquet", {
        "images": [HELD], "problem": "<image>Find x.", "answer": "3"}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_published_form_is_read_with_its_pictures(form, tmp_path):
    name, place, row = FORMS[form]
    benchmark = bench(name)
    path = write(tmp_path / "data" / place, [row])
    by_file = read_problems(benchmark, path, None, tmp_path / "kept")
    assert by_file.rejected == []
    problem = by_file.problems[0]
    assert problem.answer in ("B", "blue", "2.5", "$2.5$", "2", "1", "3")
    assert [i.size for i in problem.images] == {"mmmu tsv": [(41, 30), (42, 30)]}.get(
        form, [] if name == "rewardbench" else [(41, 30)]
    )
    if name not in ("wemath", "dynamath", "rewardbench", "logicvista", "geometry3k"):
        assert problem.id.startswith(("7", "validation_Art_7", "test_Art_7", "2:Vision Only", "RLAIF-V-7"))
    split = next(s for s, patterns in benchmark.files.items() if any(Path(place).match(p) for p in patterns)) if (
        name != "olympiadbench"
    ) else "OE_MM_maths_en_COMP"  # fmt: skip
    if "tsv" not in form or name != "olympiadbench":
        by_folder = read_problems(benchmark, tmp_path / "data", split, tmp_path / "kept")
        assert (by_folder.sha256, by_folder.pictures_sha256) == (by_file.sha256, by_file.pictures_sha256)


def test_the_same_problem_means_the_same_in_every_form(tmp_path):
    found = {}
    for form in ("mathvista parquet", "mathvista tsv", "dynamath parquet", "dynamath tsv", "olympiadbench parquet",
                 "olympiadbench tsv", "mathverse parquet", "mathverse tsv"):  # fmt: skip
        name, place, row = FORMS[form]
        source = read_problems(bench(name), write(tmp_path / form / place, [row]), None, tmp_path)
        problem = source.problems[0]
        columns = tuple(bench(name).columns(problem))
        found.setdefault(name, []).append((problem.id, problem.answer, problem.choices, columns))
    for name, forms in found.items():
        wanted = {"FQA", "STA", "AL", "high school", "HI", "MM en", "Vision Only", "Plane Geometry"}
        both = [(*key, set(columns) & wanted) for *key, columns in forms]
        assert both[0] == both[1], name


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv", ".json"])
@pytest.mark.parametrize(
    ("name", "row", "response", "extraction"),
    [
        ("mathvista", FORMS["mathvista tsv"][2] | {"prediction": "It is (B).", "res": "B", "log": "Prefetch succeed"},
         "It is (B).", "B"),
        ("mathverse", FORMS["mathverse tsv"][2] | {"prediction": "So B.", "extract": "B", "score": "True"},
         "So B.", "B"),
        ("dynamath", FORMS["dynamath tsv"][2] | {"prediction": "2.5 m", "extracted": "2.5", "correct": "True"},
         "2.5 m", "2.5"),
        ("wemath", FORMS["wemath tsv"][2] | {"prediction": "Answer: B", "hit": 1}, "Answer: B", None),
        ("logicvista", FORMS["logicvista tsv"][2] | {"prediction": "B", "res": "B", "hit": 1}, "B", "B"),
        ("mmmu", FORMS["mmmu tsv"][2] | {"prediction": "B", "hit": 1}, "B", None),
    ],
)  # fmt: skip
def test_result_files_of_vlmevalkit_carry_their_problems(tmp_path, name, row, response, extraction, suffix):
    row = {k: v for k, v in row.items() if not k.startswith("image")}
    path = write(tmp_path / f"model_{name}{suffix}", [row])
    sample = read_outputs(bench(name), path, None).samples[0]
    assert sample.completion.text == response
    assert sample.problem.meta.get("extraction") == extraction
    assert sample.problem.question
    if name not in ("mathvista",):
        assert sample.problem.meta.get("judged") in (True, None)


def test_judgements_of_the_authors_of_vl_rewardbench_are_read_in_the_order_they_saw(tmp_path):
    said = "**Overall Judgment:**\nAnswer 2 is better."
    rows = [
        {"0": {"id": "RLAIF-V-7", "query": "<image>\nWhich?", "response": ["red", "blue"], "ranking": [1, 0],
               "meta": {"filter_choice": said, "random_number": turn, "flag_status": "reject" if turn else "agree"}}}
        for turn in (0, 1)
    ]  # fmt: skip
    path = tmp_path / "o.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    benchmark = bench("vl_rewardbench")
    samples = read_outputs(benchmark, path, None, samples=2).samples
    assert [s.problem.meta["swapped"] for s in samples] == [False, True]
    assert [s.problem.meta["judged"] for s in samples] == [True, False]
    from visreason.bench.kind import Rules

    assert [benchmark.read(s.problem, s.completion.text, Rules()) for s in samples] == ["2", "1"]


def test_outputs_of_olympiadbenchs_own_runs_are_read(tmp_path):
    row = FORMS["olympiadbench parquet"][2] | {
        "model_output": {"gpt": {"raw_output": r"So the final answer is $\boxed{2.5}$.", "answer": r"$\boxed{2.5}$.",
                                 "correctness": True}}}  # fmt: skip
    row.pop("image_1")
    sample = read_outputs(
        bench("olympiadbench"), write(tmp_path / "OE_TO_maths_en_COMP.json", [row]), None
    ).samples[0]
    assert sample.completion.text.startswith("So the final answer")
    assert (sample.problem.meta["judged"], sample.problem.meta["modality"]) == (True, "TO")


def test_a_whole_number_that_a_sheet_made_a_decimal_is_the_whole_number(tmp_path):
    row = FORMS["mathvista tsv"][2] | {"choices": "", "answer": 14.0, "answer_option": "", "answer_type": "integer",
                                       "question_type": "free_form", "prediction": "14"}  # fmt: skip
    row.pop("image")
    sample = read_outputs(bench("mathvista"), write(tmp_path / "r.xlsx", [row]), None).samples[0]
    assert sample.problem.answer == "14"
