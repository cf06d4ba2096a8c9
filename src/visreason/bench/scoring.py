"""From outputs to scores: by rule, by what a released file carries, or by a judge. Every kind has its own column."""

from collections.abc import Callable
from dataclasses import replace

from visreason.answer import check
from visreason.answer.extract import inside
from visreason.bench.choices import by_chance
from visreason.bench.columns import by_verdict
from visreason.bench.judging import Judge, judged_by, read_by
from visreason.bench.kind import BY_CHANCE, Bench, Rules
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Sample, Score

Scoring = Callable[[list[Sample]], list[Score]]


def by_rule(bench: Bench, rules: Rules, style: Style | None = None) -> Scoring:
    """The benchmark's own rule for raw responses, where it publishes one; else `answer/`.

    A response in a `style` that separates thought and answer is read in its answer. `parts["answer"]` is the verdict of
    `answer/` in any case.
    """

    def scores(samples: list[Sample]) -> list[Score]:
        return [_by_rule(bench, rules, style, s) for s in samples]

    return scores


def by_stored(bench: Bench, rules: Rules) -> Scoring:
    """The extraction (else the verdict) that a released row carries, scored as the benchmark does; the verdict first
    where the benchmark's scoring is a judge's."""

    def scores(samples: list[Sample]) -> list[Score]:
        return [_by_stored(bench, rules, s) for s in samples]

    return scores


def by_judge(bench: Bench, rules: Rules, judge: Judge, style: Style | None = None) -> Scoring:
    """The benchmark's protocol with a judge; where that answers nonsense or fails to the end, the score is errored."""
    if (judging := bench.judging) is None:
        raise DataError(f"{bench.title} has no protocol with a judge; give extraction=rule")

    def scores(samples: list[Sample]) -> list[Score]:
        texts = {i: _answer_text(s, style) for i, s in enumerate(samples) if _unmade(s) is None}
        found = dict.fromkeys(range(len(samples)), Score(0.0, None, "errored"))
        # There is nothing to extract from an empty response; a judge that is asked may answer the question itself.
        found |= {i: _of_nothing(bench, samples[i], rules) for i, text in texts.items() if not text.strip()}
        asked = [i for i, text in texts.items() if text.strip()]
        problems = [samples[i].problem for i in asked]
        how = [judging if p.choices else bench.judging_open or judging for p in problems]
        answers = read_by(how, judge, problems, [texts[i] for i in asked])
        read = [(i, a) for i, a in zip(asked, answers, strict=True) if a is not None]
        if judging.verdict is None:
            found |= {i: bench.score(samples[i].problem, a, rules) for i, a in read}
        else:
            said = judged_by(
                judging.verdict, judge, [samples[i].problem for i, _ in read], [a for _, a in read]
            )
            found |= {i: _judged(a, v) for (i, a), v in zip(read, said, strict=True)}
        return [_with_answer(_cut(found[i], s), s) for i, s in enumerate(samples)]

    return scores


def _by_rule(bench: Bench, rules: Rules, style: Style | None, sample: Sample) -> Score:
    if (none := _unmade(sample)) is not None:
        return none
    if not sample.completion.text and sample.problem.meta.get("no_response"):
        raise DataError(
            f"problem {sample.problem.id!r}: expected a response to read, found a verdict alone; give extraction=stored"
        )
    if bench.read is None:
        return _with_answer(_answered(sample), sample)
    text = _answer_text(sample, style)
    found = bench.read(sample.problem, text, rules)
    if found is None and "\\boxed" in text:
        found = bench.read(sample.problem, inside(text), rules)
    if found is None and rules.random_fallback and sample.problem.choices:
        drawn = by_chance(sample.problem.id, len(sample.problem.choices), rules.seed)
        score = bench.score(sample.problem, drawn, rules)
        return _with_answer(_cut(replace(score, parts={BY_CHANCE: 1.0}), sample), sample)
    if found is None:
        return _with_answer(_cut(Score(0.0, None, "unparsed"), sample), sample)
    return _with_answer(_cut(bench.score(sample.problem, found, rules), sample), sample)


def _cut(score: Score, sample: Sample) -> Score:
    """The score, with the reason truncated where it is that of a wrong or missing answer of one that was cut off."""
    if score.correct or score.reason == "errored" or sample.completion.finish != "length":
        return score
    return replace(score, reason="truncated")


def _by_stored(bench: Bench, rules: Rules, sample: Sample) -> Score:
    meta = sample.problem.meta
    by_judges = bench.judging is not None and bench.judging.verdict is not None
    if by_judges and {"extraction", "judged"} <= meta.keys():
        score = replace(by_verdict(bool(meta["judged"])), answer=str(meta["extraction"]))
    elif "extraction" in meta:
        score = _of_extraction(bench, sample, str(meta["extraction"]), rules)
    elif "judged" in meta and (meta.get("no_response") or not bench.empty_scores):
        score = by_verdict(bool(meta["judged"]))
    elif bench.empty_scores:
        score = _of_extraction(bench, sample, "", rules)
    else:
        raise DataError(
            f"problem {sample.problem.id!r}: expected an extraction or a verdict in the outputs, found neither; give "
            "extraction=rule to read the responses"
        )
    return score if meta.get("no_response") else _with_answer(score, sample)


def _of_extraction(bench: Bench, sample: Sample, extraction: str, rules: Rules) -> Score:
    """The benchmark's score of an extraction; one of nothing is unparsed, unless it is right by the published rule."""
    score = bench.score(sample.problem, extraction, rules)
    none = score.reason == "wrong" and not extraction.strip()
    return replace(score, answer=None, reason="unparsed") if none else score


def _of_nothing(bench: Bench, sample: Sample, rules: Rules) -> Score:
    return _of_extraction(bench, sample, "", rules) if bench.empty_scores else Score(0.0, None, "unparsed")


def _unmade(sample: Sample) -> Score | None:
    """The score of a completion that the engine could not make."""
    return Score(0.0, None, "errored") if sample.completion.finish == "error" else None


def _answer_text(sample: Sample, style: Style | None) -> str:
    """The response, or the answer in it (without its box) where it is laid out as the style asks."""
    parsed = style.parse(sample.completion.text) if style else None
    if parsed is None or parsed.answer is None or not parsed.well_formed:
        return sample.completion.text
    return inside(parsed.answer) if "\\boxed" in parsed.answer else parsed.answer


def _answered(sample: Sample) -> Score:
    """The verdict of `answer/`; a problem it can't check is errored."""
    try:
        return check(sample.problem, sample.completion.text, sample.completion.finish)
    except DataError:
        return Score(0.0, None, "errored")


def _with_answer(score: Score, sample: Sample) -> Score:
    parts = {**score.parts, "correct": score.value, "answer": _answered(sample).value}
    return replace(score, parts=parts)


def _judged(answer: str, verdict: str | None) -> Score:
    if verdict is None:
        return Score(0.0, answer, "errored")
    return Score(1.0, answer, "judged") if verdict == "1" else Score(0.0, answer, "wrong")
