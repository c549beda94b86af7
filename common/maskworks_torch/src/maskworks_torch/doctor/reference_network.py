"""Networks whose weights follow from a formula, and the numbers that have to come out of them.

They recognise nothing. But each layer of them has to compute what it computes elsewhere: a kernel that is wrong on this
device shows in every number behind it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskworks.commands.doctor.finding import Finding
from maskworks_torch.device import Precision

# Largest difference, relative to the numbers. In fp32 a GPU may round factors to 10 bits (TF32), in bf16 it is 7.
TOLERANCES: Mapping[Precision, float] = {"fp32": 0.01, "fp16": 0.02, "bf16": 0.08}
_SAMPLES = 8


def formula_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for a network, the same on every machine.

    Args:
        state: its state dict, of which only names, shapes and types count; tensors of the meta device will do.

    Returns:
        Float32 tensors (integers are 0) of such sizes that values neither vanish nor explode from layer to layer.
    """
    return {name: _weight(name, value) for name, value in state.items()}


def agreement(
    topic: str,
    found: Sequence[Tensor],
    plain: Sequence[Tensor],
    known: Sequence[Sequence[float]],
    precision: Precision,
    seconds: float,
) -> Finding:
    """Compares what a network computes here with what it computes plainly and with what it computed elsewhere.

    Args:
        topic: of the finding.
        found: the network's results, one tensor of each kind, as it is to work.
        plain: the same of the same network in float32 on the CPU, by its original code.
        known: `samples` of each kind of a machine that is right.
        precision: how the network is to work.
        seconds: that it took.
    """
    from_plain = max(_difference(own, other) for own, other in zip(found, plain, strict=True))
    taken = [torch.tensor(samples(values)) for values in found]
    from_known = max(_difference(own, torch.tensor(other)) for own, other in zip(taken, known, strict=True))
    text = f"{1000 * seconds:.0f} ms, differs by {from_plain:.1g} from plain fp32 on the CPU, by {from_known:.1g} from "
    text += "what is known"
    limit = TOLERANCES[precision]
    if max(from_plain, from_known) <= limit:
        return Finding(topic, "ok", text)
    advice = "try --device cpu or --precision fp32, or reinstall torch"
    return Finding(topic, "problem", f"{text}; at most {limit} is right in {precision}: {advice}")


def samples(values: Tensor) -> list[float]:
    """A few values from all over a tensor, rounded to what can be written down."""
    row = flat(values)
    places = np.random.PCG64(0).random_raw(_SAMPLES) % len(row)
    return [float(f"{value:.5g}") for value in row.numpy()[places]]


def flat(*values: Tensor) -> Tensor:
    """All values in one row, float32 on the CPU."""
    return torch.cat([value.detach().float().cpu().flatten() for value in values])


def _difference(found: Tensor, expected: Tensor) -> float:
    """Relative to the size of what is expected; infinite if it is of another shape or no number."""
    if found.shape != expected.shape:
        return math.inf
    difference = float((flat(found) - flat(expected)).norm() / flat(expected).norm())
    return math.inf if math.isnan(difference) else difference


def _weight(name: str, like: Tensor) -> Tensor:
    shape = tuple(like.shape)
    if not like.is_floating_point():
        return torch.zeros(shape, dtype=like.dtype)
    values = _uniform(name, shape)
    last = name.rpartition(".")[2]
    if len(shape) > 1:
        fan_in = math.prod(shape[1:])
        values *= math.sqrt(3 / fan_in) if last == "weight" else 1
    elif last in ("weight", "running_var"):  # of a normalisation
        values = 1 + 0.3 * values
    else:
        values *= 0.1
    return torch.from_numpy(values.astype(np.float32))


def _uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers from -1 to 1. Unlike numpy's and torch's distributions, a bit generator's output never changes."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    return ((raw >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)
