"""Turns rows of the schema into training and evaluation batches."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image as PillowImage
from torch import Tensor

from .caption_collator import CaptionCollator
from .errors import UserError
from .images import BACKGROUND, cropped_side, needed_side, open_image
from .screen import shown_names
from .sentences import split_for
from .video import is_video, open_visual

# As large as thumbnails are.
SHOWN_SIDE = 160


class RetrievalCollator(CaptionCollator):
    """Draws one (image, source caption, translation) from each row, or takes all captions of an evaluation row.

    A training batch has each image once. Each call draws again, so over the epochs every caption and every target
    language comes up; randomness is torch's, which `Trainer` seeds.

    Args:
        processor: A `LeccrProcessor`; where it has `num_frames`, each row is a video of at most so many
            frames, and a picture is a video of one.
        languages: Target languages to draw from; None means all that a row has.
        augment: Called on each training picture, for example a `RandomCrop`; the frames of one video are all
            varied alike.
        lower_case: Share of the drawn captions that become lower case, as people type queries, too.
    """

    def __init__(
        self,
        processor: Any,
        languages: Sequence[str] | None = None,
        augment: Callable[[Any], Any] | None = None,
        lower_case: float = 0.0,
    ) -> None:
        super().__init__(processor, languages, lower_case)
        self.augment = augment

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Build a batch.

        Args:
            rows: Rows of `processing.schema`, or rows made by `processing.captions.evaluation_rows`.

        Returns:
            Images as `pixel_values`, or videos as `pixel_values` or `visual_features` with
            `visual_attention_mask`; descriptions unless no row has one; then the captions, as
            `CaptionCollator` gives them.

        Raises:
            UserError: If a row lacks a picture, or a translation that other rows have, a picture, a video or a caption
                is broken, or a row is a video and the processor is only for pictures.
        """
        evaluation = "captions" in rows[0]
        batch = self.image_inputs(rows, augment=None if evaluation else self.augment)
        batch.update(self.caption_inputs(rows))
        return batch

    def image_inputs(
        self, rows: Sequence[dict[str, Any]], descriptions: bool = True, augment: Callable[[Any], Any] | None = None
    ) -> dict[str, Tensor]:
        """Build only the image side of a batch: pictures, videos or features, and descriptions where there are any."""
        return {**self._visual_inputs(rows, augment), **(self._descriptions(rows) if descriptions else {})}

    def _visual_inputs(self, rows: Sequence[dict[str, Any]], augment: Callable[[Any], Any] | None) -> dict[str, Tensor]:
        frames = self.processor.num_frames
        videos = [row["id"] for row in rows if frames is None and is_video(row)]
        if videos:
            raise UserError(
                f"Row {videos[0]!r} is a video, but the processor is only for pictures; set its num_frames, and "
                'vision_summary="mean" of the model, or leave videos out.'
            )
        if rows[0].get("visual_features") is not None:
            return pad_features([torch.as_tensor(row["visual_features"]) for row in rows])
        background, side = self.background, self.picture_side(augment)
        if frames is not None:
            clips = (open_visual(row, frames, background, side) for row in rows)
            return self._processed(rows, videos=(varied_alike(clip, augment) for clip in clips))
        # One after the other, so that of many large photos one is in memory.
        pictures = (open_image(row.get("image"), row["id"], background, side) for row in rows)
        return self._processed(rows, images=pictures if augment is None else map(augment, pictures))

    def _processed(self, rows: Sequence[dict[str, Any]], **inputs: Any) -> dict[str, Tensor]:
        """Return what the processor makes of inputs; it travels with checkpoints, and so knows no `UserError`."""
        try:
            return dict(self.processor(**inputs))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{error} These are the rows {shown_names([str(row['id']) for row in rows])}.") from error

    @property
    def background(self) -> str:
        """What is seen through transparent parts of pictures."""
        return getattr(self.processor, "background", BACKGROUND)

    def open_picture(self, value: Any, name: str = "") -> PillowImage.Image:
        """Open a picture as the model is shown it, a large JPEG in no more detail than is needed to encode and show it.

        Args:
            value: As for `open_image`, which says what is raised, too.
            name: The row's id, for the message when the picture has no path.
        """
        side = self.picture_side()
        return open_image(value, name, self.background, side and max(side, SHOWN_SIDE))

    def picture_side(self, augment: Callable[[Any], Any] | None = None) -> int | None:
        """Return the pixels of a picture's shorter side that suffice, as `open_image` takes them."""
        return cropped_side(needed_side(getattr(self.processor, "image_processor", None)), augment)

    def _descriptions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        descriptions = [row.get("description") for row in rows]
        if not any(descriptions):
            return {}
        return self._processed(rows, descriptions=split_for(self.processor, descriptions))


def varied_alike(frames: list[Any], augment: Callable[[Any], Any] | None) -> list[Any]:
    """Return the frames of a video, each varied with the same random numbers; as they are without `augment`."""
    if augment is None:
        return frames
    state, varied = torch.get_rng_state(), []
    for frame in frames:
        torch.set_rng_state(state)
        varied.append(augment(frame))
    return varied


def pad_features(features: list[Tensor]) -> dict[str, Tensor]:
    """Pad (N_i, F) features to (B, N, F) float32 with their mask (B, N)."""
    lengths = torch.tensor([len(item) for item in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True).float()
    return {
        "visual_features": padded,
        "visual_attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
    }
