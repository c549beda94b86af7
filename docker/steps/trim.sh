#!/bin/sh
# Removes from FOLDER what is only needed to compile against or to test the packages: trim.sh FOLDER
#
# torch's own headers stay: what `--compile` makes for a CPU includes them.
set -eu

find "$1" -type f -name '*.a' -delete
find "$1" -depth -type d \( \
  -path '*/torch/share/cmake' -o -path '*/nvidia/*/include' \
  -o -path '*/scipy/*/tests' -o -path '*/sympy/*/tests' -o -path '*/networkx/*/tests' -o -path '*/skimage/*/tests' \
  -o -path '*/matplotlib/tests' -o -path '*/yapftests' \
  \) -exec rm -r {} +
