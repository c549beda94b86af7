from __future__ import annotations

from maskworks.transports.redis.byte_queue import ByteQueue
from tests.support.jobs import a_job


def test_bodies_that_fit_are_taken_in_order():
    queue = ByteQueue(12_000)
    assert [queue.put(a_job(str(number), bytes(4000))) for number in range(3)] == [True, True, False]
    assert [job.id for job in queue.take(1, 0)] == ["0"]
    assert queue.put(a_job("3", bytes(4000)))
    assert [job.id for job in queue.take(9, 0)] == ["1", "3"]
    assert queue.take(9, 0) == []


def test_a_job_that_is_too_large_is_taken_alone():
    queue = ByteQueue(10)
    assert queue.put(a_job("large", bytes(4000)))
    assert not queue.put(a_job("small"))


def test_jobs_without_bytes_need_memory_too():
    queue = ByteQueue(10_000)
    assert sum(queue.put(a_job(str(number))) for number in range(1000)) < 10
    queue.take(1000, 0)
    assert queue.put(a_job("again"))
    assert queue.put(a_job("and again"))
