"""What people know of the forty classes: names, and what is true of the real things that they picture.

Each way of saying something stands in a list; every third one is for the exam (`reserved.is_reserved_way`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ClassFact:
    """A fact: the classes that it is true of, those that somebody might count as well, ways to say it.

    A way goes on after a noun: "[is|are] ..." takes its form from the number of things.
    """

    classes: frozenset[str]
    perhaps: frozenset[str]
    ways: tuple[str, ...]


def _fact(classes: str, perhaps: str, *ways: str) -> ClassFact:
    return ClassFact(frozenset(classes.split()), frozenset(perhaps.split()), ways)


CLASS_FACTS: Mapping[str, ClassFact] = MappingProxyType(
    {
        "drink": _fact(
            *("cup", "bottle", "you could drink your tea from", "made to hold a hot drink"),
            "that coffee is served in",
        ),
        "time": _fact(
            *("clock", "", "that [tells|tell] you the time", "you look at so as not to be late"),
            "that [shows|show] the hour",
        ),
        "rain": _fact(
            *("umbrella", "house mushroom tree", "you would open when it rains", "carried against the rain"),
            "that [keeps|keep] a walker dry in a shower",
        ),
        "lock": _fact(
            *("key", "", "that [opens|open] a lock", "you need to get through a locked door"),
            "that [fits|fit] into a keyhole",
        ),
        "eyes": _fact(
            *("glasses", "", "you wear on your nose", "that [helps|help] weak eyes to read"),
            "an optician sells",
        ),
        "hair": _fact(
            *("comb", "", "you could do your hair with", "meant for tidying hair"),
            "that [goes|go] through tangled hair",
        ),
        "climb": _fact(
            *("ladder", "tree fence branch", "you would climb to reach a roof", "made of rungs to step on"),
            "a painter leans against a wall",
        ),
        "road": _fact(
            *("car", "", "that [drives|drive] on a road", "you would park in a garage"),
            "with an engine and four wheels",
        ),
        "sail": _fact(
            *("boat", "fish", "that [carries|carry] people over water", "you could cross a lake in"),
            "a sailor would steer",
        ),
        "swim": _fact(
            *("fish", "boat snake", "that [lives|live] under water", "with gills and fins"),
            "an angler hopes to catch",
        ),
        "feathers": _fact(
            *("bird", "", "with feathers", "that [lays|lay] eggs in a nest"),
            "that [sings|sing] in the morning",
        ),
        "insect": _fact(
            *("beetle", "", "that [is an insect|are insects]", "that [crawls|crawl] on six legs"),
            "an entomologist would study",
        ),
        "crawl": _fact(
            *("snake", "", "that [moves|move] without any legs", "that [slithers|slither] through the grass"),
            "a charmer plays the flute for",
        ),
        "live": _fact(
            *("house", "", "that people live in", "with a roof and walls"),
            "you would send a letter to",
        ),
        "grow": _fact(
            *("tree flower mushroom", "leaf branch", "that [grows|grow] out of the ground"),
            *("with its foot in the soil", "a botanist or a mushroom picker would like"),
        ),
        "bouquet": _fact(
            *("flower", "", "that [belongs|belong] in a vase", "a bee would visit"),
            "you might give for a birthday",
        ),
        "night": _fact(
            *("moon star", "", "you can see in a clear sky at night", "an astronomer looks at"),
            "that [shines|shine] when the sun is down",
        ),
        "light": _fact(
            *("lamp", "moon star", "you would switch on in the dark", "that [needs|need] a bulb"),
            "that [lights|light] up a desk",
        ),
        "wind": _fact(
            *("kite", "balloon bird", "you fly on a string in the wind", "that [needs|need] a windy day"),
            "children let rise from a windy hill",
        ),
        "party": _fact(
            *(
                "balloon",
                "kite",
                "filled with air or gas",
                "that [would burst|would burst] at the prick of a pin",
            ),
            "you blow up for a party",
        ),
        "love": _fact(
            *("heart", "", "that [stands|stand] for love", "you would draw on a valentine"),
            "that [means|mean] affection",
        ),
        "machine": _fact(
            *("gear", "", "with teeth that turn another wheel", "you would find in a gearbox"),
            "that [belongs|belong] in clockwork",
        ),
        "read": _fact(
            *("letter", "clock", "you could read out", "that [is|are] written or printed on paper"),
            "a child learns to write at school",
        ),
        "way": _fact(
            *("arrow", "", "that [shows|show] which way to go", "that [points|point] somewhere"),
            "a signpost might have on it",
        ),
        "garden": _fact(
            *("fence", "", "you would put around a garden", "made of posts and rails"),
            "that [keeps|keep] cattle in",
        ),
        "person": _fact(
            *("figure", "", "that [looks|look] like a person", "with arms, legs and a head"),
            "that [stands|stand] for a human being",
        ),
        "anchor": _fact(
            *("chain", "", "made of links", "an anchor hangs from"),
            "that [is|are] as strong as the weakest link",
        ),
    }
)

CLASS_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "disc": ("disc", "round disc"),
        "ring": ("ring", "hoop", "annulus"),
        "block": ("block", "box", "brick"),
        "moon": ("moon", "crescent", "sickle moon"),
        "cross": ("cross", "plus sign"),
        "pebble": ("pebble", "stone"),
        "blob": ("blob", "splotch"),
        "gear": ("gear", "cog", "cogwheel"),
        "letter": ("character", "letter or digit", "glyph"),
        "snake": ("snake", "serpent"),
        "chain": ("chain", "string of links"),
        "branch": ("branch", "twig"),
        "cup": ("cup", "mug", "teacup"),
        "flower": ("flower", "blossom", "bloom"),
        "mushroom": ("mushroom", "toadstool", "fungus"),
        "house": ("house", "building", "cottage"),
        "boat": ("boat", "sailing boat", "ship"),
        "car": ("car", "automobile", "motor car"),
        "beetle": ("beetle", "bug", "insect"),
        "figure": ("figure", "person", "human figure"),
        "glasses": ("pair of glasses", "pair of spectacles"),
        "clock": ("clock", "timepiece", "dial"),
        "spiral": ("spiral", "coil"),
    }
)
"""Other names of classes, beside their own."""
_IRREGULAR: Mapping[str, str] = MappingProxyType(
    {
        **{"leaf": "leaves", "fish": "fish", "branch": "branches", "cross": "crosses", "box": "boxes"},
        **{
            "splotch": "splotches",
            "letter or digit": "letters or digits",
            "glasses": "pairs of glasses",
            "pair of glasses": "pairs of glasses",
        },
        **{"pair of spectacles": "pairs of spectacles", "string of links": "strings of links"},
        **{"person": "people", "fungus": "fungi", "annulus": "annuli"},
    }
)


def class_names(class_name: str) -> tuple[str, ...]:
    """The names of a class."""
    return CLASS_NAMES.get(class_name, (class_name,))


def plural(noun: str) -> str:
    """More than one of a noun."""
    return _IRREGULAR.get(noun, f"{noun}s")
