"""The notebook's job its own way and ours: 10 epochs of all tasks, relations, four sets of 5 epochs.

    python benchmarks/notebook_job.py

ResNet50, or `--network`, batches of 32, on the same drawn frames. The notebook's way is Keras `fit` on
images in memory with the frozen network inside, validated on the test frames after every
epoch, and the same again for every set. Ours is two commands, `tasks=all` and
`experiment=ablation`, tracked in a store as ever: cold where nothing is kept, then warm, trained anew on kept features.
Each way is a process of its own, timed from where TensorFlow is imported; frames
that go through the network are counted where they do.

Much of ours does not grow with the frames: Hydra, MLflow, compilation, figures, the report.
What does grow, the pass over the frames and the steps, is shown apart, and from both
parts follows what ten times as many frames would make of the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mtl.memory import peak_mib

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "run.py"
NOTEBOOK_WEIGHTS = {"general_anomaly": 1.0, "violence": 0.5, "property_crime": 0.5, "anomaly_type": 1.0}
SETS = {
    "anomaly": ("general_anomaly",),
    "anomaly_violence": ("general_anomaly", "violence", "property_crime"),
    "anomaly_type": ("general_anomaly", "anomaly_type"),
    "all": tuple(NOTEBOOK_WEIGHTS),
}
GROWING = ("features", "steps")  # what of ours takes longer the more frames there are
LOOKED_AT = 16  # frames of the batch on which the notebook compares gradients


def counted_network(maps: keras.Model) -> tuple[Callable[[], keras.layers.Layer], tf.Variable]:
    """What gives the frozen network as a layer, and how many frames went through it so far."""
    import keras
    import tensorflow as tf

    backbone = keras.Sequential([maps, keras.layers.GlobalAveragePooling2D()])
    backbone.trainable = False
    passed = tf.Variable(0, dtype=tf.int64)

    class Counted(keras.layers.Layer):
        def call(self, x: tf.Tensor) -> tf.Tensor:
            passed.assign_add(tf.shape(x, tf.int64)[0])
            return backbone(x, training=False)

        def compute_output_shape(self, shape: tuple) -> tuple:
            return (shape[0], backbone.output_shape[-1])

    return Counted, passed


def their_way(asked: argparse.Namespace) -> dict[str, float]:
    """The notebook's job: how many frames went through the network."""
    import keras
    import numpy as np
    import tensorflow as tf
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from real import real_data, real_tasks
    from sklearn.metrics import roc_auc_score

    from mtl.data.frames import read_frame

    tasks, data = real_tasks(), real_data(asked.frames)
    frames = data.frames()
    size = (asked.image_size, asked.image_size)
    images = np.concatenate([tf.image.resize(read_frame(data.root, path)[None], size) for path in frames["path"]])
    described = OmegaConf.load(ROOT / "conf" / "backbone" / f"{asked.network}.yaml")
    images = instantiate(described.preprocess)(images)
    targets = {name: task.targets(frames) for name, task in tasks.items()}
    test = (frames["split"] == "test").to_numpy()
    network, passed = counted_network(instantiate(described.network)(weights=None, input_shape=(*size, 3)))

    def train(names: tuple[str, ...], epochs: int, weights: dict[str, float] | None) -> tuple[keras.Model, dict]:
        inputs = keras.Input((*size, 3))
        hidden = keras.layers.Dense(512, activation="relu", name="shared")(network()(inputs))
        heads = {name: keras.layers.Dense(tasks[name].units, name=name)(hidden) for name in names}
        model = keras.Model(inputs, heads)
        losses = {
            name: keras.losses.get({"class_name": tasks[name].loss, "config": {"from_logits": True}}) for name in names
        }
        model.compile("adam", loss=losses, loss_weights=weights)
        history = model.fit(
            images[~test], {name: targets[name][~test] for name in names}, batch_size=32, epochs=epochs, verbose=0,
            validation_data=(images[test], {name: targets[name][test] for name in names}),
        )  # fmt: skip
        logits = model.predict(images[test], batch_size=32, verbose=0)
        roc_auc_score(targets["general_anomaly"][test], logits["general_anomaly"][:, 0])
        return model, history.history

    model, history = train(SETS["all"], asked.epochs, NOTEBOOK_WEIGHTS)
    shared = model.get_layer("shared").trainable_variables
    for name in tasks:  # gradients of each task, eagerly, as there
        with tf.GradientTape() as tape:
            logits = model(images[:LOOKED_AT])[name]
            loss = tf.reduce_mean(model.loss[name](targets[name][:LOOKED_AT, None], logits))
        tape.gradient(loss, [variable.value for variable in shared])
    np.corrcoef([history[f"{name}_loss"] for name in tasks])
    for name in asked.sets:
        train(SETS[name], asked.epochs // 2, None)
    return {"forwards": int(passed.numpy())}


def our_way(asked: argparse.Namespace) -> dict[str, float]:
    """Two commands, in the folder they are typed in: how many frames went through the network, and what it took."""
    from mtl.model.parts import FrozenPart
    from mtl.tracking.journal import recorded

    passed, forward, began = [0], FrozenPart.__call__, datetime.now(timezone.utc)

    def counted(self: FrozenPart, images: object) -> object:
        passed[0] += len(images)  # type: ignore[arg-type]
        return forward(self, images)  # type: ignore[arg-type]

    FrozenPart.__call__ = counted  # type: ignore[assignment, method-assign]
    common = (
        "data=ucf_crime", f"data.root={asked.frames}", f"backbone={asked.network}", "backbone.weights=random",
        f"backbone.image_size={asked.image_size}", "freeze=all", "rerun=true", *asked.more,
    )  # fmt: skip
    job = ("tasks=all", "weighting=notebook", "training=fixed_epochs", f"training.epochs={asked.epochs}")
    ablation = (
        "experiment=ablation", f"tasks={','.join(asked.sets)}", "seed=0",  # as often as the notebook
        f"training.epochs={asked.epochs // 2}",
    )  # fmt: skip
    for words in (job, ablation):
        sys.argv = [str(RUN), *words, *common]
        try:
            runpy.run_path(str(RUN), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
    runs = [run for run in recorded(Path.cwd()) if run.start and run.start >= began]
    trained = [run.metrics for run in runs if "time/steps_s" in run.metrics]
    growing = {name: sum(metrics[f"time/{name}_s"] for metrics in trained) for name in GROWING}
    return {"forwards": passed[0], **growing}


def timed(way: Callable[[argparse.Namespace], dict[str, float]], asked: argparse.Namespace) -> None:
    """Do it, and write down what it took."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    began, used = time.perf_counter(), time.process_time()
    done = way(asked)
    found = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used,
        "mib": peak_mib(),
        **done,
    }
    asked.result.write_text(json.dumps(found), encoding="utf-8")


def in_a_process(way: str, asked: argparse.Namespace, tree: Path, folder: Path) -> dict[str, float]:
    """What one way took, in a process and a working directory of its own."""
    result, here = folder / "result.json", folder / way.partition(",")[0]
    here.mkdir(exist_ok=True)  # warm goes on where cold was
    written = here / "terminal.txt"
    words = ["--way", "theirs" if way == "notebook" else "ours", "--frames", tree, "--result", result]
    words += ["--network", asked.network, "--image-size", asked.image_size, "--epochs", asked.epochs]
    words += ["--sets", *asked.sets, "--", *asked.more]
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, words)]
    environment = os.environ | {"MTL_FEATURES_DIR": str(folder / "features")}
    with written.open("w", encoding="utf-8") as terminal:
        done = subprocess.run(command, cwd=here, env=environment, stdout=terminal, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(written.read_text(encoding="utf-8")[-4000:])
    return json.loads(result.read_text(encoding="utf-8"))


def main() -> None:
    """Do the job three times, print a table and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--way", choices=["theirs", "ours"], help="for the processes that this one starts")
    parser.add_argument("--frames", type=Path, help="tree of frames; drawn where it is not given")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--network", default="resnet50", help="one of conf/backbone")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--videos", type=int, nargs=2, default=[5, 2], help="of a class, to train on and to test")
    parser.add_argument("--frames-per-video", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=10, help="of the job; a set of the ablation has half as many")
    parser.add_argument("--sets", choices=SETS, nargs="+", default=[*SETS], help="of the ablation")
    parser.add_argument("more", nargs="*", help="overrides of our commands")
    asked = parser.parse_args()
    if asked.way:
        timed(their_way if asked.way == "theirs" else our_way, asked)
        return
    console, found = Console(width=120), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = asked.frames.resolve() if asked.frames else folder / "frames"
        if not asked.frames:
            from drawn import write_tree

            write_tree(tree, *asked.videos, asked.frames_per_video)
        for way in ("ours, cold", "ours, warm", "notebook"):
            found[way] = in_a_process(way, asked, tree, folder)
    table = Table("way", "wall", "CPU", "forwards", "peak memory", "pass over the frames", "steps")
    for way, one in found.items():
        growing = (f"{one[name]:.1f} s" if name in one else "" for name in GROWING)
        table.add_row(
            *(way, f"{one['seconds']:.1f} s", f"{one['cpu']:.1f} s", f"{one['forwards']:,}", f"{one['mib']:,.0f} MiB"),
            *growing,
        )
    console.print(table)
    theirs, cold, warm = (found[way] for way in ("notebook", "ours, cold", "ours, warm"))
    console.print(
        f"notebook / ours: wall {theirs['seconds'] / cold['seconds']:.1f} cold, "
        f"{theirs['seconds'] / warm['seconds']:.1f} warm; CPU {theirs['cpu'] / cold['cpu']:.1f} cold, "
        f"{theirs['cpu'] / warm['cpu']:.1f} warm; forwards {theirs['forwards'] / cold['forwards']:.1f}; "
        f"peak memory {theirs['mib'] / cold['mib']:.2f} cold"
    )
    more = {
        way: 10 * theirs["seconds"] / (found[way]["seconds"] + 9 * sum(found[way][name] for name in GROWING))
        for way in ("ours, cold", "ours, warm")
    }
    console.print(
        f"reckoned for ten times as many frames: wall {more['ours, cold']:.1f} cold, {more['ours, warm']:.1f} warm"
    )


if __name__ == "__main__":
    main()
