"""What the card says about a model's method, usage and limits, as its configuration has it."""

from collections.abc import Mapping, Sequence
from typing import Any

from .languages import example_query

TEXT_ONLY = "leccr_cross_lingual"
Config = Mapping[str, Any]


def is_text_only(config: Config) -> bool:
    """Return whether the model is the first stage of CL2CM, which encodes only texts."""
    return config.get("model_type") == TEXT_ONLY


def method_name(config: Config) -> str:
    """Return the name of the method, as the recipes have it."""
    if is_text_only(config):
        return "cross-lingual"
    transfer = config.get("transfer_weight", 0) > 0
    if config.get("num_slots", 0) > 0 or has_sentences(config):
        return "leccr-cl2cm" if transfer else "leccr"
    if config.get("description_fusion"):
        return "late-fusion" if _looks_at_pictures(config) else "description-only"
    return "cl2cm" if transfer else "dual-encoder"


def method_section(config: Config) -> str:
    """Return two paragraphs for a reader who knows neither of the papers."""
    if is_text_only(config):
        return f"{_TEXT_ONLY_SPACE}\n\n{_TEXT_ONLY_TRAINING}"
    space = (
        f"The model has two encoders: one{_kind(config, 'vision')} turns an image or video, the other"
        f"{_kind(config, 'text')} a sentence, into {config['projection_dim']} numbers, so that a picture and the "
        "sentences that fit it point in the same direction. One text encoder serves all languages. It learns from "
        "captions in a source language, usually English, and from their translations, which can be made by machine: "
        "no captions written in the query's language are needed."
    )
    if config.get("transfer_weight", 0) > 0:
        space += (
            " A second network, which was trained only on sentence pairs, says how similar the captions of a batch "
            "are; the encoders are trained to find the same similarities between captions and pictures "
            "([CL2CM](https://arxiv.org/abs/2312.08984); the losses are a reconstruction)."
        )
    return f"{space}\n\n{_description_paragraph(config)}"


def _kind(config: Config, tower: str) -> str:
    kind = (config.get(f"{tower}_config") or {}).get("model_type")
    return f" (`{kind}`)" if kind else ""


def _description_paragraph(config: Config) -> str:
    if has_sentences(config):
        return _sentence_paragraph(config)
    if config.get("num_slots", 0) > 0:
        slots, alpha = config["num_slots"], config.get("alpha", 0.8)
        anchored = (
            " In this model the slots are *anchored*: each starts as a part of the description in the queries' own "
            "space, and the exchange with the picture is added to it. The paper has no such anchors."
            if config.get("slot_anchor") == "text"
            else ""
        )
        return (
            "Short captions leave out most of what a picture shows. Following "
            "[LECCR](https://arxiv.org/abs/2409.19961), a multimodal language model describes each picture once; the "
            f"description is distilled into {slots} *semantic slots*, which exchange information with the picture by "
            f"cross-attention.{anchored} A query is compared with the whole picture and with the best slot: the score "
            f"is {alpha:g} · (whole picture) + {1 - alpha:g} · (best slot). This equals the largest inner product of "
            f"the query with {slots} *views* of the picture, so that any inner-product index serves it exactly. "
            f"{_UNDESCRIBED}"
        )
    if config.get("description_fusion"):
        used = (
            "is added to the picture's with a learned weight (late fusion). A query is compared with the sum."
            if _looks_at_pictures(config)
            else "stands for the picture, which is not looked at. A query is compared with that vector."
        )
        return (
            "Short captions leave out most of what a picture shows. A multimodal language model describes each picture "
            f"once, the text encoder turns the description into a vector, and this {used} {_UNDESCRIBED}"
        )
    return (
        "A query is compared with a picture by the inner product of their two vectors. Nothing but the picture itself "
        "goes into its vector: this model takes no descriptions. It is meant for collections that nobody has "
        "described, and as a baseline for models that use descriptions."
    )


def _sentence_paragraph(config: Config) -> str:
    slots, alpha = config.get("num_slots", 0), config.get("alpha", 0.8)
    others = (
        f" To these it adds {slots} slots that it distils from the whole description, as in "
        "[LECCR](https://arxiv.org/abs/2409.19961)."
        if slots
        else ""
    )
    return (
        "Short captions leave out most of what a picture shows. A multimodal language model describes each picture "
        "once, and each sentence of the description is a *slot*: its vector and the picture's are added, so that a "
        f"picture has as many slots as sentences. This is no part of the published method.{others} A query is compared "
        f"with the whole picture and with the best slot: the score is {alpha:g} · (whole picture) + {1 - alpha:g} · "
        "(best slot). This equals the largest inner product of the query with as many *views* of the picture, so that "
        f"any inner-product index serves it exactly. {_UNDESCRIBED}"
    )


_UNDESCRIBED = (
    "Pictures without a description can be searched, too, but are found less often, especially among pictures that "
    "have one."
)
_TEXT_ONLY_SPACE = (
    "The model turns sentences in several languages into vectors, so that a sentence and its translation point in "
    "the same direction. It has never seen a picture. It is the first stage of "
    "[CL2CM](https://arxiv.org/abs/2312.08984): its similarities between captions are then passed on to a model of "
    "pictures and sentences."
)
_TEXT_ONLY_TRAINING = (
    "It is trained on captions and their translations: translations of one caption are drawn together and all other "
    "sentences of the batch are pushed away; and an optimal-transport plan aligns the words of a caption with those of "
    "its translation, so that words that translate each other become similar, too. The losses and their weights are a "
    "reconstruction, since the paper's coefficients are not public."
)


def usage_section(name: str, config: Config, processor: Mapping[str, Any], languages: Sequence[str]) -> str:
    """Return the code that uses the model, complete enough to be copied and run.

    Args:
        name: Hub name or folder of the checkpoint.
        config: Its configuration.
        processor: Fields of its processor.
        languages: Languages of the model, for the query.
    """
    code = usage_code(name, config, processor, languages)
    notes = (
        "`trust_remote_code=True` runs the model's own code from this repository; give `revision=` a commit that you "
        "have read to pin it."
    )
    if not is_text_only(config):
        notes = (
            "The score of a query and a picture is the largest inner product of the query with the picture's views.\n"
            + (_PIPELINE if pipeline_tag(config, processor) == "zero-shot-image-classification" else "")
            + (
                "The model was trained to use a description of each picture, too, and finds less without. "
                "Descriptions go in with " + _described(processor) + "\n"
                if takes_descriptions(config)
                else ""
            )
            + notes
        )
    needs = "torch, transformers 5.6 or newer" + ("" if is_text_only(config) else ", and pillow")
    usage = f"This needs {needs}; nothing else has to be installed.\n\n```python\n{code}```\n\n{notes}"
    library = sentence_transformers_code(name, config, processor, languages)
    if library is None:
        return usage
    whole = f"\n\n{_WHOLE_PICTURES}" if takes_descriptions(config) else ""
    return f"{usage}\n\nOr with sentence-transformers 5.4 or newer:\n\n```python\n{library}```{whole}"


def usage_code(name: str, config: Config, processor: Mapping[str, Any], languages: Sequence[str]) -> str:
    """Return the Python code of `usage_section`."""
    query = example_query(languages)
    if is_text_only(config):
        return _TEXT_ONLY_CODE.format(name=name, query=query, english=example_query(["en"]))
    pictures, call, imports = _IMAGES
    if config.get("vision_config") is None:
        pictures, call, imports = (
            _FEATURES.format(width=config.get("visual_feature_dim")),
            "visual_features=features",
            "",
        )
    elif processor.get("num_frames"):
        pictures, call, imports = _VIDEOS
    return _CODE.format(name=name, query=query, pictures=pictures, call=call, imports=imports)


def sentence_transformers_code(
    name: str, config: Config, processor: Mapping[str, Any], languages: Sequence[str]
) -> str | None:
    """Return Python code that uses the model through sentence-transformers; None for videos and ready-made features."""
    query = example_query(languages)
    if is_text_only(config):
        return _LIBRARY_TEXT_ONLY_CODE.format(name=name, query=query, english=example_query(["en"]))
    if config.get("vision_config") is None or processor.get("num_frames"):
        return None
    return _LIBRARY_CODE.format(name=name, query=query)


def pipeline_tag(config: Config, processor: Mapping[str, Any]) -> str:
    """Return the pipeline of transformers that runs the model: by pictures and texts, or by texts only."""
    only_texts = config.get("vision_config") is None or processor.get("num_frames")
    return "feature-extraction" if only_texts else "zero-shot-image-classification"


def has_sentences(config: Config) -> bool:
    """Return whether sentences of descriptions are slots."""
    return config.get("slot_source", "attention") != "attention"


def _looks_at_pictures(config: Config) -> bool:
    return bool(config.get("fusion_gate", 1.0) or config.get("learn_fusion_gate", True))


def takes_descriptions(config: Config) -> bool:
    """Return whether the model takes descriptions of pictures."""
    return config.get("num_slots", 0) > 0 or has_sentences(config) or bool(config.get("description_fusion"))


def _described(processor: Mapping[str, Any]) -> str:
    kind = "videos=videos" if processor.get("num_frames") else "images=images"
    each = ", a list of sentences for each" if processor.get("sentence_slots") else ""
    return f"`processor({kind}, descriptions=[...])`{each}, None where there is none."


_CODE = """\
import torch
{imports}from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("{name}", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained("{name}", trust_remote_code=True)
{pictures}
with torch.inference_mode():
    views = model.get_image_views({call})  # (pictures, views, dimensions)
    query = model.get_text_features(**processor(text="{query}"))
scores = (views @ query.T).amax(dim=(1, 2))
print(scores.argsort(descending=True).tolist())  # the best picture first
"""
_IMAGES = (
    'images = [Image.open(path) for path in ("beach.jpg", "street.jpg")]',
    "**processor(images=images)",
    "from PIL import Image\n",
)
_VIDEOS = (
    'videos = [[Image.open(f"{name}-{number}.jpg") for number in range(4)] for name in ("beach", "street")]  # frames',
    "**processor(videos=videos)",
    "from PIL import Image\n",
)
_FEATURES = 'features = torch.load("features.pt")  # (pictures, tokens, {width}), of the tower it was trained with'
_LIBRARY_CODE = """\
from PIL import Image
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}", trust_remote_code=True)
images = model.encode([Image.open(path) for path in ("beach.jpg", "street.jpg")])
queries = model.encode(["{query}"])
print(model.similarity(queries, images))  # (queries, pictures)
"""
_LIBRARY_TEXT_ONLY_CODE = """\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}", trust_remote_code=True)
features = model.encode(["{query}", "{english}"])
print(model.similarity(features, features))
"""
_PIPELINE = (
    "The pipeline `zero-shot-image-classification` of transformers sorts labels by it; it puts them into an English "
    'sentence unless it is given `hypothesis_template="{}"`.\n'
)
_WHOLE_PICTURES = (
    "This way a picture has one vector: it is compared as a whole and has no description. The figures below are with "
    "the first code."
)
_TEXT_ONLY_CODE = """\
import torch
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("{name}", trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained("{name}", trust_remote_code=True)
texts = ["{query}", "{english}"]
with torch.inference_mode():
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    features = model.get_text_features(**inputs)  # (texts, dimensions)
print(features @ features.T)
"""


def limits_section(config: Config, processor: Mapping[str, Any]) -> str:
    """Return what the model cannot do and what to beware of."""
    lines = [
        "Scores rank the items of one collection. They are not probabilities, and a query that fits nothing still gets "
        "a first answer.",
        "Languages other than those above are untested, even if the tokenizer knows them.",
        "Training captions describe everyday scenes in one or two plain sentences. Names, written words in pictures, "
        "counts, negation and special subjects are likely to be missed.",
        "Machine translations carry their errors into the model, and the way in which captions speak of people, "
        "of their sex, age or origin, carries over, too, as does what pretrained encoders have learnt from the web. "
        "Check what it finds and what it misses before people depend on it.",
        "Not meant for identifying or monitoring people, nor for decisions about them.",
    ]
    if takes_descriptions(config):
        lines.append(
            "Descriptions by a language model can be wrong or say what is not in the picture; the model then finds the "
            "picture under that. Figures with descriptions do not hold for collections without."
        )
    if processor.get("text_max_length"):
        lines.append(f"Queries are cut after {processor['text_max_length']} tokens.")
    return "\n".join(f"- {line}" for line in lines)
