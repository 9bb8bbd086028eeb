"""Fitting a calibration to captions: half of the time each one's picture is there, and half of the time it is not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from processing.notes import note
from processing.writable import check_writable
from processing.writing import write_json

from ..arguments import repository_of
from ..errors import UserError
from ..models.calibration import CALIBRATION_FILE, Calibration, Logistic
from ..models.encoder import Encoder
from .ranked import RankedQueries
from .ranks import own_and_other_scores

MOST_STEPS = 100
# With fewer, a few captions decide about the curves.
ENOUGH_PICTURES = 100


def fit_calibration(
    captions: Mapping[str, tuple[Tensor, Tensor]],
    views: Tensor,
    description_weight: float | None = None,
    described: float | None = None,
) -> Calibration | None:
    """Fit a logistic curve for each language, and one for all of them, from an answer's score to whether it is right.

    Each caption is searched for twice: among all pictures, where the best answer is right if it is the caption's own
    picture, and among the others, where it is wrong. So half of the queries have nothing that fits.

    Args:
        captions: By language, the embeddings (T, D) of its captions and the position (T,) of each one's picture.
        views: (N, K, D), of all pictures.
        description_weight: Weight of descriptions in the views of a dual encoder, if they count.
        described: Share of the pictures that have a description, if the model takes them.

    Returns:
        The calibration; None if there is nothing to fit, as with a single picture.
    """
    answers = {
        language: best_answers(*own_and_other_scores(embeds, views, owners))
        for language, (embeds, owners) in captions.items()
    }
    answers = {language: found for language, found in answers.items() if len(found[0])}
    if not answers:
        return None
    curves = {language: fit_logistic(scores, right) for language, (scores, right) in answers.items()}
    overall = fit_logistic(*(np.concatenate(column) for column in zip(*answers.values())))
    return Calibration(overall, curves, len(views), description_weight, described)


def best_answers(own: Tensor, others: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of the best answers, and whether each is right.

    Args:
        own: (T,) score of each caption and its picture.
        others: (T,) the best score of each caption and another picture.

    Returns:
        Two arrays (2T,): first the answers among all pictures, then those among the others. Captions without a finite
        score are left out.
    """
    scores = torch.cat([torch.maximum(own, others), others]).double()
    # Ties count against the model, as in all our figures.
    right = torch.cat([own > others, torch.zeros_like(own, dtype=torch.bool)])
    finite = torch.isfinite(own + others).repeat(2)
    return scores[finite].numpy(), right[finite].numpy()


def fit_logistic(scores: np.ndarray, right: np.ndarray) -> Logistic:
    """Fit P(right) = 1 / (1 + exp(−(slope · score + intercept))) by maximum likelihood (Platt scaling).

    The targets are those of Platt, a little inside of 0 and 1, so that a few perfectly separated answers do not make
    the curve a step.

    Args:
        scores: (n,) finite scores.
        right: (n,) whether each answer is right.
    """
    count, rights = len(scores), int(right.sum())
    targets = np.where(right, (rights + 1) / (rights + 2), 1 / (count - rights + 2))
    centre, spread = scores.mean(), scores.std() or 1.0
    inputs = np.stack([(scores - centre) / spread, np.ones(count)])
    slope, intercept = _newton(inputs, targets)
    if slope < 0:
        # The scores say nothing; a constant is the best that never falls.
        slope, intercept = 0.0, np.log(targets.mean() / (1 - targets.mean()))
    return Logistic(float(slope / spread), float(intercept - slope * centre / spread), count // 2)


def _newton(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the two weights with the largest likelihood."""
    weights = np.zeros(2)
    for _ in range(MOST_STEPS):
        predicted = 1 / (1 + np.exp(-weights @ inputs))
        hessian = (inputs * predicted * (1 - predicted)) @ inputs.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, inputs @ (predicted - targets))
        # A full step can overshoot where the curve is flat.
        weights -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-9:
            break
    return weights


def check_calibration(checkpoints: Sequence[str], text_only: bool) -> None:
    """Raise UserError if models cannot be calibrated, or there is no folder of one to write to."""
    for checkpoint in checkpoints:
        folder = Path(repository_of(checkpoint))
        if text_only:
            raise UserError(
                f"{checkpoint} embeds only texts: there are no answers to calibrate; leave --calibrate out."
            )
        if not folder.is_dir():
            raise UserError(
                f"--calibrate writes into the model's folder, and {checkpoint} is none; download it first: hf download "
                f"{folder} --local-dir FOLDER"
            )
        check_writable(folder / CALIBRATION_FILE)


def write_calibration(checkpoint: str, ranked: Sequence[RankedQueries], encoder: Encoder) -> None:
    """Fit a calibration to an evaluation of a model, and write it into the model's folder.

    Raises:
        UserError: If the data have a single picture.
    """
    captions = {each.result["language"]: (each.text_embeds, each.owners) for each in ranked}
    views, protocol = ranked[0].views, ranked[0].result["protocol"]
    described = protocol["images_with_description"] / len(views) if encoder.takes_descriptions else None
    calibration = fit_calibration(captions, views, encoder.description_weight, described)
    if calibration is None:
        raise UserError("Among one picture there is nothing to calibrate; name data with more.")
    path = Path(repository_of(checkpoint)) / CALIBRATION_FILE
    write_json(path, calibration.to_fields())
    note(f"What the scores mean is in {path}; `leccr search` says how sure its answers are.")
    if len(views) < ENOUGH_PICTURES:
        note(
            f"Note: it is measured among {len(views)} pictures only, so it says little; use data with "
            f"{ENOUGH_PICTURES} or more."
        )
