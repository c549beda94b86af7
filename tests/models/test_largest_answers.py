"""The memory of the largest answers that the limits on images and prompts allow, from the file to the answer."""

from __future__ import annotations

import pytest

from tests.support.process_memory import peak_megabytes
from tests.support.whole_objects import SAM


@pytest.mark.heavy("makes hundreds of masks of twelve megapixels and some of a hundred")
@pytest.mark.parametrize(("height", "width", "count", "most"), [(3000, 4000, 255, 1000), (10_000, 10_000, 20, 2000)])
def test_from_the_file_to_the_answer(height, width, count, most):
    code = f"""
from tests.support.samples import encoded
from PIL import Image
pipeline = Pipeline(predictor=sam)
prompt = json.dumps(objects({height}, {width}, {count})).encode()
job = Job("a", encoded(Image.fromarray(image({height}, {width}))), prompt, format=MaskFiles(overlay=True))

def work():
    (outcome,) = pipeline.run([job])
    assert outcome.error is None and outcome.objects == {count}
"""
    assert peak_megabytes(SAM.replace("AUTOMATIC", "False") + code) < most
