"""Writes trl_losses.json: what TRL's own code makes of random rollout batches and logits, with gradients, in float64.

`GRPOTrainer._compute_loss` is called as it is in the package, once a micro-batch, with a trainer that holds nothing but
its settings; the gradients of the micro-batches are added up, as TRL's training loop does. Distillation is
`GKDTrainer.generalized_jsd_loss`. The batches are those of losses.py with other seeds. Needs torch, transformers and trl
(made with 2.15.0, 5.23.0 and 1.16.0):

    python tests/parity/trl_losses.py

Two things differ on purpose, and are no cases here. A masked completion stays in the denominators of TRL's `grpo` and
`dr_grpo` losses (a mean over all completions), where ours have one mask above and below; so only the losses over tokens,
`dapo` and `cispo`, meet masked completions. And TRL estimates the KL by k3 alone: k2 is held against PyTorch in losses.py.
"""

import json
import pathlib
import types
from collections import defaultdict

import torch
from losses import GROUP, LONGEST, LOSSES, advantages, batch, padded
from trl.experimental.gkd import GKDTrainer
from trl.trainer.grpo_trainer import GRPOTrainer

MICRO_BATCHES = 3


class Alone:
    """An accelerator of one process."""

    num_processes = 1

    def gather(self, value):
        return value

    def reduce(self, value, reduction):
        return value


def trainer(name, kl_coef, log_probs):
    """What `_compute_loss` reads of a trainer; the model's log-probabilities are given."""
    epsilon, epsilon_high = LOSSES[name]
    return types.SimpleNamespace(
        model=types.SimpleNamespace(training=True),
        args=types.SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=MICRO_BATCHES),
        accelerator=Alone(),
        _get_per_token_logps_and_entropies=lambda *_, **__: (log_probs, torch.zeros_like(log_probs), None),
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        aux_loss_enabled=False,
        beta=kl_coef,
        current_gradient_accumulation_steps=MICRO_BATCHES,
        epsilon_high=epsilon_high,
        epsilon_low=epsilon,
        importance_sampling_level="sequence" if name == "gspo" else "token",
        loss_type="grpo" if name == "gspo" else name,
        max_completion_length=LONGEST,
        off_policy_mask_threshold=None,
        top_entropy_quantile=1.0,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
    )


def trl_loss(name, kl_coef, current, completions, advantage):
    """The loss of an optimiser step, its micro-batches added up."""
    mask = torch.tensor([[not c["masked"] and at < len(c["old"]) for at in range(LONGEST)] for c in completions]).long()
    old, reference = padded(completions, "old"), padded(completions, "reference")
    total = 0.0
    for rows in torch.arange(len(completions)).chunk(MICRO_BATCHES):
        prompts = torch.ones(len(rows), 1, dtype=torch.long)
        inputs = {
            "prompt_ids": prompts,
            "prompt_mask": prompts,
            "completion_ids": torch.ones(len(rows), LONGEST, dtype=torch.long),
            "completion_mask": mask[rows],
            "advantages": advantage[rows],
            "old_per_token_logps": old[rows],
            "ref_per_token_logps": reference[rows],
            "num_items_in_batch": mask.sum(),
        }
        total = total + GRPOTrainer._compute_loss(trainer(name, kl_coef, current[rows]), None, inputs)
    return total


def policy_cases():
    for seed, masks in ((10, False), (11, True), (12, False)):
        completions = batch(seed)
        for completion in completions:
            completion["masked"] = completion["masked"] and masks
        scaled = {scaling: advantages(completions, scaling) for scaling in ("group", "batch", "none")}
        objectives = []
        for name in LOSSES:
            if masks and name not in ("dapo", "cispo"):
                continue
            for kl_coef in (0.0, 0.1):
                scaling = "none" if name == "dr_grpo" else "group"
                current = padded(completions, "current").requires_grad_()
                loss = trl_loss(name, kl_coef, current, completions, scaled[scaling])
                loss.backward()
                epsilon, epsilon_high = LOSSES[name]
                objectives.append({
                    "loss": name, "kl_estimator": "k3", "kl_coef": kl_coef, "scaling": scaling,
                    "epsilon": epsilon, "epsilon_high": epsilon_high, "value": loss.item(),
                    "gradient": [row[: len(c["old"])].tolist() for row, c in zip(current.grad, completions)],
                })
        yield {
            "group_size": GROUP, "max_completion_length": LONGEST, "completions": completions,
            "advantages": {name: values.tolist() for name, values in scaled.items()}, "objectives": objectives,
        }


def divergence_cases(rows=3, vocabulary=7):
    torch.manual_seed(10)
    # Rounded to float32, which is what the Rust side takes.
    teacher, start = ((3 * torch.randn(1, rows, vocabulary)).float().double() for _ in range(2))
    for beta in (0.0, 0.1, 0.5, 0.9, 1.0):
        for temperature in (1.0, 0.7, 2.5):
            student = start.clone().requires_grad_()
            value = GKDTrainer.generalized_jsd_loss(
                student, teacher, beta=beta, temperature=temperature, reduction="sum"
            )
            value.backward()
            yield {
                "beta": beta, "temperature": temperature, "vocabulary": vocabulary,
                "teacher": teacher.flatten().tolist(), "student": start.flatten().tolist(),
                "value": value.item(), "gradient": student.grad.flatten().tolist(),
            }


if __name__ == "__main__":
    cases = {"policy": list(policy_cases()), "divergence": list(divergence_cases())}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
