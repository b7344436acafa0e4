#!/usr/bin/env bash
# pauc turns scores that are worse than chance round, and its bootstrap does so even where it was told not to.
#
# `pauc.ROC` 0.2.2 looks at the medians and, where positives score lower, takes the scores the other way round: an AUC
# of .31 is reported as .69, without a warning. A main task that an auxiliary task has pushed below chance then looks
# as good as the one that was helped, and DeLong's test finds no difference between them. `direction="<"` keeps the
# point and DeLong's interval right, but `ci_auc(method="bootstrap")` and `compare(method="bootstrap")` build their
# resamples without it: the interval lies on the other side of .5 than its own point, and a difference with p < 1e-9
# gets an interval around 0. `MultiClassROC` cannot be told: fourteen types of event scored by pure chance come out at
# .60, and at no seed of 20 below .57. Instead: give the direction always, take DeLong's method (or resample whole
# videos yourself, as frames are not independent), and average pairs of classes with scikit-learn's `multi_class="ovo"`.
#
# Seen on Python 3.11:
#   pauc 0.2.2
#   by counting pairs                    helped .670, harmed .313
#   seen, harmed                         AUC 0.687, DeLong 0.621 to 0.752
#   seen, helped against harmed          difference -0.017, p 0.72
#   seen, harmed, direction told         AUC 0.313, DeLong 0.248 to 0.379, bootstrap 0.621 to 0.747
#   seen, difference, direction told     0.356, p 2e-14, bootstrap -0.109 to 0.070
#   seen, 14 classes, scores by chance   mean of 20 seeds 0.599, least 0.580; by counting pairs 0.505
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  pauc==0.2.2 numpy==2.4.0 scipy==1.17.1 matplotlib==3.11.2
cat > "$work/check.py" <<'PY'
from importlib.metadata import version

import numpy as np
import pauc

# Scores of two runs for the same 300 frames, a third of them anomalous.
rng = np.random.default_rng(0)
truth = (np.arange(300) % 3 == 0).astype(int)
harmed = rng.normal(size=300) - .6 * truth
helped = rng.normal(size=300) + .6 * truth
np.random.seed(0)  # pauc resamples by numpy's global generator


def counted(truth, scores):
    """The share of pairs of a positive and a negative in which the positive scores higher."""
    positive, negative = scores[truth == 1][:, None], scores[truth == 0]
    return (positive > negative).mean() + (positive == negative).mean() / 2


def span(interval):
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


print(f"pauc {version('pauc')}")
right = counted(truth, harmed)
print(f"by counting pairs                    helped {counted(truth, helped):.3f}, harmed {right:.3f}")
roc = pauc.ROC(truth, harmed)
print(f"seen, harmed                         AUC {roc.auc:.3f}, DeLong {span(pauc.ci_auc(roc))}")
found = pauc.compare(pauc.ROC(truth, helped), roc)
print(f"seen, helped against harmed          difference {found.estimate:.3f}, p {found.p_value:.2g}")
assert abs(roc.auc - (1 - right)) < 1e-9 and right < .35 and found.p_value > .5

told = pauc.ROC(truth, harmed, direction="<")
delong, bootstrap = pauc.ci_auc(told), pauc.ci_auc(told, method="bootstrap")
print(f"seen, harmed, direction told         AUC {told.auc:.3f}, DeLong {span(delong)}, bootstrap {span(bootstrap)}")
assert abs(told.auc - right) < 1e-9 and delong[0] < right < delong[1] < .5 < bootstrap[0]
found = pauc.compare(pauc.ROC(truth, helped, direction="<"), told, method="bootstrap")
print(f"seen, difference, direction told     {found.estimate:.3f}, p {found.p_value:.0e}, bootstrap {span(found.conf_int)}")
assert found.p_value < 1e-9 and found.conf_int[0] < 0 < found.conf_int[1] < found.estimate

# Fourteen types of event, ten frames of each, scored by chance. Hand and Till: the mean over pairs of classes.
types = np.repeat(np.arange(14), 10)
seen, by_pairs = [], []
for seed in range(20):
    scores = np.random.default_rng(seed).dirichlet(np.ones(14), len(types))
    seen.append(pauc.MultiClassROC(types, scores).auc)
    by_pairs.append(np.mean([
        counted((types[two] == one).astype(int), scores[two, one])
        for one in range(14) for other in range(14) if one != other
        for two in [(types == one) | (types == other)]
    ]))
print(f"seen, 14 classes, scores by chance   mean of 20 seeds {np.mean(seen):.3f}, least {min(seen):.3f}; "
      f"by counting pairs {np.mean(by_pairs):.3f}")
assert min(seen) > .55 and abs(np.mean(by_pairs) - .5) < .02
PY
"$work/venv/bin/python" "$work/check.py"
