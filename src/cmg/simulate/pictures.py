"""Pictures of the simulated world: frames with three objects, and masks of the one that is meant.

How a concept looks is a fixed function of its latent: two colors, a texture and an outline,
through a sparse mixing of the world's own, spread evenly over AVSBench's concepts so that no two
look alike. What is particular to a clip varies the look a little, and the scene's latents give a
muted background. Size, place and depth are drawn without regard to which object is meant, so a
picture alone does not tell.

Shape legend: T steps, S side of a picture in pixels, B side of an object's box, O objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmg.simulate.latents import DIM, NUISANCE, Floats, Latents, Mixing, scene_blend
from cmg.simulate.scripts import Occurrence, Script, generator
from cmg.simulate.vocabulary import concepts

RADII = (0.135, 0.165, 0.195)
"""Of the smallest, the middle and the biggest object, as a share of the picture's side."""
VARIATION = 0.08
"""How much of a clip's particularity shows in how an object looks."""
_REACH = 1.5
"""No outline goes farther out than this many radii."""
_HARMONICS = 3
_SPREAD = 9
"""Channels of a look that are spread evenly: hues, saturations, brightness, texture."""
_TRIES = 64


@dataclass(frozen=True)
class Look:
    """How an object looks.

    Attributes:
        colors: RGB in 0..1, [2, 3]; the first is bright, the second dark.
        texture: 0 stripes, 1 dots, 2 checks.
        frequency: Cycles along the diameter.
        angle: Of the texture.
        outline: Complex Fourier coefficients of the radius, from the second harmonic on.
    """

    colors: Floats
    texture: int
    frequency: float
    angle: float
    outline: NDArray[np.complex64]


class ScenePainter:
    """Renders clips as pictures.

    Args:
        world: Whose concepts are shown.
        size: Pixels per side, S.
    """

    def __init__(self, world: Latents, size: int) -> None:
        self.world, self.size = world, size
        rng = generator(world.seed, "pictures")
        self._looks = Mixing(rng, DIM, _SPREAD + 2 * _HARMONICS)
        self._muted = Mixing(rng, NUISANCE, 9)
        shown = [world.latents[c.name] for c in concepts() if "avsbench" in c.names]
        self._ranks = np.sort(self._looks(np.stack(shown))[:, :_SPREAD], axis=0)

    def clip(self, script: Script) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Frames, and masks of the visible part of what is heard.

        Args:
            script: Its first concept heard is meant; all that it shows is there in every step.

        Returns:
            [T, S, S, 3] and [T, S, S].
        """
        world, steps, size = self.world, script.video_steps, self.size
        rng = generator(world.seed, script.dataset, script.id, "pictures")
        count = len(script.seen)
        radii = rng.permuted(np.resize(RADII, count)) * rng.uniform(0.96, 1.04, count)
        places = paths(rng, radii, steps)
        turns = rng.uniform(-0.2, 0.2, (count, 1)) + rng.uniform(
            -0.05, 0.05, (count, 1)
        ) * np.arange(steps)
        phases = rng.uniform(0, 2 * np.pi, (count, 2))
        light = rng.uniform(0.85, 1.1) * rng.uniform(0.98, 1.02, (steps, 1, 1, 1))
        canvas = np.repeat(self._scene(script)[None], steps, axis=0)
        masks = np.zeros((steps, size, size), bool)
        for i in rng.permutation(count):
            look = self.look(script, script.seen[i])
            drawn = _drawn(look, radii[i], places[i], turns[i], phases[i], size)
            meant = script.seen[i].concept == script.heard[0].concept
            _put(canvas, masks, drawn, meant)
        canvas *= light.astype(np.float32) * 255
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8), masks

    def look(self, script: Script, occurrence: Occurrence) -> Look:
        """How a concept looks in a clip."""
        concept = self.world.latents[occurrence.concept]
        clip = self.world.semantics(script, occurrence, script.video_steps).mean(axis=0)
        z, vary = self._looks(concept), np.float32(VARIATION) * self._looks(clip - concept)
        even = (np.arange(len(self._ranks)) + 0.5) / len(self._ranks)
        fixed = np.array([np.interp(z[i], self._ranks[:, i], even) for i in range(_SPREAD)])
        share = np.clip(fixed + vary[:_SPREAD], 0, 1)
        return Look(
            colors=rgb(
                fixed[:2] + vary[:2] / 2,
                0.65 + 0.35 * share[2:4],
                np.array([0.75, 0.25]) + 0.25 * share[4:6],
            ),
            texture=min(2, int(3 * fixed[6])),  # Without variation, with which it would jump.
            frequency=float(2.5 + 3 * share[7]),
            angle=float(np.pi * (fixed[8] + vary[8] / 2)),
            outline=_outline(z[_SPREAD:] + vary[_SPREAD:]),
        )

    def _scene(self, script: Script) -> Floats:
        """What is behind the objects, RGB in 0..1, [S, S, 3]: the scene's two textures, muted."""
        place = generator(self.world.seed, script.scene, "scene")
        z = self._muted(place.standard_normal((2, NUISANCE)).astype(np.float32))
        blend = scene_blend(place, self.size)
        share = 1 / (1 + np.exp(-1.7 * z))  # about evenly in 0..1
        base = rgb(share[:, 0], 0.05 + 0.2 * share[:, 1], 0.3 + 0.45 * share[:, 2])
        y, x = np.mgrid[: self.size, : self.size].astype(np.float32) / self.size
        painted = np.zeros((self.size, self.size, 3), np.float32)
        for i, weight in enumerate((blend, 1 - blend)):
            waves = np.sin(4 * z[i, 3] * x + 4 * z[i, 4] * y + 3 * z[i, 5])
            waves += np.sin(7 * z[i, 6] * x - 7 * z[i, 7] * y + 3 * z[i, 8])
            painted += weight * base[i] * (1 + 0.12 * waves[..., None])
        return painted


def paths(rng: np.random.Generator, radii: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Where objects are: inside the picture, moving smoothly, hardly covering one another.

    Args:
        rng: Draws them.
        radii: [O], as shares of the side.
        steps: T.

    Returns:
        Centers (y, x) as shares of the side, [O, T, 2].
    """
    shape = (_TRIES, len(radii), 1, 2)
    edge = 1.15 * radii[:, None, None]
    start = edge + (1 - 2 * edge) * rng.random(shape)
    drift, sway = rng.uniform(-0.03, 0.03, shape), rng.uniform(-0.015, 0.015, shape)
    t = np.arange(steps)[:, None]
    found = np.clip(start + drift * t + sway * np.sin(1.5 * t), edge, 1 - edge)
    nearest = np.full(_TRIES, np.inf)
    for i in range(len(radii)):
        for j in range(i):
            apart = np.sqrt(((found[:, i] - found[:, j]) ** 2).sum(-1)).min(-1)
            nearest = np.minimum(nearest, apart / (radii[i] + radii[j]))
    good = np.flatnonzero(nearest >= 0.9)
    chosen: NDArray[np.float64] = found[good[0] if len(good) else np.argmax(nearest)]
    return chosen


def rgb(hue: ArrayLike, saturation: ArrayLike, value: ArrayLike) -> Floats:
    """Colors [..., 3] from hue, saturation and value in 0..1; hues are cyclic."""
    h, s, v = (np.asarray(x, np.float32)[..., None] for x in (hue, saturation, value))
    k = (np.array([5, 3, 1], np.float32) + 6 * h) % 6
    colors: Floats = v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)
    return colors


@dataclass(frozen=True)
class _Drawn:
    """An object in a box of its own: color [T, B, B, 3], cover [T, B, B], corners [T, 2]."""

    color: Floats
    cover: Floats
    corner: NDArray[np.int64]


def _drawn(
    look: Look,
    radius: float,
    places: NDArray[np.float64],
    turns: NDArray[np.float64],
    phases: NDArray[np.float64],
    size: int,
) -> _Drawn:
    half = int(np.ceil(_REACH * radius * size)) + 1
    centers = places * size
    corner = np.floor(centers).astype(np.int64) - half
    grid = corner[..., None] + np.arange(2 * half) + 0.5 - centers[..., None]  # [T, 2, B]
    grid = (grid / (radius * size)).astype(np.float32)
    turn = np.exp(-1j * turns).astype(np.complex64)[:, None, None]
    at = (grid[:, 1, None, :] + 1j * grid[:, 0, :, None]) * turn
    far = np.abs(at)
    edge = _radius(look.outline, at / np.maximum(far, 1e-6))
    cover = np.clip((edge - far) * np.float32(radius * size) + 0.5, 0, 1)
    at = at * np.complex64(np.exp(-1j * look.angle) * np.pi * look.frequency)
    u, v = at.real + np.float32(phases[0]), at.imag + np.float32(phases[1])
    if look.texture == 0:
        pattern = np.sin(u)
    elif look.texture == 1:
        pattern = np.cos(u) + np.cos(v) - 0.5
    else:
        pattern = 2 * np.sin(u) * np.sin(v)
    mix = np.clip(0.5 + 2 * pattern, 0, 1)[..., None]
    color = look.colors[0] * (1 - mix) + look.colors[1] * mix
    return _Drawn(color, cover, corner)


def _put(canvas: Floats, masks: NDArray[np.bool_], drawn: _Drawn, meant: bool) -> None:
    """Draw an object over what is there; it covers what is meant, or is it."""
    size, side = canvas.shape[1], drawn.cover.shape[1]
    for t, (top, left) in enumerate(drawn.corner):
        y = slice(max(top, 0), min(top + side, size))
        x = slice(max(left, 0), min(left + side, size))
        inside = (t, slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left))
        cover = drawn.cover[inside]
        part = canvas[t, y, x]
        part += cover[..., None] * (drawn.color[inside] - part)
        visible = masks[t, y, x]
        visible[cover >= 0.5] = meant


def _outline(z: Floats) -> NDArray[np.complex64]:
    """Coefficients of harmonics 2 to 4; the area of the outline is that of the unit circle."""
    order = np.arange(2, 2 + _HARMONICS, dtype=np.float32)
    coefficients = 0.28 * np.tanh(z[:_HARMONICS] + 1j * z[_HARMONICS:]) / order
    return coefficients.astype(np.complex64)


def _radius(outline: NDArray[np.complex64], direction: NDArray[np.complex64]) -> Floats:
    """Radius in every direction, given as complex numbers of length 1."""
    power, total = direction, np.ones(direction.shape, np.float32)
    for coefficient in outline:
        power = power * direction
        total += (power * coefficient).real
    total /= np.sqrt(1 + np.float32((np.abs(outline) ** 2).sum() / 2))
    return total
