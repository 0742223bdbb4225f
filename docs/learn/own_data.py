# %% [markdown]
# # Your own data
#
# Whatever you have as arrays of steps can be paired. Here two sensors watch one machine: a microphone, and a
# thermometer of four channels. The machine has three states, which none of them names. (The numbers are made by
# NumPy, so that this runs anywhere; files of media come in with [`cmg extract`](../own-data.md).)

# %%
import numpy as np

import cmg

rng = np.random.default_rng(0)
states = rng.integers(3, size=400)
hum, heat = rng.normal(size=(3, 16)), rng.normal(size=(3, 4))  # what a state sounds and feels like


def recorded(of_state, noise):
    """Per clip: some steps of what its state is like, with noise."""
    return [
        (of_state[s] + noise * rng.normal(size=(rng.integers(4, 9), of_state.shape[1]))).astype(
            "f4"
        )
        for s in states
    ]


sound, warmth = recorded(hum, 1.0), recorded(heat, 0.7)
warmth = [w[: len(s)] if len(w) > len(s) else w for s, w in zip(sound, warmth, strict=True)]

# %% [markdown]
# One call writes a store. Clips may differ in length, and labels are for measuring only: training sees none.

# %%
store = cmg.write_store(
    "stores/machine",
    {"sound": sound, "heat": warmth},
    split=["train"] * 300 + ["test"] * 100,
    labels={"state": [("idle", "running", "blocked")[s] for s in states]},
)
print({m: store.lengths(m)[:4].tolist() for m in ("sound", "heat")}, len(store), "clips")

# %% [markdown]
# `own-data` is the preset that `cmg pretrain data=STORE` takes.

# %%
changes = ["data.store=stores/machine", "training.epochs=30", "model.codebook.size=16"]
config = cmg.load_config("own-data", [*changes, "training.tensorboard=false"])
_ = cmg.pretrain(config, "runs/machine")

# %% [markdown]
# A head learns the states from sound, and is read on heat, and the other way round:

# %%
found = cmg.transfer_table("runs/machine", store)
print(found)
found.plot()

# %% [markdown]
# And the codes of three clips, one of each state, which are what [`cmg encode`](../encode.md) writes. -1 says that there
# is no such step.

# %%
test = store.split("test")
state = test.label("state")
clips = test.only([state.tolist().index(s) for s in range(3)])
model = cmg.load("runs/machine")
codes = model.encode(cmg.Batches(clips, 3, shuffle=False).at(0, 0))
for s in range(3):
    print("state", s, *(f"  {name} {codes[name][s].tolist()}" for name in codes))

# %% [markdown]
# A state has its codes in each modality, and they need not be the same number in both. A head reads the *vector* of
# a code, and what was learned from pairs is that vectors of the same state lie near each other. The cosine of the mean
# vectors, sound by row and heat by column:

# %%
vectors = model.decode(codes)
mean = {n: v.mean(1) / v.mean(1).norm(dim=-1, keepdim=True) for n, v in vectors.items()}
print((mean["sound"] @ mean["heat"].T).numpy().round(2))
