#!/usr/bin/env bash
# TorchJD's UPGrad turns into the mean, and its CAGrad stands still, once the gradients are small.
#
# In torchjd 0.18.0 the Gramian of the tasks' gradients is divided by its trace, but set to zero where the trace
# is below `norm_eps`, 1e-4 by default: that is a Jacobian with a norm below .01, a quantity with a unit. Below it
# UPGrad, which promises that no task is harmed, returns the plain mean, and CAGrad returns zeros; neither says
# so. Losses that are divided by a number of frames or weighted down can be there from the first step, others as
# they converge, and a comparison of weightings then shows "UPGrad is no better than the mean" or a CAGrad that
# stops early where only the unit was small. The same descent, with losses divided by 1000 and the rate multiplied
# by 1000, goes from a distance of 3.61 to .12 in one case and does not move in the other. Instead: `CAGrad(c,
# norm_eps=0.0)` and `UPGrad(projector=QuadprogProjector(norm_eps=0.0))`, which give the direction of the large
# scale, and a record of the Jacobian's norm beside the losses. The torch of PyPI is several GB on Linux; its
# build for CPU does as well.
#
# Seen on Python 3.11:
#   torchjd 0.18.0, torch 2.13.0
#   expected: the direction of an update does not depend on the unit of the losses
#   seen, norm 3.3166  UPGrad [ 0.048,  0.650]  CAGrad [-0.441,  0.500]  mean [-1.000,  0.500]  first task under UPGrad +0.048
#   seen, norm 0.0332  UPGrad [ 0.048,  0.650]  CAGrad [-0.441,  0.500]  mean [-1.000,  0.500]  first task under UPGrad +0.048
#   seen, norm 0.0099  UPGrad [-1.000,  0.500]  CAGrad [ 0.000,  0.000]  mean [-1.000,  0.500]  first task under UPGrad -1.000
#   seen, norm 0.0033  UPGrad [-1.000,  0.500]  CAGrad [ 0.000,  0.000]  mean [-1.000,  0.500]  first task under UPGrad -1.000
#   seen, 200 steps of CAGrad from 3.61: losses as they are 0.12, divided by 1000 at 1000 times the rate 3.61
#   seen, the latter with norm_eps=0: 0.12
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  torchjd==0.18.0 torch==2.13.0 numpy==2.4.0 qpsolvers==4.13.0 quadprog==0.1.14 cvxpy==1.9.3 clarabel==0.11.1
cat > "$work/check.py" <<'PY'
from importlib.metadata import version

import torch
from torchjd.aggregation import CAGrad, Mean, UPGrad
from torchjd.linalg import QuadprogProjector

# Two tasks whose gradients disagree so much that their mean harms the first.
jacobian = torch.tensor([[1.0, 0.0], [-3.0, 1.0]])


def direction(aggregator, scale):
    """The update for the scaled Jacobian, put back to the scale of the Jacobian."""
    return aggregator(jacobian * scale) / scale


def words(vector):
    return "[" + ", ".join(f"{x + 0:6.3f}" for x in vector.tolist()) + "]"


print(f"torchjd {version('torchjd')}, torch {torch.__version__.split('+')[0]}")
print("expected: the direction of an update does not depend on the unit of the losses")
methods = {"UPGrad": UPGrad(), "CAGrad": CAGrad(c=.5), "mean": Mean()}
seen = {}
for scale in (1, .01, .003, .001):
    norm = jacobian.norm().item() * scale
    for name, aggregator in methods.items():
        seen[name, scale] = direction(aggregator, scale)
    change = jacobian @ seen["UPGrad", scale]
    print(f"seen, norm {norm:.4f}  " + "  ".join(f"{name} {words(seen[name, scale])}" for name in methods)
          + f"  first task under UPGrad {change[0].item():+.3f}")

for name in ("UPGrad", "CAGrad"):
    assert torch.allclose(seen[name, .01], seen[name, 1], atol=1e-2), name
for scale in (.003, .001):
    assert torch.allclose(seen["UPGrad", scale], seen["mean", scale], atol=1e-4)
    assert (seen["CAGrad", scale] == 0).all()
assert (jacobian @ seen["UPGrad", 1])[0] > -1e-3 and (jacobian @ seen["UPGrad", .001])[0] < -.5


def trained(unit, **options):
    """Distance left after plain descent; the losses are divided, the rate multiplied by `unit`."""
    x = torch.tensor([3.0, -2.0])
    centres, widths = torch.tensor([[0.0, 0.0], [0.5, 0.0]]), torch.tensor([[1.0, 0.2], [0.3, 1.0]])
    aggregator = CAGrad(c=.5, **options)
    for _ in range(200):
        gradients = widths * (x - centres) / unit
        x = x - .1 * unit * aggregator(gradients)
    return x.norm().item()


left = {unit: trained(unit) for unit in (1, 1000)}
mended = trained(1000, norm_eps=0.0)
print(f"seen, 200 steps of CAGrad from 3.61: losses as they are {left[1]:.2f}, divided by 1000 at 1000 times the rate {left[1000]:.2f}")
print(f"seen, the latter with norm_eps=0: {mended:.2f}")
assert left[1] < .6 and abs(left[1000] - 13**.5) < 1e-5
assert abs(mended - left[1]) < .05
exact = {"UPGrad": UPGrad(projector=QuadprogProjector(norm_eps=0.0)), "CAGrad": CAGrad(c=.5, norm_eps=0.0)}
for name, aggregator in exact.items():
    assert torch.allclose(direction(aggregator, .001), seen[name, 1], atol=1e-2), name
PY
"$work/venv/bin/python" "$work/check.py"
