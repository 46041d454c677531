"""transformers by hand: no head, padded batches."""

from benchmarks.rivals.programs.models import in_batches
from benchmarks.rivals.programs.turns import serve

if __name__ == "__main__":
    serve(in_batches)
