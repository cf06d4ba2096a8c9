"""Completions made elsewhere: what is wrong with them is said, or kept and counted, never scored as zero."""

import base64
import io
import json
from pathlib import Path

import PIL.Image
import pytest

from tests.bench.rows import mathvision, outputs
from visreason import cli
from visreason.bench.columns import verdict
from visreason.bench.kind import Row
from visreason.store import manifest, read_rows

RIGHT = {str(i): f"The answer is {i}" for i in range(6)}


def command(capsys, *words, bench="tests.bench.rows:SMALL"):
    status = cli.main(["evaluate", f"bench={bench}", *map(str, words)])
    lines = capsys.readouterr().err.splitlines()
    return status, lines[-1] if lines else ""


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (RIGHT | {"99": "5"}, "found 1 unknown: 99"),
        ({"1": "The answer is 1"}, "found 5 without one (0, 2, 3, 4, 5)"),
    ],
)
def test_unknown_and_missing_ids_refuse_the_figure_unless_partial_is_asked_for(
    tmp_path, capsys, answers, message
):
    data = mathvision(tmp_path / "bench")
    words = [
        f"data={data}",
        f"completions={outputs(tmp_path / 'o.jsonl', answers)}",
        f"out={tmp_path / 'run'}",
    ]
    status, said = command(capsys, *words)
    assert status == 1
    assert message in said
    assert not (tmp_path / "run" / "manifest.json").exists()
    words[-1] = f"out={tmp_path / 'partial'}"
    assert command(capsys, *words, "partial=true")[0] == 0
    sealed = manifest(tmp_path / "partial")
    assert sealed["summary"]["figures"]["ALL"]["value"] == 100.0
    assert sealed["summary"]["partial"] == (len(answers) == 1)
    assert sealed["counts"]["rejected"] == (len(answers) == 7)


def test_ids_that_repeat_are_refused_unless_they_are_samples(tmp_path, capsys):
    data, path = mathvision(tmp_path / "bench"), outputs(tmp_path / "o.jsonl", RIGHT)
    path.write_text(path.read_text() * 2)
    words = [f"data={data}", f"completions={path}"]
    status, said = command(capsys, *words, f"out={tmp_path / 'a'}")
    assert status == 1
    assert "give samples=2 if they are samples" in said
    assert command(capsys, *words, f"out={tmp_path / 'b'}", "samples=2")[0] == 0
    sealed = manifest(tmp_path / "b")
    assert sealed["counts"]["n"] == 12
    assert sealed["summary"]["sampling"]["pass@2"]["value"] == 100.0


def test_a_row_without_a_response_is_named(tmp_path, capsys):
    data = mathvision(tmp_path / "bench")
    (tmp_path / "o.jsonl").write_text(json.dumps({"id": "1", "reply": "5"}) + "\n")
    status, said = command(
        capsys, f"data={data}", f"completions={tmp_path / 'o.jsonl'}", f"out={tmp_path / 'run'}"
    )
    assert status == 1
    assert "expected a response in column" in said
    assert "found id, reply" in said


def test_problems_without_an_answer_column_are_named(tmp_path, capsys):
    rows = [{"id": i, "question": "?", "options": [], "solution": "4"} for i in range(6)]
    data = tmp_path / "test.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    words = [f"data={data}", f"completions={outputs(tmp_path / 'o.jsonl', RIGHT)}", f"out={tmp_path / 'run'}"]
    status, said = command(capsys, *words)
    assert status == 1
    assert "test.jsonl line 1: expected a column answer, found id, question, options, solution" in said


def test_fewer_samples_of_a_problem_than_of_the_others_are_refused(tmp_path, capsys):
    data, path = mathvision(tmp_path / "bench"), outputs(tmp_path / "o.jsonl", RIGHT)
    whole = path.read_text()
    path.write_text(whole + "".join(whole.splitlines(keepends=True)[:-1]))
    words = [f"data={data}", f"completions={path}", "samples=2", f"out={tmp_path / 'run'}"]
    status, said = command(capsys, *words)
    assert status == 1
    assert "expected 2 outputs a problem" in said
    assert "found 1 of 5" in said
    assert command(capsys, *words, "partial=true")[0] == 0
    assert manifest(tmp_path / "run")["summary"]["partial"]


def test_another_split_than_the_file_holds_is_refused(tmp_path, capsys):
    data = mathvision(tmp_path / "bench", n=304)
    status, said = command(
        capsys,
        f"data={data}/data/test.jsonl",
        "split=test",
        f"completions={data}",
        f"out={tmp_path / 'run'}",
        bench="mathvision",
    )
    assert status == 1
    assert "expected the 3040 problems of split test" in said
    assert "give split=testmini" in said


@pytest.mark.parametrize(("said", "found"), [(1.0, True), ("0.0", False), ("Wrong", False), (0.5, None)])
def test_verdicts_are_read_in_whatever_spelling(said, found):
    assert verdict(Row({"score": said}, "", Path("x.jsonl"), 1)) is found


def test_stored_extraction_needs_one(tmp_path, capsys):
    data = mathvision(tmp_path / "bench")
    words = [f"data={data}", f"completions={outputs(tmp_path / 'o.jsonl', RIGHT)}", "extraction=stored"]
    status, said = command(capsys, *words, f"out={tmp_path / 'run'}")
    assert status == 1
    assert "give extraction=rule" in said


def test_gold_answers_of_another_version_are_refused(tmp_path, capsys):
    data = mathvision(tmp_path / "bench")
    rows = [{"id": str(i), "question": f"What is {i}?", "answer": "7", "response": "7"} for i in range(6)]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    status, said = command(
        capsys, f"data={data}", f"completions={tmp_path / 'o.jsonl'}", f"out={tmp_path / 'run'}"
    )
    assert status == 1
    assert "different versions" in said


def test_nothing_of_the_heavy_libraries_is_loaded_for_completions(tmp_path):
    import os
    import subprocess
    import sys

    data, path = mathvision(tmp_path / "bench"), outputs(tmp_path / "o.jsonl", RIGHT)
    code = (
        "import sys; from visreason import cli; "
        f"assert cli.main(['evaluate', 'bench=mathvision', 'data={data}', 'completions={path}', "
        f"'out={tmp_path / 'run'}', 'partial=true']) == 0; "
        "heavy = ('torch', 'transformers', 'pandas'); "
        "found = [m for m in heavy if m in sys.modules]; assert not found, found"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "src"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


# Forms in which problems are published


def png(colour: str) -> bytes:
    data = io.BytesIO()
    PIL.Image.effect_noise((40, 30), 60).convert("RGB").point(lambda v: v).save(data, "PNG")
    return data.getvalue() + colour.encode()


def tsv(path, images):
    lines = ["index\tquestion\tanswer\timage\tcategory"]
    lines += [f"{i}\tWhat is {i}?\t{i}\t{image}\talgebra" for i, image in enumerate(images)]
    path.write_text("\n".join(lines))
    return path


def test_pictures_in_a_table_become_files_named_by_their_hash(tmp_path, capsys):
    whole = base64.b64encode(png("a")).decode()
    data = tsv(tmp_path / "MathVision.tsv", [whole, "0", base64.b64encode(png("b")).decode()])
    status, _ = command(
        capsys,
        f"data={data}",
        "model=script:tests.bench.rows:plus",
        f"out={tmp_path / 'run'}",
        "style=hint",
        "limit=3",
    )
    assert status == 0
    kept = sorted((tmp_path / "run" / "images").iterdir())
    assert len(kept) == 2
    rows = [row for _, row in read_rows(tmp_path / "run" / "samples.jsonl")]
    paths = [r["problem"]["images"][0]["path"] for r in rows]
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize(
    ("image", "reason"), [("!" * 80, "picture in base64"), ("QUJD" * 40, "picture in base64")]
)
def test_base64_that_is_no_picture_is_kept_aside_and_counted(tmp_path, capsys, image, reason):
    data = tsv(tmp_path / "MathVision.tsv", [base64.b64encode(png("a")).decode(), image])
    status, _ = command(
        capsys,
        f"data={data}",
        "model=script:tests.bench.rows:plus",
        f"out={tmp_path / 'run'}",
        "partial=true",
    )
    assert status == 0
    sealed = manifest(tmp_path / "run")
    assert (sealed["counts"]["n"], sealed["counts"]["rejected"]) == (1, 1)
    assert reason in next(row for _, row in read_rows(tmp_path / "run" / "rejected.jsonl"))["reason"]
    assert sealed["summary"]["partial"]


def test_parquet_csv_and_gzip_are_read_alike(tmp_path):
    import gzip

    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    from visreason.bench.files import rows

    values = [{"id": "1", "answer": "a"}, {"id": "2", "answer": "b"}]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("id,answer\n1,a\n2,b\n")
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, values)).encode()))
    (tmp_path / "x.json").write_text(json.dumps(values))
    book = openpyxl.Workbook()
    for line in (("id", "answer"), ("1", "a"), ("2", "b")):
        book.active.append(line)
    book.save(tmp_path / "x.xlsx")
    for name in ("x.parquet", "x.csv", "x.jsonl.gz", "x.json", "x.xlsx"):
        assert [r.value for r in rows(tmp_path / name)] == values
