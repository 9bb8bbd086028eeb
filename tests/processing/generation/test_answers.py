from collections.abc import Sequence

import pytest

from processing.generation.answers import Answer, answer_twice, clean, derive_seed, find_problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Two dogs run across the wet sand.", None),
        ("I cannot see any writing in this picture.", None),
        ("I can see a sorry-looking dog.", None),
        ("Two men. I'm sorry is written on the wall.", None),
        ("A man plays a very, very long horn on a sunny day in front of many people.", None),
        ("狗在雪地里奔跑。", None),
        ("The sign reads 7.", None),
        ("", "empty"),
        ("...", "empty"),
        ("I'm sorry, but I can't assist with that.", "refusal"),
        ("I’m sorry, I can’t help.", "refusal"),
        ("Sorry, I cannot identify people.", "refusal"),
        ("I am unable to view images.", "refusal"),
        ("Unfortunately, I cannot see the image you mention.", "refusal"),
        ("As an AI language model, I have no eyes.", "refusal"),
        ("A dog on the left, a dog on the left, a dog on the left, a dog on the left, a dog on the left", "runaway"),
        ("no no no no no no no no no no no no no", "runaway"),
        ("哈哈哈哈哈哈哈哈哈哈哈哈", "runaway"),
        ("A dog. " + "".join(map(str, range(200))), "runaway"),
    ],
)
def test_problems(text: str, problem: str | None) -> None:
    assert find_problem(Answer(text), longest=300) == problem


def test_an_answer_that_was_cut_off_has_run_away() -> None:
    assert find_problem(Answer("A dog runs across the", finished=False), longest=300) == "runaway"


def test_clean_leaves_one_line_without_thoughts_and_broken_characters() -> None:
    assert clean("<think>Hm.\nA dog?</think>\n A  dog\truns. \n") == "A dog runs."
    assert clean("<think>Hm, this never") == ""
    clean("broken \ud83d here").encode()


def test_only_useless_answers_are_asked_for_again_and_warmer() -> None:
    asked: list[tuple[Sequence[int], int, float]] = []
    first = ["A dog.", "", "I'm sorry.", "A cat."]
    second = {1: " A  tree. ", 2: "..."}

    def ask(items: Sequence[int], attempt: int, temperature: float) -> list[Answer]:
        asked.append((list(items), attempt, temperature))
        return [Answer(first[item] if attempt == 1 else second[item]) for item in items]

    results = answer_twice(4, ask, lambda item: 100, temperature=0.0)
    assert results == [("A dog.", []), ("A tree.", ["empty"]), (None, ["refusal", "empty"]), ("A cat.", [])]
    assert asked == [([0, 1, 2, 3], 1, 0.0), ([1, 2], 2, 0.7)]


def test_the_longest_answer_is_the_items_own() -> None:
    results = answer_twice(2, lambda items, *_: [Answer("four") for _ in items], lambda item: 3 + item, 1.0)
    assert results == [(None, ["runaway", "runaway"]), ("four", [])]


def test_seeds_depend_on_every_part() -> None:
    seeds = [derive_seed(0, "a", "b"), derive_seed(0, "ab"), derive_seed(1, "a", "b"), derive_seed(0, "b", "a")]
    assert len(set(seeds)) == 4
    assert derive_seed(0, "a", "b") == seeds[0]
    assert all(0 <= seed < 2**31 for seed in seeds)
