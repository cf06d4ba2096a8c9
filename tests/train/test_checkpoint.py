"""What makes a checkpoint whole, and what is done with one that is not."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from tests.train.test_resume import train
from tests.train.test_sharding import assert_close
from visreason.errors import RunError
from visreason.store import checkpoints
from visreason.train import checkpoint
from visreason.train.checkpoint import Keeper, last_sound, place, prune

SPREAD = {"offload": True, "steps": 6, "save_every": 2, "keep": 3}
"""One process that writes its parts as several do."""


def made(run, step, files=("a", "b")):
    """A checkpoint of a few numbers."""
    scratch = place(run, step).with_suffix(".tmp")
    scratch.mkdir(parents=True)
    torch.save({"step": step}, scratch / checkpoint.STATE)
    for name in files:
        save_file({name: torch.ones(3)}, scratch / f"{name}.safetensors")
    Keeper(run, 9)._name(scratch)
    return place(run, step)


@pytest.mark.parametrize("name", ["a.safetensors", "b.safetensors", checkpoint.FILES, checkpoint.STATE])
def test_a_checkpoint_without_one_of_its_files_is_set_aside(tmp_path, name):
    before, after = made(tmp_path, 1), made(tmp_path, 2)
    assert last_sound(tmp_path) == (after, [])
    (after / name).unlink()
    found, said = last_sound(tmp_path)
    assert found == before
    assert len(said) == 1
    assert "step_000002 can't be read" in said[0]
    assert [p.name for p in sorted((tmp_path / "checkpoint").iterdir())] == [
        "damaged_step_000002",
        "step_000001",
    ]


def test_a_checkpoint_is_set_aside_beside_an_earlier_one_of_its_name(tmp_path):
    before = made(tmp_path, 1)
    for _ in range(2):
        (made(tmp_path, 2) / "a.safetensors").write_bytes(b"half")
        assert last_sound(tmp_path)[0] == before


def test_a_checkpoint_without_weights_is_none(tmp_path):
    made(tmp_path, 1, files=())
    with pytest.raises(RunError, match=r"it holds no weights.* There is no other"):
        last_sound(tmp_path)


def test_a_checkpoint_that_was_being_deleted_has_no_name(tmp_path, monkeypatch):
    for step in (1, 2, 3):
        made(tmp_path, step)

    class Killed(BaseException):
        pass

    def half(folder, **_):
        if folder.exists():
            (folder / "a.safetensors").unlink()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(Killed):
            prune(tmp_path, 1)
    assert place(tmp_path, 1) not in checkpoints(tmp_path)
    prune(tmp_path, 1)
    assert list((tmp_path / "checkpoint").iterdir()) == [place(tmp_path, 3)]


def test_a_training_state_is_read_when_it_is_used(tmp_path):
    folder = made(tmp_path, 1)
    file = folder / checkpoint.STATE
    torch.save({"optimizer": torch.ones(1 << 20)}, file)
    assert checkpoint._damage(folder) is None
    state = checkpoint.load_state(folder)
    ones = torch.ones(1 << 20).numpy().tobytes()
    with open(file, "r+b") as opened:
        opened.seek(file.read_bytes().index(ones))
        opened.write(bytes(len(ones)))
    assert not state["optimizer"].any()


@pytest.fixture(scope="module")
def spread(world, tmp_path_factory):
    """A run whose checkpoints lie in parts."""
    out = tmp_path_factory.mktemp("spread") / "run"
    train("sft", world, out, **SPREAD)
    return out


def test_a_run_in_parts_ends_as_one_in_one_piece(world, spread, tmp_path):
    train("sft", world, tmp_path / "whole", **{**SPREAD, "offload": False})
    one, other = (
        (checkpoints(p)[-1] / "model.safetensors").read_bytes() for p in (spread, tmp_path / "whole")
    )
    assert one == other


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_checkpoint_with_a_damaged_part_falls_back_to_the_one_before(
    damage, world, spread, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(spread, out)
    (out / "manifest.json").unlink()
    (part,) = (checkpoints(out)[-1] / checkpoint.SHARDS).glob("*.safetensors")
    part.unlink() if damage == "gone" else part.write_bytes(part.read_bytes()[:-4])
    train("sft", world, out, **SPREAD)
    assert "step_000006 can't be read" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(out / "checkpoint" / "damaged_step_000006")
    assert_close(out, spread)
