"""How sure an answer is: by the model's calibration, or by how well unrelated captions seem to fit the gallery."""

import dataclasses
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..errors import UserError
from .results import Result
from .store.catalogue import Catalogue, read_state, write_state
from .store.ranking import Ranking
from .store.snapshot import Snapshot
from .store.state import State

if TYPE_CHECKING:
    from ..models.calibration import Calibration
    from ..models.encoder import Encoder

# Least probability among the languages that a query may be in.
SURE = 0.8


def confidences(
    rankings: Sequence[Ranking], asked: Sequence[tuple[str, float]], encoder: "Encoder", state: State
) -> list[Sequence[float | None]]:
    """Return how sure the answers to each text are.

    By a model's calibration it is the probability that an answer with this score is right. Without one it is the share
    of unrelated captions whose best answer in this gallery scores lower. Of a query of which the model knows no token
    it is 0; and None where there is neither a calibration nor an unrelated caption.

    Args:
        rankings: The answers to each query.
        asked: The text of each query, and the share of its tokens that the model does not know.
        encoder: The gallery's model.
        state: The gallery's state.
    """
    return [
        _confidences(ranking.scores, text, unknown, encoder, state)
        for ranking, (text, unknown) in zip(rankings, asked, strict=True)
    ]


def _confidences(
    scores: np.ndarray, text: str, unknown: float, encoder: "Encoder", state: State
) -> Sequence[float | None]:
    calibration = _calibration_of(encoder)
    if calibration is not None:
        values = calibration.confidence(scores, guess_language(text, calibration.languages))
    elif state.unrelated:
        own = state.unrelated.get(guess_language(text, state.unrelated) or "")
        lower = np.sort(own or [score for each in state.unrelated.values() for score in each])
        values = np.searchsorted(lower, scores) / len(lower)
    else:
        return [None] * len(scores)
    return (values * (unknown < 1)).tolist()


def _calibration_of(encoder: "Encoder") -> "Calibration | None":
    calibration = encoder.calibration
    # Descriptions change all scores.
    fits = calibration is not None and calibration.description_weight == encoder.description_weight
    return calibration if fits else None


def unlike_calibration(results: Sequence[Result], encoder: "Encoder") -> str | None:
    """Return a sentence about answers that have a description, or none, unlike the pictures of the calibration.

    Args:
        results: The answers to a text.
        encoder: The gallery's model.
    """
    calibration = _calibration_of(encoder)
    if calibration is None or calibration.described is None:
        return None
    usual = calibration.described >= 0.5
    unlike = sum((result.description is not None) != usual for result in results)
    if not unlike:
        return None
    have, had = ("no description", "one") if usual else ("a description", "none")
    return (
        f"{unlike} of {len(results)} answers have {have}, but the pictures by which the model's confidence was "
        f"calibrated had {had}, so that it means little there."
    )


def check_confidence(least: float | None) -> None:
    """Raise UserError if a least confidence is not a number from 0 to 1."""
    if least is not None and not 0 <= least <= 1:
        raise UserError(f"The least confidence is {least:g}, but has to be from 0 to 1.")


def fitting(results: Sequence[Result], least: float | None) -> list[Result]:
    """Return the results with at least this confidence; all if it is None.

    Raises:
        UserError: If it is not known how sure they are.
    """
    if least is None:
        return list(results)
    if any(result.confidence is None for result in results):
        raise UserError(
            "It is not known how sure these answers are: only answers to texts have a confidence, in a gallery that "
            "was indexed to its end or by a calibrated model. Leave --min-confidence out, or run `leccr index` again."
        )
    return [result for result in results if (result.confidence or 0.0) >= least]


def nearest_of(results: Sequence[Result]) -> list[Result]:
    """Return the answer with the largest score, in whichever order they are; nothing if there is none."""
    return [max(results, key=lambda result: result.score)] if results else []


def nothing_fits(nearest: Result) -> str:
    """Return the sentence for a query without an answer that is sure enough."""
    return f"Nothing in this gallery fits; the nearest is {nearest.label} (confidence {nearest.confidence:.2f})."


def store_unrelated(catalogue: Catalogue, encoder: "Encoder") -> None:
    """Search a gallery for unrelated captions, and keep the scores of the best answers in its state."""
    captions = unrelated_captions()
    embeds = encoder.texts([text for texts in captions.values() for text in texts], progress=False)
    with catalogue.writing() as connection:
        snapshot = Snapshot.open(connection, catalogue.folder, approximate=True)
        rankings = iter(snapshot.rank(embeds, 1, None))
        found = {code: [float(s) for _ in texts for s in next(rankings).scores] for code, texts in captions.items()}
        state = read_state(connection, str(catalogue.folder))
        unrelated = {code: tuple(sorted(scores)) for code, scores in found.items() if scores}
        write_state(connection, dataclasses.replace(state, unrelated=unrelated, version=state.version + 1))


@cache
def unrelated_captions() -> Mapping[str, list[str]]:
    """Return captions that hardly any gallery answers, by language."""
    captions: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("unrelated.yaml").read_text("utf-8"))
    return captions


def guess_language(text: str, languages: Collection[str]) -> str | None:
    """Return in which of some languages a text is; None where that is unsure, or py3langid is not installed."""
    identifier = _identifier() if len(languages) > 1 else None
    if identifier is None:
        return None
    ranked = identifier.rank(unicodedata.normalize("NFKC", text))
    likely = {language: float(probability) for language, probability in ranked if language in languages}
    best = max(likely, key=lambda language: likely[language], default=None)
    return best if best is not None and likely[best] >= SURE * sum(likely.values()) else None


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
