#!/bin/sh
# Makes /opt/venv with what all images share: torch, and what maskworks needs. Lock files lie beside this script.
#
# TORCH_INDEX, if it is set, is where torch comes from, in the locked version. Its wheels there are others than those
# that were locked, so their hashes cannot be checked.
set -eu
here=$(dirname "$0")

python3 -m venv /opt/venv
pip() { /opt/venv/bin/python -m pip --disable-pip-version-check "$@"; }

# What has no wheel is built with the locked setuptools, too.
sed -n '/^\(pip\|setuptools\)==/,/[^\\]$/p' "$here/shared.txt" >"$here/pip.txt"
pip install -q --no-deps --require-hashes -r "$here/pip.txt"
pip install -q --no-deps --require-hashes --no-build-isolation -r "$here/shared.txt"
if [ -n "${TORCH_INDEX:-}" ]; then
  # Not quoted: one word for each package.
  pip install -q --index-url "$TORCH_INDEX" $(sed -n 's/^\(torch\(vision\)\?==[^ ]*\).*/\1/p' "$here/torch.txt")
else
  pip install -q --no-deps --require-hashes -r "$here/torch.txt"
fi
pip check
