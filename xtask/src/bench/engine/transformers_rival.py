"""Hugging Face transformers as a program that is asked for generations, one JSON object a line, answered in kind.

Started as MODEL DTYPE THREADS. Each line asks {"prompt": text, "new_tokens": n}; the answer says how many tokens the prompt
had, when the first token was known and how long the others took, by this process's own clock, and the text. Greedy, with the
end-of-sequence token suppressed, so that every answer has the length asked for.
"""

import json
import os
import sys
import time

model_name, dtype, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["OMP_NUM_THREADS"] = str(threads)

import torch  # noqa: E402  (after the number of threads is set)
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

torch.set_num_threads(threads)
transformers.utils.logging.disable_progress_bar()


class Stamps:
    """Notes when each token is known; the first call brings the prompt."""

    def __init__(self):
        self.times = []

    def put(self, tokens):
        self.times.append(time.perf_counter())

    def end(self):
        pass


def main():
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    model = AutoModelForCausalLM.from_pretrained(model_name, dtype=getattr(torch, dtype)).eval()
    say({"versions": "transformers %s, torch %s" % (transformers.__version__, torch.__version__)})
    for line in sys.stdin:
        say(answer(model, tokenizer, json.loads(line)))


def answer(model, tokenizer, asked):
    stamps = Stamps()
    start = time.perf_counter()
    prompt = tokenizer(asked["prompt"], return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(
            **prompt,
            max_new_tokens=asked["new_tokens"],
            min_new_tokens=asked["new_tokens"],
            do_sample=False,
            streamer=stamps,
        )
    known = stamps.times[1:]
    return {
        "prompt_tokens": int(prompt["input_ids"].shape[1]),
        "tokens": len(known),
        "first_seconds": known[0] - start,
        "decode_seconds": known[-1] - known[0],
        "text": tokenizer.decode(output[0][prompt["input_ids"].shape[1]:]),
    }


def say(message):
    print(json.dumps(message), flush=True)


main()
