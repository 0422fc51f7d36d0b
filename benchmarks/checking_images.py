"""Image checks of 2,000 rendered pictures with one thread and with two, in one run.

    python benchmarks/checking_images.py [--images 2000] [--repeat 3] [--cluster] [--json]

Renders the pictures to a temporary folder (or takes a folder that `toolkit synth` made, with
`--data`), then runs all image checks with one worker and with two in turn, each in a process
of its own; the best of each counts. Matrix products keep to the thread that asks for them,
so that one worker is one core.
`cores` is processor time over wall time: where it is far below the number of workers, other
processes had the cores, and the ratio says little. `--cluster` adds a Dask cluster of two
workers on this machine. Ends with 1 where two workers are less than 1.5x as fast as one, or
where findings differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WANTED = 1.5
PEOPLE_IN_A_PICTURE = 4.4  # as `toolkit synth hockey` draws them
RUNS: dict[str, tuple[str, str]] = {
    "1 worker": ("", "workers=1"),
    "2 workers": ("", "workers=2"),
    "cluster of 2": (
        "from distributed import LocalCluster; cluster = LocalCluster(n_workers=2, "
        "threads_per_worker=1, host='127.0.0.1', dashboard_address=None)",
        "scheduler=cluster.scheduler_address",
    ),
}
TASK = """
import hashlib, sys, time
from pathlib import Path
from toolkit import formats
from toolkit.checks.images import check_images
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    dataset = formats.scan(folder / "annotations.json").dataset
    {setup}
    wall, cpu = time.perf_counter(), time.process_time()
    found = check_images(dataset, folder / "images", {how})
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(wall, cpu, len(dataset.images), hashlib.sha256(repr(found).encode()).hexdigest())
"""


def main() -> int:
    """Render, run, print the table; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="how many pictures")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--data", type=Path, help="a folder that `toolkit synth` made")
    parser.add_argument("--cluster", action="store_true", help="a Dask cluster too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or render(Path(folder) / "data", given.images)
        report = measure(data, given.repeat, given.cluster)
    print(json.dumps(report, indent=2) if given.json else table(report))
    return 0 if report["met"] else 1


def render(path: Path, images: int) -> Path:
    """About so many pictures of hockey; a few more or fewer, for people are what is counted."""
    people = str(round(images * PEOPLE_IN_A_PICTURE))
    command = [sys.executable, "-m", "toolkit", "synth", "hockey", str(path)]
    subprocess.run(
        [*command, "--instances", people, "--seed", "21"], check=True, stdout=subprocess.DEVNULL
    )
    return path


def measure(data: Path, repeat: int, cluster: bool) -> dict[str, object]:
    """Best wall time of each way, in turn, and whether all found the same."""
    names = [name for name in RUNS if cluster or name != "cluster of 2"]
    best: dict[str, dict[str, float]] = {}
    digests: set[str] = set()
    pictures = 0
    for _ in range(repeat):
        for name in names:
            setup, how = RUNS[name]
            wall, cpu, count, digest = run(setup or "pass", how, data)
            digests.add(digest)
            pictures = count
            if name not in best or wall < best[name]["seconds"]:
                best[name] = {"seconds": wall, "cores": cpu / wall}
    ratio = best["1 worker"]["seconds"] / best["2 workers"]["seconds"]
    return {
        "pictures": pictures,
        "load": os.getloadavg()[0],
        "runs": best,
        "ratio": ratio,
        "same_findings": len(digests) == 1,
        "met": ratio >= WANTED and len(digests) == 1,
    }


def run(setup: str, how: str, data: Path) -> tuple[float, float, int, str]:
    """Wall seconds, processor seconds, pictures, and the findings' hash of one run."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(TASK.format(setup=setup, how=how))
        script.flush()
        ended = subprocess.run(
            [sys.executable, script.name, str(data)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    wall, cpu, count, digest = ended.stdout.split()
    return float(wall), float(cpu), int(count), digest


def table(report: dict[str, object]) -> str:
    """The report as text."""
    runs = report["runs"]
    assert isinstance(runs, dict)
    lines = [f"{report['pictures']} pictures; load of this machine {report['load']:.1f}"]
    for name, each in runs.items():
        lines.append(f"  {name:14s} {each['seconds']:6.2f} s   {each['cores']:4.2f} cores")
    same = "the same" if report["same_findings"] else "DIFFERENT"
    lines.append(f"  two workers: {report['ratio']:.2f}x (wanted {WANTED}); findings {same}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
