"""Pictures of bars, whose values the world knows."""

import pytest

from visreason.world import problems as world


@pytest.fixture(scope="session")
def bars(tmp_path_factory):
    """A file of 90 problems about different bar charts."""
    folder = tmp_path_factory.mktemp("bars")
    drawn = (found for found in world.distinct("train", 360) if found[0].meta["family"] == "bars")
    return world.write_drawn(folder, "train", drawn, 90)
