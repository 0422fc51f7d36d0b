"""One child process of the ablations: trains one network, or predicts with one.

    python -m toolkit.benchmark.ablations.worker TASK.json

Prints a line `done total` for each step. It holds a lock on its folder while it lives, so
that two suites can share a folder of runs; and it ends with its parent, because nobody reads
its lines any more then.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import tomllib
import traceback
from pathlib import Path
from typing import Any

from toolkit.errors import INTERNAL, InvalidDataError, ResourceError, ToolkitError, WriteError
from toolkit.locks import only_one


def main(path: Path) -> None:
    """Do the task in a file."""
    task = json.loads(path.read_text(encoding="utf-8"))
    with only_one(Path(task["lock"])):
        {"train": train, "predict": predict, "detect": detect}[task["kind"]](task)


def train(task: dict[str, Any]) -> None:
    """Train a network, or go on with it; `done.json` is written last.

    Its seconds are those of the process that finished the training, not of interrupted ones.
    """
    from toolkit.code_version import commit
    from toolkit.files import sha256_file, write_text
    from toolkit.models import TrainRequest, get_model

    done = Path(task["done"])
    if done.is_file():  # another suite finished it while this one waited for the lock
        return
    model = get_model(task["model"])
    resume = task["recipe"] is not None
    # A control is fitted at once: what a killed fit left is worth nothing. Nor is half a
    # training by defaults that have changed since.
    if not resume or not _goes_on(task):
        shutil.rmtree(task["out"], ignore_errors=True)
    start = time.monotonic()
    checkpoint = model.train(
        TrainRequest(
            data=Path(task["data"]),
            images=Path(task["images"]),
            out=Path(task["out"]),
            recipe=task["recipe"] and Path(task["recipe"]),
            device=task["device"],
            seed=task["seed"],
            resume=resume,
            schema=task["schema"],
            joints=task["joints"] and Path(task["joints"]),
            progress=tell,
        )
    )
    facts = {
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256_file(checkpoint),
        "seconds": round(time.monotonic() - start, 1),
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu_seconds": round(time.process_time(), 1),
    }
    write_text(done, json.dumps(facts, indent=2) + "\n", force=True)


def _goes_on(task: dict[str, Any]) -> bool:
    """Whether what an interrupted training left was begun by the recipe of today."""
    from toolkit.benchmark.ablations.training_runs import changed_keys

    try:
        stored = json.loads((Path(task["out"]) / "recipe.json").read_text(encoding="utf-8"))
        del stored["seed"]  # beside the recipe's keys; the folder's name tells it, too
        recipe = tomllib.loads(Path(task["recipe"]).read_text(encoding="utf-8"))
        return not changed_keys(task["model"], stored, recipe)
    except FileNotFoundError:  # nothing was begun, or what was has no recipe: the loop tells
        return True
    except (ValueError, KeyError, TypeError, InvalidDataError):
        return False


def predict(task: dict[str, Any]) -> None:
    """Predict the test set with a checkpoint, unless that was done before."""
    from toolkit import formats
    from toolkit.benchmark.ablations.predictions import predict_row

    truth = formats.read(Path(task["data"]), task["schema"])
    predict_row(
        task["model"],
        Path(task["checkpoint"]),
        truth,
        Path(task["images"]),
        task["device"],
        pictures=task["pictures"],
        boxes_file=task["boxes"] and Path(task["boxes"]),
        progress=tell,
    )


def detect(task: dict[str, Any]) -> None:
    """Find people in the test set, with given weights or with a detector trained here."""
    from toolkit import formats
    from toolkit.detectors import find_detectors, load_detector, write_detections
    from toolkit.models import TrainRequest

    weights, out, boxes = task["weights"], Path(task["out"]), Path(task["boxes"])
    if boxes.is_file():
        return
    if weights is None:
        train_it = find_detectors()[task["detector"]].train
        assert train_it is not None  # the plan trains only what can be trained
        shutil.rmtree(out, ignore_errors=True)  # of an interrupted run: minutes are lost
        weights = train_it(
            TrainRequest(
                data=Path(task["train_data"]),
                images=Path(task["train_images"]),
                out=out,
                device=task["device"],
                seed=task["seed"],
                images_seen=task["images_seen"],
                schema=task["schema"],
                progress=tell,
            )
        )
    truth = formats.read(Path(task["test_data"]), task["schema"])
    detector = load_detector(task["detector"], task["device"], weights)
    found = detector.detect(truth, Path(task["test_images"]))
    write_detections(found, boxes, force=True)


def tell(done: int, total: int) -> None:
    """One line of progress; a parent that is gone ends this process."""
    print(done, total, flush=True)  # noqa: T201 - the parent reads it


def command(path: str) -> None:
    """Do the task in a file, and leave with the exit code that the command line would give."""
    try:
        main(Path(path))
    except ToolkitError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent shows it
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stdout = None  # nothing is left to flush
        sys.exit(1)
    except MemoryError:
        print("out of memory; give a smaller --jobs", file=sys.stderr)  # noqa: T201
        sys.exit(ResourceError.exit_code)
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(WriteError.exit_code)
    except Exception:  # 1, Python's own code, would say that the data are bad
        traceback.print_exc()
        sys.exit(INTERNAL)


if __name__ == "__main__":
    command(sys.argv[1])
