"""Distilling with a teacher on vLLM, from the command line as a user would."""

import json
import subprocess
import sys

import pytest

from tests.model.world import STYLE, drawn, world  # noqa: F401 - fixtures
from visreason.store import manifest

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]


def test_a_teacher_on_vllm_is_asked_for_long_replies(world, tmp_path):  # noqa: F811
    words = [
        f"data={world}/train.jsonl", f"teacher=vllm:{world}/model", f"asked={STYLE}", "n=2", "limit=4", "near=null",
        "max_completion_tokens=6000", "max_prompt_tokens=600", "memory_share=0.05", "precision=float32",
        f"out={tmp_path / 'run'}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "visreason", "distill", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = [json.loads(line) for line in (tmp_path / "run" / "made.jsonl").read_text().splitlines()]
    tries = [t for row in made for t in row["steps"]["completions"]]
    assert len(tries) == 8
    assert "errored" not in {t["rule"] for t in tries}
    assert manifest(tmp_path / "run")["summary"]["funnel"][1]["in"] == 8
