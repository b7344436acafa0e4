"""The numbers of relations between tasks, told in words."""

from __future__ import annotations

from mtl.number import KEPT, VAL, Number
from mtl.tracked_numbers import WHOLE_SET

AFTER_WARMUP = "mean over the measured ones after the warm-up"
HELD_OUT = "fixed batches of validation frames, dropout off"
NO_GRADIENT = "where a gradient is zero or not finite, or nothing was measured"
BATCHES = "t interval over the batches"
T_BATCHES = f"{BATCHES}, on the scale of Fisher's z"

RELATIONS = (
    Number("label_entropy/<task>", "entropy of the task's labels in bits", "all training frames", "before training"),
    Number(
        "label_mutual_information/<pair>",
        "mutual information of two tasks' labels in bits",
        "all training frames",
        "before training",
    ),
    Number(
        "label_information/<pair>",
        "share of the recipient's label entropy that the source's labels tell, in [0, 1]",
        "all training frames",
        "before training",
        "",
        "where the recipient's labels are all alike",
    ),
    Number(
        "gradient_similarity/<pair>",
        "cosine between the two tasks' gradients on the shared parameters, mean over batches",
        HELD_OUT,
        AFTER_WARMUP,
        T_BATCHES,
        NO_GRADIENT,
    ),
    Number(
        "gradient_similarity_mean/<pair>",
        "cosine between the two tasks' gradients averaged over the batches first",
        HELD_OUT,
        AFTER_WARMUP,
        "",
        NO_GRADIENT,
    ),
    Number(
        "conflict_rate/<pair>",
        "share of batches on which the cosine is below zero; beside its permutation baseline",
        HELD_OUT,
        AFTER_WARMUP,
        T_BATCHES,
        NO_GRADIENT,
    ),
    Number(
        "magnitude_similarity/<pair>",
        "2 |g_a| |g_b| / (|g_a|^2 + |g_b|^2), in [0, 1]",
        HELD_OUT,
        AFTER_WARMUP,
        T_BATCHES,
        NO_GRADIENT,
    ),
    Number(
        f"condition_number/{WHOLE_SET}",
        "of all tasks together: sqrt(l_max / l_min) of the eigenvalues of the Gramian scaled to unit diagonal",
        HELD_OUT,
        AFTER_WARMUP,
        "",
        f"{NO_GRADIENT}, or where the gradients are linearly dependent, on every batch",
    ),
    Number(
        "condition_number/<pair>",
        "sqrt((1 + |cos|) / (1 - |cos|)) of two tasks' gradients: 1 at right angles, without bound",
        HELD_OUT,
        AFTER_WARMUP,
        f"{BATCHES}, on the logarithm of the distance to 1",
        f"{NO_GRADIENT}, or where the two gradients are parallel",
    ),
    Number(
        f"loss_scale_balance/{WHOLE_SET}",
        "of all tasks together: geometric over arithmetic mean of their unweighted training losses, in [0, 1]",
        "training frames as they are drawn",
        "mean over epochs after the warm-up",
        "",
        "where a task's mean loss is not finite, or all are zero",
    ),
    Number(
        "loss_scale_balance/<pair>",
        "geometric over arithmetic mean of two tasks' unweighted training losses, in [0, 1]: 1 where they are equal",
        "training frames as they are drawn",
        "mean over epochs after the warm-up",
        "",
        "where a task's mean loss is not finite, or both are zero",
    ),
    Number(
        "affinity/<pair>",
        "share of its held-out loss that the recipient loses by a small step down the source's gradient",
        "a training batch for the step, a validation batch for the loss",
        AFTER_WARMUP,
        T_BATCHES,
        f"{NO_GRADIENT}, or with gradient_measurements.affinity_step=null",
    ),
    Number(
        "affinity_to_itself/<task>",
        "the same of a task's own gradient",
        "the batches of affinity",
        AFTER_WARMUP,
        "",
        "where affinity is",
    ),
    Number(
        "path_affinity/<pair>",
        "held-out loss of the recipient that the source took away, to first order: sum over the steps of the "
        "recipient's gradient times the source's part of the update",
        "training batches for the update, validation batches for the loss",
        "all steps up to the last measurement",
        BATCHES,
        "where affinity is, with gradient_measurements.path_steps=null, with a trained backbone, or with an optimizer "
        "whose steps are no multiple of the gradient by parameter",
    ),
    Number(
        "path_affinity_to_itself/<task>",
        "the same of a task's own part of the updates",
        "the batches of path_affinity",
        "all steps up to the last measurement",
        "",
        "where path_affinity is",
    ),
    Number(
        "loss_correlation/<pair>",
        "Spearman's correlation of the tasks' losses, averaged by video",
        VAL,
        KEPT,
        "percentiles over resamples of videos",
        "with fewer than five videos, or where a loss is constant or not finite",
    ),
    Number(
        "loss_correlation_within_class/<pair>",
        "the same within each class",
        VAL,
        KEPT,
        "percentiles over resamples of videos",
        "where loss_correlation is",
    ),
    Number(
        "loss_correlation_step/<pair>",
        "Pearson's correlation of the training losses by step, less a running mean",
        "training frames as they are drawn",
        "all of them",
        "percentiles over resamples of blocks of steps",
        "with fewer than five blocks, or where a loss is constant or not finite",
    ),
    Number(
        "loss_correlation_trend/<pair>",
        "Pearson's correlation of the epochs' mean training losses: falling losses make it near 1, "
        "whatever the relation",
        "training frames as they are drawn",
        "all of them",
        "",
        "with fewer than three epochs, or where a loss is constant or not finite",
    ),
    Number(
        "<measure>_baseline/<pair>",
        "the measure where there is nothing to find: the labels of one task are permuted",
        "the frames of the measure",
        "that of the measure",
        "",
        "where the measure is",
    ),
    Number(
        "<measure>_by_layer/<layers>.<pair>",
        "the measure within a part of the shared parameters",
        "the frames of the measure",
        "that of the measure",
        "",
        "where the measure is",
    ),
)
