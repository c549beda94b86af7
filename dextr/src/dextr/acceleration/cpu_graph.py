"""Replaces the parts of a folded net by faster equivalents for CPUs."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from dextr.acceleration.folding import clean, module_of
from dextr.acceleration.subpixel import SubpixelHead, upsample_add
from maskworks_torch.cpu_operators.convolution import fast_conv
from maskworks_torch.cpu_operators.packed_conv import PackedConv
from maskworks_torch.cpu_operators.winograd import WinogradConv

_ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.Hardswish: "hardswish",
    F.relu: "relu",
    torch.relu: "relu",
    F.hardswish: "hardswish",
}
_ADDITIONS = (operator.add, operator.iadd, torch.add)


def rewrite(graph: fx.GraphModule, input_size: torch.Size) -> fx.GraphModule:
    """Changes the graph for channels-last inputs on the CPU, and returns it.

    Args:
        graph: from `fold`, on the CPU, in the type that it shall compute in.
        input_size: the (N, 4, h, w) that weights are laid out for.
    """
    _propagate_shapes(graph, input_size)
    for node in graph.graph.nodes:
        if _is_upsample(graph, node):
            _rewrite_upsample(graph, node)
    for node in graph.graph.nodes:
        conv = module_of(graph, node)
        if isinstance(conv, nn.Conv2d):
            _rewrite_conv(graph, node, conv)
    return clean(graph)


def _propagate_shapes(graph: fx.GraphModule, input_size: torch.Size) -> None:
    """Notes the size of every result in its node, without computing any."""
    tensors = [*graph.parameters(), *graph.buffers()]
    without_values = copy.deepcopy(graph, {id(tensor): torch.empty_like(tensor, device="meta") for tensor in tensors})
    shapes = ShapeProp(without_values)  # type: ignore[no-untyped-call]
    shapes.propagate(torch.empty(input_size, dtype=tensors[0].dtype, device="meta"))  # type: ignore[no-untyped-call]
    for node, twin in zip(graph.graph.nodes, without_values.graph.nodes, strict=True):
        node.meta.update(twin.meta)


def _rewrite_upsample(graph: fx.GraphModule, node: fx.Node) -> None:
    x, user = node.all_input_nodes[0], _only_user(node)
    if user is None:
        return
    if user.target in _ADDITIONS:
        skips = [operand for operand in user.all_input_nodes if operand is not node]
        if len(skips) == 1 and _size(skips[0]) == _size(node):
            _replace(graph, [node, user], upsample_add, (x, skips[0]))
        return
    activation = _activation(graph, user)
    last = _only_user(activation) if activation is not None else None
    if activation is None or last is None or _name(graph, activation) != "relu":
        return
    conv, classifier = module_of(graph, user), module_of(graph, last)
    if _is_plain_conv(conv, 3) and _is_plain_conv(classifier, 1):
        graph.add_submodule("subpixel_head", SubpixelHead(conv, classifier, _size(x)))
        _replace(graph, [node, user, activation, last], "subpixel_head", (x,))


def _rewrite_conv(graph: fx.GraphModule, node: fx.Node, conv: nn.Conv2d) -> None:
    x, target, chain = node.all_input_nodes[0], str(node.target), [node]
    addition = _only_user(node)
    other = None if addition is None else _overwritable(graph, addition, node)
    if addition is not None and other is not None:
        chain.append(addition)
    activation = _activation(graph, chain[-1])
    if activation is not None:
        chain.append(activation)
    name = "none" if activation is None else _name(graph, activation)
    graph.set_submodule(target, fast_conv(conv, _size(x), name, residual=other is not None))
    _replace(graph, chain, target, (x,) if other is None else (x, other))


def _overwritable(graph: fx.GraphModule, addition: fx.Node, conv: fx.Node) -> fx.Node | None:
    """The other operand of an addition, if it is a convolution's result that nothing needs afterwards."""
    operands = [operand for operand in addition.all_input_nodes if operand is not conv]
    if addition.target not in _ADDITIONS or len(operands) != 1 or _size(operands[0]) != _size(conv):
        return None
    (other,) = operands
    order = {node: position for position, node in enumerate(graph.graph.nodes)}
    readers = [user for user in other.users if user is not addition]
    if isinstance(module_of(graph, other), PackedConv) and all(
        order[user] < order[addition] and isinstance(module_of(graph, user), (PackedConv, WinogradConv))
        for user in readers
    ):
        return other
    return None


def _is_upsample(graph: fx.GraphModule, node: fx.Node) -> bool:
    module = module_of(graph, node)
    if isinstance(module, nn.Upsample):
        return bool((module.mode, module.scale_factor) == ("nearest", 2))
    if node.target is not F.interpolate or len(node.args) > 1:
        return False
    return bool((node.kwargs.get("mode", "nearest"), node.kwargs.get("scale_factor")) == ("nearest", 2))


def _is_plain_conv(module: nn.Module | None, kernel: int) -> TypeGuard[nn.Conv2d]:
    """True for a convolution of that kernel that keeps the size and mixes all channels."""
    if not isinstance(module, nn.Conv2d):
        return False
    geometry = (module.kernel_size, module.padding, module.stride, module.dilation, module.groups)
    return geometry == ((kernel, kernel), (kernel // 2, kernel // 2), (1, 1), (1, 1), 1)


def _activation(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The activation that is the only user of a node's result."""
    user = _only_user(node)
    return user if user is not None and _name(graph, user) else None


def _name(graph: fx.GraphModule, node: fx.Node) -> str:
    """The operators' name of an activation; empty for any other node."""
    module = module_of(graph, node)
    return _ACTIVATIONS.get(node.target if module is None else type(module), "")


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _size(node: fx.Node) -> torch.Size:
    size: torch.Size = node.meta["tensor_meta"].shape
    return size


def _replace(
    graph: fx.GraphModule, chain: list[fx.Node], target: str | Callable[..., torch.Tensor], args: tuple[fx.Node, ...]
) -> None:
    """Puts one call in the place of several nodes, each but the last of which only the next one uses."""
    with graph.graph.inserting_before(chain[-1]):
        call = (
            graph.graph.call_module(target, args)
            if isinstance(target, str)
            else graph.graph.call_function(target, args)
        )
    call.meta = chain[-1].meta
    chain[-1].replace_all_uses_with(call)
    for node in reversed(chain):
        graph.graph.erase_node(node)
