from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from maskworks.config import InputConfig, ShapeConfig
from maskworks.errors import BadImage, OutOfMemory
from maskworks.formats import PromptMessages
from maskworks.images.reader import InProcessDecoder
from maskworks.overlay import draw_overlay
from maskworks.pipeline import Pipeline
from maskworks.types import Instances
from tests.support.bright import Bright
from tests.support.jobs import Steps, a_job
from tests.support.samples import PROMPT, encoded, picture


def pipeline(predictor=None, **settings):
    return Pipeline(predictor=predictor or Bright(), **settings)


def prompt(label):
    return json.dumps({**json.loads(PROMPT), "label": label}).encode()


def test_a_pair_becomes_mask_and_polygons():
    (outcome,) = pipeline().run([a_job("a", encoded(), PROMPT)])
    assert outcome.error is None
    assert outcome.objects == 1
    reply = json.loads(outcome.parts["reply"])
    assert reply["contours"] == [[[4, 4], [4, 12], [12, 12], [12, 4]]]
    assert reply["meta"]["segmenter"] == {"type": "bright"}
    assert reply["meta"]["prompt"] == json.loads(PROMPT)
    assert reply["meta"]["image"] == {"width": 24, "height": 16, "format": "PNG", "exif": "none"}
    assert set(reply["meta"]["timing_ms"]) == {"decode", "predict", "contours"}
    assert "id" not in reply


def test_facts_about_the_whole_image_go_into_meta():
    class Knowing(Bright):
        def predict(self, requests):
            return [Instances(found, {"cache": "hit"}) for found in super().predict(requests)]

    (outcome,) = pipeline(Knowing()).run([a_job("a", encoded(), PROMPT)])
    assert json.loads(outcome.parts["reply"])["meta"]["cache"] == "hit"
    assert json.loads(outcome.parts["opex"])["meta"]["cache"] == "hit"


def stacked(*labels, best_first):
    """Mask and overlay of the same object found several times, with these labels."""

    class Repeating(Bright):
        def predict(self, requests):
            found = [instance for (instance,) in super().predict(requests)]
            return [Instances([replace(one, label=n) for n in labels], best_first=best_first) for one in found]

    predictions = []
    keep = Steps(writer=lambda p: predictions.append(p) or {"": b""})
    assert pipeline(Repeating()).run([a_job("a", encoded(), PROMPT, format=keep)])[0].error is None
    return predictions[0].mask, draw_overlay(predictions[0])


def test_what_lies_on_top():
    mask, overlay = stacked(1, 2, best_first=True)
    assert set(np.unique(mask)) == {0, 1}
    assert set(np.unique(stacked(1, 2, best_first=False)[0])) == {0, 2}
    np.testing.assert_array_equal(overlay, stacked(2, 1, best_first=False)[1])
    assert (overlay != stacked(1, 2, best_first=False)[1]).any()


class Many(Bright):
    """Finds the same object with each of some labels."""

    def __init__(self, *labels):
        super().__init__()
        self.labels = labels

    def predict(self, requests):
        return [[replace(one, label=n) for n in self.labels] for (one,) in super().predict(requests)]


def test_labels_beyond_the_palette_are_said(caplog):
    (outcome,) = pipeline(Many(*range(1, 301))).run([a_job("crowd", encoded(), PROMPT)])
    reply, opex = json.loads(outcome.parts["reply"]), json.loads(outcome.parts["opex"])
    assert reply["meta"]["shared_labels"] == list(range(1, 46))
    assert json.loads(opex["meta"]["shared_labels"]) == list(range(1, 46))
    assert [one["label"] for one in reply["meta"]["objects"]] == [*range(1, 256), *range(1, 46)]
    assert np.unique(Image.open(BytesIO(outcome.parts["mask"]))).tolist() == [0, 45]
    assert caplog.messages == [
        "crowd: labels beyond 255: 45 palette indices of its mask stand for several (meta.shared_labels)"
    ]


def test_a_class_beyond_the_palette_is_said_where_it_is_alone():
    (outcome,) = pipeline(Many(300)).run([a_job("a", encoded(), PROMPT)])
    assert json.loads(outcome.parts["reply"])["meta"]["shared_labels"] == [45]


def test_labels_of_the_palette_are_nothing_to_speak_of(caplog):
    (outcome,) = pipeline(Many(*range(1, 256), 1)).run([a_job("a", encoded(), PROMPT)])
    assert "shared_labels" not in json.loads(outcome.parts["reply"])["meta"]
    assert not caplog.messages


def test_what_fails_in_a_batch_fails_alone():
    """Good ones between bad ones get the answers that they get without them."""
    jobs = [
        a_job("good", encoded(), PROMPT),
        a_job("poison", encoded(), prompt(66)),
        a_job("not json", encoded(), b"{"),
        a_job("lonely", encoded(), prompt(77)),
        a_job("no image", b"hello", PROMPT),
        a_job("refused", error=BadImage("by the transport")),
        a_job("other", encoded(picture(200)), prompt(3)),
    ]
    outcomes = pipeline().run(jobs)
    assert [None if o.error is None else o.error.code for o in outcomes] == [
        None, "internal", "bad_json", None, "bad_image", "bad_image", None
    ]  # fmt: skip
    assert "does not like 66" in outcomes[1].error.message
    alone = pipeline().run([jobs[6]])[0]
    assert outcomes[6].parts["mask"] == alone.parts["mask"]
    assert np.array(Image.open(BytesIO(outcomes[6].parts["mask"]))).max() == 3


def test_a_batch_that_does_not_fit_is_halved():
    predictor = Bright()
    outcomes = pipeline(predictor).run([a_job(str(i), encoded(), prompt(77)) for i in range(4)])
    assert all(outcome.error is None for outcome in outcomes)
    assert [len(batch) for batch in predictor.batches] == [4, 2, 1, 1, 2, 1, 1]


class Small(Bright):
    """A model on a device with room for three images."""

    room = 3

    def predict(self, requests):
        taken = [Unit(self) for _ in requests]
        try:
            if self.room < 0:
                raise RuntimeError(f"the device is full with {len(taken)}")
        except RuntimeError:
            raise OutOfMemory("too many") from None
        return super().predict(requests)


class Unit:
    def __init__(self, model):
        self.model = model
        model.room -= 1

    def __del__(self):
        self.model.room += 1


def test_what_a_failed_batch_held_is_free_for_its_halves():
    model = Small()
    outcomes = pipeline(model).run([a_job(str(i), encoded(), PROMPT) for i in range(8)])
    assert all(outcome.error is None for outcome in outcomes)


def test_a_model_that_forgets_an_answer_is_caught():
    class Forgetful(Bright):
        def predict(self, requests):
            return super().predict(requests)[1:]

    (outcome,) = pipeline(Forgetful()).run([a_job("a", encoded(), PROMPT)])
    assert outcome.error.code == "internal"
    assert "answered 0 of 1" in outcome.error.message


def test_a_model_out_of_host_memory_is_an_answer():
    class Hungry(Bright):
        def predict(self, requests):
            raise MemoryError

    (outcome,) = pipeline(Hungry()).run([a_job("a", encoded(), PROMPT)])
    assert outcome.error.code == "out_of_memory"


def test_id_and_reply_to_are_kept_on_errors_of_the_model():
    body = {"image": b64encode(encoded()).decode(), **json.loads(prompt(66))}
    message = json.dumps({**body, "id": "seven", "reply_to": "there"}).encode()
    (outcome,) = pipeline().run([a_job("1-0", message, format=PromptMessages())])
    assert (outcome.error.code, outcome.id, outcome.reply_to) == ("internal", "seven", "there")


def test_nothing_found_is_a_result():
    (outcome,) = pipeline().run([a_job("a", encoded(picture(10)), PROMPT)])
    reply = json.loads(outcome.parts["reply"])
    assert outcome.error is None
    assert reply["contours"] == []


@pytest.mark.parametrize(("min_area", "parts"), [(0, 2), (1, 2), (2, 1), (81, 1), (82, 0)])
def test_specks_leave_mask_and_polygons_together(min_area, parts):
    pixels = np.array(picture())
    pixels[1, 1] = 255
    jobs = [a_job("a", encoded(Image.fromarray(pixels)), PROMPT)]
    (outcome,) = pipeline(shape_config=ShapeConfig(min_area=min_area)).run(jobs)
    assert len(json.loads(outcome.parts["reply"])["contours"]) == parts
    mask = np.array(Image.open(BytesIO(outcome.parts["mask"])))
    assert mask[1, 1] == (parts == 2)
    assert mask[8, 8] == (parts > 0)


def test_limits_reach_the_decoder():
    (outcome,) = pipeline(decoder=InProcessDecoder(InputConfig(max_pixels=10))).run([a_job("a", encoded(), PROMPT)])
    assert outcome.error.code == "image_too_large"
