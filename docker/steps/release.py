"""Prints what is in an image as `NAME="value"` lines, which shells can read: release.py NAME_OF_THE_IMAGE."""

import platform
import sys
from importlib.metadata import entry_points, version

import torch

scripts = entry_points(group="console_scripts")
lines = {
    "IMAGE": sys.argv[1],
    "MASKWORKS_VERSION": version("maskworks"),
    "PYTHON_VERSION": platform.python_version(),
    "TORCH_VERSION": torch.__version__,
    "TORCHVISION_VERSION": version("torchvision"),
    "CUDA_VERSION": torch.version.cuda or "",
    "CUDA_ARCHS": torch._C._cuda_getArchFlags() if torch.version.cuda else "",
    "COMMANDS": " ".join(sorted(script.name for script in scripts if script.dist and "maskworks" in script.dist.name)),
}
for name, value in lines.items():
    sys.stdout.write(f'{name}="{value}"\n')
