"""The three kinds of file: how each is written from a SavedModel, described, and called with its own runtime."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mtl.errors import UserError
from mtl.export.described import KEY, NAME

Call = Callable[[np.ndarray], dict[str, np.ndarray]]
OPSET = 18  # the last that the converter writes


class Format(ABC):
    """A kind of file.

    Attributes
    ----------
    title : str
        What it is called.
    needs : tuple of str
        Modules that write it and run it.
    """

    title: str
    needs: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UserError` where what writes and runs it is not installed."""
        lacking = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if lacking:
            raise UserError(
                f"{self.title} needs {', '.join(lacking)}, which {'is' if len(lacking) == 1 else 'are'} not "
                "installed; right would be pip install -e '.[export]', or a SavedModel, which needs nothing more."
            )

    @abstractmethod
    def write(self, saved_model: Path, path: Path, description: str) -> None:
        """Write the file at `path` from a SavedModel, with its description within."""

    @abstractmethod
    def load(self, path: Path) -> Call:
        """The file in its runtime: rows in, probabilities by task name out."""


class SavedModel(Format):
    """TensorFlow's own: a folder."""

    title = "A SavedModel"

    def write(self, saved_model: Path, path: Path, description: str) -> None:
        """Take it as it is; the description goes where TensorFlow leaves room for files of others."""
        extra = saved_model / "assets.extra"
        extra.mkdir()
        (extra / NAME).write_text(description, encoding="utf-8")
        if saved_model != path:
            shutil.copytree(saved_model, path)

    def load(self, path: Path) -> Call:
        """By `tf.saved_model.load`."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))  # to be kept: its variables go with it
        serve = loaded.signatures["serving_default"]
        (name,) = serve.structured_input_signature[1]

        def call(rows: np.ndarray) -> dict[str, np.ndarray]:
            assert loaded is not None
            return {task: found.numpy() for task, found in serve(**{name: tf.constant(rows)}).items()}

        return call


class Onnx(Format):
    """For ONNX Runtime and what reads the same file."""

    title = "An ONNX model"
    needs = ("tf2onnx", "onnx", "onnxruntime")

    def write(self, saved_model: Path, path: Path, description: str) -> None:
        """By tf2onnx in a process of its own, as its command line does it."""
        words = ["--saved-model", str(saved_model), "--output", str(path), "--opset", str(OPSET)]
        done = subprocess.run(
            [sys.executable, "-m", "tf2onnx.convert", *words], capture_output=True, text=True, check=False
        )
        if done.returncode or not path.is_file():
            raise UserError(f"tf2onnx could not convert the model: {_last_line(done.stderr)}")
        import onnx

        proto = onnx.load(str(path))
        onnx.helper.set_model_props(proto, {KEY: description})
        onnx.save(proto, str(path))

    def load(self, path: Path) -> Call:
        """By ONNX Runtime on the CPU: an operation that it does not know shows here, not in the conversion."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (name,) = [each.name for each in session.get_inputs()]
        outputs = [each.name for each in session.get_outputs()]
        return lambda rows: dict(zip(outputs, session.run(outputs, {name: rows}), strict=True))


class LiteRT(Format):
    """For telephones and small boards, without operations beyond the builtin ones."""

    title = "A LiteRT model"
    needs = ("ai_edge_litert",)

    def write(self, saved_model: Path, path: Path, description: str) -> None:
        """By TensorFlow's converter; the description is a zip at the file's end, as LiteRT's metadata tools do it."""
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        path.write_bytes(converter.convert())
        with zipfile.ZipFile(path, "a") as end:
            end.writestr(NAME, description)

    def load(self, path: Path) -> Call:
        """By LiteRT; through the signature, as the plain outputs have neither names nor this order."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path))
        runner = interpreter.get_signature_runner("serving_default")
        (name,) = runner.get_input_details()

        def call(rows: np.ndarray) -> dict[str, np.ndarray]:
            return {task: np.array(found) for task, found in runner(**{name: rows}).items()}

        return call


FORMATS: dict[str, Format] = {"": SavedModel(), ".onnx": Onnx(), ".tflite": LiteRT()}


def format_of(path: Path) -> Format:
    """The format that a path's ending means; without one a SavedModel.

    Raises
    ------
    UserError
        If it is another one.
    """
    if path.suffix not in FORMATS:
        raise UserError(
            f"{path.name} ends in {path.suffix}, which is no format; right would be .onnx, .tflite, "
            "or no ending for the folder of a SavedModel."
        )
    return FORMATS[path.suffix]


def read_onnx(path: Path) -> Any:
    """The ONNX model of a file, an `onnx.ModelProto`."""
    import onnx

    return onnx.load(str(path))


def _last_line(text: str) -> str:
    """The last line of what a program said that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")[:200]
