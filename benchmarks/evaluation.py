"""Evaluation side by side: the toolkit against pycocotools, from two files to numbers.

Writes synthetic ground truth and detections of COCO-val2017's size, then runs each task in
a process of its own, in turns, and reports the best of the repetitions. Ratios from one run
on one machine; absolute times mean little elsewhere.

    python benchmarks/evaluation.py            # full size
    python benchmarks/evaluation.py --quick    # a fiftieth, for tests

Tasks:
    pycocotools   load, evaluate, accumulate, summarize
    hotcoco       the same with hotcoco (no input checks)
    toolkit       read, check the input, AP and AR (no input checks are left out)
    everything    the same, and PCKh, strata, keypoints, and bootstrap intervals of it all
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
TASKS = ("pycocotools", "hotcoco", "toolkit", "everything")


def run_pycocotools(truth: Path, results: Path, resamples: int) -> list[float]:
    """The ten numbers of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with timed() as clock:
        ground_truth = COCO(str(truth))
        evaluator = COCOeval(ground_truth, ground_truth.loadRes(str(results)), "keypoints")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return clock.finish([float(value) for value in evaluator.stats])


def run_hotcoco(truth: Path, results: Path, resamples: int) -> list[float]:
    """The ten numbers of hotcoco."""
    from hotcoco import COCO, COCOeval

    with timed() as clock:
        ground_truth = COCO(str(truth))
        evaluator = COCOeval(ground_truth, ground_truth.load_res(str(results)), "keypoints")
        evaluator.run()
    return clock.finish([float(value) for value in evaluator.stats])


def run_toolkit(truth: Path, results: Path, resamples: int) -> list[float]:
    """The ten numbers of the toolkit, input checks included."""
    import toolkit.schema_file  # noqa: F401 - imports are outside the clock for all
    from toolkit.metrics import evaluate
    from toolkit.metrics.files import read_sides

    with timed() as clock:
        sides = read_sides(truth, [results], profile="coco")
        found = evaluate(sides.truth, *sides.predictions, "coco", metrics=["AP"])
    return clock.finish([found.metrics[name] for name in STATS])


def run_everything(truth: Path, results: Path, resamples: int) -> list[float]:
    """All metrics, strata and keypoints of the toolkit, with bootstrap intervals."""
    import toolkit.schema_file  # noqa: F401 - imports are outside the clock for all
    from toolkit.metrics import evaluate
    from toolkit.metrics.files import read_sides

    with timed() as clock:
        sides = read_sides(truth, [results], profile="coco")
        found = evaluate(sides.truth, *sides.predictions, "coco", bootstrap=resamples)
        found.to_json()
    return clock.finish([found.metrics[name] for name in STATS])


class timed(contextlib.ContextDecorator):  # noqa: N801 - reads as a verb
    """CPU and wall time of a block; what the libraries print is thrown away."""

    def __enter__(self) -> timed:
        self._silence = contextlib.redirect_stdout(io.StringIO())
        self._silence.__enter__()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall
        self._silence.__exit__(None, None, None)

    def finish(self, stats: list[float]) -> list[float]:
        """Print the child's report for the parent."""
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        report = {"cpu": self.cpu, "wall": self.wall, "peak_mib": peak, "stats": stats}
        print(json.dumps(report))
        return stats


def measure(task: str, truth: Path, results: Path, resamples: int) -> dict[str, object]:
    """One task in a fresh process with one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"RAYON_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--task", task, "--resamples", str(resamples)]
    ended = subprocess.run(
        [*command, "--files", str(truth), str(results)],
        env=environment,
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def compare(truth: Path, results: Path, repeat: int, resamples: int) -> dict[str, object]:
    """All tasks in turns; the best CPU time of each, ratios, and the largest difference."""
    best: dict[str, dict[str, object]] = {}
    for _ in range(repeat):
        for task in TASKS:
            found = measure(task, truth, results, resamples)
            if task not in best or found["cpu"] < best[task]["cpu"]:
                best[task] = found
    oracle = best["pycocotools"]
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "msgspec", "pycocotools", "hotcoco")},
        },
        "resamples": resamples,
        "megabytes": (truth.stat().st_size + results.stat().st_size) / 1e6,
        "tasks": {
            task: {
                "cpu_s": found["cpu"],
                "wall_s": found["wall"],
                "peak_mib": found["peak_mib"],
                "cpu_ratio": oracle["cpu"] / found["cpu"],
                "wall_ratio": oracle["wall"] / found["wall"],
                "max_abs_diff": max(
                    abs(a - b) for a, b in zip(oracle["stats"], found["stats"], strict=True)
                ),
            }
            for task, found in best.items()
        },
    }


def show(report: dict[str, object]) -> None:
    """Print the table."""
    print(f"{report['megabytes']:.1f} MB of JSON; {report['resamples']} bootstrap resamples")
    names = ("task", "CPU s", "wall s", "MiB", "CPU x", "wall x")
    print("{:<12} {:>8} {:>8} {:>6} {:>7} {:>7}  diff".format(*names))
    for task, row in report["tasks"].items():
        print(
            f"{task:<12} {row['cpu_s']:>8.3f} {row['wall_s']:>8.3f} {row['peak_mib']:>6.0f} "
            f"{row['cpu_ratio']:>7.1f} {row['wall_ratio']:>7.1f}  {row['max_abs_diff']:.1e}"
        )
    plain, full = report["tasks"]["toolkit"], report["tasks"]["everything"]
    print(
        f"AP from two files, input checks included: {plain['cpu_ratio']:.1f} x pycocotools by "
        f"CPU, {plain['wall_ratio']:.1f} x by the clock (at least 15 at full size)"
    )
    print(
        f"AP, PCKh, strata and {report['resamples']} resamples together: "
        f"{1 / full['cpu_ratio']:.2f} of one plain pycocotools run (below 1 at full size)"
    )
    print("versions: " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()))


def main() -> None:
    """Parse, generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the size, once")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; the best counts")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic files")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        globals()[f"run_{given.task}"](*given.files, given.resamples)
        return
    from synthetic_coco import Size, write_files

    size, repeat, resamples = Size(), given.repeat, given.resamples
    if given.quick:
        size, repeat, resamples = Size(100, 220, 1_859), 1, min(resamples, 100)
    with tempfile.TemporaryDirectory() as folder:
        truth, results = write_files(Path(folder), size, given.seed)
        report = compare(truth, results, repeat, resamples)
    if given.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
