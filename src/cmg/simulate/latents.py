"""The simulated world: concepts as latent vectors, and their rendering as features.

Everything is a function of the world's seed and of a clip's script, so clips may be rendered in any
order and in any process. A concept has one latent vector in every data set. Both modalities of a
step render the same semantic latent (concept, plus what is particular to the clip and to the
step), each through a sparse random mixing of its own, beside nuisances of its own:

    audio   relu(mix(semantic) * loudness + mix(recording) + bias + noise)
    video   relu(object(position) * mix(semantic) + (1 - object) * mix(scene) + bias + noise)
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError, did_you_mean
from cmg.simulate.scripts import Occurrence, Script, generator
from cmg.simulate.vocabulary import concepts

Floats = NDArray[np.float32]

DIM = 32
"""Width of the semantic latent."""
NUISANCE = 16
"""Width of the latents of scenes and recordings."""


@dataclass(frozen=True)
class Difficulty:
    """How far features are from their concept; calibrated in docs/simulation.md.

    Attributes:
        group: Share of a concept's variance that its group accounts for.
        traits: Share that its traits account for; the rest is its own.
        instance: Standard deviation of what is particular to a clip (shared by the modalities).
        step: Standard deviation of what is particular to a step (shared by the modalities).
        audio_nuisance: Of the recording, relative to the semantic part.
        video_nuisance: Of the scene, relative to the semantic part.
        audio_noise: Of independent noise, relative to the semantic part.
        video_noise: Likewise.
        object_size: Radius of the object on the map, as a share of its side.
    """

    group: float = 0.3
    traits: float = 0.25
    instance: float = 0.5
    step: float = 0.3
    audio_nuisance: float = 0.7
    video_nuisance: float = 0.5
    audio_noise: float = 0.5
    video_noise: float = 0.5
    object_size: float = 0.4


class Mixing:
    """A fixed sparse linear map: every channel reads a few latent dimensions.

    Only element-wise arithmetic is used, so the bits do not depend on a threaded matrix product.

    Args:
        rng: Draws the map.
        latents: Width of what is read.
        channels: Width of what is made.
        reads: Latent dimensions per channel.
    """

    def __init__(
        self, rng: np.random.Generator, latents: int, channels: int, reads: int = 6
    ) -> None:
        order = rng.random((channels, latents)).argsort(axis=1)
        self.reads = order[:, :reads].T.copy()
        weights = rng.standard_normal((reads, channels)) / np.sqrt(reads)
        self.weights = weights.astype(np.float32)

    def __call__(self, latent: Floats) -> Floats:
        """[..., latents] -> [..., channels]; unit variance stays unit variance."""
        mixed: Floats = latent[..., self.reads[0]] * self.weights[0]
        for read, weight in zip(self.reads[1:], self.weights[1:], strict=True):
            mixed += latent[..., read] * weight
        return mixed


@dataclass(frozen=True)
class Channels:
    """What relu, bias and scale make of a mixture of unit variance.

    Attributes:
        bias: [C], sets each channel's share of zeros.
        scale: [C].
        ceiling: Values saturate below it.
    """

    bias: Floats
    scale: Floats
    ceiling: float

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        width: int,
        zeros: tuple[float, float],
        scale: float,
        ceiling: float,
    ) -> Channels:
        """Channels whose shares of zeros are Beta distributed with the given parameters."""
        normal = NormalDist()
        # Evenly spaced quantiles of the distribution keep the average at any width.
        shares = np.sort(rng.beta(*zeros, size=(width, 64)), axis=None)[32::64]
        shares = rng.permutation(np.clip(shares, 0.03, 0.998))
        bias = [-normal.inv_cdf(float(share)) for share in shares]
        spread = np.exp(0.35 * rng.standard_normal(width))
        return cls(np.array(bias, np.float32), (scale * spread).astype(np.float32), ceiling)

    def __call__(self, mixture: Floats) -> Floats:
        """[..., C] of unit variance -> features >= 0."""
        mixture += self.bias
        np.maximum(mixture, 0, out=mixture)
        mixture *= (0.4 + 0.5 * mixture) * self.scale  # a longer tail, as real features have
        ceiling = np.float32(self.ceiling)
        mixture /= 1 + mixture / ceiling
        return mixture


class Latents:
    """Concepts and their rendering.

    Args:
        seed: Two seeds share nothing but the statistics of their features.
        audio_width: Channels of the audio features, 128 officially.
        video_width: Channels of the video features, 512 officially.
        map_size: Positions per side of the video maps, 7 officially.
    """

    def __init__(
        self,
        seed: int = 0,
        audio_width: int = 128,
        video_width: int = 512,
        map_size: int = 7,
    ) -> None:
        self.seed, self.map_size, self.difficulty = seed, map_size, Difficulty()
        self.audio_width, self.video_width = audio_width, video_width
        self.latents = self._draw_concepts()
        rng = generator(seed, "audio")
        self._heard = Mixing(rng, DIM, audio_width)
        self._recording = Mixing(rng, NUISANCE, audio_width)
        self._audio = Channels.draw(rng, audio_width, (1.15, 0.6), 0.42, 8.0)
        rng = generator(seed, "video")
        self._seen = Mixing(rng, DIM, video_width)
        self._scene = Mixing(rng, NUISANCE, video_width)
        self._video = Channels.draw(rng, video_width, (9.0, 4.7), 1.6, 40.0)

    def _draw_concepts(self) -> dict[str, Floats]:
        """A latent vector per concept, entries of about unit variance."""
        share = self.difficulty
        own = np.sqrt(1 - share.group - share.traits)

        def part(kind: str, name: str) -> NDArray[np.float64]:
            return generator(self.seed, "concept", kind, name).standard_normal(DIM)

        latents = {}
        for concept in concepts():
            traits = sum(part("trait", t) for t in concept.traits) / np.sqrt(len(concept.traits))
            vector = (
                np.sqrt(share.group) * part("group", concept.group)
                + np.sqrt(share.traits) * traits
                + own * part("own", concept.name)
            )
            vector *= np.sqrt(DIM) / np.linalg.norm(vector)
            latents[concept.name] = vector.astype(np.float32)
        return latents

    def audio(self, script: Script) -> Floats:
        """Audio features of a clip, float32 [audio_steps, C]."""
        steps, strength = script.audio_steps, self.difficulty
        rng = generator(self.seed, script.dataset, script.id, "audio")
        room = generator(self.seed, script.scene, "recording")
        loudness = np.exp(0.25 * room.standard_normal())
        recording = room.standard_normal(NUISANCE) + 0.5 * rng.standard_normal((steps, NUISANCE))
        mixture = np.float32(strength.audio_nuisance) * self._recording(_float32(recording))
        mixture += strength.audio_noise * rng.standard_normal(mixture.shape, np.float32)
        total = np.full((steps, 1), strength.audio_nuisance**2 * 1.25 + strength.audio_noise**2)
        for occurrence in script.heard:
            active = _active(occurrence, steps)
            semantic = self._heard(self.semantics(script, occurrence, steps))
            mixture += _float32(loudness * active) * semantic
            total += (loudness * active) ** 2 * (1 + strength.instance**2 + strength.step**2)
        mixture /= _float32(np.sqrt(np.mean(total)))
        return self._audio(mixture)

    def video(self, script: Script) -> Floats:
        """Video features of a clip, float32 [video_steps, H, W, C]."""
        steps, size, strength = script.video_steps, self.map_size, self.difficulty
        rng = generator(self.seed, script.dataset, script.id, "video")
        place = generator(self.seed, script.scene, "scene")
        shape = (steps, size, size, self.video_width)
        background = self._background(place)
        lighting = self._scene(_float32(0.5 * rng.standard_normal((steps, 1, 1, NUISANCE))))
        covered = np.zeros((steps, size, size, 1), np.float32)
        mixture = np.zeros(shape, np.float32)
        for occurrence in script.seen:
            mask = self._object(rng, steps) * _float32(_active(occurrence, steps))[..., None, None]
            semantic = self._seen(self.semantics(script, occurrence, steps))
            mixture += mask * semantic[:, None, None]
            covered = np.maximum(covered, mask)
        mixture += (1 - covered) * background
        mixture += lighting
        noise = rng.standard_normal(shape, np.float32)
        noise *= np.float32(strength.video_noise)
        mixture += noise
        mixture /= np.float32(np.sqrt(1 + strength.video_nuisance**2 / 4 + strength.video_noise**2))
        return self._video(mixture)

    def semantics(self, script: Script, occurrence: Occurrence, steps: int) -> Floats:
        """Semantic latents of every step, [steps, DIM]; the same for all modalities.

        Raises:
            DataError: an unknown concept.
        """
        if occurrence.concept not in self.latents:
            raise DataError(
                f"unknown concept {occurrence.concept!r}"
                f"{did_you_mean(occurrence.concept, self.latents)}"
            )
        key = (self.seed, script.dataset, script.id, "semantics", occurrence.concept)
        rng = generator(*key)
        instance = self.difficulty.instance * rng.standard_normal(DIM)
        moment = self.difficulty.step * rng.standard_normal((max(steps, 16), DIM))[:steps]
        return _float32(self.latents[occurrence.concept] + instance + moment)

    def _background(self, place: np.random.Generator) -> Floats:
        """What is behind the objects, [H, W, C]: two textures, blended over the map."""
        size = self.map_size
        textures = self._scene(_float32(place.standard_normal((2, NUISANCE))))
        blend = scene_blend(place, size)
        blended: Floats = blend * textures[0] + (1 - blend) * textures[1]
        blended *= np.float32(self.difficulty.video_nuisance)
        return blended

    def _object(self, rng: np.random.Generator, steps: int) -> Floats:
        """Where an object is, [steps, H, W, 1] in 0..1: a soft disc that drifts over the map."""
        size = self.map_size
        start, drift = rng.uniform(0.2, 0.8, 2), rng.uniform(-0.04, 0.04, 2)
        radius = self.difficulty.object_size * np.exp(0.25 * rng.standard_normal())
        centre = np.clip(start + drift * np.arange(steps)[:, None], 0.0, 1.0)
        y, x = np.mgrid[:size, :size] / max(1, size - 1)
        far = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
        return _float32(np.exp(-((far / radius**2) ** 2)))[..., None]


def scene_blend(place: np.random.Generator, size: int) -> Floats:
    """Share of the first of a scene's two textures at every position, [size, size, 1]."""
    angle, shift = place.uniform(0, 2 * np.pi), place.uniform(-0.3, 0.3)
    y, x = np.mgrid[:size, :size] / max(1, size - 1) - 0.5
    blend = 1 / (1 + np.exp(-8 * (np.cos(angle) * x + np.sin(angle) * y - shift)))
    return _float32(blend)[..., None]


def _active(occurrence: Occurrence, steps: int) -> NDArray[np.float64]:
    """1 where an occurrence is, [steps, 1]."""
    t = np.arange(steps)
    return ((t >= occurrence.onset) & (t < occurrence.offset)).astype(np.float64)[:, None]


def _float32(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)
