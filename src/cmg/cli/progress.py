"""Progress on the terminal (stderr)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from cmg.cli.output import console

if TYPE_CHECKING:
    from cmg.runs.checkpoint import Position


def summary(log: dict[str, float]) -> list[str]:
    """The numbers worth watching: the loss and its terms, code usage, cross-modal agreement."""
    terms = {name.removeprefix("loss/"): v for name, v in log.items() if name.startswith("loss/")}
    groups: dict[str, float] = {}
    for name, value in terms.items():
        group = name.split("/")[0]
        groups[group] = groups.get(group, 0.0) + value
    order = ["total", *(name for name in groups if name != "total")]
    told = [f"{name} {groups[name]:.3g}" for name in order if name in groups]
    shares = {"codes": "code_usage", "agreement": "agreement"}
    return told + [f"{name} {100 * log[key]:.0f}%" for name, key in shares.items() if key in log]


class Facts(ProgressColumn):
    """What is known of a task, the most important first, as much as there is room for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def render(self, task: Task) -> Text:
        """One line: name, time left, loss, count, rate, terms of the loss."""
        seconds = task.time_remaining
        left = "-:--:--" if seconds is None else timedelta(seconds=int(seconds))
        loss, *terms = task.fields.get("log") or [""]
        total = "?" if task.total is None else f"{task.total:.0f}"
        facts = [f"ETA {left}", loss, f"{task.completed:.0f}/{total}", task.fields.get("rate", "")]
        line = task.description
        for fact in filter(None, [*facts, *terms]):
            if len(line) + 2 + len(fact) <= self.width:
                line += f"  {fact}"
        text = Text(line, no_wrap=True)
        text.truncate(self.width, overflow="ellipsis")
        return text


def bar_of(transient: bool = False) -> Progress:
    """A bar on stderr, shorter on a narrow terminal; hidden where that is none."""
    shown = console(stderr=True)
    bar = min(24, max(0, (shown.width - 40) // 4))
    columns = (Facts(shown.width - bar - 1), BarColumn(bar))
    return Progress(
        *columns[: 2 if bar else 1],
        console=shown,
        transient=transient,
        disable=not shown.is_terminal,
    )


class ClipBar:
    """A bar over clips: how many, clips/s, time left, and a log. Lines if not a terminal.

    Args:
        clips: In all.
        done: Clips that an earlier process has done.
        every: Without a terminal, seconds between lines.
        unit: What is counted; without one there is no rate, and the bar goes when it ends.
    """

    def __init__(self, clips: int, done: int = 0, every: float = 15.0, unit: str = "clips") -> None:
        self.bar, self.unit = bar_of(transient=not unit), unit
        self.task = self.bar.add_task("clips", total=clips, completed=done, rate="", log=())
        self.clips, self.done, self.here, self.every = clips, done, 0, every
        self.start = self.last = time.perf_counter()

    def __enter__(self) -> Self:
        """Show the bar."""
        self.bar.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        """Leave the bar as it is."""
        self.bar.__exit__(*raised)

    def advance(self, clips: int, name: str = "clips", log: Sequence[str] = ()) -> None:
        """Some clips are done."""
        self.done, self.here = self.done + clips, self.here + clips
        now = time.perf_counter()
        rate = f"{self.here / max(1e-9, now - self.start):.0f} {self.unit}/s" if self.unit else ""
        self.bar.update(self.task, advance=clips, description=name, rate=rate, log=log)
        if self.bar.disable and now - self.last > self.every:
            self.last = now
            left = (self.clips - self.done) * (now - self.start) / max(1, self.here)
            count = f"{self.done}/{self.clips} {self.unit}".rstrip()
            told = [count, rate, f"ETA {left:.0f} s", " ".join(log)]
            print(f"{name}: {', '.join(filter(None, told))}", file=sys.stderr, flush=True)


class Bars(ExitStack):
    """A bar for each thing that is done, one after the other; none before the first.

    Args:
        unit: What is counted, see :class:`ClipBar`.
    """

    def __init__(self, unit: str = "clips") -> None:
        super().__init__()
        self.bar: ClipBar | None = None
        self.name, self.unit = "", unit

    def told(self, name: str, clips: int, done: int, kept: int = 0) -> None:
        """How far something is: its clips, those done, and of these the ones done before."""
        if self.bar is None or name != self.name:
            self.close()
            bar = self.enter_context(ClipBar(clips, kept, unit=self.unit))
            bar.last = bar.start if self.bar is None else self.bar.last
            self.bar, self.name = bar, name
        self.bar.advance(done - self.bar.done, name)


class ProgressBar(ClipBar):
    """A bar over the clips of a training: losses, code usage and agreement as well.

    Args:
        clips: In all.
        done: Clips already trained on, of a resumed run.
        epochs: Of the run.
        every: Without a terminal, seconds between lines.
    """

    def __init__(self, clips: int, done: int = 0, epochs: int = 1, every: float = 15.0) -> None:
        super().__init__(clips, done, every)
        self.epochs = epochs

    def add(self, clips: int, log: dict[str, float], name: str = "clips") -> None:
        """Some clips were trained on."""
        self.advance(clips, name, summary(log))

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step of one run is done."""
        under_way = min(position.epoch + 1, self.epochs)
        self.add(clips, log, f"epoch {under_way}/{self.epochs}")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for what is counted, one thing after the other; see :class:`Bars`."""
    with Bars("") as bars:
        yield lambda what, done, of: bars.told(what, of, done)
