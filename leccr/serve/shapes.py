"""What is sent and answered, as the OpenAPI page shows it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from ..gallery.filters import parse_filter
from ..gallery.options import SearchOptions
from ..gallery.sorting import check_order

MOST_RESULTS = 1000


class EmbeddingsRequest(BaseModel):
    """Texts, and pictures as data URLs, to embed; other fields of OpenAI's request are ignored."""

    input: str | list[str] | list[int] | list[list[int]] = Field(
        description="A text or a list of texts; `data:image/jpeg;base64,…` is a picture. Tokens are refused."
    )
    model: str = Field("", description="Ignored: the server has one model, which the answer names.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="Only the model's own number is accepted.")


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="Numbers, or float32 in little-endian order as base64.")


class Usage(BaseModel):
    """Tokens, which are not counted: both numbers are 0."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class SearchFields(BaseModel, extra="forbid"):
    """Which items are answers, and how many. The server alone decides on files and models."""

    k: int = Field(10, ge=1, le=MOST_RESULTS, description="Number of results.")
    where: str | None = Field(None, max_length=2000, description="Filter, such as `path~holiday and kind=image`.")
    sort: str | None = Field(None, max_length=20, description="`taken`, `-taken`, `time` or `-time`; else best first.")
    words: float = Field(
        SearchOptions.words, ge=0, le=1, allow_inf_nan=False, description="Weight of words in texts and names."
    )
    all_moments: bool = Field(False, description="Whether each shot of a video is an answer of its own.")
    folded: bool = Field(False, description="Whether of near duplicates only the best is an answer.")
    diverse: bool = Field(False, description="Whether answers are chosen to differ from each other.")
    min_confidence: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Leave out answers to texts that are less sure."
    )

    def options(self) -> SearchOptions:
        """Return these fields as a search takes them.

        Raises:
            UserError: If there is no such filter or order.
        """
        if self.where is not None:
            parse_filter(self.where)
        check_order(self.sort)
        return SearchOptions(self.where, self.all_moments, self.sort, self.folded, self.diverse, self.words)


class TextSearch(SearchFields):
    """A text to search for, as it is written into an address."""

    query: str = Field(description="What to look for, in any language.")


class SearchRequest(SearchFields):
    """A text or a picture to search for."""

    query: str | None = Field(None, description="What to look for, in any language.")
    image: str | None = Field(None, description="A picture to search with, as `data:image/jpeg;base64,…`.")


class SearchAnswer(BaseModel):
    """The items that fit best, best first."""

    query: str | None
    unknown: float | None = Field(None, description="Share of the query's tokens that the model cannot read.")
    results: list[dict[str, Any]] = Field(description="As `leccr search --json` prints them, with a thumbnail's path.")
    nearest: dict[str, Any] | None = Field(None, description="The best item, where none is sure enough.")


class Health(BaseModel):
    """That the server answers, and for what."""

    status: Literal["ok"]
    model: str
    dimensions: int
    items: int
