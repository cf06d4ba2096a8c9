import sys

import pytest

from visreason.errors import UsageError
from visreason.names import function, imported


def test_a_module_of_the_working_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "mine_of_test_names.py").write_text("def reward(samples):\n    return []\n\nLIMIT = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != ""])
    assert imported("thing", "mine_of_test_names:LIMIT") == 3
    assert function("reward", "mine_of_test_names:reward")([]) == []
    with pytest.raises(UsageError, match=r"expected a reward at 'mine_of_test_names:LIMIT', found int"):
        function("reward", "mine_of_test_names:LIMIT")


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere:f", "sys:nothing", ":f", "sys:"])
def test_what_can_not_be_imported_is_refused(name):
    with pytest.raises(UsageError, match="that can be imported"):
        imported("thing", name)
