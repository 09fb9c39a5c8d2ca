"""The transformers engine: serves any Hugging Face causal language model over the engine protocol, version 2.

One JSON object a line, asked on standard input and answered on standard output; `protocol.rs` beside this folder describes
them. The main thread reads and answers `clock`, `cancel` and `stats` at once, a second one loads and generates. Whatever a
library prints goes to standard error. Each token is told from inside the one call of `generate`, as soon as it is known.

Every row of a batch has its own settings, seed, limits and stop strings: they are applied by processors of this file, one row
at a time, so that a request gives the same tokens whatever it is computed with. Refuses to know plans, energy and reports.
Needs Python 3.9, torch and transformers 4.45 or later; accelerate for several devices, bitsandbytes for 8 and 4 bits.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

VERSION = 2
# How long an incomplete batch waits for more requests; those that are sent together arrive within milliseconds.
LINGER_SECONDS = 0.025
# transformers' own defaults where neither request nor model says.
DEFAULT_NEW_TOKENS = 20
DEFAULT_TOP_K = 50
RANDOM_WEIGHTS_SEED = 0
# Arguments that change nothing, or nothing but how it is computed.
IDLE_ARGUMENTS = {"use_cache", "early_stopping", "pad_token_id", "bos_token_id", "return_dict_in_generate", "stream"}

Json = Dict[str, Any]


class Complaint(Exception):
    """An error in the protocol's words: kind, object, cause and remedy."""

    def __init__(self, kind: str, what: str, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.kind, self.what, self.cause, self.remedy = kind, what, cause, remedy


class Output:
    """Whole lines on what was standard output; that itself becomes standard error for everybody else."""

    def __init__(self) -> None:
        self.descriptor = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self.lock = threading.Lock()

    def say(self, message: str, /, **fields: Any) -> None:
        """Sends a message."""
        line = json.dumps({"type": message, **fields}, allow_nan=False).encode() + b"\n"
        with self.lock:
            while line:
                line = line[os.write(self.descriptor, line) :]

    def complain(self, name: Optional[str], error: BaseException) -> None:
        """Sends an error about a generation, or about the last thing asked."""
        said = understood(error)
        about = {} if name is None else {"id": name}
        self.say("error", kind=said.kind, object=said.what, message=said.cause, remedy=said.remedy, **about)


def understood(error: BaseException) -> Complaint:
    """An exception in the protocol's words."""
    if isinstance(error, Complaint):
        return error
    traceback.print_exception(type(error), error, error.__traceback__)
    words = f"{type(error).__name__}: {error}"
    text = next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, MemoryError) or "out of memory" in words.lower() or "OutOfMemory" in words or "can't allocate" in words:
        remedy = "use a smaller batch, fewer tokens, a smaller torch_dtype or fewer bits"
        return Complaint("out_of_memory", "memory", text, remedy)
    if isinstance(error, ImportError):
        return missing(error.name or text)
    if "trust_remote_code" in words:
        return Complaint("model", "", "the model comes with its own code", "set backend.trust_remote_code=true if you trust it")
    if "does not recognize this architecture" in words or "Unrecognized model" in words:
        return Complaint("unsupported", "architecture", text, "pip install -U transformers")
    if isinstance(error, (OSError, ValueError, KeyError)):
        return Complaint("model", "", text, "see that backend.model is a hub id or a folder with config.json and weights")
    return Complaint("internal", type(error).__name__, text)


def missing(package: str) -> Complaint:
    """A Python package is not installed."""
    what = f"Python package {package}"
    return Complaint("unsupported", what, f"{sys.executable} has no such package", f"{sys.executable} -m pip install {package}")


def installed(package: str) -> Optional[str]:
    """A package's version, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def imported(package: str) -> Any:
    """A package that this engine cannot do without."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise missing(error.name or package) from error


class Marks:
    """The tokens that open and close thinking: `<think>` of most reasoning models, Harmony's channels of gpt-oss."""

    def __init__(self, tokenizer: Any) -> None:
        known = tokenizer.get_vocab()
        names = ("<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>")
        found = [known.get(name) for name in names]
        self.think, self.thought, self.channel, self.message = found[:4]
        self.ends = {token for token in found[4:] if token is not None}


class Channel:
    """Which stream a token belongs to, and whether it is text at all."""

    def __init__(self, marks: Marks, prompt: str) -> None:
        self.marks = marks
        self.name = "reasoning" if prompt.rstrip().endswith("<think>") else "content"
        self.header: Optional[str] = None

    def take(self, token: int, piece: str) -> Tuple[str, bool]:
        """The token's channel; False where it only marks."""
        marks = self.marks
        if token == marks.think:
            self.name = "reasoning"
            return self.name, False
        if token == marks.thought:
            before, self.name = self.name, "content"
            return before, False
        if token == marks.channel:
            self.header = ""
            return self.name, False
        if self.header is not None:
            if token == marks.message:
                self.name = "reasoning" if self.header.strip().startswith("analysis") else "content"
                self.header = None
            else:
                self.header += piece
            return self.name, False
        return self.name, token not in marks.ends


class Words:
    """Text of tokens as they come, never half a character; held back while it may become a stop string."""

    def __init__(self, tokenizer: Any, stops: List[str]) -> None:
        self.tokenizer, self.stops = tokenizer, [stop for stop in stops if stop]
        self.tokens: List[int] = []
        self.start, self.read, self.held, self.stopped = 0, 0, "", False

    def decode(self, tokens: List[int]) -> str:
        """Text without special tokens."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def piece(self, token: int, last: bool) -> str:
        """The new characters; what precedes them is decoded along, since spaces depend on it."""
        self.tokens.append(token)
        before = self.decode(self.tokens[self.start : self.read])
        now = self.decode(self.tokens[self.start :])
        if now.endswith("\ufffd") and not last:
            return ""
        self.start, self.read = self.read, len(self.tokens)
        return now[len(before) :]

    def free(self, piece: str, last: bool) -> str:
        """What can be said now; `stopped` where a stop string is complete, which is not said."""
        self.held += piece
        hits = [place for place in (self.held.find(stop) for stop in self.stops) if place >= 0]
        if hits:
            self.stopped = True
            said, self.held = self.held[: min(hits)], ""
            return said
        keep = 0 if last else max((overlap(self.held, stop) for stop in self.stops), default=0)
        cut = len(self.held) - keep
        said, self.held = self.held[:cut], self.held[cut:]
        return said


def overlap(text: str, stop: str) -> int:
    """The longest end of the text that begins a stop string."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)


class Row:
    """One generation: its prompt, its settings, and how far it is."""

    def __init__(self, engine: Engine, asked: Json) -> None:
        self.id = asked["id"]
        self.engine = engine
        self.extra = dict(asked.get("extra") or {})
        self.most = self.setting(asked, "max_new_tokens", DEFAULT_NEW_TOKENS)
        self.fewest = self.setting(asked, "min_new_tokens", 0)
        written, self.prompt = engine.tokens(asked["prompt"])
        self.truncated = self.fit(engine.context, engine.truncation)
        ends = engine.ends(self.extra.pop("eos_token_id", None))
        self.eos = set() if asked.get("ignore_eos") else ends
        self.forbidden = sorted(ends) if self.fewest else []
        self.generator: Any = None
        self.processors = self.processing(asked)
        self.words = Words(engine.tokenizer, asked.get("stop") or [])
        self.channel = Channel(engine.marks, written)
        self.n, self.finish = 0, ""
        unknown = [name for name, value in self.extra.items() if name not in IDLE_ARGUMENTS and value is not None]
        engine.remarks.update(f"`{name}` is not known and does nothing" for name in unknown)

    def setting(self, asked: Json, name: str, default: Any) -> Any:
        """The request's value, else the model's, else transformers'."""
        value = asked.get(name)
        value = self.extra.pop(name, None) if value is None else value
        value = getattr(self.engine.defaults, name, None) if value is None else value
        return default if value is None else value

    def fit(self, context: int, truncation: bool) -> int:
        """Tokens that were cut off the prompt's start so that everything fits."""
        if self.most < 1 or self.fewest > self.most:
            cause = f"{self.fewest} to {self.most} new tokens are no generation"
            raise Complaint("bad_request", "max_new_tokens", cause, "use 1 or more, and no fewer than min_new_tokens")
        room = context - self.most
        if room < 1:
            cause = f"{self.most} new tokens leave no room for a prompt in the model's context of {context} tokens"
            raise Complaint("bad_request", "max_new_tokens", cause, f"use {context - 1} at most")
        excess = max(0, len(self.prompt) - room)
        if excess and not truncation:
            both = f"its {len(self.prompt)} tokens and {self.most} new ones"
            cause = f"{both} are more than the model's context of {context} tokens"
            raise Complaint("bad_request", "prompt", cause, "shorten it, lower max_new_tokens, or set scenario.truncation: true")
        # The token that begins a sequence stays, since models are used to it.
        kept = int(room > 1 and self.prompt[0] == self.engine.tokenizer.bos_token_id)
        self.prompt = self.prompt[:kept] + self.prompt[kept + excess :]
        return excess

    def processing(self, asked: Json) -> List[Any]:
        """transformers' own processors for this row, in the order of its `generate`."""
        tools = self.engine.transformers
        temperature = self.setting(asked, "temperature", 1.0)
        draws = asked.get("do_sample")
        if draws is None:
            draws = asked["temperature"] > 0 if asked.get("temperature") is not None else self.setting({}, "do_sample", False)
        penalty, min_p = self.setting({}, "repetition_penalty", 1.0), self.setting({}, "min_p", 0.0)
        top_k, top_p = self.setting(asked, "top_k", DEFAULT_TOP_K), self.setting(asked, "top_p", 1.0)
        if temperature < 0 or not 0 <= top_p <= 1 or penalty <= 0 or not 0 <= min_p <= 1:
            cause = f"temperature {temperature}, top_p {top_p}, min_p {min_p}, repetition_penalty {penalty} are not all possible"
            raise Complaint("bad_request", "sampling", cause, "use a temperature of 0 or more, top_p and min_p from 0 to 1")
        chain = [tools.RepetitionPenaltyLogitsProcessor(penalty)] if penalty != 1.0 else []
        if not draws or temperature == 0:
            return chain
        seed = asked.get("seed")
        self.generator = self.engine.torch.Generator().manual_seed(seed) if seed is not None else self.engine.torch.Generator()
        if seed is None:
            self.generator.seed()
        chain += [tools.TemperatureLogitsWarper(float(temperature))] if temperature != 1.0 else []
        chain += [tools.TopKLogitsWarper(top_k)] if top_k > 0 else []
        chain += [tools.TopPLogitsWarper(float(top_p))] if 0 < top_p < 1 else []
        return chain + ([tools.MinPLogitsWarper(float(min_p))] if min_p > 0 else [])

    def is_plain(self) -> bool:
        """True where the most probable token settles every choice."""
        return not (self.processors or self.generator or (self.forbidden and self.n < self.fewest))

    def process(self, ids: Any, scores: Any) -> Any:
        """The row's scores as it wants them; of a drawn token, all that is left."""
        if self.n < self.fewest and self.forbidden:
            scores[:, self.forbidden] = -float("inf")
        for processor in self.processors:
            scores = processor(ids, scores)
        if self.generator is not None:
            torch = self.engine.torch
            token = torch.multinomial(scores.float().softmax(-1).cpu(), 1, generator=self.generator)
            scores = torch.full_like(scores, -float("inf")).scatter(1, token.to(scores.device), 0.0)
        return scores

    def take(self, token: int, t_ns: int) -> None:
        """Tells a token, and the end where it is one."""
        self.n += 1
        ends, last = token in self.eos, self.n >= self.most
        piece = self.words.piece(token, ends or last)
        channel, is_text = self.channel.take(token, piece)
        text = self.words.free(piece if is_text else "", ends or last)
        self.finish = "stop" if ends or self.words.stopped else "length" if last else ""
        say, counts = self.engine.output.say, self.engine.counts
        # Counted before it is told: whoever asks for figures upon the last word finds it there.
        counts["generated_tokens"] += 1
        counts["completed_requests"] += bool(self.finish)
        say("token", id=self.id, n=self.n, t_ns=t_ns, channel=channel, text=text)
        if self.finish:
            say("done", id=self.id, t_ns=t_ns, prompt_tokens=len(self.prompt), completion_tokens=self.n,
                finish_reason=self.finish, truncated_prompt_tokens=self.truncated)


class Engine:
    """A loaded model and what its work has come to."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.cancelled: Set[str] = set()
        self.remarks: Set[str] = set()
        self.ended = False
        self.counts = {"completed_requests": 0, "failed_requests": 0, "cancelled_requests": 0,
                       "prefill_tokens": 0, "generated_tokens": 0}
        self.batches: Dict[str, int] = {}
        self.torch: Any = None
        self.model: Any = None

    # ---- loading

    def load(self, asked: Json) -> None:
        """Loads a model and says so."""
        options, named = asked["options"], asked["model"]
        self.truncation, self.batch_size = asked["truncation"], max(1, asked["batch_size"])
        self.stage("importing torch and transformers", 0)
        self.torch, self.transformers = imported("torch"), imported("transformers")
        self.transformers.logging.set_verbosity_error()
        threads = (options.get("engine_options") or {}).get("threads")
        if threads:
            self.torch.set_num_threads(threads)
        self.options = options
        device, placed = self.placement()
        self.stage("loading the tokenizer", 1)
        where: Json = {"trust_remote_code": bool(options.get("trust_remote_code"))}
        if named.endswith(".gguf"):
            named, where["gguf_file"] = str(Path(named).parent), Path(named).name
        self.read_tokenizer(named, where)
        self.stage("loading weights", 2)
        random = bool(options.get("no_weights"))
        self.model = self.random(named, where, device) if random else self.weights(named, where, device, placed)
        self.model.eval()
        self.prepare_generation()
        self.stage("loading weights", 3)
        self.output.say("loaded", device=self.devices()[0], dtype=str(self.model.dtype).replace("torch.", ""),
                        details=self.details(random))

    def stage(self, stage: str, done: int) -> None:
        """Tells how far loading is."""
        self.output.say("progress", stage=stage, done=done, total=3, unit="stages")

    def read_tokenizer(self, named: str, where: Json) -> None:
        """The tokenizer, and the token that fills up short prompts."""
        self.tokenizer = self.transformers.AutoTokenizer.from_pretrained(named, **where)
        self.marks = Marks(self.tokenizer)

    def placement(self) -> Tuple[str, Json]:
        """The device of a model that fits on one, and how transformers is told where everything goes."""
        torch, options = self.torch, self.options
        device, ids = options.get("device", "auto"), options.get("device_ids") or [0]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        if device.startswith("cuda"):
            if not torch.cuda.is_available():
                raise Complaint("bad_request", "backend.device", "this torch can use no GPU", "set backend.device=cpu or auto")
            ids = [int(device[5:])] if device.startswith("cuda:") else ids
            absent = [index for index in ids if index >= torch.cuda.device_count()]
            if absent:
                cause = f"there is no GPU {absent[0]}; there are {torch.cuda.device_count()}"
                raise Complaint("bad_request", "backend.device_ids", cause, "name GPUs that are there")
            for index in ids if options.get("gpu_memory_utilization") else []:
                torch.cuda.set_per_process_memory_fraction(options["gpu_memory_utilization"], index)
            limits = self.limits(ids)
            if len(ids) > 1 or options.get("max_memory"):
                return f"cuda:{ids[0]}", {"device_map": options.get("device_map", "auto"), "max_memory": limits}
            device = f"cuda:{ids[0]}"
        elif device == "mps" and not torch.backends.mps.is_available():
            raise Complaint("bad_request", "backend.device", "this torch has no Metal support", "set backend.device=cpu or auto")
        return device, {}

    def limits(self, ids: List[int]) -> Dict[Any, Any]:
        """Bytes by device: what the user says, else all that is free on the GPUs in use."""
        said = self.options.get("max_memory")
        if said:
            return {int(key) if key.isdigit() else key: size for key, size in said.items()}
        return {index: self.torch.cuda.mem_get_info(index)[0] for index in ids}

    def dtype(self, otherwise: Any) -> Json:
        """The argument for the number format, under the name that this transformers has for it."""
        name = self.options.get("torch_dtype", "auto")
        recent = tuple(int(part) for part in self.transformers.__version__.split(".")[:2]) >= (4, 56)
        return {"dtype" if recent else "torch_dtype": otherwise if name == "auto" else getattr(self.torch, name)}

    def weights(self, named: str, where: Json, device: str, placed: Json) -> Any:
        """The model with its own weights, on its devices."""
        arguments = {**where, **self.dtype("auto"), **placed, **self.quantization()}
        accelerated = installed("accelerate") is not None
        if not accelerated and (placed or "quantization_config" in arguments):
            raise missing("accelerate")
        if accelerated and not placed and device != "cpu":
            arguments["device_map"] = {"": device}
        model = self.transformers.AutoModelForCausalLM.from_pretrained(named, **arguments)
        return model if "device_map" in arguments or "quantization_config" in arguments else model.to(device)

    def quantization(self) -> Json:
        """bitsandbytes' 8 or 4 bits, where they are asked for."""
        bits = next((bits for bits in (8, 4) if self.options.get(f"load_in_{bits}bit")), None)
        if bits is None:
            return {}
        if installed("bitsandbytes") is None:
            found = missing("bitsandbytes")
            raise Complaint(found.kind, f"backend.load_in_{bits}bit", "it needs the Python package bitsandbytes", found.remedy)
        return {"quantization_config": self.transformers.BitsAndBytesConfig(**{f"load_in_{bits}bit": True})}

    def random(self, named: str, where: Json, device: str) -> Any:
        """A model of the same shape with random weights, drawn as its own code initialises them."""
        if self.quantization():
            cause = "random weights cannot be quantised by transformers"
            raise Complaint("unsupported", "backend.no_weights", cause, "use backend.engine=native")
        config = self.transformers.AutoConfig.from_pretrained(named, **where)
        config.quantization_config = None
        stored = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None) or self.torch.float32
        self.torch.manual_seed(RANDOM_WEIGHTS_SEED)
        code = {"trust_remote_code": where["trust_remote_code"]}
        with self.torch.device(device):
            model = self.transformers.AutoModelForCausalLM.from_config(config, **self.dtype(stored), **code)
        return model.to(device)

    def prepare_generation(self) -> None:
        """Keeps the model's own defaults, and leaves none where `generate` would find them: rows have their own."""
        self.defaults = self.model.generation_config
        config = self.model.config.get_text_config() if hasattr(self.model.config, "get_text_config") else self.model.config
        names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
        found = [getattr(config, name, None) for name in names]
        self.context = next((size for size in found if isinstance(size, int)), None) or self.tokenizer.model_max_length
        pads = (self.options.get("pad_token_id"), self.tokenizer.pad_token_id, *sorted(self.ends(None)), 0)
        self.pad = next(pad for pad in pads if pad is not None)
        plain = self.transformers.GenerationConfig(pad_token_id=self.pad, use_cache=bool(self.options.get("use_cache", True)))
        plain.cache_implementation = getattr(self.defaults, "cache_implementation", None)
        self.model.generation_config = plain

    def ends(self, asked: Any) -> Set[int]:
        """The tokens that end a generation: the request's, else the model's, else the tokenizer's."""
        found = [asked, self.defaults.eos_token_id, self.tokenizer.eos_token_id]
        ends = next((end for end in found if end is not None), [])
        return {int(end) for end in (ends if isinstance(ends, (list, tuple)) else [ends])}

    def devices(self) -> Tuple[str, Dict[str, int]]:
        """The devices' names, and how many parts of the model each holds."""
        placed = getattr(self.model, "hf_device_map", None) or {"": self.model.device}
        named = [f"cuda:{place}" if isinstance(place, int) else str(place) for place in placed.values()]
        parts = {name: named.count(name) for name in dict.fromkeys(named)}
        return ", ".join(parts), parts

    def details(self, random: bool) -> Json:
        """What a report should know."""
        config = self.model.config
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        bits = next((f"int{bits}" for bits in (8, 4) if self.options.get(f"load_in_{bits}bit")), "")
        found: Json = {
            "engine": "transformers", "architecture": (getattr(config, "architectures", None) or [type(self.model).__name__])[0],
            "parameters": parameters, "weight_bytes": self.model.get_memory_footprint(), "context_tokens": self.context,
            "chat_template": bool(self.tokenizer.chat_template), "batch_size": self.batch_size,
            "threads": self.torch.get_num_threads(), "parts_by_device": self.devices()[1],
            "kernels": f"torch, {getattr(config, '_attn_implementation', None) or 'eager'} attention",
            "torch": self.torch.__version__, "transformers": self.transformers.__version__,
        }
        found.update({"quantization": bits} if bits else {})
        found.update({"random_weights": True, "random_weights_seed": RANDOM_WEIGHTS_SEED} if random else {})
        return found

    # ---- generating

    def tokens(self, prompt: Json) -> Tuple[str, List[int]]:
        """A prompt as it is written for the model, and its tokens."""
        if "text" in prompt:
            written, special = prompt["text"], True
        elif self.tokenizer.chat_template:
            chat = prompt["chat"]
            template = chat.get("template") or {}
            try:
                written, special = self.tokenizer.apply_chat_template(
                    chat["messages"], tokenize=False, **{"add_generation_prompt": True, **template}), False
            except Exception as error:
                raise Complaint("bad_request", "chat template", f"it refuses the conversation: {error}") from error
        else:
            # Without a template, what was said, with a blank line between messages.
            written, special = "\n\n".join(message["content"] for message in prompt["chat"]["messages"]), True
        ids = list(self.tokenizer(written, add_special_tokens=special)["input_ids"])
        begin = self.tokenizer.bos_token_id
        if not ids and begin is None:
            raise Complaint("bad_request", "prompt", "it has no token, and the model has none to begin with", "send some text")
        return written, ids or [begin]

    def compute(self, requests: List[Json]) -> None:
        """Generates for these requests together; each gets its own answer or error."""
        rows: List[Row] = []
        for asked in requests:
            if self.ended or asked["id"] in self.cancelled:
                self.counts["cancelled_requests"] += 1
                continue
            try:
                rows.append(Row(self, asked))
            except Exception as error:
                self.fail(asked["id"], error)
        self.begin(rows)
        self.cancelled.difference_update(asked["id"] for asked in requests)

    def begin(self, rows: List[Row]) -> None:
        """Runs a batch; where its padding does not fit the context or its memory the device, its halves."""
        if not rows:
            return
        longest, most = max(len(row.prompt) for row in rows), max(row.most for row in rows)
        if len(rows) > 1 and longest + most > self.context:
            return self.halve(rows)
        try:
            self.generate(rows, longest, most)
        except Exception as error:
            left = [row for row in rows if not row.finish]
            small = understood(error)
            if self.torch.cuda.is_available():
                self.torch.cuda.empty_cache()
            if small.kind == "out_of_memory" and len(rows) > 1 and all(row.n == 0 for row in rows):
                return self.halve(rows)
            for row in left:
                self.fail(row.id, small)

    def halve(self, rows: List[Row]) -> None:
        """One half after the other."""
        self.begin(rows[: len(rows) // 2])
        self.begin(rows[len(rows) // 2 :])

    def generate(self, rows: List[Row], longest: int, most: int) -> None:
        """The one call of transformers' `generate`."""
        torch, transformers = self.torch, self.transformers
        ids = torch.tensor([[self.pad] * (longest - len(row.prompt)) + row.prompt for row in rows], device=self.model.device)
        mask = torch.tensor([[0] * (longest - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=self.model.device)
        self.counts["prefill_tokens"] += sum(len(row.prompt) for row in rows)
        self.batches[str(len(rows))] = self.batches.get(str(len(rows)), 0) + 1
        watch = watcher(transformers, torch, self, rows)
        choose = chooser(transformers, torch, rows, longest)
        with torch.inference_mode():
            self.model.generate(
                ids, attention_mask=mask, max_new_tokens=most, do_sample=False,
                stopping_criteria=transformers.StoppingCriteriaList([watch]),
                logits_processor=transformers.LogitsProcessorList([choose]),
            )

    def fail(self, name: str, error: BaseException) -> None:
        """Tells why a generation is not."""
        self.counts["failed_requests"] += 1
        self.output.complain(name, error)

    def stats(self) -> Json:
        """What it has cost so far; every name carries its unit."""
        figures: Json = {f"engine_{name}": count for name, count in self.counts.items()}
        figures["engine_batches_by_size"] = dict(self.batches)
        figures.update({"engine_remarks": sorted(self.remarks)} if self.remarks else {})
        figures["peak_rss_bytes"] = peak_rss_bytes()
        if figures["peak_rss_bytes"] is None:
            figures["peak_rss_bytes_missing"] = "this system does not tell the peak memory of a process"
        if self.torch is not None and self.torch.cuda.is_available():
            peaks = (self.torch.cuda.max_memory_allocated(index) for index in range(self.torch.cuda.device_count()))
            figures["peak_gpu_memory_bytes"] = sum(peaks)
        return figures


def peak_rss_bytes() -> Optional[int]:
    """Most memory that this process has held: `ru_maxrss`, in KiB on Linux and in bytes on macOS."""
    if importlib.util.find_spec("resource") is None:
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def watcher(transformers: Any, torch: Any, engine: Engine, rows: List[Row]) -> Any:
    """Hears of each step's tokens first: tells them, and says which rows are done."""

    class Watcher(transformers.StoppingCriteria):
        """Called once a step with everything so far."""

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            tokens = input_ids[:, -1].tolist()
            t_ns = time.monotonic_ns()
            for row, token in zip(rows, tokens):
                if not row.finish and (engine.ended or row.id in engine.cancelled):
                    row.finish = "cancelled"
                    engine.counts["cancelled_requests"] += 1
                if not row.finish:
                    row.take(token, t_ns)
            return torch.tensor([bool(row.finish) for row in rows], device=input_ids.device)

    return Watcher()


def chooser(transformers: Any, torch: Any, rows: List[Row], longest: int) -> Any:
    """Gives each row its own processors and its own random numbers, without its padding."""

    class Chooser(transformers.LogitsProcessor):
        """Called once a step before the most probable token is taken."""

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if all(row.finish or row.is_plain() for row in rows):
                return scores
            out: List[Any] = []
            for place, row in enumerate(rows):
                one = scores[place : place + 1]
                if not (row.finish or row.is_plain()):
                    one = row.process(input_ids[place : place + 1, longest - len(row.prompt) :], one.clone())
                out.append(one)
            return torch.cat(out)

    return Chooser()


class Work(threading.Thread):
    """Loads and generates, in the order of asking; requests that wait are computed together."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.inbox: queue.Queue = queue.Queue()

    def run(self) -> None:
        """Until it is told to end."""
        asked: Optional[Json] = self.inbox.get()
        while asked is not None and asked["type"] != "unload":
            following: Any = ()
            try:
                if asked["type"] == "load":
                    self.engine.load(asked)
                elif self.engine.model is None:
                    raise Complaint("bad_request", "generate", "no model is loaded", "load one first")
                else:
                    together, following = self.collect(asked)
                    self.engine.compute(together)
            except BaseException as error:
                self.engine.output.complain(asked.get("id"), error)
            asked = following[0] if following else self.inbox.get()
        if asked is not None:
            self.engine.output.say("unloaded")
        os._exit(0)

    def collect(self, first: Json) -> Tuple[List[Json], List[Optional[Json]]]:
        """Requests for one batch, and what came after them."""
        together = [first]
        until = time.monotonic() + LINGER_SECONDS
        while len(together) < self.engine.batch_size:
            try:
                asked = self.inbox.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if asked is None or asked["type"] != "generate":
                return together, [asked]
            together.append(asked)
        return together, []


def answer(engine: Engine, work: Work, asked: Json) -> None:
    """Does what a line asks, at once or by the other thread."""
    kind = asked.get("type")
    if kind == "clock":
        engine.output.say("clock", seq=asked["seq"], t_ns=time.monotonic_ns())
    elif kind == "cancel":
        engine.cancelled.add(asked["id"])
    elif kind == "stats":
        engine.output.say("stats", figures=engine.stats())
    elif kind in ("load", "generate", "unload"):
        if kind == "generate":
            engine.cancelled.discard(asked["id"])
        # What is under way ends within a step.
        engine.ended = engine.ended or kind == "unload"
        work.inbox.put(asked)
    else:
        raise Complaint("bad_request", "type", f"there is no request of type {kind!r}")


def main() -> None:
    """Says hello and answers until the input ends."""
    output = Output()
    # The answer to a clock must not wait long for the thread that computes.
    sys.setswitchinterval(0.001)
    names = [f"{package} {installed(package) or 'missing'}" for package in ("transformers", "torch")]
    output.say("hello", version=VERSION, program=", ".join(["transformers engine", *names]), synthetic=False)
    engine = Engine(output)
    work = Work(engine)
    work.start()
    for line in iter(sys.stdin.buffer.readline, b""):
        try:
            answer(engine, work, json.loads(line))
        except Exception as error:
            output.complain(None, error if isinstance(error, Complaint) else
                            Complaint("bad_request", "line", f"it is no request: {error}"))
    os._exit(0)


if __name__ == "__main__":
    main()
