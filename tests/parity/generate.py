"""Writes the parity fixtures beside this file: tiny random models, and what PyTorch computes with them.

Needs torch, transformers and safetensors (made with 2.15, 5.23 and 0.8):

    python tests/parity/generate.py

Each folder holds a Hugging Face model and `reference.safetensors`:
  input_ids [n], segments [samples + 1]   two samples, one after the other, and their cumulative starts
  mask [n]                                1 where the token is trained, that is predicted from the one before
  logits [n, vocab]                       each sample run alone
  loss []                                 masked sum of -log p / masked count
  grad.<name>                             of that loss
  after.<name>                            weights after one AdamW step (ADAMW below, matrices decay)
  losses [STEPS + 1]                      before each of ten AdamW steps on the same samples, and after the last
"""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SHAPE = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=96,
    max_position_embeddings=64,
)
# A large epsilon keeps the first step a smooth function of the gradient, so that it can be compared.
ADAMW = dict(lr=1e-2, betas=(0.9, 0.99), eps=1e-3)
DECAY = 0.1
STEPS = 10
LENGTHS = (13, 9)
PROMPTS = (5, 3)

# The original context is short enough that frequencies are kept, mixed and divided.
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)

MODELS = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "qwen2_untied": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=False)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False, rms_norm_eps=1e-5)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=12, tie_word_embeddings=True)),
    "llama3": lambda: LlamaForCausalLM(
        LlamaConfig(**SHAPE, tie_word_embeddings=False, rms_norm_eps=1e-5, rope_parameters=LLAMA3)
    ),
}


def randomise(model):
    """Weights large enough that every part of the model matters."""
    for name, weight in model.named_parameters():
        noise = torch.randn_like(weight)
        with torch.no_grad():
            if "norm" in name:
                weight.copy_(1 + 0.1 * noise)
            else:
                weight.copy_(0.2 * noise)


def run(model, ids):
    """The logits of each sample, the trained tokens as a mask, and the loss."""
    logits, total, count, mask = [], 0.0, 0, []
    for sample, prompt in zip(ids, PROMPTS):
        rows = model(sample[None]).logits[0]
        picked = torch.log_softmax(rows[:-1], -1).gather(1, sample[1:, None])[:, 0]
        total, count = total - picked[prompt - 1 :].sum(), count + len(sample) - prompt
        logits.append(rows.detach())
        mask.append(torch.arange(len(sample)) >= prompt)
    return torch.cat(logits), torch.cat(mask).to(torch.int64), total / count


def reference(model):
    ids = [torch.randint(0, SHAPE["vocab_size"], (length,)) for length in LENGTHS]
    logits, mask, loss = run(model, ids)
    loss.backward()
    out = {
        "input_ids": torch.cat(ids),
        "segments": torch.tensor([0, LENGTHS[0], sum(LENGTHS)]),
        "mask": mask,
        "logits": logits,
        "loss": loss.detach(),
    }
    named = list(model.named_parameters())
    out |= {f"grad.{name}": weight.grad.clone() for name, weight in named}
    groups = [
        dict(params=[w for _, w in named if w.dim() >= 2], weight_decay=DECAY),
        dict(params=[w for _, w in named if w.dim() < 2], weight_decay=0.0),
    ]
    optimiser = torch.optim.AdamW(groups, **ADAMW)
    optimiser.step()
    out |= {f"after.{name}": weight.detach().clone() for name, weight in named}
    losses = [loss.detach()]
    for _ in range(STEPS - 1):
        optimiser.zero_grad()
        loss = run(model, ids)[2]
        loss.backward()
        losses.append(loss.detach())
        optimiser.step()
    losses.append(run(model, ids)[2].detach())
    return out | {"losses": torch.stack(losses)}


def main():
    torch.set_num_threads(1)
    for seed, (name, make) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        folder = pathlib.Path(__file__).parent / name
        model = make()
        randomise(model)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        save_file(reference(model), folder / "reference.safetensors")


main()
