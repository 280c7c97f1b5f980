"""Writes greedy.json: what transformers' `generate` makes of a prompt on each parity model, 200 tokens, greedily.

Needs torch, transformers and safetensors (made with 2.15 and 5.23), and the folders that generate.py writes:

    python tests/parity/greedy.py
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
FAMILIES = ["qwen2", "qwen2_untied", "llama", "qwen3", "llama3"]
PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6], [17], [50, 60, 70, 80, 90]]
NEW = 200


def main():
    made = {}
    for family in FAMILIES:
        model = AutoModelForCausalLM.from_pretrained(HERE / family, dtype=torch.float32).eval()
        # No token ends it; a least number of tokens would do that by forbidding the end token, which is another text.
        model.generation_config.eos_token_id = None
        rows = []
        for prompt in PROMPTS:
            ids = torch.tensor([prompt])
            with torch.no_grad():
                tokens = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW,
                                        pad_token_id=0)
            rows.append({"prompt": prompt, "tokens": tokens[0, len(prompt):].tolist()})
        made[family] = rows
    text = json.dumps(made).replace("], \"", "],\n  \"").replace("}, {", "},\n {").replace("}], \"", "}],\n\"")
    (HERE / "greedy.json").write_text(text + "\n")


main()
