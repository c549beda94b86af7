"""Training of a TensorMask model, from config to checkpoint."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from maskworks_torch.training.interruption import Interrupted, Interruption
from maskworks_torch.training.processes import Processes
from tensormask import checkpoints, preprocessing
from tensormask.config import Config
from tensormask.network import TensorMaskNet, build
from tensormask.training.augmentation import Augmentation
from tensormask.training.batches import Batch, loader
from tensormask.training.coco_dataset import CocoDataset, Record
from tensormask.training.ground_truth import GroundTruth
from tensormask.training.losses import losses
from tensormask.training.solver import make_optimizer, make_scheduler
from tensormask.training.training_state import TrainingState

log = logging.getLogger(__name__)

FINAL = "model_final.pth"
_REPORT_PERIOD = 20


class LossNet(nn.Module):
    """The network and its losses in one module, as data-parallel training needs it."""

    def __init__(self, net: TensorMaskNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, truths: Sequence[GroundTruth]) -> dict[str, Tensor]:
        return losses(self.net(images), truths, self.net.config)


def train(
    config: Config,
    records: Sequence[Record],
    folder: Path,
    processes: Processes,
    *,
    weights: Path | None = None,
    resume: bool = False,
    interruption: Interruption | None = None,
) -> TensorMaskNet:
    """Trains a network as the config says and writes checkpoints into the folder, the last one as `model_final.pth`.

    Args:
        config: has the solver, the augmentation and the network.
        records: the images.
        folder: of checkpoints and of `metrics.json`, a JSON object a line.
        processes: this one among those that train together.
        weights: to start from: ImageNet weights of the backbone, or a whole model. None: random values.
        resume: go on from the last checkpoint in the folder, if there is one.
        interruption: notes signals; in all processes or in none.

    Raises:
        Interrupted: a signal came; there is a checkpoint to go on from.
        CheckpointError: weights or checkpoint cannot be used.
        DatasetError: an image cannot be read.
        FloatingPointError: a loss is not finite.
    """
    seed = processes.from_first(lambda: config.seed if config.seed >= 0 else int(time.time()))
    torch.manual_seed(seed)
    net = build(config)
    net.initialise()
    if weights is not None:
        missing = checkpoints.load_pretrained(net, weights)
        log.info("%s: %d weights are not in it and start at random", weights, len(missing))
    net.to(processes.device).train()
    net.backbone.bottom_up.freeze(config.freeze_at)
    net.backbone.freeze_unused(len(config.in_features))  # several processes wait for all their gradients
    optimizer = make_optimizer(net, config)
    scaler = GradScaler(processes.device.type, enabled=config.amp and processes.device.type == "cuda")
    state = TrainingState(net, optimizer, make_scheduler(optimizer, config), scaler, seed)
    if resume and state.resume(folder):
        log.info("resumed in iteration %d", state.iteration)
    dataset = CocoDataset(records, Augmentation(config), config.image_format)
    order = config.seed if config.seed >= 0 else state.seed
    batches = loader(dataset, config, order, processes, state.iteration)
    Training(config, state, processes, folder, interruption).run(batches)
    return net.eval()


@dataclass
class Training:
    """The loop: one iteration per batch, reports, checkpoints."""

    config: Config
    state: TrainingState
    processes: Processes
    folder: Path
    interruption: Interruption | None = None
    _module: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        net = self.state.net
        assert isinstance(net, TensorMaskNet)
        self._module = self.processes.share(LossNet(net), broadcast_buffers=False)

    def run(self, batches: Iterable[Batch]) -> None:
        """Trains until the config's last iteration, and writes the final checkpoint."""
        state, period = self.state, self.config.checkpoint_period
        source, since, start = iter(batches), state.iteration, time.perf_counter()
        while state.iteration < self.config.max_iter:
            self._stop_if_asked()
            found = self.step(next(source))
            if state.iteration % _REPORT_PERIOD == 0 or state.iteration == self.config.max_iter:
                elapsed = (time.perf_counter() - start) / (state.iteration - since)
                self._report(found, elapsed)
                since, start = state.iteration, time.perf_counter()
            if state.iteration % period == 0 and state.iteration < self.config.max_iter:
                self._save(f"model_{state.iteration - 1:07d}.pth", found)
        self._save(FINAL, {})

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One iteration; its losses, detached."""
        device, state = self.processes.device, self.state
        images = preprocessing.batch([image for image, _ in batch], self.config, device)
        truths = [truth.to(device) for _, truth in batch]
        state.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            found: dict[str, Tensor] = self._module(images, truths)
            total = torch.stack(list(found.values())).sum()
        state.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.scheduler.step()
        state.iteration += 1
        return {name: value.detach() for name, value in found.items()}

    def _stop_if_asked(self) -> None:
        signal = 0 if self.interruption is None else self.processes.highest(self.interruption.signal)
        if signal == 0:
            return
        done = self.state.iteration
        if done > 0:
            self._save(f"model_{done - 1:07d}.pth", {})
        raise Interrupted(f"stopped after {done} of {self.config.max_iter} iterations", signal)

    def _precision(self) -> AbstractContextManager[object]:
        if not self.config.amp:
            return nullcontext()
        kind = self.processes.device.type
        return torch.autocast(kind, torch.float16 if kind == "cuda" else torch.bfloat16)

    def _report(self, found: dict[str, Tensor], seconds: float) -> None:
        values = {name: value.item() for name, value in found.items()}
        total = sum(values.values())
        if not total - total == 0:
            raise FloatingPointError(
                f"iteration {self.state.iteration - 1}: the losses are {values}; expected finite numbers: try a lower "
                "SOLVER.BASE_LR or a longer warm-up"
            )
        if not self.processes.is_first:
            return
        rate = self.state.optimizer.param_groups[0]["lr"]
        line = {"iteration": self.state.iteration - 1, "total_loss": total, **values, "lr": rate, "time": seconds}
        with (self.folder / "metrics.json").open("a") as file:
            file.write(json.dumps(line) + "\n")
        parts = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        left = seconds * (self.config.max_iter - self.state.iteration) / 3600
        log.info(
            "iteration %d: total %.4f (%s), %.3f s each, %.1f h left",
            self.state.iteration - 1, total, parts, seconds, left,
        )  # fmt: skip

    def _save(self, name: str, found: dict[str, Tensor]) -> None:
        if found and not all(bool(value.isfinite()) for value in found.values()):
            raise FloatingPointError(f"{name} is not written: a loss is not finite; try a lower SOLVER.BASE_LR")
        if self.processes.is_first:
            self.state.save(self.folder, name)
        self.processes.wait()
