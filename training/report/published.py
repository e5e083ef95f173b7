"""Rows that Ilharco et al. 2019 print, to stand beside a run's: never without `remark`, on what differs.

Source: "Large-scale representation learning from visually grounded untranscribed speech", CoNLL 2019,
arXiv 1909.08782, table 2 (FACC test). One slip of the print is set right: with the speech tower warm, I->S
R@1 is .055 (printed .550, though R@5 is .166).
"""

from __future__ import annotations

SOURCE = "Ilharco et al. 2019, arXiv 1909.08782, table 2"
SET = "Flickr Audio Captions: people's voices, original photographs, 1,000 test pictures with 5,000 captions"

# row -> S->I R@1, 5, 10, 50, 100; I->S R@1, 5, 10, 50, 100
ROWS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "from scratch": ((0.018, 0.063, 0.101, 0.288, 0.428), (0.024, 0.072, 0.124, 0.332, 0.458)),
    "warm start, speech": ((0.041, 0.138, 0.211, 0.467, 0.613), (0.055, 0.166, 0.241, 0.522, 0.654)),
    "warm start, image": ((0.062, 0.190, 0.279, 0.560, 0.703), (0.081, 0.242, 0.352, 0.664, 0.782)),
    "warm start, both": ((0.139, 0.368, 0.495, 0.781, 0.875), (0.182, 0.435, 0.558, 0.842, 0.910)),
}


def remark(facts: str) -> str:
    """What has to be said wherever a published row stands beside a figure from data with these `facts`."""
    return f"Published rows: {SOURCE}, measured on {SET}. The runs here were judged on {facts}."
