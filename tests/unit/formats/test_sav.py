from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco

from segma.errors import FormatError, InputError
from segma.formats import sav
from segma.masks.mask import Mask
from segma.samples import TrackSample, VideoSample

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}
NOTHING = {"size": [4, 6], "counts": [24]}
FIELDS = [
    "video_id",
    "video_duration",
    "video_frame_count",
    "video_height",
    "video_width",
    "video_resolution",
    "video_environment",
    "video_split",
    "masklet",
    "masklet_id",
    "masklet_size_rel",
    "masklet_size_abs",
    "masklet_size_bucket",
    "masklet_visibility_changes",
    "masklet_first_appeared_frame",
    "masklet_frame_count",
    "masklet_edited_frame_count",
    "masklet_type",
    "masklet_stability_score",
    "masklet_num",
]


def stored(folder: Path, document: object, name: str = "zoo_manual.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document, indent=1))
    return path


def document(**changes: object) -> dict[str, Any]:
    """Two objects over ten frames, as the data set writes it: floats for whole numbers."""
    return {
        "video_id": "zoo",
        "video_duration": 0.4166666666666667,
        "video_frame_count": 10.0,
        "video_height": 4.0,
        "video_width": 6.0,
        "video_resolution": 24.0,
        "video_environment": "Indoor",
        "video_split": "train",
        "masklet": [[SQUARE, None], [NOTHING, SQUARE], [SQUARE, NOTHING]],
        "masklet_id": [0, 1],
        "masklet_size_rel": [0.1, 0.1],
        "masklet_size_abs": [4.0, 4.0],
        "masklet_size_bucket": ["small", "small"],
        "masklet_visibility_changes": [2, 1],
        "masklet_first_appeared_frame": [0.0, 1.0],
        "masklet_frame_count": [3, 2],
        "masklet_edited_frame_count": [2.0, 1.0],
        "masklet_type": ["manual", "manual"],
        "masklet_stability_score": [None, None],
        "masklet_num": 2,
    } | changes


def test_a_file_of_the_data_set(tmp_path: Path):
    (video,) = sav.read(stored(tmp_path, document()))
    assert (video.name, video.size, video.num_frames, video.fps) == ("zoo", (4, 6), 10, 24.0)
    assert video.attributes == {"environment": "Indoor", "split": "train"}
    first, second = video.objects
    assert (first.object_id, list(first.masklet.masks)) == (0, [0, 4, 8])
    assert (second.object_id, list(second.masklet.masks)) == (1, [4, 8])
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:4] = True
    assert np.array_equal(first.masklet.dense(0), expected) and first.masklet.masks[4].area == 0
    assert first.attributes == {"type": "manual", "edited_frame_count": 2}


def test_the_fields_are_computed_as_in_the_data_set(tmp_path: Path):
    (video,) = sav.read(stored(tmp_path, document()))
    assert sav.write([video], tmp_path / "b.json").lost == ()
    written = json.loads((tmp_path / "b.json").read_text())
    assert list(written) == FIELDS
    wanted = document(masklet=None, masklet_size_rel=[round(4 / 24, 10)] * 2)
    assert written | {"masklet": None} == wanted
    assert written["masklet"][0][1] is None
    assert all(isinstance(each["counts"], str) for row in written["masklet"] for each in row if each)
    assert np.array_equal(pycoco.decode(written["masklet"][1][1]), video.objects[1].masklet.dense(4))


def test_121_rows_for_483_frames(make_masklet: Callable[..., Any], tmp_path: Path):
    size, area = (100, 120), {0: 0, 4: 1024, 8: 1024, 12: 0, 480: 96**2}
    masks = {frame: (np.arange(12000) < count).reshape(size) for frame, count in area.items()}
    objects = (
        TrackSample(object_id=5, masklet=make_masklet(size, masks), anchors=(0, 4, 480)),
        TrackSample(object_id=6, masklet=make_masklet(size, {})),
    )
    sample = VideoSample(name="long", size=size, num_frames=483, objects=objects)
    report = sav.write([sample], tmp_path)
    written = json.loads((tmp_path / "long_manual.json").read_text())
    assert len(written["masklet"]) == 121 and written["video_duration"] == 20.125
    assert written["masklet_size_abs"] == [round((1024 + 1024 + 9216) / 3, 10), 0.0]
    assert written["masklet_size_bucket"] == ["medium", "small"]
    assert written["masklet_visibility_changes"] == [2, 0]
    assert written["masklet_first_appeared_frame"] == [1, 0]
    assert written["masklet_frame_count"] == [5, 0] and written["masklet_edited_frame_count"] == [3, 0]
    assert report.lost == ("1 objects' anchors",)


@pytest.mark.parametrize(
    ("area", "bucket"), [(1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")]
)
def test_buckets(area: int, bucket: str, make_masklet: Callable[..., Any], tmp_path: Path):
    mask = (np.arange(12000) < area).reshape(100, 120)
    each = TrackSample(object_id=1, masklet=make_masklet((100, 120), {0: mask}))
    sav.write([VideoSample(name="b", size=(100, 120), num_frames=1, objects=(each,))], tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text())["masklet_size_bucket"] == [bucket]


def test_automatic_masklets_keep_their_scores_by_row(tmp_path: Path):
    scores = [[0.5, None], [0.25, 1], [0.125, 1.0]]
    more = document(masklet_type=["auto", "auto"], masklet_stability_score=scores)
    (video,) = sav.read(stored(tmp_path, more))
    assert video.objects[0].attributes["stability_score"] == "[0.5, 0.25, 0.125]"
    anchored = replace(video, objects=tuple(replace(o, attributes={}, anchors=(0,)) for o in video.objects))
    assert sav.write([video], tmp_path / "out", kind="auto").lost == ()
    written = json.loads((tmp_path / "out" / "zoo_auto.json").read_text())
    assert written["masklet_stability_score"] == scores and written["masklet_type"] == ["auto", "auto"]
    assert written["masklet_size_rel"] == [4 / 24, 4 / 24]
    sav.write([anchored], tmp_path / "out", kind="auto", overwrite=True)
    written = json.loads((tmp_path / "out" / "zoo_auto.json").read_text())
    assert written["masklet_edited_frame_count"] == [0, 0]
    assert [each.name for each in sav.read(tmp_path / "out")] == ["zoo"]


def test_what_is_lost_is_said(video: VideoSample, tmp_path: Path):
    report = sav.write([replace(video, fps=30.0, name="a/b")], tmp_path / "x.json")
    assert report == replace(
        report,
        written=3,
        lost=(
            "1 masks on frames between those written",
            "2 labels",
            "1 objects' predicted IoUs",
            "1 objects' anchors",
            "1 objects' attributes",
            "1 videos' times",
            "1 video names changed into names of files",
        ),
    )
    (found,) = sav.read(tmp_path / "x.json")
    assert found.name == "b" and [each.object_id for each in found.objects] == [3, 12, 7]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Callable[[st.DataObject], VideoSample],
    data: st.DataObject,
    every: int,
):
    sample, path = any_video(data), tmp_path_factory.mktemp("sav") / "x.json"
    sav.write([sample], path, every=every)
    (found,) = sav.read(path, every=every)
    assert (found.name, found.size, found.num_frames) == (sample.name, sample.size, sample.num_frames)
    for one, other in zip(found.objects, sample.objects, strict=True):
        kept = {frame: mask for frame, mask in other.masklet.masks.items() if frame % every == 0}
        assert one.object_id == other.object_id and dict(one.masklet.masks) == kept


def test_nothing_is_left_of_a_file_that_could_not_be_finished(video: VideoSample, tmp_path: Path):
    with pytest.raises(FormatError, match="zoo_1: there is a mask on frame 8, the video has 8 frames"):
        sav.write([replace(video, num_frames=8)], tmp_path / "x.json")

    class Breaks(dict[int, Mask]):
        def get(self, key: int, default: Any = None) -> Any:
            raise FormatError("format.bad", "gone")

    broken = Breaks(video.objects[0].masklet.masks)
    each = replace(video.objects[0], masklet=replace(video.objects[0].masklet, masks=broken))
    with pytest.raises(FormatError, match="gone"):
        sav.write([replace(video, objects=(each,))], tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.json").write_text("mine")
    with pytest.raises(InputError) as caught:
        sav.write([video], tmp_path / "x.json")
    assert caught.value.code == "input.exists" and (tmp_path / "x.json").read_text() == "mine"


BROKEN = [
    (
        {"masklet": [[SQUARE, None], [SQUARE, {"size": [4, 6], "counts": [20]}]]},
        "object 1 frame 4: rle sums to 20",
    ),
    (
        {"masklet": [[SQUARE, {"size": [6, 4], "counts": [24]}]]},
        "object 1 frame 0: the mask's size is [6, 4]",
    ),
    (
        {"masklet": [[SQUARE, {"size": [4, 6], "counts": "\x7f"}]]},
        "object 1 frame 0: run lengths cannot be read",
    ),
    ({"masklet": [[SQUARE, {}]]}, "object 1 frame 0: has no 'size'"),
    ({"masklet": [[SQUARE, "x"]]}, "object 1 frame 0: segmentation is neither"),
    ({"masklet": [[SQUARE]]}, "there are 1 masks, and 2 objects"),
    ({"masklet": [[SQUARE, None]] * 4}, "row 3 is frame 12, the video has 10 frames"),
    ({"masklet": [3]}, "a row is no list"),
    ({"masklet": {}}, "masklet is no list"),
    ({"masklet_id": [0, 0]}, "two objects have one masklet_id"),
    ({"masklet_id": ["a", 1]}, "'a' is no whole number"),
    ({"masklet_type": ["manual"]}, "masklet_type has 1 entries"),
    ({"masklet_stability_score": [[0.5, 0.5]]}, "masklet_stability_score has 1 rows"),
    ({"masklet_edited_frame_count": [0.5, 1]}, "0.5 is no whole number"),
    ({"video_height": 1e6, "video_width": 1e6}, "cannot have 1000000x1000000 pixels"),
    ({"video_frame_count": 0}, "cannot have 0 frames"),
    ({"video_duration": "long"}, "'long' is no number"),
    ({"video_id": "a/b"}, "'a/b' is no name of a video"),
    ({"video_id": 3}, "no name of a file"),
]


@pytest.mark.parametrize(("changes", "says"), BROKEN)
def test_broken_files_are_named_with_what_is_wrong(changes: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(FormatError) as caught:
        sav.read(stored(tmp_path, document(**changes)))
    assert caught.value.code == "format.bad" and says in caught.value.message
    assert caught.value.message.startswith("zoo_manual.json") and "\n" not in str(caught.value)


def test_the_line_is_named(tmp_path: Path):
    path = stored(tmp_path, document(masklet=[[SQUARE, None], [SQUARE, 3]]))
    with pytest.raises(FormatError, match=r"^zoo_manual.json line \d+ \(masklet\[1\]\): object 1 frame 4: "):
        sav.read(path)


def test_what_leaves_the_folder_or_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match=r"\.\./x.*leaves") as caught:
        sav.read(stored(tmp_path, document(video_id="../x")))
    assert caught.value.code == "input.outside"
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "none.json"):
        with pytest.raises(InputError, match="no such file"):
            sav.read(path)
    with pytest.raises(FormatError, match="has no 'masklet'"):
        sav.read(stored(tmp_path, {key: value for key, value in document().items() if key != "masklet"}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 60) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=6,
)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
):
    path = stored(tmp_path_factory.mktemp("any"), document(**{field: value}))
    try:
        (video,) = sav.read(path)
        assert len(video.objects) == len(document(**{field: value})["masklet_id"])
    except (FormatError, InputError) as error:
        assert error.code in ("format.bad", "input.outside")
