"""What commands say of wrong arguments: a line each, all together, with the flag that was meant."""

from __future__ import annotations

from functools import partial

import pytest

from maskworks import options
from maskworks.commands import redis_clients as clients
from maskworks.commands.doctor.command import main as doctor
from maskworks.config import FolderConfig, MetricsConfig
from maskworks.config.arguments import add_flags
from maskworks_dextr.prompt_flags import SENDER
from tests.support.commands import run_here

FOLDERS = ["--prediction_in", "in", "--prediction_out", "out"]


def parse(*arguments):
    parser = options.new_parser("some_command", "Does something.")
    add_flags(parser, "folders", FolderConfig)
    add_flags(parser, "monitoring", MetricsConfig)
    parser.add_argument("--many", nargs="+")
    parser.parse_args(arguments)
    return 0


def said(*arguments):
    code, text = run_here(lambda flags: parse(*flags), *arguments)
    assert code == 2
    *lines, last = text.splitlines()
    assert last == "some_command --help lists all flags"
    assert all(line.startswith("some_command: ") for line in lines)
    return [line.removeprefix("some_command: ") for line in lines]


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("--prediction-tmp", "--prediction_tmp"), ("--predction_tmp=x", "--prediction_tmp"),
        ("--continous", "--continuous"), ("--poll", "--poll_wait"), ("--metrics", "--metrics_host or --metrics_port"),
    ],
)  # fmt: skip
def test_a_typo(typo, meant):
    assert said(*FOLDERS, typo) == [f"{typo.partition('=')[0]}: there is no such flag; did you mean {meant}?"]


def test_a_flag_like_no_other():
    assert said(*FOLDERS, "--qwertz", "5") == ["--qwertz: there is no such flag"]


def test_all_that_is_wrong_at_once():
    assert said("--predictoin_in", "in", "--poll_wait", "soon", "--metrics_port", "1.5", "--prediction_out", "out") == [
        "--predictoin_in: there is no such flag; did you mean --prediction_in?",
        "--poll_wait: 'soon' is not a number",
        "--metrics_port: '1.5' is not a whole number",
        "required, but missing: --prediction_in",
    ]


def test_what_is_missing():
    assert said() == ["required, but missing: --prediction_in, --prediction_out"]
    assert said(*FOLDERS, "--poll_wait") == ["--poll_wait: expected one argument"]
    assert said("--prediction_in", "--prediction_out", "out") == ["--prediction_in: expected one argument"]


def test_a_wrong_value_is_not_missing_too():
    code, text = run_here(partial(clients.send, SENDER), "-c", "requests", "-I", "a.png", "-P", "1,1", "2,2")
    assert code == 2
    assert text.splitlines() == [
        "dextr_test_redis_send: -P/--point: expected 4 arguments: -P x,y x,y x,y x,y",
        "dextr_test_redis_send --help lists all flags",
    ]


def test_too_many_values():
    points = ["1", "2", "3", "4", "5", "6", "7", "8"]
    code, text = run_here(partial(clients.send, SENDER), "-c", "requests", "-I", "a.png", "-P", *points)
    assert code == 2
    assert "unrecognized arguments: 5 6 7 and 1 more; -P x,y x,y x,y x,y\n" in text


def test_a_pattern_that_the_shell_expanded():
    (line,) = said("--prediction_out", "out", "--prediction_in", *(f"{letter}.jpg" for letter in "abcdef"))
    assert line.startswith("unrecognized arguments: b.jpg c.jpg d.jpg and 2 more; --prediction_in takes one value")
    assert "quotes" in line
    assert said(*FOLDERS, "--continuous", "more") == ["unrecognized arguments: more"]


def test_values_that_look_like_typos():
    assert parse(*FOLDERS, "--many", "a", "b", "--poll_wait=2") == 0


def test_a_verb_has_flags_of_its_own():
    code, text = run_here(doctor, "doctor", "--redis-host", "there")
    assert code == 2
    assert text.splitlines() == [
        "maskworks doctor: --redis-host: there is no such flag; did you mean --redis_host?",
        "maskworks doctor --help lists all flags",
    ]
    code, text = run_here(doctor, "docter")
    assert (code, "invalid choice: 'docter'" in text) == (2, True)
