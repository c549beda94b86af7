"""What a requester takes, from the headers Accept and Accept-Encoding (RFC 9110, section 12.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskworks.errors import NotAcceptable


def choose(accept: str, offered: Sequence[str]) -> str:
    """The offered media type that the requester likes best.

    Where it likes several equally, those that it names win over those that its wildcards cover, and earlier ones over
    later ones.

    Args:
        accept: the header, "" if there is none.
        offered: media types in lower case, the usual one first.

    Raises:
        NotAcceptable: it takes none of them.
    """
    ranges = list(_ranges(accept)) or [("*/*", 1.0)]
    liked = [(_liking(media_type, ranges), media_type) for media_type in offered]
    best, media_type = max(liked, key=lambda pair: pair[0])  # of several largest ones, max takes the first
    if best[0] == 0.0:
        raise NotAcceptable(f"Accept: {accept[:200]}: not written here; expected one of {', '.join(offered)}")
    return media_type


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be compressed; without the header it may not."""
    qualities = dict(_ranges(accept_encoding))
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _liking(media_type: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """The quality for a media type, given by the range that fits it best, and how well that one fits."""
    patterns = ("*/*", f"{media_type.partition('/')[0]}/*", media_type)
    fits = [(patterns.index(name), quality) for name, quality in ranges if name in patterns]
    fit, quality = max(fits, default=(0, 0.0))
    return quality, fit


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    """Each entry of the header and its quality from 0 to 1; one that cannot be read counts as 1."""
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = _quality(value)
        if name:
            yield name, quality


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return value if 0.0 <= value <= 1.0 else 1.0
