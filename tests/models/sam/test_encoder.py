"""The encoder of any model, with any number of threads."""

from __future__ import annotations

import pytest
import torch

from maskworks_sam.encoder import ImageEncoder
from tests.support.sam_models import random_sam
from tests.support.torch_threads import torch_threads


@pytest.fixture(params=[1, 3])
def threads(request):
    with torch_threads(request.param):
        yield request.param


def test_an_encoder_gives_the_same_with_any_number_of_threads(threads):
    sam = random_sam()
    images = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        expected = sam.image_encoder(images)
    torch.testing.assert_close(
        ImageEncoder(sam.image_encoder, "cpu", torch.float32)(images), expected, rtol=0, atol=2e-5
    )
