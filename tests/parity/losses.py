"""Writes losses.json: policy losses and distillation divergences with their gradients, by PyTorch in float64.

Everything is computed on padded batches with masks and differentiated by autograd, so that it shares neither layout nor
derivatives with the Rust code that is held against it. Needs torch (made with 2.15):

    python tests/parity/losses.py
"""

import json
import math
import pathlib
import random

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

LOSSES = {  # name: (epsilon, epsilon_high)
    "grpo": (0.2, 0.28),
    "dapo": (0.2, 0.28),
    "dr_grpo": (0.2, 0.2),
    "gspo": (0.03, 0.04),
    "cispo": (0.2, 1.2),
}
LONGEST, GROUP = 9, 4


def batch(seed):
    """Three groups of four: one of mixed rewards, one flat, one with a completion that nothing scores; two masked."""
    rng = random.Random(seed)
    completions = []
    for at in range(3 * GROUP):
        old = [-rng.expovariate(1.0) for _ in range(rng.randint(1, LONGEST))]
        rewards = [rng.choice([0.0, 0.1, 1.0, 1.1]), 0.1, rng.choice([0.0, 1.0])]
        completions.append({
            "reward": None if at == 2 * GROUP + 1 else rewards[at // GROUP],
            "masked": at in (2, 2 * GROUP),
            "old": old,
            "current": [value + rng.gauss(0.0, 0.3) for value in old],
            "reference": [value + rng.gauss(0.0, 0.5) for value in old],
        })
    # Never all alike, whatever was drawn.
    completions[0]["reward"], completions[1]["reward"] = 1.1, 0.0
    completions[2 * GROUP + 2]["reward"], completions[2 * GROUP + 3]["reward"] = 1.0, 0.0
    return completions


def advantages(completions, scaling):
    """Group-relative; a completion without a reward is left out of mean and deviation and gets 0."""
    rewards = torch.tensor([math.nan if c["reward"] is None else c["reward"] for c in completions]).view(-1, GROUP)
    centred = rewards - rewards.nanmean(dim=1, keepdim=True)

    def deviation(values):
        return values[~values.isnan()].std(unbiased=True)

    if scaling == "group":
        centred = centred / (torch.stack([deviation(group) for group in rewards])[:, None] + 1e-4)
    elif scaling == "batch":
        centred = centred / (deviation(rewards.flatten()) + 1e-4)
    flat = torch.stack([(g[~g.isnan()] - g.nanmean()).abs().max() < 1e-8 for g in rewards])[:, None]
    return torch.where(flat, 0.0, centred.nan_to_num(0.0)).flatten()


def padded(completions, field):
    rows = [c[field] + [0.0] * (LONGEST - len(c[field])) for c in completions]
    return torch.tensor(rows)


def policy_loss(name, estimator, kl_coef, current, completions, advantage):
    epsilon, epsilon_high = LOSSES[name]
    old, reference = padded(completions, "old"), padded(completions, "reference")
    mask = torch.tensor([[not c["masked"] and at < len(c["old"]) for at in range(LONGEST)] for c in completions])
    mask = mask.double()
    lengths = mask.sum(1).clamp(min=1.0)
    sequences = float(sum(not c["masked"] for c in completions))
    log_ratio = current - old
    if name == "gspo":
        log_ratio = ((log_ratio * mask).sum(1) / lengths)[:, None].expand_as(mask)
    ratio, gain = log_ratio.exp(), advantage[:, None]
    if name == "cispo":
        token = -ratio.clamp(max=epsilon_high).detach() * gain * current
    else:
        token = -torch.min(ratio * gain, ratio.clamp(1 - epsilon, 1 + epsilon_high) * gain)
    d = current - reference
    token = token + kl_coef * {"k2": d * d / 2, "k3": (-d).exp() - 1 + d}[estimator]
    total = (token * mask).sum(1)
    if name in ("grpo", "gspo"):
        return (total / lengths).sum() / sequences
    if name == "dr_grpo":
        return total.sum() / (sequences * LONGEST)
    return total.sum() / mask.sum()


def policy_cases():
    for seed in (0, 1):
        completions = batch(seed)
        scaled = {scaling: advantages(completions, scaling) for scaling in ("group", "batch", "none")}
        objectives = []
        for name in LOSSES:
            for estimator in ("k2", "k3"):
                scaling = "none" if name == "dr_grpo" else "batch" if estimator == "k2" else "group"
                kl_coef = 0.1 if seed == 0 else 0.02
                current = padded(completions, "current").requires_grad_()
                loss = policy_loss(name, estimator, kl_coef, current, completions, scaled[scaling])
                loss.backward()
                gradient = [row[: len(c["old"])].tolist() for row, c in zip(current.grad, completions)]
                epsilon, epsilon_high = LOSSES[name]
                objectives.append({
                    "loss": name, "kl_estimator": estimator, "kl_coef": kl_coef, "scaling": scaling,
                    "epsilon": epsilon, "epsilon_high": epsilon_high, "value": loss.item(), "gradient": gradient,
                })
        yield {
            "group_size": GROUP, "max_completion_length": LONGEST, "completions": completions,
            "advantages": {name: values.tolist() for name, values in scaled.items()}, "objectives": objectives,
        }


def divergence_cases(rows=3, vocabulary=7):
    torch.manual_seed(0)
    # Rounded to float32, which is what the Rust side takes.
    teacher, start = ((3 * torch.randn(rows, vocabulary)).float().double() for _ in range(2))
    for direction in ("forward", "reverse"):
        for temperature in (1.0, 0.7, 2.5):
            student = start.clone().requires_grad_()
            log_p, log_q = (torch.log_softmax(logits / temperature, -1) for logits in (teacher, student))
            first, second = (log_p, log_q) if direction == "forward" else (log_q, log_p)
            value = (first.exp() * (first - second)).sum()
            value.backward()
            yield {
                "direction": direction, "temperature": temperature, "vocabulary": vocabulary,
                "teacher": teacher.flatten().tolist(), "student": start.flatten().tolist(),
                "value": value.item(), "gradient": student.grad.flatten().tolist(),
            }


if __name__ == "__main__":
    cases = {"policy": list(policy_cases()), "divergence": list(divergence_cases())}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
