"""Keys that nobody reads are told; keys that other programs have for a prompt are refused."""

from __future__ import annotations

import base64
import json

import pytest

from maskworks.errors import BadJson, BadPrompt
from maskworks.formats import MaskFiles, PromptMessages
from maskworks.images.reader import InProcessDecoder
from maskworks.pipeline import Pipeline
from maskworks.wire.prompt_aliases import PLACES, SWITCHES
from maskworks.wire.prompt_keys import MOST_IGNORED, check_beside, check_keys
from maskworks.wire.request import read_image_message, read_message, read_pair
from tests.support.bright import Bright
from tests.support.jobs import a_job
from tests.support.samples import encoded

DECODER = InProcessDecoder()
BOX = {"x0": 4, "y0": 4, "x1": 12, "y1": 12}
CLICK = {"x": 8, "y": 8, "label": 1}
FOUR = [[8, 4], [4, 8], [12, 8], [8, 12]]
IMAGE = base64.b64encode(encoded()).decode()


def message(**members):
    return a_job("entry", json.dumps({"image": IMAGE, **members}).encode())


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("point_coords", [[8, 8]], '"points"'),
        ("point_labels", [1], '"label" in each click'),
        ("labels", [1, 1, 0, 0], '"label" in each click'),
        ("neg_points", [[1, 1]], '"points"'),
        ("Points", FOUR, '"points"'),
        ("point", [8, 8], '"points"'),
        ("pointss", FOUR, '"points"'),
        ("bbox", [4, 4, 12, 12], '"box"'),
        ("Bounding-Box", BOX, '"box"'),
        ("boxes", [[4, 4, 12, 12]], '"box"'),
        ("object", {"box": BOX}, '"objects"'),
        ("mask", "A" * 5000, '"mask_input"'),
        ("multimask_output", False, '"mask_choice"'),
        ("multimaskOutput", True, '"mask_choice"'),
        ("return_logits", True, '"low_res_logits"'),
    ],
)
@pytest.mark.parametrize("inside", ["", "objects[0]."])
def test_a_prompt_under_another_name_is_refused(key, value, meant, inside):
    prompt = {"box": BOX, key: value}
    with pytest.raises(BadPrompt, match="did you mean that") as caught:
        check_keys({"objects": [prompt]} if inside else prompt)
    assert caught.value.path == f"{inside}{key}"
    assert meant in caught.value.message
    for place in (message(**prompt), message(prompt=prompt), message(prompt={"box": BOX}, **{key: value})):
        with pytest.raises(BadPrompt, match="did you mean that"):
            read_message(place, DECODER)
    with pytest.raises(BadPrompt, match="did you mean that"):
        read_pair(a_job("a", encoded(), json.dumps(prompt).encode()), DECODER)


@pytest.mark.parametrize("name", [name for names in (PLACES | SWITCHES).values() for name in names])
def test_every_name_of_other_programs_is_known(name):
    with pytest.raises(BadPrompt, match="did you mean that"):
        check_keys({"box": BOX, name: [[1, 2]]})
    camel = name.title().replace("_", "")
    with pytest.raises(BadPrompt, match="did you mean that"):
        check_keys({"box": BOX, camel: [[1, 2]]})


@pytest.mark.parametrize(
    "more",
    [
        {"neg_points": []}, {"obj_bbox": None}, {"bbox": {}}, {"object": "cup"}, {"labels": ["cup", "saucer"]},
        {"mask": "cup.png"}, {"multimask_output": None}, {"note": [[1, 2]]}, {"timestamp": 17}, {"joints": [[1, 2]]},
    ],
)  # fmt: skip
def test_what_is_empty_or_about_something_else_is_told(more):
    (key,) = more
    request = read_message(message(points=FOUR, **more), DECODER)
    assert request.ignored == (key,)
    assert request.source == {"points": FOUR, **more, "label": 1}


def test_paths_lead_to_the_key():
    prompt = {"objects": [{"points": [CLICK, {**CLICK, "time": 1}]}, {"box": {**BOX, "z": 1}, "note": 2}], "name": "a"}
    paths = ["name", "objects[0].points[1].time", "objects[1].note", "objects[1].box.z"]
    assert sorted(check_keys(prompt).ignored) == sorted(paths)
    found = read_message(message(prompt=prompt, user="me", label=7), DECODER).ignored
    assert sorted(found) == sorted(["user", "label", *(f"prompt.{path}" for path in paths)])
    assert read_image_message(message(prompt=prompt, points=FOUR, id="a"), DECODER).ignored == ("prompt", "points")
    assert read_pair(a_job("a", encoded(), json.dumps({"box": BOX, "user": 1}).encode()), DECODER).ignored == ("user",)


@pytest.mark.parametrize("key", ["points", "box", "objects", "mask_input", "mask_choice", "text"])
def test_keys_of_the_prompt_beside_it_are_refused(key):
    with pytest.raises(BadPrompt, match=f'{key}: stands beside "prompt"; expected it inside of the prompt'):
        read_message(message(prompt={"box": BOX}, **{key: {"any": "thing"}}), DECODER)
    assert check_beside([(key, None)], "elsewhere") == (key,)


@pytest.mark.parametrize("key", ["label", "name", "low_res_logits"])
def test_keys_without_effect_beside_the_prompt_are_told(key):
    assert check_beside([(key, True)], "elsewhere") == (key,)


def test_many_and_long_keys_are_cut_short():
    found = check_keys({"box": BOX, **{"k" * 5000 + str(number): 1 for number in range(5000)}}).ignored
    assert len(found) == MOST_IGNORED
    assert all(len(path) <= 100 for path in found)


def test_options_are_told_apart():
    keys = check_keys({"objects": [{"box": BOX, "low_res_logits": True}], "mask_choice": "all"}, "prompt.")
    assert keys.ignored == ()
    assert keys.options == ("prompt.mask_choice", "prompt.objects[0].low_res_logits")


def test_answers_tell_what_was_ignored_and_nothing_else():
    pipeline, usual = Pipeline(predictor=Bright()), {"image", "objects", "prompt", "segmenter", "timing_ms"}
    for more, expected in (({}, None), ({"note": 1}, ["note"])):
        prompt = json.dumps({"points": FOUR, **more}).encode()
        (files,) = pipeline.run([a_job("a", encoded(), prompt, format=MaskFiles())])
        meta = json.loads(files.parts["opex"])["meta"]
        assert json.loads(meta.get("ignored", "null")) == expected
        job = a_job("a", message(points=FOUR, **more).body, format=PromptMessages())
        (answer,) = pipeline.run([job])
        meta = json.loads(answer.parts["reply"])["meta"]
        assert meta.get("ignored") == expected
        assert meta.keys() - {"contours", "ignored"} == usual


def test_a_name_is_the_label_of_the_object():
    pipeline = Pipeline(predictor=Bright())
    prompt = json.dumps({"objects": [{"box": BOX, "name": "cup"}, {"box": BOX}]}).encode()
    (files,) = pipeline.run([a_job("a", encoded(), prompt, format=MaskFiles())])
    opex = json.loads(files.parts["opex"])
    assert [found["label"] for found in opex["objects"]] == ["cup", "object"]
    assert [found.get("name") for found in json.loads(opex["meta"]["objects"])] == ["cup", None]


@pytest.mark.parametrize("message", [{"Prompt": {"box": BOX}}, {"prompt": {"prompt": {"box": BOX}}}])
def test_a_prompt_one_level_deeper_is_refused(message):
    with pytest.raises(BadPrompt, match="rompt: not a key of prompts; expected the keys of the prompt themselves"):
        read_message(a_job("entry", json.dumps({"image": IMAGE, **message}).encode()), DECODER)


def test_an_image_under_another_name_is_named():
    with pytest.raises(BadJson, match=r'"image" is missing .* under this key, not under "img"'):
        read_message(a_job("entry", json.dumps({"img": IMAGE * 2, "box": BOX}).encode()), DECODER)


def test_typos_are_looked_for_in_some_keys_only(monkeypatch):
    """Looking takes long enough for a message of a hundred thousand keys to hold up a worker."""
    looked = []
    monkeypatch.setattr("maskworks.wire.prompt_aliases._of_a_typo", lambda key: looked.append(key) or "")
    check_keys({"box": BOX, **{f"k{number}": [1] for number in range(10_000)}})
    check_beside([(f"k{number}", [1]) for number in range(10_000)], "elsewhere")
    assert len(looked) == 2 * MOST_IGNORED
    with pytest.raises(BadPrompt, match="did you mean"):
        check_keys({"box": BOX, **{f"k{number}": [1] for number in range(10_000)}, "bbox": [1, 2, 3, 4]})
