#!/bin/sh
# Ends with an error if a package of /opt/venv lacks another one, or has it in a version that does not fit.
#
# MMDetection's packages ask for opencv-python, which is opencv-python-headless with windows, and for a package of image
# corruptions that nothing imports.
set -eu

problems=$(/opt/venv/bin/python -m pip --disable-pip-version-check check |
  grep -v -e '^No broken requirements found' \
    -e ' requires \(opencv-python\|imagecorruptions-imaug\), which is not installed\.$' || test $? = 1)
test -z "$problems" || { echo "$problems" >&2; exit 1; }
