"""An example of every command, which its help ends with, and how ``cmg --help`` groups them."""

from __future__ import annotations

PANELS = {
    "Train": ("demo", "pretrain", "select", "study"),
    "Use": ("probe", "encode", "retrieve", "segment", "export", "convert"),
    "Look": ("report", "explore", "compare", "runs", "baselines", "evaluate"),
    "Data": ("extract", "extractors", "data"),
    "Reference": ("presets", "config", "verify-golden"),
}
"""Commands of ``cmg`` by what they are for; others come after them."""

EXAMPLES = {
    "demo": "cmg demo --out runs/demo",
    "pretrain": "cmg pretrain data=stores/mine training.epochs=50 --out runs/mine",
    "extract": "cmg extract clips/ --out stores/mine --video efficientnet-lite0 --audio vggish",
    "extractors": "cmg extractors",
    "probe": "cmg probe --model runs/mine --train-on audio --test-on video --labels labels.csv",
    "baselines": "cmg baselines runs/mine",
    "encode": "cmg encode clip.mp4 --model runs/mine --out codes",
    "report": "cmg report runs/mine",
    "verify-golden": "cmg verify-golden golden/",
    "convert": "cmg convert DCID-model-4.pt --out runs/converted",
    "config": "cmg config training",
    "select": "cmg select runs/avt --data /data/official --benchmark ave",
    "segment": "cmg segment clip.mp4 --model runs/avs/models/audio --query audio --out masks",
    "retrieve": "cmg retrieve clip42 --model runs/mine --from audio --to video --top 5",
    "export": "cmg export runs/mine shared/mine",
    "explore": "cmg explore runs/mine",
    "compare": "cmg compare runs/one runs/two",
    "runs": "cmg runs",
    "evaluate all": "cmg evaluate all --model runs/avt --data /data/official --out results",
    "evaluate ave": "cmg evaluate ave --model runs/avt --data /data/official --out ave",
    "evaluate avvp": "cmg evaluate avvp --model runs/avt --data /data/official --out avvp",
    "evaluate ave-avvp": "cmg evaluate ave-avvp --model runs/avt --data /data/official --out both",
    "evaluate ucf-vgg": "cmg evaluate ucf-vgg --model runs/av --data /data/official --out ucf",
    "evaluate avs": "cmg evaluate avs --model runs/avt --data /data/avsbench --out runs/avs",
    "evaluate retrieval": "cmg evaluate retrieval --model runs/mine --out found",
    "evaluate two-stage": (
        "cmg evaluate two-stage --model runs/av --new text --pivot audio --data stores/mine "
        "--out runs/joined"
    ),
    "evaluate open-set": "cmg evaluate open-set --model runs/mine --known 5 --out open",
    "data import": "cmg data import --arrays clips.csv --out stores/mine",
    "data info": "cmg data info stores/mine",
    "data verify": "cmg data verify stores/mine",
    "data check": "cmg data check /data/official",
    "data simulate": "cmg data simulate simulated --fraction 0.001",
    "data prompts": "cmg data prompts labels.txt --out prompts.csv",
    "data embed-prompts": "cmg data embed-prompts prompts.csv --out prompts.pkl",
    "presets list": "cmg presets list",
    "presets show": "cmg presets show contrast",
    "presets copy": "cmg presets copy own-data mine.yaml",
    "study list": "cmg study list",
    "study run": "cmg study run ablation --data digits --out studies/ablation --seeds 3",
    "study table": "cmg study table studies/ablation",
    "study merge": "cmg study merge studies/whole studies/part-1 studies/part-2",
    "study best": "cmg study best studies/ablation",
}
"""By the words of the command."""


def panel_of(command: str) -> str:
    """The group that a command of ``cmg`` is listed in."""
    return next((panel for panel, names in PANELS.items() if command in names), "More")
