"""The targets of `bench/fuzz.py`, one at a time, with inputs that atheris guides by the code that they reach.

    python bench/fuzz_guided.py archives --minutes 10 [--run RUN]

Atheris (libFuzzer) keeps what reaches code that nothing reached before, and changes it further. It counts in tenfold
and in the Python parsers that it calls. Faults are printed and kept as they are found; the last line says how many
inputs were tried. A process that takes more memory than --memory, or hangs, is ended by libFuzzer with its input.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(
    include=["tenfold", "tomllib", "PIL", "zipfile", "tarfile", "json", "csv"],
    enable_loader_override=False,
):
    import fuzz


def main() -> None:
    """Attack one target until the time is over; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="the most that one input may take")
    parser.add_argument("--memory", type=int, default=2048, help="MiB that the process may hold")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=Path, help="a finished run, whose files are targets too")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    os.environ["TENFOLD_CACHE"] = str(folder / "cache")
    targets = fuzz.Targets(folder, arguments.run)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(targets.seeds[arguments.name]):
        (corpus / str(number)).write_bytes(seed)
    known: set[str] = set()

    def one(content: bytes) -> None:
        fault = fuzz.fault_of(targets.read[arguments.name], content, arguments.seconds)
        if fault and fault not in known:
            known.add(fault)
            fuzz.keep(fault, content, f"{arguments.name}-guided", len(known), arguments.keep)

    longest = max(map(len, targets.seeds[arguments.name]))
    limits = [
        f"-max_total_time={int(60 * arguments.minutes)}",
        f"-max_len={2 * longest}",
        f"-timeout={int(3 * arguments.seconds)}",
        f"-rss_limit_mb={arguments.memory}",
        f"-seed={arguments.seed}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
