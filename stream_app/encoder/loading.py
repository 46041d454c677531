"""Find and load a GPT-2. Imports torch and transformers: load this module only when needed."""

import json
import logging
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils.tqdm import disable_progress_bars
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

from stream_app.errors import ModelError

log = logging.getLogger(__name__)

BUNDLED: Final = "bundled"
#: no pickles, no code: what of a hub repository is fetched
_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json"]
_VOCABULARY: Final = ["vocab.json", "merges.txt", "special_tokens_map.json"]
_WAYS_OUT: Final = "set KOL_ENCODER=bundled or to a local directory with a GPT-2 in safetensors"


class LoadedModel(NamedTuple):
    model: Any  # GPT2LMHeadModel, fp32, evaluation mode
    tokenizer: Any
    digest: str  # of weights, configuration and vocabulary


def model_error(name: str, why: object) -> ModelError:
    """One line, whatever the library says, with the two ways out."""
    reason = " ".join(str(why).split())[:200] or type(why).__name__
    return ModelError(f"encoder {name}: {reason}; {_WAYS_OUT}")


def model_folder(name: str, revision: str | None) -> Path:
    """Where the model's files lie: in the package, in a directory or in the hub's cache."""
    if name == BUNDLED:
        return Path(str(files("stream_app.encoder").joinpath(BUNDLED)))
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    if Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise model_error(name, "no such directory")
    return _hub_folder(name, revision)


def _hub_folder(name: str, revision: str | None) -> Path:
    disable_progress_bars()
    try:
        cached = _snapshot(name, revision, cached=True)
        if any(cached.glob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        log.info("encoder %s is not in the cache; asking the hub", name)
    except ValueError as error:
        raise model_error(name, "neither a directory nor a name on the hub") from error
    try:
        return _snapshot(name, revision, cached=False)
    except (LocalEntryNotFoundError, httpx.HTTPError) as error:
        raise model_error(name, "not in the cache and the hub cannot be reached") from error
    except HfHubHTTPError as error:
        raise model_error(name, f"the hub has no such model or revision ({error})") from error
    except OSError as error:
        raise model_error(name, error) from error


def _snapshot(name: str, revision: str | None, *, cached: bool) -> Path:
    kept = [*_FILES, *_VOCABULARY]
    return Path(
        snapshot_download(name, revision=revision, allow_patterns=kept, local_files_only=cached)
    )


def load_model(name: str, revision: str | None) -> LoadedModel:
    """The model, its tokenizer and their digest; ModelError for anything but a whole GPT-2."""
    _silence(transformers_logging)
    folder = model_folder(name, revision)
    if not any(folder.glob("*.safetensors")):
        raise model_error(name, f"no safetensors in {folder}")
    try:
        return _load(name, folder)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise model_error(name, error) from error


def _silence(library_logging: Any) -> None:
    """Our errors say what is wrong; bars and warnings of the libraries would hide them."""
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()


def _load(name: str, folder: Path) -> LoadedModel:
    local = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(folder, **local)
    if config.model_type != "gpt2":
        raise model_error(name, f"a model of type {config.model_type}, not gpt2")
    tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    if not 1 < len(tokenizer) <= config.vocab_size:
        raise model_error(name, f"{len(tokenizer)} tokens for {config.vocab_size} embeddings")
    loaded: Any = GPT2LMHeadModel.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise model_error(name, f"weights lack {missing[0]} and {len(missing) - 1} more")
    if mismatched := sorted(str(key) for key in report["mismatched_keys"]):
        raise model_error(name, f"weights of another shape: {mismatched[0]}")
    return LoadedModel(model.eval(), tokenizer, _digest(folder))


def _digest(folder: Path) -> str:
    """16 hexadecimal digits that change with the weights, the shape or the vocabulary."""
    whole = sha256()
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.json")):
        if path.suffix == ".safetensors" or path.name in ("tokenizer.json", "vocab.json"):
            whole.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                whole.update(_file_digest(file))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {key: config[key] for key in sorted(config) if key != "transformers_version"}
    whole.update(json.dumps(kept).encode())
    return whole.hexdigest()[:16]


def _file_digest(file: Any) -> bytes:
    digest = sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
