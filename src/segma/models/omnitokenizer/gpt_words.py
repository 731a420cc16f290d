"""The words that our own generator knows: those of `worlds.portraits`, and the classes of worlds."""

from __future__ import annotations

WORDS = (
    "3", "7", "A", "C", "E", "F", "H", "K", "L", "M", "N", "P", "R", "S", "T", "U", "W", "X", "Y", "Z",
    "arrow", "automobile", "balloon", "beetle", "big", "bird", "black", "blob", "block", "blossom", "blue",
    "boat", "bottle", "box", "branch", "brown", "bug", "building", "car", "chain", "character", "checked",
    "chequered", "clock", "cog", "coil", "comb", "crescent", "cross", "cup", "digit", "disc", "dotted",
    "fence", "figure", "fish", "flower", "gear", "glasses", "grass", "green", "grey", "heart", "hoop",
    "house", "huge", "key", "kite", "ladder", "lamp", "large", "leaf", "letter", "links", "marble",
    "medium-sized", "middle-sized", "moon", "mug", "mushroom", "of", "on", "or", "orange", "pair", "pebble",
    "person", "pink", "plus", "purple", "red", "ring", "round", "sailing", "sand", "serpent", "sign", "sky",
    "snake", "spectacles", "spiral", "splotch", "spotted", "star", "stone", "string", "striped", "stripy",
    "teal", "timepiece", "toadstool", "tree", "triangle", "twig", "umbrella", "very", "white", "wood",
    "yellow",
)  # fmt: skip
"""In the order of their ids; a word is added at the end, or weights no longer fit."""

CLASSES = (
    "disc", "ring", "block", "triangle", "star", "heart", "moon", "cross", "pebble", "blob", "leaf", "gear",
    "letter", "arrow", "snake", "chain", "comb", "ladder", "spiral", "fence", "branch", "key", "fish",
    "tree", "car", "cup", "flower", "mushroom", "house", "boat", "lamp", "bird", "beetle", "figure",
    "balloon", "umbrella", "bottle", "glasses", "clock", "kite",
)  # fmt: skip
"""What may be asked for by its name, in the order of worlds."""

SENTENCE = 10
"""Places for the words of a sentence."""
