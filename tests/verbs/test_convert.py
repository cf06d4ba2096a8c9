"""The verb: files in and out, LLaMA-Factory's and EasyR1's schemas, layouts into each other, bad rows kept."""

import json
import random
import subprocess
import sys
import time

import PIL.Image
import pytest

from tests.data.test_convert import foreign
from visreason.cli import main
from visreason.store import manifest
from visreason.verbs import convert

TAGGED = "<think>2 + 2</think>\n<answer>4</answer>"
OLD_MODES = ("sharegpt", "messages", "ranking")


@pytest.fixture
def source(tmp_path):
    PIL.Image.effect_noise((60, 40), 80).save(tmp_path / "a.png")
    return tmp_path


def put(folder, name, *rows):
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def converted(path, to, out, *words):
    assert main(["convert", f"data={path}", f"to={to}", f"out={out}", *words]) == 0
    (file,) = [p for p in out.iterdir() if p.stem == to]
    return file


def loaded(file):
    text = file.read_text()
    return json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", OLD_MODES)
def test_llama_factory_finds_what_its_entry_names(name, source, tmp_path):
    """Fields of data/README.md of LLaMA-Factory: file_name, formatting, ranking, columns, tags."""
    row = foreign(source / "a.png")["ranking" if name == "ranking" else "messages"]
    file = converted(put(source, "rows.jsonl", row, row), name, tmp_path / "out", "name=mine")
    entry = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["mine"]
    columns, tags = entry["columns"], entry.get("tags", {})
    assert (entry["file_name"], entry["formatting"]) == (file.name, "sharegpt")
    assert entry.get("ranking", False) == (name == "ranking")
    assert set(columns) <= {"messages", "images", "system", "tools", "videos", "audios", "chosen", "rejected"}
    for one in loaded(file):
        role, content = tags.get("role_tag", "from"), tags.get("content_tag", "value")
        user, assistant = tags.get("user_tag", "human"), tags.get("assistant_tag", "gpt")
        turns = [t for t in one[columns["messages"]] if t[role] != tags.get("system_tag", "system")]
        sides = [one[columns[c]] for c in ("chosen", "rejected") if c in columns]
        roles = [t[role] for t in (*turns, *sides)]
        assert roles == [user, *[assistant] * (len(roles) - 1)]
        text = "".join(t[content] for t in turns)
        assert text.count("<image>") == len(one[columns["images"]]) == 1
        assert (tmp_path / "out" / one[columns["images"]][0]).is_file()


@pytest.mark.parametrize(
    ("name", "style"), [("sharegpt", "wethink"), ("messages", "wethink"), ("sharegpt", "direct")]
)
def test_llama_factory_finds_the_system_text(name, style, source, tmp_path):
    """A column for it is named where rows have one; else the reader would look for it in vain, or not at all."""
    row = {"question": "Q?", "answer": "4", "thought": "I look."}
    file = converted(put(source, "rows.jsonl", row), name, tmp_path / "out", f"style={style}")
    entry = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["visreason"]
    (made,) = loaded(file)
    assert entry["columns"].get("system") == ("system" if "system" in made else None)
    turns = made[entry["columns"]["messages"]]
    first = made.get("system") or turns[0].get("content")
    assert ("FIRST think" in str(first)) == (style == "wethink")


def test_dates_and_decimals_of_parquet_become_text(source, tmp_path):
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"question": "Q?", "answer": "4", "at": datetime.date(2026, 1, 2), "p": [decimal.Decimal("1.50")]}
    ]
    pq.write_table(pa.Table.from_pylist(rows), source / "rows.parquet")
    (row,) = loaded(converted(source / "rows.parquet", "problem", tmp_path / "out"))
    assert (row["meta"]["at"], row["meta"]["p"]) == ("2026-01-02", ["1.50"])


def test_easyr1_finds_problem_answer_and_a_picture_for_every_mark(source, tmp_path):
    """Its keys (examples/config.yaml): prompt_key problem, answer_key answer, image_key images, a list."""
    rows = [{"question": "Which?", "answer": "B", "choices": ["red", "blue"], "image": "a.png"}]
    (row,) = loaded(converted(put(source, "rows.jsonl", *rows), "easyr1", tmp_path / "out"))
    assert row["problem"] == "<image>\nWhich?\n(A) red\n(B) blue"
    assert row["answer"] == "B"
    assert [(tmp_path / "out" / p).is_file() for p in row["images"]] == [True]


def test_a_chain_of_formats_ends_where_it_began(source, tmp_path):
    rows = [foreign(source / "a.png")["wethink"], {"problem": "1+1?", "answer": "2", "refined_cot": "I add."}]
    first = converted(put(source, "rows.jsonl", *rows), "wethink", tmp_path / "0")
    path = first
    for k, name in enumerate(
        ["problem", "easyr1", "vlmevalkit", "r1_onevision", "sharegpt", "messages", "flat", "wethink"]
    ):
        path = converted(path, name, tmp_path / str(k + 1))
    meant, found = loaded(first), loaded(path)
    assert [{k: v for k, v in row.items() if k != "visreason"} for row in found] == meant


def test_layouts_become_each_other(source, tmp_path):
    rows = [
        {"question": "2+2?", "answer": "4", "response": r}
        for r in (TAGGED, "<think>2 + 2</think>\n\n4", "It is 4.")
    ]
    out = tmp_path / "virgo"
    (one, two) = loaded(
        converted(put(source, "rows.jsonl", *rows), "sample", out, "relay=true", "style=virgo")
    )
    text = one["completion"]["text"]
    assert text == two["completion"]["text"]
    assert text.startswith("<|begin_of_thought|>\n\n2 + 2")
    assert r"\boxed{4}" in text
    (rejected,) = loaded(out / "rejected.jsonl")
    assert "marks none" in rejected["reason"]
    assert rejected["row"]["completion"]["text"] == "It is 4."
    back = loaded(converted(out / "sample.jsonl", "sample", tmp_path / "tags", "relay=true", "style=awaker"))
    assert back[0]["completion"]["text"] == TAGGED


def test_counts_add_up_and_bad_rows_are_kept(source, tmp_path):
    path = put(source, "rows.jsonl", {"question": "Q?", "answer": "4"}, {"answer": "4"}, [1])
    with open(path, "a") as file:
        file.write("{broken\n")
    converted(path, "flat", tmp_path / "out")
    counts = manifest(tmp_path / "out")["counts"]
    assert counts == {"records": 1, "rows": 1, "rejected": 3}
    kept = loaded(tmp_path / "out" / "rejected.jsonl")
    assert [row["line"] for row in kept] == [2, 3, 4]


def test_a_list_is_read_as_a_stream(source, tmp_path):
    rows = [{"question": f"Question {i}?", "answer": str(i), "pad": "x" * 5000} for i in range(700)]
    path = source / "rows.json"
    path.write_text(json.dumps(rows, indent=1))
    assert len(loaded(converted(path, "sharegpt", tmp_path / "out"))) == 700


@pytest.fixture
def mixed(source):
    """Rows of which every seventh is unusable; pictures by path, inside the row, and by an earlier row's index."""
    held = foreign(source / "a.png")["vlmevalkit"]
    rows = [
        {"question": f"Question {i}?", "answer": str(i), "image": "a.png", "response": TAGGED}
        for i in range(60)
    ]
    rows = [{"answer": "4"} if i % 7 == 0 else row for i, row in enumerate(rows)]
    return put(source, "mixed.jsonl", held, *rows, {**held, "index": "8", "image": "7"}, [1])


class Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["flat", "sharegpt", "virgo", "r1_onevision"])
def test_a_killed_conversion_goes_on_behind_the_last_rows_it_wrote(name, mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("visreason.verbs.convert.BLOCK", 7)
    converted(mixed, name, tmp_path / "plain")
    write, calls = convert.write_row, []

    def dying(group, *words):
        calls.append(group[0])
        if len(calls) % 23 == 0:
            raise Killed
        return write(group, *words)

    monkeypatch.setattr(convert, "write_row", dying)
    words = ["convert", f"data={mixed}", f"to={name}", f"out={tmp_path / 'killed'}"]
    for _ in range(2):
        with pytest.raises(Killed):
            main(words)
    assert main(words) == 0
    assert len(calls) <= 54 + 2 * 8, "at most a block is written twice"
    for path in (tmp_path / "plain").rglob("*"):
        if path.is_file() and path.name not in ("manifest.json", "recipe.json"):
            assert (
                tmp_path / "killed" / path.relative_to(tmp_path / "plain")
            ).read_bytes() == path.read_bytes()
    found = [manifest(tmp_path / n) for n in ("plain", "killed")]
    assert found[0]["counts"] == found[1]["counts"]
    assert found[0]["counts"]["rejected"] >= 10


@pytest.mark.slow
def test_twenty_kills_of_a_conversion_change_nothing(source, tmp_path):
    path, rng = source / "rows.jsonl", random.Random(0)
    rows = [{"question": f"Question {i}?", "answer": str(i), "image": "a.png"} for i in range(60_000)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    converted(path, "sharegpt", tmp_path / "plain")
    words = [
        sys.executable,
        "-m",
        "visreason",
        "convert",
        f"data={path}",
        "to=sharegpt",
        f"out={tmp_path / 'killed'}",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(20):
        run = subprocess.Popen(words, **quiet)
        time.sleep(rng.uniform(0.6, 2.5))
        run.kill()
        run.wait()
    assert subprocess.run(words, **quiet, check=False).returncode == 0
    for name in ("sharegpt.json", "dataset_info.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_nothing_to_convert_is_an_error(source, tmp_path, capsys):
    path = put(source, "rows.jsonl", {"answer": "4"})
    assert main(["convert", f"data={path}", "to=flat", f"out={tmp_path / 'out'}"]) == 1
    assert "found none of 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_no_more_memory_than_ten_thousand(source, tmp_path):
    def peak(n):
        path = source / f"{n}.jsonl"
        with open(path, "w") as file:
            for i in range(n):
                turns = [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "x" * 200}]
                file.write(json.dumps({"messages": turns}) + "\n")
        words = ["convert", f"data={path}", "to=sharegpt", f"out={tmp_path / str(n)}"]
        code = (
            f"import resource; from visreason.cli import main; assert not main({words!r}); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        return int(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        )

    assert peak(100_000) < 1.2 * peak(10_000)
