import random

from visreason.data.near import near_duplicates, shingles, similarity

WORDS = [f"w{i}" for i in range(500)]


def test_near_texts_are_found_among_many_and_others_are_not():
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=60)) for _ in range(300)]
    changed = texts[7].split()
    changed[30] = "another"
    found = near_duplicates([*texts, " ".join(changed), texts[9].upper() + "!"], 0.85)
    assert found == {300: 7, 301: 9}


def test_the_threshold_is_the_exact_similarity():
    a, b = "a b c d e f g h i j k l", "a b c d e f g h i j k m"
    like = similarity(shingles(a), shingles(b))
    assert like == 9 / 11
    assert near_duplicates([a, b], like) == {1: 0}
    assert near_duplicates([a, b], like + 0.01) == {}


def test_short_texts_are_alike_only_when_equal():
    assert near_duplicates(["2", "3", "2.", ""], 0.9) == {2: 0}


def test_chinese_texts_are_compared_sign_by_sign():
    text = "如图所示圆的半径是五厘米求这个圆的面积和周长各是多少"
    assert near_duplicates([text, text.replace("五", "六"), text[::-1]], 0.6) == {1: 0}
