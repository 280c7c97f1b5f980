"""transformers `generate` on random weights: reads a batch size a line, answers with one timed run as JSON.

Started by generate.py with the Python of its environment.
"""

import argparse
import json
import sys
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

SHAPES = {
    "A": dict(num_hidden_layers=24, hidden_size=896, num_attention_heads=14, num_key_value_heads=2,
              intermediate_size=4864, vocab_size=151936),
    "B": dict(num_hidden_layers=6, hidden_size=256, num_attention_heads=8, num_key_value_heads=4,
              intermediate_size=704, vocab_size=512),
    "C": dict(num_hidden_layers=8, hidden_size=512, num_attention_heads=8, num_key_value_heads=4,
              intermediate_size=1408, vocab_size=4096),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--prompt", type=int, required=True)
    parser.add_argument("--new", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = Qwen2Config(**SHAPES[args.shape], max_position_embeddings=args.prompt + args.new, tie_word_embeddings=True,
                         rope_theta=1e6, bos_token_id=None, eos_token_id=None, pad_token_id=0)
    model = Qwen2ForCausalLM(config).to(torch.float32).eval()
    for line in sys.stdin:
        batch = int(line)
        ids = torch.randint(3, config.vocab_size, (batch, args.prompt))
        start = time.perf_counter()
        with torch.no_grad():
            made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True,
                                  max_new_tokens=args.new, min_new_tokens=args.new)
        seconds = time.perf_counter() - start
        assert made.shape == (batch, args.prompt + args.new)
        print(json.dumps({"seconds": seconds, "tokens_per_second": batch * args.new / seconds}), flush=True)


main()
