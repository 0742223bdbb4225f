"""The fixed sentences of the report."""

from __future__ import annotations

CONTROLS: dict[str, tuple[str, str]] = {
    "codes": ("codes", "The model itself: heads read its discrete codes."),
    "continuous": (
        "continuous features",
        "The same encoders without the codebook: what quantizing costs.",
    ),
    "infonce": (
        "InfoNCE, equal budget",
        "The same encoders, batches, epochs and heads, without codes, trained by symmetric "
        "InfoNCE alone: what codes and their objectives are worth.",
    ),
    "ridge": (
        "ridge",
        "No network: the target's raw features are mapped to the source's by ridge regression.",
    ),
    "cca": ("CCA", "No network: both modalities' raw features are projected to a shared space."),
    "linear": (
        "linear head on the target",
        "A head on the mean raw features of the target itself, with its labels, which the others "
        "never see: an upper bound for what is linear in these.",
    ),
    "untrained_encoders": (
        "untrained encoders",
        "Encoders stay random and only the codebook learns. MM-EMA writes paired features into "
        "each other's codes, so codes learned over random encoders already transfer: only what "
        "is above this row was learned by the encoders, which is why chance is not the only "
        "baseline.",
    ),
    "shuffled_pairs": (
        "shuffled pairs",
        "Trained on wrong pairs, every modality alone unchanged: what is left does not come from "
        "the pairing.",
    ),
    "majority": ("majority", "Naming the most frequent class of the training clips."),
    "chance": ("chance", "Guessing uniformly among the classes."),
}
"""Title and explanation of each control, in the order of the table."""


def control_title(name: str) -> str:
    """How a control is called; one that is not known by its own name."""
    return CONTROLS.get(name, (name.replace("_", " "),))[0]


SPLITS = {
    "test_one_scan": (
        "One scan per clip",
        "The same held-out clips, but each shows a single scan at all steps of its event: no "
        "averaging over several scans can help.",
    ),
}
"""Title and explanation of further held-out splits."""

DIGITS_IN_SHORT = (
    "Data: recorded handwriting, synthesized voices and written sentences of the digits zero to "
    "nine; the pairing is constructed."
)

DIGITS = (
    "The handwriting is recorded: 1797 scans of 8 × 8 pixels, Optical Recognition of Handwritten "
    "Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, doi 10.24432/C50P49, "
    "license CC BY 4.0.",
    "The voices are synthesized: 64 settings of one synthesizer (espeak-ng); no person was "
    "recorded. The sentences were written for cmg.",
    "The pairing is constructed: a clip puts together scans, utterances and a sentence of the "
    "same digit. The noise of the room and the specks on blank pages are random numbers.",
    "Held-out clips have scans, voices and sentence templates that occur in no training clip.",
)
"""What the embedded set is, after its NOTICE."""


SIMULATED = "These are simulated data: the figures are not to be compared with the paper's."


def count_text(value: float) -> str:
    """A count, or a mean of counts with one decimal."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def percent(share: float) -> str:
    """A share 0..1 as a percentage with a sensible number of digits."""
    value = 100 * share
    if value == 0 or 10 <= value < 99 or value == 100:
        return f"{value:.0f} %"
    if value > 99.9:
        return "> 99.9 %"
    return f"{value:.1f} %" if value >= 0.1 else "< 0.1 %"
