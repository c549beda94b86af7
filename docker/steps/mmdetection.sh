#!/bin/sh
# Adds MMDetection to /opt/venv; its installer builds mmcv's operators, from files whose hashes were checked.
#
# DEVICE: cuda builds them for GPUs, too. CUDA_ARCHS: for which, in torch's words.
set -eu
here=$(dirname "$0")
pip() { /opt/venv/bin/python -m pip --disable-pip-version-check "$@"; }

if [ "$DEVICE" = cuda ]; then
  pip install -q --no-deps --require-hashes -r "$here/nvcc.txt"
  CUDA_HOME=$(echo /opt/venv/lib/python3*/site-packages/nvidia/cu[0-9]*)
  # The linker looks for names without a version, and in lib64.
  for library in "$CUDA_HOME"/lib/lib*.so.*; do ln -sf "${library##*/}" "${library%%.so.*}.so"; done
  ln -sfn lib "$CUDA_HOME/lib64"
  export CUDA_HOME FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$CUDA_ARCHS" PATH="$CUDA_HOME/bin:$PATH"
fi

touch /opt/start
pip install -q --no-deps --require-hashes --no-build-isolation -r "$here/mmdetection.txt"
pip download -q --no-deps --require-hashes --no-build-isolation --no-binary onedl-mmcv -d /files -r "$here/openmmlab.txt"
PIP_NO_INDEX=1 PIP_FIND_LINKS=/files sh /src/mmdetection/install.sh /opt/venv/bin/python /wheels
sh "$here/collect.sh"
mkdir /opt/added/mmdetection
ln -s "$(echo /opt/venv/lib/python3*/site-packages/mmdet)/.mim/configs" /opt/added/mmdetection/configs
