"""What heads give, in all types and with all numbers, and what is made of it."""

import numpy as np
import pytest
import torch

from maskworks.errors import Internal
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET

SIZE = (60, 90)  # height, width


@pytest.fixture
def sample(mmdet):
    """A data sample with these predictions."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    def make(**parts):
        sample = DetDataSample(metainfo={"ori_shape": SIZE})
        sample.pred_instances = InstanceData()
        for name, value in parts.items():
            sample.pred_instances.set_field(value, name, dtype=None)
        return sample

    return make


def boxes(*corners):
    return torch.tensor(corners, dtype=torch.float32)


def found(sample):
    from maskworks_mmdet.detections import detections

    return detections(sample)


def test_labels_that_are_floats_are_numbers_of_classes(sample):
    """Those of CrowdDet."""
    given = found(sample(bboxes=boxes([1, 2, 3, 4]), scores=torch.tensor([0.5]), labels=torch.zeros(1)))
    (one,) = given.found
    assert one.label == 0
    assert type(one.label) is int
    assert "ab"[one.label] == "a"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_numbers_of_all_types(sample, kind):
    given = found(
        sample(
            bboxes=boxes([1, 2, 3, 4]).to(kind), scores=torch.ones(1, 1, dtype=kind), labels=torch.ones(1, dtype=kind)
        )
    )
    (one,) = given.found
    assert (one.label, one.score) == (1, 1.0)
    assert one.box.dtype == np.float64
    assert one.box.tolist() == [1, 2, 3, 4]


def test_arrays_and_boxes_as_objects(sample):
    from mmdet.structures.bbox import HorizontalBoxes

    given = found(
        sample(bboxes=HorizontalBoxes(boxes([1, 2, 3, 4])), scores=np.array([0.5]), labels=np.array([1], np.uint8))
    )
    assert [one.box.tolist() for one in given.found] == [[1, 2, 3, 4]]


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out_and_counted(sample, wild):
    """The other objects stay."""
    corners = boxes([1, 2, 3, 4], [1, 2, wild, 4], [5, 6, 7, 8])
    given = found(sample(bboxes=corners, scores=torch.tensor([0.5, 0.4, wild]), labels=torch.tensor([0, 1, 1])))
    assert [one.index for one in given.found] == [0]
    assert given.left_out == 2


def test_boxes_far_beyond_the_image_are_clipped(sample):
    """Others are the model's own, also where they reach beyond it a little."""
    corners = boxes([-1e35, 2, 1e35, 3e38], [-10.5, -3, 100, 70])
    given = found(sample(bboxes=corners, scores=torch.tensor([0.5, 0.4]), labels=torch.tensor([0, 1])))
    assert [one.box.tolist() for one in given.found] == [[0, 2, 90, 60], [-10.5, -3, 100, 70]]


def test_a_mask_stands_without_its_box(sample):
    masks = torch.zeros(1, *SIZE, dtype=torch.bool)
    given = found(sample(bboxes=boxes([0, 0, np.nan, 1]), scores=torch.ones(1), labels=torch.ones(1), masks=masks))
    assert [one.box for one in given.found] == [None]
    given = found(sample(scores=torch.ones(1), labels=torch.ones(1), masks=masks))
    assert [one.box for one in given.found] == [None]


def test_nothing_found(sample):
    given = found(sample(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0)))
    assert (given.found, given.left_out) == ((), 0)


def test_parts_that_do_not_fit(sample):
    with pytest.raises(Internal, match="different numbers of scores, labels, boxes and masks: \\[1, 2\\]"):
        found(sample(bboxes=boxes([1, 2, 3, 4]), scores=torch.ones(2), labels=torch.ones(2)))
    with pytest.raises(Internal, match="upright rectangles"):
        found(sample(bboxes=torch.ones(1, 5), scores=torch.ones(1), labels=torch.ones(1)))


def test_no_objects_at_all(mmdet):
    from mmdet.structures import DetDataSample

    with pytest.raises(Internal, match="gives no objects"):
        found(DetDataSample(metainfo={"ori_shape": SIZE}))


def disc():
    rows, columns = np.indices(SIZE)
    return (rows - 30) ** 2 + (columns - 40) ** 2 <= 12**2


def forms():
    """A mask in the forms that heads and their libraries have for it."""
    from mmdet.structures.mask import BitmapMasks

    yield from (torch.from_numpy(disc()[None].astype(kind)) for kind in (bool, np.uint8, np.int64, np.float32))
    yield torch.from_numpy(disc()[None]).to(torch.bfloat16)
    yield [disc()]
    yield disc()[None, None].astype(np.uint8)
    yield BitmapMasks(disc()[None].astype(np.uint8), *SIZE)


def test_masks_of_all_forms(mmdet):
    from maskworks_mmdet.masks import binary_parts

    for form in forms():
        ((part, (x, y)),) = binary_parts(form, None)
        assert (part.dtype, part.shape, x, y) == (np.uint8, (25, 25), 28, 18), form
        assert (part == disc()[18:43, 28:53]).all(), form


def test_a_mask_in_a_box_without_end(mmdet):
    from maskworks_mmdet.masks import Window, binary_parts

    for corners in ([-1e35, -1e35, 1e35, 1e35], [1e35, 0, 2e35, 3e38], [-3e38, 0, 3e38, 50]):
        window = Window(torch.ones(28, 28), np.array(corners, np.float32), SIZE, 0.5)
        ((part, _),) = binary_parts([window], None)
        assert part.shape[0] <= SIZE[0]
        assert part.shape[1] <= SIZE[1]


def test_a_wild_box_costs_only_its_own_object(mmdet, tmp_path):
    """From the model to the text of the answer."""
    import json

    from maskworks.pipeline import Pipeline
    from maskworks_mmdet import results
    from maskworks_mmdet.options import MmdetConfig
    from maskworks_mmdet.sample_data import picture
    from tests.support.jobs import Steps, a_job
    from tests.support.mmdet_predictor import load, requests, saved

    checkpoint, config = saved(tmp_path)
    predictor = load(checkpoint, config)
    step = predictor._detector.model.test_step

    def wild(data):
        (sample,) = step(data)
        kept = sample.pred_instances[:3]
        kept.pop("masks")
        kept.bboxes = boxes([1, 2, 30, 40], [1, 2, np.inf, 4], [-1e35, 0, 1e35, 1e35])
        kept.labels = torch.tensor([0.0, 1.0, 7.0])
        sample.pred_instances = kept
        return [sample]

    predictor._detector.model.test_step = wild
    flags = MmdetConfig(checkpoint=checkpoint, config=config)
    (request,) = requests(picture(24)[0])
    steps = Steps(reader=lambda job, _: request, writer=lambda p: {"reply": results.opex(p, flags)})
    (outcome,) = Pipeline(predictor=predictor).run([a_job("a", format=steps)])
    answer = json.loads(outcome.parts["reply"])
    assert {one["label"] for one in answer["objects"]} == {"disc", "class 7"}
    assert {tuple(one["bbox"].values()) for one in answer["objects"]} == {(1, 2, 30, 40), (0, 0, 128, 128)}
    assert json.loads(answer["meta"]["left_out"]) == 1


@pytest.mark.parametrize(("least", "kept"), [(0.0, 1), (float("-inf"), 2)])
def test_scores_below_zero(mmdet, tmp_path, least, kept):
    """`--score all` keeps them."""
    from maskworks_mmdet.sample_data import picture
    from tests.support.mmdet_predictor import load, requests, saved

    predictor = load(*saved(tmp_path), score=least)
    step = predictor._detector.model.test_step

    def with_negative(data):
        (sample,) = step(data)
        sample.pred_instances = sample.pred_instances[:2]
        sample.pred_instances.scores = torch.tensor([0.5, -0.25])
        sample.pred_instances.bboxes = boxes([1, 2, 30, 40], [1, 2, 30, 40])
        return [sample]

    predictor._detector.model.test_step = with_negative
    (found_here,) = predictor.predict(requests(picture(24)[0]))
    assert [i.score for i in found_here] == [0.5, -0.25][:kept]
