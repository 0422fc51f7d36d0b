"""How long `toolkit --help` takes, beside importing its three light dependencies.

Both commands run in turn as whole processes; the medians and their ratio are printed. The
bar is a ratio of at most 3.

    python benchmarks/startup.py --runs 11
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

OURS = [sys.executable, "-m", "toolkit", "--help"]
PEER = [sys.executable, "-c", "import click, yaml, numpy"]


def seconds(command: list[str]) -> float:
    """Wall time of one run of a command as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print both medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11, help="counted runs of each command")
    runs = parser.parse_args().runs
    seconds(OURS), seconds(PEER)  # warm the file cache
    pairs = [(seconds(OURS), seconds(PEER)) for _ in range(runs)]
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"toolkit --help                 {ours:.3f} s")
    print(f"import click, yaml, numpy      {peer:.3f} s")
    print(f"ratio                          {statistics.median(a / b for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
