"""`python3 -m unittest`, in training/."""

import torch

# Tensors here are small; threads would only wait for each other.
torch.set_num_threads(1)
