import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import retrieval_ranks


def brute_force(text_embeds, image_views, text_image):
    """The definitions, one pair at a time on the full matrix, in NumPy."""
    texts, views = text_embeds.numpy().astype(np.float64), image_views.numpy().astype(np.float64)
    scores = np.einsum("td,nkd->tnk", texts, views).max(2).astype(np.float32)
    owner = text_image.tolist()
    num_texts, num_images = scores.shape
    text_to_image = [
        1 + sum(not scores[t, n] < scores[t, owner[t]] for n in range(num_images) if n != owner[t])
        for t in range(num_texts)
    ]
    image_to_text, average_precision = [], []
    for n in range(num_images):
        before = sorted(
            sum(not scores[other, n] < scores[t, n] for other in range(num_texts) if owner[other] != n)
            for t in range(num_texts)
            if owner[t] == n
        )
        image_to_text.append(before[0] + 1 if before else 0)
        precisions = [rank / (rank + count) for rank, count in enumerate(before, start=1)]
        average_precision.append(np.mean(precisions) if precisions else np.nan)
    return text_to_image, image_to_text, np.array(average_precision)


def make_data(kind, seed=0, num_texts=53, num_images=17, views=3, width=6):
    generator = torch.Generator().manual_seed(seed)
    text_embeds = torch.randn(num_texts, width, generator=generator)
    image_views = torch.randn(num_images, views, width, generator=generator)
    if kind == "quantised":
        text_embeds, image_views = text_embeds.round(), image_views.round()
    if kind == "some NaN":
        text_embeds[4, 2] = image_views[6, 1, 0] = float("nan")
    # Uneven numbers of captions, in no order; the last two images have none.
    text_image = torch.randint(num_images - 2, (num_texts,), generator=generator)
    return text_embeds, image_views, text_image


def one_dimensional(text_values, image_values, text_image):
    """Ranks where score = text value times image value."""
    return retrieval_ranks(
        torch.tensor(text_values)[:, None], torch.tensor(image_values)[:, None, None], torch.tensor(text_image)
    )


@pytest.mark.parametrize("chunk_size", [1, 7, 16, 10**6])
@pytest.mark.parametrize("kind", ["random", "quantised", "some NaN"])
def test_every_chunk_size_equals_brute_force(kind, chunk_size):
    data = make_data(kind)
    ranks = retrieval_ranks(*data, chunk_size=chunk_size)
    text_to_image, image_to_text, average_precision = brute_force(*data)
    assert ranks.text_to_image.tolist() == text_to_image
    assert ranks.image_to_text.tolist() == image_to_text
    np.testing.assert_allclose(ranks.image_average_precision.numpy(), average_precision, rtol=1e-12)


def test_quantised_data_really_has_ties():
    text_embeds, image_views, text_image = make_data("quantised")
    scores = torch.einsum("td,nkd->tnk", text_embeds, image_views).amax(2)
    own = scores.gather(1, text_image[:, None])
    assert ((scores == own).sum(1) > 1).float().mean() > 0.2


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_the_full_matrix_is_never_held():
    data = make_data("random", num_texts=400, num_images=200, views=2, width=4)
    with LargestTensor() as whole:
        retrieval_ranks(*data, chunk_size=10**6)
    with LargestTensor() as chunked:
        retrieval_ranks(*data, chunk_size=20)
    assert whole.elements >= 400 * 200
    largest_input = 400 * 4
    assert chunked.elements <= max(2 * 20 * 20, largest_input, 200 * 40)
    assert chunked.elements < 400 * 200 / 8


@pytest.mark.parametrize("value", [0.0, 1.0, float("nan"), float("inf")])
def test_a_constant_or_broken_scorer_gets_the_worst_ranks(value):
    num_images, captions = 12, 3
    text_image = torch.arange(num_images).repeat_interleave(captions)
    ranks = retrieval_ranks(torch.ones(36, 4), torch.full((num_images, 2, 4), value), text_image)
    assert ranks.text_to_image.tolist() == [num_images] * 36
    assert ranks.image_to_text.tolist() == [36 - captions + 1] * num_images
    metrics = retrieval_metrics(ranks)
    assert metrics["text_to_image_hit_rate_10"] == metrics["image_to_text_hit_rate_10"] == 0.0


@pytest.mark.parametrize("chunk_size", [64, 128])
def test_a_constant_scorer_has_no_lucky_block(chunk_size):
    """The last block has another shape, for which plain float32 products are summed in another order."""
    generator = torch.Generator().manual_seed(0)
    text_embeds = torch.nn.functional.normalize(torch.randn(257, 256, generator=generator), dim=1)
    view = torch.nn.functional.normalize(torch.randn(256, generator=generator), dim=0)
    ranks = retrieval_ranks(text_embeds, view.expand(257, 1, 256), torch.arange(257), chunk_size=chunk_size)
    assert ranks.text_to_image.tolist() == [257] * 257


def test_nan_of_one_item_spoils_that_item_only():
    text_embeds, image_views = torch.eye(3), torch.eye(3)[:, None].clone()
    text_embeds[1, 1] = float("nan")
    ranks = retrieval_ranks(text_embeds, image_views, torch.arange(3))
    assert ranks.text_to_image.tolist() == [1, 3, 1]
    # Text 1 scores NaN with every image, so it cannot be said to come after the right text of images 0 and 2.
    assert ranks.image_to_text.tolist() == [2, 3, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_scored_in_float32(dtype):
    """The scores 4096.125 and 4096.0625 are one number in half precision, and two in float32."""
    text_embeds = torch.tensor([[64.0, 0.125]]).to(dtype)
    image_views = torch.tensor([[[64.0, 1.0]], [[64.0, 0.5]]]).to(dtype)
    assert retrieval_ranks(text_embeds, image_views, torch.tensor([0])).text_to_image.tolist() == [1]


def test_scores_equal_in_float32_are_a_tie_even_for_float64_inputs():
    close = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[[1.0, 0.0]], [[1.0 - 1e-12, 0.0]]]).double()
    assert retrieval_ranks(*close, torch.tensor([0])).text_to_image.tolist() == [2]


def test_autocast_does_not_coarsen_the_scores():
    data = make_data("random", num_texts=200, num_images=100)
    expected = retrieval_ranks(*data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ranks = retrieval_ranks(*data)
    assert torch.equal(ranks.text_to_image, expected.text_to_image)


def test_inputs_that_require_gradients_are_taken_and_kept():
    text_embeds, image_views, text_image = make_data("random")
    text_embeds.requires_grad_()
    before = image_views.clone()
    ranks = retrieval_ranks(text_embeds, image_views, text_image)
    assert not ranks.image_average_precision.requires_grad
    assert torch.equal(image_views, before)


def test_average_precision_and_best_caption_by_hand():
    # Image 0 (value 1) ranks the texts 5, 4, 3, 2, 1 by their values; its own are the values 4 and 1.
    ranks = one_dimensional([5.0, 4.0, 3.0, 2.0, 1.0], [1.0, -1.0], [1, 0, 1, 1, 0])
    assert ranks.image_to_text[0] == 2
    assert ranks.image_average_precision[0].item() == pytest.approx((1 / 2 + 2 / 5) / 2)
    # Image 1 ranks them the other way round: 1, 2, 3, 4, 5; its own are 2, 3 and 5.
    assert ranks.image_to_text[1] == 2
    assert ranks.image_average_precision[1].item() == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)


def test_own_captions_do_not_stand_in_each_others_way():
    ranks = one_dimensional([3.0, 3.0, 3.0, 1.0], [1.0, -1.0], [0, 0, 0, 1])
    assert ranks.image_to_text.tolist() == [1, 1]
    assert ranks.image_average_precision.tolist() == [1.0, 1.0]


def test_images_without_captions_are_distractors_only():
    # Image 1 has no caption, and takes the first place from image 0.
    ranks = one_dimensional([1.0], [0.5, 1.0, 0.1], [0])
    assert ranks.text_to_image.tolist() == [2]
    assert ranks.image_to_text.tolist() == [1, 0, 0]
    assert ranks.image_average_precision.isnan().tolist() == [False, True, True]
    metrics = retrieval_metrics(ranks)
    assert metrics["image_to_text_hit_rate_1"] == 100.0
    assert metrics["image_to_text_mean_average_precision"] == 100.0
    assert metrics["image_to_text_median_rank"] == 1.0


def test_the_order_of_the_texts_does_not_matter():
    text_embeds, image_views, text_image = make_data("quantised")
    ranks = retrieval_ranks(text_embeds, image_views, text_image)
    order = torch.randperm(len(text_image), generator=torch.Generator().manual_seed(1))
    shuffled = retrieval_ranks(text_embeds[order], image_views, text_image[order].int())
    assert torch.equal(shuffled.text_to_image, ranks.text_to_image[order])
    assert torch.equal(shuffled.image_to_text, ranks.image_to_text)


@pytest.mark.parametrize(
    ("text_shape", "view_shape", "text_image", "chunk_size", "message"),
    [
        ((2, 4), (3, 1, 5), [0, 1], 8, r"\(2, 4\) and \(3, 1, 5\)"),
        ((2, 4), (3, 4), [0, 1], 8, "image views"),
        ((0, 4), (3, 1, 4), [], 8, "nothing to rank"),
        ((2, 4), (3, 0, 4), [0, 1], 8, "nothing to rank"),
        ((2, 4), (3, 1, 4), [0, 1, 2], 8, "2 texts"),
        ((2, 4), (3, 1, 4), [0, 3], 8, "from 0 to 2"),
        ((2, 4), (3, 1, 4), [-1, 0], 8, "from 0 to 2"),
        ((2, 4), (3, 1, 4), [0.0, 1.0], 8, "integers"),
        ((2, 4), (3, 1, 4), [0, 1], 0, "chunk_size"),
    ],
)
def test_bad_input_is_named(text_shape, view_shape, text_image, chunk_size, message):
    with pytest.raises(ValueError, match=message):
        retrieval_ranks(torch.zeros(text_shape), torch.zeros(view_shape), torch.tensor(text_image), chunk_size)
