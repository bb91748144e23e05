# ruff: noqa: INP001
"""Writes a CSV file of made-up orders, the same ones each time, and prints what a flow must make of them.

    python examples/make_orders.py --orders 300 --out examples/data/orders/orders-2026-01.csv

An order is several lines with the same `order_id`. Order number n is the same whatever else is written, so a second
file made with `--first 301` goes on where the first ended. The file appears under its name only once it is complete.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

COLUMNS = ("order_id", "ordered_at", "customer", "country", "sku", "description", "quantity", "price")
CUSTOMERS = (
    ("Nordlicht Buchhandel GmbH", "de"),
    ("Müller & Söhne, Kiel", "de"),
    ("Librairie du Marché", "fr"),
    ("Papeterie Lemoine SARL", "fr"),
    ("Boekhandel De Vries", "nl"),
    ('Café "Zum Anker"', "at"),
    ("Librería Cervantes", "es"),
    ("Cartoleria Bianchi", "it"),
    ("Harbour Street Stationers", "gb"),
    ("O'Connor Office Supplies", "ie"),
    ("Skrivehjørnet AS", "no"),
    ("Księgarnia Nowak", "pl"),
)
GOODS = (
    ("BK-1001", "Notebook A5, ruled", "4.90"),
    ("BK-1002", "Notebook A4, squared", "6.50"),
    ("BK-1104", "Desk diary 2026", "18.90"),
    ("PN-2001", "Fountain pen, fine nib", "42.00"),
    ("PN-2010", "Ink cartridges, blue, 6 pieces", "3.25"),
    ("PN-2044", "Pencil set, 12 grades", "21.75"),
    ("PP-3001", "Copy paper A4, 500 sheets", "5.49"),
    ("PP-3020", "Envelopes C5, 100 pieces", "9.95"),
    ("PP-3077", "Wrapping paper, 5 m roll", "7.20"),
    ("DS-4002", "Desk lamp, brass", "129.00"),
    ("DS-4015", 'Ruler, steel, 12"', "8.40"),
    ("DS-4099", "Paper knife", "15.60"),
)
BEGIN = datetime(2026, 1, 2, 7, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Order:
    order_id: str
    ordered_at: str
    customer: str
    country: str
    lines: tuple[tuple[str, str, int, Decimal], ...]  # sku, description, quantity, price

    @property
    def total(self) -> Decimal:
        return sum((quantity * price for _, _, quantity, price in self.lines), Decimal(0))

    def rows(self) -> Iterator[tuple[object, ...]]:
        for line in self.lines:
            yield (self.order_id, self.ordered_at, self.customer, self.country, *line)


def make_order(number: int, seed: int = 2026) -> Order:
    """Order `number`, which depends on nothing but the seed."""
    dice = random.Random(f"{seed}:{number}")  # noqa: S311 - made-up data, not secrets
    customer, country = dice.choice(CUSTOMERS)
    ordered_at = BEGIN + timedelta(minutes=number * 139 % 42_000, seconds=dice.randrange(60))
    goods = dice.sample(GOODS, dice.choice((1, 2, 2, 3, 3, 4)))
    lines = tuple((sku, text, dice.choice((1, 1, 2, 3, 5, 10)), Decimal(price)) for sku, text, price in goods)
    return Order(f"SO-{number:06d}", ordered_at.strftime("%Y-%m-%dT%H:%M:%SZ"), customer, country, lines)


def write_orders(path: Path, orders: list[Order]) -> None:
    """All or nothing: a watcher of the folder never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for order in orders:
            writer.writerows(order.rows())
    part.replace(path)


def main() -> None:
    options = argparse.ArgumentParser(description="Write a CSV file of made-up orders.")
    options.add_argument("--orders", type=int, default=300, help="how many orders (default 300)")
    options.add_argument("--first", type=int, default=1, help="number of the first order (default 1)")
    options.add_argument("--seed", type=int, default=2026, help="other seed, other orders (default 2026)")
    options.add_argument("--out", type=Path, required=True, help="the file to write")
    chosen = options.parse_args()
    orders = [make_order(number, chosen.seed) for number in range(chosen.first, chosen.first + chosen.orders)]
    write_orders(chosen.out, orders)
    total = sum((order.total for order in orders), Decimal(0))
    print(f"orders {len(orders)} lines {sum(len(order.lines) for order in orders)} total {total:.2f}")


if __name__ == "__main__":
    main()
