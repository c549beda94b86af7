#!/bin/sh
# Adds what only this image needs to /opt/venv, from a lock file: packages.sh LOCK_FILE
set -eu
here=$(dirname "$0")

touch /opt/start
/opt/venv/bin/python -m pip --disable-pip-version-check install -q --no-deps --require-hashes --no-build-isolation -r "$1"
sh "$here/collect.sh"
