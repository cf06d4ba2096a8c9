import os
import signal
from pathlib import Path

import pytest

from visreason import cli
from visreason.errors import RunError
from visreason.store import checkpoints, manifest
from visreason.verbs import demo

RECIPE = str(Path(__file__).parent.parent.parent / "recipes" / "demo" / "smoke.yaml")


def test_the_demo_runs_its_stages_and_sums_them_up(tmp_path, capfd):
    out = tmp_path / "demo"
    assert cli.main(["demo", RECIPE, f"out={out}"]) == 0
    shown = capfd.readouterr().err
    assert f"open {out / 'report' / 'index.html'}".replace(" ", "") in "".join(shown.split())

    summary = manifest(out)["summary"]
    for decoding in ("accuracy", "greedy"):
        for model in ("base", "sft", "mpo", "grpo"):
            found = summary[decoding][model]
            assert found["n"] == 12
            assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    gain = summary["gain"]["grpo_over_sft"]
    assert (
        abs(gain["value"] - (summary["accuracy"]["grpo"]["value"] - summary["accuracy"]["sft"]["value"]))
        < 1e-9
    )
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert set(summary["format"]) == {"base", "sft", "mpo", "grpo"}
    assert summary["reward_model"]["pair_accuracy"]["n"] == 12
    assert set(summary["best_of"]) == {"mean", "best", "majority", "oracle"}
    for gained in ("best_of_8_over_mean", "mpo_over_sft"):
        assert summary["gain"][gained]["n"] == 12
    assert summary["seconds"] > 0

    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    for words in (
        "Accuracy reward",
        "Format reward",
        "Completion length",
        "Accuracy by family and level",
        "Learned reward",
    ):
        assert words in page
    assert [c.name for c in checkpoints(out / "grpo")] == ["step_000002"]

    assert cli.main(["demo", RECIPE, f"out={out}"]) == 0
    assert "$ visreason" not in capfd.readouterr().err, "a finished demo runs nothing again"


def _die(words):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_stage_that_is_killed_stops_the_demo_with_the_signal(monkeypatch):
    monkeypatch.setattr(demo, "_command", _die)
    with pytest.raises(RunError, match=r"visreason sft was killed by signal 9 .*give the same command again"):
        demo._stage(["sft"])
