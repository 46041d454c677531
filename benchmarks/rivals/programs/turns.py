"""A contender of the encoders in a process of its own that waits for its turn.

It reads its texts from a file, encodes some to warm up and prints one line of JSON. From then on
each line that it reads makes it encode all of them, and print the seconds that it took.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Create = Callable[[str, str], Callable[[list[str]], Any]]


def serve(create: Create) -> None:
    """Whatever the libraries print goes to stderr; stdout is for the runner."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True, help="with a GPT-2")
    parser.add_argument("--texts", required=True, help="a file with a JSON list")
    parser.add_argument("--precision", default="fp32", choices=["auto", "fp32", "bf16"])
    options = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr
    import torch

    texts: list[str] = json.loads(Path(options.texts).read_text())
    encode = create(options.folder, options.precision)
    encode(texts[: max(4, len(texts) // 2)])
    out.write(json.dumps({"threads": torch.get_num_threads(), "texts": len(texts)}) + "\n")
    out.flush()
    for _ in sys.stdin:
        begun = time.perf_counter()
        encode(texts)
        out.write(f"{time.perf_counter() - begun}\n")
        out.flush()
