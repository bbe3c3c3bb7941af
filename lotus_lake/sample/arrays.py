"""What SQL makes too slowly: columns that are put together in Arrow instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lotus_lake.sample.shop import Variant

Integers = npt.NDArray[np.int64]
Condition = npt.NDArray[np.bool_]

_HEX_OF_BYTE = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)
# Where in a UUID's text which of its hexadecimal digits stand.
_UUID_GROUPS = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))


def uuids(halves: pa.StructArray) -> pa.StringArray:
    """Return UUIDs as text; `halves` has their upper and lower 64 bits as `high` and `low`."""
    count = len(halves)
    words = np.stack([halves.field("high").to_numpy(), halves.field("low").to_numpy()], axis=1)
    in_order = words.astype(">u8").view(np.uint8).reshape(count, 16)
    digits = _HEX_OF_BYTE[in_order].view(np.uint8).reshape(count, 32)
    text = np.full((count, 36), ord("-"), np.uint8)
    for place, first, last in _UUID_GROUPS:
        text[:, place : place + last - first] = digits[:, first:last]
    offsets = np.arange(0, 36 * (count + 1), 36, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def line_items(orders: pa.StructArray, variants: Sequence[Variant], *, grown: bool) -> pa.ListArray:
    """Return the column `line_items` of orders as Shopify has it.

    A line repeats much of its variant. In SQL each line would copy the whole variant, which took
    as long as everything else of an order together; here it is a look-up for each column.

    Args:
        orders: For each order its `lines` (see `shop.orders`), `first_line_id`, `currency`,
            `taxes_included`, `adds_one` (an edit added one more of the first line),
            `discounts_first_line`, `new_words` (placed after titles and vendors changed).
        variants: What is sold; a line counts them from 1.
        grown: Whether lines have the field `pre_tax_price`.
    """
    lists = orders.field("lines")
    lines = lists.flatten()
    order = lists.value_parent_indices().to_numpy()

    def of_line(name: str) -> Integers:
        values: Integers = lines.field(name).to_numpy(zero_copy_only=False).astype(np.int64)
        return values

    def of_order(name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = orders.field(name).to_numpy(zero_copy_only=False)[order]
        return values

    number, quantity, price = of_line("line"), of_line("quantity"), of_line("price")
    discount, tax, tax_rate = of_line("discount"), of_line("tax"), of_line("tax_rate")
    variant = of_line("variant") - 1
    words = variant + len(variants) * of_order("new_words").astype(np.int64)
    before_tax = price * quantity - discount - of_order("taxes_included") * tax

    def of_variant(name: str) -> pa.Array:
        return pa.array([getattr(each, name) for each in variants]).take(pa.array(variant))

    def worded(name: str) -> pa.Array:
        texts = [getattr(each, name) for each in variants]
        texts += [getattr(each, f"new_{name}") for each in variants]
        return pa.array(texts).take(pa.array(words))

    columns = {
        "id": of_order("first_line_id") + number,
        "gift_card": of_variant("is_gift_card"),
        "price": price / 100,
        "pre_tax_price": before_tax / 100,
        "product_id": of_variant("product_id"),
        "properties": _engravings(variant % 11 == 10),
        "quantity": quantity + (of_order("adds_one") & (number == 0)),
        "sku": of_variant("sku"),
        "taxable": tax_rate > 0,
        "title": worded("title"),
        # As Shopify has it: only discounts given on the line itself.
        "total_discount": discount * of_order("discounts_first_line") / 100,
        "variant_id": of_variant("variant_id"),
        "variant_title": of_variant("variant_title"),
        "vendor": worded("vendor"),
        "tax_lines": _tax_lines(tax, tax_rate, of_order("currency") == "USD"),
        "discount_allocations": _discount_allocations(discount),
    }
    if not grown:
        del columns["pre_tax_price"]
    return pa.ListArray.from_arrays(_offsets(lists.value_lengths()), _struct(**columns))


def _engravings(engraved: Condition) -> pa.ListArray:
    """Return `properties`: what a buyer asked for, with characters that are easy to lose."""
    count = int(engraved.sum())
    return _lists(
        engraved.astype(np.int64),
        name=pa.repeat("Engraving", count),
        value=pa.repeat('It\'s "yours",\nforever', count),
    )


def _tax_lines(tax: Integers, tax_rate: Integers, two: Condition) -> pa.ListArray:
    """Return the taxes of each line: none where it is exempt, else a state's and a county's.

    Args:
        tax: Cents.
        tax_rate: Hundredths of a percent.
        two: Whether the tax is shared between two.
    """
    counts = np.where(tax_rate == 0, 0, np.where(two, 2, 1))
    line = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(line)) - (np.cumsum(counts) - counts)[line]
    county = tax[line] // 3
    share = np.where(two[line], np.where(position == 0, tax[line] - county, county), tax[line])
    rate = np.where(two[line], np.where(position == 0, 0.00006, 0.00004), 0.0001) * tax_rate[line]
    title = np.where(two[line], position, 2)
    titles = pa.array(["State Tax", "County Tax", "VAT"]).take(pa.array(title))
    return _lists(counts, price=share / 100, rate=rate, title=titles)


def _discount_allocations(discount: Integers) -> pa.ListArray:
    """Return what each line takes of the order's discounts; `discount` is in cents."""
    given = discount[discount != 0]
    amounts, position = np.unique(given, return_inverse=True)
    texts = pa.array([f"{amount / 100:.2f}" for amount in amounts], type=pa.string())
    return _lists(
        (discount != 0).astype(np.int64),
        id=pa.nulls(len(given), pa.string()),
        amount=texts.take(pa.array(position)),
        discount_application_index=np.zeros(len(given)),
    )


def _lists(counts: Integers, **fields: pa.Array | npt.NDArray[Any]) -> pa.ListArray:
    """Return lists of so many structs each, whose fields are given one list after the other."""
    return pa.ListArray.from_arrays(_offsets(pa.array(counts)), _struct(**fields))


def _offsets(counts: pa.Array) -> pa.Array:
    """Return where each list of so many elements begins, and where the last one ends."""
    return pa.array(np.concatenate([[0], np.cumsum(counts.to_numpy())]), type=pa.int32())


def _struct(**fields: pa.Array | npt.NDArray[Any]) -> pa.StructArray:
    """Return structs of these fields."""
    return pa.StructArray.from_arrays([pa.array(each) for each in fields.values()], list(fields))
