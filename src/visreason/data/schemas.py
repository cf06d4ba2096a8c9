"""The files people have, as pairs of functions: a row to records, and records to a row.

A function reads or writes what its format has a place for; `convert` keeps the rest (see `exact`). A row is one
record, except Virgo's, which holds all samples of a problem.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from visreason.data.album import Album
from visreason.data.columns import COLUMNS, RESPONSES, flat_problem, flat_sample, is_record
from visreason.data.pairs import pair_of
from visreason.data.turns import marked, read_turns, unmarked
from visreason.errors import DataError
from visreason.prompt import STYLES, Style
from visreason.prompt.chat import choice_lines
from visreason.record import Completion, Pair, Problem, Sample, Score, from_json, to_json

Row = dict[str, Any]
Rows = Problem | Sample | Pair
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
KEPT = "convert"
"""Name in `meta` of what a row's format said beyond the record."""


@dataclass(frozen=True)
class Schema:
    """A kind of row: how its columns tell it, how it is read ((row, id) -> records) and written ((records, album,
    style) -> row), which records it holds, and in which file."""

    matches: Callable[[Row], bool]
    read: Callable[[Row, str], list[Rows]]
    write: Callable[[list[Rows], Album, Style], Row]
    kinds: tuple[type, ...]
    suffix: str = ".jsonl"
    tags: dict[str, Any] | None = None
    """LLaMA-Factory's description of the file, where it reads it."""


def _meta(problem: Problem, *without: str) -> Row:
    return {k: v for k, v in problem.meta.items() if k not in (KEPT, *without)}


def _images(problem: Problem, album: Album) -> list[str]:
    return [album.named(i.path) for i in problem.images]


def problem_of(record: Rows) -> Problem:
    """The problem itself, or that of a sample or pair."""
    return record if isinstance(record, Problem) else record.problem


def with_problem(record: Rows, problem: Problem) -> Rows:
    """The record about another problem."""
    return problem if isinstance(record, Problem) else replace(record, problem=problem)


def _target(record: Rows, style: Style) -> str | None:
    """What the assistant says: a sample's completion, or a problem's thought and answer in the style, if it has one."""
    if isinstance(record, Sample):
        return record.completion.text
    problem = problem_of(record)
    if problem.answer is None:
        return None
    return style.target(problem.thought or "", problem.answer)


def _texts(row: Row) -> Row:
    """Values as tables hold them, whose columns have one type."""
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in row.items()}


# Ours


def _own(kind: type) -> Callable[[Row, str], list[Rows]]:
    return lambda row, _: [cast(Rows, from_json(kind, row))]


def _write_own(records: list[Rows], album: Album, style: Style) -> Row:
    return to_json(records[0])


# One question, its answer and perhaps a response


def _read_flat(row: Row, name: str) -> list[Rows]:
    responded = any(n in row for n in RESPONSES)
    return [flat_sample(row, name) if responded else flat_problem(row, name)]


def _write_flat(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    row = {**_meta(problem), **to_json(problem), "images": _images(problem, album)}
    row.pop("meta", None)
    if isinstance(records[0], Sample):
        row |= {"response": records[0].completion.text, "finish": records[0].completion.finish}
    return row


def _write_easyr1(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    return {
        **_meta(problem), "id": problem.id, "problem": marked(problem, STYLES["direct"]),
        "answer": problem.answer or "", "images": _images(problem, album),
    }  # fmt: skip


def _read_easyr1(row: Row, name: str) -> list[Rows]:
    problem = flat_problem(row, name)
    return [with_problem(problem, replace(problem, question=unmarked(problem.question, len(problem.images))))]


def _read_wethink(row: Row, name: str) -> list[Rows]:
    """Rows whose `reward` is a model's are open questions, which a judge marks."""
    problem = flat_problem(row, name)
    by_model = "model" in str(row.get("reward")).lower()
    return [with_problem(problem, replace(problem, check="judge" if by_model else problem.check))]


def _write_wethink(records: list[Rows], album: Album, style: Style) -> Row:
    record = records[0]
    problem, options = problem_of(record), choice_lines(problem_of(record))
    sampled = style.parse(record.completion.text).thought if isinstance(record, Sample) else None
    images = _images(problem, album)
    return {
        "category": "", "abilities": [], **_meta(problem), "id": problem.id,
        "problem": f"{problem.question}\n{options}" if options else problem.question,
        "answer": problem.answer or "", "refined_cot": problem.thought or sampled or "",
        "image_path": images[0] if len(images) == 1 else images,
        "reward": "model" if problem.check == "judge" else "rule",
    }  # fmt: skip


def _read_virgo(row: Row, name: str) -> list[Rows]:
    rest = {k: v for k, v in row.items() if k not in ("response", "score", "conversation")}
    problem, responses, scores = flat_problem(rest, name), row["response"], row["score"]
    if len(responses) != len(scores) or not all(isinstance(r, str) for r in responses):
        raise DataError(f"expected a score for each response, found {len(scores)} for {len(responses)}")
    if not responses:
        raise DataError("expected responses, found an empty list")
    problem = replace(problem, question=unmarked(problem.question, len(problem.images)))
    return [
        Sample(problem, Completion(r), Score(float(s), reason="judged" if s else "wrong"))
        for r, s in zip(responses, scores, strict=True)
    ]


def _write_virgo(records: list[Rows], album: Album, style: Style) -> Row:
    """All samples of a problem; its conversation shows the shortest of the right ones."""
    problem, samples = problem_of(records[0]), [r for r in records if isinstance(r, Sample)]
    right = sorted((s.completion.text for s in samples if s.score.correct), key=len)
    turns = _turns(marked(problem, style), right[0]) if right else []
    return {
        **_meta(problem), "id": problem.id, "question": marked(problem, STYLES["direct"]),
        "answer": problem.answer or "", "response": [s.completion.text for s in samples],
        "score": [int(s.score.correct) for s in samples], "images": _images(problem, album), "conversation": turns,
    }  # fmt: skip


# Conversations


def _conversation(column: str) -> Callable[[Row, str], list[Rows]]:
    def read(row: Row, name: str) -> list[Rows]:
        system, question, answer = read_turns(row[column])
        rest = {k: v for k, v in row.items() if k != column}
        problem = flat_problem({**rest, "question": question}, name)
        problem = replace(problem, question=unmarked(question, len(problem.images)))
        if system is not None:
            problem = replace(problem, meta={**problem.meta, "system": system})
        return [problem if answer is None else Sample(problem, Completion(answer), Score(0.0))]

    return read


def _turns(asked: str, said: str | None) -> list[Row]:
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
    return turns[: 1 if said is None else 2]


def _messages(asked: str, said: str | None) -> list[Row]:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return turns[: 1 if said is None else 2]


def _write_conversation(
    column: str, lay_out: Callable[[str, str | None], list[Row]]
) -> Callable[[list[Rows], Album, Style], Row]:
    def write(records: list[Rows], album: Album, style: Style) -> Row:
        problem = problem_of(records[0])
        system = {"system": style.system} if style.system and "system" not in problem.meta else {}
        said = _target(records[0], style)
        return {
            **_meta(problem), **system, "id": problem.id, column: lay_out(marked(problem, style), said),
            "images": _images(problem, album),
        }  # fmt: skip

    return write


def _write_r1_onevision(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    if len(problem.images) > 1:
        raise DataError(f"expected one picture at most in this format, found {len(problem.images)}")
    turns = _turns(marked(replace(problem, images=()), style), _target(records[0], style))
    turns = [{**t, "from": "assistant" if t["from"] == "gpt" else t["from"]} for t in turns]
    image = {"image": album.encode(problem.images[0])} if problem.images else {}
    return {**_texts(_meta(problem)), "id": problem.id, **image, "conversations": turns}


# Benchmarks


def _read_vlmevalkit(row: Row, name: str) -> list[Rows]:
    letters = [c for c in LETTERS if row.get(c) not in (None, "")]
    if letters != list(LETTERS[: len(letters)]):
        raise DataError(f"expected options A, B, C, ... without a gap, found {', '.join(letters)}")
    rest = {k: v for k, v in row.items() if k not in LETTERS and k != "index"}
    row = {**rest, "id": row.get("index", name), "choices": [row[c] for c in letters]}
    return [flat_problem(row, name)]


def _write_vlmevalkit(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    images = [album.encode(i) for i in problem.images]
    row = {
        **_meta(problem), "index": problem.id, "image": images[0] if len(images) == 1 else images,
        "question": problem.question, **dict(zip(LETTERS, problem.choices, strict=False)), "answer": problem.answer,
    }  # fmt: skip
    return _texts({k: v for k, v in row.items() if v not in ("", None, [])})


# Pairs


def _read_pair(row: Row, name: str) -> list[Rows]:
    pair = pair_of(row, name)
    images = len(pair.problem.images)
    return [replace(pair, problem=replace(pair.problem, question=unmarked(pair.problem.question, images)))]


def _pair(records: list[Rows]) -> Pair:
    assert isinstance(records[0], Pair)
    return records[0]


def _margin(pair: Pair) -> Row:
    return {} if pair.margin is None else {"margin": pair.margin}


def _write_ranking(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    sides = {name: {"from": "gpt", "value": getattr(pair, name).text} for name in ("chosen", "rejected")}
    return {
        **_meta(pair.problem), **_margin(pair), "id": pair.problem.id,
        "conversations": [{"from": "human", "value": marked(pair.problem, style)}], **sides,
        "images": _images(pair.problem, album),
    }  # fmt: skip


def _write_preference(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    sides = {n: [{"role": "assistant", "content": getattr(pair, n).text}] for n in ("chosen", "rejected")}
    return {
        **_meta(pair.problem), **_margin(pair), "id": pair.problem.id,
        "prompt": [{"role": "user", "content": marked(pair.problem, style)}], **sides,
        "images": _images(pair.problem, album),
    }  # fmt: skip


def _write_rewardbench(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    if pair.problem.images:
        raise DataError(
            "expected a text-only pair for RewardBench, found one with pictures; use vl_rewardbench"
        )
    return {
        **_meta(pair.problem), **_margin(pair), "id": pair.problem.id, "prompt": marked(pair.problem, style),
        "chosen": pair.chosen.text, "rejected": pair.rejected.text,
    }  # fmt: skip


def _write_vl_rewardbench(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    images = _images(pair.problem, album)
    return {
        **_meta(pair.problem), **_margin(pair), "id": pair.problem.id,
        "query": marked(replace(pair.problem, images=()), style), "image": images[0] if len(images) == 1 else images,
        "response": [pair.chosen.text, pair.rejected.text], "human_ranking": [0, 1],
    }  # fmt: skip


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(row.get(n) is not None for n in names)


def _lists(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(isinstance(row.get(n), list) for n in names)


SHAREGPT = {"formatting": "sharegpt", "columns": {"messages": "conversations", "images": "images"}}
ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
         "system_tag": "system"}  # fmt: skip
ANSWERED, PAIRED = (Problem, Sample), (Pair,)

SCHEMAS: dict[str, Schema] = {
    "pair": Schema(lambda r: isinstance(r.get("problem"), dict) and "chosen" in r, _own(Pair), _write_own, PAIRED),
    "sample": Schema(
        lambda r: isinstance(r.get("problem"), dict) and "completion" in r, _own(Sample), _write_own, (Sample,)
    ),
    "problem": Schema(is_record, _own(Problem), _write_own, (Problem,)),
    "vl_rewardbench": Schema(_has("response", "human_ranking"), _read_pair, _write_vl_rewardbench, PAIRED),
    "ranking": Schema(
        _has("conversations", "chosen", "rejected"), _read_pair, _write_ranking, PAIRED, ".json",
        {**SHAREGPT, "ranking": True, "columns": {**SHAREGPT["columns"], "chosen": "chosen", "rejected": "rejected"}},
    ),
    "rewardbench": Schema(
        lambda r: all(isinstance(r.get(n), str) for n in ("prompt", "chosen", "rejected")),
        _read_pair, _write_rewardbench, PAIRED,
    ),
    "preference": Schema(_has("chosen", "rejected"), _read_pair, _write_preference, PAIRED),
    "virgo": Schema(_lists("response", "score"), _read_virgo, _write_virgo, (Sample,), ".json"),
    "r1_onevision": Schema(
        lambda r: isinstance(r.get("image"), str) and "conversations" in r and "images" not in r
        and len(r["image"]) > 256,
        _conversation("conversations"), _write_r1_onevision, ANSWERED, ".parquet",
    ),
    "sharegpt": Schema(
        _has("conversations"), _conversation("conversations"), _write_conversation("conversations", _turns),
        ANSWERED, ".json", SHAREGPT,
    ),
    "messages": Schema(
        _has("messages"), _conversation("messages"), _write_conversation("messages", _messages), ANSWERED,
        ".jsonl", {**SHAREGPT, "columns": {**SHAREGPT["columns"], "messages": "messages"}, "tags": ROLES},
    ),
    "wethink": Schema(_has("problem", "refined_cot"), _read_wethink, _write_wethink, ANSWERED),
    "easyr1": Schema(_has("problem", "answer", "images"), _read_easyr1, _write_easyr1, ANSWERED),
    "vlmevalkit": Schema(
        lambda r: _has("index", "question", "answer")(r) and not any(n in r for n in COLUMNS["choices"]),
        _read_vlmevalkit, _write_vlmevalkit, ANSWERED, ".tsv"
    ),
    "flat": Schema(lambda r: True, _read_flat, _write_flat, ANSWERED),
}  # fmt: skip
"""Formats by name; the first whose columns are there reads a row."""


def schema_of(row: Row) -> str:
    """The name of the format whose columns a row shows."""
    return next(name for name, schema in SCHEMAS.items() if schema.matches(row))


def read_as(name: str, row: Row, fallback_id: str) -> list[Rows]:
    """The records of a row of the format of that name. Raises DataError when it can't be read as one."""
    try:
        return SCHEMAS[name].read(row, fallback_id)
    except (AttributeError, TypeError, KeyError, IndexError) as e:
        raise DataError(f"expected a row of format {name}, found values of other types in it ({e!r})") from e
