#!/bin/sh
# Puts what was added to /opt/venv after the file /opt/start was touched into /opt/added, for a layer of its own.
set -eu
cd /
mkdir -p /opt/added
find opt/venv -cnewer /opt/start ! -type d -print0 | tar -c --null -T - | tar -x -C /opt/added
sh "$(dirname "$0")/trim.sh" /opt/added
