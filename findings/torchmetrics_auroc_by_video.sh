#!/usr/bin/env bash
# The AUROC of torchmetrics depends on how the frames are cut into updates.
#
# torchmetrics 1.9.0 takes scores outside [0, 1] for logits and passes them through a sigmoid, but it decides so
# for each `update` by itself, and then ranks all scores together. Scores of anomaly are often magnitudes (norms
# of features, errors of a reconstruction, distances), and evaluation goes video by video: a quiet video whose
# scores all happen to lie in [0, 1] is kept as it is, a busy one is squeezed into (.5, 1), and a frame of score
# 1.1 ends below one of .9. Forty videos handed over at once, or by twos, give .9115 for the AUROC and .5892 for
# the average precision; one at a time, .8502 and .1854. There is no warning, and the number also changes with the
# order and the size of batches. (The documentation says that logits are recognised; that this is done batch by
# batch it leaves to the reader.) Instead: bring all scores into [0, 1] with one map before the first update, or
# keep them and make one update at the end. The torch of PyPI is several GB on Linux; its build for CPU does as
# well.
#
# Seen on Python 3.11:
#   torchmetrics 1.9.0, torch 2.13.0
#   expected              AUROC 0.9115 (pairs counted), however the frames are handed over
#   seen, update with 40  AUROC 0.9115, average precision 0.5892
#   seen, update with  2  AUROC 0.9115, average precision 0.5892
#   seen, update with  1  AUROC 0.8502, average precision 0.1854
#   seen                  [.8, .9] and [.2, 1.1] kept as 0.80, 0.90, 0.55, 0.75: AUROC 0.33, not 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.0
cat > "$work/check.py" <<'PY'
import numpy as np
import torch
import torchmetrics
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

# Forty videos of 100 frames. A score is a magnitude, 0 or more; half of the cameras
# are so quiet that none of their frames reaches 1. Every fourth video holds an event
# of 20 frames, which adds .6 to the score.
rng = np.random.default_rng(0)
videos = []
for number in range(40):
    score = rng.uniform(.1, .9 if number % 2 == 0 else 1.4, 100)
    truth = np.zeros(100, int)
    if number % 4 == 1:
        truth[40:60] = 1
    score += .6 * truth
    videos.append((torch.tensor(score, dtype=torch.float32), torch.tensor(truth)))


def measured(metric, videos_per_update):
    for start in range(0, len(videos), videos_per_update):
        scores, truths = zip(*videos[start : start + videos_per_update])
        metric.update(torch.cat(scores), torch.cat(truths))
    return round(metric.compute().item(), 4)


scores, truths = (torch.cat(part).numpy() for part in zip(*videos))
positive, negative = scores[truths == 1], scores[truths == 0]
right = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
seen = {n: (measured(BinaryAUROC(), n), measured(BinaryAveragePrecision(), n)) for n in (40, 2, 1)}

print(f"torchmetrics {torchmetrics.__version__}, torch {torch.__version__.split('+')[0]}")
print(f"expected              AUROC {right:.4f} (pairs counted), however the frames are handed over")
for n, (auroc, ap) in seen.items():
    print(f"seen, update with {n:2}  AUROC {auroc:.4f}, average precision {ap:.4f}")
assert abs(seen[40][0] - right) < 2e-4 and np.allclose(seen[2], seen[40], atol=2e-4)
assert seen[1][0] < right - .05 and seen[1][1] < seen[40][1] - .3

# Why, in two videos of two frames that are told apart without a fault.
metric = BinaryAUROC()
metric.update(torch.tensor([.8, .9]), torch.tensor([0, 0]))
metric.update(torch.tensor([.2, 1.1]), torch.tensor([0, 1]))
kept = [f"{score:.2f}" for score in torch.cat(metric.preds).tolist()]
print(f"seen                  [.8, .9] and [.2, 1.1] kept as {', '.join(kept)}: AUROC {metric.compute().item():.2f}, not 1")
assert kept == ["0.80", "0.90", "0.55", "0.75"]
assert metric.compute().item() < .5
PY
"$work/venv/bin/python" "$work/check.py"
