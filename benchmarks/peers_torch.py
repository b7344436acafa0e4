"""The step of `peers.py` in PyTorch, plain and tuned, and with TorchJD's UPGrad."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from mtl.data.class_names import CLASSES

if TYPE_CHECKING:
    from peers import Case

WIDTHS = (16, 32, 64, 128)  # of conf/backbone/small_cnn.yaml
LEARNING_RATE, EPSILON = 1e-3, 1e-7  # as Keras has Adam
BINARY = 3  # heads of one logit; the fourth tells the classes apart


class Trunk(nn.Module):
    """From features, or from frames of bytes, to the shared layer's outputs."""

    def __init__(self, case: Case, channels_last: bool) -> None:
        super().__init__()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        stages, before = [], 3
        for width in WIDTHS if case.side else ():
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
            stages += [convolution, nn.BatchNorm2d(width, eps=1e-3, momentum=0.1), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        self.stages = nn.Sequential(*stages).to(memory_format=self.format) if stages else None
        self.shared = nn.Linear(before if case.side else case.features, case.units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (b, units)."""
        if self.stages is not None:
            images = (x.float() / 127.5 - 1.0).permute(0, 3, 1, 2).contiguous(memory_format=self.format)
            x = self.stages(images).mean(dim=(2, 3))
        return torch.relu(self.shared(x))


def steps_of(way: str, case: Case) -> Callable[[], None]:
    """A round of steps on data at random, in a new order every time."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    tuned = way == "PyTorch, tuned"
    trunk = Trunk(case, channels_last=tuned)
    heads = nn.ModuleList([nn.Linear(case.units, 1) for _ in range(BINARY)] + [nn.Linear(case.units, len(CLASSES))])
    parameters = [*trunk.parameters(), *heads.parameters()]
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, eps=EPSILON, fused=tuned)
    n = case.batch * case.steps
    frames = torch.randint(0, 256, (n, case.side, case.side, 3), dtype=torch.uint8)
    data = frames if case.side else torch.randn(n, case.features)
    binary, classes = torch.randint(0, 2, (n, BINARY)).float(), torch.randint(0, len(CLASSES), (n,))
    backward = _by_upgrad(trunk, heads) if "UPGrad" in way else lambda losses, _: torch.stack(losses).sum().backward()

    def epoch() -> None:
        for at in torch.randperm(n).reshape(case.steps, case.batch):
            optimizer.zero_grad()
            hidden = trunk(data[at])
            *single, last = [head(hidden) for head in heads]
            losses = [
                nn.functional.binary_cross_entropy_with_logits(logit[:, 0], binary[at, i])
                for i, logit in enumerate(single)
            ]
            losses.append(nn.functional.cross_entropy(last, classes[at]))
            backward(losses, hidden)
            optimizer.step()

    return epoch


def _by_upgrad(trunk: nn.Module, heads: nn.ModuleList) -> Callable[[list[torch.Tensor], torch.Tensor], None]:
    """Each head by its own loss, the trunk by UPGrad of the losses' gradients."""
    from torchjd.aggregation import UPGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    upgrad, shared = UPGrad(), [*trunk.parameters()]

    def backward(losses: list[torch.Tensor], hidden: torch.Tensor) -> None:
        mtl_backward(losses, hidden, tasks_params=[[*head.parameters()] for head in heads], shared_params=shared)
        jac_to_grad(shared, upgrad)

    return backward
