"""A watched folder: nothing twice, nothing lost, whatever happens to its files."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

import pytest

CSV = "order_id,customer.name,sku,price\nA1,Ann,x,1.50\nA1,Ann,y,2\nB2,Bob,x,007\n"


def put(path: Path, text: str, *, age: float = 60) -> None:
    """A file that nobody has touched for a while."""
    path.write_text(text, encoding="utf-8", newline="")
    os.utime(path, (time.time() - age,) * 2)


def append(path: Path, text: str, *, age: float = 30) -> None:
    put(path, path.read_text() + text, age=age)


def test_rows_become_messages_with_types_and_nested_columns(run, tmp_path):
    put(tmp_path / "a.csv", CSV)
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [
        {"order_id": "A1", "customer": {"name": "Ann"}, "sku": "x", "price": 1.5},
        {"order_id": "A1", "customer": {"name": "Ann"}, "sku": "y", "price": 2},
        {"order_id": "B2", "customer": {"name": "Bob"}, "sku": "x", "price": "007"},
    ]
    assert watch() == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-3.25", -3.25), ("0", 0), ("007", "007"), ("1e5", "1e5"), ("", None), ("+49", "+49"),
     ("1.", "1."), ("12345678901234567", "12345678901234567"), ("NaN", "NaN"), ("true", "true")],
)  # fmt: skip
def test_only_plain_numbers_are_numbers(run, tmp_path, text, value):
    put(tmp_path / "a.csv", f"a,b\n{text},x\n")
    assert run("files", "watch", path=str(tmp_path))() == [{"a": value, "b": "x"}]
    assert run("files", "watch", path=str(tmp_path), types="text")() == [{"a": text, "b": "x"}]


def test_rows_of_a_group_become_one_message(run, tmp_path):
    put(tmp_path / "a.csv", CSV)
    watch = run("files", "watch", path=str(tmp_path), group_by="order_id", lines=["sku", "price"])
    assert watch() == [
        {
            "order_id": "A1",
            "customer": {"name": "Ann"},
            "lines": [{"sku": "x", "price": 1.5}, {"sku": "y", "price": 2}],
        },
        {"order_id": "B2", "customer": {"name": "Bob"}, "lines": [{"sku": "x", "price": "007"}]},
    ]


def test_json_lines(run, tmp_path):
    put(tmp_path / "a.jsonl", '{"a": "1"}\n\n[1]\nnonsense\n{"a": 2}\n')
    watch = run("files", "watch", path=str(tmp_path), format="jsonl")
    assert watch() == [{"a": "1"}, {"a": 2}]
    assert len(watch.errors) == 1
    assert watch.errors[0].startswith("a.jsonl: line 3 is no JSON object; line 4 is not JSON: ")
    assert watch() == []
    assert len(watch.errors) == 1


def test_a_bad_row_is_an_error_and_stops_nothing(run, tmp_path):
    put(tmp_path / "a.csv", "a,b\n1,2\n1,2,3\n3,4\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert watch.errors == ["a.csv: line 3 has 3 cells, the header 2"]


def test_an_unreadable_file_does_not_keep_others_from_being_read(run, tmp_path):
    put(tmp_path / "a.csv", "x\n1\n")
    put(tmp_path / "b.csv", "k\n1\n", age=10)
    watch = run("files", "watch", path=str(tmp_path), group_by="k")
    assert watch() == [{"k": 1, "lines": [{"k": 1}]}]
    assert "no column 'k'" in watch.errors[0]


def test_what_is_appended_is_read_from_where_it_ended(run, tmp_path):
    put(tmp_path / "a.csv", "a\n1\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1}]
    append(tmp_path / "a.csv", "2\n3\n")
    assert watch() == [{"a": 2}, {"a": 3}]
    assert watch() == []


def test_a_replaced_file_is_read_from_its_start(run, tmp_path):
    put(tmp_path / "a.csv", "a\n1\n2\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert len(watch()) == 2
    put(tmp_path / "a.csv", "a\n7\n2\n9\n", age=30)
    assert [row["a"] for row in watch()] == [7, 2, 9]
    put(tmp_path / "a.csv", "a\n5\n", age=20)  # shorter
    assert [row["a"] for row in watch()] == [5]


def test_a_touched_file_is_not_read_again(run, tmp_path):
    put(tmp_path / "a.csv", "a\n1\n")
    watch = run("files", "watch", path=str(tmp_path))
    watch()
    put(tmp_path / "a.csv", "a\n1\n", age=5)
    assert watch() == []


def test_a_removed_file_is_forgotten_and_read_when_it_comes_again(run, tmp_path):
    put(tmp_path / "a.csv", "a\n1\n")
    watch = run("files", "watch", path=str(tmp_path))
    watch()
    (tmp_path / "a.csv").unlink()
    assert watch() == []
    assert watch.snapshot == {"files": {}}
    put(tmp_path / "a.csv", "a\n1\n")
    assert watch() == [{"a": 1}]


def test_a_line_that_is_being_written_is_left_for_later(run, tmp_path, monkeypatch):
    # Given a file that somebody writes to all the time
    watch = run("files", "watch", path=str(tmp_path))
    monkeypatch.setattr("watch.PATIENCE_S", -1)
    put(tmp_path / "a.csv", "a,b\n1,2\n3,", age=-5)
    # Then its whole lines are read now, the rest when it is whole
    assert watch() == [{"a": 1, "b": 2}]
    put(tmp_path / "a.csv", "a,b\n1,2\n3,4\n", age=-4)
    assert watch() == [{"a": 3, "b": 4}]


def test_a_group_that_is_being_written_is_left_for_later(run, tmp_path, monkeypatch):
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    monkeypatch.setattr("watch.PATIENCE_S", -1)
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\n", age=-5)
    assert watch() == [{"k": "a", "lines": [{"n": 1}]}]
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\nb,3\n", age=60)
    assert watch() == [{"k": "b", "lines": [{"n": 2}, {"n": 3}]}]


def test_a_quiet_file_needs_no_line_end(run, tmp_path):
    put(tmp_path / "a.csv", "a,b\n1,2")
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1, "b": 2}]
    # and if that line goes on after all, its rest is told, not taken for a row
    append(tmp_path / "a.csv", "3\n4,5\n")
    assert watch() == [{"a": 4, "b": 5}]
    assert "went on after it was read" in watch.errors[0]


def test_a_fresh_file_is_waited_for_until_it_is_quiet(run, tmp_path):
    (tmp_path / "a.csv").write_text("k,n\na,1\na,2\n")
    assert run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])() == [
        {"k": "a", "lines": [{"n": 1}, {"n": 2}]}
    ]


def test_cells_may_hold_line_ends_quotes_and_any_script(run, tmp_path):
    put(tmp_path / "a.csv", '\ufeffname,text\n"Ä, ""B""","one\ntwo"\n世界,x\n')
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"name": 'Ä, "B"', "text": "one\ntwo"}, {"name": "世界", "text": "x"}]
    append(tmp_path / "a.csv", 'ü,"a\nb"\n')
    assert watch() == [{"name": "ü", "text": "a\nb"}]


def test_killed_again_and_again_it_comes_to_an_end(run, tmp_path, monkeypatch):
    # Given a long file, and a step that dies after every 500 messages
    put(tmp_path / "a.csv", "k,n\n" + "".join(f"{n // 2},{n}\n" for n in range(6000)))
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    monkeypatch.setattr("records.BATCH_BYTES", 20_000)
    seen = []
    for lives in itertools.count():
        got = [message.body for message in itertools.islice(watch.items(), 500)]
        seen += got
        if len(got) < 500:
            break
        assert lives < 20
    # Then every group came, whole, and little came twice
    assert {body["k"] for body in seen} == set(range(3000))
    assert all([line["n"] for line in body["lines"]] == [body["k"] * 2, body["k"] * 2 + 1] for body in seen)
    assert len(seen) < 3000 * 1.6


def test_batches_never_cut_a_group(run, tmp_path, monkeypatch):
    rows = "".join(f"{n // 700},{n}\n" for n in range(3000))
    put(tmp_path / "a.csv", "k,n\n" + rows)
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    monkeypatch.setattr("records.BATCH_BYTES", 1000)
    assert [len(body["lines"]) for body in watch()] == [700, 700, 700, 700, 200]


def test_older_files_first_hidden_and_other_names_never(run, tmp_path):
    put(tmp_path / "b.csv", "a\n1\n", age=100)
    put(tmp_path / "a.csv", "a\n2\n", age=50)
    put(tmp_path / ".c.csv", "a\n3\n")
    put(tmp_path / "c.txt", "a\n4\n")
    assert [row["a"] for row in run("files", "watch", path=str(tmp_path))()] == [1, 2]
    assert run("files", "watch", path=str(tmp_path), pattern="b*")() == [{"a": 1}]


def test_the_snapshot_is_plain_json(run, tmp_path):
    put(tmp_path / "a.csv", CSV)
    watch = run("files", "watch", path=str(tmp_path))
    watch()
    assert json.loads(json.dumps(watch.snapshot)) == watch.snapshot
    assert watch.snapshots == 1


def test_a_folder_that_is_not_there(run, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        run("files", "watch", path=str(tmp_path / "x"))()
    monkeypatch.setenv("NOMADFLOWS_FILES_ROOT", str(tmp_path))
    (tmp_path / "in").mkdir()
    assert run("files", "watch", path="in")() == []


@pytest.mark.parametrize("config", [{"format": "xml"}, {"lines": ["a"]}])
def test_settings_that_make_no_sense(run, tmp_path, config):
    with pytest.raises(ValueError, match=r"format|group_by"):
        run("files", "watch", path=str(tmp_path), **config)()
