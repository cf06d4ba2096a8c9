"""What is said before a run of training begins."""

import pytest

from tests.model.world import STYLE
from tests.train.test_resume import train
from visreason.store import checkpoints


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """A run of sft in a style that is not the default one."""
    out = tmp_path_factory.mktemp("trained") / "sft"
    train("sft", world, out, steps=1)
    return out


@pytest.mark.parametrize("verb", ["sft", "mpo", "grpo"])
def test_a_model_that_was_trained_in_another_style_is_trained_on_with_a_warning(
    verb, world, trained, tmp_path, capsys
):
    for name, start, given in (
        ("run", trained, "virgo"),
        ("checkpoint", checkpoints(trained)[-1], "virgo"),
        ("same", trained, STYLE),
        ("no run", world / "small", "virgo"),
    ):
        train(verb, world, tmp_path / name, model=str(start), style=given, steps=1)
        said = " ".join(capsys.readouterr().err.split())
        warned = (
            f"was trained in style={STYLE}, and is asked in virgo; give style={STYLE} to keep to it" in said
        )
        assert warned == (name in ("run", "checkpoint")), name
