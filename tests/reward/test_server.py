import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient

from tests.model.world import STYLE
from visreason.errors import RunError, UsageError
from visreason.model import load as loading
from visreason.model.value_head import ValueHead
from visreason.prompt import style
from visreason.record import Completion, Sample, Score
from visreason.reward import Models, from_names
from visreason.reward.learned import Learned
from visreason.reward.remote import Remote
from visreason.reward.server import Limits, app


@pytest.fixture(scope="module")
def reward(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    policy = loading.load(str(world / "small"), device="cpu")
    policy.value_head = ValueHead(32, STYLE, seed=2)
    policy.save(folder)
    return Learned(str(folder), device="cpu")


def samples(drawn):
    shown = [drawn[0], replace(drawn[1], images=()), drawn[2]]
    return [Sample(p, Completion(t), Score(0.0)) for t in ("3", "<think>t</think>4") for p in shown]


@pytest.fixture
def served(reward):
    """The address of a server in a thread, on a port of its own."""
    config = uvicorn.Config(app(reward), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_served_reward_gives_the_scores_of_the_model_itself_pictures_and_all(served, reward, drawn):
    expected = [s.value for s in reward(samples(drawn))]
    found = [s.value for s in Remote(served)(samples(drawn))]
    assert found == pytest.approx(expected, abs=1e-5)
    [score] = from_names({f"learned:{served}": 1.0}, style(STYLE), Models(squash="none"))(samples(drawn)[:1])
    assert score.parts == pytest.approx({"learned": expected[0], "learned_raw": expected[0]}, abs=1e-5)


def test_a_server_that_failed_says_so_and_serves_the_next(reward, monkeypatch):
    asked = {"groups": [{"question": "1+1?", "texts": ["2"]}]}
    with TestClient(app(reward)) as client:
        with monkeypatch.context() as broken:
            broken.setattr(reward, "scores", lambda groups: 1 / 0)
            reply = client.post("/score", json=asked)
            assert (reply.status_code, "ZeroDivisionError" in reply.text) == (500, True)
        assert client.post("/score", json=asked).status_code == 200


def test_a_request_that_fails_fails_alone(reward, monkeypatch):
    scores = reward.scores

    def picky(groups):
        return 1 / 0 if any(p.question == "bad" for p, _ in groups) else scores(groups)

    monkeypatch.setattr(reward, "scores", picky)
    asked = [{"groups": [{"question": q, "texts": ["2"]}]} for q in ("bad", "1+1?", "2+2?")]
    with TestClient(app(reward, Limits(wait_s=0.5))) as client, ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda a: client.post("/score", json=a).status_code, asked))
    assert found == [500, 200, 200]


def test_requests_at_the_same_time_get_their_own_scores(served, reward, drawn):
    expected = [s.value for s in reward(samples(drawn))]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda s: Remote(served)([s])[0].value, samples(drawn)))
    assert found == pytest.approx(expected, abs=1e-5)


def picture(problem):
    return base64.b64encode(Path(problem.images[0].path).read_bytes()).decode()


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, 200, ""),
        ({"images": ["no base64!"]}, 422, "expected an image in base64"),
        ({"images": [base64.b64encode(b"no image").decode()]}, 422, "a file that is none"),
        ({"images": ["A" * 4000]}, 413, "images of at most 2000 bytes"),
        ({"images": ["", ""]}, 413, "at most 1 images of a group"),
        ({"texts": ["a"] * 5}, 413, "at most 4 texts"),
        ({"texts": ["a" * 2001]}, 413, "at most 2000 characters of a text"),
        ({"texts": []}, 422, "expected groups of question and texts"),
        ({"path": "/etc/passwd"}, 422, "path"),
        ({"question": "?" * 9000}, 413, "at most 8000 bytes"),
    ],
)
def test_what_a_request_may_hold_is_bounded(reward, drawn, change, status, words):
    limits = Limits(body_bytes=8000, image_bytes=2000, images=1, texts=4, characters=2000)
    asked = {"question": drawn[0].question, "texts": ["3"], "images": [picture(drawn[0])]} | change
    with TestClient(app(reward, limits)) as client:
        reply = client.post("/score", json={"groups": [asked]})
    assert reply.status_code == status, reply.text
    assert words in reply.text
    assert "/tmp" not in reply.text


def test_with_a_key_nothing_is_scored_without_it(reward):
    asked = {"groups": [{"question": "1 + 1?", "texts": ["2"]}]}
    with TestClient(app(reward, key="secret")) as client:
        assert client.post("/score", json=asked).status_code == 401
        assert (
            client.post("/score", json=asked, headers={"Authorization": "Bearer secret"}).status_code == 200
        )


def test_a_group_that_can_not_be_asked_has_an_error_and_the_others_have_scores(reward, drawn):
    asked = [
        {"question": "What is <image1> <image2>?", "texts": ["3"]},
        {"question": "1 + 1?", "texts": ["2", "3"]},
    ]
    with TestClient(app(reward)) as client:
        found = client.post("/score", json={"groups": asked}).json()["scores"]
    assert "an image for every mark" in found[0]["error"]
    assert len(found[1]) == 2


def test_an_error_of_a_group_names_no_path_of_the_server(reward, drawn):
    cut = base64.b64encode(Path(drawn[0].images[0].path).read_bytes()[:200]).decode()
    asked = [{"question": "What is it?", "texts": ["3"], "images": [cut]}]
    with TestClient(app(reward)) as client:
        [found] = client.post("/score", json={"groups": asked}).json()["scores"]
    assert "can't be decoded" in found["error"]
    assert "the request/" in found["error"]


def test_many_texts_and_large_pictures_go_in_several_requests(served, reward, drawn, monkeypatch):
    many = [*samples(drawn), *(Sample(drawn[0], Completion(str(i)), Score(0.0)) for i in range(70))]
    expected = [s.value for s in reward(many)]
    sent = []
    post = Remote._post
    monkeypatch.setattr(Remote, "_post", lambda self, body: sent.append(body) or post(self, body))
    for most, requests in ((1 << 20, 1), (1, 4)):
        monkeypatch.setattr("visreason.reward.remote.BODY_BYTES", most)
        sent.clear()
        assert [s.value for s in Remote(served)(many)] == pytest.approx(expected, abs=1e-5)
        assert len(sent) == requests


def test_a_served_score_that_is_not_finite_is_no_reward(drawn, monkeypatch):
    monkeypatch.setattr(Remote, "_post", lambda self, body: [[float("nan")]])
    reward = from_names({"learned:http://host": 1.0}, style(STYLE), Models(squash="clip"))
    with pytest.raises(RunError, match=f"expected finite scores of '{drawn[0].id}' from http://host"):
        reward(samples(drawn)[:1])


class Short(BaseHTTPRequestHandler):
    """Breaks off in its first reply, as a server that is killed."""

    replies = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"scores": [[0.5]]}'
        whole = type(self).replies > 0
        type(self).replies += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if whole else body[:9])

    def log_message(self, *args):
        pass


def test_a_reply_that_breaks_off_is_asked_for_again(drawn, monkeypatch):
    monkeypatch.setattr("visreason.reward.remote.FIRST_PAUSE_S", 0.0)
    with HTTPServer(("127.0.0.1", 0), Short) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        [score] = Remote(f"http://127.0.0.1:{server.server_port}")(samples(drawn)[:1])
        server.shutdown()
    assert (score.value, Short.replies) == (0.5, 2)


def test_a_key_in_the_address_is_refused_and_none_is_sent_on(drawn):
    with pytest.raises(UsageError, match="a key belongs into the environment"):
        Remote("http://user:secret@host")
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(302)
            self.send_header("Location", "/other")
            self.end_headers()

        def do_GET(self):
            asked.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RunError, match="refused: 302"):
            Remote(f"http://127.0.0.1:{server.server_port}")(samples(drawn)[:1])
        server.shutdown()
    assert asked == []


def test_a_server_that_is_not_there_is_an_error_with_its_address(monkeypatch, drawn):
    monkeypatch.setattr("visreason.reward.remote.FIRST_PAUSE_S", 0.0)
    with pytest.raises(
        RunError, match=r"expected a reward server at http://127\.0\.0\.1:9, got no scores in 7 attempts"
    ):
        Remote("http://127.0.0.1:9")(samples(drawn)[:1])
