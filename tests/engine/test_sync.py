"""Weights on their way to vLLM. That they arrive is shown with vLLM itself, in test_vllm.py."""

import fcntl

from visreason.engine import sync


def test_memory_that_a_killed_sync_left_is_given_back_and_no_other(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "MEMORY", tmp_path)
    for name in ("killed", "alive"):
        (tmp_path / f"{sync.PREFIX}{name}").mkdir()
        (tmp_path / f"{sync.PREFIX}{name}" / sync.HELD).touch()
    with open(tmp_path / f"{sync.PREFIX}alive" / sync.HELD) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with sync.written(policy) as folder:
            assert folder.parent == tmp_path
            assert list(folder.glob("*.safetensors"))
            assert {p.name for p in tmp_path.iterdir()} == {f"{sync.PREFIX}alive", folder.name}
    assert [p.name for p in tmp_path.iterdir()] == [f"{sync.PREFIX}alive"]
