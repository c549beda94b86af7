"""The page for people: try the model in a browser. One file, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib.resources import files

TEMPLATE = files("maskworks.transports.http").joinpath("page.html").read_text(encoding="utf-8")


def page(title: str, prompts: Sequence[str], *, with_token: bool, exif: str) -> str:
    """The page of a model.

    Args:
        title: what it is called.
        prompts: which tools to offer: `points`, `box`, `clicks`; none for models that need no prompt.
        with_token: whether to ask for a token.
        exif: what the server does about orientations; the picture is shown as the model sees it.
    """
    values = {"title": title, "prompts": " ".join(prompts), "token": "yes" if with_token else "", "exif": exif}
    text = TEMPLATE
    for name, value in values.items():
        text = text.replace(f"%{name}%", html.escape(value))
    return text


def page_headers() -> dict[str, str]:
    """Headers that let the page do what it does, and nothing else, whatever gets into it."""
    policy = (
        f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def _hash(tag: str) -> str:
    """The source expression for the page's only element of this kind."""
    content = TEMPLATE.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
