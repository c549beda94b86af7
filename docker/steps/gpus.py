"""Ends with an error if torch is built for another CUDA, or other GPUs, than the labels say: gpus.py CUDA ARCHS."""

import sys

import torch

cuda, archs = sys.argv[1:]
if torch.version.cuda is None:
    sys.exit(f"torch {torch.__version__} is built without CUDA; expected CUDA {cuda} (TORCH_INDEX)")
built = ",".join(torch._C._cuda_getArchFlags().split())
if (torch.version.cuda, built) != (cuda, archs):
    sys.exit(
        f"torch {torch.__version__} is built for CUDA {torch.version.cuda}, {built}; expected CUDA {cuda}, {archs}. "
        f"If this torch is meant: make ... TORCH_CUDA={torch.version.cuda} TORCH_ARCHS={built}"
    )
