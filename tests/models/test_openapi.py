"""What the OpenAPI document describes is accepted, and what it excludes is refused, by every model's server."""

from __future__ import annotations

import base64
import json
import sys
import sysconfig
from pathlib import Path

import jsonschema
import pytest

from tests.support.http_process import HttpProcess
from tests.support.sam_models import CHECKPOINT
from tests.support.samples import encoded, picture

pytestmark = pytest.mark.slow("starts servers with a model")

SCRIPTS = Path(sysconfig.get_path("scripts"))
TINY = Path(__file__).resolve().parents[1] / "support" / "tensormask_tiny_server.py"
SERVERS = {
    "dextr": ([str(SCRIPTS / "dextr_serve")], ["--model", "demo", "--device", "cpu"]),
    "sam": ([str(SCRIPTS / "sam_serve")], ["--model", str(CHECKPOINT), "--device", "cpu"]),
    "without prompts": ([sys.executable, str(TINY)], []),
}
IMAGE = base64.b64encode(encoded(picture())).decode()
POINTS = [[8, 4], [4, 8.5], [12, 8], [8, 12]]
CLICK = {"x": 8, "y": 8, "label": 1}
BOX = {"x0": 4, "y0": 4, "x1": 12, "y1": 12}
PROMPTS = [
    {"points": POINTS}, {"points": [*POINTS, [7, 7]], "label": 255}, {"box": BOX}, {"box": BOX, "label": 3},
    {"points": [CLICK]}, {"points": [CLICK, {**CLICK, "label": 0}]}, {"points": [CLICK], "box": BOX},
    {"points": [CLICK], "low_res_logits": True}, {"mask_input": "LOGITS"}, {"points": [CLICK], "mask_input": "LOGITS"},
    {"box": BOX, "mask_input": "LOGITS"}, {"objects": [{"points": POINTS}, {"box": BOX}]},
    {"objects": [{"points": [CLICK]}, {"box": BOX, "label": 9}]},
    {}, {"points": []}, {"points": POINTS[:3]}, {"points": POINTS, "box": BOX}, {"points": [[1, 2, 3], *POINTS]},
    {"points": [{"x": 8, "y": 8}]}, {"points": [{**CLICK, "label": 2}]}, {"points": [CLICK, [1, 2]]},
    {"points": [[1e9, 1], *POINTS]}, {"points": "here"}, {"box": {"x0": 1, "y0": 2, "x1": 3}}, {"box": [1, 2, 3, 4]},
    {"box": BOX, "label": 0}, {"box": BOX, "label": 256}, {"box": BOX, "label": "cup"}, {"label": 1},
    {"objects": []}, {"objects": [{}]}, {"objects": [{"box": BOX}], "box": BOX},
    {"objects": [{"box": BOX}], "label": 1}, {"objects": [{"objects": [{"box": BOX}]}]}, {"objects": {"box": BOX}},
    {"points": [CLICK], "low_res_logits": 1}, {"box": BOX, "name": "cup", "mask_choice": "all", "label": 2.0},
    {"box": BOX, "name": ""}, {"box": BOX, "name": 7}, {"box": BOX, "name": None, "mask_choice": None, "text": None},
    {"box": BOX, "mask_choice": "most"}, {"box": BOX, "text": "the cup"}, {"text": "the cup"},
    {"box": BOX, "low_res_logits": True}, {"box": BOX, "low_res_logits": "yes"},
    {"objects": [{"box": BOX, "name": "cup"}], "mask_choice": "single"}, {"objects": [{"box": BOX}], "mask_choice": 1},
    {"objects": [{"box": BOX}], "bbox": [1, 2, 3, 4]}, {"objects": [{"box": BOX, "point_coords": [[1, 2]]}]},
    {"box": BOX, "labels": [1]}, {"box": BOX, "labels": []}, {"box": BOX, "labels": ["cup"]}, {"box": BOX, "note": [1]},
    {"box": BOX, "neg_points": None}, {"box": BOX, "multimask_output": True}, {"box": BOX, "mask": "cup.png"},
]  # fmt: skip


@pytest.fixture(scope="module", params=SERVERS)
def client(request):
    command, flags = SERVERS[request.param]
    process = HttpProcess(*flags, command=command)
    with process.client() as client:
        yield client
    assert process.stop() == 0, process.said


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def valid(document, schema, value):
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]}).is_valid(value)


def messages(logits):
    """Each prompt apart and beside the image, and what may or may not be in a message besides."""
    for prompt in json.loads(json.dumps(PROMPTS).replace('"LOGITS"', json.dumps(logits))):
        yield {"image": IMAGE, "prompt": prompt}
        yield {"image": IMAGE, **prompt}
    yield {"image": IMAGE, "id": "seven", "reply_to": "nobody", "box": BOX}
    yield {"image": IMAGE, "id": 7, "box": BOX}
    yield {"image": IMAGE, "id": 7.5, "box": BOX}
    yield {"image": IMAGE, "id": None, "box": BOX}
    yield {"image": IMAGE, "prompt": {"box": BOX}, "label": 7}
    yield {"image": IMAGE, "prompt": {"box": BOX}, "points": POINTS}
    yield {"image": IMAGE, "prompt": {"box": BOX}, "bbox": [1, 2, 3, 4]}
    yield {"image": IMAGE, "reply_to": 7, "box": BOX}
    yield {"image": IMAGE, "prompt": "box"}
    yield {"image": 7, "box": BOX}
    yield {"box": BOX}


def test_the_document_and_the_server_agree(client, document):
    operation = document["paths"]["/predict"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schemas = document["components"]["schemas"]
    first = client.post("/predict", json={"image": IMAGE, "points": [CLICK], "low_res_logits": True}).json()
    found = first.get("meta", {}).get("objects") or [{}]
    accepted = 0
    for message in messages(found[0].get("low_res_logits", "AAAAAA==")):
        answer = client.post("/predict", json=message)
        described = valid(document, schema, message)
        shown = {key: value for key, value in message.items() if key != "image"}
        assert (answer.status_code == 200) == described, (shown, answer.text[:300])
        name = "Reply" if described else "Error"
        assert valid(document, schemas[name], answer.json()), (shown, answer.text[:300])
        accepted += described
    assert accepted > 10


def test_answers_in_opex_are_as_described(client, document):
    files = {"image": encoded(picture()), "prompt": (None, json.dumps({"box": BOX}))}
    answer = client.post("/predict", files=files, headers={"Accept": "application/vnd.opex+json"})
    assert answer.status_code == 200, answer.text
    assert valid(document, document["components"]["schemas"]["Opex"], answer.json())


def test_only_models_with_clicks_describe_them(client, document):
    takes_clicks = client.post("/predict", json={"image": IMAGE, "points": [CLICK]}).status_code == 200
    schemas = document["components"]["schemas"]
    if "ObjectPrompt" in schemas:
        assert ("mask_input" in schemas["ObjectPrompt"]["properties"]) == takes_clicks
    else:
        assert "mask_input" not in json.dumps(document)
