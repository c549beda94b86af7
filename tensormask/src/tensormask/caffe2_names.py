"""Names of ImageNet weights from Caffe2 and Detectron, in the words of this network.

conv1_w                             -> stem.conv1.weight
res_conv1_bn_s, ..._gamma           -> stem.conv1.norm.weight
res2_0_branch2a_bn_b, ..._beta      -> res2.0.conv1.norm.bias
res2_0_branch1_bn_rm                -> res2.0.shortcut.norm.running_mean
"""

from __future__ import annotations

import re

# Applied in this order to a name whose underscores are dots.
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\.b$", ".bias"),
        (r"\.w$", ".weight"),
        (r"bn\.(s|gamma)$", "norm.weight"),
        (r"bn\.(bias|beta)$", "norm.bias"),
        (r"bn\.(rm|running\.mean)$", "norm.running_mean"),
        (r"bn\.(riv|running\.var)$", "norm.running_var"),
        (r"^res\.conv1\.norm\.", "conv1.norm."),
        (r"^conv1\.", "stem.conv1."),
        (r"\.branch1\.", ".shortcut."),
        (r"\.branch2a\.", ".conv1."),
        (r"\.branch2b\.", ".conv2."),
        (r"\.branch2c\.", ".conv3."),
    )
)


def convert(name: str) -> str:
    """A name of ours for one of Caffe2's; one that has none comes back in some form that matches nothing."""
    name = name.replace("_", ".")
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name


def match(wanted: list[str], given: list[str]) -> dict[str, str]:
    """For each wanted name the longest given one that is its end: `res2.0.conv1.weight` for `backbone.res2.0.conv1...`.

    Wanted names without one are left out.
    """
    known = set(given)
    found = {}
    for name in wanted:
        parts = name.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        end = next((end for end in ends if end in known), None)
        if end is not None:
            found[name] = end
    return found
