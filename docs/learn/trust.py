# %% [markdown]
# # Trust a number
#
# "Trained on audio, read on video: 90 %" sounds good. Is it? Three questions decide, and each costs a run.
#
# 1. Would it be as good without anything learned? *Untrained encoders* say.
# 2. Would it be as good if the pairs meant nothing? *Shuffled pairs* say.
# 3. Would it be the same tomorrow? Other *seeds* say.

# %%
import cmg

store = cmg.open_clips("digits")
short = ["training.epochs=2", "training.tensorboard=false"]
runs = {
    "paired": [],
    "paired, another seed": ["training.seed=1"],
    "shuffled pairs": ["data.shuffled_pairs=true"],
    "untrained encoders": ["training.codebook_only=true"],
}
directions = [("audio", "video"), ("video", "audio"), ("audio", "audio")]
scores = {}
for name, changes in runs.items():
    folder = "runs/" + name.replace(" ", "-").replace(",", "")
    cmg.pretrain(cmg.load_config("digits", [*short, *changes]), folder)
    scores[name] = [cmg.probe(folder, store, a, b).transfer.mean for a, b in directions]

# %%
print(f"{'':22}" + "".join(f"{a} -> {b}".rjust(17) for a, b in directions))
for name, row in scores.items():
    print(f"{name:22}" + "".join(f"{score:17.1f}" for score in row))

# %% [markdown]
# The first row again, in all directions, with chance as the dashed line:

# %%
cmg.transfer_table("runs/paired").plot()

# %% [markdown]
# Read the rows by columns. **Across** modalities, shuffled pairs fall to about chance (10 %): what transfers was learned from
# which sound belonged to which scan. **Within** audio they hardly fall: a head finds digits in any codes that keep
# something of the sound, so a score within a modality says nothing about pairing. Untrained encoders are far above
# chance across modalities too, because their codebook was still trained on pairs; what training the encoders brought is the
# distance to *that* row, not to 10 %.
#
# Two seeds are no spread. `cmg study run` repeats a comparison over seeds and folds and gives each difference its
# interval ([studies](../studies.md)); `cmg baselines RUN` adds what needs no network ([baselines](../baselines.md));
# what came out on five sets is in [the evidence](../evidence.md).
