import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from leccr.gallery import Gallery
from leccr.serve.desk import MOST_PICTURES_HELD, Desk
from leccr.serve.metrics import Metrics
from leccr.serve.settings import Settings


def test_few_pictures_are_held_decoded_however_many_are_sent(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    held, lock = [0], threading.Lock()

    def change(by: int) -> None:
        with lock:
            held.append(held[-1] + by)

    def prepare(desk: Desk, picture: str) -> str:
        change(1)
        return picture

    def embed(desk: Desk, prepared: list[Any]) -> np.ndarray:
        change(-len(prepared))
        return np.zeros((len(prepared), 2), dtype=np.float32)

    monkeypatch.setattr(Desk, "_prepare", prepare)
    monkeypatch.setattr(Desk, "_embed_pictures", embed)

    async def ask() -> None:
        desk = Desk(gallery, Settings(), Metrics())
        found = await asyncio.gather(*(desk.embed(["data:image/png;base64,"] * 3) for _ in range(20)))
        assert [each.shape for each in found] == [(3, 2)] * 20
        desk.close()

    asyncio.run(ask())
    assert len(held) > 60 and held[-1] == 0 and max(held) <= MOST_PICTURES_HELD
