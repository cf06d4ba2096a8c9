import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from visreason.answer import check, grade, sandbox
from visreason.answer.parse import parse
from visreason.errors import RunError
from visreason.record import Problem, Score

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


ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


@pytest.fixture
def no_child():
    """No child runs before the test, nor after it."""
    sandbox._stop()
    yield
    sandbox._stop()


def reasons(text):
    return check(Problem("p", "", answer=r"\frac12"), text).reason


def test_symbolic_work_decides():
    assert sandbox.same(INTEGRAL, HALF)
    assert not sandbox.same(INTEGRAL, ("num", Fraction(1, 3)))


def test_a_child_that_overruns_is_killed_and_the_next_question_is_answered(monkeypatch):
    with sandbox._child() as child:
        overrun = child.ask([0.2, *map(sandbox.to_rows, (HARD, HALF))])
        assert overrun == {"equal": False, "seconds": 0.2}
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
        "sandbox.TIMEOUT_S = 0.5; sandbox.same(HARD, HALF)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        pid = int(process.stdout.readline())
        process.kill()
    assert _ends(pid)


def test_a_busy_child_ends_with_the_process_that_started_it():
    code = (
        "import threading, time; from visreason.answer import sandbox\n"
        "from tests.answer.test_sandbox import HARD, HALF\n"
        "sandbox.same(HARD[1], HALF); sandbox.TIMEOUT_S = sandbox.ANSWER_S = 100.0\n"
        "threading.Thread(target=sandbox.same, args=(HARD, HALF), daemon=True).start(); time.sleep(0.5)\n"
        "print(*[c.process.pid for c in sandbox._children if c.process])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ENVIRONMENT, check=True)
    assert all(_ends(int(pid)) for pid in done.stdout.split())


def _ends(pid):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _group_lives(pid):
        time.sleep(0.1)
    return not _group_lives(pid)


def _group_lives(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_can_not_start_is_an_error_with_its_own_words(monkeypatch, no_child):
    monkeypatch.setattr(sandbox, "WORKER", ("-c", "raise SystemExit('sympy is broken')"))
    with pytest.raises(RunError, match="sympy is broken"):
        check(Problem("p", "", answer=r"\frac12"), TEXTS[3])
    monkeypatch.setattr(sandbox.sys, "executable", "/no/such/python")
    with pytest.raises(RunError, match="No such file"):
        sandbox.same(INTEGRAL, HALF)


def test_a_fault_of_the_child_is_an_errored_verdict_and_a_warning(monkeypatch):
    monkeypatch.setattr(sandbox._Child, "ask", lambda *_: {"fault": "KeyError('x')", "seconds": 0.1})
    with pytest.warns(RuntimeWarning, match="KeyError"):
        assert grade(TEXTS[3], "1/2") == Score(0.0, None, "errored", {"fault": 1.0})


def test_a_reply_that_is_none_is_a_fault_and_the_next_question_has_another_child(monkeypatch, no_child):
    garbled = "print('ready', flush=True); input(); print('?!', flush=True); input()"
    with monkeypatch.context() as patched:
        patched.setattr(sandbox, "WORKER", ("-c", garbled))
        with pytest.raises(sandbox.Fault, match="expected JSON"):
            sandbox.same(INTEGRAL, HALF)
    assert sandbox.same(INTEGRAL, HALF)


def test_our_own_errors_are_faults_and_those_of_sympy_are_not():
    from visreason.answer import worker  # imports sympy

    half = sandbox.to_rows(HALF)
    assert "ValueError" in worker._answer({"fraction": ["one", "2"]}, half)["fault"]
    for tree in (("call", "mod", HALF, ("num", Fraction(0))), ("list", "()", HALF), ("call", "root", HALF)):
        assert worker._answer(sandbox.to_rows(tree), half) == {"equal": False}


def test_a_child_knows_no_secrets_of_its_parent(monkeypatch, no_child):
    monkeypatch.setenv("HF_TOKEN", "a secret")
    sandbox.same(INTEGRAL, HALF)
    with sandbox._child() as child:
        assert b"a secret" not in Path(f"/proc/{child.process.pid}/environ").read_bytes()


def test_a_child_imports_nothing_from_the_working_directory(tmp_path):
    (tmp_path / "sympy.py").write_text("raise SystemExit('not this one')")
    code = "from tests.answer.test_sandbox import *; assert sandbox.same(INTEGRAL, HALF)"
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, env=ENVIRONMENT, check=True)


def test_a_fork_while_another_thread_holds_the_lock_asks_children_of_its_own():
    code = (
        "import os, warnings; from tests.answer.test_sandbox import *\n"
        "warnings.simplefilter('ignore'); sandbox.same(INTEGRAL, HALF); pids = {c.process and c.process.pid for c in "
        "sandbox._children}\n"
        "with sandbox._idle.mutex: pid = os.fork()\n"
        "if pid == 0:\n"
        "    same = sandbox.same(INTEGRAL, HALF)\n"
        "    os._exit(not same or any(c.process and c.process.pid in pids for c in sandbox._children))\n"
        "assert os.waitpid(pid, 0)[1] == 0 and sandbox.same(INTEGRAL, HALF)"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, timeout=60)


def test_powers_of_symbols_reach_a_child():
    assert sandbox.same(parse(r"\int_{-\infty}^{\infty} e^{-x^2} dx"), parse(r"\sqrt{\pi}"))


def test_trees_survive_the_pipe():
    assert sandbox.from_rows(sandbox.to_rows(INTEGRAL)) == INTEGRAL


def test_tall_powers_never_reach_a_child(monkeypatch):
    monkeypatch.setattr(sandbox._Child, "ask", None)
    for text in ("2^{2^{49}}", "x^{2^{49}}", "2^{1000000}", "(2^{49})!", "2^{-(9^{9})}"):
        assert not sandbox.same(parse(text), HALF), text


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
