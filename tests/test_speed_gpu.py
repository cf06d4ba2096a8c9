import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_gpu_bench_runs_on_a_tiny_shape_and_its_ways_agree():
    done = subprocess.run(
        [sys.executable, "speed/gpu.py", "smoke"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"way": "scoring"' in done.stdout
