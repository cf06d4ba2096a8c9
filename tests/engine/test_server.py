import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.model.world import STYLE
from visreason import cli
from visreason.engine import Sampling, connect
from visreason.engine.guard import Guard
from visreason.engine.hf import HF
from visreason.engine.script import Script
from visreason.engine.server import app
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.record import Completion
from visreason.verbs import serve


@pytest.fixture
def client(tmp_path):
    """Requests to a server over an engine that says how many pictures it saw and what it was asked."""
    seen = []

    def answer(conversation, i):
        parts = conversation[-1]["content"]
        seen.append([p["image"].size for p in parts if p["type"] == "image"])
        text = " ".join(p["text"] for p in parts if p["type"] == "text")
        if "bad" in text:
            return Completion("too long", finish="error")
        return Completion(f"{i}: {text}", "stop", "script", (7, 8), (-1.0, -2.0))

    client = TestClient(app(Script(answer), "m", tmp_path, max_tokens=100))
    client.seen = seen
    return client


def ask(client, content="hello", **fields):
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return client.post("/v1/chat/completions", json=body)


def picture(path, kind="image/png"):
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


def test_a_question_with_a_picture_is_answered(client, drawn):
    path = drawn[0].images[0].path
    found = ask(client, [picture(path), {"type": "text", "text": "What?"}], n=2)
    assert found.status_code == 200
    choices = found.json()["choices"]
    assert [c["message"]["content"] for c in choices] == ["0: What?", "1: What?"]
    assert [c["finish_reason"] for c in choices] == ["stop"] * 2
    assert client.seen[0] == [drawn[0].images[0].size]
    assert "token_ids" not in choices[0]


def test_token_ids_and_log_probs_are_given_when_asked_for(client):
    choice = ask(client, return_token_ids=True, logprobs=True).json()["choices"][0]
    assert choice["token_ids"] == [7, 8]
    assert [t["logprob"] for t in choice["logprobs"]["content"]] == [-1.0, -2.0]


@pytest.mark.parametrize(
    ("content", "fields", "status", "message"),
    [
        ("x", {"model": "other"}, 404, "expected the model m, found other"),
        ("x", {"n": 0}, 422, "n: Input should be greater"),
        ("x", {"stream": True}, 422, "stream"),
        ("x", {"temperature": -1}, 422, "temperature"),
        ("x", {"messages": []}, 422, "messages"),
        ("x", {"messages": [{"role": "tool", "content": "x"}]}, 400, "expected the role"),
        (7, {}, 400, "expected a text or a list of parts"),
        ([{"type": "audio"}], {}, 400, "expected a part with text or image_url"),
        ([{"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}}], {}, 400, "as a data URL"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,@@"}}], {}, 400, "expected base64"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}], {}, 400, "image"),
        ("a bad question", {}, 400, "too long"),
        ("x", {"stop": ["."]}, 422, "does not know stop"),
        ("x", {"response_format": {"type": "json_object"}, "tools": [{}]}, 422, "tools, response_format"),
    ],
)  # fmt: skip
def test_what_can_not_be_answered_is_refused_with_its_reason(client, content, fields, status, message):
    found = ask(client, content, **fields)
    assert found.status_code == status
    assert message in found.json()["error"]["message"]


def test_nulls_and_fields_that_ask_for_nothing_are_passed_over(client):
    nothing = {"seed": None, "stop": [], "response_format": {"type": "text"}, "user": "me"}
    found = ask(client, **nothing)
    assert found.status_code == 200
    assert found.json()["id"].startswith("chatcmpl-")


def test_an_engine_that_breaks_is_an_error_of_every_request_and_the_next_one_is_answered(tmp_path):
    def broken(conversation, i):
        if "bad" in str(conversation):
            raise KeyError("bad")
        return "well"

    served = app(Script(broken), "m", tmp_path, 10)
    with TestClient(served, raise_server_exceptions=False) as client, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(client, "bad").status_code, range(4)))
        assert found == [500] * 4
        assert ask(client, "good").status_code == 200


def test_a_key_is_asked_of_every_request(tmp_path):
    client = TestClient(app(Script(lambda c, i: "a"), "m", tmp_path, 10, key="secret"))
    assert client.get("/v1/models").status_code == 401
    assert ask(client).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).json()["data"][0]["id"] == "m"


@pytest.fixture
def served(policy, tmp_path):
    """The address of a server over the small model, the batches it was asked, and the engine."""
    engine, batches = HF(policy), []
    generate = engine.generate
    engine.generate = lambda c, s: batches.append(len(c)) or generate(c, s)  # type: ignore[method-assign]
    config = uvicorn.Config(app(engine, "m", tmp_path, 20), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1", batches, engine
    server.should_exit = True
    thread.join()


def test_answers_through_a_server_are_those_of_the_engine_behind_it(served, drawn):
    url, batches, engine = served
    conversations = [messages(p, style(STYLE)) for p in drawn[:6]]
    greedy = Sampling(1, 0.0, max_tokens=8)
    expected = engine.generate(conversations, greedy)
    batches.clear()
    found = connect(url).generate(conversations, greedy)
    assert [g[0].token_ids for g in found] == [g[0].token_ids for g in expected]
    assert [g[0].text for g in found] == [g[0].text for g in expected]
    for a, b in zip(found, expected, strict=True):
        assert a[0].logps == pytest.approx(b[0].logps, abs=1e-5)
    assert sum(batches) == 6
    assert len(batches) < 6  # requests that wait are answered together


def test_answers_are_drawn_by_the_seeds_that_are_asked_whatever_is_asked_beside(served, drawn):
    url, batches, _ = served
    conversations = [messages(p, style(STYLE)) for p in drawn[:5]]

    def ids(asked, seed):
        found = connect(url).generate(asked, Sampling(2, 1.0, max_tokens=6, seed=seed))
        return [[c.token_ids for c in g] for g in found]

    together = ids(conversations, 4)
    assert len(batches) < 5
    assert [ids([c], 4)[0] for c in conversations] == together
    assert ids(conversations, 5) != together
    twice = ids([conversations[0]] * 2, 4)
    assert twice[0] != twice[1]


# The verb


@pytest.mark.parametrize("words", ["host=0.0.0.0", "takes_weights=true"])
def test_what_others_could_reach_or_change_needs_a_key(world, capsys, monkeypatch, words):
    monkeypatch.delenv(serve.KEY, raising=False)
    assert cli.main(["serve", f"model={world}/small", words]) == 2
    assert f"expected a key in the environment variable {serve.KEY}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/invocations", None, 401), ("/metrics", "Bearer other", 401), ("/v1/models", "secret", 401),
     ("/health", None, 404), ("/invocations", "Bearer secret", 404)],
)  # fmt: skip
def test_every_path_of_a_guarded_server_but_its_health_asks_for_the_key(monkeypatch, path, key, status):
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    guarded = FastAPI()
    guarded.add_middleware(Guard)
    headers = {"authorization": key} if key else {}
    found = TestClient(guarded).get(path, headers=headers)
    assert found.status_code == status  # 404: let through to an empty app


def test_vllm_is_started_with_the_key_in_its_environment_alone(monkeypatch):
    started = []
    monkeypatch.setattr(serve.os, "execve", lambda *args: started.append(args))
    serve._become_vllm(["--model=m"], "secret", takes_weights=True)
    (_, command, environment), = started  # fmt: skip
    assert "secret" not in str(command)
    assert "--middleware=visreason.engine.guard.Guard" in command
    assert (environment["VLLM_API_KEY"], environment["VLLM_SERVER_DEV_MODE"]) == ("secret", "1")


@pytest.mark.parametrize(
    "words",
    [
        ["by=hf", "tensor_parallel=2"], ["by=hf", "memory_share=0.2"], ["by=vllm", "device=cpu"],
        ["by=hf", "takes_weights=true"],
    ],
)  # fmt: skip
def test_options_of_the_other_server_are_refused(capsys, words):
    assert cli.main(["serve", "model=x", *words]) == 2
    assert "has no effect without by=" in capsys.readouterr().err


def test_bounds_of_pixels_that_cross_are_refused(capsys):
    assert cli.main(["serve", "model=x", "min_pixels=9999", "max_pixels=800"]) == 2
    assert "expected min_pixels below max_pixels" in capsys.readouterr().err


def test_vllm_is_told_how_to_serve_the_checkpoint(world, tmp_path):
    recipe = serve.Recipe(model=f"{world}/model", max_pixels=12544, precision="float32")
    words = serve.vllm_words(recipe, f"{world}/model", "name")
    expected = {
        f"--model={world}/model",
        "--host=127.0.0.1", "--port=8000", "--served-model-name=name", "--dtype=float32", "--max-model-len=4096",
        "--logprobs-mode=processed_logprobs",
    }  # fmt: skip
    assert expected <= set(words)
    (size,) = (w.partition("=")[2] for w in words if w.startswith("--mm-processor-kwargs"))
    policy = load(f"{world}/model", device="cpu", max_pixels=12544)
    assert json.loads(size)["size"] == dict(policy.encoder.processor.image_processor.size)
    assert not any("key" in w for w in words)
