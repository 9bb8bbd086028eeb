import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from processing import video
from processing.errors import UserError
from processing.video import open_frames, open_visual
from tests.tiny_data import picture, row
from tests.videos import colour_of, number_of, numbered, write_video

# Fifty frames a second, then one in four seconds.
UNEVEN = [place / 50 for place in range(40)] + [0.8, 4.8, 8.8]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of two seconds of red and two of blue."""
    return write_video(tmp_path_factory.mktemp("videos") / "scenes.mp4")


class TestTimes:
    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("a.mp4", "libx264"),
            ("a.mov", "libx264"),
            ("a.m4v", "mpeg4"),
            ("a.mkv", "libx264"),
            ("a.webm", "libvpx"),
            ("a.avi", "mpeg4"),
            # In such a file the frames have the times at which they are decoded, out of order.
            ("b.avi", "libx264"),
            # Its time does not begin at zero.
            ("a.ts", "libx264"),
        ],
    )
    def test_two_scenes_in_every_container(self, tmp_path: Path, name: str, codec: str) -> None:
        frames = open_frames(write_video(tmp_path / name, codec=codec), 8)
        assert [colour_of(frame) for frame in frames] == ["red"] * 4 + ["blue"] * 4
        assert {(frame.mode, frame.size) for frame in frames} == {("RGB", (32, 32))}

    @pytest.mark.parametrize("count", [1, 2, 5, 8, 20])
    def test_the_frames_are_those_in_the_middle_of_equal_parts(self, tmp_path: Path, count: int) -> None:
        frames = open_frames(write_video(tmp_path / "a.mp4", numbered(40)), count)
        assert [number_of(frame) for frame in frames] == [int(40 * (place + 0.5) / count) for place in range(count)]

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_time_decides_where_the_frame_rate_varies(self, tmp_path: Path, name: str) -> None:
        frames = open_frames(write_video(tmp_path / name, numbered(43), UNEVEN), 6)
        # Middles at about 0.7, 2.2, 3.7, 5.2, 6.7 and 8.2 seconds.
        assert [number_of(frame) for frame in frames] == [37, 40, 40, 41, 41, 41]

    def test_a_header_without_a_duration(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.webm", codec="libvpx", live="1")
        assert [colour_of(frame) for frame in open_frames(path, 4)] == ["red", "red", "blue", "blue"]

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_sound_that_goes_on_for_longer_does_not_count(self, tmp_path: Path, name: str) -> None:
        frames = open_frames(write_video(tmp_path / name, sound=8.0), 8)
        assert [colour_of(frame) for frame in frames] == ["red"] * 4 + ["blue"] * 4

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_a_video_with_few_frames_gives_each_once(self, tmp_path: Path, name: str) -> None:
        assert [number_of(frame) for frame in open_frames(write_video(tmp_path / name, numbered(3)), 8)] == [0, 1, 2]
        assert len(open_frames(write_video(tmp_path / name, numbered(1)), 8)) == 1

    def test_long_gaps_are_jumped_over_to_the_same_frames(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_video(tmp_path / "long.mp4", numbered(50) * 4, [2.0 * place for place in range(200)], key_frames=5)
        decoded: list[int] = []
        check = video._check_size

        def count(path: Any, content: Any) -> None:
            decoded[-1] += 1
            check(path, content)

        monkeypatch.setattr(video, "_check_size", count)
        found = []
        for seconds in (10.0, 1e9):
            monkeypatch.setattr(video, "SEEK_SECONDS", seconds)
            decoded.append(0)
            found.append([number_of(frame) for frame in open_frames(path, 8)])
        # The last frame is shown for a tenth of a second.
        middles = [398.1 * (place + 0.5) / 8 for place in range(8)]
        assert found[0] == found[1] == [int(time / 2) % 50 for time in middles]
        assert decoded[0] < 60 < 180 < decoded[1]


class TestRotation:
    @staticmethod
    def marked() -> Image.Image:
        """Return a picture, 64 wide and 32 high, that is white in its upper left quarter."""
        image = Image.new("RGB", (64, 32), "black")
        image.paste("white", (0, 0, 32, 16))
        return image

    @pytest.mark.parametrize("rotation", [90, 180, -90])
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_frames_are_turned_as_the_file_says(self, tmp_path: Path, name: str, rotation: int) -> None:
        path = write_video(tmp_path / name, [self.marked()] * 5, rotation=rotation)
        upright = self.marked().rotate(rotation, expand=True)
        for frame in open_frames(path, 2):
            assert frame.size == upright.size
            for x in (8, frame.width - 8):
                for y in (8, frame.height - 8):
                    assert abs(frame.getpixel((x, y))[0] - upright.getpixel((x, y))[0]) < 30  # type: ignore[index]

    @pytest.mark.parametrize("flip", ["horizontal", "vertical"])
    @pytest.mark.parametrize("rotation", [0, 90, 180, -90])
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_and_mirrored(self, tmp_path: Path, name: str, rotation: int, flip: str) -> None:
        marked = Image.new("RGB", (64, 32), "black")
        marked.paste("white", (0, 0, 32, 16))
        path = write_video(tmp_path / name, [marked] * 5, rotation=rotation, flip=flip)
        turned = marked.rotate(rotation, expand=True)
        shown = ImageOps.mirror(turned) if flip == "horizontal" else ImageOps.flip(turned)
        [frame] = open_frames(path, 1)
        assert frame.size == shown.size
        for x in (8, frame.width - 8):
            for y in (8, frame.height - 8):
                assert abs(frame.getpixel((x, y))[0] - shown.getpixel((x, y))[0]) < 30  # type: ignore[index]

    @pytest.mark.parametrize(
        ("aspect", "rotation", "size"),
        [
            (Fraction(4, 3), 0, (85, 32)),
            (Fraction(1, 2), 0, (64, 64)),
            (Fraction(16, 11), 90, (32, 93)),
            (Fraction(1, 1), 0, (64, 32)),
            (Fraction(200, 1), 0, (64, 32)),
        ],
    )
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
    def test_pixels_that_are_not_square(
        self, tmp_path: Path, name: str, aspect: Fraction, rotation: int, size: tuple[int, int]
    ) -> None:
        pictures = [Image.new("RGB", (64, 32), "red")] * 3
        path = write_video(tmp_path / name, pictures, aspect=aspect, rotation=rotation)
        assert [frame.size for frame in open_frames(path, 2)] == [size, size]


class TestAnimations:
    @staticmethod
    def write(path: Path, **options: Any) -> Path:
        """Write an animation that is red for 0.3 seconds and then blue for 0.1."""
        first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
        first.save(path, save_all=True, append_images=[second], duration=[300, 100], **options)
        return path

    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif", "A.GIF"])
    def test_time_decides(self, tmp_path: Path, name: str) -> None:
        path = self.write(tmp_path / name)
        assert [colour_of(frame) for frame in open_frames(path, 1)] == ["red"]
        # The middles of the halves are at 0.1 and 0.3 seconds, the moment of the change.
        assert [colour_of(frame) for frame in open_frames(path, 2)] == ["red", "blue"]

    def test_a_short_one_gives_each_picture_once(self, tmp_path: Path) -> None:
        assert [colour_of(frame) for frame in open_frames(self.write(tmp_path / "a.gif"), 8)] == ["red", "blue"]

    def test_no_time_at_all(self, tmp_path: Path) -> None:
        pictures = numbered(4)
        pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
        assert [number_of(frame) for frame in open_frames(tmp_path / "a.gif", 2)] == [1, 3]

    def test_a_still_picture_is_an_animation_of_one(self, tmp_path: Path) -> None:
        picture().save(tmp_path / "a.gif")
        assert len(open_frames(tmp_path / "a.gif", 8)) == 1

    def test_transparent_parts(self, tmp_path: Path) -> None:
        clear = Image.new("RGBA", (8, 8))
        clear.save(tmp_path / "a.webp", save_all=True, append_images=[Image.new("RGBA", (8, 8), "red")], lossless=True)
        assert open_frames(tmp_path / "a.webp", 8, "#0000ff")[0].getpixel((0, 0)) == (0, 0, 255)

    def test_a_broken_one_is_named(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.gif")
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(UserError, match=r"a.gif cannot be decoded as an animation; repair or remove it"):
            open_frames(path, 2)


class TestBadFiles:
    @pytest.mark.parametrize("error", [TypeError, IndexError, MemoryError, UnicodeDecodeError])
    def test_whatever_a_decoder_raises(
        self, scenes: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def fail(*arguments: Any) -> None:
            raise error("utf-8", b"", 0, 1, "bad") if error is UnicodeDecodeError else error("bad")

        monkeypatch.setattr(video, "_span", fail)
        with pytest.raises(UserError, match=r"scenes.mp4 cannot be decoded as a video; replace or remove it"):
            open_frames(scenes)

    @staticmethod
    def cut(path: Path, share: float) -> Path:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    @pytest.mark.parametrize("content", [b"", b"This is text.", bytes(5000)], ids=["empty", "text", "zeros"])
    def test_what_is_no_video(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "broken.mp4").write_bytes(content)
        with pytest.raises(ValueError, match="broken.mp4 cannot be decoded as a video; replace or remove it"):
            open_frames(tmp_path / "broken.mp4")

    def test_a_file_cut_off_before_its_index(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="cut.mp4 cannot be decoded as a video"):
            open_frames(self.cut(write_video(tmp_path / "cut.mp4"), 0.6))

    @pytest.mark.parametrize(("name", "options"), [("cut.mp4", {"movflags": "faststart"}), ("cut.mkv", {})])
    def test_a_file_cut_off_after_its_header(self, tmp_path: Path, name: str, options: dict[str, str]) -> None:
        noise = [Image.effect_noise((32, 32), 80).convert("RGB") for _ in range(40)]
        path = write_video(tmp_path / name, noise, **options)
        assert len(open_frames(path)) == 8
        with pytest.raises(ValueError, match=f"{name} is cut off: it has [12].. of 4.0 seconds; fetch it again"):
            open_frames(self.cut(path, 0.5))

    def test_damage_in_the_middle(self, tmp_path: Path) -> None:
        noise = [Image.effect_noise((32, 32), 80).convert("RGB") for _ in range(40)]
        content = bytearray(write_video(tmp_path / "damaged.mp4", noise).read_bytes())
        content[5000:15000] = b"\xff" * 10000
        (tmp_path / "damaged.mp4").write_bytes(content)
        with pytest.raises(ValueError, match="damaged.mp4 cannot be decoded as a video"):
            open_frames(tmp_path / "damaged.mp4")

    @pytest.mark.parametrize("name", ["song.m4a", "song.mp4"])
    def test_sound_alone(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} has no pictures, only sound"):
            open_frames(write_video(tmp_path / name, [], sound=1.0))

    def test_a_song_with_a_cover(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "song.mp4", ["red"], codec="mjpeg", sound=1.0, cover=True)
        with pytest.raises(ValueError, match="song.mp4 has no pictures, only sound"):
            open_frames(path)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        for path in (tmp_path / "absent.mp4", tmp_path):
            with pytest.raises(ValueError, match=f"{path} does not exist; add the video"):
                open_frames(path)

    def test_a_playlist_fetches_nothing(self, tmp_path: Path) -> None:
        part = write_video(tmp_path / "part.ts")
        playlist = tmp_path / "list.mp4"
        for address in ("http://127.0.0.1:9/part.ts", f"file:{part}", str(part)):
            playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{address}\n#EXT-X-ENDLIST\n")
            with pytest.raises(ValueError, match="list.mp4 cannot be decoded as a video"):
                open_frames(playlist)

    def test_too_many_pixels(self, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(video, "MAX_PIXELS", 32 * 32 - 1)
        with pytest.raises(ValueError, match="scenes.mp4 has frames of more than 0 million pixels; make it smaller"):
            open_frames(scenes)
        monkeypatch.setattr(video, "MAX_PIXELS", 32 * 32)
        assert len(open_frames(scenes)) == 8

    def test_no_frame_at_all_is_asked_for(self, scenes: Path) -> None:
        with pytest.raises(ValueError, match="shown in 0 frames; take at least 1"):
            open_frames(scenes, 0)

    def test_without_pyav(self, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(
            ImportError, match=r"Reading videos needs libraries that are not installed: pip install 'av>=17'"
        ):
            open_frames(scenes)


class TestOpenVisual:
    def test_a_picture_or_a_video(self, scenes: Path) -> None:
        assert [frame.size for frame in open_visual(row("a", image=picture(size=(5, 4))))] == [(5, 4)]
        frames = open_visual(row("a", image=None, video=str(scenes)), 4)
        assert [colour_of(frame) for frame in frames] == ["red", "red", "blue", "blue"]
        assert len(open_visual(row("a", image=None, video=str(scenes)))) == video.NUM_FRAMES
        # Where there are both, the picture is what a reader chose to show.
        assert len(open_visual(row("a", video=str(scenes)))) == 1

    def test_neither(self) -> None:
        with pytest.raises(ValueError, match="Row 'a' has no picture"):
            open_visual(row("a", image=None))
