"""The card of a trained model: what it is, how to use it, what it was trained on, how good it is, where it fails."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from processing.errors import UserError
from processing.languages import language_name

from .confidence import confidence_section
from .data_facts import CAPTIONS, description_sentence, prepare_command, translation_sentence
from .method import (
    is_text_only,
    limits_section,
    method_name,
    method_section,
    pipeline_tag,
    takes_descriptions,
    usage_section,
)
from .names import is_repository
from .results import EvaluationResult, data_name, model_index, results_section, results_table, validation_results
from .sections import join_card
from .training_section import training_section

ADDRESS = re.compile(r"(?<![\w./])(?:[\w-]+\.)+[a-z]+/[^\s,]+")
# What to know before editing a card; it is not shown.
FOR_EDITORS = "<!-- Text between the markers is replaced when the model is published again; yours goes outside. -->"
PAPERS = ("2409.19961", "2312.08984")
CITATIONS = """\
```bibtex
@inproceedings{leccr2024,
  title     = {Multimodal {LLM} Enhanced Cross-lingual Cross-modal Retrieval},
  author    = {Wang, Yabing and Wang, Le and Zhou, Qiang and Wang, Zhibin and Li, Hao and Hua, Gang and Tang, Wei},
  booktitle = {Proceedings of the 32nd ACM International Conference on Multimedia (ACM MM)},
  year      = {2024},
  eprint    = {2409.19961},
  archivePrefix = {arXiv},
}

@inproceedings{cl2cm2024,
  title     = {{CL2CM}: Improving Cross-Lingual Cross-Modal Retrieval via Cross-Lingual Knowledge Transfer},
  author    = {Wang, Yabing and Wang, Fan and Dong, Jianfeng and Luo, Hao},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2024},
  eprint    = {2312.08984},
  archivePrefix = {arXiv},
}
```"""


@dataclass(frozen=True)
class ModelFacts:
    """What a card is made from.

    Attributes:
        name: How code names the checkpoint: on the Hub, such as `org/name`, or its folder.
        config: The checkpoint's `config.json`.
        processor: Fields of its processor.
        training: Its `training.json`: steps, seconds, validation figures.
        recipe: Its `recipe.yaml`: method, towers and settings.
        results: What `leccr evaluate --out` wrote.
        license: Identifier of the weights' licence, as the Hub has them; None if nobody chose one.
        dataset: Name of the training data on the Hub, if they are published.
        data: What the training data are: `title`, `reader` and `options` of `leccr prepare`, `published`, `languages`,
            `rows` by split, and, as in `DataFacts`, `descriptions` and `translations`.
        base_models: Hub names of the pretrained towers.
        calibration: Its `calibration.json`: what its scores mean, by language.
        onnx: Whether it is published as ONNX programs, too.
    """

    name: str
    config: Mapping[str, Any]
    processor: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    results: Sequence[EvaluationResult] = ()
    license: str | None = None
    dataset: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    base_models: Sequence[str] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    onnx: bool = False

    @property
    def title(self) -> str:
        """The last part of the name."""
        return self.name.rstrip("/").rpartition("/")[2]

    @property
    def languages(self) -> list[str]:
        """Languages that the model was trained or measured in, in this order."""
        measured = [result["language"] for result in [*validation_results(self.training), *self.results]]
        # A run may leave some of its data's languages out, and the validation names all that it was trained in.
        return list(dict.fromkeys(measured or self.data.get("languages", [])))


def model_card(facts: ModelFacts) -> str:
    """Return a `README.md` for a checkpoint. The same facts always give the same text.

    Raises:
        UserError: If huggingface_hub cannot read the metadata back, or a name is none of the Hub's.
    """
    if facts.dataset is not None and not is_repository(facts.dataset):
        raise UserError(f'"{facts.dataset}" is not a valid name on the Hub; write it as org/name.')
    card = join_card(_metadata(facts), _sections(facts))
    ModelCard(card)
    return card


def _metadata(facts: ModelFacts) -> dict[str, Any]:
    tags = ["leccr", "cross-lingual", "multilingual", method_name(facts.config)]
    if not is_text_only(facts.config):
        tags += ["cross-modal-retrieval", "image-search"] + (
            ["video-search"] if facts.processor.get("num_frames") else []
        )
    # The Hub shows how a model is used in each of these libraries.
    tags += ["sentence-transformers", *(["onnx"] if facts.onnx else [])]
    data = ModelCardData(
        base_model=list(facts.base_models) or None,
        datasets=[facts.dataset] if facts.dataset else None,
        language=facts.languages or None,
        library_name="transformers",
        license=facts.license,
        pipeline_tag=pipeline_tag(facts.config, facts.processor),
        tags=list(dict.fromkeys([*tags, *(f"arxiv:{number}" for number in PAPERS)])),
    ).to_dict()
    # ModelCardData turns results into the model-index only together with a name, and in the same way.
    index = model_index(facts.results, facts.title, facts.dataset)
    return {**data, "model-index": index} if index else data


def _sections(facts: ModelFacts) -> dict[str, str]:
    config, languages = facts.config, facts.languages
    sections = {
        "what": f"{FOR_EDITORS}\n\n# {facts.title}\n\n{_what(facts)}",
        "languages": f"## Languages\n\n{_languages(languages)}",
        "usage": f"## How to use it\n\n{usage_section(facts.name, config, facts.processor, languages)}",
        "method": f"## How it works\n\n{method_section(config)}",
        "training": f"## Training data and licence\n\n{_training(facts)}",
        "procedure": f"## Training\n\n{training_section(facts.recipe)}" if facts.recipe else "",
        "results": f"## Results\n\n{_results(facts)}",
        "confidence": f"## Confidence\n\n{confidence_section(facts.calibration)}" if facts.calibration else "",
        "limits": f"## Limits and bias\n\n{limits_section(config, facts.processor)}",
        "cost": f"## Cost\n\n{_cost(facts.training)}" if facts.training.get("seconds") else "",
        "citation": f"## Citation\n\nIf you use this model, please cite both papers that it builds on.\n\n{CITATIONS}",
    }
    return {name: text for name, text in sections.items() if text}


def _what(facts: ModelFacts) -> str:
    text = (
        "This model turns sentences in several languages into vectors that can be compared across languages."
        if is_text_only(facts.config)
        else "This model finds videos and images with a sentence in your own language, and sentences that fit them."
        if facts.processor.get("num_frames")
        else "This model finds images with a sentence in your own language, and sentences that fit an image."
    )
    recipe = facts.training.get("recipe")
    trained = f"was trained with the recipe `{recipe}` of" if recipe else "has the form of the models of"
    return (
        f"{text} It gives vectors: what fits is close together. It does not write text or make pictures."
        f"\n\nIt {trained} leccr, a package for image search across languages, and needs only transformers to load."
    )


def _languages(languages: Sequence[str]) -> str:
    if not languages:
        return "The checkpoint does not record which languages it was trained in."
    *others, last = [f"{language_name(code)} (`{code}`)" for code in languages]
    return f"Trained or measured in {', '.join(others)}{' and ' if others else ''}{last}."


def _training(facts: ModelFacts) -> str:
    data, lines = facts.data, []
    title = data.get("title")
    link = f"[{title or facts.dataset}](https://huggingface.co/datasets/{facts.dataset})" if facts.dataset else title
    rows = ", ".join(f"{count:,} {split}" for split, count in data.get("rows", {}).items())
    if link:
        reader = data.get("reader")
        how = f", prepared by `{prepare_command(reader, data.get('options', {}))}`" if reader else ""
        lines.append(f"Training data: {link}" + (f" (rows: {rows})" if rows else "") + f"{how}.")
        if takes_descriptions(facts.config):
            lines += [description_sentence(source) for source in data.get("descriptions", [])]
        lines += [translation_sentence(name, system) for name, system in data.get("translations", {}).items()]
        if data.get("published"):
            published = ADDRESS.sub(r"[\g<0>](https://\g<0>)", data["published"])
            lines.append(f"Their own files, their licence and how to cite them: {published}.")
        elif reader == "scenes":
            lines.append("leccr itself draws these pictures and writes their captions, under the licence of its code.")
        else:
            lines.append("Their licence is not recorded here; it is that of whoever published them.")
    else:
        lines.append(
            "The checkpoint does not record what it was trained on. Whoever publishes it should add the data and their "
            "licence below this section."
        )
    if facts.base_models:
        towers = ", ".join(f"[{name}](https://huggingface.co/{name})" for name in facts.base_models)
        lines.append(f"It starts from the pretrained {towers}, whose licences hold for the weights, too.")
    lines.append(
        f"Licence of the weights: `{facts.license}`."
        if facts.license
        else "No licence has been chosen for the weights yet; without one, nobody has been given the right to use them."
    )
    lines.append("The code in this repository (`*.py`) is under the Apache License 2.0.")
    return "\n".join(f"- {line}" for line in lines)


def _has_reserved_captions(facts: ModelFacts) -> bool:
    sources = facts.data.get("descriptions", [])
    return takes_descriptions(facts.config) and any(source.get("source") == CAPTIONS for source in sources)


def _results(facts: ModelFacts) -> str:
    parts = [
        "Percent; *hit rate* (hit@k) is the share of queries with a right answer among the first k, which papers on "
        "CLIP call R@k. SumR is the sum of the six hit rates, 600 at best. Ranks are those of the first right answer."
    ]
    if _has_reserved_captions(facts):
        parts.append("Descriptions are captions that people wrote; with a language model's the figures will differ.")
    if facts.results:
        parts.append(results_section(facts.results, takes_descriptions(facts.config)))
    validation = validation_results(facts.training)
    rule = facts.training.get("selection", "not recorded").replace("sum_of_hit_rates", "SumR")
    selection = f"({rule}), which flatters it a little."
    if validation and _measured_on_validation(facts):
        parts.append(f"The checkpoint was selected by its figures on the validation split {selection}")
    elif validation:
        parts += [
            "### Validation split of the training data",
            results_table(validation),
            f"- The checkpoint was selected by these very figures {selection}\n{_validation_protocol(facts)}",
        ]
    if not (facts.results or validation):
        return "No figures are recorded. Measure it on your own data with `leccr evaluate`."
    return "\n\n".join(parts)


def _measured_on_validation(facts: ModelFacts) -> bool:
    """Return whether the results say what the training report says on the validation split, and say more."""
    title = facts.data.get("title")
    return any(data_name(result) == title and result["protocol"]["split"] == "validation" for result in facts.results)


def _validation_protocol(facts: ModelFacts) -> str:
    rows = facts.data.get("rows", {}).get("validation")
    gallery = f"all {rows:,} rows" if rows else "all rows"
    uses = ", with their descriptions where the model takes them" if not is_text_only(facts.config) else ""
    return (
        f"- Searched: {gallery} of the split{uses}; queries: all captions of the language, one language at a time.\n"
        "- Ties count against the model."
    )


def _cost(training: Mapping[str, Any]) -> str:
    minutes, seconds = divmod(round(training["seconds"]), 60)
    hours, minutes = divmod(minutes, 60)
    spent = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    return f"Training took {spent} for {training['steps']:,} steps. Energy and carbon were not measured."
