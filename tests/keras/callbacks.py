"""What two callbacks of Keras 3 are documented to do, on random sequences of the number that they monitor.

Written after the documentation of keras.callbacks.ReduceLROnPlateau and keras.callbacks.ModelCheckpoint(save_best_only=True) and the
steps of their `on_epoch_end`; the learning rate begins with 1. Prints callbacks.txt:

    plateau MODE FACTOR PATIENCE MIN_DELTA COOLDOWN MIN_LR | what is monitored | the learning rate of every epoch, and of the next
    best MODE THRESHOLD | what is monitored | the epoch, counted from 1, that is in the file after every epoch; 0 for none
"""

import math
import random


class ReduceLROnPlateau:
    def __init__(self, mode, factor, patience, min_delta, cooldown, min_lr):
        self.mode, self.factor, self.patience = mode, factor, patience
        self.min_delta, self.cooldown, self.min_lr = min_delta, cooldown, min_lr
        self.learning_rate = 1.0
        self.best = math.inf if mode == "min" else -math.inf
        self.wait = self.cooldown_counter = 0

    def improves(self, current):
        if self.mode == "min":
            return current < self.best - self.min_delta
        return current > self.best + self.min_delta

    def on_epoch_end(self, current):
        # "cooldown: number of epochs to wait before resuming normal operation"
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            # "patience: number of epochs with no improvement after which learning rate will be reduced"
            self.wait += 1
            if self.wait >= self.patience and self.learning_rate > self.min_lr:
                # "new_lr = lr * factor", "min_lr: lower bound on the learning rate"
                self.learning_rate = max(self.learning_rate * self.factor, self.min_lr)
                self.cooldown_counter = self.cooldown
                self.wait = 0


class BestOnly:
    def __init__(self, mode, threshold):
        self.mode = mode
        self.best = threshold if threshold is not None else math.inf if mode == "min" else -math.inf
        self.saved = 0

    def on_epoch_end(self, epoch, current):
        if current < self.best if self.mode == "min" else current > self.best:
            self.best = current
            self.saved = epoch


def values(count):
    # Few different numbers, so that some are equal or just min_delta apart.
    odd = [math.nan, math.inf, -math.inf]
    draw = lambda: random.choice(odd) if random.random() < 0.06 else random.randrange(16) / 8
    return [draw() for _ in range(count)]


def line(*parts):
    print(" | ".join(" ".join(str(x) for x in part) for part in parts))


random.seed(18)
for _ in range(150):
    options = (
        random.choice(["min", "max"]),
        random.choice([0.1, 0.5, 0.3]),
        random.choice([0, 1, 2, 3]),
        random.choice([0.0, 0.0001, 0.125, 0.5]),
        random.choice([0, 0, 1, 2, 3]),
        random.choice([0.0, 0.0, 0.25, 0.01]),
    )
    callback, monitored = ReduceLROnPlateau(*options), values(16)
    rates = [callback.learning_rate]
    for value in monitored:
        callback.on_epoch_end(value)
        rates.append(callback.learning_rate)
    line(("plateau", *options), monitored, rates)
for _ in range(60):
    options = (random.choice(["min", "max"]), random.choice([None, None, 0.5, 1.5]))
    callback, monitored = BestOnly(*options), values(10)
    saved = []
    for epoch, value in enumerate(monitored, 1):
        callback.on_epoch_end(epoch, value)
        saved.append(callback.saved)
    line(("best", *options), monitored, saved)
