"""The data of a request on its way: Job (bytes) -> Request (arrays) -> Instances -> Prediction -> Outcome (bytes).

All coordinates are pixels of the stored image, x to the right and y down, the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskworks.config import InputConfig
from maskworks.errors import RequestError
from maskworks.packed_mask import LARGE, PackedMask

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Points = NDArray[np.int32]
Mask = NDArray[np.bool_] | Bytes
Name = str | int  # the id of a request: it comes back as it came
MOST_LABELS = 255  # that a palette image tells apart, beside background
NAMELESS = "object"  # what an object is called that has no name


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A request as it arrived, not looked at yet.

    Attributes:
        id: the transport's name for it: a file name, an entry id.
        body: the image file, or the whole message.
        prompt: the prompt file, where the prompt comes apart from the body.
        error: why the transport itself could not take the request; such a job is only answered.
        receipt: the transport's own, for delivery and acknowledgement.
        received: `time.monotonic()` of the arrival, in seconds.
        requester: tells requesters apart where the transport can, so that each gets its share of the model.
        given_up: set once nobody waits for the answer any more; then no more work is done on it.
        format: how it is read and answered.
    """

    id: str
    body: bytes | bytearray = b""
    prompt: bytes | None = None
    error: RequestError | None = None
    receipt: Any = None
    received: float = field(default_factory=time.monotonic)
    requester: str | None = None
    given_up: threading.Event = field(default_factory=threading.Event)
    format: Format = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Where one object is: extreme points, or clicks, a box and a mask in any combination.

    Attributes:
        path: where it stands in the request, for error messages: "" or `objects[i]`.
        extreme_points: (K, 2) float64 of [x, y], K >= 4, in any order.
        clicks: (N, 2) float64 of [x, y], N >= 1.
        click_labels: (N,) uint8, 1 for foreground and 0 for background.
        box: (4,) float64 of x0, y0, x1, y1 with x0 <= x1 and y0 <= y1.
        label: palette index of the object in the mask, 1..255.
        mask_input: (S, S) float32, the logits of an earlier answer, to start from.
        low_res_logits: the answer is to contain its logits.
        name: what the object is called, None for the usual name.
        mask_choice: which of a model's masks is the answer, where it makes several; None for its usual one.
    """

    path: str = ""
    extreme_points: Floats | None = None
    clicks: Floats | None = None
    click_labels: Bytes | None = None
    box: Floats | None = None
    label: int = 1
    mask_input: NDArray[np.float32] | None = None
    low_res_logits: bool = False
    name: str | None = None
    mask_choice: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What `meta.objects` repeats of it."""
        return {} if self.name is None else {"name": self.name}


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request that was read, ready for a model.

    Attributes:
        id: the name of its results; the requester's own id if it gave one.
        image: (H, W, 3) uint8, RGB.
        prompts: one per object; empty for models that need none.
        source: the prompt as received, for `meta`.
        image_meta: width, height and treatment of the image, for `meta`.
        named: the requester gave the id, so the reply has to carry it.
        reply_to: the channel or stream that this answer goes to, None for the usual one.
        ignored: paths of keys that nothing reads, for `meta`.
        options: paths of keys that only some models read; see `Instances.ignored`.
        remarks: what else `meta` says about the prompt.
    """

    id: Name
    image: Bytes
    prompts: tuple[Prompt, ...] = ()
    source: Any = None
    image_meta: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False
    reply_to: str | None = None
    ignored: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    remarks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.shape[:2]
        return height, width


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object that a model found.

    Attributes:
        mask: (h, w) bool or 0/1 uint8, maybe packed, the part of the image's mask that starts at `offset`; None for a
            box alone.
        offset: x and y of the mask's first pixel in the image.
        label: the number that tells it, or its class, apart from others, counted from 1; see `palette_index`.
        name: the class, as written to OPEX.
        score: the model's confidence, None where it has none.
        box: (4,) float64 of x0, y0, x1, y1 where the model predicts boxes.
        meta: further facts for `meta.objects`, JSON values by name.
    """

    mask: Mask | PackedMask | None
    offset: tuple[int, int] = (0, 0)
    label: int = 1
    name: str = NAMELESS
    score: float | None = None
    box: Floats | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def palette_index(self) -> int:
        """Its value in the mask image, 1..255. Labels beyond 255 start again with 1, so that others have it, too."""
        return 1 + (self.label - 1) % MOST_LABELS

    def pixels(self) -> Mask | None:
        """The mask as an array, made anew by each call if it is packed."""
        return self.mask.unpack() if isinstance(self.mask, PackedMask) else self.mask

    def packed(self) -> Instance:
        """The same with its mask packed if that is a large one."""
        if self.mask is None or isinstance(self.mask, PackedMask) or self.mask.size < LARGE:
            return self
        return replace(self, mask=PackedMask.of(self.mask))


class Instances(list[Instance]):
    """The instances of an image, with facts about all of them.

    It packs large masks as it takes them: of instances that a generator gives, there is one such mask at a time.

    Attributes:
        meta: facts for the `meta` of the answer, JSON values by name.
        best_first: where two overlap, the earlier one lies on top, instead of the later one.
        ignored: those of the request's options that the model has no use for.
    """

    def __init__(
        self, instances: Iterable[Instance], meta: Mapping[str, Any] | None = None, *, best_first: bool = False,
        ignored: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(instance.packed() for instance in instances)
        self.meta = meta or {}
        self.best_first = best_first
        self.ignored = ignored


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A connected part of a mask as rings; see `maskworks.geometry.trace`.

    Attributes:
        outer: (N, 2) int32 of [x, y], N >= 3, closed implicitly; it runs through the centres of the part's own pixels.
        holes: like `outer`; each runs through the centres of the hole's own pixels.
    """

    outer: Points
    holes: tuple[Points, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A request with everything that was found for it, ready to be written in any format.

    Attributes:
        request: the request.
        instances: the model's, in its order.
        regions: for each instance its connected parts, in the image's coordinates.
        mask: (H, W) uint8 of palette indices, 0 for background; of two objects on one pixel the later one shows, or
            the earlier one if the best come first.
        meta: `segmenter`, `prompt`, `image`, `objects`, `timing_ms` and further facts.
        best_first: earlier instances lie on top of later ones.
    """

    request: Request
    instances: tuple[Instance, ...]
    regions: tuple[tuple[Region, ...], ...]
    mask: Bytes
    meta: Mapping[str, Any]
    best_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a job ended: with parts to deliver, or with an error. Exactly one of the two is set.

    Attributes:
        parts: encoded results by name, e.g. `mask`, `opex`, `overlay`, `reply`.
        error: why there is no result.
        id: the id to echo, None where the requester gave none.
        reply_to: where the requester wants the answer, None for the usual place.
        meta: known facts about a failed request, for the error reply.
        objects: number of instances found.
        timing_ms: milliseconds by stage.
    """

    parts: Mapping[str, bytes] = field(default_factory=dict)
    error: RequestError | None = None
    id: Name | None = None
    reply_to: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    objects: int = 0
    timing_ms: Mapping[str, float] = field(default_factory=dict)


class Address(NamedTuple):
    """Where the answer to a request goes: the id to echo, and the channel or stream; None where it names none."""

    id: Name | None = None
    reply_to: str | None = None


class ImageDecoder(Protocol):
    """Turns image files into pixels; any number of threads may ask at once.

    Attributes:
        limits: on files, images and decodes.
        ended: how many decodes were ended because they took too long.
    """

    @property
    def limits(self) -> InputConfig: ...

    @property
    def ended(self) -> int: ...

    def decode(self, data: bytes | bytearray, requester: str | None = None) -> tuple[Bytes, dict[str, Any]]:
        """The image of a file of a requester, (H, W, 3) uint8 RGB, and facts about it for `meta`.

        Raises:
            RequestError: it cannot be read, or is beyond the limits.
        """
        ...

    def watched(self, unwanted: Callable[[], RequestError | None]) -> ImageDecoder:
        """The same for one request: what takes long ends with the error that `unwanted` gives, as soon as it does."""
        ...


class Format(Protocol):
    """How a job is read and answered. The transport puts one on every job; see `maskworks.formats` for ours."""

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        """The request in a job's bytes.

        Raises:
            RequestError: it cannot be read, or is beyond the limits.
        """
        ...

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        """The parts of the answer, by name."""
        ...

    def address(self, job: Job) -> Address:
        """Where an error goes, as far as it can be made out of a job that could not be read. Never raises."""
        ...
