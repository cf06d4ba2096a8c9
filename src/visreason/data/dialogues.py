"""Rows that hold a conversation: ShareGPT's, messages of Hugging Face, R1-Onevision's."""

from collections.abc import Callable
from dataclasses import replace

from visreason.data.album import Album
from visreason.data.columns import flat_problem
from visreason.data.rows import Row, Rows, as_texts, further, named_images, problem_of, target
from visreason.data.turns import marked, read_turns, unmarked
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Completion, Sample, Score


def conversation(column: str) -> Callable[[Row, str], list[Rows]]:
    def read(row: Row, name: str) -> list[Rows]:
        system, question, answer = read_turns(row[column])
        rest = {k: v for k, v in row.items() if k != column}
        problem = flat_problem({**rest, "question": question}, name)
        problem = replace(problem, question=unmarked(question, len(problem.images)))
        if system is not None:
            problem = replace(problem, meta={**problem.meta, "system": system})
        return [problem if answer is None else Sample(problem, Completion(answer), Score(0.0))]

    return read


def turns_of(asked: str, said: str | None) -> list[Row]:
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
    return turns[: 1 if said is None else 2]


def write_sharegpt(records: list[Rows], album: Album, style: Style) -> Row:
    """The system text stands beside the turns, where WeThink has it; dataset_info.json names the column."""
    problem = problem_of(records[0])
    system = {"system": style.system} if style.system and "system" not in problem.meta else {}
    turns = turns_of(marked(problem, style), target(records[0], style))
    return {
        **further(problem), **system, "id": problem.id, "conversations": turns, "images": named_images(problem, album),
    }  # fmt: skip


def write_messages(records: list[Rows], album: Album, style: Style) -> Row:
    """The system text is the first turn."""
    problem, rest = problem_of(records[0]), further(problem_of(records[0]))
    system = rest.pop("system") if isinstance(rest.get("system"), str) else style.system
    said = {"system": system, "user": marked(problem, style), "assistant": target(records[0], style)}
    turns = [{"role": role, "content": text} for role, text in said.items() if text is not None]
    return {**rest, "id": problem.id, "messages": turns, "images": named_images(problem, album)}


def write_r1_onevision(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    if len(problem.images) > 1:
        raise DataError(f"expected one picture at most in this format, found {len(problem.images)}")
    turns = turns_of(marked(replace(problem, images=()), style), target(records[0], style))
    turns = [{**t, "from": "assistant" if t["from"] == "gpt" else t["from"]} for t in turns]
    image = {"image": album.encode(problem.images[0])} if problem.images else {}
    return {**as_texts(further(problem)), "id": problem.id, **image, "conversations": turns}
