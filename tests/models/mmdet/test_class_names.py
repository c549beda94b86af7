"""MMDET_CLASSES in all its forms."""

import pytest

from maskworks.errors import ConfigError
from maskworks_mmdet.class_names import from_environment, parse


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("'cat','dog'", ("cat", "dog")),
        ('"cat", "dog"', ("cat", "dog")),
        ("cat,dog", ("cat", "dog")),
        ("cat, big dog", ("cat", "big dog")),
        ("'cat, small','dog'", ("cat, small", "dog")),
        ("'cat'", ("cat",)),
        ("cat", ("cat",)),
        ("Käfer,甲虫", ("Käfer", "甲虫")),
    ],
)
def test_class_names_in_a_text(text, names):
    assert parse(text) == names


@pytest.mark.parametrize("content", ["cat,dog", "'cat','dog'\n", "cat\ndog\n", "\ufeffcat,\ndog", "cat,dog\r\n"])
def test_class_names_in_a_file(tmp_path, content):
    file = tmp_path / "labels.txt"
    file.write_bytes(content.encode())
    assert parse(str(file)) == ("cat", "dog")


def test_a_file_without_extension_in_this_folder(tmp_path, monkeypatch):
    (tmp_path / "labels").write_text("cat,dog")
    monkeypatch.chdir(tmp_path)
    assert parse("labels") == ("cat", "dog")


@pytest.mark.parametrize("text", ["cat,,dog", "cat,dog,cat", "'cat','dog", "/nowhere/labels.txt", "''"])
def test_what_is_wrong_is_said(text):
    with pytest.raises(ConfigError, match="MMDET_CLASSES"):
        parse(text)


@pytest.mark.parametrize(("value", "names"), [(None, None), ("  ", None), ("a,b", ("a", "b"))])
def test_the_variable(monkeypatch, value, names):
    monkeypatch.delenv("MMDET_CLASSES", raising=False)
    if value is not None:
        monkeypatch.setenv("MMDET_CLASSES", value)
    assert from_environment() == names
