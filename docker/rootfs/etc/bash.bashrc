# Interactive shells in the image: say what it is, on what it runs, and what is there.
case $- in *i*) ;; *) return ;; esac

. /etc/maskworks-release
PS1="$IMAGE:\w\\$ "

echo "maskworks-$IMAGE $MASKWORKS_VERSION: Python $PYTHON_VERSION, torch $TORCH_VERSION"
gpus=$(nvidia-smi -L 2>/dev/null | sed 's/ (UUID.*//')
if [ -n "$gpus" ]; then
  echo "$gpus"
elif [ -n "$CUDA_VERSION" ]; then
  echo "CPU with $(nproc) cores; a GPU is not visible (docker run --gpus=all)"
else
  echo "CPU with $(nproc) cores"
fi
echo "Commands, each with --help: $COMMANDS"
if [ "$(id -u)" = 0 ]; then
  echo "You are root, and so will be the owner of the results. Better: docker run -u \$(id -u):\$(id -g) ..."
fi
unset gpus
