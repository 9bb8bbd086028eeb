from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leccr.evaluation import ranks as ranks_module
from leccr.evaluation.ranks import RetrievalRanks, retrieval_ranks
from leccr.evaluation.scores import block_scores
from tests.leccr.evaluation.test_ranks import LargestTensor


def ranks_of_float64(text_embeds: torch.Tensor, image_views: torch.Tensor, owner: torch.Tensor) -> RetrievalRanks:
    """The definitions on the full matrix of scores that are summed in float64."""
    scores = block_scores(text_embeds, image_views)
    own = scores.gather(1, owner[:, None])
    others = owner[:, None] != torch.arange(len(image_views))
    to_image = 1 + (~(scores < own) & others).sum(dim=1)
    to_text = torch.zeros(len(image_views), dtype=torch.long)
    precision = torch.full((len(image_views),), torch.nan, dtype=torch.float64)
    for image in owner.unique().tolist():
        mine = owner == image
        before = (~(scores[~mine, image, None] < scores[mine, image])).sum(dim=0).sort().values
        nth = torch.arange(1, len(before) + 1)
        to_text[image], precision[image] = before[0] + 1, (nth / (nth + before.double())).mean()
    return RetrievalRanks(to_image, to_text, precision)


def assert_same(found: RetrievalRanks, expected: RetrievalRanks) -> None:
    assert torch.equal(found.text_to_image, expected.text_to_image)
    assert torch.equal(found.image_to_text, expected.image_to_text)
    torch.testing.assert_close(
        found.image_average_precision, expected.image_average_precision, rtol=1e-12, atol=0, equal_nan=True
    )


def spoil(embeds: torch.Tensor, how: str, generator: torch.Generator) -> torch.Tensor:
    """Return embeddings made difficult in one way."""
    some = torch.randint(len(embeds), (1 + len(embeds) // 8,), generator=generator)
    if how == "unit":
        return torch.nn.functional.normalize(embeds, dim=-1)
    if how == "ties":
        return embeds.round()
    if how == "duplicates":
        return embeds[torch.randint(1 + len(embeds) // 4, (len(embeds),), generator=generator)]
    if how == "near":
        near = embeds[:1].expand_as(embeds)
        return near * (1 + 2.0**-23 * torch.randint(-3, 4, embeds.shape, generator=generator))
    if how == "norms":
        return embeds * 10.0 ** torch.randint(-12, 8, (len(embeds), *[1] * (embeds.ndim - 1)), generator=generator)
    if how in ("float16", "bfloat16", "float64"):
        return embeds.to(getattr(torch, how))
    value = {"zero": 0.0, "NaN": torch.nan, "infinite": torch.inf, "huge": 1e30, "tiny": 1e-30}[how]
    return embeds.index_copy(0, some, embeds[some] * value)


WAYS = ["unit", "ties", "duplicates", "near", "norms", "float16", "bfloat16", "float64"]
WAYS += ["zero", "NaN", "infinite", "huge", "tiny"]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 150),
    st.integers(1, 100),
    st.integers(1, 3),
    st.integers(1, 40),
    st.sampled_from(WAYS),
    st.sampled_from(WAYS),
    st.sampled_from([40, 1024]),
)
def test_ranks_are_those_of_float64(
    seed: int, num_texts: int, num_images: int, views: int, width: int, texts_are: str, views_are: str, chunk_size: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    text_embeds = spoil(torch.randn(num_texts, width, generator=generator), texts_are, generator)
    image_views = spoil(torch.randn(num_images, views, width, generator=generator), views_are, generator)
    # Some galleries have many images without texts, and some a few images with very many.
    owner = torch.randint(1 + seed % num_images, (num_texts,), generator=generator)
    expected = ranks_of_float64(text_embeds, image_views, owner)
    assert_same(retrieval_ranks(text_embeds, image_views, owner, chunk_size), expected)


def like_a_model(num_images: int = 300, width: int = 256) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return embeddings of five texts for each image, which are more or less like it."""
    generator = torch.Generator().manual_seed(0)
    image_views = torch.nn.functional.normalize(torch.randn(num_images, 2, width, generator=generator), dim=-1)
    owner = torch.arange(num_images).repeat(5)
    noise = torch.nn.functional.normalize(torch.randn(len(owner), width, generator=generator), dim=-1)
    return torch.nn.functional.normalize(image_views[owner, 0] * 0.2 + noise, dim=-1), image_views, owner


def test_float64_is_for_own_pairs_and_very_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    text_embeds, image_views, owner = like_a_model()
    computed = []

    def pairs(*args: Any) -> torch.Tensor:
        computed.append(len(args[2]))
        return pair_scores(*args)

    pair_scores = ranks_module.pair_scores
    monkeypatch.setattr(ranks_module, "pair_scores", pairs)
    monkeypatch.setattr(ranks_module, "block_scores", lambda *args: pytest.fail("A whole block was in float64."))
    found = retrieval_ranks(text_embeds, image_views, owner)
    assert 0 < sum(computed) - len(owner) < 0.002 * len(owner) * len(image_views)
    monkeypatch.undo()
    assert_same(found, ranks_of_float64(text_embeds, image_views, owner))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_the_precision_chosen_for_a_model_is_not_that_of_its_ranks(precision: str) -> None:
    data = like_a_model(num_images=60)
    expected = retrieval_ranks(*data)
    torch.set_float32_matmul_precision(precision)
    try:
        assert_same(retrieval_ranks(*data), expected)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")


def test_one_broken_text_leaves_the_other_blocks_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    text_embeds, image_views, owner = like_a_model(num_images=60)
    text_embeds[7] = torch.inf
    whole = []
    monkeypatch.setattr(ranks_module, "block_scores", lambda *args: whole.append(args) or block_scores(*args))
    found = retrieval_ranks(text_embeds, image_views, owner, chunk_size=64)
    assert len(whole) == 1
    assert_same(found, ranks_of_float64(text_embeds, image_views, owner))


def test_an_image_with_very_many_texts_takes_no_table() -> None:
    """A table of images by their most texts would hold all pairs."""
    text_embeds, image_views, _ = like_a_model(num_images=100)
    owner = torch.cat([torch.zeros(400, dtype=torch.long), torch.arange(100)])
    with LargestTensor() as largest:
        found = retrieval_ranks(text_embeds, image_views, owner, chunk_size=32)
    assert largest.elements <= text_embeds.numel()
    assert_same(found, ranks_of_float64(text_embeds, image_views, owner))
