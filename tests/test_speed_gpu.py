import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_make_names_the_bench():
    said = subprocess.run(
        ["make", "-n", "speed-gpu"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "speed/gpu.py" in said


@pytest.mark.slow
def test_the_gpu_bench_runs_on_a_tiny_shape_its_ways_agree_and_it_is_published(tmp_path):
    done = subprocess.run(
        [sys.executable, "speed/gpu.py", "smoke"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"way": "scoring"' in done.stdout
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    words = [sys.executable, "-c", PUBLISH, str(tmp_path), json.dumps(rows)]
    subprocess.run(words, cwd=ROOT / "speed", check=True)
    page = (tmp_path / "speed.md").read_text()
    assert "| tiny-of-3B | 36/12 | segments |" in page
    assert "FLOPs by the forest's" in page
    assert "![seconds of an update](speed_gpu.png)" in page
    assert (tmp_path / "speed_gpu.png").stat().st_size > 1000
    assert json.loads((tmp_path / "speed_gpu.json").read_text())["rows"] == rows


PUBLISH = """
import json, sys
from pathlib import Path
import gpu, table
gpu.DOCS, table.PAGE = Path(sys.argv[1]), Path(sys.argv[1]) / "speed.md"
gpu.publish(json.loads(sys.argv[2]), "card", 0.0)
"""
