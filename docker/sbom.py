"""Prints what is installed in this image as a CycloneDX document, Debian's packages and Python's: sbom.py IMAGE."""

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from typing import Any

Component = dict[str, Any]


def main(image: str) -> None:
    """Prints the document. It is the same every time, so it has neither a date nor a serial number."""
    name, _, tag = image.rpartition(":")
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": tag}},
        "components": sorted([*debian(), *map(python, distributions())], key=lambda component: component["purl"]),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


def debian() -> list[Component]:
    """The packages of the system."""
    form = "${Package} ${Version} ${Architecture}\n"
    lines = subprocess.run(["dpkg-query", "-W", "-f", form], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [
        component(name, version, f"pkg:deb/debian/{name}@{version.replace(':', '%3A')}?arch={architecture}")
        for name, version, architecture in map(str.split, lines.splitlines())
    ]


def python(package: Distribution) -> Component:
    """A package of the environment, with its licence if it names one."""
    name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    found = component(name, package.version, f"pkg:pypi/{name}@{package.version.replace('+', '%2B')}")
    said = package.metadata.json  # the metadata's names, in lower case
    licence = str(said.get("license", "")).strip()
    if "license_expression" in said:
        found["licenses"] = [{"expression": said["license_expression"]}]
    elif licence and "\n" not in licence:  # some have the whole text there
        found["licenses"] = [{"license": {"name": licence}}]
    return found


def component(name: str, version: str, purl: str) -> Component:
    """An entry of the document; its package URL says what it is and where it comes from."""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


main(*sys.argv[1:])
