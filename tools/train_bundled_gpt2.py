"""Train the small GPT-2 that ships in the package.

    python -m tools.train_bundled_gpt2 --data FOLDER --out stream_app/encoder/bundled

The schedule runs over the time given, not over a number of steps, so it ends in time on any
machine; the folder holds a usable model from the first checkpoint on. Same seed, same order of
texts; the weights differ from run to run with the machine's speed.
"""

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tools.model_card import model_card
from tools.training_corpus import Corpus, read_corpus

VOCABULARY = 8192
END = "<|endoftext|>"
SHAPES = {False: (16, 128), True: (2, 1024)}  # rows x tokens of a step: usual, long
LONG_EVERY = 16  # steps; without long rows the positions past 128 would stay random
PEAK_RATE, LAST_RATE, WARM_UP = 1.5e-3, 3e-5, 0.02
CHECKPOINT_SECONDS = 300
MEASURED_TEXTS, MEASURED_TOKENS, MEASURED_ROWS = (
    400,
    256,
    25,
)  # per language, from the held-back ones


def train_tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE of GPT-2's kind, with a vocabulary of its own."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    wrap: Any = PreTrainedTokenizerFast
    return wrap(
        tokenizer_object=bpe, eos_token=END, bos_token=END, unk_token=END, model_max_length=1024
    )


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """The files of the usual GPT-2 layout, so that AutoTokenizer needs no telling."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "GPT2Tokenizer"
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def new_model() -> Any:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=1024,
        n_embd=256,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    build: Any = GPT2LMHeadModel
    return build(config)


def token_stream(documents: list[list[int]], order: random.Random) -> Iterator[list[int]]:
    """Documents in a new random order each epoch, each with the end token before it."""
    while True:
        for index in order.sample(range(len(documents)), len(documents)):
            yield [0, *documents[index]]


class Rows:
    """Rows of a fixed length; most begin where a text begins, as texts do when encoded."""

    def __init__(self, documents: list[list[int]], seed: int) -> None:
        self._documents = token_stream(documents, random.Random(seed))
        self._rest: list[int] = []

    def _row(self, length: int) -> list[int]:
        row = self._rest if len(self._rest) > length // 2 else next(self._documents)[1:]
        while len(row) <= length:
            row = row + next(self._documents)
        # The last token of a row is only predicted, never read: the next row may read it.
        self._rest = row[length:]
        return row[: length + 1]

    def batch(self, rows: int, length: int) -> torch.Tensor:
        return torch.tensor([self._row(length) for _ in range(rows)])


def learning_rate(done: float) -> float:
    """Linear warm-up, then a cosine; `done` is the share of the time gone, 0 to 1."""
    if done < WARM_UP:
        return PEAK_RATE * max(done / WARM_UP, 0.01)
    part = min((done - WARM_UP) / (1 - WARM_UP), 1.0)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * part))


def token_losses(model: Any, rows: list[list[int]]) -> float:
    """Summed nats of `rows`, each after an end token; similar lengths together."""
    total = 0.0
    rows = sorted(rows, key=len)
    for first in range(0, len(rows), MEASURED_ROWS):
        some = rows[first : first + MEASURED_ROWS]
        batch = torch.full((len(some), len(some[-1]) + 1), -100)
        for padded, row in zip(batch, some, strict=True):
            padded[: len(row) + 1] = torch.tensor([0, *row])
        with torch.inference_mode():
            logits = model(batch.clamp(min=0)).logits[:, :-1]
        logits, targets = logits.flatten(0, 1).float(), batch[:, 1:].flatten()
        total += float(functional.cross_entropy(logits, targets, reduction="sum"))
    return total


def losses(model: Any, tokenizer: Any, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Per language: mean nats per token and bits per byte of held-back texts."""
    pieces = tokenizer.convert_ids_to_tokens(range(VOCABULARY))
    result: dict[str, Any] = {}
    for language, found in texts.items():
        rows = [ids[:MEASURED_TOKENS] for ids in tokenizer(found[:MEASURED_TEXTS])["input_ids"]]
        nats = token_losses(model, rows)
        size = sum(len(pieces[token]) for ids in rows for token in ids)  # a character per byte
        result[language] = {
            "nats_per_token": round(nats / sum(map(len, rows)), 4),
            "bits_per_byte": round(nats / size / math.log(2), 4),
            "texts": len(rows),
            "bytes": size,
        }
    return result


def write_model(model: Any, folder: Path) -> None:
    """fp16 safetensors, replaced in one move so that a reader never sees half a file."""
    beside = folder / ".next"
    half = new_model().half()
    half.load_state_dict(model.state_dict())
    half.config.dtype = torch.float16
    half.save_pretrained(beside)
    for path in beside.iterdir():
        path.chmod(0o644)
        path.replace(folder / path.name)
    beside.rmdir()
    (folder / "generation_config.json").unlink(missing_ok=True)


class Training:
    def __init__(self, corpus: Corpus, out: Path, seed: int, minutes: float) -> None:
        self.out, self.seed, self.seconds = out, seed, minutes * 60
        self.corpus = corpus
        self.tokenizer = train_tokenizer(corpus.train)
        write_tokenizer(self.tokenizer, out)
        documents = self.tokenizer(corpus.train)["input_ids"]
        self.tokens = sum(map(len, documents))
        self.rows = Rows(documents, seed)
        torch.manual_seed(seed)
        self.model = new_model()
        self.before = losses(self.model, self.tokenizer, corpus.held_back)
        self.steps, self.seen = 0, 0
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
            lr=PEAK_RATE,
            betas=(0.9, 0.95),
            fused=True,
        )
        self.loss = torch.compile(self._loss, dynamic=False)
        for shape in SHAPES.values():  # compile now: it takes minutes, and the schedule is in time
            self._gradients(self.rows.batch(*shape))
            self.optimizer.zero_grad()
        self.started = time.monotonic()

    def _loss(self, batch: torch.Tensor) -> torch.Tensor:
        logits = self.model(batch[:, :-1]).logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())

    def _gradients(self, batch: torch.Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss(batch)
        torch.autograd.backward(loss)
        return float(loss.detach())

    def step(self) -> float:
        rate = learning_rate((time.monotonic() - self.started) / self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.rows.batch(*SHAPES[self.steps % LONG_EVERY == LONG_EVERY - 1])
        loss = self._gradients(batch)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        self.seen += batch.shape[0] * (batch.shape[1] - 1)
        return loss

    def report(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "minutes": round((time.monotonic() - self.started) / 60, 1),
            "steps": self.steps,
            "tokens_seen": self.seen,
            "tokens_in_corpus": self.tokens,
            "texts": len(self.corpus.train),
            "characters": self.corpus.characters,
            "parameters": self.model.num_parameters(),
            "before": self.before,
            "after": losses(self.model, self.tokenizer, self.corpus.held_back),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def run(self) -> None:
        mean, next_checkpoint = 0.0, float(CHECKPOINT_SECONDS)
        while (took := time.monotonic() - self.started) < self.seconds:
            loss = self.step()
            mean = loss if self.steps == 1 else 0.98 * mean + 0.02 * loss
            if self.steps % 100 == 0:
                rate = self.seen / took
                print(
                    f"{took:6.0f} s  step {self.steps}  loss {mean:.3f}  {rate:.0f}/s", flush=True
                )
            if took > next_checkpoint:
                write_model(self.model, self.out)
                next_checkpoint = took + CHECKPOINT_SECONDS
        write_model(self.model, self.out)
        report = self.report()
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        (self.out / "training.json").write_text(text, encoding="utf-8")
        (self.out / "README.md").write_text(model_card(report), encoding="utf-8")
        print(json.dumps({"before": report["before"], "after": report["after"]}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public posts")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(options.data)
    random.Random(options.seed).shuffle(corpus.held_back["en"])
    random.Random(options.seed).shuffle(corpus.held_back["zh"])
    Training(corpus, options.out, options.seed, options.minutes).run()


if __name__ == "__main__":
    main()
