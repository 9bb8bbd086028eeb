"""What clients are told when something is wrong, in the form that clients of OpenAI read."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from processing.screen import shown

from ..errors import UserError

LOG = logging.getLogger("uvicorn.error")
RETRY_SECONDS = 1


class UnavailableError(Exception):
    """The gallery or its model cannot answer now, through no fault of the client; the cause is for the log."""


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that is refused.

    Args:
        status: Of HTTP. 503 asks the client to try again.
        message: What is wrong and what to do, a sentence.
        headers: Other headers.
    """
    kind = "invalid_request_error" if status < 500 else "server_error"
    content = {"error": {"message": shown(message), "type": kind, "param": None, "code": None}}
    again = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return JSONResponse(content, status, {**again, **(headers or {})})


def add_error_handlers(app: FastAPI) -> None:
    """Let an app answer all errors by `refusal`."""
    app.add_exception_handler(UserError, lambda request, error: refusal(400, str(error)))
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(Exception, _bug)


def _http_error(request: Request, error: Any) -> JSONResponse:
    return refusal(error.status_code, f"{error.detail}.".replace("..", "."), error.headers)


def _invalid(request: Request, error: Any) -> JSONResponse:
    [first, *_] = error.errors()
    place, *field = first["loc"]
    if place == "path":
        return refusal(404, "There is no such item.")
    name = f"{field[0]}: " if field and isinstance(field[0], str) else ""
    return refusal(400, f"{name}{first['msg']}.")


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    # The sentence can name folders of this machine, which are not for clients.
    LOG.error("%s", shown(error.__cause__ or error))
    return refusal(503, "The gallery cannot answer at the moment; the server's log says why.")


def _bug(request: Request, error: Exception) -> JSONResponse:
    return refusal(500, "The server has failed; its log says how.")
