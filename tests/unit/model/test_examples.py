"""The examples are right, and their data is what the script makes."""

import csv
import sys
from decimal import Decimal
from pathlib import Path
from subprocess import run

import pytest

from nomadflows.builtin import builtin_components
from nomadflows.model.flowfile import parse_flow_file
from nomadflows.model.graph import expand
from nomadflows.model.mapping import Expression, as_body

EXAMPLES = Path(__file__).parents[3] / "examples"
SCRIPT, DATA = EXAMPLES / "make_orders.py", EXAMPLES / "data/orders/orders-2026-01.csv"


def components() -> dict:
    return {version.name: [version] for version in builtin_components()}


@pytest.mark.parametrize(("name", "visible", "running"), [("orders-to-warehouse", 3, 5), ("live-orders", 3, 5)])
def test_an_example_is_valid(name: str, visible: int, running: int):
    text = (EXAMPLES / f"{name}.yaml").read_text("utf-8")

    flow = parse_flow_file(text, f"{name}.yaml", components())

    assert flow.flow == name
    assert (len(flow.steps), len(expand(flow))) == (visible, running)


def make(tmp_path: Path, *arguments: str) -> str:
    out = tmp_path / "made" / "orders.csv"
    return run(
        [sys.executable, str(SCRIPT), "--out", str(out), *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_the_data_is_what_the_script_makes(tmp_path: Path):
    said = make(tmp_path)

    assert (tmp_path / "made/orders.csv").read_bytes() == DATA.read_bytes()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["orders.csv"]
    with DATA.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    total = sum(int(row["quantity"]) * Decimal(row["price"]) for row in rows)
    assert said == f"orders 300 lines {len(rows)} total {total:.2f}\n"
    assert len({row["order_id"] for row in rows}) == 300


def test_a_second_file_goes_on_where_the_first_ended(tmp_path: Path):
    make(tmp_path, "--orders", "20", "--first", "281")

    second = (tmp_path / "made/orders.csv").read_text("utf-8").splitlines()[1:]

    assert DATA.read_text("utf-8").splitlines()[-len(second) :] == second


def test_the_mapping_makes_rows_with_the_right_sums():
    flow = parse_flow_file((EXAMPLES / "orders-to-warehouse.yaml").read_text("utf-8"), "f")
    mapping = Expression(flow.step("store").map)
    orders: dict[str, dict] = {}
    with DATA.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            line = {"sku": row["sku"], "quantity": int(row["quantity"]), "price": float(row["price"])}
            orders.setdefault(row["order_id"], {**row, "lines": []})["lines"].append(line)

    rows = [as_body(mapping.value(order)) for order in orders.values()]

    assert set(rows[0]) == {"id", "ordered_at", "customer", "country", "items", "total"}
    assert f"{sum(Decimal(str(row['total'])) for row in rows):.2f}" == "60614.13"
    assert all(row["country"].isupper() for row in rows)
