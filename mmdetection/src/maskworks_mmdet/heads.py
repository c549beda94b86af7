"""Where a model's config says how many classes there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Parts of a model that predict the classes of objects; others (a semantic branch, say) count something else.
_HEADS = ("bbox_head", "mask_head", "panoptic_head", "panoptic_fusion_head", "query_head", "roi_head", "detector")
_COUNTS = ("num_classes", "num_things_classes")


def class_counts(model: Mapping[str, Any]) -> dict[str, int]:
    """Numbers of classes by where they stand, e.g. `{"model.roi_head.bbox_head.num_classes": 80}`."""
    return dict(_counts(model, "model"))


def things(names: tuple[str, ...], model: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the objects that a model finds: of a panoptic one the things, which it counts before the stuff."""
    head = model.get("panoptic_fusion_head") or {}
    count, stuff = head.get("num_things_classes", 0), head.get("num_stuff_classes", 0)
    return names[:count] if stuff and len(names) == count + stuff else names


def _counts(part: Any, path: str) -> list[tuple[str, int]]:
    if isinstance(part, (list, tuple)):
        return [found for index, item in enumerate(part) for found in _counts(item, f"{path}.{index}")]
    if not isinstance(part, Mapping):
        return []
    own = [(f"{path}.{key}", part[key]) for key in _COUNTS if isinstance(part.get(key), int)]
    if any(key.endswith("num_things_classes") for key, _ in own):
        own = [(key, count) for key, count in own if not key.endswith(".num_classes")]
    return own + [found for key in _HEADS if key in part for found in _counts(part[key], f"{path}.{key}")]
