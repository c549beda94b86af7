"""The body of `maskworks doctor`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks import options
from maskworks.commands.doctor.finding import Finding, guarded
from maskworks.commands.run import run_command, say
from maskworks.config import ModelConfig, RedisServerConfig, check
from maskworks.config import from_args as config_from
from maskworks.config.arguments import add_flags


def main(argv: Sequence[str] | None = None) -> int:
    """`maskworks`: so far with `doctor` as its only verb. Returns the exit code: 1 if there is a problem."""
    parser = options.new_parser("maskworks", "Looks after an installation of maskworks.")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "Looks at versions, device, cache and Redis, and lets every installed model predict something known."
    doctor = verbs.add_parser("doctor", help="see whether this installation is right", description=text)
    add_flags(doctor, "device", ModelConfig, without=("compile",))
    options.add_redis_server_options(doctor)
    doctor.add_argument("--weights", metavar="FILE", nargs="+", type=Path, default=[], help="model files to identify")
    doctor.add_argument("--json", action="store_true", help="for programs: a JSON array instead of the table")
    return run_command(parser, _doctor, argv)


def entry() -> None:
    """`maskworks`."""
    sys.exit(main())


def _doctor(args: argparse.Namespace) -> int:
    server = config_from(RedisServerConfig, args)
    check(server)

    from maskworks.commands.doctor.report import as_json, table

    logging.disable(logging.WARNING)  # what goes wrong is in the report
    findings = []
    for finding in _findings(args, server):
        findings.append(finding)
        if not args.json and sys.stderr.isatty():
            say(f"{finding.topic} ...")
    print(as_json(findings) if args.json else table(findings))  # noqa: T201
    return 1 if any(finding.state == "problem" for finding in findings) else 0


def _findings(args: argparse.Namespace, server: RedisServerConfig) -> Iterator[Finding]:
    from maskworks.commands.doctor import system
    from maskworks.commands.doctor.models import models, weights
    from maskworks.commands.doctor.redis import redis

    yield from guarded("versions", system.versions)
    yield from guarded("allocator", system.allocator)
    yield from guarded("cache", system.cache)
    yield from guarded("redis", lambda: redis(server))
    yield from weights(args.weights)
    yield from models(args.device, args.precision)
