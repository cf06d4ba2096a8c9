from collections import defaultdict

import pytest
from PIL import Image as Picture

from visreason.record import Problem
from visreason.world.problems import draw

Drawn = list[tuple[Problem, Picture.Image]]


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """Enough of both splits for about 100 problems of every form."""
    return [draw("train", i) for i in range(3600)] + [draw("heldout", i) for i in range(1200)]


@pytest.fixture(scope="session")
def by_family(drawn: Drawn) -> dict[str, Drawn]:
    families = defaultdict(list)
    for problem, picture in drawn:
        families[problem.meta["family"]].append((problem, picture))
    return families
