import asyncio
import base64
import io
import threading
import time
from collections import Counter

import PIL.Image
import pytest

from tests.engine.server import FaultyServer
from tests.model.world import STYLE
from visreason.engine import Sampling, connect, http, servers
from visreason.errors import RunError, UsageError
from visreason.prompt import messages, style
from visreason.record import Image, Problem


def ask(text, images=()):
    return [{"role": "user", "content": [*images, {"type": "text", "text": text}]}]


def texts(answers):
    return [[c.text for c in group] for group in answers]


def words(n):
    return [f"word {i}" for i in range(n)]


def test_answers_come_in_order_whatever_their_number_and_never_too_many_at_a_time(serve):
    server = serve()
    engine = connect(f"{server.url}#echo", concurrency=5, device="cpu")
    answers = engine.generate([ask(w) for w in words(40)], Sampling(2))
    assert texts(answers) == [[w.upper()] * 2 for w in words(40)]
    assert len(server.asked) == 40
    assert 2 <= server.most <= 5
    assert answers[0][0].model == engine.name == f"{server.url}#echo"
    assert engine.troubles == {}


def test_a_notebook_whose_loop_runs_already_gets_answers(serve, tmp_path):
    engine = connect(f"{serve().url}#echo", responses=tmp_path / "responses.sqlite")

    async def cell():
        return texts(engine.generate([ask("a")], Sampling()))

    assert asyncio.run(cell()) == asyncio.run(cell()) == [["A"]]


def test_the_only_model_of_a_server_need_not_be_named_and_an_unknown_one_is_refused(serve):
    server = serve()
    assert texts(connect(server.url).generate([ask("a")], Sampling())) == [["A"]]
    with pytest.raises(UsageError, match=r"expected the model other at .*, found echo"):
        connect(f"{server.url}#other").generate([ask("a")], Sampling())


@pytest.mark.parametrize(
    "url",
    [
        "http://key@host/v1",
        "http:///v1",
        "http://a/v1,ftp://b/v1",
        "http://a/v1?key=1",
        "http://[::1/v1",
        "http://a:port/v1",
    ],
)
def test_an_address_with_a_key_or_without_a_host_is_refused(url):
    with pytest.raises(UsageError, match="expected an address") as found:
        connect(url)
    assert "key@" not in str(found.value)


def test_the_sampling_goes_along(serve):
    server = serve()
    connect(server.url).generate([ask("a")], Sampling(3, 0.7, 0.9, 0, 55, seed=4))
    (body,) = server.asked
    expected = {
        "model": "echo",
        "n": 3,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_completion_tokens": 55,
    }
    assert expected.items() <= body.items()
    assert "return_token_ids" not in body
    with pytest.raises(UsageError, match="top_k=5"):
        connect(server.url).generate([ask("a")], Sampling(top_k=5))
    with pytest.raises(UsageError, match=r"repetition_penalty=1\.05"):
        connect(server.url).generate([ask("a")], Sampling(repetition_penalty=1.05))


def test_servers_that_can_give_token_ids_and_log_probs_are_asked_for_them_and_told_what_not_to_sample(serve):
    server = serve(owner="vllm")
    sampling = Sampling(top_k=7, repetition_penalty=1.05)
    ((found,),) = connect(server.url).generate([ask("a")], sampling)
    assert (found.token_ids, found.logps, found.finish) == ((0, 1, 2), (-0.5,) * 3, "stop")
    assert (server.asked[0]["top_k"], server.asked[0]["repetition_penalty"]) == (7, 1.05)
    assert "<|image_pad|>" in server.asked[0]["bad_words"]


def test_a_thought_that_comes_apart_is_put_before_the_answer(serve):
    ((found,),) = connect(serve(lambda i, body: "thinks").url).generate([ask("a")], Sampling())
    assert found.text == "<think>hm</think>A"


def seeds(server):
    """The seeds that were asked with, by the words that were asked."""
    return sorted((str(body["messages"]), body["seed"]) for body in server.asked)


def test_every_conversation_has_seeds_of_its_own_wherever_it_stands_and_other_ones_when_repeated(serve):
    one, other = serve(), serve()
    connect(one.url).generate([ask("a"), ask("a"), ask("b")], Sampling())
    connect(other.url).generate([ask("b"), ask("a"), ask("a")], Sampling())
    assert len({seed for _, seed in seeds(one)}) == 3
    assert seeds(one) == seeds(other)
    connect(other.url).generate([ask("b")], Sampling(seed=1))
    assert len({seed for _, seed in seeds(other)}) == 4


def test_a_server_that_gives_one_answer_at_a_time_is_asked_until_there_are_enough(serve):
    server = serve()
    server.behave = lambda i, body: body.update(n=1) or "well"
    (group,) = connect(server.url).generate([ask("a")], Sampling(3))
    assert len(group) == 3
    assert len({body["seed"] for body in server.asked}) == 3


# Pictures


def sent(server):
    parts = [p for p in server.asked[-1]["messages"][-1]["content"] if p["type"] == "image_url"]
    urls = [p["image_url"]["url"] for p in parts]
    return [(u.split(";")[0], PIL.Image.open(io.BytesIO(base64.b64decode(u.split(",")[1])))) for u in urls]


def test_pictures_travel_as_data_urls_byte_for_byte(serve, drawn):
    server = serve()
    shown = (drawn[0].images[0], drawn[1].images[0])
    connect(server.url).generate([messages(Problem("p", "What?", shown), style(STYLE))], Sampling())
    for (head, picture), image in zip(sent(server), shown, strict=True):
        assert head == "data:image/png"
        assert picture.tobytes() == PIL.Image.open(image.path).tobytes()


def test_a_picture_that_readers_see_differently_travels_as_they_should_see_it(serve, tmp_path):
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    PIL.Image.new("RGB", (30, 60), "red").save(tmp_path / "turned.jpg", exif=turned)
    PIL.Image.new("RGBA", (30, 60), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    server = serve()
    parts = [{"type": "image", "image": Image(str(tmp_path / n))} for n in ("turned.jpg", "clear.png")]
    connect(server.url).generate([ask("a", parts)], Sampling())
    (_, first), (_, second) = sent(server)
    assert first.size == (60, 30)
    assert (second.mode, second.getpixel((0, 0))) == ("RGB", (255, 255, 255))


def test_a_broken_picture_is_an_error_of_its_own_conversation_alone(serve):
    server = serve()
    missing = [{"type": "image", "image": Image("nowhere.png")}]
    answers = connect(server.url).generate([ask("a"), ask("b", missing)], Sampling(2))
    assert [[c.finish for c in g] for g in answers] == [["stop"] * 2, ["error"] * 2]
    assert "found no file" in answers[1][0].text
    assert len(server.asked) == 1


# Trouble


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (429, "429"), (500, "500"), (502, "502"), (503, "503"), ("garbage", "broken answer"),
        ("no choices", "broken answer"), ("empty choice", "broken answer"), ("a list", "broken answer"),
        ("cut", "no connection"), ("hang", "no answer in time"), ("drips", "no answer in time"),
        ("nested", "broken answer"), ("no number", "broken answer"), ("no log-prob", "broken answer"),
    ],
)  # fmt: skip
def test_trouble_now_and_then_is_counted_and_got_over(serve, kind, counted):
    server = serve(lambda i, body: kind if i % 3 == 0 else "well")
    engine = connect(server.url, concurrency=4, timeout_s=0.3)
    answers = engine.generate([ask(w) for w in words(12)], Sampling())
    assert texts(answers) == [[w.upper()] for w in words(12)]
    assert engine.troubles == {counted: sum(i % 3 == 0 for i in range(len(server.asked)))}


@pytest.mark.parametrize("kind", [500, "garbage", "empty choice", "cut"])
def test_a_conversation_that_is_never_answered_is_an_error_and_the_others_are_answered(serve, kind):
    server = serve(lambda i, body: kind if "poison" in str(body) else "well")
    answers = connect(server.url).generate([ask("a"), ask("poison"), ask("b")], Sampling(2))
    assert [[c.finish for c in g] for g in answers] == [["stop"] * 2, ["error"] * 2, ["stop"] * 2]
    assert f"given up after {servers.TRIES} tries" in answers[1][0].text
    assert sum("poison" in str(body) for body in server.asked) == servers.TRIES


def test_a_conversation_that_is_refused_is_asked_once(serve):
    server = serve(lambda i, body: 400 if "long" in str(body) else "well")
    answers = connect(server.url).generate([ask("a"), ask("long")], Sampling())
    assert answers[1][0].finish == "error"
    assert "400" in answers[1][0].text
    assert len(server.asked) == 2


@pytest.mark.parametrize("kind", [500, 404, "garbage"])
def test_servers_that_answer_nothing_at_all_stop_the_run(serve, kind):
    with pytest.raises(RunError, match="found none to 3 conversations"):
        connect(serve(lambda i, body: kind).url).generate([ask(w) for w in words(3)], Sampling())


def test_a_refused_key_stops_the_run_and_is_not_shown(serve, monkeypatch):
    monkeypatch.setenv(http.KEY, "secret-key")
    server = serve(lambda i, body: 401)
    with pytest.raises(RunError, match=f"refuses the key .*{http.KEY}") as found:
        connect(server.url).generate([ask("a")], Sampling())
    assert server.headers[0]["authorization"] == "Bearer secret-key"
    assert "secret-key" not in str(found.value)


def test_another_services_key_is_never_sent(serve, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "another-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: another-secret\nX-Api-Key: another-secret")
    server = serve()
    connect(server.url).generate([ask("a")], Sampling())
    assert "another-secret" not in str(server.headers)


def test_no_redirect_is_followed(serve):
    other = serve()
    server = serve(lambda i, body: "elsewhere" if "a" in str(body["messages"][0]["content"]) else "well")
    server.elsewhere = other.url
    answers = connect(server.url).generate([ask("a"), ask("B")], Sampling())
    assert [g[0].finish for g in answers] == ["error", "stop"]
    assert "307" in answers[0][0].text
    assert other.asked == []


def test_patience_with_servers_that_are_away_ends(serve):
    server = serve()
    server.stop()
    with pytest.raises(RunError, match=r"heard nothing for .*same command again"):
        connect(server.url, patience_s=0.3).generate([ask(w) for w in words(5)], Sampling())


def test_patience_does_not_end_while_a_busy_server_works_on_another_answer(serve):
    done = threading.Event()

    def behave(i, body):
        if "late" in str(body):
            threading.Timer(0.6, done.set).start()
            return "late"
        return "well" if done.is_set() else 429

    server = serve(behave)
    engine = connect(server.url, patience_s=0.2)
    assert texts(engine.generate([ask("late"), ask("a")], Sampling())) == [["LATE"], ["A"]]
    assert engine.troubles["429"] > 0


def test_patience_begins_when_a_server_goes_away_not_with_the_request_that_it_broke(serve):
    later, gone = [], threading.Event()

    def behave(i, body):
        time.sleep(0.6)
        first.stop()
        gone.set()
        return "cut"

    def restart():
        gone.wait()
        time.sleep(0.2)
        later.append(FaultyServer(port=first.server_port))

    first = serve(behave)
    thread = threading.Thread(target=restart)
    thread.start()
    answers = connect(first.url, patience_s=0.5).generate([ask("a")], Sampling())
    thread.join()
    later[0].stop()
    assert texts(answers) == [["A"]]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(serve, monkeypatch):
    monkeypatch.setattr(servers, "LONGEST_REST_S", 5.0)
    server = serve(lambda i, body: 429 if i == 0 else "well")
    server.retry_after = "0.4"
    start = time.monotonic()
    engine = connect(server.url)
    engine.generate([ask("a")], Sampling())
    assert time.monotonic() - start > 0.4
    assert engine.troubles == {"429": 1}


# Several servers


def test_several_servers_are_used_evenly(serve):
    servers = [serve(), serve(), serve()]
    engine = connect(",".join(s.url for s in servers) + "#echo", concurrency=6)
    engine.generate([ask(w) for w in words(60)], Sampling())
    asked = [len(s.asked) for s in servers]
    assert sum(asked) == 60
    assert min(asked) >= 18  # who is done first is asked next


@pytest.mark.parametrize("kind", [500, "garbage", "hang", "gone"])
def test_one_server_that_is_down_does_not_stop_the_run(serve, kind):
    good, bad = serve(), serve(lambda i, body: kind)
    if kind == "gone":
        bad.stop()
    engine = connect(f"{bad.url},{good.url}#echo", concurrency=4, timeout_s=0.3)
    answers = engine.generate([ask(w) for w in words(30)], Sampling())
    assert texts(answers) == [[w.upper()] for w in words(30)]
    assert len(bad.asked) < 30


def test_a_server_that_failed_at_last_has_one_request_at_a_time_while_another_is_well():
    several = servers.Servers([], 1.0, 1.0, Counter())
    well, failed = servers.Server(None, under_way=9), servers.Server(None, failures=1)  # type: ignore[arg-type]
    several.servers = [well, failed]
    assert asyncio.run(several._free()) is failed
    failed.under_way = 1
    assert asyncio.run(several._free()) is well
    several.servers = [failed]
    assert asyncio.run(several._free()) is failed


def test_a_server_of_another_model_beside_is_found_out(serve):
    good, other = serve(), serve()
    other.model = "another"
    with pytest.raises(UsageError, match=rf"expected the model echo at {other.url}, found another"):
        connect(f"{good.url},{other.url}#echo").generate([ask(w) for w in words(8)], Sampling())


def test_servers_of_several_kinds_get_what_each_understands(serve):
    plain, extended = serve(), serve(owner="vllm")
    engine = connect(f"{plain.url},{extended.url}#echo", concurrency=2)
    engine.generate([ask(w) for w in words(8)], Sampling())
    assert not any("bad_words" in body for body in plain.asked)
    assert all("bad_words" in body for body in extended.asked)


def test_a_server_that_is_away_for_days_is_left_alone_as_long_as_any():
    server = servers.Server(client=None, failures=5000)  # type: ignore[arg-type]
    server.rest(0.0)
    assert 0 < server.resting_until - time.monotonic() <= servers.LONGEST_REST_S


def test_a_server_that_is_killed_and_started_again_is_waited_for(serve):
    first = serve(lambda i, body: "well" if i < 10 else "cut")
    port, later = first.server_port, []

    def restart():
        while len(first.asked) < 12:
            time.sleep(0.01)
        first.stop()
        time.sleep(0.3)
        later.append(FaultyServer(port=port))

    thread = threading.Thread(target=restart)
    thread.start()
    engine = connect(first.url, concurrency=3)
    answers = engine.generate([ask(w) for w in words(30)], Sampling())
    thread.join()
    later[0].stop()
    assert texts(answers) == [[w.upper()] for w in words(30)]
    assert len(later[0].asked) >= 20
    assert engine.troubles["no connection"] > 0


# What was answered is kept


def test_nothing_is_asked_twice_after_a_restart(serve, tmp_path):
    server = serve(lambda i, body: 400 if "late" in str(body) and len(server.asked) < 9 else "well")
    conversations = [ask(w) for w in [*words(5), "late"]]
    kept = tmp_path / "run" / "responses.sqlite"
    first = connect(server.url, responses=kept).generate(conversations, Sampling(2))
    assert first[-1][0].finish == "error"
    server.behave = lambda i, body: "well"
    second = connect(server.url, responses=kept).generate(conversations, Sampling(2))
    assert texts(second) == [[w.upper()] * 2 for w in [*words(5), "late"]]
    assert Counter(str(b["messages"]) for b in server.asked).most_common()[-1][1] == 1
    assert len(server.asked) == 7  # the one that was an error is asked again
    assert second[:5] == first[:5]


def test_other_messages_sampling_or_model_are_asked_anew(serve, tmp_path):
    server, kept = serve(), tmp_path / "responses.sqlite"
    for text, sampling in (("a", Sampling()), ("b", Sampling()), ("a", Sampling(seed=1)), ("a", Sampling(2))):
        connect(server.url, responses=kept).generate([ask(text)], sampling)
    assert len(server.asked) == 4
    connect(server.url, responses=kept).generate([ask("a")], Sampling())
    assert len(server.asked) == 4


def test_what_was_answered_is_there_without_the_server(serve, tmp_path):
    server, kept = serve(owner="vllm"), tmp_path / "responses.sqlite"
    first = connect(f"{server.url}#echo", responses=kept).generate([ask("a")], Sampling(2))
    server.stop()
    assert connect(f"{server.url}#echo", responses=kept).generate([ask("a")], Sampling(2)) == first


def test_a_file_that_is_no_store_of_responses_is_refused(serve, tmp_path):
    (tmp_path / "responses.sqlite").write_text("no database " * 100)
    with pytest.raises(RunError, match="expected an SQLite file of responses"):
        connect(serve().url, responses=tmp_path / "responses.sqlite")
