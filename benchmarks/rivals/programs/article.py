"""The article's loop: GPT-2 with its head, one text at a time, fp32."""

from benchmarks.rivals.programs.models import one_by_one
from benchmarks.rivals.programs.turns import serve

if __name__ == "__main__":
    serve(one_by_one)
