"""Holds srlm's adapters against PEFT: reads one that srlm saved, and writes what PyTorch computes with it.

Needs torch, transformers, peft and safetensors (made with 2.15, 5.23, 0.21.2 and 0.8), and the fixtures of generate.py:

    SRLM_BLESS=1 cargo test --lib saved_adapters_equal_peft    # srlm writes lora/adapter_config.json and its weights
    python tests/parity/lora.py

The base is the model in `qwen2`. `lora/reference.safetensors` holds
  logits [n, vocab]           with the adapter, the samples of qwen2/reference.safetensors each run alone
  merged [n, vocab]           after merge_and_unload
  loss []                     as in generate.py
  grad.<name>                 of that loss, of A and B, by srlm's names
  losses [STEPS + 1]          before each of ten AdamW steps of A and B, and after the last
`lora/peft` is the same adapter as PEFT saves it.
"""

import pathlib

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
ADAMW = dict(lr=1e-2, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.1)
STEPS = 10


def samples(fixture):
    starts, ids, mask = (fixture[name].tolist() for name in ("segments", "input_ids", "mask"))
    pairs = zip(starts, starts[1:])
    return [(torch.tensor(ids[a:b]), torch.tensor(mask[a:b], dtype=torch.bool)) for a, b in pairs]


def run(model, fixture):
    logits, total, count = [], 0.0, 0
    for ids, mask in samples(fixture):
        rows = model(ids[None]).logits[0]
        picked = torch.log_softmax(rows[:-1], -1).gather(1, ids[1:, None])[:, 0]
        total, count = total - picked[mask[1:]].sum(), count + int(mask.sum())
        logits.append(rows.detach())
    return torch.cat(logits), total / count


def ours(name):
    """PEFT's name of a parameter in a model that is loaded, as srlm has it."""
    return name.removeprefix("base_model.model.").replace(".default.", ".")


def main():
    torch.set_num_threads(1)
    fixture = load_file(HERE / "qwen2" / "reference.safetensors")
    base = AutoModelForCausalLM.from_pretrained(HERE / "qwen2", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, HERE / "lora", is_trainable=True)
    # PEFT passes over names it does not know: every number of the file must stand in the model.
    saved = {ours(name): tensor for name, tensor in load_file(HERE / "lora" / "adapter_model.safetensors").items()}
    named = {ours(name): weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert saved.keys() == named.keys() and all(torch.equal(saved[name], named[name]) for name in saved)
    model.save_pretrained(HERE / "lora" / "peft")
    (HERE / "lora" / "peft" / "README.md").unlink(missing_ok=True)
    logits, loss = run(model, fixture)
    loss.backward()
    out = {"logits": logits, "loss": loss.detach()}
    out |= {f"grad.{name}": weight.grad.clone() for name, weight in named.items()}
    optimiser, losses = torch.optim.AdamW(list(named.values()), **ADAMW), []
    start = {name: weight.detach().clone() for name, weight in named.items()}
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = run(model, fixture)[1]
        loss.backward()
        losses.append(loss.detach())
        optimiser.step()
    losses.append(run(model, fixture)[1].detach())
    with torch.no_grad():
        for name, weight in named.items():
            weight.copy_(start[name])
    out |= {"losses": torch.stack(losses), "merged": run(model.merge_and_unload(), fixture)[0]}
    save_file(out, HERE / "lora" / "reference.safetensors")


main()
