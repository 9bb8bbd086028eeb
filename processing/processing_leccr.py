"""The processor of a LECCR checkpoint: pictures, queries and descriptions to tensors. It travels as remote code."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature, ProcessorMixin
from transformers.processing_utils import ProcessingKwargs

from .batches_leccr import check_lengths, each, grouped, stacked
from .pictures_leccr import picture_formats, visible_picture
from .text_rule_leccr import (
    add_text_rule,
    description_tokenizer,
    is_blank,
    prefix_length,
    set_text_prefix,
    text_prefix,
    unknown_shares,
)

# Of a call that says nothing else.
TEXT_DEFAULTS = {
    "padding": True,
    "truncation": True,
    "return_token_type_ids": False,
    "return_attention_mask": True,
    "return_tensors": "pt",
}


class LeccrProcessor(ProcessorMixin):
    """Prepares pictures, texts and descriptions by one rule for training and for search, saved with the model.

    Texts are cut at `text_max_length` tokens and descriptions at `description_max_length`, by the tokenizer's own
    count, so the rule holds for languages without spaces, too. Nothing is lower-cased unless the tokenizer does it.

    Args:
        image_processor: Image processor of the vision tower.
        tokenizer: Tokenizer of the text tower.
        text_max_length: Longest caption or query, in tokens, special tokens included. It is the tokenizer's
            `model_max_length`, so that libraries that look there read and set what really cuts.
        description_max_length: Longest description, in tokens.
        num_frames: Most frames of a video, for a model of videos, to which a picture is a video of one frame; None for
            a model of pictures alone.
        pad_to_max_length: Whether every text is padded to the full length, as SigLIP wants it, or a batch to its
            longest text.
        background: Colour that is seen through the transparent parts of pictures, as Pillow names it.
        normalize_text: Whether texts and descriptions are brought into one plain form first: composed and half-width
            letters, plain quotes, dashes and dots where the vocabulary lacks the typographic ones, nothing invisible,
            single spaces. It becomes part of the tokenizer, in place. False leaves a tokenizer as it is, as for models
            that were trained elsewhere. A tokenizer's rule for captions only (of the authors' release) does not touch
            descriptions.
        sentence_slots: Whether a description is made into sentences, for a model to which they are slots. A text is
            split where lines end; a list of sentences is taken as it is. The package splits texts into sentences first.
        text_prefix: What is put before every caption and query, such as `"query: "` for E5. It becomes part of the
            tokenizer, in place; None leaves the tokenizer's, and an empty text takes it away.
        description_prefix: What is put before every description or, if they are slots, each of its sentences.

    Raises:
        ValueError: If texts are to be normalized or get a prefix, and the tokenizer is not a fast one.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        text_max_length: int = 64,
        description_max_length: int = 128,
        num_frames: int | None = None,
        pad_to_max_length: bool = False,
        normalize_text: bool = True,
        background: str = "white",
        sentence_slots: bool = False,
        text_prefix: str | None = None,
        description_prefix: str = "",
    ) -> None:
        super().__init__(image_processor, tokenizer)
        if normalize_text and tokenizer is not None:
            add_text_rule(tokenizer)
        if text_prefix is not None:
            set_text_prefix(tokenizer, text_prefix)
        tokenizer.model_max_length = text_max_length
        self.description_max_length = description_max_length
        self.num_frames = num_frames
        self.pad_to_max_length = pad_to_max_length
        self.normalize_text = normalize_text
        self.background = background
        self.sentence_slots = sentence_slots
        self.description_prefix = description_prefix
        self._description_tokenizer: tuple[Any, Any] = (None, None)

    @property
    def text_max_length(self) -> int:
        """Longest caption or query, in tokens."""
        return int(self.tokenizer.model_max_length)

    @property
    def text_prefix(self) -> str:
        """What is put before every caption and query."""
        return text_prefix(self.tokenizer)

    @property
    def description_tokenizer(self) -> Any:
        """The tokenizer of descriptions: without a rule that is for captions only, and with their own prefix."""
        if self._description_tokenizer[0] is not self.tokenizer:
            self._description_tokenizer = (
                self.tokenizer,
                description_tokenizer(self.tokenizer, self.description_prefix),
            )
        return self._description_tokenizer[1]

    @property
    def description_prefix_length(self) -> int:
        """How many tokens of a description, special ones apart, are its prefix."""
        return prefix_length(self.description_tokenizer)

    @classmethod
    def from_pretrained(cls, name: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a processor as transformers does; a tokenizer's `model_max_length` is its `text_max_length`."""
        if "model_max_length" in kwargs:
            kwargs["text_max_length"] = kwargs.pop("model_max_length")
        return super().from_pretrained(name, *args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as they are stored."""
        return {**super().to_dict(), "text_max_length": self.text_max_length, "text_prefix": self.text_prefix}

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        descriptions: str | list[str | list[str] | None] | None = None,
        videos: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare any of these.

        Args:
            images: A picture or several of any modes and sizes: Pillow pictures, which are shown upright and in RGB,
                or what else the image processor takes. An iterator is fine, so that only one needs to be in memory.
            text: Captions or queries in any language.
            descriptions: One description per picture or video, a text or a list of sentences; None or a blank string
                where one has none.
            videos: In place of images: a list of frames for each video. An iterator is fine, so that the frames of
                only one video need to be in memory.
            **kwargs: Arguments of tokenizers and image processors of transformers, such as `do_rescale`, `size`,
                `max_length` or `padding`, by themselves or in `text_kwargs`, `images_kwargs`, `videos_kwargs` and
                `common_kwargs`. Those of texts hold for descriptions, too, but for `max_length`. `return_tensors` is
                `"pt"` by default, and `padding=True` is what the model needs.

        Returns:
            `pixel_values` (B, 3, H, W), or (B, T, 3, H, W) for videos with `visual_attention_mask` (B, T), which is
            zero after a video's last frame; `input_ids` and `attention_mask` (B, L), `description_input_ids` and
            `description_attention_mask` (B, L'), or (B, S, L') in sentences; a missing description, or sentence, has a
            mask of zeros. Only what was asked for.

        Raises:
            ValueError: If nothing is given, or images and videos; a text is empty, a video has no frame, descriptions
                and pictures differ in number, or pictures differ in size after an image processor that keeps sizes; or
                if an argument is none that transformers knows.
        """
        if images is None and videos is None and text is None and descriptions is None:
            raise ValueError("Give images, videos, text or descriptions to the processor; nothing was given.")
        if images is not None and videos is not None:
            raise ValueError("Give images or videos to the processor; a picture can be a video of one frame.")
        self._check_arguments(kwargs)
        options = self._merge_kwargs(ProcessingKwargs, **kwargs)
        picture_options, text_options = options["images_kwargs"], TEXT_DEFAULTS | options["text_kwargs"]
        batch: dict[str, Any] = {}
        if images is not None:
            return_tensors = picture_options.pop("return_tensors", "pt")
            pixels = stacked([self._pixels(image, picture_options) for image in each(images)])
            batch.update(BatchFeature({"pixel_values": pixels}, tensor_type=return_tensors))
        if videos is not None:
            batch.update(self._process_videos(videos, picture_options | options["videos_kwargs"]))
        if text is not None:
            batch.update(self._tokenize(self._checked_texts(text), self.text_max_length, text_options))
        if descriptions is not None:
            batch.update(self._describe(descriptions, batch.get("pixel_values"), text_options))
        return BatchFeature(data=batch)

    def _check_arguments(self, given: dict[str, Any]) -> None:
        """Raise ValueError if an argument is unknown, which transformers passes over with a warning or without one."""
        every = ProcessingKwargs.__annotations__
        known = {part: set(getattr(every[part], "__annotations__", ())) for part in every}
        own = getattr(self.image_processor, "valid_kwargs", None)
        known["images_kwargs"] |= set(getattr(own, "__annotations__", ()))
        # The frames of videos are processed as pictures.
        known["videos_kwargs"] = known["images_kwargs"]
        known["common_kwargs"] = known["images_kwargs"] | known["text_kwargs"]
        unknown = given.keys() - known.keys() - known["common_kwargs"]
        unknown |= {name for part in known for name in dict(given.get(part) or {}) if name not in known[part]}
        if unknown:
            raise ValueError(
                f"Neither image processors nor tokenizers have an argument {sorted(unknown)[0]}; leave it out."
            )

    def _pixels(self, image: Any, options: dict[str, Any]) -> np.ndarray:
        """Return one picture as (3, H, W)."""
        if isinstance(image, (str, os.PathLike)) and os.path.isfile(image):
            with Image.open(image, formats=picture_formats()) as opened:
                image = visible_picture(opened, self.background)
        elif isinstance(image, Image.Image):
            image = visible_picture(image, self.background)
        return np.asarray(self.image_processor(image, **options, return_tensors="np")["pixel_values"][0])

    def _process_videos(self, videos: Iterable[Any], options: dict[str, Any]) -> BatchFeature:
        """Process the frames of one video after the other, and fill the shorter ones up with zeros."""
        return_tensors = options.pop("return_tensors", "pt")
        clips: list[np.ndarray] = []
        for number, frames in enumerate(videos):
            if not len(frames):
                raise ValueError(f"Video {number} has no frame; leave it out.")
            clips.append(stacked([self._pixels(frame, options) for frame in frames]))
        most = max(len(clip) for clip in clips)
        mask = np.array([[int(index < len(clip)) for index in range(most)] for clip in clips])
        padded = np.zeros((len(clips), most, *clips[0].shape[1:]), dtype=clips[0].dtype)
        for index, clip in enumerate(clips):
            padded[index, : len(clip)] = clip
        return BatchFeature({"pixel_values": padded, "visual_attention_mask": mask}, tensor_type=return_tensors)

    def unknown_shares(self, text: str | list[str]) -> list[float]:
        """Return the share of each text's tokens that the model does not know, from 0 to 1.

        It is 1 for emoji and for scripts that the vocabulary lacks: the model cannot read such a text, and answers it
        with pictures all the same.
        """
        return unknown_shares(self.tokenizer, [text] if isinstance(text, str) else text)

    def _is_blank(self, text: str) -> bool:
        return is_blank(text) if self.normalize_text else not text.strip()

    def _checked_texts(self, text: str | list[str]) -> list[str]:
        texts = [text] if isinstance(text, str) else list(text)
        for number, value in enumerate(texts):
            if not isinstance(value, str) or self._is_blank(value):
                raise ValueError(f"Text {number} is empty; give every caption or query at least one word.")
        return texts

    def _tokenize(
        self, texts: list[str], max_length: int, options: dict[str, Any], tokenizer: Any = None
    ) -> dict[str, Any]:
        options = dict(options)
        if self.pad_to_max_length and options["padding"] is True:
            options["padding"] = "max_length"
        if options["truncation"] not in (False, "do_not_truncate") or options["padding"] == "max_length":
            options.setdefault("max_length", max_length)
        check_lengths(options)
        # Half of a surrogate pair, as a terminal or a cut-off answer may give, is not text to tokenizers.
        readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return dict((tokenizer or self.tokenizer)(readable, **options))

    def _describe(
        self, descriptions: str | list[str | list[str] | None], pixel_values: Any, options: dict[str, Any]
    ) -> dict[str, Any]:
        values = [descriptions] if isinstance(descriptions, str) else list(descriptions)
        if pixel_values is not None and len(values) != len(pixel_values):
            raise ValueError(
                f"{len(values)} descriptions for {len(pixel_values)} images or videos: give one for each, "
                "None where there is none."
            )
        pieces = [self._pieces(value) for value in values]
        most = max([1, *map(len, pieces)])
        texts = [piece for own in pieces for piece in own + [" "] * (most - len(own))]
        options = {name: value for name, value in options.items() if name != "max_length"}
        options = options | {"return_attention_mask": True}
        tokens = self._tokenize(texts, self.description_max_length, options, self.description_tokenizer)
        for number, mask in enumerate(tokens["attention_mask"]):
            if number % most >= len(pieces[number // most]):
                mask[:] = [0] * len(mask) if isinstance(mask, list) else 0
        if self.sentence_slots:
            tokens = {name: grouped(value, most) for name, value in tokens.items()}
        return {f"description_{name}": value for name, value in tokens.items()}

    def _pieces(self, description: str | list[str] | None) -> list[str]:
        """Return a description's sentences if they are slots, or else the whole of it; nothing if it is blank."""
        pieces = description.splitlines() if isinstance(description, str) else list(description or [])
        if not self.sentence_slots:
            pieces = [description if isinstance(description, str) else " ".join(pieces)]
        return [piece for piece in pieces if not self._is_blank(piece)]

    @property
    def model_input_names(self) -> list[str]:
        """Names of everything that the processor can make."""
        texts = ["input_ids", "attention_mask"]
        return ["pixel_values", "visual_attention_mask", *texts, *(f"description_{name}" for name in texts)]


LeccrProcessor.register_for_auto_class("AutoProcessor")
