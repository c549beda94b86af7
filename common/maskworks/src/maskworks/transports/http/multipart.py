"""Bodies of type multipart/form-data, as browsers and `curl -F` send them (RFC 7578)."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from maskworks.errors import BadImage

MOST_PARTS = 16


def read_parts(body: bytes | bytearray, content_type: str) -> dict[str, bytes]:
    """The contents of the parts by their names.

    Args:
        body: the whole body.
        content_type: the header, with the boundary.

    Raises:
        BadImage: it is not multipart/form-data, is cut off, has a part without a name, two of one name, or too many.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _broken("no boundary in Content-Type")
    collector = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.begin,
                "on_header_field": collector.header_field,
                "on_header_value": collector.header_value,
                "on_header_end": collector.header_end,
                "on_part_data": collector.data,
                "on_part_end": collector.end,
                "on_end": collector.complete,
            },
        )
        parser.write(bytes(body))
        parser.finalize()
    except FormParserError as error:
        raise _broken(str(error)) from None
    if not collector.is_complete:
        raise _broken("cut off before its last boundary")
    return collector.parts


class _Collector:
    """Takes the parser's events; the slices of the body of each part become its content."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.is_complete = False
        self._field, self._value = bytearray(), bytearray()
        self._name: str | None = None
        self._slices: list[bytes] = []

    def begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise _broken(f"more than {MOST_PARTS} parts")
        self._name, self._slices = None, []

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._field, self._value = bytearray(), bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        self._slices.append(data[start:end])

    def end(self) -> None:
        if not self._name:
            raise _broken("a part without a name")
        if self._name in self.parts:
            raise _broken(f"two parts named {self._name[:40]!r}")
        self.parts[self._name] = b"".join(self._slices)

    def complete(self) -> None:
        self.is_complete = True


def _broken(problem: str) -> BadImage:
    return BadImage(f"body: multipart/form-data: {problem}; expected the parts image and prompt")
