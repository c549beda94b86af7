"""Memory that runs out, as torch says it, is told apart from other failures."""

import pytest
import torch

from maskworks.errors import OutOfMemory
from maskworks.memory_errors import memory_errors


def test_running_out_of_memory_on_a_cpu():
    with pytest.raises(OutOfMemory, match="send fewer or smaller ones"), memory_errors():
        torch.empty(2**50)


def test_running_out_of_memory_on_a_gpu():
    with pytest.raises(OutOfMemory), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        torch.ones(2, 3) @ torch.ones(2, 3)
