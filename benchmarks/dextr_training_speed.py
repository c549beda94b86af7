"""Steps of a training on a GPU: ResUNet-101 on crops of 512x512, in batches of 8 that are already there.

The peer is the original's step: float32, channels apart in memory, inputs made by the workers. Ours is the `Trainer` of
`dextr_train`, which makes the inputs on the GPU: with channels side by side, in float32 and bfloat16, compiled or not.
The note has the images per second. Agreement: the ratio of the first step's losses. Without a GPU there is nothing to
measure, and the table stays empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.harness import Row, alternate_timed
from dextr.architectures import build
from dextr.data_pipeline.batch_items import Item
from dextr.train.batches import network_batch
from dextr.train.loss import balanced_binary_cross_entropy
from dextr.train.optimizers import make_optimizer, parameter_groups
from dextr.train.trainer import Trainer

SIZE, BATCH, STEPS, RATE = 512, 8, 10, 0.001


def run() -> Iterator[Row]:
    if not torch.cuda.is_available():
        return
    device = torch.device("cuda:0")
    batch = random_batch(SIZE, BATCH)
    peer = original_step(network(), batch, device)
    for amp in (None, torch.bfloat16):
        for compiled in (False, True):
            ours = our_step(network(), batch, device, amp, compiled)
            agreement = ours() / peer()
            times = alternate_timed(lambda: timed(peer), lambda ours=ours: timed(ours))
            rates = [BATCH / seconds for seconds in times]
            case = f"{'fp32' if amp is None else 'bf16'}{', compiled' if compiled else ''}"
            note = f"images/s: peer {rates[0]:.0f}, ours {rates[1]:.0f}"
            yield Row(case, *times, f"{agreement:.3f}", note)


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("resunet101")


def random_batch(size: int, number: int) -> Item:
    """A batch as the workers make it; see `batch_items`."""
    generator = torch.Generator().manual_seed(0)
    return {
        "crop": torch.randint(256, (number, size, size, 3), dtype=torch.uint8, generator=generator),
        "heat_rows": torch.rand(number, 4, size, generator=generator),
        "heat_columns": torch.rand(number, 4, size, generator=generator),
        "target_mask": torch.randint(256, (number, size, size), dtype=torch.uint8, generator=generator),
    }


def our_step(
    net: nn.Module, batch: Item, device: torch.device, amp: torch.dtype | None, compiled: bool
) -> Callable[[], float]:
    """A step as `dextr_train` takes it; gives the loss."""
    net.to(device, memory_format=torch.channels_last).train()
    optimizer = make_optimizer("sgd", parameter_groups(net, RATE))
    if compiled:
        net.compile()
    trainer = Trainer(net, optimizer, None, device, amp=amp)
    pinned = {name: value.pin_memory() if device.type == "cuda" else value for name, value in batch.items()}
    return lambda: trainer.step([pinned]).item()


def original_step(net: nn.Module, batch: Item, device: torch.device) -> Callable[[], float]:
    """A step as the original takes it; gives the loss."""
    net.to(device).train()
    optimizer = make_optimizer("sgd", parameter_groups(net, RATE))
    inputs, target = network_batch(batch, torch.device("cpu"), "max")

    def step() -> float:
        optimizer.zero_grad()
        loss = balanced_binary_cross_entropy(net(inputs.to(device))["out"], target.to(device))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def timed(step: Callable[[], float]) -> float:
    """Seconds of a step, as the mean of several; `step` waits for the device."""
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS
