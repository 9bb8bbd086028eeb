from huggingface_hub import DatasetCard

from hub_card.gallery_card import gallery_card


def test_it_says_what_is_in_it_and_how_to_search_it() -> None:
    text = gallery_card("org/photos", 1200, "leccr-multi30k", "fp16")
    assert DatasetCard(text).data.to_dict()["pretty_name"] == "photos"
    for part in ("1,200 pictures and videos", "`leccr-multi30k`", "(fp16)", "hf download org/photos", "thumbnails"):
        assert part in text
