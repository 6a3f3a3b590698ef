"""The study's Fig. 5: where on its way Blur IG's path changes."""

from typing import Any

import pandas as pd

from evidence.claim import Claim, Group
from evidence.stored import Stored
from evidence.words import pivot

NAME = "blur_path"
BLURS = ("blur", "blur, reflected border")
JUMP = "jump at the end"
PATHS = ("straight", *BLURS)
SHARES = {"image_share": "the image's way", "variation_share": "F's way, up and down", "change_share": "F's change"}
HALF = 0.5


def shares(stored: Stored, column: str) -> Any:
    """The tenths' shares, images x (path, tenth); columns are empty if it was not run."""
    rows = stored.frame(NAME)
    if rows is None:
        pairs = pd.MultiIndex.from_product([(*PATHS, JUMP), range(1, 11)], names=["path", "tenth"])
        return pd.DataFrame(columns=pairs, dtype=float)
    return rows.pivot(index="image", columns=["path", "tenth"], values=column)


def _numbers(stored: Stored) -> list[Any]:
    rows = stored.frame(NAME)
    rows = rows[rows["tenth"].isin((1, 9, 10))]
    return [
        part for column, words in SHARES.items() for part in (f"Of {words}:", pivot(rows, ["path"], "tenth", column))
    ]


GROUP = Group(
    "paths",
    "Where does Blur IG's path change?",
    [Claim("claim-blur-path", _numbers, runs=(NAME,))]
    + [Claim(name, runs=(NAME,)) for name in ("claim-blur-output", "claim-steady")],
)
