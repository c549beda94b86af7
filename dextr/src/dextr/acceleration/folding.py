"""A net as a graph, with its batch normalisations folded into its convolutions."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(net: nn.Module) -> fx.GraphModule:
    """A copy of the net for inference: x -> {"out": logits}, nothing else.

    What only training needs is gone: dropout, auxiliary outputs, and batch normalisation after a convolution. Folding
    is exact but for rounding, because BN(conv(x)) is a convolution with scaled weights and another bias.
    """
    net = copy.deepcopy(net).eval()
    graph = fx.GraphModule(net, _Tracer().trace(net))
    for node in graph.graph.nodes:
        module = module_of(graph, node)
        if isinstance(module, nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
        elif isinstance(module, nn.BatchNorm2d):
            _fold_norm(graph, node, module)
        elif node.op == "output":
            node.args = ({"out": node.args[0]["out"]},)
    return clean(graph)


def clean(graph: fx.GraphModule) -> fx.GraphModule:
    """Drops unused nodes and modules, and compiles the rest."""
    graph.graph.eliminate_dead_code()
    graph.graph.lint()  # type: ignore[no-untyped-call]
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def _fold_norm(graph: fx.GraphModule, node: fx.Node, norm: nn.BatchNorm2d) -> None:
    source = node.args[0]
    if not isinstance(source, fx.Node) or len(source.users) > 1:
        return
    conv = module_of(graph, source)
    if isinstance(conv, nn.Conv2d):
        graph.set_submodule(str(source.target), fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)


class _Tracer(fx.Tracer):
    """Takes the branch of a valid input: our nets branch on wrong sizes only."""

    def to_bool(self, obj: fx.Proxy) -> bool:
        return False
