"""What is sent and answered, as the OpenAPI page shows it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

MOST_RESULTS = 1000
K = Annotated[int, Field(ge=1, le=MOST_RESULTS, description="Number of results.")]
Where = Annotated[str | None, Field(max_length=2000, description="Filter, such as `path~holiday and kind=image`.")]
MinConfidence = Annotated[
    float | None, Field(ge=0, le=1, allow_inf_nan=False, description="Leave out answers to texts that are less sure.")
]


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


class SearchRequest(BaseModel):
    """A text or a picture to search for."""

    query: str | None = Field(None, description="What to look for, in any language.")
    image: str | None = Field(None, description="A picture to search with, as `data:image/jpeg;base64,…`.")
    k: K = 10
    where: Where = None
    min_confidence: MinConfidence = None


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
