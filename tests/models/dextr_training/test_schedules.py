"""Learning rates, optimisers, samplers and the loss."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import RandomSampler, SequentialSampler

from dextr.lr_schedules import PolynomialLR, make_lr_scheduler
from dextr.repeat_sampler import RepeatSampler
from dextr.train.loss import balanced_binary_cross_entropy
from dextr.train.optimizers import make_optimizer, parameter_groups


@pytest.fixture
def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)


def rates(optimizer, scheduler, count):
    result = []
    for _ in range(count):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def test_least_rate_is_a_factor(optimizer):
    scheduler = PolynomialLR(optimizer, T_max=4, power=1.0, eta_min=0.3)
    assert rates(optimizer, scheduler, 6) == pytest.approx([2.0, 1.5, 1.0, 0.6, 0.6, 0.6])


def test_schedule_goes_on_from_its_state(optimizer):
    scheduler = PolynomialLR(optimizer, T_max=10)
    before = rates(optimizer, scheduler, 4)
    state = scheduler.state_dict(), optimizer.state_dict()
    expected = rates(optimizer, scheduler, 3)
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    resumed = PolynomialLR(other, T_max=10)
    resumed.load_state_dict(state[0])
    other.load_state_dict(state[1])
    assert rates(other, resumed, 3) == pytest.approx(expected)
    assert before[0] == 2.0


def test_schedules_by_name(optimizer):
    assert make_lr_scheduler(optimizer, 10, "none") is None
    assert rates(optimizer, make_lr_scheduler(optimizer, 4, "cosine"), 5)[-1] == pytest.approx(0.0)
    given = {}
    made = make_lr_scheduler(optimizer, 7, lambda **keywords: given.update(keywords) or "made")
    assert made == "made"
    assert given == {"optimizer": optimizer, "T_max": 7}
    with pytest.raises(ValueError, match="no learning rate schedule 'step'; expected none, cosine, poly or a callable"):
        make_lr_scheduler(optimizer, 10, "step")


def test_optimisers_by_name(small_model):
    groups = parameter_groups(small_model.net, 0.1, 0.5, 2.0)
    assert [group["lr"] for group in groups] == pytest.approx([0.05, 0.2])
    assert [len(group["params"]) for group in groups] == [4, 2]
    sgd = make_optimizer("sgd", groups, 1e-3)
    assert isinstance(sgd, torch.optim.SGD)
    for group in sgd.param_groups:
        assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 1e-3)
    adam = make_optimizer("adam", parameter_groups(small_model.net, 0.1), 1e-3)
    assert type(adam) is torch.optim.Adam
    assert [(group["lr"], group["weight_decay"]) for group in adam.param_groups] == [
        (pytest.approx(0.01), 0),
        (0.1, 0),
    ]
    own = make_optimizer(torch.optim.RMSprop, groups)
    assert isinstance(own, torch.optim.RMSprop)
    with pytest.raises(ValueError, match="no optimiser 'lion'; expected sgd, adam, or a callable"):
        make_optimizer("lion", groups)


def test_net_without_groups_is_new():
    net = nn.Conv2d(4, 1, 1)
    pretrained, new = parameter_groups(net, 1.0, 0.1, 1.0)
    assert (pretrained["params"], len(new["params"]), new["lr"]) == ([], 2, 1.0)
    make_optimizer("sgd", [pretrained, new]).step()


def test_a_sampler_repeats_some_times_or_without_end():
    sampler = SequentialSampler(range(3))
    twice = RepeatSampler(sampler, 2)
    assert (list(twice), len(twice)) == ([0, 1, 2, 0, 1, 2], 6)
    endless = RepeatSampler(sampler)
    assert list(itertools.islice(endless, 7)) == [0, 1, 2, 0, 1, 2, 0]
    assert len(endless) == 2**62
    for wrong in (0, -2):
        with pytest.raises(ValueError, match=f"repeats is {wrong}"):
            RepeatSampler(sampler, wrong)


def test_each_repeat_is_shuffled_anew():
    shuffled = RepeatSampler(RandomSampler(range(30), generator=torch.Generator().manual_seed(0)), 2)
    numbers = list(shuffled)
    assert sorted(numbers[:30]) == sorted(numbers[30:]) == list(range(30))
    assert numbers[:30] != numbers[30:]


def test_loss_balances_object_and_background():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, generator=random)
    target = (torch.rand(2, 1, 8, 8, generator=random) > 0.8).float()
    target[1] = 0.25  # soft
    expected = []
    for sample in range(2):
        mean = target[sample].mean()
        weight = mean * (1 - target[sample]) + (1 - mean) * target[sample]
        losses = binary_cross_entropy(logits[sample].sigmoid(), target[sample], reduction="none")
        expected.append((weight * losses).mean())
    loss = balanced_binary_cross_entropy(logits, target)
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    assert balanced_binary_cross_entropy(logits, torch.zeros_like(logits)) == 0
