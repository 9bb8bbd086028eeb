"""The server's routes."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .. import __version__
from ..errors import UserError
from ..gallery.answers import answer_fields
from ..gallery.confidence import fitting
from ..gallery.results import checked_texts
from .desk import Desk, Found, is_picture
from .errors import add_error_handlers
from .guard import Guard
from .metrics import Metrics
from .settings import Settings
from .shapes import EmbeddingsAnswer, EmbeddingsRequest, Health, SearchAnswer, SearchFields, SearchRequest, TextSearch

if TYPE_CHECKING:
    from ..gallery import Gallery

JSON = "application/json"
THUMBNAIL_HEADERS = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
LARGEST_NUMBER = 2**63 - 1
router = APIRouter()


def make_app(gallery: "Gallery", settings: Settings | None = None) -> FastAPI:
    """Return the app that serves a gallery.

    Args:
        gallery: An open gallery, whose model is loaded here.
        settings: Its limits, and who may ask.
    """
    settings = settings or Settings()
    metrics = Metrics()
    desk = Desk(gallery, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    # Only says on the OpenAPI page that there is a key: the guard asks for it before anything is read.
    dependencies = [Security(HTTPBearer(auto_error=False))] if settings.key else []
    app = FastAPI(
        title="leccr",
        version=__version__,
        description="Search pictures and videos in your own language.",
        lifespan=lifespan,
        dependencies=dependencies,
        redoc_url=None,
    )
    app.state.desk = desk
    app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
    if settings.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False)
    return app


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


@router.post("/v1/embeddings", response_model=EmbeddingsAnswer)
async def embeddings(asked: EmbeddingsRequest, desk: AtDesk) -> Response:
    """Embed texts and pictures, as OpenAI's clients ask for it."""
    inputs = _checked_inputs(asked, desk)
    embeds = await desk.embed(inputs)
    return Response(await desk.read(_embeddings_json, embeds, asked.encoding_format, desk.name), media_type=JSON)


@router.get("/v1/models")
async def models(desk: AtDesk) -> dict[str, Any]:
    """List the model of the gallery, as OpenAI's clients ask for it."""
    return {"object": "list", "data": [{"id": desk.name, "object": "model", "created": 0, "owned_by": "leccr"}]}


@router.post("/search", response_model=SearchAnswer, response_model_exclude_unset=True)
async def search(asked: SearchRequest, desk: AtDesk) -> dict[str, Any]:
    """Find the items that fit a text in any language, or look like a picture."""
    if (asked.query is None) == (asked.image is None):
        raise UserError("Give either a query, which is a text, or an image.")
    if asked.query is not None:
        return await _answer_text(asked.query, asked, desk)
    picture, options = asked.image or "", asked.options()
    _check_picture(picture)
    return _answer(None, await desk.search_by_picture(picture, asked.k, options), asked.min_confidence)


@router.get("/search", response_model=SearchAnswer, response_model_exclude_unset=True)
async def search_by_text(asked: Annotated[TextSearch, Query()], desk: AtDesk) -> dict[str, Any]:
    """Find the items that fit a text: what can be typed as an address."""
    return await _answer_text(asked.query, asked, desk)


@router.get("/items/{number}/thumbnail", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def thumbnail(number: Annotated[int, Path(ge=0, le=LARGEST_NUMBER)], desk: AtDesk) -> Response:
    """Return the small picture of an item, whose number is in the answers of a search."""
    content = await desk.thumbnail(number)
    if content is None:
        raise HTTPException(404, "There is no such item, or it has no small picture")
    return Response(content, media_type="image/jpeg", headers=THUMBNAIL_HEADERS)


@router.get("/healthz")
async def healthz(desk: AtDesk) -> Health:
    """Tell whether the gallery can be read; needs no key, and answers however busy the server is."""
    return Health(status="ok", model=desk.name, dimensions=desk.encoder.width, items=await desk.count())


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(desk: AtDesk) -> Response:
    """Return requests, times, batches and memory for Prometheus."""
    desk.metrics.items.set(await desk.count())
    return Response(await desk.read(desk.metrics.text), media_type="text/plain; version=0.0.4; charset=utf-8")


def _checked_inputs(asked: EmbeddingsRequest, desk: Desk) -> list[str]:
    inputs: list[Any] = [asked.input] if isinstance(asked.input, str) else list(asked.input)
    if not inputs:
        raise UserError("There is no input; send a text or a list of texts.")
    if any(not isinstance(each, str) for each in inputs):
        raise UserError(
            "The input is a list of tokens, but each model has its own; send texts. In LangChain, this is "
            "OpenAIEmbeddings(check_embedding_ctx_length=False)."
        )
    if asked.dimensions not in (None, desk.encoder.width):
        raise UserError(f"The model has {desk.encoder.width} dimensions, and no other number of them.")
    pictures = [each for each in inputs if is_picture(each)]
    if len(inputs) > desk.settings.most_texts or len(pictures) > desk.settings.most_pictures:
        most = f"{desk.settings.most_texts} inputs, {desk.settings.most_pictures} of them pictures"
        raise UserError(f"There are {len(inputs)} inputs, {len(pictures)} of them pictures; send at most {most}.")
    for picture in pictures:
        _check_picture(picture)
    _check_texts([each for each in inputs if not is_picture(each)], desk)
    return inputs


def _check_texts(texts: list[str], desk: Desk) -> None:
    most = desk.settings.most_characters
    longest = max(map(len, texts), default=0)
    if longest > most:
        raise UserError(f"A text has {longest:,} characters; send at most {most:,}.")
    if texts:
        checked_texts(texts)


def _check_picture(picture: str) -> None:
    start = picture[:100].partition(",")[0].lower()
    if not (start.startswith("data:image/") and start.endswith(";base64")):
        raise UserError(
            "A picture is sent as data:image/jpeg;base64,… with the content of its file; addresses are not fetched."
        )


def _embeddings_json(embeds: np.ndarray, encoding: str, model: str) -> bytes:
    vectors: list[Any] = (
        embeds.tolist()
        if encoding == "float"
        else [base64.b64encode(row.tobytes()).decode() for row in embeds.astype("<f4")]
    )
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return json.dumps({"object": "list", "data": data, "model": model, "usage": usage}).encode()


async def _answer_text(query: str, asked: SearchFields, desk: Desk) -> dict[str, Any]:
    options = asked.options()
    _check_texts([query], desk)
    return _answer(query, await desk.search(query, asked.k, options), asked.min_confidence)


def _answer(query: str | None, found: Found, min_confidence: float | None) -> dict[str, Any]:
    results = fitting(found.results, min_confidence)
    fields = answer_fields(query, results, found.unknown, found.results[:1])
    for each in [*fields["results"], *([fields["nearest"]] if "nearest" in fields else [])]:
        # A folder of this machine is nothing to clients.
        del each["file"]
        each["thumbnail"] = f"/items/{each['number']}/thumbnail"
    return fields
