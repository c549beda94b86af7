"""Models of MMDetection that do not find objects in a picture alone, and those whose packages are not there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings

from maskworks.errors import CheckpointError
from maskworks_mmdet.repairs import parts

# By the start of the module in which MMDetection has them; a text is also what a `language_model` reads.
_OTHERS = {
    "mmdet.models.mot": "follows objects through a video",
    "mmdet.models.vis": "follows objects through a video",
    "mmdet.models.reid": "compares objects that were cut out",
    "mmdet.models.detectors.clrnet": "finds the lanes of a road",
    "mmdet.models.detectors.fast_rcnn": "wants proposals with each picture",
}
_TEXTS = "wants a text with each picture"
# Other packages of OpenMMLab, by the scope of their types; and what single types of MMDetection need.
_SCOPES = {"mmpretrain": "mmpretrain", "mmcls": "mmpretrain", "mmseg": "mmseg"}
_INSTALLED_AS = {
    "mmpretrain": "pip install --no-deps onedl-mmpretrain",
    "mmseg": "pip install --no-deps onedl-mmsegmentation",
}
_NEEDS = {
    "TIMMBackbone": "timm", "Detectron2Wrapper": "detectron2", "BertModel": "transformers", "GLIP": "nltk",
    "GroundingDINO": "nltk",
}  # fmt: skip


def check_kind(config: Config, path: Path) -> None:
    """Sees that a model finds objects in pictures.

    Raises:
        CheckpointError: it does something else, or wants more than a picture.
    """
    kind = config.model.get("type")
    with DefaultScope.overwrite_default_scope("mmdet"):
        found = MODELS.get(kind) if isinstance(kind, str) else kind
    module = getattr(found, "__module__", "")
    does = next((text for start, text in _OTHERS.items() if module.startswith(start)), None)
    if "language_model" in config.model:
        does = _TEXTS
    if does is not None:
        name = getattr(found, "__name__", kind)
        raise CheckpointError(
            f"--config {path}: {name} {does}, which these commands cannot serve; give the config of a model that finds "
            "objects in pictures, such as Mask R-CNN"
        )


def use_packages(config: Config, path: Path) -> None:
    """Sees that the packages are there that a config names by modules or types, and imports its modules: runs code.

    Raises:
        CheckpointError: some are not there, or cannot be imported.
    """
    needed = {str(name).partition(".")[0] for name in _imports(config)}
    for part in parts(config.get("model")):
        scope, _, name = str(part.get("type", "")).rpartition(".")
        needed |= {known[key] for known, key in ((_SCOPES, scope), (_NEEDS, name)) if key in known}
        if isinstance(part.get("num_cp"), int) and part["num_cp"] > 0:
            needed.add("fairscale")
    absent = sorted(name for name in needed if find_spec(name) is None)
    if absent:
        named = (f"{name} ({_INSTALLED_AS[name]})" if name in _INSTALLED_AS else name for name in absent)
        raise CheckpointError(
            f"--config {path}: needs {', '.join(named)}, which {'is' if len(absent) == 1 else 'are'} not installed "
            "here; install it, or set PYTHONPATH if it is code of your own"
        )
    try:
        import_modules_from_strings(**(config.get("custom_imports") or {"imports": None}))
    except Exception as error:  # noqa: BLE001 (it is code and may raise anything)
        reason = " ".join(f"{error}: {error.__context__ or ''}".removesuffix(": ").split())
        raise CheckpointError(f"--config {path}: custom_imports: {type(error).__name__}: {reason}") from None


def _imports(config: Config) -> list[str]:
    """The modules without which a config cannot be used."""
    wanted = config.get("custom_imports") or {}
    names = [] if wanted.get("allow_failed_imports") else wanted.get("imports") or []
    return [names] if isinstance(names, str) else list(names)
