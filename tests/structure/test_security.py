"""The program's text: what may never stand in it, and that docs/security.md names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from tests.support.distributions import PACKAGES, ROOT

SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name / "src").rglob("*.py"))
LOADER = ROOT / "common" / "maskworks_torch" / "src" / "maskworks_torch" / "checkpoints.py"
LOADER_OF_DEXTR = ROOT / "dextr" / "src" / "dextr" / "checkpoint_files" / "checkpoints.py"
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
# Whoever can call these with bytes from outside runs what is in the bytes, or a command.
FORBIDDEN = {
    "eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "yaml.unsafe_load", "yaml.full_load", "marshal.loads", "shelve.open",
}  # fmt: skip


def calls(path):
    """Each call in a file by the name of what is called, with its keywords."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_what_it_reads(path):
    for name, keywords in calls(path):
        assert name not in FORBIDDEN, name
        assert not name.startswith("subprocess.") or path.name == "decoder_process.py", name  # its own program
        if name == "yaml.load":
            assert keywords["Loader"] == "_Loader"
        # What is loaded without its protection is loaded in one place, and asked for by name or by --unsafe_load.
        if name.endswith("torch.load"):
            assert path == LOADER
            assert keywords["weights_only"] == "not unsafe"
        if name.endswith("load_torch"):
            unsafe = keywords.get("unsafe", "False")
            assert unsafe in ("False", "unsafe") or (path, unsafe) == (LOADER_OF_DEXTR, "True")


def test_torch_loads_under_no_other_name():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
                assert "load" not in {alias.name for alias in node.names}, path
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
                assert path == LOADER


def test_every_claim_names_a_test_that_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", DOCUMENT)
    assert len(named) > 30
    for file, test in named:
        text = (ROOT / file).read_text()
        assert not test or f"def {test}(" in text, f"{file}::{test}"


def test_every_section_with_claims_names_tests():
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[2:-1]:
        for claim in re.split(r"^\* ", section, flags=re.MULTILINE)[1:]:
            assert "`tests/" in claim or "`make " in claim, claim


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_no_torch_that_weights_can_harm(package):
    least = re.search(r'^    "torch>=2\.(\d+)\b', (ROOT / package / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert least is not None
    assert int(least[1]) >= 10


def test_compose_gives_workers_no_rights():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    workers = {name: service for name, service in services.items() if name != "redis"}
    assert len(workers) >= 3
    for name, worker in workers.items():
        assert worker["read_only"] is True, name
        assert worker["cap_drop"] == ["ALL"], name
        assert worker["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in worker, name
        assert not worker["user"].startswith("0"), name
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


def test_configs_that_are_programs_are_read_in_one_place():
    """And in the doctor's own check, which reads that of this package."""
    readers = {path.name for path in SOURCES for name, _ in calls(path) if name.endswith("fromfile")}
    assert readers == {"configs.py", "small_model.py"}
