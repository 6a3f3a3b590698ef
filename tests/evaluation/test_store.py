"""Files of results: every changed bit is noticed; nothing counts twice, goes elsewhere or is taken from others."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from captum_ext._utils.files import replace_file
from captum_ext.evaluation import ResultRow, Results, ResultsError, store

ROWS = [
    ResultRow("x.png", "ig", 8, "deletion", "signed", 0.5, [0.25, 0.75]),
    ResultRow("y.png", "", 0, "image", "unreadable", 0.0),
]


@pytest.fixture
def results(tmp_path):
    made = Results(tmp_path / "r")
    made.create({"models": ["net"], "seed": 0})
    made.write("net", 0, ROWS)
    return made


def only_file(results):
    (file,) = results.folder.glob("*/*.parquet")
    return file


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_is_noticed(results):
    files = {only_file(results): (results.read, 61), results.folder / "settings.json": (results.settings, 1)}
    for file, (read, every) in files.items():
        whole = file.read_bytes()
        read()
        assert not any(store._is_intact(flipped(whole, bit)) for bit in range(8 * len(whole)))
        for bit in range(0, 8 * len(whole), every):
            file.write_bytes(flipped(whole, bit))
            with pytest.raises(ResultsError, match=f"{file.name}: .*damaged"):
                read()
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            with pytest.raises(ResultsError, match=f"{file.name}: .*damaged"):
                read()
        file.write_bytes(whole)
        read()


def test_the_digest_is_of_all_other_bytes(results):
    content = only_file(results).read_bytes()
    digest = pq.read_metadata(only_file(results)).metadata[b"captum_ext.digest"].removeprefix(b"captum_ext.sha256:")
    assert content.count(digest) == 1
    assert hashlib.sha256(content.replace(digest, b"")).hexdigest().encode() == digest


def test_pages_have_checksums_that_are_verified(results):
    """Also by readers that know nothing of the digest."""
    file = only_file(results)
    column = pq.read_metadata(file).row_group(0).column(0)
    end = column.dictionary_page_offset + column.total_compressed_size
    file.write_bytes(store._with_digest(flipped(file.read_bytes(), 8 * end - 4)))
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(file, page_checksum_verification=True)
    with pytest.raises(ResultsError, match=r"can't be read .*CRC"):
        results.read()


def test_a_mark_among_the_data_moves_no_digest(tmp_path):
    mark = store._DIGEST_MARK.decode() + "0" * 64
    results = Results(tmp_path)
    results.create({"models": [mark], "zzz": mark})
    results.write(mark, 0, [ResultRow(mark, mark, 0, mark, mark, 1.0, note=mark)])
    assert results.settings() == {"models": [mark], "zzz": mark}
    assert set(results.read().iloc[0][["model", "image", "method", "score", "variant", "note"]]) == {mark}


def test_without_a_digest_nothing_is_read(results):
    file = only_file(results)
    pq.write_table(pa.table({"model": ["net"], "image": ["x.png"], "value": [9.0]}), file)
    with pytest.raises(ResultsError, match="not written by this version"):
        results.read()
    (results.folder / "settings.json").write_text('{"models": ["net"], "seed": 0}')
    with pytest.raises(ResultsError, match="not written by this version"):
        results.create({"models": ["net"], "seed": 0})


@pytest.mark.parametrize(
    "copy", ["net/batch-000000 (copy).parquet", "net/batch-000001.parquet", "net2/batch-000000.parquet"]
)
def test_a_copied_batch_does_not_count_twice(results, copy):
    (results.folder / "net2").mkdir()
    shutil.copy(only_file(results), results.folder / copy)
    with pytest.raises(ResultsError, match=r"is a copy of .*net/batch-000000\.parquet"):
        results.read()


@pytest.mark.parametrize("model", ["..", ".", "../../elsewhere", "a/..", "..."])
def test_no_name_of_a_model_leads_out_of_the_folder(tmp_path, model):
    results = Results(tmp_path / "outer" / "r")
    results.create({"models": [model]})
    results.write(model, 0, ROWS)
    assert len(list((tmp_path / "outer" / "r").glob("*/batch-000000.parquet"))) == 1
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert set(results.read().model) == {model}
    assert results.has(model, 0)


def test_text_that_is_no_unicode_is_stored_as_escapes(tmp_path):
    results = Results(tmp_path)
    results.create({"models": ["n\udcff"]})
    results.write(
        "n\udcff", 0, [ResultRow("caf\udce9.png", "", 0, "image", "unreadable", 0.0, note="caf\udce9.png: broken")]
    )
    row = results.read().iloc[0]
    assert (row.model, row.image, row.note) == ("n\\udcff", "caf\\udce9.png", "caf\\udce9.png: broken")
    assert results.has("n\udcff", 0)


def test_files_that_others_are_writing_are_left_alone(results):
    new = results.folder / "net" / f".batch-000001.parquet.{'0' * 32}.tmp"
    old = results.folder / "net" / f".batch-000002.parquet.{'0' * 32}.tmp"
    foreign = results.folder / "net" / ".notes.tmp"
    for part in (new, old, foreign):
        part.write_bytes(b"PAR1")
    for part in (old, foreign):
        os.utime(part, (time.time() - 100_000,) * 2)
    results.create(results.settings())
    assert new.exists()
    assert foreign.exists()
    assert not old.exists()


def test_a_run_killed_before_its_settings_were_written_starts_anew(tmp_path):
    part = tmp_path / f".settings.json.{'0' * 32}.tmp"
    part.write_bytes(b"{")
    Results(tmp_path).create({"seed": 0})
    assert Results(tmp_path).settings() == {"seed": 0}


def test_a_folder_that_can_not_be_read_is_named(results, monkeypatch):
    iterdir = Path.iterdir

    def refuse(self):
        if self.name == "net":
            raise PermissionError(13, "Permission denied", str(self))
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ResultsError, match="net: can't be read \\(Permission denied\\)"):
        results.read()


def test_replacing_a_file_keeps_its_link_and_permissions(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_file(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    long = tmp_path / ("n" * 250 + ".png")
    replace_file(long, b"new")
    assert long.read_bytes() == b"new"
    assert not list(tmp_path.glob(".*"))
