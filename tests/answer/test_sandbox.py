import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

from visreason.answer import check, sandbox
from visreason.answer.parse import parse
from visreason.record import Problem

INTEGRAL = parse(r"\int_0^1 x dx")
HALF = ("num", Fraction(1, 2))
HARD = parse(r"\int \sin(x^{x^x}) \cos(e^{x^x}) \ln(x^x) \sqrt{1+\sin(x^x)} dx")
TEXTS = (
    r"\boxed{0.5}",
    "1/2",
    r"\boxed{\frac{2}{3}}",
    r"\boxed{\int_0^1 x\,dx}",
    "no idea",
    r"\boxed{2^{2^{2^{49}}}}",
)


def reasons(text):
    return check(Problem("p", "", answer=r"\frac12"), text).reason


def test_symbolic_work_decides():
    assert sandbox.same(INTEGRAL, HALF)
    assert not sandbox.same(INTEGRAL, ("num", Fraction(1, 3)))


def test_a_child_that_overruns_is_killed_and_the_next_question_is_answered(monkeypatch):
    sandbox.same(INTEGRAL, HALF)
    monkeypatch.setattr(sandbox, "TIMEOUT_S", 0.2)
    started = time.monotonic()
    assert not sandbox.same(HARD, HALF)
    assert time.monotonic() - started < 2
    monkeypatch.setattr(sandbox, "TIMEOUT_S", 20.0)
    assert sandbox.same(INTEGRAL, HALF)


def test_a_child_that_was_killed_from_outside_is_replaced():
    sandbox.same(INTEGRAL, HALF)
    with sandbox._child() as child:
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
    assert sandbox.same(INTEGRAL, HALF)


def test_children_end_with_the_process_that_started_them():
    code = (
        "import time; from visreason.answer import sandbox; from tests.answer.test_sandbox import HARD, HALF\n"
        "sandbox.start(); sandbox.TIMEOUT_S = 0.1; sandbox.same(HARD, HALF)\n"
        "with sandbox._child() as child: print(child.process.pid, flush=True)\n"
        "sandbox.TIMEOUT_S = 2.0; sandbox.same(HARD, HALF)"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as process:
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _group_lives(pid):
        time.sleep(0.1)
    assert not _group_lives(pid)


def _group_lives(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_trees_survive_the_pipe():
    assert sandbox.from_rows(sandbox.to_rows(INTEGRAL)) == INTEGRAL


def test_tall_powers_never_reach_a_child():
    assert not sandbox.same(parse("2^{2^{49}}"), HALF)


def test_64_threads_give_the_verdicts_of_one():
    alone = [reasons(text) for text in TEXTS]
    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(reasons, TEXTS * 32)) == alone * 32


def test_it_works_inside_a_running_event_loop():
    async def ask():
        return [await asyncio.to_thread(reasons, TEXTS[3]), reasons(TEXTS[3])]

    assert asyncio.run(ask()) == ["symbolic", "symbolic"]


def test_import_pulls_in_neither_torch_nor_sympy():
    code = "import sys, visreason.answer; assert not {'torch', 'sympy', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2] / "src", check=False)
    assert done.returncode == 0
