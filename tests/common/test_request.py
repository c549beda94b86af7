"""Jobs' bytes to requests."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage, BadJson, BadPrompt, ImageTooLarge
from maskworks.images.reader import InProcessDecoder
from maskworks.wire.jsontext import MOST_MARKS
from maskworks.wire.request import find_address, read_image, read_image_message, read_message, read_pair
from tests.support.jobs import a_job
from tests.support.peak_memory import peak_memory
from tests.support.samples import PROMPT, encoded, picture

DECODER = InProcessDecoder()
POINTS = json.loads(PROMPT)
IMAGE = encoded()
IMAGE_TEXT = base64.b64encode(IMAGE).decode()


def message(**members):
    return a_job("entry-7", json.dumps({"image": IMAGE_TEXT, **members}).encode())


def test_an_image_and_a_prompt_file_make_a_request():
    request = read_pair(a_job("a", IMAGE, PROMPT), DECODER)
    np.testing.assert_array_equal(request.image, np.asarray(picture()))
    assert request.size == (16, 24)
    assert request.source == POINTS
    assert request.prompts[0].extreme_points.tolist() == POINTS["points"]
    assert request.image_meta == {"width": 24, "height": 16, "format": "PNG", "exif": "none"}
    assert (request.id, request.named, request.reply_to) == ("a", False, None)


def test_pair_without_a_prompt():
    request = read_pair(a_job("a", IMAGE), DECODER)
    assert (request.prompts, request.source) == ((), None)


def test_bare_image():
    request = read_image(a_job("a", IMAGE), DECODER)
    np.testing.assert_array_equal(request.image, np.asarray(picture()))
    assert (request.id, request.prompts, request.source, request.named) == ("a", (), None, False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("blanks", ["", " " * 64, "\r\n\t " * 100])
def test_messages_without_a_prompt_are_told_from_images(encoding, blanks):
    text = blanks + json.dumps({"image": IMAGE_TEXT, "id": "mine"})
    request = read_image_message(a_job("a", text.encode(encoding)), DECODER)
    assert (request.id, request.size) == ("mine", (16, 24))


def test_image_files_without_a_message():
    for fmt in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        request = read_image_message(a_job("a", encoded(fmt=fmt)), DECODER)
        assert (request.id, request.size) == ("a", (16, 24))


@pytest.mark.parametrize("members", [POINTS, {"prompt": POINTS}], ids=["beside", "inside"])
def test_message(members):
    request = read_message(message(**members), DECODER)
    np.testing.assert_array_equal(request.image, np.asarray(picture()))
    assert request.source == (POINTS if "prompt" in members else {**POINTS, "label": 1})
    assert request.prompts[0].extreme_points.tolist() == POINTS["points"]
    assert (request.id, request.named, request.reply_to) == ("entry-7", False, None)


@pytest.mark.parametrize(
    ("prompt", "echo"),
    [
        (POINTS, {**POINTS, "label": 1}),  # as the first DEXTR command answered
        ({**POINTS, "label": 7}, {**POINTS, "label": 7}),
        ({"objects": [POINTS, POINTS]}, {"objects": [POINTS, POINTS]}),
    ],
)
def test_a_label_that_was_left_out_is_echoed(prompt, echo):
    assert read_message(message(**prompt), DECODER).source == echo
    assert read_message(message(prompt=prompt), DECODER).source == prompt


def test_message_with_id_and_reply_to():
    request = read_message(message(**POINTS, id="mine", reply_to="there"), DECODER)
    assert (request.id, request.named, request.reply_to) == ("mine", True, "there")
    assert request.source == {**POINTS, "label": 1}


def test_an_empty_id_is_an_id():
    assert find_address(b'{"id": "", "reply_to": "there"}') == ("", "there")
    assert find_address(b'{"id": 7, "reply_to": []}') == (7, None)
    assert find_address(b'{"id": true}') == (None, None)
    assert find_address(b"{") == (None, None)


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}])
def test_ways_of_answers_are_strings(value):
    with pytest.raises(BadJson, match='message: "reply_to" is not a string; expected a string or nothing'):
        read_message(message(**POINTS, reply_to=value), DECODER)


@pytest.mark.parametrize("value", [None, 1.5, True, [], {}, 2**64, 10**400])
def test_names_are_strings_or_integers(value):
    with pytest.raises(BadJson, match='message: "id" is not a string; expected a string, an integer of 64 bits'):
        read_message(message(**POINTS, id=value), DECODER)


@pytest.mark.parametrize("read", [read_message, read_image_message])
@pytest.mark.parametrize("value", [0, 7, -(2**63), 2**64 - 1, "7", ""])
def test_names_come_back_as_they_came(read, value):
    request = read(message(**POINTS, id=value), DECODER)
    assert (request.id, type(request.id), request.named) == (value, type(value), True)
    assert find_address(message(id=value).body).id == value


@pytest.mark.parametrize("prompt", [[], "points", 5, True])
def test_prompt_of_a_message_is_an_object(prompt):
    with pytest.raises(BadJson, match='"prompt" is not an object in curly braces'):
        read_message(message(prompt=prompt), DECODER)


@pytest.mark.parametrize("image", [None, 5, [], {}, ["aGVsbG8="]])
def test_image_of_a_message_is_a_string(image):
    with pytest.raises(BadJson, match='"image" is missing or not a string; expected an image file in base64'):
        read_message(message(**POINTS, image=image), DECODER)


def test_message_without_an_image():
    with pytest.raises(BadJson, match='"image" is missing'):
        read_message(a_job("a", PROMPT), DECODER)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("", "empty"),
        ("abcde", "not base64: .*; expected an image file in base64"),
        ("abc", "not of a known format"),
        ("cup.jpg", "not base64: it looks like a path or URL"),
        ("äöü", "not base64"),
        ("aGVsbG8=", "not of a known format"),
        (IMAGE_TEXT[:60], "cannot be read|not of a known format"),
    ],
)
def test_image_text_that_is_no_image(image, problem):
    with pytest.raises(BadImage, match=problem):
        read_message(message(**POINTS, image=image), DECODER)


def test_line_breaks_in_base64_are_fine():
    text = base64.encodebytes(IMAGE).decode()
    assert "\n" in text
    assert read_message(message(**POINTS, image=text), DECODER).size == (16, 24)


def test_limit_of_bytes_counts_the_image_not_its_text():
    job = message(**POINTS)
    assert read_message(job, InProcessDecoder(InputConfig(max_bytes=len(IMAGE) + 2))).size == (16, 24)
    with pytest.raises(ImageTooLarge, match=r"--max_bytes"):
        read_message(job, InProcessDecoder(InputConfig(max_bytes=len(IMAGE) - 3)))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_breaks_do_not_count_as_bytes_of_the_image(newline):
    text = base64.encodebytes(IMAGE).decode().replace("\n", newline)
    decoder = InProcessDecoder(InputConfig(max_bytes=len(IMAGE)))
    assert read_message(message(**POINTS, image=text), decoder).size == (16, 24)


@pytest.mark.parametrize("unit", ["[],", "[1,2],", '{"x":1,"y":2,"label":1},'])
def test_too_many_values_are_refused_without_reading_them(unit):
    prompt = f'{{"points":[{unit * MOST_MARKS}1]}}'.encode()
    whole = a_job("a", b'{"image":"","id":"mine",' + prompt[1:])
    with peak_memory() as peak:
        for decode, job in (
            (read_pair, a_job("a", IMAGE, prompt)),
            (read_message, whole),
            (read_image_message, whole),
        ):
            with pytest.raises(BadJson, match="too many values; expected at most 500000 brackets and commas"):
                decode(job, DECODER)
        assert find_address(whole.body) == (None, None)
        assert peak() < 2_000_000


def test_as_many_clicks_as_there_may_be_in_large_messages():
    clicks = [{"x": 5.25, "y": 6.5, "label": 1}] * 1000
    objects = [{"points": clicks}] * 100
    request = read_message(message(objects=objects, extra="A" * 2_000_000), DECODER)
    assert [len(prompt.clicks) for prompt in request.prompts] == [1000] * 100


def test_limits_hold_for_every_form():
    decoder = InProcessDecoder(InputConfig(max_pixels=383))
    for decode, job in (
        (read_pair, a_job("a", IMAGE, PROMPT)),
        (read_image, a_job("a", IMAGE)),
        (read_message, message(**POINTS)),
    ):
        with pytest.raises(ImageTooLarge, match="24x16 = 384 pixels"):
            decode(job, decoder)


def test_the_prompt_is_checked_before_the_image_is_decoded():
    with pytest.raises(BadPrompt):
        read_pair(a_job("a", b"not an image", b"{}"), DECODER)
    with pytest.raises(BadJson, match="prompt: not JSON"):
        read_pair(a_job("a", b"not an image", b"{"), DECODER)
    with pytest.raises(BadJson, match="message: not JSON"):
        read_message(a_job("a", b"{"), DECODER)
    with pytest.raises(BadPrompt):
        read_message(a_job("a", json.dumps({"image": "", "points": []}).encode()), DECODER)


@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_exif_is_told(exif):
    tags = Image.Exif()
    tags[0x0112] = 6
    request = read_pair(a_job("a", encoded(fmt="JPEG", exif=tags), PROMPT), InProcessDecoder(InputConfig(exif=exif)))
    assert request.size == ((16, 24) if exif == "ignore" else (24, 16))
    assert request.image_meta["exif"] == ("ignored" if exif == "ignore" else "applied")
