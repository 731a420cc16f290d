"""The ways to say things in English: several for each, every third one kept for the exam.

"[a|b]" in a way is `a` for one thing and `b` for several; "{other}" is what else it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from segma.worlds.class_facts import CLASS_FACTS, class_names
from segma.worlds.reserved import is_reserved_way

WAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "thing": ("thing", "object", "item"),
        "said colour": ("{value}", "{value}-coloured", "{value}-hued"),
        "size tiny": ("tiny", "very small", "minute"),
        "size small": ("small", "little", "smallish"),
        "size medium": ("medium-sized", "middle-sized", "mid-sized"),
        "size large": ("large", "big", "sizeable"),
        "size huge": ("huge", "very large", "enormous"),
        "texture striped": ("striped", "stripy", "with stripes"),
        "texture spotted": ("spotted", "dotted", "with spots"),
        "texture checked": ("checked", "chequered", "with a chessboard pattern"),
        "letter": ("{value}", '"{value}"', "reading {value}"),
        "left of": ("left of {other}", "to the left of {other}", "on the left-hand side of {other}"),
        "right of": ("right of {other}", "to the right of {other}", "on the right-hand side of {other}"),
        "above": ("above {other}", "higher up than {other}", "further up than {other}"),
        "below": ("below {other}", "further down than {other}", "lower in the picture than {other}"),
        "in front of": (
            "in front of {other}",
            "that partly [hides|hide] {other}",
            "overlapping {other} from the front",
        ),
        "behind": ("behind {other}", "partly hidden by {other}", "peeking out from behind {other}"),
        "inside": ("inside {other}", "within {other}", "that {other} goes around"),
        "touching": ("touching {other}", "in contact with {other}", "that [adjoins|adjoin] {other}"),
        "larger than": (
            "larger than {other}",
            "bigger than {other}",
            "that [exceeds|exceed] {other} in size",
        ),
        "smaller than": (
            "smaller than {other}",
            "that [is|are] not as big as {other}",
            "of less size than {other}",
        ),
        "nearest to": ("closest to {other}", "nearest to {other}", "at the least distance from {other}"),
        "leftmost": ("<leftmost", "furthest to the left", "nearest the left edge"),
        "rightmost": ("<rightmost", "furthest to the right", "nearest the right edge"),
        "topmost": ("<topmost", "highest up in the picture", "nearest the upper edge"),
        "lowest": ("<lowest", "furthest down in the picture", "nearest the lower edge"),
        "largest": ("<largest", "<biggest", "that [takes|take] up the most room"),
        "smallest": ("<smallest", "<tiniest", "that [takes|take] up the least room"),
        "fastest": (
            "that [moves|move] most",
            "that [covers|cover] the longest way",
            "that [travels|travel] furthest in all",
        ),
        "end leftmost": (
            "that [ends|end] up furthest to the left",
            "<finally leftmost",
            "that [finishes|finish] at the far left",
        ),
        "end rightmost": (
            "that [ends|end] up furthest to the right",
            "<finally rightmost",
            "that [finishes|finish] at the far right",
        ),
        "end topmost": (
            "that [ends|end] up highest",
            "<finally topmost",
            "that [finishes|finish] above all the others",
        ),
        "end lowest": (
            "that [ends|end] up lowest",
            "<finally lowest",
            "that [finishes|finish] below all the others",
        ),
        "start leftmost": (
            "that [starts|start] out furthest to the left",
            "<initially leftmost",
            "that [begins|begin] at the far left",
        ),
        "start rightmost": (
            "that [starts|start] out furthest to the right",
            "<initially rightmost",
            "that [begins|begin] at the far right",
        ),
        "start topmost": (
            "that [starts|start] out highest",
            "<initially topmost",
            "that [begins|begin] above all the others",
        ),
        "start lowest": (
            "that [starts|start] out lowest",
            "<initially lowest",
            "that [begins|begin] below all the others",
        ),
        "did starts": (
            "that [starts|start] to move",
            "that [sets|set] off",
            "that [begins|begin] moving after a rest",
        ),
        "did stops": (
            "that [stops|stop]",
            "that [comes|come] to a halt",
            "that [ends|end] its motion and [rests|rest]",
        ),
        "did turns back": (
            "that [turns|turn] back",
            "that [reverses|reverse] direction",
            "that [goes|go] back the way it came",
        ),
        "did leaves": (
            "that [leaves|leave] the picture",
            "that [goes|go] out of view",
            "that [does|do] not stay in the picture",
        ),
        "did returns": (
            "that [comes|come] back into the picture",
            "that [returns|return]",
            "that [shows|show] up again",
        ),
        "did collides": (
            "that [runs|run] into {other}",
            "that [bumps|bump] into {other}",
            "that [comes|come] up against {other}",
        ),
        "did overtakes": (
            "that [overtakes|overtake] {other}",
            "that [passes|pass] {other}",
            "that [gets|get] ahead of {other}",
        ),
        "did hides": (
            "that [hides|hide] behind {other}",
            "that [disappears|disappear] behind {other}",
            "that [ends|end] up covered by {other}",
        ),
        "first starts": (
            "that [starts|start] to move first",
            "<first {noun} to set off",
            "that [is|are] the earliest to start moving",
        ),
        "first stops": (
            "that [stops|stop] first",
            "<first {noun} to stop",
            "that [is|are] the earliest to come to a halt",
        ),
        "first turns back": (
            "that [turns|turn] back first",
            "<first {noun} to turn back",
            "that [is|are] the earliest to reverse",
        ),
        "first leaves": (
            "that [leaves|leave] first",
            "<first {noun} to leave the picture",
            "that [is|are] the earliest to go out of view",
        ),
        "first returns": (
            "that [comes|come] back first",
            "<first {noun} to return",
            "that [is|are] the earliest to reappear",
        ),
        "last starts": (
            "that [starts|start] to move last",
            "<last {noun} to set off",
            "that [is|are] the latest to start moving",
        ),
        "last stops": (
            "that [stops|stop] last",
            "<last {noun} to stop",
            "that [is|are] the latest to come to a halt",
        ),
        "last turns back": (
            "that [turns|turn] back last",
            "<last {noun} to turn back",
            "that [is|are] the latest to reverse",
        ),
        "last leaves": (
            "that [leaves|leave] last",
            "<last {noun} to leave the picture",
            "that [is|are] the latest to go out of view",
        ),
        "last returns": (
            "that [comes|come] back last",
            "<last {noun} to return",
            "that [is|are] the latest to reappear",
        ),
        "odd": ("the odd one out", "the one that is not like the others", "the one that does not belong"),
        "one": ("the {phrase}",),
        "many": ("the {phrase}", "all {phrase}", "every one of the {phrase}"),
        "ask": ("Which is {phrase}?", "Point at {phrase}.", "I am looking for {phrase}."),
    }
)
"""Ways by what is said. "<" puts a way before the noun; {noun} in it is the noun itself."""


def ways(key: str, *, reserved: bool) -> tuple[str, ...]:
    """The ways of a key that are for the exam alone, or those that are for everything."""
    return tuple(way for i, way in enumerate(all_ways(key)) if is_reserved_way(i) == reserved)


def all_ways(key: str) -> tuple[str, ...]:
    """All ways of a key of WAYS, of "class <name>" or of "fits <fact>"."""
    kind, _, name = key.partition(" ")
    if kind == "class":
        return class_names(name)
    return CLASS_FACTS[name].ways if kind == "fits" else WAYS[key]
