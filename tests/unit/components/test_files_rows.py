"""A watched folder: what rows become, where they stood, and what of a bad or unfinished file is left out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest


def put(path: Path, text: str | bytes, *, age: float = 60) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(path, (time.time() - age,) * 2)


def test_headers_say_where_a_message_stood(run, tmp_path):
    put(tmp_path / "a.csv", 'k,n\na,1\nb,"2\n2"\n\na,3\nc,4\n')
    watch = run("files", "watch", path=str(tmp_path))
    grouped = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])

    assert [message.headers["x-row"] for message in watch.items()] == [2, 3, 6, 7]
    assert [message.headers for message in grouped.items()] == [{"x-file": "a.csv", "x-row": row} for row in (2, 3, 7)]
    put(tmp_path / "a.csv", (tmp_path / "a.csv").read_text() + "d,5\n", age=30)
    assert [message.headers["x-row"] for message in watch.items()] == [8]


def test_scattered_rows_of_a_group_are_one_message(run, tmp_path):
    put(tmp_path / "a.csv", "k,c,n\na,x,1\nb,y,2\na,z,3\n")
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    assert watch() == [
        {"k": "a", "c": "x", "lines": [{"n": 1}, {"n": 3}]},
        {"k": "b", "c": "y", "lines": [{"n": 2}]},
    ]


def test_a_column_called_body_is_a_column(run, tmp_path):
    put(tmp_path / "a.csv", "body,headers\nx,y\n")
    assert run("files", "watch", path=str(tmp_path))() == [{"body": "x", "headers": "y"}]


@pytest.mark.parametrize("delimiter", [";", "\t", "\\t"])
def test_other_delimiters(run, tmp_path, delimiter):
    between = delimiter.replace("\\t", "\t")
    put(tmp_path / "a.csv", f'a{between}b\n1{between}"x,y"\n')
    assert run("files", "watch", path=str(tmp_path), delimiter=delimiter)() == [{"a": 1, "b": "x,y"}]


def test_other_encodings(run, tmp_path):
    put(tmp_path / "a.csv", "a\nMüller €\n".encode("cp1252"))
    assert run("files", "watch", path=str(tmp_path), encoding="cp1252")() == [{"a": "Müller €"}]


@pytest.mark.parametrize(
    ("kind", "text"), [("csv", b"a\nx\nM\xfcller\ny\n"), ("jsonl", b'{"a":"x"}\n"M\xfc"\n{"a":"y"}\n')]
)
def test_text_in_another_encoding_is_told_and_never_garbled(run, tmp_path, kind, text):
    put(tmp_path / f"a.{kind}", text)
    watch = run("files", "watch", path=str(tmp_path), format=kind)
    assert watch() == [{"a": "x"}, {"a": "y"}]
    assert watch.errors == [f"a.{kind}: line {3 if kind == 'csv' else 2} is not utf-8"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("-0", "-0"), ("-0.5", -0.5), ("123456789012345", 123456789012345), ("1234567890.1234567", "1234567890.1234567"),
     ("٣", "٣"), (" 5", " 5"), ("1.10", 1.1)],
)  # fmt: skip
def test_a_number_is_never_changed(run, tmp_path, text, value):
    put(tmp_path / "a.csv", f"a,b\n{text},x\n")
    assert run("files", "watch", path=str(tmp_path))() == [{"a": value, "b": "x"}]


@pytest.mark.parametrize("bad", ['"3,4', '"3"3,4', '3,"4'])
def test_a_stray_quote_spoils_its_row_and_no_other(run, tmp_path, bad):
    put(tmp_path / "a.csv", f"a,b\n1,2\n{bad}\n5,6\n7,8\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1, "b": 2}, {"a": 5, "b": 6}, {"a": 7, "b": 8}]
    assert len(watch.errors) == 1
    assert "begins in line 3 is not CSV" in watch.errors[0]
    assert watch() == []
    assert len(watch.errors) == 1


def test_many_bad_rows_are_one_error(run, tmp_path):
    put(tmp_path / "a.csv", "a,b\n" + "1\n" * 100 + "1,2\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1, "b": 2}]
    assert len(watch.errors) == 1
    assert watch.errors[0].startswith("a.csv: line 2 has 1 cells, the header 2; line 3 has")
    assert watch.errors[0].endswith("; and 80 more")


@pytest.mark.parametrize(
    ("header", "settings", "said"),
    [
        ("a,a", {}, "names column 'a' twice"),
        ("a,", {}, "column 2 has no name"),
        ("a,b", {"group_by": "k"}, "group_by: there is no column 'k'; there are: a, b"),
        ("a,b", {"group_by": "a", "lines": ["b", "c"]}, "lines: there is no column 'c'; there are: a, b"),
    ],
)
def test_a_header_that_does_not_fit_is_told_until_it_does(run, tmp_path, header, settings, said):
    put(tmp_path / "a.csv", f"{header}\n1,2\n")
    watch = run("files", "watch", path=str(tmp_path), **settings)
    assert watch() == watch() == []
    assert said in watch.errors[0]
    assert watch.errors[0] == watch.errors[1]


def test_a_json_line_without_the_group_is_told(run, tmp_path):
    put(tmp_path / "a.jsonl", '{"k": 1, "n": 1}\n{"n": 2}\n{"k": 1, "n": 3}\n')
    watch = run("files", "watch", path=str(tmp_path), format="jsonl", group_by="k", lines=["n"])
    assert watch() == [{"k": 1, "lines": [{"n": 1}, {"n": 3}]}]
    assert watch.errors == ["a.jsonl: line 2 has no 'k' to group by"]


def test_a_line_without_its_end_waits_for_some_seconds(run, tmp_path):
    # Given a writer that pauses in mid-line: the line 3,45 is to come
    put(tmp_path / "a.csv", "a,b\n1,2\n3,4", age=2)
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 1, "b": 2}]
    put(tmp_path / "a.csv", "a,b\n1,2\n3,45", age=10)
    assert watch() == [{"a": 3, "b": 45}]


def test_the_group_of_an_unfinished_line_waits_with_it(run, tmp_path):
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\nb,", age=2)
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    assert watch() == [{"k": "a", "lines": [{"n": 1}]}]
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\nb,3\n", age=10)
    assert watch() == [{"k": "b", "lines": [{"n": 2}, {"n": 3}]}]


def test_a_bad_row_beside_a_group_that_waits_is_told_once(run, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _s: None)
    watch = run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])
    monkeypatch.setattr("watch.PATIENCE_S", -1)
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\nbad\n", age=-5)
    assert watch() == [{"k": "a", "lines": [{"n": 1}]}]
    assert watch() == []
    put(tmp_path / "a.csv", "k,n\na,1\nb,2\nbad\nb,3\n", age=30)
    assert watch() == [{"k": "b", "lines": [{"n": 2}, {"n": 3}]}]
    assert watch.errors == ["a.csv: line 4 has 1 cells, the header 2"]


def test_an_open_quote_at_the_end_waits(run, tmp_path):
    put(tmp_path / "a.csv", 'a,b\n1,"x\n', age=2)
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == []
    assert watch.errors == []
    put(tmp_path / "a.csv", 'a,b\n1,"x\ny"\n', age=10)
    assert watch() == [{"a": 1, "b": "x\ny"}]


def test_a_file_from_another_clock_is_read(run, tmp_path):
    put(tmp_path / "a.csv", "k,n\na,1", age=-3600)
    assert run("files", "watch", path=str(tmp_path), group_by="k", lines=["n"])() == [{"k": "a", "lines": [{"n": 1}]}]


def test_a_file_that_may_not_be_opened_keeps_no_other_from_being_read(run, tmp_path, monkeypatch):
    put(tmp_path / "a.csv", "a\n1\n", age=90)
    put(tmp_path / "b.csv", "a\n2\n")
    real = Path.open

    def refused(path: Path, *arguments, **more):
        if path.name == "a.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refused)
    watch = run("files", "watch", path=str(tmp_path))
    assert watch() == [{"a": 2}]
    assert "Permission denied" in watch.errors[0]


def test_a_snapshot_is_small(run, tmp_path):
    for number in range(30):
        put(tmp_path / f"orders-{number:04d}.csv", "a\n1\n")
    watch = run("files", "watch", path=str(tmp_path))
    assert len(watch()) == 30
    assert len(str(watch.snapshot)) < 30 * 170


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"delimiter": ";;"}, "delimiter is one character"),
        ({"delimiter": '"'}, "delimiter is one character"),
        ({"encoding": "utf-16"}, "utf-16 is not read; save the file as UTF-8"),
        ({"encoding": "klingon"}, "none called 'klingon'"),
    ],
)
def test_settings_that_make_no_sense(run, tmp_path, settings, said):
    with pytest.raises(ValueError, match=said):
        run("files", "watch", path=str(tmp_path), **settings)()
