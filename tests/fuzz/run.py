"""Spoils every kind of file that the program reads, and sees that it says so: `make fuzz`.

A case is a file of some kind, spoilt by chance, and a command that reads it, in a forked process under limits. It is
mishandled where the program ends with a traceback, a signal or a status other than 0, 1 and 2, takes too much memory or
time, says more than one line on standard error of a fault, or leaves part of its output behind.

    python -m tests.fuzz.run --cases 300 --seed 1            # slices: --first 300 goes on where one ended
    python -m tests.fuzz.run --kind profile --first 17 --cases 1 --keep out/case   # one case again, to look at
    python -m tests.fuzz.run --kills 200                     # commands killed while they write: see kills.py
"""

import argparse
import collections
import csv
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from tests.fuzz.children import MEMORY, Child, Ended, start, warm
from tests.fuzz.kills import kill_many
from tests.fuzz.kinds import OUTPUTS, Kind, kinds


def fault(kind: Kind, folder: Path, ended: Ended, sound: Path) -> str | None:
    """What is wrong with how a case ended; `sound` is the folder of the same command on the sound file."""
    if kind.remade and ended.status:
        return f"status {ended.status} where the file can be made anew"
    if kind.remade and (folder / "out.csv").read_bytes() != (sound / "out.csv").read_bytes():
        return "other numbers than those of the sound file"
    if ended.status not in (0, 1, 2):
        return f"status {ended.status}"
    if "Traceback" in ended.err or "Traceback" in ended.out:
        return "traceback"
    if ended.memory > MEMORY:
        return f"memory: {ended.memory / 2**20:.0f} MiB"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    new = {name for name in there - set(kind.files) if not name.startswith("cache/")}
    if ended.status:
        lines = [line for line in ended.err.splitlines() if line.strip()]
        if ended.status == 1 and (len(lines) != 1 or not lines[0].startswith("saformer: ")):
            return f"{len(lines)} lines of error"
        if "out of memory" in ended.err:
            return "out of memory"
        if len(ended.err) > 4000 and ended.status == 1:
            return "a line without end"
        if ended.out.strip() and ended.status == 1:
            return "output in spite of an error"
        if new:
            return f"left behind: {', '.join(sorted(new))}"
        if any(path.is_dir() and path.name == "run" and not kind.files for path in folder.iterdir()):
            return "an empty folder left behind"
        return None
    wanted = {name for name in OUTPUTS if name in kind.command}
    if new != wanted and not kind.names_outputs:
        return f"outputs {sorted(new)}, not {sorted(wanted)}"
    try:
        for name in wanted:
            if name.endswith(".json"):
                json.loads((folder / name).read_text("utf-8"))
            elif name.endswith(".csv"):
                list(csv.reader((folder / name).read_text("utf-8").splitlines()))
    except ValueError as error:
        return f"{name} cannot be read: {error}"
    return None


def warm_all(all_kinds: dict[str, Kind], folder: Path) -> None:
    """Run every command on its sound file, in this process."""
    for name, kind in all_kinds.items():
        replace(kind, mutation=lambda content, chance: content).write(folder / name, random.Random(0))
        said = warm(kind.command, folder / name)
        if said is not None and name != "recipe":
            sys.exit(f"the sound file of kind {name} is refused, mend the fuzzer: {said}")


def fuzz(options: argparse.Namespace) -> int:
    """Run the cases; the number of those that were mishandled."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        return _fuzz(options, Path(work))


def _fuzz(options: argparse.Namespace, work: Path) -> int:
    (work / "made").mkdir()
    all_kinds = kinds(work / "made")
    chosen = [options.kind] if options.kind else list(all_kinds)
    warm_all(all_kinds, work / "warm")
    tally: collections.Counter[str] = collections.Counter()
    longest, most = (0.0, ""), (0, "")
    found = []
    running: list[tuple[int, str, Child]] = []
    begun = time.monotonic()

    def finish(block: bool) -> None:
        nonlocal longest, most
        for entry in list(running):
            case, name, child = entry
            ended = child.wait(block=False)
            if ended is None:
                continue
            running.remove(entry)
            wrong = fault(all_kinds[name], child.folder, ended, work / "warm" / name)
            tally[f"{name}: status {ended.status}"] += 1
            longest = max(longest, (ended.seconds, f"{name} {case}"))
            most = max(most, (ended.memory, f"{name} {case}"))
            if wrong:
                tail = ended.err.strip().splitlines()[-1:] or [""]
                found.append({"kind": name, "case": case, "seed": options.seed, "fault": wrong, "said": tail[0][:300]})
                print(f"{name}, case {case}: {wrong}: {tail[0][:200]}", flush=True)
            if options.keep:
                shutil.copytree(child.folder, options.keep, dirs_exist_ok=True)
                Path(options.keep, "stderr").write_text(ended.err)
            shutil.rmtree(child.folder, ignore_errors=True)
        if block:
            time.sleep(0.01)

    for case in range(options.first, options.first + options.cases):
        name = chosen[case % len(chosen)]
        chance = random.Random(f"{options.seed} {name} {case}")
        folder = work / f"case{case}"
        folder.mkdir()
        all_kinds[name].write(folder, chance)
        running.append((case, name, start(all_kinds[name].command, folder)))
        while len(running) >= options.processes:
            finish(True)
    while running:
        finish(True)
    by_status = collections.Counter(key.rpartition(" ")[2] for key in tally.elements())
    summary = {
        "seed": options.seed,
        "first": options.first,
        "tried": options.cases,
        "mishandled": len(found),
        "statuses": dict(sorted(by_status.items())),
        "kinds": len(chosen),
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "longest_seconds": [round(longest[0], 1), longest[1]],
        "most_memory_mib": [most[0] // 2**20, most[1]],
        "faults": found,
    }
    print(json.dumps({key: value for key, value in summary.items() if key != "faults"}))
    if options.results:
        with open(options.results, "a") as file:
            file.write(json.dumps(summary) + "\n")
    return len(found)


def main() -> None:
    """Parse the command line, and end with status 1 where something was mishandled or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", default="")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--keep", default="", help="a folder for the files of the last case")
    parser.add_argument("--results", default="", help="a file that a line of JSON is added to")
    options = parser.parse_args()
    wrong = fuzz(options) if options.cases else 0
    wrong += kill_many(options) if options.kills else 0
    sys.exit(int(wrong > 0))


if __name__ == "__main__":
    main()
