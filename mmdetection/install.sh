#!/bin/sh
# Installs MMDetection into an environment that has torch. mmcv's operators are compiled the first time, which takes
# a quarter of an hour on two cores; the wheel is kept.
#
#   install.sh PYTHON WHEELS
#
# PYTHON is the environment's interpreter, WHEELS the folder for the wheels. The operators are built for GPUs, too, if
# there are a GPU and its compiler (nvcc), or with FORCE_CUDA=1 and TORCH_CUDA_ARCH_LIST where there is no GPU.
# MAX_JOBS bounds the number of compilers at a time.
set -eu

python=$1
here=$(cd "$(dirname "$0")" && pwd)
built="onedl-mmcv==2.3.6 onedl-mmdetection==3.5.1"
# MMDetection imports imaug. None of these may bring its dependencies: opencv-python is among them, and would overwrite
# the files of opencv-python-headless.
others="onedl-mmengine==0.10.12 imaug==0.4.2"
build_tools="setuptools==80.9.0 wheel==0.48.0 ninja==1.13.2"

fail() { echo "$*" >&2; exit 1; }
pip() { "$python" -m pip --disable-pip-version-check "$@"; }

has_gpu() { command -v nvcc >/dev/null && "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; }

if [ "${FORCE_CUDA:-0}" = 1 ] || has_gpu; then kind=cuda; else kind=cpu; fi
versions=$("$python" -c 'import sys, torch; print("py%d.%d-torch%s" % (*sys.version_info[:2], torch.__version__))') ||
  fail "torch is missing in $python: install it first (make install)"
# A folder for each build that would be another one: what is built, on and for what.
gpus=$([ $kind = cpu ] || echo "${TORCH_CUDA_ARCH_LIST:-}")
wheels=$2/$(echo "$versions" "$(uname -m)" $kind $gpus $built | tr -s ' =;' '-')
mkdir -p "$wheels"

if ! ls "$wheels"/onedl_mmcv-*.whl >/dev/null 2>&1; then
  command -v "${CXX:-c++}" >/dev/null ||
    fail "A C++ compiler is missing, it has to build mmcv's operators. Debian: apt-get install g++"
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  test -f "$include/Python.h" ||
    fail "Python's headers are missing ($include/Python.h). Debian: apt-get install python3-dev"
  echo "building mmcv's operators ($kind), this takes a while the first time ..."
  tools=$(mktemp -d)
  trap 'rm -rf "$tools"' EXIT
  pip install -q -c "$here/../constraints.txt" --target "$tools" $build_tools
  if [ $kind = cuda ]; then export FORCE_CUDA=1; else export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=; fi
  # CFLAGS takes the place of Python's own flags: without -O3 here the operators would be several times slower.
  export MMCV_WITH_OPS=1 MAX_JOBS="${MAX_JOBS:-$(nproc)}" CFLAGS="-O3 -DNDEBUG -g0"
  # pip's cache does not know for which torch a wheel was built.
  PYTHONPATH=$tools PATH=$tools/bin:$PATH pip wheel -q --no-cache-dir --no-deps --no-build-isolation \
    --no-binary onedl-mmcv -w "$tools/wheels" $built
  mv "$tools"/wheels/onedl_mmdetection-*.whl "$tools"/wheels/onedl_mmcv-*.whl "$wheels"
fi

pip install -q -c "$here/../constraints.txt" -r "$here/requirements.txt"
# pip would keep what is installed in the same version, however it was built.
pip install -q --no-deps --force-reinstall "$wheels"/onedl_*.whl
pip install -q --no-deps $others
"$python" -c 'import mmcv.ops, mmdet' >/dev/null 2>&1 || fail "mmcv's operators do not load; remove $wheels and try again"
