"""Prompts: every form, and for everything wrong the exact place of it."""

import base64

import numpy as np
import pytest

from maskworks.errors import BadJson, BadPrompt, UnsupportedPrompt
from maskworks.wire.jsontext import read_object
from maskworks.wire.prompt import parse_prompt

FOUR = "[[1, 2], [3.5, 4], [5, -6], [7, 8]]"
BOX = '{"x0": 1, "y0": 2, "x1": 3, "y1": 4}'
CLICK = '{"x": 1, "y": 2, "label": 1}'


def boxes(number):
    return '{"objects": [' + ", ".join(['{"box": ' + BOX + "}"] * number) + "]}"


def parse(text):
    return parse_prompt(read_object(text.encode(), "prompt"))


def test_extreme_points():
    (prompt,) = parse(f'{{"points": {FOUR}}}')
    np.testing.assert_array_equal(prompt.extreme_points, [[1, 2], [3.5, 4], [5, -6], [7, 8]])
    assert prompt.extreme_points.dtype == np.float64
    assert (prompt.path, prompt.label, prompt.clicks, prompt.click_labels, prompt.box) == ("", 1, None, None, None)


def test_more_than_four_points():
    (prompt,) = parse('{"points": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], "label": 255}')
    assert prompt.extreme_points.shape == (5, 2)
    assert prompt.label == 255


def test_clicks():
    (prompt,) = parse('{"points": [{"x": 1, "y": 2, "label": 1}, {"x": 0.5, "y": -3, "label": 0, "more": null}]}')
    np.testing.assert_array_equal(prompt.clicks, [[1, 2], [0.5, -3]])
    np.testing.assert_array_equal(prompt.click_labels, [1, 0])
    assert prompt.click_labels.dtype == np.uint8
    assert prompt.extreme_points is None
    assert prompt.box is None


@pytest.mark.parametrize("corners", [(1, 2, 30, 4.5), (30, 4.5, 1, 2), (1, 4.5, 30, 2), (30, 2, 1, 4.5)])
def test_corners_of_a_box_in_any_order(corners):
    text = ", ".join(f'"{key}": {value}' for key, value in zip(("x0", "y0", "x1", "y1"), corners, strict=True))
    (prompt,) = parse(f'{{"box": {{{text}}}}}')
    np.testing.assert_array_equal(prompt.box, [1, 2, 30, 4.5])
    assert prompt.extreme_points is None


def test_clicks_and_a_box_come_together():
    (prompt,) = parse(f'{{"points": [{CLICK}], "box": {BOX}}}')
    np.testing.assert_array_equal(prompt.clicks, [[1, 2]])
    np.testing.assert_array_equal(prompt.box, [1, 2, 3, 4])


def test_objects():
    prompts = parse(f'{{"objects": [{{"points": {FOUR}}}, {{"box": {BOX}, "label": 9}}, {{"points": [{CLICK}]}}]}}')
    assert [prompt.path for prompt in prompts] == ["objects[0]", "objects[1]", "objects[2]"]
    assert [prompt.label for prompt in prompts] == [1, 9, 3]
    assert prompts[0].extreme_points is not None
    assert prompts[1].box is not None
    assert prompts[2].clicks is not None


def test_as_many_objects_as_there_are_labels():
    prompts = parse(boxes(255))
    assert [prompt.label for prompt in prompts] == list(range(1, 256))


def test_unknown_keys_are_left_alone():
    (prompt,) = parse(f'{{"points": {FOUR}, "note": [1, {{"x": NaN}}], "version": "2"}}')
    assert prompt.extreme_points.shape == (4, 2)


def test_names_and_mask_choices():
    (prompt,) = parse(f'{{"box": {BOX}, "name": "cup é 7", "mask_choice": "all", "label": 3.0}}')
    assert (prompt.name, prompt.mask_choice, prompt.label) == ("cup é 7", "all", 3)
    assert isinstance(prompt.label, int)
    one, two = parse(
        f'{{"mask_choice": "best", "objects": [{{"box": {BOX}}}, {{"box": {BOX}, "mask_choice": "single"}}]}}'
    )
    assert (one.mask_choice, two.mask_choice) == ("best", "single")
    (prompt,) = parse(f'{{"box": {BOX}, "name": null, "mask_choice": null, "text": null}}')
    assert (prompt.name, prompt.mask_choice) == (None, None)


@pytest.mark.parametrize("text", ['{"text": "the cup"}', f'{{"box": {BOX}, "text": "the cup"}}'])
def test_words_are_for_other_models(text):
    with pytest.raises(UnsupportedPrompt, match="text: words, which no model here can use") as caught:
        parse(text)
    assert caught.value.code == "unsupported_prompt"
    with pytest.raises(UnsupportedPrompt, match=r"objects\[0\].text"):
        parse(f'{{"objects": [{text}]}}')


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_encodings(encoding):
    data = f'{{"points": {FOUR}, "note": "\N{GREEK SMALL LETTER ALPHA}"}}'.encode(encoding)
    assert parse_prompt(read_object(data, "prompt"))[0].extreme_points.shape == (4, 2)


def as_base64(array):
    return base64.b64encode(array.tobytes()).decode()


def test_logits_to_start_from_and_to_return():
    logits = np.arange(16, dtype="<f4").reshape(4, 4) - 7.5
    (prompt,) = parse(f'{{"mask_input": "{as_base64(logits)}", "low_res_logits": true}}')
    np.testing.assert_array_equal(prompt.mask_input, logits)
    assert prompt.low_res_logits
    assert prompt.box is None
    both, without = parse(f'{{"objects": [{{"box": {BOX}, "mask_input": "{as_base64(logits)}"}}, {{"box": {BOX}}}]}}')
    assert both.mask_input is not None
    assert both.box is not None
    assert without.mask_input is None
    assert not without.low_res_logits


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("7", "7; expected the base64"),
        ('""', "0 bytes"),
        ('"AAAAA"', "not base64"),
        (f'"{as_base64(np.zeros(3, np.float32))}"', "12 bytes"),
        (f'"{as_base64(np.full((2, 2), np.inf, np.float32))}"', "not finite"),
    ],
)
def test_wrong_logits(value, problem):
    with pytest.raises(BadPrompt, match=problem) as caught:
        parse(f'{{"objects": [{{"mask_input": {value}}}]}}')
    assert caught.value.path == "objects[0].mask_input"


def test_returning_logits_is_yes_or_no():
    with pytest.raises(BadPrompt, match="low_res_logits: 1; expected true or false"):
        parse(f'{{"box": {BOX}, "low_res_logits": 1}}')


@pytest.mark.parametrize(
    "value", ["0", "-1", "0.25", "1e3", "-0.0", "16777216", "-16777216.0"]
)  # the largest is 2 to the power of 24
def test_numbers_that_are_fine(value):
    (prompt,) = parse(f'{{"box": {{"x0": {value}, "y0": 0, "x1": {value}, "y1": 0}}}}')
    assert prompt.box.tolist() == [float(value), 0, float(value), 0]


NOT_NUMBERS = {
    '"7"': "'7'; expected a number",
    "true": "True; expected a number",
    "null": "None; expected a number",
    "[1]": r"\[1\]; expected a number",
    "{}": "{}; expected a number",
    "NaN": "nan; expected a finite number",
    "Infinity": "inf; expected a finite number",
    "-Infinity": "-inf; expected a finite number",
    "1e999": "inf; expected a finite number",
    "1e300": r"1e\+300; expected a number between -16777216 and 16777216",
    "-16777217": "-16777217; expected a number between -16777216 and 16777216",
    "1" + "0" * 400: r"10{36}\.\.\.; expected a number between",
}


@pytest.mark.parametrize(("value", "problem"), NOT_NUMBERS.items(), ids=lambda text: text[:20])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("box.x0", '{"box": {"x0": ?, "y0": 2, "x1": 3, "y1": 4}}'),
        ("box.y1", '{"box": {"x0": 1, "y0": 2, "x1": 3, "y1": ?}}'),
        ("points[1][0]", '{"points": [[1, 2], [?, 4], [5, 6], [7, 8]]}'),
        ("points[3][1]", '{"points": [[1, 2], [3, 4], [5, 6], [7, ?]]}'),
        ("points[0].x", '{"points": [{"x": ?, "y": 2, "label": 1}]}'),
        ("objects[2].box.x0", boxes(2)[:-2] + ', {"box": {"x0": ?, "y0": 2, "x1": 3, "y1": 4}}]}'),
        ("objects[1].points[0].y", boxes(1)[:-2] + ', {"points": [{"x": 1, "y": ?, "label": 1}]}]}'),
        ("objects[0].points[0][0]", '{"objects": [{"points": [[?, 2], [3, 4], [5, 6], [7, 8]]}]}'),
    ],
)
def test_wrong_numbers(path, text, value, problem):
    with pytest.raises(BadPrompt, match=problem) as caught:
        parse(text.replace("?", value))
    assert caught.value.path == path
    assert caught.value.message.startswith(f"prompt: {path}: ")


THREE = "[[1, 2], [3, 4], [5, 6]]"
WRONG = [
    ("points", "{}", 'missing; expected "points", "box" or "objects"'),
    ("points", '{"label": 3}', "missing"),
    (
        "points",
        '{"points": []}',
        "an empty list; expected the 4 extreme points of the object or more, or 1 to 1000 clicks",
    ),
    ("points", '{"points": null}', "None; expected a list of points"),
    ("points", '{"points": "1,2"}', "'1,2'; expected a list"),
    ("points", '{"points": {"x": 1}}', "expected a list of points"),
    ("points", f'{{"points": {THREE}}}', "3 points; expected the 4 extreme points"),
    ("points", '{"points": [[1, 2]]}', '1 point; .*; a click is {"x": 1, "y": 2, "label": 1}'),
    ("points", f'{{"points": [{", ".join(["[1, 2]"] * 10_001)}]}}', "10001 points; expected 1 to 10000"),
    ("points", f'{{"points": [{", ".join([CLICK] * 1001)}]}}', "1001 clicks; expected 1 to 1000"),
    ("points", f'{{"points": [{", ".join([CLICK] * 10_001)}]}}', "10001 clicks; expected 1 to 1000"),
    ("name", f'{{"box": {BOX}, "name": ""}}', "''; expected 1 to 200 printable characters"),
    ("name", f'{{"box": {BOX}, "name": 7}}', "7; expected 1 to 200 printable characters"),
    ("name", f'{{"box": {BOX}, "name": "a\\nb"}}', "expected 1 to 200 printable characters"),
    ("name", f'{{"box": {BOX}, "name": "{"x" * 201}"}}', "expected 1 to 200 printable characters"),
    ("objects[0].name", f'{{"objects": [{{"box": {BOX}, "name": []}}]}}', "expected 1 to 200 printable characters"),
    ("mask_choice", f'{{"box": {BOX}, "mask_choice": "most"}}', "'most'; expected one of auto, best, single"),
    ("mask_choice", f'{{"objects": [{{"box": {BOX}}}], "mask_choice": 1}}', "1; expected one of auto"),
    ("objects[0].mask_choice", f'{{"objects": [{{"box": {BOX}, "mask_choice": []}}]}}', "expected one of auto"),
    ("points[0]", '{"points": [1, 2, 3, 4, 5, 6, 7, 8]}', r"1; expected a pair \[x, y\]"),
    ("points[2]", '{"points": [[1, 2], [3, 4], [5], [7, 8]]}', r"\[5\]; expected a pair"),
    ("points[3]", '{"points": [[1, 2], [3, 4], [5, 6], [7, 8, 9]]}', r"\[7, 8, 9\]; expected a pair"),
    ("points[1]", f'{{"points": [[1, 2], {CLICK}, [5, 6], [7, 8]]}}', "expected a pair"),
    ("points[1]", f'{{"points": [{CLICK}, [3, 4]]}}', 'expected an object with "x", "y" and "label"'),
    ("points[0].label", '{"points": [{"x": 1, "y": 2}]}', "missing; expected 0 for background or 1 for foreground"),
    ("points[0].y", '{"points": [{"x": 1, "label": 1}]}', "missing; expected a number"),
    ("points[0].label", '{"points": [{"x": 1, "y": 2, "label": 2}]}', "2; expected 0 for background"),
    ("points[0].label", '{"points": [{"x": 1, "y": 2, "label": true}]}', "True; expected 0 for background"),
    ("points[0].label", '{"points": [{"x": 1, "y": 2, "label": "1"}]}', "'1'; expected 0 for background"),
    ("points[0].label", '{"points": [{"x": 1, "y": 2, "label": [1]}]}', "expected 0 for background"),
    ("box", '{"box": null}', 'None; expected an object with "x0"'),
    ("box", '{"box": [1, 2, 3, 4]}', r"\[1, 2, 3, 4\]; expected an object"),
    ("box", '{"box": {"xmin": 1, "ymin": 2}}', 'an object with "xmin", "ymin"; expected an object with "x0"'),
    ("box.y0", '{"box": {"x0": 1, "x1": 3, "y1": 4}}', "missing; expected a number"),
    ("box", f'{{"points": {FOUR}, "box": {BOX}}}', "stands beside extreme points; expected one of the two"),
    ("label", f'{{"box": {BOX}, "label": 0}}', "0; expected a whole number from 1 to 255"),
    ("label", f'{{"box": {BOX}, "label": 256}}', "256; expected a whole number"),
    ("label", f'{{"box": {BOX}, "label": 1.5}}', "1.5; expected a whole number"),
    ("label", f'{{"box": {BOX}, "label": true}}', "True; expected a whole number"),
    ("label", f'{{"box": {BOX}, "label": "1"}}', "'1'; expected a whole number"),
    ("label", f'{{"box": {BOX}, "label": null}}', "None; expected a whole number"),
    ("label", f'{{"box": {BOX}, "label": {10**400}}}', "expected a whole number"),
    ("objects", '{"objects": []}', "an empty list; expected 1 to 255 prompts"),
    ("objects", '{"objects": {}}', "{}; expected a list of prompts"),
    ("objects", '{"objects": null}', "None; expected a list of prompts"),
    ("objects", boxes(256), "256 prompts; expected 1 to 255"),
    ("points", f'{{"objects": [{{"box": {BOX}}}], "points": {FOUR}}}', 'stands beside "objects"'),
    ("box", f'{{"objects": [{{"box": {BOX}}}], "box": {BOX}}}', 'stands beside "objects"'),
    ("label", f'{{"objects": [{{"box": {BOX}}}], "label": 2}}', 'stands beside "objects"'),
    ("objects[0]", '{"objects": [[1, 2]]}', r'\[1, 2\]; expected an object with "points" or "box"'),
    ("objects[1]", boxes(1)[:-2] + ", {}]}", 'missing; expected "points" or "box"'),
    ("objects[0].objects", '{"objects": [' + boxes(1) + "]}", "a list inside of a list"),
    ("objects[0].label", f'{{"objects": [{{"box": {BOX}, "label": 0}}]}}', "0; expected a whole number"),
    ("objects[0].box", f'{{"objects": [{{"points": {FOUR}, "box": {BOX}}}]}}', "one of the two"),
    ("objects[0].points", f'{{"objects": [{{"points": {THREE}}}]}}', "3 points"),
]


@pytest.mark.parametrize(("path", "text", "problem"), WRONG, ids=[text[:40] for _, text, _ in WRONG])
def test_wrong_prompts(path, text, problem):
    with pytest.raises(BadPrompt, match=problem) as caught:
        parse(text)
    assert caught.value.path == path
    assert caught.value.code == "bad_prompt"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "prompt: empty"),
        (b" \n", "prompt: empty"),
        (b"[[1, 2]]", "array; expected an object"),
        (b'{"points": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"points": [[1, 2]', "not JSON"),
        (b"\xff\xfe\xfd", "prompt: not"),
        (b'{"box": {"x0": ' + b"9" * 5000 + b"}}", "expected"),
    ],
    ids=["empty", "blank", "array", "deep", "cut off", "bytes", "digits"],
)
def test_what_is_no_object_is_bad_json(data, problem):
    with pytest.raises(BadJson, match=problem) as caught:
        parse_prompt(read_object(data, "prompt"))
    assert caught.value.code == "bad_json"
