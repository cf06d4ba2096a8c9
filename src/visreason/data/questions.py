"""Rows that hold one question, its answer and perhaps responses: flat, EasyR1's, WeThink's, Virgo's, VLMEvalKit's."""

from dataclasses import replace

from visreason.data.album import Album
from visreason.data.columns import RESPONSES, flat_problem, flat_sample
from visreason.data.dialogues import turns_of
from visreason.data.rows import Row, Rows, as_texts, further, named_images, problem_of, with_problem
from visreason.data.turns import harmless, marked, unmarked
from visreason.errors import DataError
from visreason.prompt import STYLES, Style
from visreason.prompt.chat import LETTERS, choice_lines
from visreason.record import Completion, Sample, Score, to_json


def read_flat(row: Row, name: str) -> list[Rows]:
    responded = any(n in row for n in RESPONSES)
    return [flat_sample(row, name) if responded else flat_problem(row, name)]


def write_flat(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    question, images = harmless(problem.question), named_images(problem, album)
    row = {**further(problem), **to_json(problem), "question": question, "images": images}
    row.pop("meta", None)
    if isinstance(records[0], Sample):
        row |= {"response": records[0].completion.text, "finish": records[0].completion.finish}
    return row


def write_easyr1(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    return {
        **further(problem), "id": problem.id, "problem": marked(problem, STYLES["direct"]),
        "answer": problem.answer or "", "images": named_images(problem, album),
    }  # fmt: skip


def read_easyr1(row: Row, name: str) -> list[Rows]:
    problem = flat_problem(row, name)
    return [with_problem(problem, replace(problem, question=unmarked(problem.question, len(problem.images))))]


def read_wethink(row: Row, name: str) -> list[Rows]:
    """Rows whose `reward` is a model's are open questions, which a judge marks."""
    problem = flat_problem(row, name)
    by_model = "model" in str(row.get("reward")).lower()
    return [with_problem(problem, replace(problem, check="judge" if by_model else problem.check))]


def write_wethink(records: list[Rows], album: Album, style: Style) -> Row:
    record = records[0]
    problem, options = problem_of(record), choice_lines(problem_of(record))
    question = harmless(problem.question)
    sampled = style.parse(record.completion.text).thought if isinstance(record, Sample) else None
    images = named_images(problem, album)
    return {
        "category": "", "abilities": [], **further(problem), "id": problem.id,
        "problem": f"{question}\n{options}" if options else question,
        "answer": problem.answer or "", "refined_cot": problem.thought or sampled or "",
        "image_path": images[0] if len(images) == 1 else images,
        "reward": "model" if problem.check == "judge" else "rule",
    }  # fmt: skip


def read_virgo(row: Row, name: str) -> list[Rows]:
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


def write_virgo(records: list[Rows], album: Album, style: Style) -> Row:
    """All samples of a problem; its conversation shows the shortest of the right ones."""
    problem, samples = problem_of(records[0]), [r for r in records if isinstance(r, Sample)]
    right = sorted((s.completion.text for s in samples if s.score.correct), key=len)
    turns = turns_of(marked(problem, style), right[0]) if right else []
    return {
        **further(problem), "id": problem.id, "question": marked(problem, STYLES["direct"]),
        "answer": problem.answer or "", "response": [s.completion.text for s in samples],
        "score": [int(s.score.correct) for s in samples], "images": named_images(problem, album), "conversation": turns,
    }  # fmt: skip


def read_vlmevalkit(row: Row, name: str) -> list[Rows]:
    letters = [c for c in LETTERS if row.get(c) not in (None, "")]
    if letters != list(LETTERS[: len(letters)]):
        raise DataError(f"expected options A, B, C, ... without a gap, found {', '.join(letters)}")
    rest = {k: v for k, v in row.items() if k not in LETTERS and k != "index"}
    row = {**rest, "id": row.get("index", name), "choices": [row[c] for c in letters]}
    return [flat_problem(row, name)]


def write_vlmevalkit(records: list[Rows], album: Album, style: Style) -> Row:
    problem = problem_of(records[0])
    images = [album.encode(i) for i in problem.images]
    row = {
        **further(problem), "index": problem.id, "image": images[0] if len(images) == 1 else images,
        "question": harmless(problem.question), **dict(zip(LETTERS, problem.choices, strict=False)),
        "answer": problem.answer,
    }  # fmt: skip
    return as_texts({k: v for k, v in row.items() if v not in ("", None, [])})
