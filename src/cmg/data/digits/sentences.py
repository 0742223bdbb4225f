"""Sentences that mention a digit, and the token features of their words."""

from __future__ import annotations

import hashlib
import itertools
import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TOKEN_WIDTH = 96
_GRAMS = (2, 3, 4)


def _choices(text: str) -> tuple[str, ...]:
    """The alternatives of a slot, written with bars between them."""
    return tuple(text.split("|"))


_WRITTEN = (
    "Press {digit} to hear the menu again.",
    "The bus on line {digit} is late.",
    "Write {digit} on the blackboard.",
    "My locker has number {digit} on it.",
    "{digit} is painted on the blue door.",
    "Please turn to page {digit} of the book.",
    "She drew a big {digit} in the sand.",
    "Our train leaves from platform {digit} at noon.",
    "He typed {digit} and waited.",
    "Gate {digit} opens in half an hour.",
    "The last symbol of the code is {digit}.",
    "Channel {digit} shows the news tonight.",
    "I can read the number {digit} from here.",
    "Player {digit} runs across the wet field.",
    "Put your coat in cabin {digit} please.",
    "The judge held up card {digit}.",
    "We live at house {digit}.",
    "Chapter {digit} explains how birds find their way home.",
    "Dial {digit} before you call the office.",
    "Her jersey shows {digit} in yellow.",
    "The needle points straight at {digit} this morning.",
    "Track {digit} is my favorite song.",
    "A child wrote {digit} with a green crayon.",
    "The computer answered {digit} to our question.",
    "Square {digit} of the game is full of water.",
    "Look for exhibit {digit} behind the stairs.",
    "The thermometer fell to {digit} during the night.",
    "Floor {digit} smells of new carpet.",
    "Take exit {digit} toward the harbor.",
    "Button {digit} starts the machine.",
    "They carved the figure {digit} into an oak.",
    "Today the answer to the riddle is {digit}.",
    "Grandma keeps the letters in drawer {digit}.",
    "The boat with {digit} on its sail is fast.",
    "Seat {digit} by the window is still free.",
    "What the scale displayed was {digit}.",
    "Draw a line from {digit} to the star.",
    "Version {digit} fixed the slow start.",
    "The lottery wheel stopped at {digit} for once.",
    "Bottle {digit} came from the north side of town.",
    "You can reach the doctor by pressing {digit} twice.",
    "In the corner of the stamp stands a tiny {digit}.",
    "Lane {digit} is closed for repairs until next week.",
    "Someone sprayed {digit} across the bridge.",
    "Nobody chose {digit} in the vote.",
    "This recipe card carries the number {digit}.",
    "The next clue in the hunt was {digit}.",
    "{digit} comes up whenever I roll this strange die.",
)
_WHO = _choices(
    "my neighbor|the tired driver|a young teacher|our captain|the old clerk|both sisters|"
    "every guest|the night nurse|his brother|a painter|the mayor|her uncle|the farmer|the pilot|"
    "their coach|a sailor|the librarian|some tourist|the youngest cook|a quiet girl"
)
_DID = _choices(
    "saw|painted|wrote|counted|noticed|carved|called|wanted|spelled|circled|found|picked|"
    "remembered|printed|copied|hid|traced|stitched|announced|forgot"
)
_WHERE = _choices(
    "on the gate|near the bridge|under the table|in the garden|beside the well|at the market|"
    "behind the church|over the stove|along the river|inside the barn|after lunch|before sunrise|"
    "last winter|with blue ink|on a napkin|by the fountain|during class|at the station|"
    "in her diary|on Monday"
)
_THING = _choices(
    "platform|room|bus|gate|house|page|bottle|drawer|car|horse|ticket|table|tower|boat|desk|field|"
    "shelf|cell|step|ward"
)
_STATE = _choices(
    "was crowded this morning|is closed for repairs|looks brand new|belongs to me|"
    "smells like paint|needs a cleaning|opens very soon|stood empty for years|broke down again|"
    "is almost full|has a red roof|was sold in May|turned out fine|stays warm at night|"
    "is easy to miss|comes right after lunch"
)
_DO = _choices(
    "please press|now dial|quickly type|kindly choose|go find|just draw|carefully cut out|say|"
    "show us|bring me|count up to|stop at|start from|look for|click on|wait for"
)
_IS = _choices(
    "is my favorite number|hangs above the door|means good luck here|won the race|was the answer|"
    "came up again|is written in gold|shone in the dark|fell off the sign|covers half the wall"
)
_PATTERNS = (
    (_WHO, _DID, ("{digit}",), _WHERE),
    (_WHERE, _WHO, _DID, ("{digit}",)),
    (_THING, ("{digit}",), _STATE),
    (_WHERE, _THING, ("{digit}",), _STATE),
    (_DO, ("{digit}",), _WHERE),
    (("{digit}",), _IS, _WHERE),
)


def _composed(limit: int = 1200) -> tuple[str, ...]:
    """Up to `limit` sentences of every pattern, evenly spread over all it can say.

    A few dozen frames would be learned by heart; thousands of them make the digit's word the only
    thing to go by.
    """
    found = []
    for pattern in _PATTERNS:
        said = [" ".join(parts) + "." for parts in itertools.product(*pattern)]
        said = [text for text in said if 5 <= len(text.split()) <= 10]
        # A stride coprime to most products, so that every slot runs through all its choices.
        found += [said[i * 7919 % len(said)] for i in range(min(limit, len(said)))]
    return tuple(dict.fromkeys(found))


TRAIN_TEMPLATES = _WRITTEN + _composed()
TEST_TEMPLATES = (
    "Zebra {digit} led yesterday's parade.",
    "Astronauts repeated {digit} over crackling radio waves.",
    "Inside every envelope lay another folded {digit}.",
    "Miners scratched {digit} onto rusty wagons.",
    "{digit} glowed faintly above both elevators.",
    "Could anybody whisper {digit} without laughing?",
    "Thieves left only chalk mark {digit} beneath it all.",
    "Violinists tuned until conductor Maria shouted {digit}.",
    "Under fresh snow, hikers discovered milestone {digit}.",
    "Satellite {digit} vanished over Antarctica.",
    "Between old poems somebody printed {digit} upside down.",
    "Bakers press {digit} into warm gingerbread.",
    "Engineers labeled valve {digit} using orange tape.",
    "That clever parrot screams {digit} every single evening.",
    "Their secret password ends with lowercase {digit}, perhaps.",
    "Plaster crumbled away, revealing {digit} underneath several layers.",
    "Historians argue whether king Olaf really scribbled {digit}.",
    "Experiment {digit} finally produced purple smoke.",
    "Even tired referees raise flag {digit} after such spectacular goals.",
)


def sentence(template: str, digit: int) -> str:
    """The template with the word of the digit in its place."""
    text = template.format(digit=DIGIT_WORDS[digit])
    return text[0].upper() + text[1:]


def words(text: str) -> list[str]:
    """The words of a sentence, lower case and without punctuation."""
    return re.findall(r"[a-z']+", text.lower())


@lru_cache(maxsize=4096)
def token(word: str) -> NDArray[np.float32]:
    """The feature of a word: its hashed, signed character n-grams, of unit mean square.

    Words with common parts have similar features, and a word never seen has one, too.

    Returns:
        float32 [96].
    """
    marked = f"<{word}>"
    grams = [marked[i : i + n] for n in _GRAMS for i in range(len(marked) - n + 1)]
    vector = np.zeros(TOKEN_WIDTH, dtype=np.float32)
    for gram in [marked, *grams]:
        digest = hashlib.blake2b(gram.encode(), digest_size=5).digest()
        vector[int.from_bytes(digest[:4], "little") % TOKEN_WIDTH] += 1 if digest[4] & 1 else -1
    norm = float(np.linalg.norm(vector))
    # The n-grams of a very short word may cancel; its whole mark never does alone.
    if not norm:
        return token(f"{word}_")
    vector *= TOKEN_WIDTH**0.5 / norm
    return vector


def tokens(text: str) -> NDArray[np.float32]:
    """The features of the words of a sentence, float32 [words, 96]."""
    return np.stack([token(word) for word in words(text)])
