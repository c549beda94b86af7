#!/bin/sh
# Adds the packages of this repository to /opt/venv: code.sh NAME_OF_THE_IMAGE FOLDER...
#
# TORCH_CUDA and TORCH_ARCHS, if they are set, are what the image's labels say of torch.
set -eu
here=$(dirname "$0")
name=$1
shift

[ -z "${TORCH_CUDA:-}" ] || /opt/venv/bin/python "$here/gpus.py" "$TORCH_CUDA" "$TORCH_ARCHS"
touch /opt/start
/opt/venv/bin/python -m pip --disable-pip-version-check install -q --no-deps --no-index --no-build-isolation "$@"
sh "$here/check.sh"
rm -rf /opt/added
sh "$here/collect.sh"
cp -R "$here/rootfs/." /opt/added
/opt/venv/bin/python "$here/release.py" "$name" >/opt/added/etc/maskworks-release
chmod -R a+rX /opt/added
