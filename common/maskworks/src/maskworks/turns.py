"""Whose turn in the model is next: each requester gets its share, and what nobody waits for is given up.

A share is counted in seconds, by fair queueing: a clock of shares says what each of those present would have had if
all had had the same. Who comes later starts with what that clock says, less the longest turn, so that it is next:
neither its past nor theirs is made up for. So beside one that asks for much, any other waits for a turn, not for all of
its work; and however many come and go, whoever has begun gets on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from maskworks.errors import RequestError
from maskworks.pipeline import Decoded, Pipeline, unwanted
from maskworks.predictor import Result, Work

_TURN_SECONDS = 0.1
# Of a job's first turn: most end with it, and one after the other is sooner for all but the last. What most need is up
# to the model and the machine: it is twice what nine of ten of the last jobs had, within these bounds.
_FIRST_SECONDS, _MOST_FIRST_SECONDS = 0.5, 2.0
_LAST_JOBS = 50
_SLOW_SECONDS = 1.0  # what has been in the model for longer holds nothing else back

Ended = list[tuple[Decoded, Result]]


@dataclass(slots=True, eq=False)
class _Claim:
    """A claim on time in the model.

    Attributes:
        rank: seconds of the model, in the account in which all are compared.
        spent: seconds that this one had.
        longest: and the most that it had at once.
    """

    rank: float = 0.0
    spent: float = 0.0
    longest: float = 0.0

    def charge(self, seconds: float) -> None:
        self.rank += seconds
        self.spent += seconds
        self.longest = max(self.longest, seconds)


AnyClaim = TypeVar("AnyClaim", bound=_Claim)


@dataclass(slots=True, eq=False)
class _Sharing(Generic[AnyClaim]):
    """Claims that share alike.

    Attributes:
        claims: those present.
        clock: seconds that one present all the time would have had if all had had the same.
    """

    claims: list[AnyClaim] = field(default_factory=list)
    clock: float = 0.0

    def join(self, claim: AnyClaim) -> None:
        claim.rank = self.clock - max((other.longest for other in self.claims), default=0.0)
        self.claims.append(claim)

    def charge(self, claim: AnyClaim, seconds: float) -> None:
        claim.charge(seconds)
        self.clock += seconds / len(self.claims)

    def least(self) -> AnyClaim:
        """The one that had least; of several the one that has not begun, and of these the first."""
        return min(self.claims, key=lambda claim: (claim.rank, claim.spent))


@dataclass(slots=True, eq=False)
class _Entry(_Claim):
    """A job, and the work on it once that has begun."""

    item: Decoded = field(kw_only=True)
    work: Work | None = None


@dataclass(slots=True, eq=False)
class _Requester(_Claim):
    """Who asks, and the jobs of that one."""

    name: str | None = field(kw_only=True)
    entries: _Sharing[_Entry] = field(default_factory=_Sharing)


class Turns:
    """What was decoded and has not left the model.

    Args:
        pipeline: has the model.
        batch_size: how many jobs begin together at most.
        in_order: jobs end in the order in which they came, whoever asks.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        batch_size: int,
        *,
        in_order: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._pipeline, self._batch_size, self._in_order = pipeline, batch_size, in_order
        self._requesters: _Sharing[_Requester] = _Sharing()
        self._by_name: dict[str | None, _Requester] = {}
        self._fresh: deque[_Entry] = deque()  # have begun and had no turn yet
        self._last: deque[float] = deque(maxlen=_LAST_JOBS)  # seconds that those had which ended last

    def __len__(self) -> int:
        return sum(len(requester.entries.claims) for requester in self._requesters.claims)

    @property
    def slow(self) -> list[int]:
        """Of those that have been in the model for long the bytes of their images."""
        slow = [entry.item.request for entry in self._entries() if entry.spent > _SLOW_SECONDS]
        return [request.image.nbytes for request in slow if request is not None]

    def add(self, item: Decoded) -> None:
        """Takes a job that was decoded, or could not be."""
        name = self._name(item)
        if name not in self._by_name:
            self._by_name[name] = _Requester(name=name)
            self._requesters.join(self._by_name[name])
        self._by_name[name].entries.join(_Entry(item=item))

    def turn(self) -> Ended:
        """Lets the next one have the model for a moment, or a batch begin; what has ended now leaves."""
        ended = self._end_unwanted()
        if not self._requesters.claims:
            return ended
        if self._fresh:
            return ended + self._go_on(self._fresh.popleft(), self._first_seconds)
        entry = self._next(self._requesters.least().entries)
        return ended + (self._begin(entry) if entry.work is None else self._go_on(entry, _TURN_SECONDS))

    def keep(self, wanted: Callable[[Decoded], bool]) -> list[Decoded]:
        """Gives up all jobs but those that are wanted; returns those given up."""
        leaving = [entry for entry in self._entries() if not wanted(entry.item)]
        for entry in leaving:
            self._remove(entry)
        return [entry.item for entry in leaving]

    @property
    def _first_seconds(self) -> float:
        usual = sorted(self._last)[int(0.9 * len(self._last))] if self._last else 0.0
        return min(max(_FIRST_SECONDS, 2 * usual), _MOST_FIRST_SECONDS)

    def _next(self, entries: _Sharing[_Entry]) -> _Entry:
        return entries.claims[0] if self._in_order else entries.least()

    def _begin(self, first: _Entry) -> Ended:
        """Begins to work on a job and on others that wait for that; a model without chunks does all of it."""
        others = [entry for entry in self._entries() if entry.work is None and entry is not first]
        batch = [first, *others[: self._batch_size - 1]]
        start = self._clock()
        found = self._pipeline.begin([entry.item for entry in batch])
        seconds = (self._clock() - start) / len(batch)
        ended: Ended = []
        for entry, result in zip(batch, found, strict=True):
            self._charge(entry, seconds)
            if isinstance(result, (list, RequestError)):
                self._remove(entry)
                ended.append((entry.item, result))
            else:
                entry.work = result
                if not self._in_order:
                    self._fresh.append(entry)
        return ended

    def _go_on(self, entry: _Entry, seconds: float) -> Ended:
        assert entry.work is not None
        end = self._clock() + seconds
        found = None
        while found is None:
            start = self._clock()
            found = unwanted(entry.item.job) or self._pipeline.advance(entry.item, entry.work)
            now = self._clock()
            self._charge(entry, now - start)
            if now >= end:
                break
        if found is None:
            return []
        self._last.append(entry.spent)
        self._remove(entry)
        return [(entry.item, found)]

    def _end_unwanted(self) -> Ended:
        ended: Ended = []
        for entry in self._entries():
            if (error := unwanted(entry.item.job)) is not None:
                self._remove(entry)
                ended.append((entry.item, error))
        return ended

    def _charge(self, entry: _Entry, seconds: float) -> None:
        requester = self._by_name[self._name(entry.item)]
        requester.entries.charge(entry, seconds)
        self._requesters.charge(requester, seconds)

    def _remove(self, entry: _Entry) -> None:
        if entry.work is not None:
            entry.work.close()
        if entry in self._fresh:
            self._fresh.remove(entry)
        requester = self._by_name[self._name(entry.item)]
        requester.entries.claims.remove(entry)
        if not requester.entries.claims:
            self._requesters.claims.remove(requester)
            del self._by_name[requester.name]

    def _name(self, item: Decoded) -> str | None:
        """The requester, as the transport knows it, or where it wants its answer."""
        if self._in_order:
            return None
        return item.job.requester or (None if item.request is None else item.request.reply_to)

    def _entries(self) -> list[_Entry]:
        return [entry for requester in self._requesters.claims for entry in requester.entries.claims]
