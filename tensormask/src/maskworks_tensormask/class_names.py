"""Names of classes."""

from __future__ import annotations

from pathlib import Path

from maskworks.errors import ConfigError

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


def class_names(file: Path | None, count: int) -> tuple[str, ...]:
    """The names of a model's classes: those in the file, COCO's for 80 classes, else their numbers from 0.

    Raises:
        ConfigError: the file cannot be read, or has another number of names than the model has classes.
    """
    if file is None:
        return COCO if count == len(COCO) else tuple(map(str, range(count)))
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--classes: {file}: cannot be read: {error}; expected a text file"]) from None
    if len(names) != count:
        raise ConfigError([f"--classes: {file} has {len(names)} names; expected {count}, as the model has classes"])
    return names
