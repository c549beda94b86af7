"""What the commands of a model read and write: one set of steps for folders, one for Redis.

Each function here is a default of `maskworks.commands.cli.Model`; a model with formats of its own hands over others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskworks.pipeline import Address, Decoder, Encoder
    from maskworks.types import Prediction


@dataclass(frozen=True, kw_only=True)
class FolderFormat:
    """Files in, files out.

    Attributes:
        decoder: makes a request of an image file and its prompt file.
        encoder: makes the parts of a result.
        suffixes: for each part what follows the image's stem in its file's name; written in this order.
        keep_extension: whether a request is called by the image's whole file name instead of its stem.
    """

    decoder: Decoder
    encoder: Encoder
    suffixes: Mapping[str, str]
    keep_extension: bool = False


@dataclass(frozen=True, kw_only=True)
class MessageFormat:
    """Messages in, messages out.

    Attributes:
        decoder: makes a request of a message.
        encoder: makes the reply, the one part `reply`.
        address: finds the id and the `reply_to` for the error of a message that could not be decoded.
        in_order: whether answers have to leave in the order of the requests, because clients count on it.
    """

    decoder: Decoder
    encoder: Encoder
    address: Address
    in_order: bool = False


def files(config: Any, overlay: bool) -> FolderFormat:
    """Image and prompt to mask and OPEX, and with `overlay` a picture for people."""
    from maskworks.wire.request import decode_pair

    return FolderFormat(
        decoder=decode_pair,
        encoder=partial(_encode_files, overlay=overlay),
        suffixes={"mask": ".png", "overlay": "-overlay.png", "opex": ".json"},
    )


def messages(config: Any) -> MessageFormat:
    """JSON with image and prompt to JSON with mask, contours and meta."""
    from maskworks.wire.request import address, decode_message

    return MessageFormat(decoder=decode_message, encoder=_encode_reply, address=address)


def _encode_files(prediction: Prediction, *, overlay: bool) -> Mapping[str, bytes]:
    from maskworks.overlay import encode_overlay
    from maskworks.wire.mask_png import encode_mask
    from maskworks.wire.opex import encode_opex

    parts = {"mask": encode_mask(prediction.mask), "opex": encode_opex(prediction)}
    return {**parts, "overlay": encode_overlay(prediction)} if overlay else parts


def _encode_reply(prediction: Prediction) -> Mapping[str, bytes]:
    from maskworks.wire.reply import encode_reply

    return {"reply": encode_reply(prediction)}
