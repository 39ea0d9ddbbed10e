"""Writes optimizers.csv and schedules.csv beside this file, with PyTorch 2.15 in float64.

The objective is f(x) = sum(x^4/4 + c x^2/2 - o x), whose gradient is x^3 + c x - o.
"""

import pathlib

import torch
from torch import optim
from torch.optim import lr_scheduler

HERE = pathlib.Path(__file__).parent
START, C, O = [1.0, -2.0, 0.5], [1.0, 0.5, 3.0], [0.3, -0.2, 2.0]

RULES = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.8),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    "l2": lambda p: optim.SGD(p, lr=0.05, momentum=0.8, weight_decay=0.3),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam_settings": lambda p: optim.Adam(p, lr=0.1, betas=(0.5, 0.9), eps=1e-2),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.4),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.02),
    "rmsprop_settings": lambda p: optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-2),
    "clip_value": lambda p: optim.Adam(p, lr=0.1),
}


def trajectory(name, schedule=None, steps=10):
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    rule = RULES[name]([x])
    scheduler = schedule(rule) if schedule else None
    for _ in range(steps):
        rule.zero_grad()
        c, o = torch.tensor(C, dtype=torch.float64), torch.tensor(O, dtype=torch.float64)
        (x**4 / 4 + c * x**2 / 2 - o * x).sum().backward()
        if name == "clip_value":
            torch.nn.utils.clip_grad_value_([x], 0.7)
        rule.step()
        if scheduler:
            scheduler.step()
        yield x.tolist()


with open(HERE / "optimizers.csv", "w") as out:
    for name in RULES:
        for row in trajectory(name):
            print(name, *map(repr, row), sep=",", file=out)
    for row in trajectory("adamw", lambda rule: lr_scheduler.StepLR(rule, 3, 0.5)):
        print("adamw_scheduled", *map(repr, row), sep=",", file=out)

SCHEDULES = {
    "step": lambda r: lr_scheduler.StepLR(r, 3, 0.5),
    "exponential": lambda r: lr_scheduler.ExponentialLR(r, 0.9),
    "cosine": lambda r: lr_scheduler.CosineAnnealingLR(r, 10, eta_min=0.1),
    "warm_up": lambda r: lr_scheduler.LinearLR(r, start_factor=0.25, total_iters=3),
    "one_cycle": lambda r: lr_scheduler.OneCycleLR(
        r, 1.0, total_steps=10, pct_start=0.4, div_factor=20, final_div_factor=50, cycle_momentum=False
    ),
}

with open(HERE / "schedules.csv", "w") as out:
    for name, build in SCHEDULES.items():
        rule = optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, rates = build(rule), []
        for _ in range(10):
            rates.append(rule.param_groups[0]["lr"])
            rule.step()
            scheduler.step() if len(rates) < 10 else None
        print(name, *map(repr, rates), sep=",", file=out)
