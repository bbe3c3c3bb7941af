"""Columns with personal data say so: what a diff shows of values depends on it."""

import re

from dbt_bouncer.check_framework.decorator import check, fail

PERSONAL = re.compile(
    r"(.*_)?(e_?mail|phone|phone_number|(first|last|full|given|family)_name|address|street|city|region"
    r"|zip|post(al_)?code|ip|ip_address|birthday|birth_date|latitude|longitude|notes?|properties)",
    re.IGNORECASE,
)


def _unmarked(columns):
    return [
        name
        for name, column in (columns or {}).items()
        if PERSONAL.fullmatch(name) and not (column.meta or {}).get("personal")
    ]


@check
def check_personal_model_column_is_marked(model):
    """A model's column that is called like personal data has meta personal."""
    for name in _unmarked(model.columns):
        fail(f"Column `{name}` of `{model.name}` is not marked.")


@check
def check_personal_source_column_is_marked(source):
    """A source's column that is called like personal data has meta personal."""
    for name in _unmarked(source.columns):
        fail(f"Column `{name}` of `{source.source_name}.{source.name}` is not marked.")
