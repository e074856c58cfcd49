"""The arrays that the steps hand to each other."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""(n,) sound pressure in -1..1, mono, 16 kHz."""
LogPosteriors: TypeAlias = NDArray[np.float64]
"""(frames, tokens) natural logarithm of the probability of each token in each 20 ms frame."""
Features: TypeAlias = NDArray[np.float64]
"""(frames, coefficients), one frame each 10 ms."""
Mask: TypeAlias = NDArray[np.bool_]
"""(frames,) one truth per frame."""
Vector: TypeAlias = NDArray[np.float64]
"""(n,) numbers."""
