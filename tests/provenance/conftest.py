from __future__ import annotations

import numpy as np
import pytest

from .helpers import textured_clip


@pytest.fixture(scope="session")
def clip() -> list[np.ndarray]:
    return textured_clip()
