"""The web application: requests become jobs, outcomes become responses."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from maskworks.config import HttpConfig, InputConfig
from maskworks.errors import HttpError, Internal, Overloaded, RequestError, TimedOut
from maskworks.liveness import Liveness
from maskworks.transports.http.admission import Admission
from maskworks.transports.http.body import drain, gone, read_body
from maskworks.transports.http.endpoint import Endpoint
from maskworks.transports.http.guard import Guard
from maskworks.transports.http.media import JSON, media_type_of
from maskworks.transports.http.openapi import describe
from maskworks.transports.http.page import page, page_headers
from maskworks.transports.http.readiness import Readiness
from maskworks.transports.http.sparing import Sparing
from maskworks.transports.http.token import check_token
from maskworks.transports.http.transport import HttpTransport
from maskworks.types import Job, Name, Outcome
from maskworks.wire.reply import encode_error
from maskworks.wire.schema import prompt_schemas
from maskworks.wire.status import encode_status

log = logging.getLogger(__name__)

_CLIENT_GONE = 499  # as in nginx's logs; nobody receives it
_HEADERS: Mapping[int, Mapping[str, str]] = {  # that go with an error, by its status
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
}


class HttpApp:
    """What the server answers.

    Args:
        transport: takes the jobs.
        endpoints: the paths that take images.
        config: the limits and the token.
        input_config: the limits on images.
        registry: what /metrics answers; gets the counts of answers.
        readiness: whether a prediction has passed.
        liveness: whether the main loop lives.
        title: what the server is called, for people.
        prompts: the tools of the page, see `maskworks.transports.http.page`.
    """

    def __init__(
        self,
        transport: HttpTransport,
        endpoints: Sequence[Endpoint],
        config: HttpConfig,
        input_config: InputConfig,
        *,
        registry: CollectorRegistry,
        readiness: Readiness,
        liveness: Liveness,
        title: str,
        prompts: Sequence[str],
    ) -> None:
        self._transport, self._config, self._input_config = transport, config, input_config
        self._readiness, self._liveness, self._endpoints = readiness, liveness, endpoints
        operations = {endpoint.path: endpoint.operation for endpoint in endpoints}
        schemas = prompt_schemas(clicks="clicks" in prompts) if prompts else {}
        self._description = describe(title, operations, schemas, with_token=config.token is not None)
        self._page_text = page(title, prompts, with_token=config.token is not None, exif=input_config.exif)
        self._admission = Admission(config.max_waiting, config.queue_bytes)
        self._names = itertools.count(1)
        self._overloads, self._broken = Sparing(log), Sparing(log)
        self._registry = registry
        self._answers = Counter("maskworks_http_answers", "Answers by status", ["status"], registry=registry)

    def asgi(self) -> ASGIApp:
        """The application for an ASGI server."""
        pages = {
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        routes = [Route("/", self._page)]
        # A client that follows no redirects, or sends no body twice, can do without the right end of a path.
        for end in ("", "/"):
            for endpoint in self._endpoints:
                path = endpoint.path.rstrip("/") + end
                routes.append(Route(path, partial(self._predict, endpoint), methods=["POST"]))
            routes += [Route(path + end, function) for path, function in pages.items()]
        handlers = {
            RequestError: self._refused,
            HTTPException: self._not_here,
            ClientDisconnect: self._client_gone,
            Exception: self._failed,
        }
        starlette = Starlette(routes=routes, exception_handlers=handlers)
        starlette.router.redirect_slashes = False
        return Guard(starlette, self._config, self._kept_out)

    async def _predict(self, endpoint: Endpoint, request: Request) -> Response:
        start = time.monotonic()
        headers = request.headers
        check_token(request, self._config.token)
        content_type = headers.get("content-type", "")
        accept, encodings = (", ".join(headers.getlist(name)) for name in ("accept", "accept-encoding"))
        name, prompt = request.query_params.get("id"), request.query_params.get("prompt")
        http_format = endpoint.format(content_type, accept, encodings, request.query_params)
        self._transport.check_open()
        self._admission.check()
        most = endpoint.most_bytes(media_type_of(content_type), self._input_config.max_bytes)
        with self._admission.body() as share:
            body = await read_body(request, most, self._config.request_timeout, share)
            job = Job(
                str(next(self._names)) if name is None else name,
                body,
                None if prompt is None else prompt.encode(),
                format=http_format,
                receipt=Future(),
                requester=None if request.client is None else "{}:{}".format(*request.client),
            )
            with self._admission.request():
                outcome = await self._outcome(job, request, start + self._config.request_timeout)
        if outcome is None:
            raise ClientDisconnect
        return self._answer(outcome, http_format.headers)

    async def _outcome(self, job: Job, request: Request, deadline: float) -> Outcome | None:
        """What became of a job; None if its client has gone before that. Nobody works on what nobody waits for."""
        answer = asyncio.wrap_future(self._transport.submit(job))
        leaving = asyncio.ensure_future(gone(request))
        either: set[asyncio.Future[Any]] = {answer, leaving}
        try:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if leaving.done():
                return None
            seconds = self._config.request_timeout
            raise TimedOut(f"no answer after {seconds:g} s (--request_timeout); send this request again later")
        finally:
            answer.cancel()
            leaving.cancel()
            job.given_up.set()

    def _answer(self, outcome: Outcome, headers: Mapping[str, str]) -> Response:
        if outcome.error is not None:
            return self._error(outcome.error, outcome.id, outcome.meta)
        self._answers.labels(200).inc()
        return Response(outcome.parts["reply"], headers=headers)

    def _error(
        self,
        error: RequestError,
        name: Name | None,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        self._answers.labels(error.status).inc()
        more = {**_HEADERS.get(error.status, {}), **(headers or {})}
        return Response(encode_error(error, name, meta), error.status, {"Content-Type": JSON, **more})

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        text = f"{request.method} {request.scope['path']}: {error.code}: {error.message}"
        if isinstance(error, Overloaded):
            self._overloads.warn(text)
        elif isinstance(error, HttpError):
            self._broken.warn(text)
        else:
            log.warning("%s", text)
        return await self._closing(request, self._error(error, request.query_params.get("id")))

    async def _failed(self, request: Request, error: Exception) -> Response:
        return self._error(Internal("the server failed; its log says why"), None)

    async def _client_gone(self, request: Request, error: Exception) -> Response:
        self._answers.labels(_CLIENT_GONE).inc()
        return Response(status_code=_CLIENT_GONE)

    async def _not_here(self, request: Request, error: Exception) -> Response:
        """A path or a method that does not exist, or the question which methods do."""
        assert isinstance(error, HTTPException)
        methods = [method for method in (error.headers or {}).get("Allow", "").split(", ") if method]
        allow = {"Allow": ", ".join(sorted((*methods, "OPTIONS")))} if methods else {}
        if request.method == "OPTIONS" and methods:
            return await self._closing(request, Response(status_code=HTTPStatus.NO_CONTENT, headers=allow))
        paths = ", ".join(endpoint.path for endpoint in self._endpoints)
        text = f"{request.method} {request.scope['path']}: {error.detail}; images are sent by POST to {paths}"
        return await self._closing(
            request, self._error(HttpError(error.status_code, text), None, headers=allow or error.headers)
        )

    async def _kept_out(self, request: Request, error: RequestError) -> Response:
        return await self._closing(request, self._error(error, request.query_params.get("id")))

    async def _closing(self, request: Request, response: Response) -> Response:
        """An answer that may come before the end of the body: then the connection ends with it."""
        if not await drain(request):
            response.headers["Connection"] = "close"
        return response

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(self._page_text, headers=page_headers())

    async def _health(self, request: Request) -> Response:
        return _status("ok", "stuck", self._liveness.problem)

    async def _ready(self, request: Request) -> Response:
        return _status("ready", "not ready", self._liveness.problem or self._readiness.problem)

    async def _metrics(self, request: Request) -> Response:
        check_token(request, self._config.token)
        return Response(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self._description)


def _status(good: str, bad: str, problem: str) -> Response:
    """200 with the one word, or 503 with the other and the problem."""
    if problem:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return Response(encode_status(bad, problem), status, {"Content-Type": JSON, **_HEADERS[status]})
    return Response(encode_status(good), headers={"Content-Type": JSON})
