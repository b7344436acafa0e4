"""Labels by frame from csv files, in place of what a task makes of the frame's class."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mtl.data.text import read_text
from mtl.errors import UserError, misspelt
from mtl.tasks import UNLABELLED, Task

log = logging.getLogger(__name__)

HEADERS = (["video", "frame", "label"], ["path", "label"])
YES_OR_NO = {"1": 1, "yes": 1, "0": 0, "no": 0}
RIGHT = "a first line `video,frame,label` or `path,label`"


def targets_of(
    tasks: Mapping[str, Task], frames: pd.DataFrame, files: Mapping[str, str | None], is_whole: bool
) -> dict[str, np.ndarray]:
    """Targets by task, int32 of shape (n_frames,): of its file where it has one, else of the frames' classes.

    Parameters
    ----------
    tasks : mapping of str to Task
    frames : DataFrame
        The frame table.
    files : mapping of str to str or None
        By task a csv file, see `read_labels`.
    is_whole : bool
        Whether `frames` are all there are: then a label of another frame is a mistake, else it may be
        of a frame that was left out.
    """
    given = {name: files.get(name) for name in tasks}
    return {
        name: task.targets(frames) if file is None else read_labels(_place(file), name, task, frames, is_whole)
        for (name, task), file in zip(tasks.items(), given.values(), strict=True)
    }


def read_labels(file: Path, name: str, task: Task, frames: pd.DataFrame, is_whole: bool) -> np.ndarray:
    """A task's targets from a csv file of lines ``video,frame,label`` or ``path,label``, as its first line says.

    Parameters
    ----------
    file : Path
    name : str
        Of the task, for messages.
    task : Task
        A label is one of its classes, by name; of a task of yes or no it is 1, 0, yes or no.
        Nothing, or blanks, is no label.
    frames : DataFrame
    is_whole : bool
        See `targets_of`.

    Returns
    -------
    ndarray of int32, shape (n_frames,)
        `UNLABELLED` for frames without a label in the file.

    Raises
    ------
    UserError
        With the line's number: another first line, another number of columns, an unknown video, frame
        or label, a frame that is there already. Also where no frame is labelled.
    """
    lines = csv.reader(read_text(file).splitlines())
    header = [word.strip() for word in next(lines, [])]
    if header not in HEADERS:
        raise UserError(f"{file}:1: expected {RIGHT}, found '{','.join(header)}'.")
    known = YES_OR_NO if len(task.classes) == 1 else {each: i for i, each in enumerate(task.classes)}
    rows, row_of_frame = _rows(frames, by_path=len(header) == 2)
    videos = set(frames["video"].astype(str))
    targets = np.full(len(rows), UNLABELLED, np.int32)
    line_of: dict[tuple[str, ...], int] = {}
    n_left_out = 0
    for words in lines:
        number, cells = lines.line_num, [word.strip() for word in words]
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise UserError(f"{file}:{number}: expected {','.join(header)}, found '{','.join(words)}'.")
        frame, label = _frame(cells[:-1], f"{file}:{number}"), cells[-1]
        if frame in line_of:
            raise UserError(f"{file}:{number}: '{','.join(frame)}' is there already, in line {line_of[frame]}.")
        line_of[frame] = number
        code = known.get(label.lower() if known is YES_OR_NO else label, UNLABELLED)
        if label and code == UNLABELLED:
            right = "Right would be 1, 0, yes, no or nothing." if known is YES_OR_NO else misspelt(label, list(known))
            raise UserError(f"{file}:{number}: '{label}' is no label of {name}. {right}")
        if frame in rows:
            targets[rows[frame]] = code
        elif not is_whole:
            n_left_out += 1
        elif len(frame) == 2 and frame[0] not in videos:
            near = misspelt(frame[0], sorted(videos))  # else it names all, which may be thousands
            near = f" {near}" if near.startswith("Did you mean") else ""
            raise UserError(f"{file}:{number}: the data have no video '{frame[0]}'.{near}")
        else:
            what = "file" if len(frame) == 1 else f"frame {frame[1]} of video"
            raise UserError(f"{file}:{number}: the data have no {what} '{frame[0]}'.")
    if not (targets != UNLABELLED).any():
        raise UserError(f"{file}: none of the data's frames has a label; {name} would learn nothing.")
    if n_left_out:
        log.warning(
            "%s: %s of its %s lines are of frames that are not used.", file, f"{n_left_out:,}", f"{len(line_of):,}"
        )
    return targets[row_of_frame]


def _frame(cells: Sequence[str], where: str) -> tuple[str, ...]:
    """What names a frame in a line: its path, or video and number."""
    if len(cells) == 1:
        return (cells[0].replace("\\", "/"),)
    if not cells[1].isdecimal():
        raise UserError(f"{where}: '{cells[1]}' is no number of a frame.")
    return cells[0], str(int(cells[1]))


def _rows(frames: pd.DataFrame, by_path: bool) -> tuple[dict[tuple[str, ...], int], np.ndarray]:
    """Number of everything that a line may name, and that number by frame: of a frame's crops it is the same."""
    names = [frames["path"].astype(str)] if by_path else [frames["video"].astype(str), frames["frame"].astype(str)]
    rows: dict[tuple[str, ...], int] = {}
    numbers = [rows.setdefault(name, len(rows)) for name in zip(*names, strict=True)]
    return rows, np.array(numbers, np.int64)


def _place(file: str) -> Path:
    return Path(file).expanduser().absolute()
