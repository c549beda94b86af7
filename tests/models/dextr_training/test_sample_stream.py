"""The order of a training as a function of its seed and the place in it."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from dextr.data_pipeline.dextr_transforms import DextrTrainingTransform
from dextr.train.batches import training_batches
from dextr.train.sample_stream import SampleStream, StreamedDataset
from dextr.train.trainer import Trainer


def places(*arguments, count=30):
    return list(islice(SampleStream(*arguments), count))


def test_one_shuffle_after_the_other():
    stream = places(7, 5, count=28)
    assert [place.number for place in stream] == list(range(28))
    rounds = [[place.sample for place in stream[start : start + 7]] for start in range(0, 28, 7)]
    assert all(sorted(one) == list(range(7)) for one in rounds)
    assert len({tuple(one) for one in rounds}) == 4
    assert places(7, 5) == places(7, 5) != places(7, 6)


@pytest.mark.parametrize("first", [1, 6, 7, 23])
def test_goes_on_anywhere(first):
    assert places(7, 5, first, count=10) == places(7, 5, count=33)[first : first + 10]


def test_processes_share_it():
    shares = [places(7, 5, rank, 3, count=10) for rank in range(3)]
    together = [place for group in zip(*shares, strict=True) for place in group]
    assert together == places(7, 5, count=30)


def test_large_seeds_and_places():
    stream = SampleStream(7, 2**62 - 1, 2**40)
    assert next(iter(stream)).number == 2**40
    assert places(7, 2**62 - 1) != places(7, 2**61 - 1)


def test_draws_follow_from_the_place(make_sample):
    mask = np.zeros((40, 50), dtype=bool)
    mask[8:30, 10:35] = True
    augment = DextrTrainingTransform((32, 32), 3, 2)
    dataset = StreamedDataset([make_sample(mask)] * 3, augment, 1)
    keys = {dataset.random_key(place) for place in places(3, 1)}
    assert len(keys) == 30
    draws = []
    for place in (*places(3, 1, count=2), *places(3, 1, count=2)):
        dataset[place]
        draws.append(augment.rng.randint(1 << 30))
    assert draws[:2] == draws[2:]
    assert draws[0] != draws[1]


def test_batches_do_not_depend_on_workers_or_where_they_began(small_model, augmented):
    dataset = augmented(small_model)
    here = list(islice(training_batches(dataset, 3), 6))
    there = list(islice(training_batches(dataset, 3, num_workers=2), 6))
    later = list(islice(training_batches(dataset, 3, first=9), 3))
    for one, other in ((here, there), (here[3:], later)):
        for batch, same in zip(one, other, strict=True):
            assert all(torch.equal(batch[name], same[name]) for name in batch)


def test_a_step_on_two_batches_is_a_step_on_both_together(small_model, augmented):
    # Without normalisation, which sees each batch alone.
    small_model.net.features[1] = torch.nn.Identity()
    batches = list(islice(training_batches(augmented(small_model), 2), 2))
    both = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    initial = {name: value.clone() for name, value in small_model.net.state_dict().items()}
    results = []
    for step in (batches, [both]):
        small_model.net.load_state_dict(initial)
        optimizer = torch.optim.SGD(small_model.net.parameters(), lr=0.1)
        trainer = Trainer(small_model.net, optimizer, None, torch.device("cpu"))
        loss = trainer.step(step).item()
        results.append([loss, *(value.clone() for value in small_model.net.state_dict().values())])
    assert results[0][0] == pytest.approx(results[1][0])
    for one, other, before in zip(results[0][1:], results[1][1:], initial.values(), strict=True):
        torch.testing.assert_close(one, other)
        assert not torch.equal(one, before)
