import subprocess
import sys

SLEEPS = """
import time
from functools import partial
from visreason.cores import over_cores
if __name__ == "__main__":
    list(over_cores(time.sleep, [60.0, 60.0], start=partial(print, "begun", flush=True)))
"""


def test_processes_end_with_the_one_that_was_killed(tmp_path):
    script = tmp_path / "sleeps.py"
    script.write_text(SLEEPS)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.communicate(timeout=30)  # until nobody holds the pipe any more
