from dataclasses import replace

import PIL.Image
import pytest
import torch
from transformers import (
    AutoProcessor,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen3VLProcessor,
)

from tests.model import tiny
from tests.model.world import STYLE
from visreason.errors import DataError, ModelError
from visreason.model import patches
from visreason.model.encode import Encoder
from visreason.model.forest import Tree, plant
from visreason.model.load import limit_pixels, load
from visreason.prompt import image_record, messages, style
from visreason.record import Completion, Image, Problem

PROCESSORS = {"qwen2_vl": Qwen2VLProcessor, "qwen2_5_vl": Qwen2_5_VLProcessor, "qwen3_vl": Qwen3VLProcessor}
SIZES = ((112, 112), (300, 40), (37, 211), (5, 600), (28, 28), (1, 1), (1000, 700))


@pytest.fixture
def ask(tmp_path):
    """Makes a conversation about pictures of given sizes."""

    def conversation(*sizes, question="How many?"):
        pictures = []
        for width, height in sizes:
            path = tmp_path / f"{width}x{height}.png"
            if not path.exists():
                PIL.Image.effect_noise((width, height), 90).save(path)
            pictures.append(image_record(path))
        return messages(Problem("p", question, tuple(pictures)), style(STYLE))

    return conversation


def equal(one, other):
    """Whether two prompts are the same numbers."""
    pairs = [(getattr(one, n), getattr(other, n)) for n in ("ids", "positions", "pixels", "grid_N3")]
    return all(torch.equal(a, b) if a is not None and b is not None else a is b for a, b in pairs)


@pytest.mark.parametrize("pixels", [(None, None), (None, 4 * 784), (784 * 20, 784 * 50)])
def test_tokens_are_counted_without_reading_a_pixel(world, ask, pixels):
    encoder = load(str(world / "small"), "float32", "cpu", max_pixels=pixels[1], min_pixels=pixels[0]).encoder
    conversations = [ask(size) for size in SIZES] + [
        ask(),
        ask(*SIZES[:3]),
        ask(question="Why? 為何？ \n" * 9),
    ]
    for conversation in conversations:
        assert encoder.count(conversation) == len(encoder.prompt(conversation).ids)
    area = int(encoder.prompt(ask((1000, 700))).grid_N3[0].prod()) * 14 * 14
    assert area <= (pixels[1] or 64 * 784)


def test_problems_are_encoded_in_one_call_and_the_bad_ones_give_their_errors(policy, drawn, monkeypatch):
    calls, encode = [], policy.encoder._encode
    monkeypatch.setattr(policy.encoder, "_encode", lambda asked: calls.append(len(asked)) or encode(asked))
    control = Problem("control", "What <|image_pad|>?")
    missing = Problem("missing", "Which?", (Image("nowhere.png"),))
    found = policy.encoder.asked([drawn[0], control, missing, drawn[1]], style(STYLE))
    assert calls == [3]
    assert "control token" in str(found[1])
    assert "found no file" in str(found[2])
    for prompt, problem in zip(found[::3], drawn[:2], strict=True):
        assert equal(prompt, policy.encoder.prompt(messages(problem, style(STYLE))))
    with pytest.raises(DataError, match="control token"):
        policy.encoder.all_asked([drawn[0], control, missing], style(STYLE))


def test_what_fits_is_what_is_encoded(policy, ask):
    many = ask(*((28, 28 + i % 20) for i in range(200)))
    for conversation in (ask(), ask((112, 112)), ask((300, 40), (37, 211)), many, ask(question="why " * 100)):
        tokens = len(policy.encoder.prompt(conversation).ids)
        for limit, fits in ((tokens, True), (tokens - 1, False), (10 * tokens, True)):
            encoder = Encoder(policy.processor, policy.model, max_tokens=limit)
            assert encoder.fits(conversation) == fits
            if fits:
                assert len(encoder.prompt(conversation).ids) == tokens
            else:
                with pytest.raises(DataError, match=f"has {tokens} tokens .* the budget is {tokens - 1}"):
                    encoder.prompt(conversation)


def test_a_batch_is_encoded_as_its_conversations_are_one_by_one(policy, ask):
    conversations = [
        ask((112, 112)),
        ask(),
        ask((300, 40), (28, 28)),
        ask(question="Which of them? " * 20),
        ask((28, 28)),
    ]
    together = policy.encoder.prompts(conversations)
    for conversation, prompt in zip(conversations, together, strict=True):
        alone = Encoder(policy.processor, policy.model).prompt(conversation)
        assert equal(prompt, alone)
    assert [p.pixels is None for p in together] == [False, True, False, True, False]


def encoder_of(name, world, pixels):
    """An encoder of a class of models with the processor that belongs to it, and the processor."""
    base = AutoProcessor.from_pretrained(world / "small")
    model, side = tiny.build(name), 16 if name == "qwen3_vl" else 14
    cut = Qwen2VLImageProcessor(patch_size=side, min_pixels=28 * 28, max_pixels=28 * 28 * 64)
    processor = PROCESSORS[name](cut, base.tokenizer, base.video_processor, chat_template=base.chat_template)
    limit_pixels(processor, *pixels)
    model.config.vision_config.patch_size = side
    model.config.image_token_id = processor.image_token_id
    return Encoder(processor, model), processor


def joint(processor, encoder, conversations):
    """Ids, pixels and grid of each conversation, from one call of the processor for all."""
    texts, pictures, counts = [], [], []
    for conversation in conversations:
        bare = [
            {**m, "content": [p if p["type"] == "text" else {"type": "image"} for p in m["content"]]}
            for m in conversation
        ]
        texts.append(processor.apply_chat_template(bare, tokenize=False, add_generation_prompt=True))
        found = [p["image"] for m in conversation for p in m["content"] if p["type"] == "image"]
        pictures += [PIL.Image.open(image.path).convert("RGB") for image in found]
        counts.append(len(found))
    batch = processor(text=texts, images=pictures or None, padding=True, return_tensors="pt")
    rows = zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)
    grids = batch["image_grid_thw"].split(counts)
    pixels = batch["pixel_values"].split([int(g.prod(-1).sum()) for g in grids])
    return zip([row[mask] for row, mask in rows], pixels, grids, strict=True)


@pytest.mark.parametrize("pixels", [(None, None), (None, 4 * 784), (784 * 20, 784 * 50)])
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_prompt_is_what_processor_and_model_make_of_it(name, pixels, world, ask):
    encoder, processor = encoder_of(name, world, pixels)
    conversations = [
        *map(ask, SIZES),
        ask(),
        ask(*SIZES),
        ask((112, 112), (37, 211), (112, 112), question="Why? 為何？ \n" * 9),
        ask((112, 112)),
    ]
    expected = joint(processor, encoder, conversations)
    for conversation, (ids, pieces, grid) in zip(conversations, expected, strict=True):
        prompt = encoder.prompt(conversation)
        assert torch.equal(prompt.ids, ids)
        types = (ids == processor.image_token_id).int()[None]
        positions, _ = encoder.rope(ids[None], types, image_grid_thw=grid if len(grid) else None)
        assert torch.equal(prompt.positions, positions[:, 0])
        if len(grid):
            assert torch.equal(prompt.pixels, pieces)
            assert torch.equal(prompt.grid_N3, grid)
        else:
            assert prompt.pixels is prompt.grid_N3 is None


def test_what_is_asked_for_training_is_read_when_it_is_planted(policy, drawn, monkeypatch):
    opened, open_image = [], patches.open_image
    monkeypatch.setattr(patches, "open_image", lambda image: opened.append(image) or open_image(image))
    prompts = policy.encoder.all_asked(drawn[:3], style(STYLE))
    assert opened == []
    forest = plant([Tree(p, ()) for p in prompts])
    assert opened == [image for problem in drawn[:3] for image in problem.images]
    eager = policy.encoder.asked(drawn[:3], style(STYLE))
    assert torch.equal(forest.pixels, torch.cat([p.pixels for p in eager]))
    assert all(equal(replace(p, pixels=p.read()), e) for p, e in zip(prompts, eager, strict=True))
    assert len(opened) == 3
    assert plant([Tree(p, ()) for p in prompts], read=False).pixels is None


def test_a_size_that_is_not_recorded_is_looked_up(policy, ask):
    known = ask((300, 40), (28, 28))
    content = [{**p, "image": Image(p["image"].path)} if "image" in p else p for p in known[-1]["content"]]
    assert equal(
        policy.encoder.prompt([*known[:-1], {**known[-1], "content": content}]), policy.encoder.prompt(known)
    )


def test_a_picture_that_was_changed_since_is_an_error(policy, ask, tmp_path):
    conversation = ask((112, 112))
    PIL.Image.new("RGB", (56, 112)).save(tmp_path / "112x112.png")
    with pytest.raises(
        DataError, match=r"of \(112, 112\) in .*112x112.png.*\(1, 8, 4\): the file is another"
    ):
        policy.encoder.prompt(conversation)


def test_a_processor_of_another_model_is_refused(policy):
    policy.processor.image_processor.merge_size = 3
    with pytest.raises(ModelError, match=r"patches of 14 and merges 2 .* found 14 and 3"):
        Encoder(policy.processor, policy.model)


def test_image_tokens_in_a_text_are_an_error(policy, ask):
    asked = ask((28, 28))
    asked[-1]["content"].append({"type": "text", "text": "and <|image_pad|>?"})
    with pytest.raises(DataError, match="for each of 1 images, found 2"):
        policy.encoder.prompt(asked)


def test_a_broken_conversation_is_an_error_in_its_place(policy, ask, tmp_path):
    missing = messages(Problem("p", "?", (Image(str(tmp_path / "none.png"), size=(9, 9)),)), style(STYLE))
    found = policy.encoder.prompts([ask((28, 28)), missing, ask(), missing])
    assert [isinstance(x, DataError) for x in found] == [False, True, False, True]
    assert "found no file" in str(found[1])
    assert equal(found[0], policy.encoder.prompt(ask((28, 28))))
    with pytest.raises(DataError, match="found no file"):
        policy.encoder.prompt(missing)
    assert all(isinstance(x, DataError) for x in policy.encoder.prompts([missing, missing]))
    assert policy.encoder.prompts([]) == []


class Counting:
    """An image processor that counts how often it is called."""

    def __init__(self, processor):
        self.processor, self.calls = processor, 0

    def __getattr__(self, name):
        return getattr(self.processor, name)

    def __call__(self, **inputs):
        self.calls += 1
        return self.processor(**inputs)


def test_pictures_are_remembered_up_to_a_size(policy, ask):
    encoder = policy.encoder
    encoder.patches.processor = processor = Counting(encoder.patches.processor)
    conversations = [ask((112, 112)), ask((300, 40)), ask()]
    first = encoder.prompts(conversations)
    again = encoder.prompts([*conversations, ask((300, 40), question="And this?")])
    assert (processor.calls, all(map(equal, again, first))) == (2, True)
    assert torch.equal(again[3].pixels, first[1].pixels)
    encoder.patches = patches.Patches(processor, max_bytes=first[0].pixels.nbytes)
    found = [encoder.prompt(c) for c in [*conversations, *conversations]]
    assert processor.calls == 2 + 4
    assert all(map(equal, found, [*first, *first]))
    assert encoder.patches._bytes <= first[0].pixels.nbytes


def test_a_remembered_prompt_keeps_the_pixels_of_no_other(policy, ask):
    found = policy.encoder.prompts([ask((112, 112)), ask((300, 40)), ask()])
    assert [
        p.pixels is not None and p.pixels.untyped_storage().nbytes() == p.pixels.nbytes for p in found
    ] == [
        True,
        True,
        False,
    ]


def test_a_completion_ends_with_the_end_of_turn(policy):
    ids = policy.encoder.completion("<think>one</think>")
    assert ids[-1] == policy.encoder.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert policy.encoder.tokenizer.decode(ids[:-1]) == "<think>one</think>"
    assert ids[-1].item() in policy.encoder.eos_ids


def test_a_sampled_completion_keeps_its_tokens_where_they_spell_its_text(policy):
    encoder = policy.encoder
    written = encoder.completion("one two").tolist()
    letters = [i for c in "one two" for i in encoder.completion(c).tolist()[:-1]]
    assert letters != written[:-1]
    for ids, finish, expected in (
        ([*letters, written[-1]], "stop", [*letters, written[-1]]),
        (letters, "length", letters),
        (encoder.completion("three").tolist(), "stop", written),  # another text's
        ([10**9], "stop", written),  # another model's
        ((), "length", written[:-1]),
    ):
        assert encoder.sampled(Completion("one two", finish, token_ids=tuple(ids))).tolist() == expected


def test_encoding_leaves_the_tokenizer_as_it_was(policy, ask, tmp_path):
    policy.save(tmp_path / "before")
    policy.encoder.prompts([ask((28, 28)), ask(question="why " * 30), ask()])
    policy.save(tmp_path / "after")
    names = sorted(p.name for p in (tmp_path / "before").iterdir())
    before, after = ([(tmp_path / x / n).read_bytes() for n in names] for x in ("before", "after"))
    assert before == after
