"""A user's errors in the config, found before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mtl.config import schema
from mtl.config.build import build, plain_config
from mtl.config.objective import check_objective
from mtl.config.switches import CONF, primary
from mtl.errors import UserError, nearest
from mtl.tasks import check_name
from mtl.terminal import quiet

if TYPE_CHECKING:
    from mtl.data.feature_files import FeatureFiles
    from mtl.data.related_tasks import RelatedTasks
    from mtl.data.ucf_crime import UCFCrime
    from mtl.data.ucf_crime_videos import UCFCrimeVideos

    Data = UCFCrime | UCFCrimeVideos | RelatedTasks | FeatureFiles

NO_BACKBONE = "mtl.model.backbone.NoBackbone"


def check(config: DictConfig) -> None:
    """Find a user's errors before anything heavy is imported.

    Raises
    ------
    UserError
        For a missing value, an unknown key or task, a value of the wrong type or
        out of range, data that are not there, a weight for a task that is not in
        the set.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]} is not set. Right would be: {missing[0]}=VALUE on the command line.")
    plain = plain_config(config)
    known = {*primary(), *(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "task")}
    for key in plain:
        if key not in known:
            raise UserError(f"{key}: there is no such key. {nearest(str(key), known)}")
    if not isinstance(plain["seed"], int) or isinstance(plain["seed"], bool) or plain["seed"] < 0:
        raise UserError(f"seed: should be a whole number from 0 on, found {plain['seed']!r}.")
    schema.check_nodes(plain)
    optimizer = plain["training"].get("optimizer")
    if not isinstance(optimizer, Mapping) or "_target_" not in optimizer:
        choices = sorted(path.stem for path in (CONF / "training" / "optimizer").glob("*.yaml"))
        raise UserError(
            f"training.optimizer: has no _target_, found {optimizer!r}. Right would be training.optimizer=NAME on the "
            f"command line, `override /training/optimizer: NAME` in a yaml's defaults. Known: {', '.join(choices)}."
        )
    _check_members("tasks", plain.get("tasks"))
    if "relations" in plain:  # relations=[] leaves no such key
        _check_members("relations", plain["relations"])
    if config.main_task not in plain["tasks"]:
        raise UserError(
            f"main_task: '{config.main_task}' is not in the task set. {nearest(config.main_task, plain['tasks'])}"
        )
    check_objective(config)
    _check_standardise(plain)
    data = check_tasks(config)
    if hasattr(data, "check_labels"):  # of tasks of other sets too, so that a sweep may turn the set
        known_tasks = {*plain["tasks"], *(path.stem for path in (CONF / "task").glob("*.yaml"))}
        data.check_labels(sorted(known_tasks))
    data.check()
    build(config.numerics).prepare()  # before anything imports TensorFlow
    with quiet():
        # weightings that check their input in words do so without TensorFlow; the others need it anyway
        weighting = build(config.weighting, tasks=tuple(plain["tasks"]))
    if weighting.uses_gradients and OmegaConf.select(config, "training.gradients_of") == "representation":
        raise UserError(
            f"training.gradients_of=representation: {type(weighting).__name__} weighs the gradients on each parameter, "
            "which are not computed then; right would be training.gradients_of=parameters or another weighting."
        )


def check_tasks(config: DictConfig) -> Data:
    """Find tasks that the data set has no labels for; name in the config what they leave to it.

    Returns
    -------
    data set
        As it is built from the config.

    Raises
    ------
    UserError
        For a task whose classes or column the data set lacks.
    """
    data: Data = build(config.data)
    name_classes(config.tasks, data)
    for name, task in build(config.tasks).items():
        try:
            task.check(data.classes)
            if hasattr(task, "check_columns"):
                task.check_columns(getattr(data, "label_columns", ()))
        except UserError as error:
            raise UserError(f"Task '{name}' {error}") from None
    return data


def name_classes(tasks: DictConfig, data: Data) -> None:
    """Name in the config, in place, what tasks leave to the data set, and classes as its tables call them.

    So what is tracked, fingerprinted and built again from a stored config says which classes there were.

    Parameters
    ----------
    tasks : DictConfig
        `classes: null` of a task is replaced by what its `of_data` says.
    data : data set
        One that calls a class otherwise than its folder does has `other_names`, a mapping to `classes`.
    """
    known, others = data.classes, getattr(data, "other_names", {})
    for name, node in tasks.items():
        if "classes" not in node:
            continue
        try:
            named = build(node).of_data(known) if node.classes is None else node.classes
        except UserError as error:
            raise UserError(f"Task '{name!s}' {error}") from None
        node.classes = [others.get(each, each) for each in named]


def _check_standardise(plain: Mapping[str, Any]) -> None:
    """What is standardised are features: of frames, the backbone's own preprocessing takes care."""
    is_wholly_trained = plain["freeze"]["stages"] == 0 and plain["backbone"]["_target_"] != NO_BACKBONE
    if plain["model"]["standardise"] and is_wholly_trained:
        raise UserError(
            "model.standardise: is for features of a frozen part, found true with freeze=none, where the backbone is "
            "given frames by its own preprocessing. Right would be freeze=all, or model.standardise=false."
        )


def _check_members(group: str, members: object) -> None:
    """A group whose members go by name holds nothing but nodes with a target."""
    if not isinstance(members, Mapping) or not members:
        raise UserError(f"{group}: nothing is in it; right would be a set of conf/{group}/.")
    for name, member in members.items():
        try:
            check_name(str(name))
        except UserError as error:
            raise UserError(f"{group}: {str(name)!r} {error}") from None
        if not isinstance(member, Mapping) or "_target_" not in member:
            raise UserError(
                f"{group}.{name}: has no _target_, found {member!r}. {nearest(str(name), set(members) - {name})}"
            )
