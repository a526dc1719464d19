"""The learning rate over a run.

    peak ─────────╮ cosine
        ╱          ╲
       ╱ linear      ╲____ peak / 100
      0   warm-up         1   part of the run
"""

import math

LEAST = 0.01
"""Where the decay ends, as a part of the peak; the tutorial's."""


def learning_rate(step: int, steps: int, peak: float, warm_up: float) -> float:
    """For step `step` of 0..`steps`. `warm_up` is the part of the run, 0 up to 1, in which it rises."""
    warm_steps = int(steps * warm_up)
    if step < warm_steps:
        return peak * (step + 1) / (warm_steps + 1)
    done = (step - warm_steps) / max(1, steps - 1 - warm_steps)
    return peak * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
