"""The files people have, as pairs of functions: a row to records, and records to a row.

A function reads or writes what its format has a place for; `convert` keeps the rest (see `exact`). A row is one
record, except Virgo's, which holds all samples of a problem.
"""

from collections.abc import Callable
from typing import cast

from visreason.data.album import Album
from visreason.data.columns import COLUMNS, is_record
from visreason.data.comparisons import (
    read_pair,
    write_preference,
    write_ranking,
    write_rewardbench,
    write_vl_rewardbench,
)
from visreason.data.dialogues import (
    conversation,
    write_messages,
    write_r1_onevision,
    write_sharegpt,
)
from visreason.data.questions import (
    read_easyr1,
    read_flat,
    read_virgo,
    read_vlmevalkit,
    read_wethink,
    write_easyr1,
    write_flat,
    write_virgo,
    write_vlmevalkit,
    write_wethink,
)
from visreason.data.rows import Row, Rows, Schema, problem_of
from visreason.data.turns import refuse_media
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Pair, Problem, Sample, from_json, to_json


def _own(kind: type) -> Callable[[Row, str], list[Rows]]:
    return lambda row, _: [cast(Rows, from_json(kind, row))]


def _write_own(records: list[Rows], album: Album, style: Style) -> Row:
    return to_json(records[0])


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(row.get(n) is not None for n in names)


def _lists(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(isinstance(row.get(n), list) for n in names)


SHAREGPT = {"formatting": "sharegpt", "columns": {"messages": "conversations", "images": "images"}}
ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
         "system_tag": "system"}  # fmt: skip
OWN = ("problem", "sample", "pair")
"""Formats that are records as this package writes them."""
ANSWERED, PAIRED = (Problem, Sample), (Pair,)

SCHEMAS: dict[str, Schema] = {
    "pair": Schema(lambda r: isinstance(r.get("problem"), dict) and "chosen" in r, _own(Pair), _write_own, PAIRED),
    "sample": Schema(
        lambda r: isinstance(r.get("problem"), dict) and "completion" in r, _own(Sample), _write_own, (Sample,)
    ),
    "problem": Schema(is_record, _own(Problem), _write_own, (Problem,)),
    "vl_rewardbench": Schema(_has("response", "human_ranking"), read_pair, write_vl_rewardbench, PAIRED),
    "ranking": Schema(
        _has("conversations", "chosen", "rejected"), read_pair, write_ranking, PAIRED, ".json",
        {**SHAREGPT, "ranking": True, "columns": {**SHAREGPT["columns"], "chosen": "chosen", "rejected": "rejected"}},
    ),
    "rewardbench": Schema(
        lambda r: all(isinstance(r.get(n), str) for n in ("prompt", "chosen", "rejected")),
        read_pair, write_rewardbench, PAIRED,
    ),
    "preference": Schema(_has("chosen", "rejected"), read_pair, write_preference, PAIRED),
    "virgo": Schema(_lists("response", "score"), read_virgo, write_virgo, (Sample,), ".json"),
    "r1_onevision": Schema(
        lambda r: isinstance(r.get("image"), str) and "conversations" in r and "images" not in r
        and len(r["image"]) > 256,
        conversation("conversations"), write_r1_onevision, ANSWERED, ".parquet",
    ),
    "sharegpt": Schema(
        _has("conversations"), conversation("conversations"), write_sharegpt, ANSWERED, ".json", SHAREGPT,
    ),
    "messages": Schema(
        _has("messages"), conversation("messages"), write_messages, ANSWERED, ".jsonl",
        {**SHAREGPT, "columns": {**SHAREGPT["columns"], "messages": "messages"}, "tags": ROLES},
    ),
    "wethink": Schema(_has("problem", "refined_cot"), read_wethink, write_wethink, ANSWERED),
    "easyr1": Schema(_has("problem", "answer", "images"), read_easyr1, write_easyr1, ANSWERED),
    "vlmevalkit": Schema(
        lambda r: _has("index", "question", "answer")(r) and not any(n in r for n in COLUMNS["choices"]),
        read_vlmevalkit, write_vlmevalkit, ANSWERED, ".tsv"
    ),
    "flat": Schema(lambda r: True, read_flat, write_flat, ANSWERED),
}  # fmt: skip
"""Formats by name; the first whose columns are there reads a row."""


def schema_of(row: Row) -> str:
    """The name of the format whose columns a row shows."""
    return next(name for name, schema in SCHEMAS.items() if schema.matches(row))


def read_as(name: str, row: Row, fallback_id: str) -> list[Rows]:
    """The records of a row of the format of that name. Raises DataError when it can't be read as one."""
    try:
        found = SCHEMAS[name].read(row, fallback_id)
        for record in found:
            refuse_media(problem_of(record), marks=name not in OWN)
        return found
    except DataError:
        raise
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, OverflowError) as e:
        raise DataError(f"expected a row of format {name}, found values of other types in it ({e!r})") from e
