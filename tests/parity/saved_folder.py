"""Puts transformers' logits into a model folder that srlm saved, so that srlm's can be held against them.

Needs torch, transformers and safetensors:

    srlm save FILE NODE DIR
    python tests/parity/saved_folder.py DIR
    SRLM_PARITY=DIR cargo test --release a_folder_of_the_users -- --nocapture

Also loads the folder's tokenizer and prints what it makes of a sentence.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = pathlib.Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(folder)
torch.manual_seed(0)
ids = torch.randint(0, len(tokenizer), (24,))
with torch.no_grad():
    logits = model(ids[None]).logits[0]
save_file({"input_ids": ids, "logits": logits.contiguous()}, folder / "reference.safetensors")
print(type(model).__name__, sum(p.numel() for p in model.parameters()), "parameters")
print(tokenizer("She buys 12 more.")["input_ids"])
