"""The processor of a LECCR checkpoint: pictures, queries and descriptions to tensors. It travels as remote code."""

from typing import Any

from transformers import BatchFeature, ProcessorMixin


class LeccrProcessor(ProcessorMixin):
    """Prepares pictures, texts and descriptions by one rule for training and for search, saved with the model.

    Texts are cut at ``text_max_length`` tokens and descriptions at ``description_max_length``, by the tokenizer's own
    count, so the rule holds for languages without spaces, too. Nothing is lower-cased unless the tokenizer does it.

    Args:
        image_processor: Image processor of the vision tower.
        tokenizer: Tokenizer of the text tower.
        text_max_length: Longest caption or query, in tokens, special tokens included.
        description_max_length: Longest description, in tokens.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        text_max_length: int = 64,
        description_max_length: int = 128,
    ) -> None:
        super().__init__(image_processor, tokenizer)
        self.text_max_length = text_max_length
        self.description_max_length = description_max_length

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        descriptions: str | list[str | None] | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare any of the three.

        Args:
            images: A picture or a list of them, as the image processor takes them.
            text: Captions or queries in any language.
            descriptions: One description per picture; None or a blank string where a picture has none.
            return_tensors: Kind of tensors, ``"pt"`` by default.
            **kwargs: Ignored settings that other processors know, for drop-in use.

        Returns:
            ``pixel_values`` (B, 3, H, W), ``input_ids`` and ``attention_mask`` (B, L), ``description_input_ids`` and
            ``description_attention_mask`` (B, L'); a missing description has a mask of zeros. Only what was asked for.

        Raises:
            ValueError: If nothing is given, a text is empty, or descriptions and pictures differ in number.
        """
        if images is None and text is None and descriptions is None:
            raise ValueError("Give images, text or descriptions to the processor; nothing was given.")
        batch: dict[str, Any] = {}
        if images is not None:
            batch.update(self.image_processor(images, return_tensors=return_tensors))
        if text is not None:
            batch.update(self._tokenize(self._checked_texts(text), self.text_max_length, return_tensors))
        if descriptions is not None:
            batch.update(self._describe(descriptions, batch.get("pixel_values"), return_tensors))
        return BatchFeature(data=batch)

    @staticmethod
    def _checked_texts(text: str | list[str]) -> list[str]:
        texts = [text] if isinstance(text, str) else list(text)
        for number, value in enumerate(texts):
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"Text {number} is empty; give every caption or query at least one word.")
        return texts

    def _tokenize(self, texts: list[str], max_length: int, return_tensors: str | None) -> dict[str, Any]:
        return dict(
            self.tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=max_length,
                return_tensors=return_tensors,
                return_token_type_ids=False,
            )
        )

    def _describe(
        self, descriptions: str | list[str | None], pixel_values: Any, return_tensors: str | None
    ) -> dict[str, Any]:
        values = [descriptions] if isinstance(descriptions, str) else list(descriptions)
        if pixel_values is not None and len(values) != len(pixel_values):
            raise ValueError(
                f"{len(values)} descriptions for {len(pixel_values)} images: give one for each image, "
                "None where there is none."
            )
        present = [bool(value and value.strip()) for value in values]
        texts = [value if there and value else " " for value, there in zip(values, present, strict=True)]
        tokens = self._tokenize(texts, self.description_max_length, return_tensors)
        for mask, there in zip(tokens["attention_mask"], present, strict=True):
            if not there:
                mask[:] = [0] * len(mask) if isinstance(mask, list) else 0
        return {f"description_{name}": value for name, value in tokens.items()}

    @property
    def model_input_names(self) -> list[str]:
        """Names of everything that the processor can make."""
        texts = ["input_ids", "attention_mask"]
        return ["pixel_values", *texts, *(f"description_{name}" for name in texts)]


LeccrProcessor.register_for_auto_class("AutoProcessor")
