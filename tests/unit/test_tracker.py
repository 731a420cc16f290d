"""Trackers: a session with its project, what is exported, what is opened again; and live streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy import ndarray
from stubs.follower import Follower

import segma
from segma.errors import InputError, ModelError, PromptError, StoreError
from segma.formats.catalog import reader
from segma.live_tracker import LiveTracker
from segma.media.shots import CutDetector
from segma.media.source import ArraySource, FolderSource
from segma.models.interfaces import WithMemory
from segma.runtime import Runtime
from segma.store.project import Project
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_recent_keeper import RecentKeeper
from segma.tracker import Tracker
from segma.tracker_projects import MadeBy, new_tracker, open_project, resume_tracker

LENGTH = 14


def clip(length: int = LENGTH) -> ndarray:
    """A light square that moves right over grey, and a dark one that stands."""
    frames = np.full((length, 96, 128, 3), 130, np.uint8)
    for index in range(length):
        frames[index, 10:40, 8 + 2 * index : 32 + 2 * index] = 240
        frames[index, 60:84, 90:120] = 20
    return frames


def made_by(name: str = "follower") -> MadeBy:
    network = Follower()
    assert isinstance(network, WithMemory)
    return MadeBy(network=network, runtime=Runtime(device="cpu"), name=name, origin=name, weights_hash="none")


@pytest.fixture
def frames_folder(tmp_path: Path) -> Path:
    from segma.media.image import write_image

    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(clip()):
        write_image(frame, folder / f"{index:05d}.png")
    return folder


@pytest.fixture
def tracked(frames_folder: Path, tmp_path: Path) -> Iterator[Tracker]:
    source = FolderSource(frames_folder)
    with new_tracker(
        source, made_by(), TrackConfig(), project=tmp_path / "two.segma", overwrite=False
    ) as video:
        video.add("light", frame=0, points=[(20, 25)])
        video.add("dark", frame=3, box=(88, 58, 121, 85))
        for _ in video.run():
            pass
        yield video


def test_a_tracker_says_what_it_holds(tracked: Tracker) -> None:
    assert repr(tracked) == "Tracker(frames, 128x96, 14 frames, light, dark)"
    assert [each.name for each in tracked.objects] == ["light", "dark"]
    assert repr(tracked["dark"]) == "TrackedObject(name='dark')"
    assert tracked.size == (96, 128) and tracked.num_frames == LENGTH
    with pytest.raises(PromptError, match='no object "ball"'):
        tracked["ball"]
    summary = tracked["dark"].summary
    assert (summary.present, summary.absent) == (LENGTH - 3, 0)
    masks = tracked["light"].masks
    assert list(masks) == list(range(LENGTH)) and masks[5].area > 300 and len(masks) == LENGTH
    with pytest.raises(KeyError):
        masks[99]


def test_corrections_run_again_only_for_their_object(tracked: Tracker) -> None:
    dark = {frame: tracked["dark"].record(frame) for frame in range(LENGTH)}
    answer = tracked["light"].fix(7, points=[(34, 25), (24, 15)], labels=[1, 0])
    assert answer.is_anchor
    done = tracked.run_stale()
    assert set(done) == {"light"} and 7 not in done["light"]
    assert dark == {frame: tracked["dark"].record(frame) for frame in range(LENGTH)}
    tracked["light"].absent(10, 11)
    assert tracked["light"].record(10).compact.area == 0  # type: ignore[union-attr]
    tracked["light"].present(10)
    tracked["light"].clear(7)
    tracked["light"].remove()
    assert [each.name for each in tracked.objects] == ["dark"]


@pytest.mark.parametrize("kind", ["davis", "sav-png", "ytvos", "png"])
def test_folders_of_annotations(tracked: Tracker, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    report = tracked.export(kind, path, every=1) if kind == "sav-png" else tracked.export(kind, path)
    assert report.written == 2
    (sample,) = reader(kind, "videos")(tmp_path / kind)
    for each, name in zip(sample.objects, ("light", "dark"), strict=True):
        assert each.masklet.masks[9] == tracked[name].masks[9]


@pytest.mark.parametrize("name", ["a.sav.json", "a.ytvis.json", "a.coco.json", "a.csv"])
def test_files_of_annotations(tracked: Tracker, tmp_path: Path, name: str) -> None:
    kind = name.split(".")[1].removesuffix(".json")
    tracked.export(kind, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 200
    with pytest.raises(InputError, match="exists"):
        tracked.export(kind, tmp_path / name)


def test_videos_of_the_result(tracked: Tracker, tmp_path: Path) -> None:
    tracked.overlay(tmp_path / "over.mp4")
    tracked.cutout(tmp_path / "light.mov", objects=["light"])
    with av.open(str(tmp_path / "over.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == LENGTH and frames[0].shape == (96, 128, 3)
    with av.open(str(tmp_path / "light.mov")) as file:
        alpha = [frame.reformat(format="rgba").to_ndarray()[..., 3] for frame in file.decode(video=0)]
    assert len(alpha) == LENGTH
    inside = tracked["light"].masks[6].dense()
    assert np.mean((alpha[6] > 128) == inside) > 0.98


def test_a_project_is_opened_again_where_it_was(tracked: Tracker, tmp_path: Path) -> None:
    copy = tracked.save(tmp_path / "copy.segma")
    before = {name: dict(tracked[name].masks) for name in ("light", "dark")}
    project = open_project(copy)
    assert project is not None and project.settings["model"] == "follower"
    with resume_tracker(project, made_by(), TrackConfig()) as again:
        assert {name: dict(again[name].masks) for name in ("light", "dark")} == before
        again["dark"].fix(9, points=[(100, 70)])
        assert set(again.run_stale()) == {"dark"}
        assert dict(again["light"].masks) == before["light"]
        with pytest.raises(StoreError, match="is open in another segma"):
            open_project(copy)
    assert {name: dict(tracked[name].masks) for name in ("light", "dark")} == before


def test_a_project_of_some_pictures_of_a_folder_keeps_to_them(frames_folder: Path, tmp_path: Path) -> None:
    source = FolderSource(sorted(frames_folder.iterdir())[3:8])
    new_tracker(source, made_by(), TrackConfig(), project=tmp_path / "some.segma", overwrite=False).close()
    project = open_project(tmp_path / "some.segma")
    assert project is not None
    with resume_tracker(project, made_by(), TrackConfig()) as video:
        assert video.num_frames == 5
        assert np.array_equal(video.source.read(0).pixels, clip()[3])


def test_the_way_of_a_project_is_not_taken_by_surprise(frames_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        new_tracker(
            FolderSource(frames_folder), made_by(), TrackConfig(), project=tmp_path / "notes", overwrite=True
        )
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"
    for _ in range(2):
        new_tracker(
            FolderSource(frames_folder), made_by(), TrackConfig(), project=tmp_path / "p", overwrite=True
        ).close()
    with pytest.raises(InputError, match="Use --overwrite"):
        new_tracker(
            FolderSource(frames_folder), made_by(), TrackConfig(), project=tmp_path / "p", overwrite=False
        )


def test_a_project_without_a_video_says_so(tmp_path: Path) -> None:
    Project.create(tmp_path / "empty.segma").close()
    with pytest.raises(InputError, match="has 0 videos"):
        segma.track(tmp_path / "empty.segma")
    assert Project.open(tmp_path / "empty.segma").name == "empty.segma"  # and lets go of it


def test_cuts_are_found_once_and_may_be_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    other = rng.integers(0, 256, (1, 96, 128, 3), np.uint8).repeat(10, 0)
    frames = np.concatenate([clip(10), other])
    source = ArraySource(frames)
    with new_tracker(source, made_by(), TrackConfig(), project=None, overwrite=False) as video:
        assert video.cuts() == (10,)
        video.add("light", frame=0, points=[(20, 25)])
        assert [frame.index for frame in video.run()] == list(range(10))  # and no further
        video.set_cuts([])
        assert [frame.index for frame in video.run(8, 12)] == [8, 9, 10, 11, 12]
        folder = video.project.folder
    assert not folder.exists()  # it was a temporary one


def test_a_model_for_images_cannot_track(tmp_path: Path, toy_config: object) -> None:
    from segma.checkpoints.save import save
    from segma.models.sam.config import SamConfig
    from segma.models.sam.model import Sam

    assert isinstance(toy_config, SamConfig)
    file = save(Sam(toy_config), toy_config, tmp_path / "sam.safetensors", origin="a test", licence="CC0-1.0")
    with pytest.raises(ModelError, match="it has no memory"):
        segma.track(clip(), model=file)


def test_the_default_model_tracks_and_streams() -> None:
    with segma.track(clip(4), cuts="ignore") as video:
        video.add("it", frame=0, points=[(20, 25)])
        assert [frame.index for frame in video.run()] == [0, 1, 2, 3]
        assert "it" in video.frame(3).masks
    streamed = list(segma.stream(clip(3), objects={"it": {"points": [(20, 25)]}}))
    assert [frame.index for frame in streamed] == [0, 1, 2]


def live(frames: ndarray, **config: object) -> LiveTracker:
    network = Follower()
    session = VideoSession(
        network,  # type: ignore[arg-type]
        ArraySource(frames),
        TrackConfig(**config),  # type: ignore[arg-type]
        runtime=Runtime(device="cpu"),
        keeper=RecentKeeper(32),
    )
    return LiveTracker(session, {"light": {"points": [(20, 25)]}}, CutDetector())


def test_a_stream_takes_new_objects_and_lets_others_go() -> None:
    with live(clip()) as stream:
        seen: list[set[str]] = []
        for frame in stream:
            seen.append({name for name, record in frame.records.items() if record.compact.area})
            if frame.index == 3:
                stream.add("dark", box=(88, 58, 121, 85))
            if frame.index == 8:
                stream.remove("light")
    assert seen[2] == {"light"} and seen[5] == {"light", "dark"} and seen[10] == {"dark"}


def test_a_stream_holds_a_bounded_number_of_things() -> None:
    frames = np.repeat(clip(1), 300, 0)
    last = -1
    with live(frames) as stream:
        for frame in stream:
            last = frame.index
            if frame.index > 100:
                keeper = stream.session.keeper
                assert isinstance(keeper, RecentKeeper)
                assert len(list(keeper.records(1, 0, None))) <= 33
                assert len(stream.session.track("light").recent) <= 17
    assert last == 299
