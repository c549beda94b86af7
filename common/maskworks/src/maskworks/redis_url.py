"""URLs of Redis: of one server, of a master that Sentinels know, and of a cluster.

    redis://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DATABASE?OPTIONS
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT?OPTIONS

With `rediss` instead of `redis` they speak TLS; `unix://` is a socket. User, password and options are those of the
servers that hold the data. Options that begin with `sentinel_` are the Sentinels' own; those for TLS and time are
theirs, too, if they have no own ones. `sentinel_ssl=no` is without TLS; `sentinel_password_env=NAME` names a variable
of the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urlsplit

from maskworks.redis_syntax import is_host

# They change the types of what the server answers.
_REFUSED_OPTIONS = ("decode_responses", "protocol")
# The client would find out only when it connects, and that is tried again and again.
_FILE_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_NODE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::(\d{1,5}))?")
_OF_NODES = re.compile(
    r"(?P<base>rediss?)\+(?P<kind>sentinel|cluster)://(?P<user>[^@/?#]*@)?(?P<hosts>[^/?#]*)(?P<rest>.*)", re.DOTALL
)
_SENTINEL = "sentinel_"
_FALSE = ("0", "f", "false", "n", "no")
_STRAY_AT = "there is an @ behind the host; write /, #, ? and @ in user, password and options as %2F, %23, %3F, %40"
_SCHEMES = "redis:// or rediss:// (TLS), unix://, redis+sentinel:// or rediss+sentinel://, redis+cluster:// or rediss+cluster://"


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """What a URL says of Sentinels or of a cluster.

    Attributes:
        kind: which of the two.
        addresses: hosts and ports: of Sentinels, or of some nodes.
        service: the name under which Sentinels know the master.
        server: URL of any server that holds data, with user, password, database and options; its host means nothing.
        sentinel: the same of any Sentinel.
    """

    kind: Literal["sentinel", "cluster"]
    addresses: tuple[tuple[str, int], ...]
    service: str
    server: str
    sentinel: str


def nodes(url: str) -> Nodes | None:
    """What a valid URL says of Sentinels or of a cluster; None if it is that of one server."""
    match = _OF_NODES.fullmatch(url)
    if match is None:
        return None
    sentinels, rest = match["kind"] == "sentinel", urlsplit(f"redis://localhost{match['rest']}")
    found = [_NODE.fullmatch(host) for host in match["hosts"].split(",")]
    service, _, database = rest.path[1:].partition("/") if sentinels else ("", "", rest.path[1:])
    options = parse_qsl(rest.query, keep_blank_values=True)
    own = [(name, value) for name, value in options if not name.startswith(_SENTINEL)]
    return Nodes(
        kind="sentinel" if sentinels else "cluster",
        addresses=tuple(
            (host[1].strip("[]"), int(host[2] or (26379 if sentinels else 6379))) for host in found if host
        ),
        service=unquote(service),
        server=f"{match['base']}://{match['user'] or ''}localhost/{database}?{urlencode(own)}",
        sentinel=_sentinel(match["base"], options) if sentinels else "",
    )


def url_problem(url: str) -> str:
    """What is wrong with a server's URL; "" if nothing is. The text has nothing of the URL that may be a password."""
    match = _OF_NODES.fullmatch(url)
    if match is not None:
        return next(filter(None, _nodes_problems(url, match)), "")
    if url.startswith(("redis://", "rediss://", "unix://")):
        return _server_problem(url)
    return f"expected a URL that starts with {_SCHEMES}"


def without_password(url: str) -> str:
    """A server's URL for messages: without user, password and options, and without all that may be part of them."""
    match = _OF_NODES.fullmatch(url)
    parts = urlsplit(url if match is None else f"{match['base']}://localhost{match['rest']}")
    scheme, hosts = (parts.scheme, parts.netloc) if match is None else (url.partition(":")[0], match["hosts"])
    return f"{scheme}://{'' if _has_stray_at(parts) else hosts.rpartition('@')[2] + parts.path}"


def _nodes_problems(url: str, match: re.Match[str]) -> Iterator[str]:
    if "@" in match["rest"]:
        yield _STRAY_AT
    for host in match["hosts"].split(","):
        node = _NODE.fullmatch(host)
        if node is None or not is_host(node[1]) or int(node[2] or 1) not in range(1, 65536):
            yield "its hosts or ports cannot be read; expected HOST:PORT,HOST:PORT behind user and password"
    found, path = nodes(url), re.split("[?#]", match["rest"])[0]
    assert found is not None
    given = parse_qs(urlsplit(found.server).query)
    if found.kind == "sentinel":
        if not re.fullmatch(r"/[^/]+(/\d*)?", path):
            yield "expected redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DATABASE, with the service of the master"
        for variable in parse_qs(urlsplit(match["rest"]).query).get("sentinel_password_env", ()):
            if variable not in os.environ:
                yield f"sentinel_password_env: the environment variable {variable!a} is not set; put the password there"
        problem = _server_problem(found.sentinel)
        yield problem and f"of the Sentinels: {problem}"
    elif path not in ("", "/", "/0") or given.get("db", ["0"]) != ["0"]:
        yield "a cluster has no database but 0; leave it out"
    yield _server_problem(found.server)


def _sentinel(base: str, options: list[tuple[str, str]]) -> str:
    """The URL of any Sentinel."""
    own = {name.removeprefix(_SENTINEL): value for name, value in options if name.startswith(_SENTINEL)}
    shared = {name: value for name, value in options if name.startswith(("ssl_", "socket_"))}
    scheme = base
    if "ssl" in own:
        scheme = "redis" if own.pop("ssl").lower() in _FALSE else "rediss"
    if scheme == "redis":
        shared = {name: value for name, value in shared.items() if not name.startswith("ssl_")}
    variable = own.pop("password_env", None)
    if variable is not None:
        own["password"] = os.environ.get(variable, "")
    return f"{scheme}://localhost/?{urlencode({**shared, **own})}"


def _server_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and is_host(parts.hostname or "")
    except ValueError:
        readable = False
    if not readable:
        return "its host or port cannot be read; expected redis://USER:PASSWORD@HOST:PORT/DATABASE"
    if _has_stray_at(parts):
        return _STRAY_AT
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*/?", parts.path):
        return "its database is no number; expected redis://USER:PASSWORD@HOST:PORT/DATABASE"
    given = parse_qs(parts.query)
    for name in _REFUSED_OPTIONS:
        if name in given:
            return f"the option {name} cannot be used here; leave it out"
    for name in _FILE_OPTIONS:
        for path in given.get(name, ()):
            if not _can_be_read(path):
                return f"{name}: {path!a} is no file that can be read; correct the path"
    return _refusal_of_client(url)


def _has_stray_at(parts: SplitResult) -> bool:
    """A password with a `/`, `#` or `?` ends the host early; the rest of it is read as path, options or fragment."""
    return "@" in parts.path + parts.query + parts.fragment


def _can_be_read(path: str) -> bool:
    try:
        with Path(path).open():
            return True
    except (OSError, ValueError):
        return False


def _refusal_of_client(url: str) -> str:
    """Nothing is sent: the client only makes a connection that is not open yet, of all the options."""
    import redis

    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        return f"there is no option {unknown[1]}" if unknown else f"an option in it is wrong: {error}"
    return ""
