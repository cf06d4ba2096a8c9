"""Lessons in describing pass formalize's own checks, and the teacher that thinks from them is right and speaks as the
world does."""

import numpy as np
import pytest

from visreason.data.examples import read_examples
from visreason.factory.formalize import Tools, formalize
from visreason.factory.pipeline import Made
from visreason.prompt import open_image, style
from visreason.prompt.chat import choice_lines
from visreason.prompt.put import put
from visreason.record import Completion, Problem, Sample
from visreason.store import read_records
from visreason.world import bars, describing, problems, teacher
from visreason.world.source import data_file

DIRECT = style("direct")


class Learned:
    """An engine that has learned its lessons by heart: prompts with their true replies, of one family."""

    name, device = "learned", "none"

    def __init__(self, family, draft):
        self.replies = [describing.KINDS[family], describing.described(family, draft)]

    def generate(self, conversations, sampling):
        return [[Completion(self.replies.pop(0))] for _ in conversations]


def first_level(n):
    return [i for i in range(3 * n) if problems.place(i)[1] == 1][:n]


def described(index, seed=0) -> tuple[Problem, Made]:
    problem, picture = problems.draw("train", index, seed)
    draft = problems.draft("train", index, seed)
    assert draft.question == problem.question
    tools = Tools(Learned(problem.meta["family"], draft), None, None, None, 100)  # type: ignore[arg-type]
    image = read_image(picture)
    (made,) = formalize(
        [Problem(problem.id, problem.question, (image,), problem.answer, problem.choices)], tools, 0
    )
    return problem, made


def read_image(picture):
    from visreason.record import Image

    return Image("drawn.png", "0" * 64, picture.size)


def thought_of(problem, description):
    question = "\n".join(filter(None, (problem.question, choice_lines(problem))))
    asked = put("distill_description.user.md", {"question": question, "description": description})
    return style("awaker").parse(teacher.think(asked, 0))


@pytest.mark.parametrize("index", first_level(16 * 5))
def test_the_teacher_thinks_from_true_descriptions_what_the_world_does(index):
    problem, made = described(index)
    assert made.rule is None, made.why
    found = thought_of(problem, made.problem.description)
    assert (found.thought, found.answer) == (problem.thought, problem.answer)


def test_a_description_with_holes_in_it_gives_no_answer():
    for question in ("What is the value of the red bar?", "How long is the longest side?", "Why?"):
        for description in ("A picture.", "Description: x\n```csv\nonly\n```"):
            assert not thought_of(Problem("p", question), description).well_formed


def test_lessons_are_learned_as_they_are_asked(tmp_path):
    path = data_file("world:describe:32:3", tmp_path, DIRECT)
    samples = list(read_records(path, Sample))
    assert len(samples) == 32
    kinds = [s for s in samples if "What kind of picture" in s.problem.question]
    assert {s.completion.text for s in kinds} == set(describing.KINDS.values())
    assert len(kinds) == 32 / describing.KIND_EVERY
    rejected = []
    assert len(read_examples(path, DIRECT, rejected)) == 32
    assert rejected == []


def test_the_exact_eye_reads_every_chart(tmp_path):
    for index in range(0, 48, 4):
        problem, picture = problems.draw("train", index)
        assert (
            f'"values": {str(bars.read(np.asarray(picture))).replace(chr(39), chr(34))}'
            in problem.description
        )


def test_a_picture_on_disk_is_read_as_it_was_painted(tmp_path):
    path = problems.write(tmp_path, "train", 1)
    (problem,) = read_records(path, Problem)
    assert bars.read(np.asarray(open_image(problem.images[0])))
