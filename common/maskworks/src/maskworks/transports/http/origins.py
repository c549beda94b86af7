"""Which web pages may use a server, and under which names it may be asked.

A browser lets every page send requests to every server that it reaches, those on its own machine among them, and says
with `Origin` and `Sec-Fetch-Site` where they come from. A page whose name changes its address to that of the server
(DNS rebinding) passes for the server's own; then `Host` has that name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers

from maskworks.config.origin import ANY_ORIGIN, USUAL_PORTS, read_origin
from maskworks.errors import HttpError

_HARMLESS = frozenset(("GET", "HEAD", "OPTIONS"))  # a page gets no answer to such a request, and nothing is done for it
_OWN_SITES = frozenset(("same-origin", "none"))  # none: the user typed the address, or chose a bookmark


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, can only be the machine itself."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@dataclass(frozen=True)
class Origins:
    """The rules of one server.

    Attributes:
        allowed: origins of other pages, as `read_origin` gives them, or `*`.
        names: the hosts under which it may be asked, beside those of `allowed`; None for any.
    """

    allowed: frozenset[str]
    names: frozenset[str] | None

    def check(self, method: str, headers: Headers) -> None:
        """Raises HttpError (403) for a request of a web page that is not the server's own and not allowed."""
        if ANY_ORIGIN in self.allowed:
            return
        host, origins, site = headers.get("host", ""), headers.getlist("origin"), headers.get("sec-fetch-site")
        if not self._knows(host):
            raise HttpError(
                403, f"Host: {host[:200]}: no name of this machine itself; expected localhost, or start this server "
                f"with --cors http://{host[:200]} if it is known under this name",
            )  # fmt: skip
        if site in _OWN_SITES or (len(origins) == 1 and (self.allows(origins[0]) or _is_own(origins[0], host))):
            return
        if origins or (site is not None and method not in _HARMLESS):
            shown = ", ".join(origins)[:200] or f"Sec-Fetch-Site: {site[:200] if site else ''}"
            raise HttpError(
                403, f"a page of {shown} asks; expected one of this server, or start it with --cors ORIGIN"
            )  # fmt: skip

    def allows(self, origin: str | None) -> bool:
        """Whether pages of an origin may read answers; of no origin (None), nobody has to ask."""
        return origin is not None and (ANY_ORIGIN in self.allowed or origin.lower() in self.allowed)

    def _knows(self, host: str) -> bool:
        name = _name(host)
        return not name or self.names is None or is_loopback(name) or name in self.names or name in self._allowed_names

    @property
    def _allowed_names(self) -> frozenset[str]:
        return frozenset(_name(origin.partition("://")[2]) for origin in self.allowed)


def _is_own(origin: str, host: str) -> bool:
    """Whether a page came from the host that it asks now; not seen is the scheme, as a proxy may have ended TLS."""
    page = read_origin(origin)
    if page is None:
        return False
    scheme, _, authority = page.partition("://")
    asked = host.lower().removesuffix(USUAL_PORTS[scheme])
    if authority == asked:
        return True
    names = _name(authority), _name(asked)
    # The names of this machine stand for each other: a page of localhost that asks 127.0.0.1, at the same port.
    return all(map(is_loopback, names)) and authority.removeprefix(names[0]) == asked.removeprefix(names[1])


def _name(host: str) -> str:
    """A host without its port."""
    return re.sub(r":[0-9]*\Z", "", host.lower()).removesuffix(".")
