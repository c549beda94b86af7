from __future__ import annotations

import argparse
import dataclasses
import urllib.parse
from pathlib import Path

import pytest

from maskworks import config, options
from maskworks.errors import ConfigError


def folder_config(tmp_path, **values):
    (tmp_path / "in").mkdir(exist_ok=True)
    values = {"prediction_in": tmp_path / "in", "prediction_out": tmp_path / "out", **values}
    return config.FolderConfig(**values)


REQUIRED = ["--prediction_in", "a", "--prediction_out", "b", "--redis_in", "c", "--redis_out", "d"]


def all_flags():
    parser = options.new_parser("prog", "text")
    options.add_model_options(parser, config.ModelConfig)
    options.add_folder_options(parser)
    options.add_pipeline_options(parser)
    options.add_redis_options(parser)
    options.add_watch_options(parser)
    return parser


CONFIGS = [
    config.ModelConfig, config.FolderConfig, config.InputConfig, config.ShapeConfig, config.LoopConfig,
    config.RedisConfig, config.MetricsConfig, config.LogConfig,
]  # fmt: skip


def test_every_flag_is_a_field_and_every_field_a_flag():
    fields = {field.name for kind in CONFIGS for field in dataclasses.fields(kind)}
    flags = {action.dest for action in all_flags()._actions} - {"help", "version", "check"}
    assert flags == fields


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_of_flags_are_those_of_the_fields(kind, tmp_path):
    args = all_flags().parse_args(REQUIRED)
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            assert getattr(args, field.name) == field.default, field.name
    assert isinstance(config.from_args(kind, args), kind)


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config.check(
            folder_config(tmp_path, prediction_in=tmp_path / "nowhere", poll_wait=-1.0),
            config.InputConfig(max_pixels=0),
            config.LogConfig(verbose=True, quiet=True),
        )
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for flag in ("--prediction_in", "--poll_wait", "--max_pixels", "--quiet"):
        assert flag in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_numbers_that_are_none(value):
    assert list(config.ShapeConfig(simplify=value).problems())


@pytest.mark.parametrize("flag", ["prediction_out", "prediction_tmp", "prediction_failed"])
def test_results_do_not_go_into_the_input_folder(tmp_path, flag):
    (problem,) = folder_config(tmp_path, **{flag: tmp_path / "in"}).problems()
    assert problem.startswith(f"--{flag}: ")


@pytest.mark.parametrize("flag", ["prediction_out", "prediction_tmp", "prediction_failed"])
def test_the_input_folder_by_another_name(tmp_path, flag, monkeypatch):
    """On a share `IN` is `in`, and a container may mount one folder twice; here the comparison stands for that."""
    (tmp_path / "IN").mkdir()
    monkeypatch.setattr(Path, "samefile", lambda one, other: one.name.lower() == other.name.lower())
    (problem,) = folder_config(tmp_path, **{flag: tmp_path / "IN"}).problems()
    assert problem.startswith(f"--{flag}: ")
    assert "is the input folder" in problem


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "file").write_text("")
    problems = list(folder_config(tmp_path, prediction_out=tmp_path / "file").problems())
    assert any("is a file" in problem for problem in problems)


def test_good_values_have_no_problems(tmp_path):
    config.check(folder_config(tmp_path), config.InputConfig(), config.ShapeConfig(), config.LoopConfig())


def test_abbreviations_are_refused(capsys):
    with pytest.raises(SystemExit):
        all_flags().parse_args([*REQUIRED, "--verb"])
    assert "--verb" in capsys.readouterr().err


def test_help_shows_defaults():
    text = all_flags().format_help()
    assert "(default: 1.0)" in text
    assert isinstance(all_flags(), argparse.ArgumentParser)


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ({"redis_in": "a", "redis_out": "a"}, ["redis_out"]),
        ({"redis_in": "a", "redis_out": "a", "redis_mode": "stream"}, ["redis_out"]),
        ({"redis_in": "a", "redis_out": "b", "redis_err": "a"}, ["redis_err"]),
        ({"redis_in": "a", "redis_out": "b", "redis_err": "a", "redis_mode": "stream"}, ["redis_err"]),
        ({"redis_in": "a_errors", "redis_out": "a", "redis_mode": "stream"}, ["redis_err"]),
        ({"redis_in": "a*", "redis_out": "a_out"}, ["redis_out", "redis_err"]),
        ({"redis_in": "?[^ab]*", "redis_out": "bb", "redis_err": "cc"}, ["redis_err"]),
        ({"redis_in": "a*", "redis_out": "a_out", "redis_mode": "stream"}, []),
        ({"redis_in": "camera.*", "redis_out": "masks"}, []),
        # Redis: a star, one of the characters ! and b, and nothing at all.
        ({"redis_in": r"a\*", "redis_out": "a_out"}, []),
        ({"redis_in": "[!b]", "redis_out": "c"}, []),
        ({"redis_in": "[]c]", "redis_out": "c"}, []),
    ],
)
def test_workers_do_not_read_their_own_answers(values, flags):
    problems = list(config.RedisConfig(**values).problems())
    assert [problem.partition(":")[0] for problem in problems] == [f"--{flag}" for flag in flags]


@pytest.mark.parametrize(
    "url",
    [
        "redis://", "redis:///0", "redis://user:hunter2@host:1/0?socket_timeout=3", "unix:///run/redis.sock?db=1",
        f"rediss://user@host/0?ssl_ca_certs={__file__}", "redis://:hunter2%2F%23%40@host",
        "redis+sentinel://:hunter2@a,b:7,[::1]:8/main/1?socket_timeout=2&sentinel_password=hunter2",
        "rediss+sentinel://a/main?sentinel_ssl=no&sentinel_username=me", "redis+cluster://me:hunter2@a:1,[::1]:2/0",
        f"rediss+cluster://a,b?ssl_ca_certs={__file__}",
    ],
)  # fmt: skip
def test_urls_of_redis(url):
    server = config.RedisServerConfig(redis_url=url)
    assert list(server.problems()) == []
    assert "hunter2" not in server.server_name


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x", "redis://a..b", "host:6379", "redis://host:port", "redis://host:99999", "redis://[host", "redis://host?nonsense=1",
        "redis://host?socket_timeout=x", f"redis://host?ssl_ca_certs={__file__}", "redis://host?decode_responses=True",
        "redis://host?protocol=3", "redis://:12/hunter2@host", "redis://:12#hunter2@host", "redis://:hunter2/a@host",
        "redis://:hunter2?a@host", "rediss://host?ssl_cert_reqs=x", "rediss://host?ssl_ca_certs=/nowhere/ca.pem",
        "rediss://host?ssl_certfile=%00", "rediss://host?ssl_keyfile=/", "unix+sentinel:///run/socket/main",
        "redis+sentinel://a,b", "redis+sentinel://a,b/", "redis+sentinel://a:b/main", "redis+sentinel://a,,b/main",
        "redis+sentinel://a/main/x", "redis+sentinel://:hunter2/1@a/main", "redis+sentinel://:hunter2#a@a/main",
        "redis+sentinel://a/main?nonsense=1", "redis+sentinel://a/main?sentinel_nonsense=1", "redis+cluster://a:99999",
        "redis+sentinel://a/main?sentinel_password=hunter2&protocol=2", "redis+cluster://[::1/", "redis+cluster://a/1",
        "redis://host/x", "redis://host/1/2", "redis://host:0", "redis+cluster://a?db=1", "redis+cluster://", "rediss+sentinel://a/main?sentinel_ssl_ca_certs=/nowhere/ca.pem",
    ],
)  # fmt: skip
def test_wrong_urls_of_redis(url):
    (problem,) = config.RedisServerConfig(redis_url=url).problems()
    assert problem.startswith("--redis_url: ")
    assert "hunter2" not in problem


def test_an_option_that_there_is_not():
    (problem,) = config.RedisServerConfig(redis_url="redis://host?socket_timout=5").problems()
    assert problem.endswith("there is no option socket_timout")


def test_a_password_that_is_not_in_the_environment(monkeypatch):
    monkeypatch.delenv("REDIS_SECRET", raising=False)
    (problem,) = config.RedisServerConfig(redis_password_env="REDIS_SECRET").problems()
    assert problem.startswith("--redis_password_env: ")
    monkeypatch.setenv("REDIS_SECRET", "")  # as compose files have it for a server without password
    server = config.RedisServerConfig(redis_password_env="REDIS_SECRET")
    assert (list(server.problems()), server.password) == ([], None)


def test_a_host_that_cannot_be_asked_for():
    (problem,) = config.RedisServerConfig(redis_host="a..b").problems()
    assert problem.startswith("--redis_host: ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://a,[::1]:7/the%20one/2", ("sentinel", (("a", 26379), ("::1", 7)), "the one")),
        ("rediss+cluster://me:pw@a:1,b", ("cluster", (("a", 1), ("b", 6379)), "")),
    ],
)
def test_addresses_in_urls_of_redis(url, expected):
    nodes = config.RedisServerConfig(redis_url=url).redis_nodes
    assert (nodes.kind, nodes.addresses, nodes.service) == expected
    assert nodes.server.partition("://")[0] == url.partition("+")[0]


def test_sentinels_have_options_of_their_own(monkeypatch):
    monkeypatch.setenv("SENTINEL_SECRET", "hunter2&")
    own = "sentinel_username=guard&sentinel_password_env=SENTINEL_SECRET&sentinel_socket_timeout=3"
    url = f"rediss+sentinel://me:pw@a/main?socket_timeout=9&ssl_ca_certs={__file__}&{own}"
    nodes = config.RedisServerConfig(redis_url=url).redis_nodes
    assert nodes.sentinel == (
        f"rediss://localhost/?socket_timeout=3&ssl_ca_certs={urllib.parse.quote_plus(__file__)}"
        "&username=guard&password=hunter2%26"
    )
    assert (
        nodes.server == f"rediss://me:pw@localhost/?socket_timeout=9&ssl_ca_certs={urllib.parse.quote_plus(__file__)}"
    )
    plain = config.RedisServerConfig(redis_url=f"{url}&sentinel_ssl=no").redis_nodes
    assert plain.sentinel == "redis://localhost/?socket_timeout=3&username=guard&password=hunter2%26"


@pytest.mark.parametrize(("tag", "problems"), [("{one}", 0), ("", 1)])
def test_in_a_cluster_all_names_share_a_slot(tag, problems):
    names = {"redis_in": f"{tag}requests", "redis_out": f"{tag}results", "redis_url": "redis+cluster://host"}
    assert len(list(config.RedisConfig(**names, redis_mode="stream").problems())) == problems
    assert list(config.RedisConfig(**names, redis_mode="pubsub").problems()) == []


@pytest.mark.parametrize(
    "url",
    ["redis://:12/hunter2@host", "redis://:hunter2#a@host", "unix://:hunter2/@/socket", "redis+cluster://:hunter2?@a"],
)
def test_what_may_be_a_password_is_not_shown(url):
    assert "hunter2" not in config.RedisServerConfig(redis_url=url).server_name
